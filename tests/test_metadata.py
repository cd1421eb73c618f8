"""What an artifact records about itself."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

import lstmbridge
from lstmbridge.metadata import recorded_facts


def test_an_artifact_carries_its_origin_facts_gate_order_and_verdict(
    seed_prefix: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.onnx"
    lstmbridge.convert(seed_prefix, to="onnx", output=out)
    stored = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert len(stored["lstmbridge.source.sha256"]) == 64
    assert stored["lstmbridge.source.format"] == "TensorFlow checkpoint V2"
    facts = recorded_facts(stored)
    assert facts["layer0.forget_bias"]["value"] == 1.0
    assert facts["layer0.forget_bias"]["basis"] == "assumed"
    order = json.loads(stored["lstmbridge.gate_order"])
    assert order["layer0"]["kernel"] == "i, c, f, o"
    verdict = json.loads(stored["lstmbridge.verdict"])
    assert verdict["verdict"] == "pass"
    assert verdict["faults"]["planted"] == verdict["faults"]["caught"] > 20


def test_without_verification_the_artifact_says_so(seed_prefix: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    lstmbridge.convert(seed_prefix, to="onnx", output=out, verification=None)
    stored = {p.key: p.value for p in onnx.load(out).metadata_props}
    assert json.loads(stored["lstmbridge.verdict"]) == {"verdict": "not verified"}


def test_the_same_source_gives_the_same_bytes(seed_prefix: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a" / "m.onnx", tmp_path / "b" / "m.onnx"]
    for file in files:
        file.parent.mkdir()
        lstmbridge.convert(seed_prefix, to="onnx", output=file)
    assert files[0].read_bytes() == files[1].read_bytes()
