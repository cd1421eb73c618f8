"""Every failure comes with the smallest input that still shows it."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import States
from lstmbridge.verify import verify


@pytest.fixture
def example(puppet, artifact_of):
    def of(model: Model, answer, **signature):
        found = verify(model, [(puppet(answer), artifact_of(model, **signature))])
        assert found.outcome is Outcome.FAIL
        return found.runtimes[0].counterexample

    return of


def test_a_fault_that_shows_at_once_needs_one_row_and_one_step(networks, honest, example):
    wrong = networks.stack()
    small = example(networks.stack(), honest(wrong), states=States.REQUIRED)
    assert small.size == "1 x 1"
    assert small.feeds["inputs"].shape == (1, 1, 3)
    assert not np.array_equal(small.expected["outputs"], small.observed["outputs"])


def test_a_fault_that_needs_steps_keeps_as_many_as_it_needs(networks, honest, example):
    model = networks.stack()
    right = honest(model)

    def late(feeds):
        outputs = right(feeds)
        if feeds["inputs"].shape[1] >= 6:
            outputs["outputs"] = outputs["outputs"] + np.float32(0.1)
        return outputs

    small = example(model, late)
    assert small.size in {"1 x 8", "1 x 10"}


def test_a_fault_of_rows_keeps_them(networks, honest, example):
    model = networks.stack()
    right = honest(model)

    def mixing(feeds):
        outputs = right(feeds)
        if len(feeds["inputs"]) > 1:
            outputs["outputs"] = np.repeat(outputs["outputs"][:1], len(feeds["inputs"]), axis=0)
        return outputs

    small = example(model, mixing)
    assert small.feeds["inputs"].shape[0] > 1
    assert small.feeds["inputs"].shape[1] == 1


def test_what_may_be_left_out_is_left_out(networks, honest, example):
    small = example(
        networks.stack(), honest(networks.stack()), states=States.OPTIONAL, lengths=True
    )
    assert "initial_layer0_h" not in small.feeds


def test_states_that_matter_stay(networks, honest, example):
    model = networks.stack()
    right = honest(model)
    small = example(model, lambda f: right({"inputs": f["inputs"]}), states=States.OPTIONAL)
    assert any(name.startswith("initial_") for name in small.feeds)


def test_an_honest_runtime_has_none(networks, honest, puppet, artifact_of):
    model = networks.stack()
    found = verify(model, [(puppet(honest(model)), artifact_of(model))])
    assert found.runtimes[0].counterexample is None
