"""States that are fed, that may be fed, and rows that end before they begin."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu

KINDS = {
    "native": {},
    "projected": {"projection": 4},
    "stepped": {"cell_clip": 0.5},
}


def run(artifact, fed):
    with OnnxRuntimeCpu().open(artifact) as session:
        return session.run(fed)


@pytest.mark.parametrize("states", [States.OPTIONAL, States.REQUIRED])
@pytest.mark.parametrize("options", [KINDS["native"], KINDS["stepped"]], ids=["native", "stepped"])
def test_a_sequence_fed_in_pieces_gives_the_same_bits(nets, write, options, states):
    model = nets.model("stack", **options)
    artifact = write(model, states=states)
    x = nets.rng.normal(size=(2, 9, 3)).astype(np.float32)
    carried = {
        spec.name: np.zeros((2, spec.shape[1]), np.float32)
        for spec in artifact.signature.inputs
        if spec.name != "inputs"
    }
    whole = run(artifact, {"inputs": x, **carried})
    pieces = []
    for piece in (x[:, :1], x[:, 1:5], x[:, 5:]):
        out = run(artifact, {"inputs": piece, **carried})
        pieces.append(out["outputs"])
        carried = {name: out[name.removeprefix("initial_")] for name in carried}
    assert np.array_equal(np.concatenate(pieces, axis=1), whole["outputs"])
    assert all(np.array_equal(carried[f"initial_{n}"], whole[n]) for n in ("layer0_h", "layer2_c"))


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("lengths", [False, True])
def test_optional_states_left_out_are_zeros_for_any_batch(nets, write, feeds, options, lengths):
    model = nets.model("stacked_bidirectional", **options)
    optional = write(model, states=States.OPTIONAL, sequence_length=lengths, name="o.onnx")
    none = write(model, sequence_length=lengths, name="n.onnx")
    for batch in (1, 3):
        fed = feeds(none, batch=batch)
        left_out, without = run(optional, fed), run(none, fed)
        for name, values in without.items():
            assert np.allclose(left_out[name], values, rtol=0, atol=1e-6), name
            assert left_out[name].shape == values.shape


def test_some_optional_states_may_be_fed_and_others_not(nets, write, feeds):
    model = nets.model("stack")
    artifact = write(model, states=States.OPTIONAL)
    fed = feeds(artifact)
    del fed["initial_layer1_c"]
    expected = forward(model, fed)
    got = run(artifact, fed)
    assert np.abs(got["outputs"] - expected["outputs"]).max() < 1e-6


def test_a_required_state_that_is_not_fed_is_an_error(nets, write):
    artifact = write(nets.model("one"), states=States.REQUIRED)
    with pytest.raises(RuntimeUnavailable, match="initial_layer0_h"):
        run(artifact, {"inputs": np.ones((1, 2, 3))})


@pytest.mark.parametrize("states", [States.OPTIONAL, States.REQUIRED])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
def test_a_row_of_length_0_keeps_the_very_states_it_was_fed(
    nets, write, feeds, *, topology, options, states
):
    """ONNX Runtime's operator gives zeros; TensorFlow keeps the states, and so do we."""
    artifact = write(nets.model(topology, **options), states=states, sequence_length=True)
    fed = feeds(artifact, lengths=[0, 6, 2])
    got = run(artifact, fed)
    assert not got["outputs"][0].any()
    for name, initial in fed.items():
        if name.startswith("initial_"):
            assert np.array_equal(got[name.removeprefix("initial_")][0], initial[0])


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
def test_outputs_past_a_row_s_end_are_zero_whatever_lies_there(
    nets, write, feeds, topology, options
):
    artifact = write(nets.model(topology, **options), sequence_length=True)
    fed = feeds(artifact, lengths=[1, 6, 4])
    noisy = {**fed, "inputs": fed["inputs"].copy()}
    noisy["inputs"][0, 1:] = 1e3
    got, other = run(artifact, fed), run(artifact, noisy)
    assert not got["outputs"][0, 1:].any()
    assert not got["outputs"][2, 4:].any()
    for name, values in got.items():
        assert np.array_equal(values, other[name]), name


def test_without_fed_states_no_node_is_spent_on_length_0(nets, write, graph_of):
    plain = graph_of(write(nets.model("stack"), sequence_length=True, name="a.onnx"))
    fed = graph_of(
        write(nets.model("stack"), sequence_length=True, states=States.REQUIRED, name="b.onnx")
    )
    assert "Where" not in [node.op_type for node in plain.node]
    assert [node.op_type for node in fed.node].count("Where") == 6
