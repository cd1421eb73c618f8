"""Runs made cheaper compute the same, and never decide what they cannot see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.model import cells
from lstmbridge.model.forward import forward
from lstmbridge.verify import numbers, trials, verify
from lstmbridge.verify.faults import Fault
from lstmbridge.verify.noise import StoredRounding, run_model
from lstmbridge.verify.numbers import Oracle, Shelf, Sketch

KINDS = [
    cells.LSTM,
    cells.CoupledLSTM,
    cells.LayerNormLSTM,
    cells.IndyLSTM,
    cells.NAS,
    cells.GRU,
    cells.IndyGRU,
    cells.RNN,
    cells.UGRNN,
    cells.Intersection,
]


@pytest.fixture
def model_of(networks):
    def of(kind):
        # an intersection cell's input is as wide as its state
        return networks.stack(kind, inputs=5, units=5, without=("recurrent_bias",))

    return of


@pytest.fixture
def x(networks):
    return networks.rng.normal(size=(3, 6, 5)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_sketch_computes_every_cell_in_float32(model_of, x, kind):
    model = model_of(kind)
    right, sketched = (forward(model, {"inputs": x}, ops=ops) for ops in (None, Sketch()))
    for name, values in right.items():
        assert sketched[name].dtype == np.float32
        assert np.allclose(sketched[name], values, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_oracle_with_a_shelf_is_the_oracle_bit_for_bit(model_of, x, kind):
    model = model_of(kind)
    oracle = Oracle(Shelf(model))
    right = forward(model, {"inputs": x})
    for _ in range(2):
        again = forward(model, {"inputs": x}, ops=oracle)
        assert all(np.array_equal(again[name], values) for name, values in right.items())


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "tf32", "float64"])
def test_noise_is_the_same_with_a_shelf_and_without(networks, x, precision):
    model = networks.stack(inputs=5)
    one, other = (
        forward(model, {"inputs": x}, ops=StoredRounding(precision, 7, shelf))
        for shelf in (None, Shelf(model))
    )
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_shelf_keeps_the_weights_of_its_own_network_alone(networks):
    model, other = networks.stack(), networks.stack()
    shelf = Shelf(model)
    own, foreign = model.layers[0].cell, other.layers[0].cell
    assert shelf.weights(own) is shelf.weights(own)
    assert shelf.weights(foreign) is not shelf.weights(foreign)


def test_a_network_too_large_for_the_shelf_is_not_kept(networks, monkeypatch):
    monkeypatch.setattr(numbers, "MOST_KEPT", 100)
    model = networks.stack()
    shelf = Shelf(model)
    assert shelf.weights(model.layers[0].cell) is not shelf.weights(model.layers[0].cell)


@pytest.fixture
def seen(networks, puppet, honest, artifact_of, monkeypatch):
    """`seen(change)`: the interpreters that a fault by `change` was run in, and the report."""
    monkeypatch.setattr(trials, "WORTH_A_SKETCH", 0)
    model = networks.stack()

    def of(change, **options):
        used = []

        def run(feeds, ops=None):
            used.append(type(ops))
            return change(run_model(model, feeds, ops), ops)

        fault = Fault("the one", "with it", run)
        monkeypatch.setattr(trials, "planted_faults", lambda *_: [fault])
        subjects = [(puppet(honest(model), **options), artifact_of(model))]
        return used, verify(model, subjects).faults

    return of


def test_a_fault_far_out_is_seen_in_float32_alone(seen):
    used, report = seen(lambda outputs, _: {k: v + 0.5 for k, v in outputs.items()})
    assert set(used) == {Sketch}
    assert report.caught == 1


@pytest.mark.parametrize("size", [0.0, 1e-9, 4e-6])
def test_a_fault_that_float32_cannot_tell_for_sure_is_run_in_float64(seen, size):
    used, report = seen(lambda outputs, _: {k: v + size for k, v in outputs.items()})
    assert Oracle in used
    assert report.caught == (1 if size == 4e-6 else 0)


def test_what_overflows_in_float32_is_run_in_float64(seen):
    def change(outputs, ops):
        add = np.inf if isinstance(ops, Sketch) else 0.5
        return {k: v + add for k, v in outputs.items()}

    used, report = seen(change)
    assert Oracle in used
    assert np.isfinite(report.weakest[1])


def test_float64_runtimes_are_never_judged_by_a_sketch(seen):
    used, _ = seen(
        lambda outputs, _: {k: v + 0.5 for k, v in outputs.items()}, precision="float64"
    )
    assert set(used) == {Oracle}


def test_a_network_of_float32_faults_reports_what_float64_reports(
    networks, puppet, honest, artifact_of, monkeypatch
):
    model = networks.stack(units=6)
    reports = []
    for worth in (0, 2**60):
        monkeypatch.setattr(trials, "WORTH_A_SKETCH", worth)
        reports.append(verify(model, [(puppet(honest(model)), artifact_of(model))]).faults)
    sketched, exact = reports
    assert replace(sketched, ratios={}, weakest=None) == replace(exact, ratios={}, weakest=None)
    for name, ratio in exact.ratios.items():
        assert sketched.ratios[name] == pytest.approx(ratio, rel=5e-3)
