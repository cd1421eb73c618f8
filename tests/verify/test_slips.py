"""Slips inside a step of each kind of cell: nothing but the slip departs, and each is caught."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.arrays import Float64
from lstmbridge.contracts import Outcome
from lstmbridge.model.cells import (
    GRU,
    LSTM,
    NAS,
    UGRNN,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.equations import bind, no_tap, weights_of
from lstmbridge.model.forward import forward
from lstmbridge.verify import verify
from lstmbridge.verify.faults import planted_faults
from lstmbridge.verify.faults.slips import WRONG_STEPS, slips_of

ALL = ()
KINDS = {
    "coupled": (CoupledLSTM, {"without": ALL, "projection": 3, "proj_clip": 0.2}),
    "layer norm": (LayerNormLSTM, {}),
    "IndyLSTM": (IndyLSTM, {}),
    "NAS": (NAS, {"without": ALL, "projection": 3}),
    "GRU": (GRU, {}),
    "GRU, reset after": (GRU, {"reset_after": True, "without": ALL}),
    "IndyGRU": (IndyGRU, {}),
    "UGRNN": (UGRNN, {}),
    "Intersection": (Intersection, {"activation": "relu"}),
}
WANTED = {
    "coupled": {
        "forget bias added after the sigmoid",
        "output gate's peephole sees the old c",
        "activation of the output left out",
        "projection clip applied before the projection",
        "projection clip dropped",
        "coupled input gate held open",
        "input gate equal to the forget gate, not 1 minus it",
        "old and new state exchanged in the update",
    },
    "layer norm": {
        "forget bias added after the sigmoid",
        "forget bias added before the layer norm",
        "c carried without its layer norm",
        "layer norm of c left out",
        "variance of the layer norm divided by n - 1",
        "gain and shift of the layer norm exchanged",
        "state gain and shift of the layer norm exchanged",
        "epsilon of another norm",
    },
    "IndyLSTM": {"forget bias added after the sigmoid", "each unit sees its neighbour's h"},
    "NAS": {"n3 a sum, not a product", "bias added to the input product", "last tanh left out"},
    "GRU": {
        "reset before and after the product exchanged",
        "reset gate applied to the input product too",
        "update gate sees the reset state",
        "bias of the candidate dropped",
        "gates r and z exchanged",
        "old and new state exchanged in the update",
    },
    "GRU, reset after": {
        "reset before and after the product exchanged",
        "recurrent bias added outside the reset",
        "reset gate applied to the input product too",
        "update gate sees the reset state",
    },
    "IndyGRU": {"each unit sees its neighbour's h", "bias of the candidate dropped"},
    "UGRNN": {"forget bias added after the sigmoid", "old and new state exchanged in the update"},
    "Intersection": {
        "forget bias added after the sigmoid",
        "forget bias added to one of the two gates",
        "input and output exchanged in the gate through depth",
        "activations of state and output exchanged",
    },
}


@pytest.fixture(params=KINDS)
def case(request, networks):
    """(name, a model of two layers of one kind, with every option that it has)."""
    kind, options = KINDS[request.param]
    return request.param, networks.stack(kind, inputs=4, **options)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("without", [(), ("bias", "peephole", "recurrent_bias")])
def test_a_step_without_its_slip_is_the_equations_own(networks, kind, without):
    of, options = kind
    cell = networks.cell(of, inputs=4, **{**options, "without": without or options.get("without", ("recurrent_bias",))})  # fmt: skip
    ops = Float64()
    right = bind(ops, cell)
    step = WRONG_STEPS[of](
        ops, cell, {k: ops.constant(a) for k, a in weights_of(cell).items()}, ""
    )
    z = right.input_product(networks.numbers(5, 4).astype(np.float64))
    state = {s: networks.numbers(5, n).astype(np.float64) for s, n in cell.state_sizes.items()}
    (output, new), (wanted, states) = step(z, state, no_tap), right.step(z, state, no_tap)
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-14)
    assert new.keys() == states.keys()
    for name, values in states.items():
        np.testing.assert_allclose(new[name], values, rtol=0, atol=1e-14)


def test_each_slip_changes_the_outputs(case, networks):
    name, model = case
    feeds = {"inputs": 2 * networks.numbers(3, 6, 4)}
    right = forward(model, feeds)["outputs"]
    faults = {fault.name: fault for fault in planted_faults(model, ["inputs"])}
    slips = list(slips_of(model.layers[0].cell))
    assert set(slips) <= faults.keys()
    assert WANTED[name] <= faults.keys()
    for slip in {*slips, *WANTED[name]}:
        wrong = faults[slip].run(feeds)["outputs"]
        least = 0.0 if slip == "epsilon of another norm" else 1e-4
        assert np.abs(wrong - right).max() > least, slip


def test_each_slip_is_caught(case, puppet, honest, artifact_of):
    name, model = case
    verdict = verify(model, [(puppet(honest(model)), artifact_of(model))])
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert not (WANTED[name] - {"epsilon of another norm"}) & set(verdict.faults.indistinguishable)
    assert verdict.faults.caught == verdict.faults.planted


def test_a_converter_with_a_slip_is_told_by_name(networks, puppet, artifact_of):
    model = networks.stack(CoupledLSTM, inputs=4)
    faults = {fault.name: fault for fault in planted_faults(model, ["inputs"])}
    fault = faults["coupled input gate held open"]
    wrong = puppet(lambda f: {k: v.astype(np.float32) for k, v in fault.run(f).items()})
    verdict = verify(model, [(wrong, artifact_of(model))])
    assert verdict.outcome is Outcome.FAIL
    assert fault.name in str(verdict.runtimes[0].diagnosis)


def test_where_the_recurrent_product_is_elementwise_the_side_of_the_reset_is_no_fault(networks):
    """(r * h) * u = r * (h * u)."""
    [fault] = [
        fault
        for fault in planted_faults(networks.stack(IndyGRU), ["inputs"])
        if fault.name == "reset before and after the product exchanged"
    ]
    assert fault.idle


def test_cells_of_two_kinds_share_a_fault_of_one_name(networks):
    model = networks.stack(LSTM, inputs=4, count=1)
    other = networks.stack(UGRNN, inputs=4, count=1)
    both = type(model)("m", type(model.root)((*model.root.blocks, *other.root.blocks)))
    names = [fault.name for fault in planted_faults(both, ["inputs"])]
    assert names.count("forget bias added after the sigmoid") == 1
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "options", "absent"),
    [
        (CoupledLSTM, {"forget_bias": 0.0}, "forget bias added after the sigmoid"),
        (CoupledLSTM, {}, "output gate's peephole sees the old c"),
        (CoupledLSTM, {"activation": "linear"}, "activation of the output left out"),
        (IndyLSTM, {"units": 1}, "each unit sees its neighbour's h"),
        (NAS, {"without": ("bias",)}, "bias added to the input product"),
        (Intersection, {}, "activations of state and output exchanged"),
    ],
)
def test_what_a_cell_does_not_use_cannot_slip(networks, kind, options, absent):
    cell = networks.cell(kind, inputs=4 if "units" not in options else 3, **options)
    assert absent not in list(slips_of(cell))


@pytest.mark.parametrize("name", ["projection clip applied before the projection"])
def test_a_plain_lstm_has_its_own(networks, name):
    model = networks.stack(LSTM, inputs=4, projection=3, proj_clip=0.2)
    faults = {fault.name: fault for fault in planted_faults(model, ["inputs"])}
    feeds = {"inputs": networks.numbers(3, 6, 4)}
    off = np.abs(faults[name].run(feeds)["outputs"] - forward(model, feeds)["outputs"])
    assert off.max() > 1e-3
