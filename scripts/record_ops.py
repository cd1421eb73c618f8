"""Record what TensorFlow's own operations compute, for tests/graph/test_ops.py.

Run under a TensorFlow 2 environment:

    python scripts/record_ops.py tests/graph/recorded_ops.json

Each case is an operation by its type, its attributes and inputs; the file holds these and what
`tf.raw_ops` made of them. Inputs are random (seeded) or chosen for an edge: negative axes, masks,
empty slices, broadcasting, values beyond a clip.
"""

import inspect
import json
import os
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

R = np.random.RandomState(4)
F8, F4, I4 = np.float64, np.float32, np.int32


def f(*shape):
    return np.round(R.normal(size=shape) * 2, 3)


def i(*values):
    return np.array(values, I4)


def cases():
    a, b, row = f(3, 4), f(3, 4), f(4)
    for op in ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Minimum", "Maximum", "SquaredDifference"):
        yield op, {}, [a, b]
        yield op, {}, [a, row]
    yield "Div", {}, [a, b]
    for op in (
        "Sigmoid",
        "Tanh",
        "Relu",
        "Elu",
        "Selu",
        "Softsign",
        "Softplus",
        "Relu6",
        "Exp",
        "Abs",
        "Neg",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Square",
        "Softmax",
        "ZerosLike",
        "OnesLike",
        "LeakyRelu",
    ):
        yield op, {}, [np.concatenate([f(2, 4), [[-30.0, 30.0, 0.5, 7.0]]])]
    for op in ("Sqrt", "Rsqrt", "Log", "Reciprocal"):
        yield op, {}, [np.abs(a) + 0.1]
    yield "Pow", {}, [np.abs(a) + 0.1, b]
    for op in ("FloorDiv", "FloorMod"):
        yield op, {}, [np.array([-7, 7, -8, 5], np.int64), np.array([3, -3, 4, 2], np.int64)]
    for op in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"):
        yield op, {}, [i(1, 2, 3), i(3, 2, 1)]
    p, q = np.array([True, True, False]), np.array([True, False, False])
    for op in ("LogicalAnd", "LogicalOr"):
        yield op, {}, [p, q]
    yield "LogicalNot", {}, [p]
    for op in ("Sum", "Mean", "Max", "Min", "Prod"):
        yield op, {"keep_dims": False}, [f(2, 3, 4), i(0, 2)]
        yield op, {"keep_dims": True}, [f(2, 3, 4), i(-1)]
    for op in ("All", "Any"):
        yield op, {"keep_dims": False}, [np.array([[True, False], [True, True]]), i(1)]
    yield "AddN", {}, [[a, b, a]]
    yield "BiasAdd", {}, [a, row]
    yield "ClipByValue", {}, [a, np.array(-1.0), np.array(0.5)]
    for ta in (False, True):
        for tb in (False, True):
            yield (
                "MatMul",
                {"transpose_a": ta, "transpose_b": tb},
                [f(4, 2) if ta else f(2, 4), f(3, 4) if tb else f(4, 3)],
            )
    yield "Select", {}, [p, f(3, 4), f(3, 4)]
    yield "Select", {}, [np.array([[True, False], [False, True]]), f(2, 2), f(2, 2)]
    yield "SelectV2", {}, [p[:, None], f(3, 4), f(4)]
    yield "Cast", {"DstT": "int32"}, [np.array([-1.7, 1.7, 0.2])]
    yield "Cast", {"DstT": "float64"}, [p]
    yield "Cast", {"DstT": "bool"}, [np.array([-1.7, 0.0, 0.2])]
    yield "Fill", {}, [i(2, 3), np.array(1.5)]
    yield "Range", {}, [np.array(1, I4), np.array(9, I4), np.array(3, I4)]
    yield "Range", {}, [np.array(5, I4), np.array(0, I4), np.array(-2, I4)]
    yield "Shape", {}, [f(2, 3, 4)]
    yield "Rank", {}, [f(2, 3, 4)]
    yield "Size", {}, [f(2, 3, 4)]
    yield "Concat", {}, [np.array(1, I4), [f(2, 3), f(2, 4)]]
    yield "ConcatV2", {}, [[f(2, 3), f(2, 4)], np.array(-1, I4)]
    yield "ConcatV2", {}, [[f(2, 3), f(1, 3)], np.array(0, I4)]
    yield "Split", {"num_split": 4}, [np.array(1, I4), f(2, 8)]
    yield "Split", {"num_split": 2}, [np.array(-2, I4), f(4, 3)]
    yield "SplitV", {"num_split": 3}, [f(2, 9), i(2, -1, 3), np.array(1, I4)]
    yield "Slice", {}, [f(4, 5), i(1, 0), i(2, -1)]
    slices = {
        "begin_mask": 0,
        "end_mask": 0,
        "ellipsis_mask": 0,
        "new_axis_mask": 0,
        "shrink_axis_mask": 0,
    }
    x = f(4, 5, 6)
    yield "StridedSlice", slices, [x, i(1, 0), i(3, 4), i(1, 2)]
    yield (
        "StridedSlice",
        {**slices, "begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2},
        [x, i(0, 3), i(0, 4), i(1, 1)],
    )
    yield (
        "StridedSlice",
        {**slices, "ellipsis_mask": 1, "shrink_axis_mask": 2},
        [x, i(0, -1), i(0, 0), i(1, 1)],
    )
    yield (
        "StridedSlice",
        {**slices, "new_axis_mask": 2, "begin_mask": 5, "end_mask": 5},
        [x, i(0, 0, 0), i(0, 0, 0), i(1, 1, -1)],
    )
    yield "Reshape", {}, [f(4, 6), i(2, -1, 3)]
    yield "Transpose", {}, [f(2, 3, 4), i(1, 0, 2)]
    yield "ExpandDims", {}, [f(2, 3), np.array(-1, I4)]
    yield "ExpandDims", {}, [f(2, 3), np.array(1, I4)]
    yield "Squeeze", {"squeeze_dims": [-2]}, [f(2, 1, 3)]
    yield "Squeeze", {"squeeze_dims": []}, [f(1, 2, 1)]
    yield "Pack", {"axis": 1}, [[f(2, 3), f(2, 3)]]
    yield "Pack", {"axis": -1}, [[f(2), f(2)]]
    yield "Unpack", {"axis": 1, "num": 3}, [f(2, 3, 4)]
    yield "Unpack", {"axis": -1, "num": 4}, [f(2, 3, 4)]
    yield "Tile", {}, [f(2, 3), i(2, 1)]
    yield "Gather", {}, [f(5, 2), i(4, 0, 0)]
    yield "GatherV2", {"batch_dims": 0}, [f(3, 5), i(4, 0), np.array(1, I4)]
    yield "Reverse", {}, [f(2, 3), np.array([False, True])]
    yield "ReverseV2", {}, [f(2, 3, 4), i(0, -1)]
    yield "ReverseSequence", {"seq_dim": 1, "batch_dim": 0}, [f(3, 5, 2), i(5, 0, 3)]
    yield "ReverseSequence", {"seq_dim": 0, "batch_dim": 1}, [f(5, 3, 2), i(1, 4, 2)]
    yield from functions()
    yield from choices()
    yield from windows()
    yield from matrices()
    yield from cells()
    yield from later()


def functions():
    a, b = f(3, 4), f(3, 4)
    small = np.tanh(a) * 0.9
    for op in ("Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Erf", "Erfc", "Expm1"):
        yield op, {}, [a]
    for op in ("Asin", "Acos", "Atanh", "Log1p"):
        yield op, {}, [small]
    yield "Acosh", {}, [np.abs(a) + 1.0]
    yield "Inv", {}, [np.abs(a) + 0.1]
    yield "Rint", {}, [np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 0.3])]
    odd = np.array([1.0, np.inf, -np.inf, np.nan])
    for op in ("IsNan", "IsInf", "IsFinite"):
        yield op, {}, [odd]
    ys = np.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 2.0, -2.0, 0.0])
    xs = np.array([1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    yield "Atan2", {}, [ys, xs]
    for op in ("Xdivy", "Xlogy"):
        yield op, {}, [np.array([0.0, 0.0, 2.0]), np.array([0.0, 3.0, 4.0])]
    yield "DivNoNan", {}, [np.array([1.0, 0.0, 2.0]), np.array([0.0, 0.0, 4.0])]
    yield "MulNoNan", {}, [np.array([np.inf, np.nan, 2.0]), np.array([0.0, 0.0, 4.0])]
    whole = [np.array([-7, 7, -8, 5, 6], np.int64), np.array([3, -3, 4, 2, -4], np.int64)]
    for op in ("Div", "TruncateDiv", "TruncateMod", "Mod"):
        yield op, {}, whole
    yield "FloorDiv", {}, [a, b]
    yield "FloorMod", {}, [a, b]
    yield "ApproximateEqual", {"tolerance": 0.25}, [np.array([1.0, 1.2, 1.5]), np.array([1.0] * 3)]
    yield "LogSoftmax", {}, [np.concatenate([a, [[-900.0, 0.0, 900.0, 5.0]]])]
    yield "L2Loss", {}, [a]
    yield "LinSpace", {}, [np.array(1.0), np.array(-2.0), np.array(7, I4)]
    yield "SoftmaxCrossEntropyWithLogits", {}, [a, np.abs(b)]
    yield "SparseSoftmaxCrossEntropyWithLogits", {}, [a, i(0, 3, 1)]
    for op in ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        more = {"Tout": "float64"} if op.endswith("V3") else {}
        yield op, {"adj_x": False, "adj_y": False, **more}, [f(2, 3, 4), f(2, 4, 5)]
        yield op, {"adj_x": True, "adj_y": True, **more}, [f(2, 4, 3), f(2, 5, 4)]
    yield "BatchMatMulV2", {"adj_x": False, "adj_y": True}, [f(2, 1, 3, 4), f(3, 5, 4)]
    yield "Einsum", {"equation": "btd,du->btu"}, [[f(2, 3, 4), f(4, 5)]]
    yield "Einsum", {"equation": "bij,bkj->bik"}, [[f(2, 3, 4), f(2, 5, 4)]]


def choices():
    a = f(3, 5)
    tied = np.array([[1.0, 3.0, 3.0, -1.0], [2.0, 2.0, 2.0, 2.0]])
    for op in ("ArgMax", "ArgMin"):
        yield op, {}, [tied, np.array(1, I4)]
        yield op, {}, [f(2, 3, 4), np.array(-2, I4)]
    yield "TopKV2", {}, [tied, np.array(3, I4)]
    for axis in (-1, 0, 1):
        yield (
            "OneHot",
            {"axis": axis},
            [np.array([[0, 2], [3, -1]], I4), np.array(3, I4), np.array(2.0), np.array(-1.0)],
        )
    for op in ("Cumsum", "Cumprod"):
        for exclusive in (False, True):
            for reverse in (False, True):
                attrs = {"exclusive": exclusive, "reverse": reverse}
                yield op, attrs, [f(2, 4, 3), np.array(1, I4)]
    yield "Cumsum", {"exclusive": False, "reverse": False}, [i(1, 2, 3), np.array(-1, I4)]
    ids = np.array([[1, 0, 2], [3, 3, 0]], I4)
    yield "GatherV2", {"batch_dims": 1}, [f(2, 4, 3), ids, np.array(1, I4)]
    yield "GatherV2", {"batch_dims": 1}, [f(2, 3, 4), ids, np.array(2, I4)]
    yield "GatherV2", {"batch_dims": 0}, [f(4, 3), ids, np.array(0, I4)]
    yield "ResourceGather", {"dtype": "float64"}, [f(4, 3), ids]
    yield "ResourceGatherNd", {"dtype": "float64"}, [a, np.array([[0, 1], [2, 4]], I4)]
    yield "VariableShape", {}, [a]
    yield "VarIsInitializedOp", {}, [a]
    yield "GatherNd", {}, [a, np.array([[0, 1], [2, 4]], I4)]
    yield "GatherNd", {}, [f(3, 2, 4), np.array([[[0], [2]]], I4)]
    yield "ScatterNd", {}, [np.array([[1], [3], [1]], I4), f(3, 2), i(5, 2)]
    for op in ("TensorScatterAdd", "TensorScatterUpdate"):
        yield op, {}, [f(4, 2), np.array([[1], [3]], I4), f(2, 2)]
    yield "Where", {}, [np.array([[True, False, True], [False, False, True]])]
    yield "Where", {}, [np.array([0.0, 2.0, -1.0])]
    yield "DynamicPartition", {"num_partitions": 3}, [f(5, 2), i(2, 0, 0, 2, 0)]
    which = np.array([[0, 1], [1, 0]], I4)
    yield "DynamicPartition", {"num_partitions": 2}, [f(2, 2, 3), which]
    for op in ("DynamicStitch", "ParallelDynamicStitch"):
        yield op, {}, [[i(0, 3), i(1, 2, 4)], [f(2, 2), f(3, 2)]]
        yield op, {}, [[np.array([[1, 0]], I4), np.array(2, I4)], [f(1, 2, 3), f(3)]]
    yield "SegmentSum", {}, [f(4, 2), i(0, 0, 2, 2)]
    yield "UnsortedSegmentSum", {}, [f(4, 2), i(3, 0, 3, 1), np.array(5, I4)]
    yield "Unique", {}, [i(4, 1, 4, 7, 1, 0)]
    yield "InvertPermutation", {}, [i(2, 0, 3, 1)]
    yield "ListDiff", {}, [i(0, 1, 2, 3), i(1, 3)]
    yield "ShapeN", {}, [[f(2, 3), f(4)]]
    yield "BroadcastTo", {}, [f(3, 1), i(2, 3, 4)]
    yield "BroadcastArgs", {}, [i(2, 1, 4), i(3, 1)]
    yield "Roll", {}, [f(3, 4), i(1, -2), i(0, 1)]
    widths = np.array([[1, 2], [0, 1]], I4)
    yield "Pad", {}, [f(2, 3), widths]
    yield "PadV2", {}, [f(2, 3), widths, np.array(7.0)]
    for mode in ("REFLECT", "SYMMETRIC"):
        yield "MirrorPad", {"mode": mode}, [f(3, 4), np.array([[1, 2], [0, 1]], I4)]
    yield (
        "SparseToDense",
        {},
        [np.array([[0, 1], [2, 0]], I4), i(3, 2), np.array([1.5, 2.5]), np.array(-1.0)],
    )
    yield "SparseToDense", {}, [i(0, 2), i(4), np.array(1.0), np.array(0.0)]


def windows():
    for padding in ("SAME", "VALID"):
        for stride, dilation in ((1, 1), (2, 1), (1, 2)):
            attrs = {
                "strides": [1, stride, stride, 1],
                "dilations": [1, dilation, dilation, 1],
                "padding": padding,
            }
            yield "Conv2D", attrs, [f(2, 7, 6, 3), f(3, 2, 3, 4)]
        attrs = {"strides": [1, 1, 1, 1], "dilations": [1, 1, 1, 1], "padding": padding}
        yield "DepthwiseConv2dNative", attrs, [f(2, 5, 6, 3), f(3, 2, 3, 2)]
        attrs = {"strides": [1, 1, 2, 1, 1], "dilations": [1] * 5, "padding": padding}
        yield "Conv3D", attrs, [f(1, 4, 5, 3, 2), f(2, 3, 2, 2, 3)]
        for op in ("MaxPool", "AvgPool"):
            for window, stride in (([1, 2, 3, 1], 1), ([1, 3, 3, 1], 2)):
                attrs = {"ksize": window, "strides": [1, stride, stride, 1], "padding": padding}
                yield op, attrs, [f(2, 5, 6, 3)]
        for op in ("MaxPool3D", "AvgPool3D"):
            attrs = {"ksize": [1, 2, 2, 1, 1], "strides": [1, 1, 2, 1, 1], "padding": padding}
            yield op, attrs, [f(1, 3, 5, 2, 2)]
    yield "BiasAdd", {"data_format": "NCHW"}, [f(2, 3, 4, 2), f(3)]
    for op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
        attrs = {"epsilon": 0.001, "is_training": False}
        yield op, attrs, [f(2, 3, 2, 4), f(4), f(4), f(4), np.abs(f(4)) + 0.1]
    blocks = [f(2, 6, 3), i(2), np.array([[1, 1]], I4)]
    yield "SpaceToBatchND", {}, blocks
    yield "SpaceToBatchND", {}, [f(1, 4, 6, 2), i(2, 3), np.array([[0, 0], [1, 2]], I4)]
    yield "BatchToSpaceND", {}, [f(4, 3, 3), i(2), np.array([[1, 1]], I4)]
    yield "BatchToSpaceND", {}, [f(6, 2, 3, 2), i(2, 3), np.array([[0, 1], [1, 2]], I4)]


def matrices():
    for lower, upper in ((1, 0), (-1, 1), (0, -1)):
        yield (
            "MatrixBandPart",
            {},
            [f(2, 4, 5), np.array(lower, np.int64), np.array(upper, np.int64)],
        )
    yield "Diag", {}, [f(3)]
    yield "DiagPart", {}, [f(3, 3)]
    yield "MatrixDiag", {}, [f(2, 3)]
    yield "MatrixDiagPart", {}, [f(2, 3, 4)]
    yield "MatrixDiagPart", {}, [f(4, 3)]
    yield "MatrixSetDiag", {}, [f(2, 3, 4), f(2, 3)]
    yield "MatrixSetDiag", {}, [f(4, 3), f(3)]
    zero = np.array(0, I4)
    none, nought = np.array(-1, I4), np.array(0.0)
    for op in ("MatrixDiagV2", "MatrixDiagV3"):
        yield op, {}, [f(2, 3), zero, none, none, nought]
    for op in ("MatrixDiagPartV2", "MatrixDiagPartV3"):
        yield op, {}, [f(2, 3, 4), zero, nought]
    for op in ("MatrixSetDiagV2", "MatrixSetDiagV3"):
        yield op, {}, [f(2, 3, 3), f(2, 3), zero]


def cells():
    def lstm(n=3, w=4, k=3):
        return [f(n, w), f(n, w), f(k + w, 4 * w) / 2, f(w), f(w), f(w), f(4 * w)]

    for clip in (-1.0, 0.7):
        for peephole in (False, True):
            attrs = {"forget_bias": 0.5, "cell_clip": clip, "use_peephole": peephole}
            yield "LSTMBlockCell", attrs, [f(3, 3), *lstm()]
            for length in (4, 2):
                whole = [np.array(length, np.int64), f(4, 3, 3), *lstm()]
                yield "BlockLSTM", attrs, whole
                own = {name: value for name, value in attrs.items() if name != "forget_bias"}
                yield "BlockLSTMV2", own, whole
    # attributes that a file lacks: the registry's defaults
    yield "LSTMBlockCell", {}, [f(3, 3) * 4, f(3, 4) * 4, *lstm()[1:]]
    yield "BlockLSTM", {}, [np.array(4, np.int64), f(4, 3, 3) * 4, f(3, 4) * 4, *lstm()[1:]]
    yield "BlockLSTMV2", {}, [np.array(4, np.int64), f(4, 3, 3) * 4, f(3, 4) * 4, *lstm()[1:]]
    yield "GRUBlockCell", {}, [f(2, 3), f(2, 4), f(7, 8), f(7, 4), f(8), f(4)]


def later():
    """Behind the others, so that their numbers stay as they are."""
    yield "EuclideanNorm", {"keep_dims": False}, [f(2, 3, 4), i(0, 2)]
    yield "EuclideanNorm", {"keep_dims": True}, [f(2, 3, 4), i(-1)]
    yield "SegmentMean", {}, [f(5, 2), i(0, 0, 2, 2, 2)]
    labels = np.array([[0, 1, 3], [0, 1, 3], [3, 2, 0], [2, 2, 0], [2, 0, 3], [1, 0, 1]])
    scores = f(6, 3, 4) / 4 + 5.0 * (labels[..., None] == np.arange(4))
    for merged in (True, False):
        yield "CTCGreedyDecoder", {"merge_repeated": merged}, [scores, i(6, 4, 0)]
    blanks = f(3, 2, 4) + np.array([0.0, 0.0, 0.0, 50.0])
    yield "CTCGreedyDecoder", {"merge_repeated": True}, [blanks, i(3, 2)]
    attrs = {"merge_repeated": True, "blank_index": 1}
    yield "CTCGreedyDecoder", attrs, [scores, i(5, 6, 6)]


def plain(value):
    value = np.asarray(value)
    data = value.ravel().tolist()
    if value.dtype == F4:
        # the shortest decimal that is the same float32
        data = [float(str(v)) for v in value.ravel()]
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


RESOURCES = {"ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"}


def run(op, attrs, inputs):
    raw = getattr(tf.raw_ops, op)
    # the kernels know no float64; Selu's constants are those of float32 in ONNX, and so in ours
    single = op.startswith(
        ("LSTMBlock", "BlockLSTM", "GRUBlock", "Selu", "FusedBatchNorm", "AvgPool3D", "MaxPool3D")
    )

    def tensor(value):
        value = np.asarray(value)
        return tf.constant(value.astype(F4) if single and value.dtype == F8 else value)

    names = [n for n in inspect.signature(raw).parameters if n not in {"name", *attrs}]
    fed = [[tensor(v) for v in x] if isinstance(x, list) else tensor(x) for x in inputs]
    given = dict(zip(names, fed, strict=False))
    for name, value in attrs.items():
        given[name] = getattr(tf, value) if name in {"DstT", "Tout", "dtype"} else value
    if op in RESOURCES:
        given["resource"] = given["input"] = tf.Variable(fed[0]).handle
        del given["resource" if op == "VariableShape" else "input"]
    if op in {"Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm"}:
        given = {"input": fed[0], "axis": fed[1], "keep_dims": attrs["keep_dims"]}
    if op == "Squeeze":
        given = {"input": fed[0], "axis": attrs["squeeze_dims"]}
    if op == "Split":
        given = {"axis": fed[0], "value": fed[1], "num_split": attrs["num_split"]}
    if op in {"DynamicStitch", "ParallelDynamicStitch"}:
        given = {"indices": fed[0], "data": fed[1]}
    result = raw(**given)
    if not isinstance(result, (list, tuple)):
        result = [result]
    made = [np.array(v) for v in result]
    if op.startswith("FusedBatchNorm"):
        # what is left is reserved for the gradient
        made = made[:3]
    if op.startswith("BlockLSTM"):
        # past seq_len_max TensorFlow writes zeros to cs and h, and leaves the rest as it lies
        for k in (0, 2, 3, 4, 5):
            made[k][int(inputs[0]) :] = 0.0
    flat = []
    for value in fed:
        flat.extend(value if isinstance(value, list) else [value])
    return [plain(v.numpy()) for v in flat], [plain(v) for v in made]


def main():
    recorded = []
    for op, attrs, inputs in cases():
        fed, made = run(op, attrs, inputs)
        recorded.append({"op": op, "attrs": attrs, "inputs": fed, "outputs": made})
    text = json.dumps({"tensorflow": tf.__version__, "cases": recorded}, indent=0)
    # one case a line: a changed case is a changed line
    text = re.sub(r"\n(?!\{\n\"op\"|\{\"op\")", "", text)
    with open(sys.argv[1], "w") as file:
        file.write(text + "\n")
    print(len(recorded), "cases")


if __name__ == "__main__":
    main()
