"""An artifact that was changed after it was verified does not pass again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import lstmbridge
from lstmbridge.contracts import Outcome


def first_lstm(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "LSTM")


def clipped_far_out(model: onnx.ModelProto) -> None:
    """Further out than probes drive the gates: only reading can find it."""
    first_lstm(model).attribute.append(helper.make_attribute("clip", 3.0))


def coupled(model: onnx.ModelProto) -> None:
    first_lstm(model).attribute.append(helper.make_attribute("input_forget", 1))


def last_bit(model: onnx.ModelProto) -> None:
    """Less than any run can see: only reading can find it."""
    name = first_lstm(model).input[2]
    stored = next(one for one in model.graph.initializer if one.name == name)
    array = numpy_helper.to_array(stored).copy()
    array.flat[3] = np.nextafter(array.flat[3], np.float32(9))
    stored.CopyFrom(numpy_helper.from_array(array, name))


def exchanged_layers(model: onnx.ModelProto) -> None:
    second, third = [n for n in model.graph.node if n.op_type == "LSTM"][1:3]
    second.input[1], third.input[1] = third.input[1], second.input[1]


@pytest.mark.parametrize("tamper", [clipped_far_out, coupled, last_bit, exchanged_layers])
def test_a_tampered_artifact_fails(
    tamper: Callable[[onnx.ModelProto], None], seed_prefix: Path, tmp_path: Path
) -> None:
    artifact = tmp_path / "m.onnx"
    assert lstmbridge.convert(seed_prefix, to="onnx", output=artifact).path is not None
    assert lstmbridge.verify(seed_prefix, artifact).outcome is Outcome.PASS
    model = onnx.load(artifact)
    tamper(model)
    onnx.save(model, artifact)
    assert lstmbridge.verify(seed_prefix, artifact).outcome is Outcome.FAIL
