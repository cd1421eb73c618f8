"""`verify --manifest`: many models, one answer that a CI can stake a release on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from lstmbridge.cli import main

PASSING = """
[[model]]
name = "seed"
source = "seed/model.ckpt"
artifact = "seed.onnx"
steps = 8
runtimes = ["onnxruntime-cpu"]
"""
CONVERTED = """
[[model]]
name = "gru"
source = "gru/model.ckpt"
to = "onnx"
steps = 8
runtimes = "onnxruntime-cpu"
"""
WRONG = """
[[model]]
name = "other"
source = "seed/model.ckpt"
artifact = "gru.onnx"
steps = 8
"""
BIASED = """
[[model]]
name = "biased"
source = "seed/model.ckpt"
artifact = "seed.onnx"
ignore-graph = true
forget-bias = 0.5
steps = 8
"""
ABSENT = """
[[model]]
name = "absent"
source = "nowhere/model.ckpt"
artifact = "seed.onnx"
"""


def by_name(answer) -> dict:
    return {one["name"]: one for one in answer["models"]}


def test_all_pass_so_the_manifest_does(manifest, verify, here: Path) -> None:
    manifest(PASSING + CONVERTED)
    answer, said = verify("--jobs", 2, code=0)
    assert "2 of 2 pass" in said
    found = by_name(answer)
    assert [one["state"] for one in found.values()] == ["pass", "pass"]
    assert all(one["comparisons"] > 0 for one in found.values())
    assert all(one["caught"] == one["planted"] > 0 for one in found.values())
    assert (here / "lstmbridge-results" / "gru" / "model.onnx").is_file()
    assert "PASS" in (here / "lstmbridge-results" / "seed" / "report.html").read_text()


def test_facts_that_were_assumed_are_counted_beside_a_pass(manifest, verify) -> None:
    manifest(CONVERTED)
    answer, said = verify(code=0)
    assert by_name(answer)["gru"]["assumed"] > 0
    assert "assumed" in said


def test_a_mismatch_counts_more_than_an_error_and_each_says_why(
    manifest, verify, here: Path
) -> None:
    path = manifest(PASSING + BIASED + ABSENT)
    answer, said = verify("--junit", "out.xml", "--markdown", "out.md", "--html", "o.html", code=1)
    found = by_name(answer)
    assert {name: one["exit_code"] for name, one in found.items()} == {
        "seed": 0,
        "biased": 1,
        "absent": 4,
    }
    assert "forget_bias[f]" in " ".join(found["biased"]["reasons"])
    assert any("nowhere" in why for why in found["absent"]["reasons"])
    assert "1 of 3 pass; 1 fail, 1 error" in said
    lines = path.read_text().splitlines()
    assert [lines[one["line"] - 1] for one in found.values()] == ["[[model]]"] * 3
    suite = ET.fromstring((here / "out.xml").read_text())
    states = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert states == {"seed": [], "biased": ["failure"], "absent": ["error"]}
    assert "| `biased` | FAIL |" in (here / "out.md").read_text()
    page = (here / "o.html").read_text()
    assert "NOT PASSED" in page
    assert 'href="lstmbridge-results/biased/report.html"' in page
    assert (here / "lstmbridge-results" / "biased" / "failure.npz").is_file()


def test_the_artifact_of_another_network_fails_by_its_inputs(manifest, verify) -> None:
    manifest(WRONG)
    answer, _ = verify(code=1)
    assert "its inputs are (batch, time, 4)" in by_name(answer)["other"]["reasons"][0]


def test_a_pass_is_taken_over_while_nothing_changes(manifest, verify, here: Path) -> None:
    manifest(PASSING + CONVERTED)
    first, _ = verify(code=0)
    again, said = verify(code=0)
    assert [one["taken_over"] is None for one in first["models"]] == [True, True]
    assert [one["taken_over"] is None for one in again["models"]] == [False, False]
    assert "2 taken over because nothing changed" in said
    fresh, _ = verify("--fresh", code=0)
    assert [one["taken_over"] is None for one in fresh["models"]] == [True, True]


def changed_source(here: Path) -> None:
    file = here / "seed" / "model.ckpt.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[8] ^= 1
    file.write_bytes(content)


def changed_artifact(here: Path) -> None:
    shutil.copy(here / "gru.onnx", here / "seed.onnx")


def lost_graph(here: Path) -> None:
    (here / "seed" / "model.ckpt.meta").unlink()


def other_option(here: Path) -> None:
    (here / "models.toml").write_text(PASSING.replace("steps = 8", "steps = 9"))


def tampered_answer(here: Path) -> None:
    file = here / "lstmbridge-results" / "seed" / "answer.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))


@pytest.mark.parametrize(
    "change", [changed_source, changed_artifact, lost_graph, other_option, tampered_answer]
)
def test_what_changed_is_verified_again(manifest, verify, here: Path, change) -> None:
    manifest(PASSING)
    verify(code=0)
    change(here)
    still = change in {lost_graph, other_option, tampered_answer}
    code = 0 if still else {changed_source: 4, changed_artifact: 1}[change]
    answer, _ = verify(code=code)
    assert answer["models"][0]["taken_over"] is None


def test_a_failure_is_never_taken_over(manifest, verify) -> None:
    manifest(BIASED)
    for _ in range(2):
        answer, _ = verify(code=1)
        assert answer["models"][0]["taken_over"] is None


def test_a_model_that_takes_too_long_is_stopped_and_named(manifest, verify) -> None:
    manifest(PASSING + "time-limit = 0.2\n")
    answer, _ = verify(code=3)
    assert answer["models"][0]["state"] == "error"
    assert "its time was over" in answer["models"][0]["reasons"][0]


def test_a_process_that_dies_is_an_error_with_its_last_words(
    manifest, verify, here: Path, monkeypatch
) -> None:
    manifest(PASSING)
    dies = "import os, signal; print('last words', flush=True); os.kill(os.getpid(), {})"
    monkeypatch.setattr("lstmbridge.cli.manifests.children.BOOT", dies.format(int(signal.SIGKILL)))
    answer, _ = verify(code=70)
    assert "SIGKILL" in answer["models"][0]["reasons"][0]
    assert "last words" in answer["models"][0]["reasons"]


def test_an_exit_of_0_without_an_answer_is_no_pass(manifest, verify, monkeypatch) -> None:
    manifest(PASSING)
    monkeypatch.setattr("lstmbridge.cli.manifests.children.BOOT", "pass")
    answer, _ = verify(code=70)
    assert answer["models"][0]["state"] == "error"


def test_a_pass_that_compared_nothing_is_no_pass(manifest, verify, monkeypatch) -> None:
    manifest(PASSING)
    empty = (
        "import json, sys; path = sys.argv[sys.argv.index('--json') + 1]; "
        "json.dump({'kind': 'verification', 'verdict': 'pass', 'comparisons': 0}, open(path, 'w'))"
    )
    monkeypatch.setattr("lstmbridge.cli.manifests.children.BOOT", empty)
    answer, _ = verify(code=3)
    assert answer["models"][0]["reasons"] == ["no number was compared"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_it_takes_its_models_with_it(manifest, started, here: Path, name: str) -> None:
    manifest(PASSING.replace("steps = 8", "steps = 2000"))
    with started("--results", "out") as process:
        log = here / "out" / "seed" / "log.txt"
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert log.exists()
        process.send_signal(getattr(signal, name))
        _, told = process.communicate(timeout=60)
    assert process.returncode in {130, 143}
    assert b"Traceback" not in told
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout
    assert str(here / "out").encode() not in listed


def test_github_is_told_where_the_manifest_names_a_model(
    manifest, verify, here: Path, monkeypatch
) -> None:
    manifest(PASSING + BIASED)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    _, said = verify(code=1)
    assert "::error file=models.toml,line=9,title=lstmbridge%3A biased%3A FAIL::" in said
    assert said.count("::error") == 1
    assert (here / "summary.md").read_text().count("### lstmbridge") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no model"),
        ("model = 3", "no list of tables"),
        ("[[model]\n", "no TOML"),
        ("[[models]]\nname = 'a'", "perhaps model"),
        ("[[model]]\nsource = 'a'\nto = 'onnx'", "a model has no name"),
        ("[[model]]\nname = 'a'\nto = 'onnx'", "a model has no source"),
        ("[[model]]\nname = 'a'\nsource = 'b'", "neither an artifact nor a target"),
        ("[[model]]\nname = '../a'\nsource = 'b'\nto = 'onnx'", "cannot be a folder's name"),
        (PASSING + PASSING, "two models are called 'seed'"),
        (PASSING + "forget_bias = 1.0", "perhaps forget-bias"),
        (PASSING + "no-verify = true", "every model is verified"),
        (PASSING + "opset = 17", "no option of verify"),
        (PASSING + "batch = 'many'", "'many' is not a valid integer"),
        (PASSING + "strict = 1", "strict is 1"),
        (PASSING + "time-limit = -1", "time-limit is -1"),
        ("[defaults]\nstep = 3\n" + PASSING, "perhaps steps"),
    ],
)
def test_a_manifest_that_is_not_understood_verifies_nothing(
    manifest, verify, here: Path, text: str, said: str
) -> None:
    manifest(text)
    _, told = verify(code=2)
    assert said in told
    assert "models.toml" in told
    assert not (here / "lstmbridge-results").exists()


def test_a_message_has_the_line(manifest, verify) -> None:
    text = PASSING + CONVERTED + "batch = 0\n"
    manifest(text)
    _, told = verify(code=2)
    assert f"line {text.splitlines().index('batch = 0') + 1}" in told


def test_defaults_are_for_models_that_say_nothing_else(manifest, verify, here: Path) -> None:
    manifest("[defaults]\nruntimes = 'torch'\nopset = 18\n" + PASSING + CONVERTED)
    verify(code=0)
    answer = json.loads((here / "lstmbridge-results" / "seed" / "answer.json").read_bytes())
    assert "onnxruntime-cpu" in {one["name"] for one in answer["runtimes"]}


def test_what_a_manifest_says_is_not_said_beside_it(manifest, verify) -> None:
    manifest(PASSING)
    _, told = verify("--steps", 3, code=2)
    assert "--steps was given beside --manifest" in told


def test_a_folder_with_other_things_is_left_alone(manifest, verify, here: Path) -> None:
    manifest(PASSING)
    (here / "mine").mkdir()
    (here / "mine" / "diary.txt").write_text("dear")
    _, told = verify("--results", "mine", code=2)
    assert "holds other things" in told
    assert [p.name for p in (here / "mine").iterdir()] == ["diary.txt"]


def test_a_report_is_not_written_over_what_is_read(manifest, verify, here: Path) -> None:
    manifest(PASSING)
    before = (here / "seed.onnx").read_bytes()
    verify("--html", "seed.onnx", code=2)
    assert (here / "seed.onnx").read_bytes() == before


def test_paths_are_relative_to_the_manifest(manifest, here: Path, monkeypatch) -> None:
    manifest(PASSING)
    (here / "else").mkdir()
    monkeypatch.chdir(here / "else")
    result = CliRunner().invoke(main, ["verify", "--manifest", "../models.toml"])
    assert result.exit_code == 0, result.output
    assert (here / "else" / "lstmbridge-results" / "seed" / "report.html").is_file()


def test_without_a_manifest_a_source_and_an_artifact_are_asked_for(here: Path) -> None:
    for words, missing in ((["verify"], "SOURCE"), (["verify", "seed"], "ARTIFACTS")):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert missing in result.output
