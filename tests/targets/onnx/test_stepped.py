"""What no operator can say becomes a Scan built from the cell's own equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np
import onnx
import pytest

from lstmbridge.arrays import ACTIVATIONS, Float64
from lstmbridge.arrays.namespace import activation
from lstmbridge.model import equations
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent
from lstmbridge.model.equations import Step
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx.builder import GraphBuilder, elem_type
from lstmbridge.targets.onnx.flow import Network
from lstmbridge.targets.onnx.namespace import Symbolic
from lstmbridge.targets.onnx.stepped import emit_stepped

CELLS = {
    "cell clip": {"cell_clip": 0.3},
    "projection clip": {"projection": 4, "proj_clip": 0.1},
    "both clips and peepholes": {
        "projection": 4,
        "proj_clip": 0.2,
        "cell_clip": 0.5,
        "peephole": True,
    },
    "softplus": {"activation": "softplus"},
    "selu without biases": {"activation": "selu", "bias": False, "forget_bias": 0.0},
}


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("states", States)
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_network_computes_what_the_oracle_computes(
    nets, write, feeds, assert_agrees, *, topology, options, states, lengths
):
    model = nets.model(topology, **options)
    artifact = write(model, states=states, sequence_length=lengths)
    assert {one.how for one in artifact.expressions} == {"stepped"}
    assert_agrees(model, artifact, feeds(artifact))
    assert_agrees(model, artifact, feeds(artifact, batch=1, time=1, lengths=[1]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_in_each_precision(nets, write, feeds, assert_agrees, *, name, dtype):
    forward = nets.cell(3, dtype=dtype, activation=name, scale=2.0)
    backward = nets.cell(3, dtype=dtype, activation=name, gate_activation="relu6", scale=2.0)
    model = Model("m", Bidirectional(Recurrent(forward), Recurrent(backward)))
    artifact = write(model, sequence_length=True)
    assert_agrees(model, artifact, feeds(artifact))


def test_native_and_stepped_layers_mix(nets, write, feeds, assert_agrees):
    model = Model(
        "m", Bidirectional(Recurrent(nets.cell(3)), Recurrent(nets.cell(3, cell_clip=0.3)))
    )
    for lengths in (False, True):
        artifact = write(model, sequence_length=lengths, states=States.REQUIRED)
        assert [one.how for one in artifact.expressions] == ["native", "stepped"]
        assert_agrees(model, artifact, feeds(artifact))


def test_the_input_product_is_computed_before_the_loop(nets, write, graph_of):
    graph = graph_of(write(nets.model("one", cell_clip=0.5)))
    scan = next(node for node in graph.node if node.op_type == "Scan")
    body = onnx.helper.get_node_attr_value(scan, "body")
    product = next(node for node in graph.node if node.output[0] == scan.input[2])
    assert product.op_type == "Add"
    assert [node.op_type for node in body.node].count("MatMul") == 1


def test_the_body_has_one_node_per_word_and_no_weights_of_its_own(nets, write, graph_of):
    graph = graph_of(write(nets.model("one", cell_clip=0.5)))
    scan = next(node for node in graph.node if node.op_type == "Scan")
    body = onnx.helper.get_node_attr_value(scan, "body")
    ops = sorted(node.op_type for node in body.node)
    words = ["Sigmoid"] * 3 + ["Tanh"] * 2 + ["Mul"] * 3 + ["Add"] * 3 + ["Min", "Max", "MatMul"]
    assert ops == sorted([*words, "Split", "Identity"])
    assert not body.initializer


def test_weights_and_constants_have_names_that_say_what_they_are(nets, write, graph_of):
    model = nets.model("one", cell_clip=0.5, peephole=True, projection=4)
    names = {one.name for one in graph_of(write(model)).initializer}
    assert names >= {
        "layer0/kernel",
        "layer0/recurrent",
        "layer0/bias",
        "layer0/peephole_i",
        "layer0/projection",
        "layer0/forget_bias",
        "layer0/cell_clip",
        "layer0/-0.5",
    }


def test_a_shared_cell_is_stored_once(nets, write, graph_of):
    names = [one.name for one in graph_of(write(nets.model("shared", cell_clip=0.5))).initializer]
    assert [name for name in names if name.endswith("/kernel")] == ["layer0/kernel"]


@dataclass(frozen=True, eq=False)
class Averager:
    """A cell that nobody has thought of: s' = tanh(x w + mean(s)), output softsign(s') twice."""

    weights: np.ndarray
    KIND: ClassVar[str] = "Averager"
    GATES: ClassVar[tuple[str, ...]] = ()
    STATES: ClassVar[tuple[str, ...]] = ("s",)
    state_sizes: ClassVar[dict[str, int]] = {"s": 4}
    output_size: ClassVar[int] = 8
    dtype: ClassVar[np.dtype] = np.dtype(np.float32)


def _averager(ops, cell, weights):
    def step(z, state, tap):
        s = ops.tanh(ops.add(z, ops.mean(state["s"])))
        y = activation(ops, "softsign", s)
        return ops.concat([y, y]), {"s": s}

    return Step(lambda x: ops.matmul(x, weights["w"]), step)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_of_another_kind_needs_no_change_here(nets, tmp_path, monkeypatch, reverse):
    """The emitter takes whatever has equations; this one has one state and no gates."""
    from lstmbridge.model.blocks import Layer
    from lstmbridge.runtimes.onnxruntime import create_session
    from lstmbridge.targets.onnx import stepped

    monkeypatch.setattr(equations, "_EQUATIONS", {Averager: _averager})
    monkeypatch.setattr(stepped, "weights_of", lambda cell: {"w": cell.weights})
    cell = Averager(nets.numbers((3, 4), np.float32))
    graph = GraphBuilder(17, np.dtype(np.float32))
    layer = Layer("layer0", cell, 0, "")
    x = graph.node("Transpose", ["inputs"], "x", perm=[1, 0, 2])
    y = emit_stepped(Network(graph, States.NONE, None), layer, x, reverse=reverse)
    values = onnx.helper.make_tensor_value_info
    kind = elem_type(np.dtype(np.float32))
    built = onnx.helper.make_graph(
        graph.nodes,
        "g",
        [values("inputs", kind, ["batch", "time", 3])],
        [values(y, kind, None), values("layer0_s", kind, None)],
        [onnx.numpy_helper.from_array(w.build(), w.name) for w in graph.weights.values()],
    )
    path = tmp_path / "a.onnx"
    onnx.save(
        onnx.helper.make_model(
            built, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
        ),
        path,
    )
    inputs = nets.rng.normal(size=(2, 5, 3)).astype(np.float32)
    steps, final = create_session(path, ["CPUExecutionProvider"], "x").run(
        None, {"inputs": inputs}
    )
    bound = _averager(Float64(), cell, {"w": cell.weights.astype(np.float64)})
    state, expected = {"s": np.zeros((2, 4))}, np.zeros((5, 2, 8))
    for t in reversed(range(5)) if reverse else range(5):
        expected[t], state = bound.step(
            inputs[:, t].astype(np.float64) @ cell.weights, state, None
        )
    np.testing.assert_allclose(steps, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(final, state["s"], rtol=0, atol=1e-6)


UNARY = ["exp", "sqrt", "sigmoid", "tanh", "relu", "elu", "selu", "softplus", "softsign", "mean"]
BINARY = ["add", "sub", "mul", "div", "minimum", "maximum"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", [*UNARY, *BINARY, "matmul", "split", "concat"])
def test_each_word_means_in_onnx_runtime_what_it_means_in_numpy(nets, tmp_path, word, dtype):
    from lstmbridge.runtimes.onnxruntime import create_session

    graph = GraphBuilder(17, np.dtype(dtype))
    ops, exact = Symbolic(graph, "n", "n"), Float64()
    a = (nets.rng.normal(size=(4, 6)) * 20).astype(dtype)
    b = (nets.rng.normal(size=(6, 6)) if word == "matmul" else a[::-1] + 1).astype(dtype)
    if word == "sqrt":
        a = np.abs(a)
    if word in UNARY:
        result, expected = [getattr(ops, word)("a")], [getattr(exact, word)(a.astype(float))]
    elif word == "split":
        result, expected = list(ops.split("a", [2, 4])), exact.split(a.astype(float), [2, 4])
    elif word == "concat":
        result = [ops.concat(["a", "b"])]
        expected = [exact.concat([a.astype(float), b.astype(float)])]
    else:
        result = [getattr(ops, word)("a", "b")]
        expected = [getattr(exact, word)(a.astype(float), b.astype(float))]
    kind = elem_type(np.dtype(dtype))
    values = onnx.helper.make_tensor_value_info
    built = onnx.helper.make_graph(
        graph.nodes,
        "g",
        [values("a", kind, a.shape), values("b", kind, b.shape)],
        [values(name, kind, None) for name in result],
        [onnx.numpy_helper.from_array(w.build(), w.name) for w in graph.weights.values()],
    )
    path = tmp_path / "w.onnx"
    onnx.save(
        onnx.helper.make_model(
            built, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
        ),
        path,
    )
    got = create_session(path, ["CPUExecutionProvider"], "x").run(None, {"a": a, "b": b})
    for one, other in zip(got, expected, strict=True):
        scale = np.maximum(1.0, np.abs(other)) if word != "matmul" else 200.0
        assert (np.abs(one - other) / scale).max() <= 16 * np.finfo(dtype).eps
