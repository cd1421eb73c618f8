"""GRU, RNN and the coupled LSTM are one operator per layer, as an LSTM is."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest

from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Sequence
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.targets.onnx.activations import NATIVE
from lstmbridge.verify.ledger import check_ledger

CELLS = {
    "GRU reset before": {"kind": "GRU reset before"},
    "GRU reset after": {"kind": "GRU reset after"},
    "GRU of cuDNN": {"kind": "GRU of cuDNN", "activation": "softsign"},
    "GRU without biases": {"kind": "GRU reset before", "bias": False},
    "RNN": {"kind": "RNN"},
    "RNN with relu": {"kind": "RNN", "activation": "relu", "bias": False},
    "coupled": {"kind": "coupled"},
    "coupled with peepholes": {"kind": "coupled", "peephole": True, "activation": "relu"},
    "coupled with projection": {"kind": "coupled", "projection": 4, "peephole": True},
    "coupled without biases": {"kind": "coupled", "bias": False, "forget_bias": 0.0},
}
OPERATOR = {"GRU": "GRU", "RNN": "RNN", "CoupledLSTM": "LSTM"}


def nodes_of(graph, *ops):
    return [node for node in graph.node if node.op_type in ops]


def attributes_of(node):
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def assert_whole(model, artifact):
    report = check_ledger(model, OnnxTarget().ledger(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())
    sizes = [
        stored[gate].size if gate else stored.load().size
        for layer in model.layers
        for stored in layer.cell.blocks.values()
        for gate in (stored if isinstance(stored, GateBlocks) else [""])
    ]
    assert report.compared >= sum(sizes)


@pytest.mark.parametrize(
    ("states", "lengths"),
    [
        (States.NONE, False),
        (States.NONE, True),
        (States.OPTIONAL, True),
        (States.REQUIRED, False),
    ],
    ids=["whole", "ragged", "ragged, optional states", "whole, required states"],
)
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_network_computes_what_the_oracle_computes(
    nets, write, feeds, assert_agrees, *, topology, options, states, lengths
):
    model = nets.model(topology, **options)
    artifact = write(model, states=states, sequence_length=lengths)
    assert_agrees(model, artifact, feeds(artifact))
    assert {one.how for one in artifact.expressions} <= {"native", "rewritten"}
    assert_whole(model, artifact)


@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_one_row_of_one_step(nets, write, feeds, assert_agrees, options):
    model = nets.model("bidirectional", **options)
    artifact = write(model, states=States.REQUIRED, sequence_length=True)
    assert_agrees(model, artifact, feeds(artifact, batch=1, time=1, lengths=[1]))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_network_in_the_narrow_precisions(
    nets, write, feeds, assert_agrees, *, topology, options, dtype
):
    model = nets.model(topology, dtype=dtype, **options)
    artifact = write(model, states=States.REQUIRED, sequence_length=True)
    assert artifact.precision == ("float16" if dtype is np.float16 else "float32")
    assert {one.how for one in artifact.expressions} <= {"native", "rewritten"}
    assert_agrees(model, artifact, feeds(artifact))
    assert_whole(model, artifact)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_there_is_one_node_per_layer_and_no_loop(
    nets, write, graph_of, *, topology, options, lengths
):
    """Both directions of a layer are one node, unless a projection stands between."""
    model = nets.model(topology, **options)
    graph = graph_of(write(model, sequence_length=lengths, states=States.REQUIRED))
    assert not nodes_of(graph, "Scan", "Loop", "If")
    made = nodes_of(graph, "LSTM", "GRU", "RNN")
    assert {node.op_type for node in made} == {OPERATOR[model.layers[0].cell.KIND]}
    fused = 0
    if topology in {"bidirectional", "stacked_bidirectional"} and "projection" not in options:
        fused = {"bidirectional": 1, "stacked_bidirectional": 2}[topology]
    both = [n for n in made if attributes_of(n).get("direction") == b"bidirectional"]
    assert len(both) == fused
    assert len(made) == len(model.layers) - fused


@pytest.mark.parametrize(
    ("options", "attributes"),
    [
        (CELLS["GRU reset before"], {"hidden_size": 5}),
        (CELLS["GRU reset after"], {"hidden_size": 5, "linear_before_reset": 1}),
        (CELLS["RNN"], {"hidden_size": 5}),
        (CELLS["coupled"], {"hidden_size": 5}),
        (
            CELLS["RNN with relu"],
            {"hidden_size": 5, "activations": [b"Relu"]},
        ),
        (
            CELLS["GRU of cuDNN"],
            {
                "hidden_size": 5,
                "linear_before_reset": 1,
                "activations": [b"Sigmoid", b"Softsign"],
            },
        ),
    ],
)
def test_a_node_carries_nothing_that_equals_its_default(
    nets, write, graph_of, options, attributes
):
    (node,) = nodes_of(graph_of(write(nets.model("one", **options))), "LSTM", "GRU", "RNN")
    assert attributes_of(node) == attributes


def test_cells_that_reset_before_and_after_are_two_nodes(
    nets, write, feeds, assert_agrees, graph_of
):
    directions = [nets.cell(3, kind=f"GRU reset {when}") for when in ("before", "after")]
    model = Model("m", Bidirectional(*map(Recurrent, directions)))
    artifact = write(model, sequence_length=True, states=States.REQUIRED)
    assert len(nodes_of(graph_of(artifact), "GRU")) == 2
    assert_agrees(model, artifact, feeds(artifact))


def test_an_lstm_and_a_coupled_one_share_a_node(nets, write, feeds, assert_agrees, graph_of):
    directions = [nets.cell(3), nets.cell(3, kind="coupled")]
    model = Model("m", Bidirectional(*map(Recurrent, directions)))
    artifact = write(model, sequence_length=True, states=States.REQUIRED)
    assert len(nodes_of(graph_of(artifact), "LSTM")) == 1
    assert_agrees(model, artifact, feeds(artifact))
    assert_whole(model, artifact)


def test_a_stack_of_every_operator(nets, write, feeds, assert_agrees, graph_of):
    cells = (
        nets.cell(3, 4),
        nets.cell(4, 5, kind="GRU reset before"),
        nets.cell(5, 2, kind="RNN"),
        nets.cell(2, 6, kind="coupled"),
    )
    model = Model("m", Sequence(tuple(map(Recurrent, cells))))
    artifact = write(model, sequence_length=True, states=States.OPTIONAL)
    names = [node.op_type for node in nodes_of(graph_of(artifact), "LSTM", "GRU", "RNN")]
    assert names == ["LSTM", "GRU", "RNN", "LSTM"]
    assert_agrees(model, artifact, feeds(artifact))
    proto = onnx.load(artifact.path)
    orders = {one.key: one.value for one in proto.metadata_props}["lstmbridge.onnx.gate_order"]
    assert orders == "LSTM: i, o, f, c; GRU: z, r, h; RNN: i"


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("GRU reset before", "activation"),
        ("GRU reset before", "gate_activation"),
        ("GRU reset after", "activation"),
        ("GRU reset after", "gate_activation"),
        ("RNN", "activation"),
        ("coupled", "activation"),
    ],
)
def test_each_native_activation_is_the_operators_own_within_rounding(
    nets, write, feeds, assert_agrees, *, kind, place, name, scale
):
    """Also far into saturation, where an implementation may overflow."""
    model = nets.model("one", kind=kind, scale=scale, **{place: name})
    artifact = write(model)
    assert artifact.expressions[0].how in {"native", "rewritten"}
    # saturated gates leave few roundings that show: more replicas measure them
    assert_agrees(model, artifact, feeds(artifact, batch=4, time=3), replicas=256)


SATURATED = 200.0


def with_bias(cell, numbers):
    """The cell, its biases these numbers throughout."""
    bias = {
        gate: np.full_like(cell.bias[gate], numbers.get(gate, 0.0)) for gate in cell.bias.gates
    }
    return replace(cell, bias=GateBlocks.of(bias))


@pytest.mark.parametrize("kind", ["GRU reset before", "GRU reset after"])
def test_where_the_update_gate_is_one_the_state_is_kept_to_the_bit(nets, write, feeds, kind):
    """However long; where it is zero nothing of the old state is left."""
    for keeps in (True, False):
        numbers = {"z": SATURATED if keeps else -SATURATED, "c": SATURATED}
        model = Model("m", Recurrent(with_bias(nets.cell(3, kind=kind), numbers)))
        artifact = write(model, states=States.REQUIRED)
        fed = feeds(artifact, time=50)
        with OnnxRuntimeCpu().open(artifact) as session:
            got = session.run(fed)["layer0_h"]
        oracle = forward(model, fed)["layer0_h"]
        if keeps:
            assert np.array_equal(got, fed["initial_layer0_h"])
            assert np.array_equal(oracle, fed["initial_layer0_h"])
        else:
            # its tanh errs by 8 units in the last place of 1, where the LSTM's is exact
            assert np.abs(got - 1.0).max() <= 8 * 2.0**-24
            assert np.abs(oracle - 1.0).max() < 1e-12


def test_where_a_coupled_cell_s_forget_gate_is_open_its_input_gate_is_closed(nets, write, feeds):
    for keeps in (True, False):
        numbers = {"f": SATURATED if keeps else -SATURATED, "c": SATURATED}
        model = Model("m", Recurrent(with_bias(nets.cell(3, kind="coupled"), numbers)))
        artifact = write(model, states=States.REQUIRED)
        fed = feeds(artifact, time=50)
        with OnnxRuntimeCpu().open(artifact) as session:
            got = session.run(fed)["layer0_c"]
        expected = fed["initial_layer0_c"] if keeps else np.ones_like(got)
        assert np.array_equal(got, expected)
        assert np.abs(forward(model, fed)["layer0_c"] - expected).max() < 1e-12


def test_an_empty_row_s_last_state_is_not_asked_of_an_rnn(nets, write, graph_of):
    """ONNX Runtime would read it from memory that is not the operator's (until 2026)."""
    for topology in ("stack", "bidirectional"):
        ragged = graph_of(write(nets.model(topology, kind="RNN"), sequence_length=True))
        assert all(len(node.output) == 1 for node in nodes_of(ragged, "RNN"))
        whole = graph_of(write(nets.model(topology, kind="RNN")))
        assert all(len(node.output) == 2 for node in nodes_of(whole, "RNN"))


@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_a_row_of_length_0_keeps_the_very_states_it_was_fed(nets, write, feeds, topology, options):
    model = nets.model(topology, **options)
    artifact = write(model, states=States.REQUIRED, sequence_length=True)
    fed = feeds(artifact, lengths=[0, 6, 2])
    with OnnxRuntimeCpu().open(artifact) as session:
        got = session.run(fed)
    assert not got["outputs"][0].any()
    for name, initial in fed.items():
        if name.startswith("initial_"):
            assert np.array_equal(got[name.removeprefix("initial_")][0], initial[0])


@pytest.mark.parametrize(
    ("options", "block", "gate"),
    [
        ({"kind": "GRU reset before"}, "kernel", "z"),
        ({"kind": "GRU reset after"}, "recurrent", "c"),
        ({"kind": "GRU reset after"}, "bias", "r"),
        ({"kind": "GRU reset after"}, "recurrent_bias", "c"),
        ({"kind": "RNN"}, "recurrent", "h"),
        ({"kind": "coupled"}, "kernel", "f"),
        ({"kind": "coupled", "peephole": True}, "peephole", "o"),
    ],
)
def test_a_single_flipped_bit_in_the_file_is_seen(nets, write, options, block, gate):
    model = nets.model("stack", **options)
    artifact = write(model)
    number = getattr(model.layers[1].cell, block)[gate].flat[2]
    assert_flipped(artifact, model, number, f"layer1 {block}[{gate}]: 1 of ")


@pytest.mark.parametrize("block", ["kernel", "recurrent", "bias", "peephole"])
def test_a_flipped_bit_in_a_copy_with_turned_signs_is_seen(nets, write, block):
    model = nets.model("stack", kind="coupled", peephole=True)
    artifact = write(model)
    number = -getattr(model.layers[1].cell, block)["f"].flat[2]
    assert_flipped(artifact, model, number, f"layer1 {block}[i]: 1 of ")


def assert_flipped(artifact, model, number, words):
    data = bytearray(artifact.path.read_bytes())
    assert data.count(number.tobytes()) == 1
    data[data.index(number.tobytes())] ^= 1
    artifact.path.write_bytes(data)
    (line,) = check_ledger(model, OnnxTarget().ledger(artifact, model)).different
    assert line.startswith(words)


def test_a_coupled_cell_s_input_gate_is_the_forget_gate_with_its_signs_turned(nets, write):
    model = nets.model("one", kind="coupled", peephole=True)
    ledger = OnnxTarget().ledger(write(model), model)
    for block in ("kernel", "recurrent", "bias", "peephole"):
        turned, straight = (ledger["layer0", block, gate] for gate in "if")
        assert np.array_equal(turned, -straight)
    assert set(ledger["layer0", "forget_bias", "i"]) == {-1.0}
    assert set(ledger["layer0", "forget_bias", "f"]) == {1.0}


@pytest.mark.parametrize("kind", ["GRU reset before", "RNN", "coupled"])
def test_a_node_of_another_operator_leaves_a_layer_unread(nets, write, kind):
    model, other = nets.model("one", kind=kind), nets.model("one")
    artifact = write(other)
    if kind == "coupled":
        assert len(check_ledger(model, OnnxTarget().ledger(artifact, model)).different) >= 6
    else:
        assert OnnxTarget().ledger(artifact, model) == {}


def test_a_recurrent_bias_that_the_source_does_not_have_is_seen(nets, write):
    model = nets.model("one", kind="GRU reset before")
    artifact = write(model)
    proto = onnx.load(artifact.path)
    (stored,) = [one for one in proto.graph.initializer if one.name.endswith("/B")]
    array = onnx.numpy_helper.to_array(stored).copy()
    array[0, 3 * 5 + 1] = 0.5
    stored.CopyFrom(onnx.numpy_helper.from_array(array, stored.name))
    onnx.save(proto, artifact.path)
    report = check_ledger(model, OnnxTarget().ledger(artifact, model))
    assert "layer0 recurrent_bias[z]" in report.different[0]


def test_the_same_network_gives_the_same_bytes(nets, write):
    for kind in ("GRU reset after", "RNN", "coupled"):
        model = nets.model("stacked_bidirectional", kind=kind)
        one, two = (
            write(model, name=name, sequence_length=True).path.read_bytes()
            for name in ("a.onnx", "b.onnx")
        )
        assert one == two
