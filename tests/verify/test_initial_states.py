"""Faults of states that begin with the model's own rows are planted and caught."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.model.cells import GRU, LSTM, RNN, LayerNormLSTM
from lstmbridge.model.signature import States
from lstmbridge.verify import verify
from lstmbridge.verify.faults.catalogue import planted_faults
from lstmbridge.verify.faults.fault import with_beginnings

OWN = "own initial states replaced by zeros"


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN, LayerNormLSTM])
@pytest.mark.parametrize("lengths", [False, True])
def test_all_are_caught_where_nothing_is_fed(
    networks, begun, artifact_of, puppet, honest, *, kind, lengths
):
    model = begun(networks.stack(kind))
    subject = (puppet(honest(model)), artifact_of(model, lengths=lengths))
    verdict = verify(model, [subject], ledgers=None)
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert verdict.faults.caught == verdict.faults.planted
    own = [f.name for f in planted_faults(model, ["inputs"]) if f.name.startswith("own ")]
    assert OWN in own
    assert not set(own) & set(verdict.faults.indistinguishable)


def test_a_runtime_that_begins_with_zeros_fails_and_is_told_why(
    networks, begun, artifact_of, puppet, honest
):
    model = begun(networks.stack())
    plain = with_beginnings(model, lambda _layer: {})
    verdict = verify(model, [(puppet(honest(plain)), artifact_of(model))])
    assert verdict.outcome is Outcome.FAIL
    assert "own initial states replaced by zeros" in str(verdict.runtimes[0].diagnosis)


def test_they_cannot_be_seen_where_states_must_be_fed_and_that_is_said(
    networks, begun, artifact_of, puppet, honest
):
    model = begun(networks.stack())
    artifact = artifact_of(model, states=States.REQUIRED)
    verdict = verify(model, [(puppet(honest(model)), artifact)])
    assert verdict.outcome is Outcome.PASS
    assert OWN in verdict.faults.indistinguishable


def test_an_empty_row_that_loses_its_own_state_is_caught(networks, begun, artifact_of):
    model = begun(networks.stack())
    names = [spec.name for spec in artifact_of(model, lengths=True).signature.inputs]
    faults = {fault.name: fault for fault in planted_faults(model, names)}
    fault = faults["rows of length 0 lose their initial state"]
    feeds = {"inputs": networks.numbers(2, 3, 3), "sequence_length": np.asarray([0, 3])}
    assert not fault.run(feeds)["layer0_h"][0].any()


def test_models_whose_states_begin_with_zeros_have_no_such_faults(networks):
    names = [fault.name for fault in planted_faults(networks.stack(), ["inputs"])]
    assert not [name for name in names if name.startswith("own ")]
