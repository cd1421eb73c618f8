"""What ONNX's LSTM operator can say is said by it, exactly and with nothing to spare."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import onnx
import pytest

from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Sequence
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx.activations import NATIVE

CELLS = {
    "plain": {},
    "peephole": {"peephole": True},
    "projection": {"projection": 4},
    "projection and peephole": {"projection": 4, "peephole": True},
    "no bias": {"bias": False},
    "nothing to add": {"bias": False, "forget_bias": 0.0},
    "other activations": {"activation": "relu", "gate_activation": "hard_sigmoid"},
}


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("states", States)
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_network_computes_what_the_oracle_computes(
    nets, write, feeds, assert_agrees, *, topology, options, states, lengths
):
    model = nets.model(topology, **options)
    artifact = write(model, states=states, sequence_length=lengths)
    assert_agrees(model, artifact, feeds(artifact))
    assert_agrees(model, artifact, feeds(artifact, batch=1, time=1, lengths=[1]))
    assert {one.how for one in artifact.expressions} <= {"native", "rewritten"}


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_network_in_the_narrow_precisions(
    nets, write, feeds, assert_agrees, *, topology, options, dtype
):
    """float16 stays float16; bfloat16, which ONNX's LSTM of this opset lacks, becomes float32."""
    model = nets.model(topology, dtype=dtype, **options)
    artifact = write(model, states=States.REQUIRED, sequence_length=True)
    assert artifact.precision == ("float16" if dtype is np.float16 else "float32")
    assert_agrees(model, artifact, feeds(artifact))


@pytest.mark.parametrize("place", ["activation", "gate_activation"])
@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_each_native_activation_is_the_operator_s_own_within_rounding(
    nets, write, feeds, assert_agrees, *, name, place, scale
):
    """Also far into saturation, where an implementation may overflow."""
    model = nets.model("one", scale=scale, **{place: name})
    artifact = write(model)
    assert artifact.expressions[0].how == "native"
    # gates without bounds grow without bounds: few steps, so that float32 holds them
    assert_agrees(model, artifact, feeds(artifact, batch=4, time=3))


def test_one_layer_is_one_node_between_two_transpositions(nets, write, graph_of):
    graph = graph_of(write(nets.model("one")))
    ops = [node.op_type for node in graph.node]
    assert sorted(ops) == ["LSTM", "Squeeze", "Squeeze", "Squeeze", "Transpose", "Transpose"]
    assert [
        one.name for one in graph.initializer if "/" in one.name and "ints" not in one.name
    ] == [
        "layer0/W",
        "layer0/R",
        "layer0/B",
    ]


def test_a_node_carries_no_attribute_that_equals_its_default(nets, write, graph_of):
    graph = graph_of(write(nets.model("stack", peephole=True)))
    for node in graph.node:
        if node.op_type == "LSTM":
            assert [one.name for one in node.attribute] == ["hidden_size"]


def test_both_directions_of_a_layer_are_one_bidirectional_node(nets, write, graph_of):
    artifact = write(nets.model("stacked_bidirectional"), sequence_length=True)
    nodes = [node for node in graph_of(artifact).node if node.op_type == "LSTM"]
    assert [node.name for node in nodes] == [
        "layer_fw0_layer_bw0",
        "layer_fw1_layer_bw1",
        "layer0",
    ]
    for node in nodes[:2]:
        assert onnx.helper.get_node_attr_value(node, "direction") == b"bidirectional"


def test_directions_of_different_width_are_two_nodes(nets, write, feeds, assert_agrees, graph_of):
    root = Bidirectional(Recurrent(nets.cell(3, 5)), Recurrent(nets.cell(3, 7)))
    model = Model("m", root)
    artifact = write(model, sequence_length=True, states=States.REQUIRED)
    assert_agrees(model, artifact, feeds(artifact))
    assert [n.op_type for n in graph_of(artifact).node].count("LSTM") == 2


def test_a_backward_stack_with_lengths_is_turned_once_and_turned_back(nets, write, graph_of):
    graph = graph_of(write(nets.model("two_stacks"), sequence_length=True))
    assert [node.op_type for node in graph.node].count("ReverseSequence") == 2
    for node in graph.node:
        assert "direction" not in [one.name for one in node.attribute]


def test_no_row_of_length_0_is_given_to_reverse_sequence(nets, write, graph_of):
    """ONNX Runtime up to 1.22 would leave it unwritten; a prefix of one step is the same."""
    graph = graph_of(write(nets.model("two_stacks"), sequence_length=True))
    makers = {out: node for node in graph.node for out in node.output}
    for node in graph.node:
        if node.op_type == "ReverseSequence":
            assert makers[node.input[1]].name == "sequence_length/at_least_1"


def test_a_backward_stack_without_lengths_uses_reverse_nodes(nets, write, graph_of):
    graph = graph_of(write(nets.model("two_stacks")))
    assert not [node for node in graph.node if node.op_type == "ReverseSequence"]
    directions = [
        onnx.helper.get_node_attr_value(node, "direction")
        for node in graph.node
        if any(one.name == "direction" for one in node.attribute)
    ]
    assert directions == [b"reverse", b"reverse"]


def test_a_shared_cell_is_stored_once(nets, write, graph_of):
    graph = graph_of(write(nets.model("shared")))
    assert len([node for node in graph.node if node.op_type == "LSTM"]) == 3
    stored = [one.name for one in graph.initializer if one.name.startswith("layer")]
    assert stored == ["layer0/W", "layer0/R", "layer0/B"]


def test_a_bias_of_nothing_is_left_out(nets, write, graph_of):
    graph = graph_of(write(nets.model("one", bias=False, forget_bias=0.0)))
    assert not [one for one in graph.initializer if one.name == "layer0/B"]


def test_batch_and_time_are_symbolic(nets, write, graph_of):
    graph = graph_of(write(nets.model("one"), states=States.REQUIRED))
    shapes = {
        one.name: [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in [*graph.input, *graph.output]
    }
    assert shapes["inputs"] == ["batch", "time", 3]
    assert shapes["outputs"] == ["batch", "time", 5]
    assert shapes["initial_layer0_c"] == shapes["layer0_c"] == ["batch", 5]


@pytest.mark.parametrize("layers", [1, 12])
def test_units_of_one_and_a_dozen_layers_of_their_own_sizes(
    nets, write, feeds, assert_agrees, layers
):
    sizes = [1, *(1 + k % 5 for k in range(layers))]
    cells = [nets.cell(i, u) for i, u in itertools.pairwise(sizes)]
    model = Model("m", Sequence(tuple(Recurrent(cell) for cell in cells)))
    artifact = write(model)
    assert_agrees(model, artifact, feeds(artifact))
    names = artifact.signature.output_names()
    assert names[-1] == f"layer{layers - 1}_c"


@pytest.mark.parametrize("topology", ["one", "bidirectional"])
def test_a_fed_state_of_a_projected_cell_enters_the_first_step_exactly(
    nets, write, feeds, assert_agrees, topology
):
    """The projection has no inverse here (3 of 9): h0 has no m, and is not approximated by one."""
    block = {"one": nets.one, "bidirectional": nets.bidirectional}[topology]
    model = Model("m", block(projection=3, units=9))
    for lengths in (False, True):
        artifact = write(model, states=States.REQUIRED, sequence_length=lengths)
        fed = feeds(artifact)
        for name in fed:
            if name.startswith("initial"):
                fed[name] = np.asarray(fed[name] * 5)
        assert_agrees(model, artifact, fed)
