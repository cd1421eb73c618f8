"""Every command by its exit code, what it prints, and what it leaves behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
SEED = FIXTURES / "tf115-seed-bare" / "model.ckpt"
NOISE = np.random.default_rng(4).bytes(512)
FAST = ("--steps", 8, "--batch", 2)
"""Probes enough for a verdict on a few units."""


@pytest.fixture
def kernel() -> dict[str, np.ndarray]:
    """Variables of one BasicLSTMCell: 3 features, 2 units."""
    rng = np.random.default_rng(0)
    scope = "rnn/basic_lstm_cell"
    return {
        f"{scope}/bias": rng.normal(size=8).astype("f4"),
        f"{scope}/kernel": rng.normal(size=(5, 8)).astype("f4"),
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where an artifact may go: a file in an empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "model.onnx"


def nothing_in(folder: Path) -> bool:
    return list(folder.iterdir()) == []


# --- 0: done ------------------------------------------------------------------------------------


def test_inspect_shows_layers_facts_and_pictures(run: Any) -> None:
    answer = run("inspect", SEED)
    assert answer.code == 0
    for text in ("rnn: 3 layers", "layer2  LSTM  2 → 2", "forget_bias = 1.0", "W_c (TF j)"):
        assert text in answer.out
    assert answer.err == ""


@pytest.mark.parametrize(
    ("fixture", "kind", "text"),
    [
        ("tf115-gru", "GRU", "W_z (TF u)"),
        ("tf115-nas", "NAS", "W_n7"),
        ("tf115-layer-norm", "LayerNormLSTM", "state_gain: state/gamma (3,)"),
        ("tf115-highway", "LSTM", "highway0  Highway  3 → 3  carry_w (3, 3), carry_b (3,)"),
        ("tf115-mixed", "RNN", "layer2  RNN   2 → 4"),
    ],
)
def test_inspect_shows_any_cell(run: Any, fixture: str, kind: str, text: str) -> None:
    answer = run("inspect", FIXTURES / fixture, "--json", "-")
    assert answer.code == 0
    layers = answer.body["parts"][0]["layers"]
    assert kind in {layer["cell"] for layer in layers}
    assert text in answer.err


@pytest.mark.parametrize("fixture", ["tf115-seed-bare", "tf115-gru", "tf115-layer-norm"])
def test_convert_writes_a_verified_file_that_verify_verifies_again(
    run: Any, out: Path, fixture: str
) -> None:
    source = FIXTURES / fixture
    done = run("convert", source, "--to", "onnx", "-o", out, *FAST, "--json", "-")
    assert done.code == 0
    assert done.body["verdict"] == "pass"
    assert done.body["artifact"]["path"] == str(out)
    again = run("verify", source, out, *FAST, "--json", "-", "--runtimes", "onnxruntime-cpu")
    assert again.code == 0
    assert again.body["verdict"] == "pass"
    assert again.body["artifact"][0]["sha256"] == done.body["artifact"]["sha256"]


@pytest.mark.torch
def test_convert_writes_for_pytorch(run: Any, out: Path) -> None:
    pytest.importorskip("torch")
    file = out.with_suffix(".safetensors")
    done = run("convert", FIXTURES / "tf115-gru-cudnn", "--to", "torch", "-o", file, *FAST)
    assert done.code == 0
    assert file.is_file()


def test_runtimes_says_what_is_here_and_how_to_get_the_rest(run: Any) -> None:
    answer = run("runtimes", "--json", "-")
    assert answer.code == 0
    found = {r["name"]: r for r in answer.body}
    assert found["onnxruntime-cpu"]["available"]
    assert all(r["available"] or r["reason"] for r in found.values())
    for name in found:
        assert name in answer.err


def test_explain_prints_a_cell_and_without_one_lists_them(run: Any) -> None:
    answer = run("explain", "GRUCell")
    assert answer.code == 0
    assert "c      = tanh(x·W_c + b_c + (r * h)·U_c)" in answer.out
    listed = run("explain", "--json", "-")
    assert listed.code == 0
    assert "GRU" in listed.body["cells"]
    assert "PhasedLSTMCell" in listed.body["not_converted"]
    assert run("explain", "LSTM", "--json", "-").body["orders"]["ONNX"][0]["gates"] == [*"iofc"]


def test_help_and_version_end_well(run: Any) -> None:
    for arguments in (["--help"], ["--version"], ["convert", "--help"], ["explain", "-h"]):
        assert run(*arguments).code == 0


def test_an_artifact_has_the_sources_name_by_default(
    run: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    step = FIXTURES / "tf115-two-steps"
    assert run("convert", SEED, "--to", "onnx", "--no-verify").code == 0
    assert run("convert", step, "--to", "onnx", "--no-verify").code == 0
    one = ("--select", "encoder/rnn", "--to", "onnx", "--no-verify")
    assert run("convert", FIXTURES / "tf115-encoder-decoder", *one).code == 0
    made = sorted(p.name for p in tmp_path.iterdir())
    assert made == ["model-7.onnx", "model.encoder-rnn.onnx", "model.onnx"]


def test_relative_paths_are_taken_from_where_the_user_stands(
    run: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    source = os.path.relpath(SEED, tmp_path)
    assert run("convert", source, "--to", "onnx", "-o", "sub/m.onnx", "--no-verify").code == 0
    assert run("verify", source, "sub/m.onnx", *FAST).code == 0


def test_a_file_that_was_not_verified_says_so(run: Any, out: Path) -> None:
    answer = run("convert", SEED, "--to", "onnx", "-o", out, "--no-verify", "--json", "-")
    assert answer.code == 0
    assert answer.body["verdict"] == "not verified"
    assert "NOT VERIFIED" in answer.err


# --- what stdout holds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", SEED),
        ("runtimes",),
        ("explain", "NAS"),
        ("explain",),
        ("convert", SEED, "--to", "onnx", *FAST, "-o"),
    ],
)
def test_json_on_stdout_stands_alone(run: Any, out: Path, arguments: tuple[Any, ...]) -> None:
    more = (out,) if arguments[-1] == "-o" else ()
    answer = run(*arguments, *more, "--json", "-")
    assert answer.code == 0
    assert json.dumps(answer.body)
    assert answer.err


def test_quiet_says_warnings_only(run: Any, out: Path) -> None:
    answer = run("convert", SEED, "--to", "onnx", "-o", out, "--no-verify", "--quiet")
    assert answer.code == 0
    assert answer.out == ""
    assert answer.err.startswith("warning: assumed")


def test_json_goes_to_a_file_when_it_is_named(run: Any, tmp_path: Path) -> None:
    answer = run("inspect", SEED, "--json", tmp_path / "found.json")
    assert answer.code == 0
    assert json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["parts"]
    assert "rnn: 3 layers" in answer.out


@pytest.mark.parametrize("command", [("inspect", SEED), ("explain", "LSTM")])
def test_a_terminal_without_utf8_gets_plain_signs(process: Any, command: Any) -> None:
    answer = process(*command, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert answer.code == 0
    assert answer.out.isascii()
    assert "?" not in answer.out


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m lstmbridge explain LSTM | head -1; echo ${{PIPESTATUS[0]}}"
    with os.popen(f"cd {ROOT} && bash -c '{command}' 2>&1") as shell:
        first, *rest = shell.read().splitlines()
    assert first.startswith("LSTM: ")
    assert rest == ["0"]


# --- 1: the numbers differ ----------------------------------------------------------------------


def tampered(path: Path) -> None:
    """One recurrent weight is another: what a faulty conversion looks like from outside."""
    model = onnx.load(path)
    stored = next(i for i in model.graph.initializer if len(i.dims) == 3)
    numbers = numpy_helper.to_array(stored).copy()
    numbers[..., 0] += 0.25
    stored.CopyFrom(numpy_helper.from_array(numbers, stored.name))
    onnx.save(model, path)


def test_a_file_that_computes_something_else_is_1_and_says_where(run: Any, out: Path) -> None:
    assert run("convert", SEED, "--to", "onnx", "-o", out, *FAST).code == 0
    tampered(out)
    answer = run("verify", SEED, out, *FAST, "--json", "-")
    assert answer.code == 1
    assert answer.body["verdict"] == "fail"
    assert "FAIL" in answer.err
    assert out.is_file()


def test_another_models_file_is_1(run: Any, out: Path, tmp_path: Path) -> None:
    assert run("convert", SEED, "--to", "onnx", "-o", out, "--no-verify").code == 0
    other = FIXTURES / "tf115-seed-meta"
    assert run("verify", other, out, *FAST).code == 1


# --- 2: usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("convert", SEED, "--to", "onnx", "--nonsense"), "--nonsense"),
        (("convert", SEED), "--to"),
        (("convert", SEED, "--to", "tflite"), "no target called 'tflite'"),
        (("convert", SEED, "--to", "onnx", "--runtimes", "caffe"), "no runtime called 'caffe'"),
        (("convert", SEED, "--to", "onnx", "--activation", "gelu"), "--activation gelu"),
        (("convert", SEED, "--to", "onnx", "--map", "none.txt"), "none.txt cannot be read"),
        (("convert", SEED, "--to", "onnx", "--data", "none.npz"), "none.npz cannot be read"),
        (("convert", SEED, "--to", "onnx", "-o", "none/m.onnx"), "folder none does not exist"),
        (("convert", SEED, "--to", "onnx", "--json", "none/m.json"), "folder of none/m.json"),
        (("inspect", SEED, "--cell", "LSTNCell"), "--cell LSTNCell"),
        (("verify", SEED, "none.onnx"), "no file none.onnx"),
        (("verify", SEED, SEED.with_suffix(".ckpt.index")), "no artifact that a target knows"),
        (("verify", SEED), "ARTIFACTS"),
        (("explain", "LSTN"), "did you mean LSTM"),
        (("nonsense",), "nonsense"),
    ],
)
def test_what_makes_no_sense_is_2_with_a_reason(
    run: Any, tmp_path: Path, monkeypatch: Any, arguments: tuple[Any, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(*arguments)
    assert answer.code == 2
    assert says in answer.err
    assert nothing_in(tmp_path)


def test_an_existing_file_is_replaced_only_with_force(run: Any, out: Path) -> None:
    out.write_bytes(b"mine")
    refused = run("convert", SEED, "--to", "onnx", "-o", out, *FAST)
    assert refused.code == 2
    assert "--force" in refused.err
    assert out.read_bytes() == b"mine"
    assert run("convert", SEED, "--to", "onnx", "-o", out, *FAST, "--force").code == 0
    assert out.read_bytes() != b"mine"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_a_message(run: Any, out: Path) -> None:
    out.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    answer = run("convert", SEED, "--to", "onnx", "-o", out, "--no-verify")
    out.parent.chmod(stat.S_IRWXU)
    assert answer.code == 2
    assert nothing_in(out.parent)


# --- 3: no verdict ------------------------------------------------------------------------------


def absent_runtime(run: Any) -> str:
    found = run("runtimes", "--json", "-").body
    return next(r["name"] for r in found if not r["available"])


def test_a_required_runtime_that_is_absent_is_3_and_leaves_nothing(run: Any, out: Path) -> None:
    absent = absent_runtime(run)
    answer = run("convert", SEED, "--to", "onnx", "-o", out, *FAST, "--require", absent)
    assert answer.code == 3
    assert absent in answer.said
    assert nothing_in(out.parent)


def test_an_old_file_is_unharmed_when_there_is_no_verdict(run: Any, out: Path) -> None:
    out.write_bytes(b"mine")
    absent = absent_runtime(run)
    more = (*FAST, "--require", absent, "--force")
    assert run("convert", SEED, "--to", "onnx", "-o", out, *more).code == 3
    assert out.read_bytes() == b"mine"
    assert list(out.parent.iterdir()) == [out]


# --- 4: the source cannot be read ---------------------------------------------------------------


def test_a_wrong_prefix_is_4_with_near_names(run: Any, out: Path) -> None:
    wrong = SEED.with_name("modle.ckpt")
    answer = run("convert", wrong, "--to", "onnx", "-o", out)
    assert answer.code == 4
    assert "near it are: model.ckpt" in answer.err
    assert nothing_in(out.parent)


def test_a_path_that_is_not_there_is_4(run: Any, tmp_path: Path) -> None:
    assert run("inspect", tmp_path / "deep" / "down" / "model.ckpt").code == 4


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(64), NOISE])
def test_a_file_that_is_no_checkpoint_is_4(run: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.ckpt").write_bytes(content)
    answer = run("inspect", tmp_path / "model.ckpt")
    assert answer.code == 4
    assert answer.out == ""


@pytest.mark.parametrize(
    "name", sorted(json.loads((FIXTURES / "hostile" / "cases.json").read_text()))
)
def test_a_hostile_file_ends_in_a_message_and_writes_nothing(
    run: Any, out: Path, name: str
) -> None:
    folder = FIXTURES / "hostile" / name
    answer = run("convert", folder, "--to", "onnx", "-o", out, "--no-verify")
    assert answer.code in {4, 5, 6}
    assert answer.err.startswith("error: ")
    assert nothing_in(out.parent)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_4(
    run: Any, out: Path, kernel: Any, checkpoint: Any, bad: float
) -> None:
    kernel["rnn/basic_lstm_cell/kernel"][1, 3] = bad
    answer = run("convert", checkpoint(kernel), "--to", "onnx", "-o", out)
    assert answer.code == 4
    assert "NaN or infinite" in answer.err
    assert nothing_in(out.parent)


# --- 5 to 7: not recognised, facts, refusals ----------------------------------------------------


def test_a_checkpoint_without_recurrent_layers_is_5(run: Any, out: Path, checkpoint: Any) -> None:
    source = checkpoint({"dense/bias": np.zeros(4, "f4"), "dense/kernel": np.ones((3, 4), "f4")})
    answer = run("convert", source, "--to", "onnx", "-o", out)
    assert answer.code == 5
    assert "no recurrent layer" in answer.err
    assert nothing_in(out.parent)


@pytest.mark.parametrize(
    ("fixture", "more", "says"),
    [
        ("tf115-encoder-decoder", (), "--select decoder/rnn"),
        ("tf115-forget-bias-0", ("--forget-bias", 1), "the graph says 0.0"),
        ("tf115-seed-bare", ("--strict",), "facts rest on a class's default only"),
        ("tf115-gru", ("--forget-bias", 1), "has no such option"),
        ("tf115-gru", ("--strict",), "facts rest on a class's default only"),
    ],
)
def test_facts_that_are_missing_or_contradict_are_6(
    run: Any, out: Path, fixture: str, more: tuple[Any, ...], says: str
) -> None:
    answer = run("convert", FIXTURES / fixture, "--to", "onnx", "-o", out, *more)
    assert answer.code == 6
    assert says in answer.err
    assert nothing_in(out.parent)


@pytest.mark.parametrize("target", ["onnx", "torch"])
def test_what_no_target_can_say_exactly_is_7(run: Any, out: Path, target: str) -> None:
    answer = run("convert", FIXTURES / "tf115-attention", "--to", target, "-o", out)
    assert answer.code == 7
    assert "AttentionCellWrapper" in answer.err
    assert nothing_in(out.parent)


def test_a_defect_of_ours_is_70_and_asks_for_a_report(run: Any, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("lstmbridge.api.inspect", broken)
    answer = run("inspect", SEED)
    assert answer.code == 70
    assert "this is a defect" in answer.err
    assert "ZeroDivisionError: of ours" in answer.err


# --- processes of their own ---------------------------------------------------------------------


def test_the_module_is_the_command(process: Any, out: Path) -> None:
    answer = process("convert", SEED, "--to", "onnx", "-o", out, *FAST, "--json", "-")
    assert answer.code == 0
    assert answer.body["verdict"] == "pass"
    assert process("verify", SEED, out, *FAST).code == 0
    assert process("inspect", out.with_name("none")).code == 4


def test_only_debug_shows_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lstmbridge", "inspect", str(tmp_path / "none")]
    plain = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    shown = subprocess.run([*command, "--debug"], cwd=ROOT, capture_output=True, check=False)
    assert plain.returncode == shown.returncode == 4
    assert b"Traceback" not in plain.stderr
    assert b"Traceback" in shown.stderr
    assert plain.stdout == shown.stdout == b""
