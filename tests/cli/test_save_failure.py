"""`--save-failure PATH` keeps the smallest failing input, and says how to run it again."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

import lstmbridge
from lstmbridge.contracts import Hints


@pytest.fixture
def wrong(seed_prefix, tmp_path):
    hints = Hints(forget_bias=0.0)
    return lstmbridge.convert(seed_prefix, to="onnx", output=tmp_path / "w.onnx", hints=hints).path


def test_a_failure_is_kept_and_its_command_fails_again(run, seed_prefix, wrong, tmp_path):
    kept = tmp_path / "failure.npz"
    options = ["--runtimes", "onnxruntime-cpu", "--forget-bias", "1"]
    answer = run("verify", seed_prefix, wrong, *options, "--save-failure", kept)
    assert answer.code == 1
    assert "kept the smallest failing input" in answer.err
    with np.load(kept) as stored:
        assert stored["inputs"].shape[:2] == (1, int(stored["inputs"].shape[1]))
        assert not np.allclose(stored["expected/outputs"], stored["observed/outputs"])
        command = str(stored["replay/command"])
    words = shlex.split(command)
    assert words[:2] == ["lstmbridge", "verify"]
    assert words[-2:] == ["--data", str(kept)]
    assert "--forget-bias" in words
    again = run(*words[1:])
    assert again.code == 1
    assert "your data, 1 x" in again.out


def test_nothing_is_written_unasked_or_when_all_is_well(run, seed_prefix, wrong, tmp_path):
    before = set(tmp_path.iterdir())
    answer = run("verify", seed_prefix, wrong, "--runtimes", "onnxruntime-cpu")
    assert answer.code == 1
    assert "--save-failure PATH keeps it" in " ".join(answer.out.split())
    right = tmp_path / "r.onnx"
    answer = run(
        "convert", seed_prefix, "--to", "onnx", "-o", right, "--save-failure", tmp_path / "f.npz"
    )
    assert answer.code == 0
    assert set(tmp_path.iterdir()) - before == {right}


def test_a_failure_is_not_written_over_what_is_read(run, seed_prefix, wrong, tmp_path):
    answer = run("verify", seed_prefix, wrong, "--save-failure", wrong)
    assert answer.code == 2
    answer = run("verify", seed_prefix, wrong, "--save-failure", tmp_path / "no" / "f.npz")
    assert answer.code == 2


def test_json_says_how_small_it_is(run, seed_prefix, wrong):
    answer = run("verify", seed_prefix, wrong, "--runtimes", "onnxruntime-cpu", "--json", "-")
    (one,) = [r for r in answer.body["runtimes"] if r["status"] == "fail"]
    assert one["counterexample"].startswith("1 x ")
    assert one["checks"] == {}
