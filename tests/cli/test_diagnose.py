"""`lstmbridge diagnose` at the door: what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lstmbridge
from lstmbridge.contracts import Hints


@pytest.fixture
def pair(seed_prefix: Path, tmp_path: Path):
    """A right artifact and one whose forget bias was lost, of the same checkpoint."""
    right = lstmbridge.convert(seed_prefix, to="onnx", output=tmp_path / "right.onnx").path
    wrong = lstmbridge.convert(
        seed_prefix, to="onnx", output=tmp_path / "wrong.onnx", hints=Hints(forget_bias=0.0)
    ).path
    return right, wrong


def test_equal_files_end_with_0(run, pair, seed_prefix):
    right, _ = pair
    for a in (seed_prefix, right):
        answer = run("diagnose", a, right)
        assert answer.code == 0, answer.said
        assert answer.out.startswith("EQUAL")
        assert "weights: all 144 numbers are A's" in answer.out


def test_different_files_end_with_1_and_say_why(run, pair, seed_prefix):
    for a in (seed_prefix, pair[0]):
        answer = run("diagnose", a, pair[1])
        assert answer.code == 1
        assert answer.out.startswith("DIFFERENT")
        assert "it equals the source with forget_bias = 0" in answer.out
        assert "bias of B: lacks the forget bias" in answer.out
        assert "first layer to depart is layer0" in answer.out


def test_json_says_the_same_to_a_program(run, pair):
    answer = run("diagnose", *pair, "--json", "-")
    assert answer.code == 1
    body = answer.body
    assert body["verdict"] == "different"
    assert "forget_bias = 0" in body["explanation"]
    (finding,) = body["weights"]["findings"]
    assert finding["layers"] == ["layer0", "layer1", "layer2"]
    assert finding["blocks"] == ["bias"]
    assert finding["mistake"] is True
    assert body["sides"]["b"]["accounted"] == 168
    assert body["outputs"]["outputs"]["ratio"] > 1


def test_recorded_outputs_stand_in_for_b(run, seed_prefix, case):
    recorded = case("tf115-seed-bare").folder / "expected.npz"
    answer = run("diagnose", seed_prefix, "--expected", recorded)
    assert answer.code == 0, answer.said
    assert "recorded arrays" in " ".join(answer.out.split())


def test_recorded_outputs_of_nothing_telling_end_with_3(run, seed_prefix, tmp_path):
    model = lstmbridge.load(seed_prefix)
    from lstmbridge.model.forward import forward

    x = np.zeros((1, 1, 5), np.float32)
    np.savez(tmp_path / "weak.npz", inputs=x, outputs=forward(model, {"inputs": x})["outputs"])
    answer = run(
        "diagnose", seed_prefix, "--expected", tmp_path / "weak.npz", "--layout", "batch-major"
    )
    assert answer.code == 3
    assert "would pass unseen" in answer.out


def test_what_cannot_be_answered_ends_by_its_kind(run, pair, seed_prefix, tmp_path):
    right, wrong = pair
    (tmp_path / "cut.onnx").write_bytes(right.read_bytes()[:300])
    assert run("diagnose", right).code == 2
    assert run("diagnose", right, wrong, "--rename", "x").code == 2
    assert run("diagnose", right, tmp_path / "cut.onnx").code == 4
    np.savez(tmp_path / "x.npz", inputs=np.ones((2, 3, 5)), outputs=np.ones((2, 3, 2)))
    assert run("diagnose", right, "--expected", tmp_path / "x.npz").code == 6
    assert run("diagnose", tmp_path / "absent", right).code in {2, 4}
