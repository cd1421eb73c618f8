"""States that begin with rows of the model's own: stored, spread over the batch, read back."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.model.signature import States
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.verify.ledger import check_ledger

FORMS = {
    "native": {},
    "projected": {"projection": 4},
    "stepped": {"cell_clip": 0.5},
    "float16": {"dtype": np.float16},
    "float16 stepped": {"dtype": np.float16, "cell_clip": 0.5},
    "float64": {"dtype": np.float64},
}


def run(artifact, fed):
    with OnnxRuntimeCpu().open(artifact) as session:
        return session.run(fed)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_nothing_is_fed_and_states_begin_with_the_models_own(
    nets, write, feeds, begun, assert_agrees, *, topology, options, lengths
):
    model = begun(nets.model(topology, **options))
    artifact = write(model, sequence_length=lengths)
    assert not [n for n in artifact.signature.input_names() if n.startswith("initial_")]
    assert_agrees(model, artifact, feeds(artifact))


def test_every_kind_of_cell_begins_so(nets, write, feeds, begun, assert_agrees, *, kind):
    # an Intersection's input is as wide as its state
    model = begun(nets.model("two_stacks" if kind != "Intersection" else "shared", kind=kind))
    artifact = write(model, sequence_length=True)
    assert_agrees(model, artifact, feeds(artifact))


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_an_empty_row_ends_with_the_very_row_it_began_with(
    nets, write, feeds, begun, *, topology, options
):
    model = begun(nets.model(topology, **options))
    artifact = write(model, sequence_length=True)
    got = run(artifact, feeds(artifact, lengths=[0, 6, 2]))
    for layer in model.layers:
        for state in layer.cell.state_sizes:
            assert np.array_equal(got[layer.state_name(state)][0], layer.start(state))


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_they_are_the_default_of_optional_inputs(
    nets, write, feeds, begun, assert_agrees, *, options
):
    model = begun(nets.model("two_stacks", **options))
    artifact = write(model, states=States.OPTIONAL, sequence_length=True)
    fed = feeds(artifact)
    assert_agrees(model, artifact, fed)
    assert_agrees(model, artifact, {n: a for n, a in fed.items() if "initial" not in n})


@pytest.mark.parametrize("states", [States.NONE, States.OPTIONAL])
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_they_are_read_back_from_the_nodes_bit_for_bit(
    nets, write, begun, *, topology, options, states
):
    model = begun(nets.model(topology, **options))
    artifact = write(model, states=states, sequence_length=True)
    ledger = OnnxTarget().ledger(artifact, model)
    report = check_ledger(model, ledger)
    assert (report.different, report.missing, report.extra) == ((), (), ())
    rows = {(x.name, f"initial_{state}") for x in model.layers for state in x.initial}
    assert rows == {key[:2] for key in ledger if key[1].startswith("initial_")}


def test_where_states_must_be_fed_they_are_not_stored_nor_asked_for(nets, write, begun):
    model = begun(nets.model("stack"))
    artifact = write(model, states=States.REQUIRED)
    ledger = OnnxTarget().ledger(artifact, model)
    names = artifact.signature.input_names()
    assert not [key for key in ledger if key[1].startswith("initial_")]
    assert check_ledger(model, ledger, names).missing == ()
    assert check_ledger(model, ledger).missing == tuple(
        f"{layer.name} initial_{state}" for layer in model.layers for state in layer.initial
    )


@pytest.mark.parametrize("options", [{}, {"cell_clip": 0.3}], ids=["native", "stepped"])
def test_a_single_flipped_bit_of_a_row_is_seen(nets, write, begun, options):
    model = begun(nets.model("stack", **options))
    artifact = write(model)
    number = model.layers[1].initial["h"].load()[2]
    data = bytearray(artifact.path.read_bytes())
    assert data.count(number.tobytes()) == 1
    data[data.index(number.tobytes())] ^= 1
    artifact.path.write_bytes(data)
    [line] = check_ledger(model, OnnxTarget().ledger(artifact, model)).different
    assert line.startswith("layer1 initial_h: 1 of ")


def test_a_row_that_the_source_does_not_have_is_extra(nets, write, begun):
    model = nets.model("stack")
    artifact = write(begun(model))
    extra = check_ledger(model, OnnxTarget().ledger(artifact, model)).extra
    assert "layer0 initial_c" in extra
