"""Every classic mistake of a converter must FAIL, and be called by its name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lstmbridge.model.signature import States, signature_of
from lstmbridge.verify import verify
from lstmbridge.verify.faults import explanations
from lstmbridge.verify.noise import run_model

MUTANTS: Mapping[str, tuple[str, ...]] = {
    "LSTM": (
        "gates i and f exchanged",
        "gates i and f exchanged in the kernel alone",
        "gates i and f exchanged in the recurrent kernel alone",
        "gates i and c exchanged",
        "gates i and c exchanged in the kernel alone",
        "gates i and c exchanged in the recurrent kernel alone",
        "gates i and o exchanged",
        "gates i and o exchanged in the kernel alone",
        "gates i and o exchanged in the recurrent kernel alone",
        "gates f and c exchanged",
        "gates f and c exchanged in the kernel alone",
        "gates f and c exchanged in the recurrent kernel alone",
        "gates f and o exchanged",
        "gates f and o exchanged in the kernel alone",
        "gates f and o exchanged in the recurrent kernel alone",
        "gates c and o exchanged",
        "gates c and o exchanged in the kernel alone",
        "gates c and o exchanged in the recurrent kernel alone",
        "forget bias dropped",
        "forget bias doubled",
        "activation exchanged",
        "gate activation exchanged",
        "bias dropped",
        "bias doubled",
        "recurrent kernel transposed",
        "kernel transposed",
        "[h; x] taken for [x; h]",
        "state reset at each step",
        "h not carried",
        "c not carried",
        "forget bias added after the sigmoid",
        "gates clipped",
        "activation of the output left out",
        "layer0 and layer1 exchanged",
        "one layer's weights used for all",
        "final h and c exchanged",
        "final states of layer0 and layer1 exchanged",
        "time reversed",
        "lengths ignored",
        "outputs past the end repeated, not zero",
        "rows of length 0 lose their initial state",
        "initial states ignored",
        "initial h and c exchanged",
        "gates permuted: f as c, c as o, o as f",
        "gates permuted: f as o, c as f, o as c",
        "gates permuted: i as f, f as i, c as o, o as c",
        "gates permuted: i as f, f as c, c as i",
        "gates permuted: i as f, f as c, c as o, o as i",
        "gates permuted: i as f, f as o, c as i, o as c",
        "gates permuted: i as f, f as o, o as i",
        "gates permuted: i as c, f as i, c as f",
        "gates permuted: i as c, f as i, c as o, o as f",
        "gates permuted: i as c, c as o, o as i",
        "gates permuted: i as c, f as o, c as i, o as f",
        "gates permuted: i as c, f as o, c as f, o as i",
        "gates permuted: i as o, f as i, c as f, o as c",
        "gates permuted: i as o, f as i, o as f",
        "gates permuted: i as o, c as i, o as c",
        "gates permuted: i as o, f as c, c as i, o as f",
        "gates permuted: i as o, f as c, c as f, o as i",
        "bias of the candidate dropped",
    ),
    "LSTM with peepholes and clip": (
        "cell clip dropped",
        "peephole dropped",
        "peepholes exchanged",
        "peepholes rotated",
        "output gate's peephole sees the old c",
        "clip applied to the gates instead of c",
        "clip applied to the carried c alone",
    ),
    "LSTM with projection": (
        "projection clip dropped",
        "projection transposed",
        "projection dropped",
        "projection clip applied before the projection",
    ),
    "LSTM without forget bias": ("forget bias too large by 1",),
    "bidirectional": (
        "final states of layer_fw0 and layer_bw1 exchanged",
        "directions exchanged",
        "backward direction run forward",
        "padding reversed with the sequence",
    ),
    "wrapped": (
        "residual dropped",
        "highway dropped",
        "carry and transform of the highway exchanged",
        "bias of the dense layer dropped",
        "dense layer transposed",
    ),
    "GRU": (
        "gates r and z exchanged",
        "gates r and z exchanged in the kernel alone",
        "gates r and z exchanged in the recurrent kernel alone",
        "gates r and c exchanged",
        "gates r and c exchanged in the kernel alone",
        "gates r and c exchanged in the recurrent kernel alone",
        "gates z and c exchanged",
        "gates z and c exchanged in the kernel alone",
        "gates z and c exchanged in the recurrent kernel alone",
        "reset before and after the product exchanged",
        "old and new state exchanged in the update",
        "gates permuted: r as z, z as c, c as r",
        "gates permuted: r as c, z as r, c as z",
        "reset gate applied to the input product too",
        "update gate sees the reset state",
    ),
    "GRU, reset after": (
        "recurrent bias dropped",
        "recurrent bias doubled",
        "recurrent bias added outside the reset",
    ),
    "RNN": (),
    "UGRNN": (
        "gates g and c exchanged",
        "gates g and c exchanged in the kernel alone",
        "gates g and c exchanged in the recurrent kernel alone",
    ),
    "Intersection": (
        "gates gh and h exchanged",
        "gates gh and h exchanged in the kernel alone",
        "gates gh and h exchanged in the recurrent kernel alone",
        "gates gh and gy exchanged",
        "gates gh and gy exchanged in the kernel alone",
        "gates gh and gy exchanged in the recurrent kernel alone",
        "gates gh and y exchanged",
        "gates gh and y exchanged in the kernel alone",
        "gates gh and y exchanged in the recurrent kernel alone",
        "gates h and gy exchanged",
        "gates h and gy exchanged in the kernel alone",
        "gates h and gy exchanged in the recurrent kernel alone",
        "gates h and y exchanged",
        "gates h and y exchanged in the kernel alone",
        "gates h and y exchanged in the recurrent kernel alone",
        "gates gy and y exchanged",
        "gates gy and y exchanged in the kernel alone",
        "gates gy and y exchanged in the recurrent kernel alone",
        "gates permuted: h as gy, gy as y, y as h",
        "gates permuted: h as y, gy as h, y as gy",
        "gates permuted: gh as h, h as gh, gy as y, y as gy",
        "gates permuted: gh as h, h as gy, gy as gh",
        "gates permuted: gh as h, h as gy, gy as y, y as gh",
        "gates permuted: gh as h, h as y, gy as gh, y as gy",
        "gates permuted: gh as h, h as y, y as gh",
        "gates permuted: gh as gy, h as gh, gy as h",
        "gates permuted: gh as gy, h as gh, gy as y, y as h",
        "gates permuted: gh as gy, gy as y, y as gh",
        "gates permuted: gh as gy, h as y, gy as gh, y as h",
        "gates permuted: gh as gy, h as y, gy as h, y as gh",
        "gates permuted: gh as y, h as gh, gy as h, y as gy",
        "gates permuted: gh as y, h as gh, y as h",
        "gates permuted: gh as y, gy as gh, y as gy",
        "gates permuted: gh as y, h as gy, gy as gh, y as h",
        "gates permuted: gh as y, h as gy, gy as h, y as gh",
        "forget bias added to one of the two gates",
        "input and output exchanged in the gate through depth",
    ),
    "CoupledLSTM": (
        "coupled input gate held open",
        "input gate equal to the forget gate, not 1 minus it",
    ),
    "LayerNormLSTM": (
        "epsilon of another norm",
        "gain of the layer norm dropped",
        "shift of the layer norm dropped",
        "state gain of the layer norm dropped",
        "state shift of the layer norm dropped",
        "gain and shift of the layer norm exchanged",
        "state gain and shift of the layer norm exchanged",
        "forget bias added before the layer norm",
        "c carried without its layer norm",
        "layer norm of c left out",
        "variance of the layer norm divided by n - 1",
    ),
    "IndyLSTM": ("each unit sees its neighbour's h",),
    "IndyGRU": (),
    "NAS": (
        "gates n0 and n1 exchanged",
        "gates n0 and n2 exchanged",
        "gates n0 and n3 exchanged",
        "gates n0 and n4 exchanged",
        "gates n0 and n5 exchanged",
        "gates n0 and n6 exchanged",
        "gates n0 and n7 exchanged",
        "gates n1 and n2 exchanged",
        "gates n1 and n3 exchanged",
        "gates n1 and n4 exchanged",
        "gates n1 and n5 exchanged",
        "gates n1 and n6 exchanged",
        "gates n1 and n7 exchanged",
        "gates n2 and n3 exchanged",
        "gates n2 and n4 exchanged",
        "gates n2 and n5 exchanged",
        "gates n2 and n6 exchanged",
        "gates n2 and n7 exchanged",
        "gates n3 and n4 exchanged",
        "gates n3 and n5 exchanged",
        "gates n3 and n6 exchanged",
        "gates n3 and n7 exchanged",
        "gates n4 and n5 exchanged",
        "gates n4 and n6 exchanged",
        "gates n4 and n7 exchanged",
        "gates n5 and n6 exchanged",
        "gates n5 and n7 exchanged",
        "gates n6 and n7 exchanged",
        "n3 a sum, not a product",
        "bias added to the input product",
        "last tanh left out",
    ),
}

"""Network -> the mistakes that are made on it; each is listed with the first that can have it."""


def faults_of(model):
    everything = signature_of(
        model, np.dtype(np.float32), states=States.OPTIONAL, sequence_length=True
    )
    return {f.name: f for f in explanations(model, everything.input_names()) if not f.idle}


@pytest.mark.parametrize(
    "mutant",
    [(name, mistake) for name, mistakes in MUTANTS.items() for mistake in mistakes],
    ids=str,
)
def test_a_wrong_converter_fails_and_its_mistake_is_named(
    zoo, rounded, puppet, artifact_of, mutant
):
    name, mistake = mutant
    model = zoo(name)
    fault = faults_of(model)[mistake]
    artifact = artifact_of(model, states=States.OPTIONAL, lengths=True)
    verdict = verify(model, [(puppet(rounded(fault.run)), artifact)])
    assert verdict.outcome.value == "fail"
    assert f"it equals the source {fault.explains}" in verdict.runtimes[0].diagnosis


def test_no_known_mistake_is_left_out(zoo):
    listed = {mistake for mistakes in MUTANTS.values() for mistake in mistakes}
    known = {mistake for name in zoo() for mistake in faults_of(zoo(name))}
    assert listed == known


@pytest.mark.parametrize("name", MUTANTS)
def test_the_right_network_passes_and_every_planted_fault_is_caught(
    zoo, rounded, puppet, artifact_of, name
):

    model = zoo(name)
    artifact = artifact_of(model, states=States.OPTIONAL, lengths=True)
    right = rounded(lambda feeds, ops: run_model(model, feeds, ops=ops))
    verdict = verify(model, [(puppet(right), artifact)])
    assert verdict.reasons == ()
    assert verdict.faults.missed == ()
