"""What a step of GitHub Actions is told, and that nobody else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lstmbridge.cli import github


@pytest.fixture
def artifact(run, seed_prefix: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    assert run("convert", seed_prefix, "--to", "onnx", "-o", path).code == 0
    return path


@pytest.fixture
def step(artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A step of a workflow, from here on; its summary's file."""
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    return summary


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("::")]


def test_nobody_else_is_told(run, seed_prefix: Path, artifact: Path) -> None:
    answer = run("verify", seed_prefix, artifact, "--forget-bias", 0)
    assert answer.code == 1
    assert not commands(answer.said)
    assert not commands(run("inspect", "nowhere.ckpt").said)


def test_a_pass_is_a_notice_at_the_artifact(
    run, seed_prefix: Path, artifact: Path, step: Path
) -> None:
    answer = run("verify", seed_prefix, artifact)
    (told,) = commands(answer.out)
    assert told.startswith("::notice file=m.onnx,title=lstmbridge%3A PASS::1,288 numbers compared")
    assert step.read_text().startswith("an earlier step\n")
    assert "lstmbridge: PASS" in step.read_text()


def test_a_failure_is_an_error_and_a_doubt_a_warning(
    run, seed_prefix: Path, artifact: Path, step: Path
) -> None:
    failed = run("verify", seed_prefix, artifact, "--forget-bias", 0)
    (told,) = commands(failed.out)
    assert told.startswith("::error file=m.onnx,title=lstmbridge%3A FAIL::")
    doubtful = run("verify", seed_prefix, artifact, "--require", "torch-cuda")
    (told,) = commands(doubtful.out)
    assert told.startswith("::warning file=m.onnx,title=lstmbridge%3A INCONCLUSIVE::")
    assert step.read_text().count("### lstmbridge") == 2


def test_json_on_standard_output_stays_alone_there(
    run, seed_prefix: Path, artifact: Path, step: Path
) -> None:
    answer = run("verify", seed_prefix, artifact, "--json", "-")
    assert json.loads(answer.out)["verdict"] == "pass"
    assert len(commands(answer.err)) == 1


def test_a_quiet_pass_says_nothing(run, seed_prefix: Path, artifact: Path, step: Path) -> None:
    assert not commands(run("verify", seed_prefix, artifact, "--quiet").said)
    assert commands(run("verify", seed_prefix, artifact, "--quiet", "--forget-bias", 0).said)


def test_an_error_is_annotated(run, step: Path) -> None:
    (told,) = commands(run("inspect", "nowhere.ckpt").said)
    assert told.startswith("::error title=lstmbridge%3A SourceUnreadable::")
    assert "%0A" in told


def test_a_summary_that_cannot_be_written_costs_no_verdict(
    run, seed_prefix: Path, artifact: Path, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step / "none" / "summary.md"))
    answer = run("verify", seed_prefix, artifact)
    assert answer.code == 0
    assert "the job's summary was not written" in answer.err


def test_a_command_that_names_cannot_end_or_forge() -> None:
    told = github.annotation(
        "error", "50 % of\r\n::warning::x", title="a: b, c=%\n", file="x,y:z%.onnx"
    )
    assert told == (
        "::error file=x%2Cy%3Az%25.onnx,title=a%3A b%2C c=%25%0A::50 %25 of%0D%0A::warning::x"
    )
