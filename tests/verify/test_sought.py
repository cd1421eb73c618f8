"""Probes that are bred for one fault: rare events are met, equals stay equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.verify.faults import planted_faults
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.sought import Search
from lstmbridge.verify.trials import EXPLOSION, departure, design, trial_of

CLIP = "projection clip dropped"


def given(**values):
    return {name: Fact.given(value, "here") for name, value in values.items()}


@pytest.fixture
def rarely_clipped():
    """One unit whose output gate shuts as c grows: few inputs bring its projection past 3."""

    def blocks(**gates):
        return GateBlocks.of({g: np.asarray(v, np.float32) for g, v in gates.items()})

    cell = LSTM(
        kernel=blocks(
            i=[[-0.64], [0.88], [-1.28]],
            f=[[-1.05], [0.16], [-1.76]],
            c=[[-0.21], [-0.45], [0.72]],
            o=[[0.43], [0.86], [0.76]],
        ),
        recurrent=blocks(i=[[0.34]], f=[[0.9]], c=[[0.94]], o=[[-0.83]]),
        bias=blocks(i=[-0.15], f=[-0.61], c=[-0.39], o=[0.5]),
        peephole=blocks(i=[-0.21], f=[-0.27], o=[-0.47]),
        projection=InMemory("projection", np.asarray([[-0.16]], np.float32)),
        **given(
            forget_bias=1.0,
            activation="softplus",
            gate_activation="sigmoid",
            cell_clip=None,
            proj_clip=3.0,
        ),
    )
    return Model("test", Recurrent(cell))


def specs_of(model, artifact_of):
    return artifact_of(model).signature.inputs


def fault_called(name, model, specs):
    return next(f for f in planted_faults(model, [s.name for s in specs]) if f.name == name)


def search(model, specs):
    return Search(model, specs, 344, "float32", EXPLOSION)


def test_a_clip_that_few_inputs_reach_is_found(rarely_clipped, artifact_of):
    model, specs = rarely_clipped, specs_of(rarely_clipped, artifact_of)
    fault = fault_called(CLIP, model, specs)
    probe = next(search(model, specs).probes(fault))
    trial = trial_of(model, specs, probe, "float32", VerifyOptions())
    assert probe.name == f"1 x 10, sought for: {CLIP}"
    assert departure(fault.run(probe.feeds), trial.expected, trial.floor) > 100.0


def test_a_clip_that_few_inputs_reach_is_planted_and_caught(rarely_clipped, artifact_of):
    specs = specs_of(rarely_clipped, artifact_of)
    options = VerifyOptions(seed=344)
    report = design(rarely_clipped, specs, "float32", options, lambda *_: None).faults
    assert CLIP in report.caught_names
    assert CLIP not in report.indistinguishable


def test_a_clip_that_no_input_can_reach_stays_equal(rarely_clipped, artifact_of):
    """|h| is below 0.16 where tanh bounds it: 3 is never reached."""
    cell = replace(rarely_clipped.layers[0].cell, **given(activation="tanh"))
    model = Model("test", Recurrent(cell))
    specs = specs_of(model, artifact_of)
    assert list(search(model, specs).probes(fault_called(CLIP, model, specs))) == []


def test_a_search_is_repeatable_and_feeds_what_the_artifact_takes(rarely_clipped, artifact_of):
    model, specs = rarely_clipped, specs_of(rarely_clipped, artifact_of)
    fault = fault_called("bias doubled", model, specs)
    first, second = (next(search(model, specs).probes(fault)) for _ in range(2))
    for spec in specs:
        values = first.feeds[spec.name]
        assert values.dtype == spec.dtype
        assert np.array_equal(values, second.feeds[spec.name])
        assert not values.flags.writeable


def test_networks_too_large_to_be_searched_are_not(networks, artifact_of, monkeypatch):
    model = networks.stack()
    specs = specs_of(model, artifact_of)
    module = __import__("lstmbridge.verify.sought", fromlist=["_MOST_WORK"])
    monkeypatch.setattr(module, "_MOST_WORK", 1.0)
    assert search(model, specs).rows == 0
    assert list(search(model, specs).probes(fault_called("bias dropped", model, specs))) == []
