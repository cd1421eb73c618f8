"""Each operation as ONNX nodes, run by ONNX Runtime, against what TensorFlow computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from lstmbridge.errors import CannotExpress
from lstmbridge.graph.graphdef import Node
from lstmbridge.graph.ops import OPS

HERE = Path(__file__).resolve()
RECORDED = [
    case
    for name in ("recorded_ops.json", "recorded_ops_tf1.json")
    for case in json.loads((HERE.parents[3] / "graph" / name).read_text())["cases"]
]
LAYERS = {"LSTMBlockCell", "BlockLSTM", "BlockLSTMV2", "GRUBlockCell"}
"""Operations whose sizes must be known: with open axes they are a place's business."""


def array(stored):
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


def case_as_model(case, constant, whole_model, *, fed, opened):
    """The operation with its inputs fed or as constants, and what to feed it."""
    values = [array(v) for v in case["inputs"]]
    nodes, inputs, feeds = [], {}, {}
    for k, value in enumerate(values):
        name = f"in_{k}"
        if fed(k, value):
            nodes.append(Node(name, "Placeholder", (), {}))
            shape = (None,) * value.ndim if opened else value.shape
            inputs[name] = (shape, value.dtype)
            feeds[name] = value
        else:
            nodes.append(constant(name, value, value.dtype))
    attrs = dict(case["attrs"])
    if "DstT" in attrs:
        attrs["DstT"] = np.dtype(attrs["DstT"])
    nodes.append(Node("op", case["op"], tuple(f"in_{k}" for k in range(len(values))), attrs))
    wanted = {f"op:{k}": array(v) for k, v in enumerate(case["outputs"])}
    model = whole_model(nodes, inputs, {name: v.dtype for name, v in wanted.items()})
    return model, feeds, {name.replace(":", "_"): v for name, v in wanted.items()}


def is_data(k, value):
    return value.dtype.kind == "f" or (k == 0 and value.ndim > 0)


def check(made, feeds, wanted):
    got = made(**feeds)
    declared = {spec.name: spec.shape for spec in made.artifact.signature.outputs}
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        assert got[name].dtype == value.dtype or value.dtype.kind == "f"
        known = zip(declared[name], value.shape, strict=True)
        assert all(n == m for n, m in known if isinstance(n, int))
        np.testing.assert_allclose(got[name], value, rtol=2e-5, atol=2e-5)


# sizes of windows and shapes must be known; axes and conditions of loops are no data
NUMBERED = {"GatherTree"}
"""Operations whose data are whole numbers."""
KERNELS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MirrorPad"}
SHAPES = {"Fill", "Concat", "Split", "Range"}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["op"])
def test_an_operation_of_known_shapes_gives_what_tensorflow_gave(
    case, constant, whole_model, written
):
    fed = is_data if case["op"] not in {"Fill", "Range", "ListDiff"} else lambda k, v: v.ndim == 0
    model, feeds, wanted = case_as_model(case, constant, whole_model, fed=fed, opened=False)
    check(written(model, dtype="float32"), feeds, wanted)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["op"])
def test_an_operation_in_double_is_right_or_refused_by_its_name(
    case, constant, whole_model, written
):
    fed = is_data if case["op"] not in {"Fill", "Range", "ListDiff"} else lambda k, v: v.ndim == 0
    model, feeds, wanted = case_as_model(case, constant, whole_model, fed=fed, opened=False)
    try:
        made = written(model, dtype="float64")
    except CannotExpress as error:
        refused = error
    else:
        check(made, feeds, wanted)
        return
    assert "in double precision" in str(refused)
    assert refused.where == "op"


NEWER = {
    **dict.fromkeys(("Einsum", "GatherTree", "GatherV2"), 12),
    **dict.fromkeys(
        ("ScatterNd", "TensorScatterAdd", "SegmentMean", "SegmentSum", "UnsortedSegmentSum"), 16
    ),
}
"""The first opset that can say an operation (GatherV2: within a batch)."""


@pytest.mark.parametrize("opset", [11, 17, 21])
@pytest.mark.parametrize(
    "case", [c for c in RECORDED if c["op"] not in LAYERS], ids=lambda case: case["op"]
)
def test_an_operation_whose_axes_are_all_open_gives_what_tensorflow_gave(
    case, opset, constant, whole_model, written
):
    def fed(k, value):
        if value.ndim == 0 or case["op"] in SHAPES or (k and case["op"] in KERNELS):
            return False
        return value.dtype.kind == "f" or case["op"] in NUMBERED

    model, feeds, wanted = case_as_model(case, constant, whole_model, fed=fed, opened=True)
    if not feeds:
        return
    within = case["op"] != "GatherV2" or case["attrs"].get("batch_dims")
    if within and opset < NEWER.get(case["op"], 0):
        with pytest.raises(CannotExpress, match="needs opset") as refused:
            written(model, opset=opset, dtype="float32")
        assert refused.value.where == "op"
        return
    made = written(model, opset=opset, dtype="float32")
    if case["op"] == "Squeeze" and not case["attrs"].get("squeeze_dims"):
        # the file declares the axes of lengths other than 1: only a run knows them all
        for name, value in made(**feeds).items():
            assert value.shape == wanted[name].shape
            np.testing.assert_allclose(value, wanted[name], rtol=2e-5)
        return
    check(made, feeds, wanted)


def test_every_operation_is_run_by_onnx_runtime():
    assert set(OPS) - {case["op"] for case in RECORDED} <= {
        "Addons>GatherTree",
        "Const",
        "IsVariableInitialized",
        "TopK",
    }


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_beams_of_any_number_of_steps_are_traced_back(steps, constant, whole_model, written):
    names = {"ids": 3, "parents": 3, "lengths": 1}
    nodes = [Node(name, "Placeholder", (), {}) for name in names]
    nodes += [constant("end", 0, np.int32), Node("op", "GatherTree", (*names, "end"), {})]
    inputs = {name: ((None,) * rank, np.dtype(np.int32)) for name, rank in names.items()}
    model = whole_model(nodes, inputs, {"op": np.dtype(np.int32)})
    random = np.random.default_rng(steps)
    feeds = {name: random.integers(0, 3, (steps, 2, 3)) for name in ("ids", "parents")}
    feeds["lengths"] = np.array([steps, max(steps - 1, 0)])
    got = written(model)(**feeds)["op"]
    assert got.shape == (steps, 2, 3)
    assert np.array_equal(got, model.run(feeds)["op"])


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("longest", [0, 2, 9])
def test_a_fused_layer_stops_where_only_a_run_tells(
    steps, longest, constant, whole_model, written
):
    case = next(c for c in RECORDED if c["op"] == "BlockLSTM" and c["attrs"])
    values = [array(v) for v in case["inputs"]]
    nodes = [Node("longest", "Placeholder", (), {}), Node("x", "Placeholder", (), {})]
    nodes += [constant(f"in_{k}", v, v.dtype) for k, v in enumerate(values[2:])]
    read = ("longest", "x", *(f"in_{k}" for k in range(len(values) - 2)))
    nodes.append(Node("op", "BlockLSTM", read, dict(case["attrs"])))
    inputs = {
        "longest": ((), np.dtype(np.int64)),
        "x": ((None, 3, values[1].shape[2]), values[1].dtype),
    }
    model = whole_model(nodes, inputs, {"op:1": np.dtype("f4"), "op:6": np.dtype("f4")})
    x = np.random.default_rng(steps).normal(size=(steps, 3, values[1].shape[2]))
    feeds = {"longest": np.asarray(longest), "x": x}
    got, wanted = written(model)(**feeds), model.run(feeds)
    for name, value in got.items():
        assert value.shape == wanted[name].shape
        np.testing.assert_allclose(value, wanted[name], atol=2e-6)
        assert not value[longest:].any()


def test_places_whose_width_only_a_run_tells_address_every_axis(constant, whole_model, written):
    nodes = [Node("x", "Placeholder", (), {}), Node("at", "Placeholder", (), {})]
    nodes.append(Node("op", "GatherNd", ("x", "at"), {}))
    floats, whole = np.dtype(np.float32), np.dtype(np.int32)
    inputs = {"x": ((None, 3), floats), "at": ((None, None), whole)}
    made = written(whole_model(nodes, inputs, {"op": floats}))
    x = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(made(x=x, at=[[1, 2], [0, 1]])["op"], [5.0, 1.0])
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail):
        made(x=x, at=[[1], [0], [1]])
