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
    yield from cells()


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


def plain(value):
    value = np.asarray(value)
    data = value.ravel().tolist()
    if value.dtype == F4:
        # the shortest decimal that is the same float32
        data = [float(str(v)) for v in value.ravel()]
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def run(op, attrs, inputs):
    raw = getattr(tf.raw_ops, op)
    # the kernels know no float64; Selu's constants are those of float32 in ONNX, and so in ours
    single = op.startswith(("LSTMBlock", "BlockLSTM", "GRUBlock", "Selu"))

    def tensor(value):
        value = np.asarray(value)
        return tf.constant(value.astype(F4) if single and value.dtype == F8 else value)

    names = [n for n in inspect.signature(raw).parameters if n not in {"name", *attrs}]
    fed = [[tensor(v) for v in x] if isinstance(x, list) else tensor(x) for x in inputs]
    given = dict(zip(names, fed, strict=False))
    for name, value in attrs.items():
        given[name] = getattr(tf, value) if name == "DstT" else value
    if op in {"Sum", "Mean", "Max", "Min", "Prod", "All", "Any"}:
        given = {"input": fed[0], "axis": fed[1], "keep_dims": attrs["keep_dims"]}
    if op == "Squeeze":
        given = {"input": fed[0], "axis": attrs["squeeze_dims"]}
    if op == "Split":
        given = {"axis": fed[0], "value": fed[1], "num_split": attrs["num_split"]}
    result = raw(**given)
    if not isinstance(result, (list, tuple)):
        result = [result]
    made = [np.array(v) for v in result]
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
