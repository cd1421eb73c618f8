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
from lstmbridge.gates import GateBlocks, InMemory, Weights
from lstmbridge.model import equations
from lstmbridge.model.blocks import (
    Bidirectional,
    Dense,
    Highway,
    Model,
    Recurrent,
    Residual,
    Sequence,
)
from lstmbridge.model.cells import (
    GRU,
    NAS,
    RNN,
    UGRNN,
    Cell,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.equations import Step
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import States
from lstmbridge.targets import capability as table
from lstmbridge.targets.capability import CAPABILITIES, Capability
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.targets.onnx.builder import GraphBuilder, elem_type
from lstmbridge.targets.onnx.namespace import Symbolic
from lstmbridge.verify.ledger import check_ledger


def fact(value):
    return Fact.given(value, "test")


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
class Averager(Cell):
    """A cell that nobody has thought of: s' = tanh(x w + mean(s)), output softsign(s') twice."""

    w: Weights
    KIND: ClassVar[str] = "Averager"
    GATES: ClassVar[tuple[str, ...]] = ()
    STATES: ClassVar[tuple[str, ...]] = ("s",)
    input_size: ClassVar[int] = 3
    units: ClassVar[int] = 4
    output_size: ClassVar[int] = 8

    def shapes(self):
        return {"w": (3, 4)}


def _averager(ops, cell, weights):
    def step(z, state, tap):
        s = ops.tanh(ops.add(z, ops.mean(state["s"])))
        y = activation(ops, "softsign", s)
        return ops.concat([y, y]), {"s": s}

    return Step(lambda x: ops.matmul(x, weights["w"]), step)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("lengths", [False, True])
def test_a_cell_of_a_new_kind_is_an_equation_and_a_line_in_the_table(
    nets, write, feeds, assert_agrees, monkeypatch, *, both, dtype, lengths
):
    """One state, no gates, an output that is no state."""
    monkeypatch.setattr(equations, "_EQUATIONS", {Averager: _averager})
    line = {**CAPABILITIES["onnx"], "Averager": Capability("stepped", "new")}
    monkeypatch.setattr(table, "CAPABILITIES", {"onnx": line})
    cell = Averager(InMemory("w", nets.numbers((3, 4), dtype)))
    one = Recurrent(cell)
    model = Model("m", Bidirectional(one, one) if both else one)
    artifact = write(model, sequence_length=lengths, states=States.REQUIRED)
    assert_agrees(model, artifact, feeds(artifact))
    ledger = OnnxTarget().ledger(artifact, model)
    assert {key[1:] for key in ledger} == {("w", "")}


def blocks(nets, gates, *shape):
    return GateBlocks.of({gate: nets.numbers(shape, np.float32) for gate in gates})


def vector(nets, *shape):
    return InMemory("v", nets.numbers(shape, np.float32))


def cells_of_every_kind(nets):
    """I = 4 inputs, H = 4 units each, so that every kind fits every place."""

    def common(kind, recurrent=4, bias=True):
        return {
            "kernel": blocks(nets, kind.GATES, 4, 4),
            "recurrent": blocks(nets, kind.GATES, recurrent, 4),
            "bias": blocks(nets, kind.GATES, 4) if bias else None,
        }

    act, one = fact("tanh"), fact(1.0)
    gru = {**common(GRU), "activation": act, "gate_activation": fact("sigmoid")}
    norm = {
        **common(LayerNormLSTM),
        "gain": blocks(nets, "ifco", 4),
        "shift": blocks(nets, "ifco", 4),
        "state_gain": vector(nets, 4),
        "state_shift": vector(nets, 4),
    }
    del norm["bias"]
    return {
        "GRU reset before": GRU(**gru, reset_after=fact(False)),
        "GRU reset after": GRU(
            **gru, reset_after=fact(True), recurrent_bias=blocks(nets, "rzc", 4)
        ),
        "GRU of cuDNN": GRU(**gru, reset_after=fact(True), recurrent_bias=blocks(nets, "c", 4)),
        "RNN": RNN(**common(RNN), activation=fact("relu")),
        "UGRNN": UGRNN(**common(UGRNN), activation=act, forget_bias=one),
        "Intersection": Intersection(**common(Intersection), activation=act, forget_bias=one),
        "coupled": CoupledLSTM(
            **common(CoupledLSTM, recurrent=3),
            forget_bias=one,
            activation=act,
            proj_clip=fact(0.3),
            peephole=blocks(nets, "fo", 4),
            projection=vector(nets, 4, 3),
        ),
        "layer norm": LayerNormLSTM(**norm, forget_bias=one, activation=act, epsilon=fact(1e-12)),
        "IndyLSTM": IndyLSTM(**common(IndyLSTM, recurrent=1), activation=act, forget_bias=one),
        "IndyGRU": IndyGRU(**common(IndyGRU, recurrent=1), activation=act),
        "NAS": NAS(**common(NAS, bias=False)),
        "NAS projected": NAS(**common(NAS, recurrent=3), projection=vector(nets, 4, 3)),
        "LSTM": nets.cell(4, 4),
    }


KINDS = (
    "GRU reset before",
    "GRU reset after",
    "GRU of cuDNN",
    "RNN",
    "UGRNN",
    "Intersection",
    "coupled",
    "layer norm",
    "IndyLSTM",
    "IndyGRU",
    "NAS",
    "NAS projected",
    "LSTM",
)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("states", [States.NONE, States.OPTIONAL])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cell_computes_what_the_oracle_computes(
    nets, write, feeds, assert_agrees, *, kind, states, lengths
):
    cell = cells_of_every_kind(nets)[kind]
    both = Bidirectional(Recurrent(cell), Recurrent(nets.cell(4, 4)))
    between = Dense(vector(nets, cell.output_size + 4, 4), None, fact("linear"))
    model = Model("m", Sequence((both, between, Recurrent(cell))))
    artifact = write(model, states=states, sequence_length=lengths)
    assert_agrees(model, artifact, feeds(artifact))
    report = check_ledger(model, OnnxTarget().ledger(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("lengths", [False, True])
def test_dense_layers_and_highways_around_cells(
    nets, write, feeds, assert_agrees, graph_of, *, dtype, lengths
):
    def stored(*shape):
        return InMemory("v", nets.numbers(shape, dtype))

    inner = Recurrent(nets.cell(4, 4, dtype=dtype))
    blocks = (
        Dense(stored(3, 4), stored(4), fact("relu")),
        Highway(inner, stored(4, 4), stored(4)),
        Bidirectional(
            Residual(Recurrent(nets.cell(4, 4, dtype=dtype))),
            Highway(inner, stored(4, 4), stored(4), stored(4, 4), stored(4)),
        ),
        Dense(stored(8, 2), None, fact("linear")),
    )
    model = Model("m", Sequence(blocks))
    artifact = write(model, sequence_length=lengths, states=States.REQUIRED)
    graph_of(artifact)
    assert_agrees(model, artifact, feeds(artifact))
    report = check_ledger(model, OnnxTarget().ledger(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())


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
