"""Each operation against what TensorFlow computed (scripts/record_ops.py, record_ops_tf1.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.words import GraphFloat64

HERE = Path(__file__).parent
RECORDED = [
    case
    for name in ("recorded_ops.json", "recorded_ops_tf1.json")
    for case in json.loads((HERE / name).read_text())["cases"]
]


def array(stored):
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


def widened(stored):
    value = array(stored)
    kind = {"f": np.float64, "i": np.int64, "b": np.bool_}[value.dtype.kind]
    return value.astype(kind)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["op"])
def test_an_operation_gives_what_tensorflow_gave(case):
    attrs = dict(case["attrs"])
    if "DstT" in attrs:
        attrs["DstT"] = np.dtype(attrs["DstT"])
    # a BlockLSTM's gates past the longest row are nobody's business: scripts/record_ops.py
    op = Op("op", case["op"], tuple((f"in_{k}", 0) for k in range(len(case["inputs"]))), attrs)
    with np.errstate(all="ignore"):
        outputs = OPS[case["op"]](GraphFloat64(), op, [widened(v) for v in case["inputs"]])
    assert len(outputs) == len(case["outputs"])
    for given, stored in zip(outputs, case["outputs"], strict=True):
        wanted = array(stored)
        assert np.shape(given) == wanted.shape
        tolerance = 2e-6 if wanted.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(given, wanted, rtol=tolerance, atol=tolerance)


def test_every_operation_is_compared_with_tensorflow():
    # the first version of TopK and references to variables are no longer to be run
    old = {"IsVariableInitialized", "TopK"}
    # the same kernels under another name
    old |= {"Addons>GatherTree"}
    assert set(OPS) - {case["op"] for case in RECORDED} == {"Const"} | old


def test_a_constant_is_widened_exactly(build):
    build.const([0.1, 0.2], name="small")
    op = Op("small", "Const", (), build.nodes["small"].attrs)
    (value,) = OPS["Const"](GraphFloat64(), op, [])
    assert value.dtype == np.float64
    assert np.array_equal(value, np.array([0.1, 0.2], np.float32).astype(np.float64))


def test_a_constant_that_claims_too_many_numbers_is_not_unfolded():
    class Huge:
        shape = (1 << 20, 1 << 20)

        def load(self):
            raise AssertionError("it was unfolded")

    op = Op("huge", "Const", (), {"value": Huge()})
    with pytest.raises(ValueError, match="more than any cell needs"):
        OPS["Const"](GraphFloat64(), op, [])
