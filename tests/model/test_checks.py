"""Weights that cannot be verified are refused, wherever they hide."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import FactMissing, SourceUnreadable
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import RNN
from lstmbridge.model.checks import refuse_assumptions, refuse_non_finite
from lstmbridge.model.facts import Fact


def model(recurrent: np.ndarray, activation: Fact[str] | None = None) -> Model:
    cell = RNN(
        kernel=GateBlocks.of({"h": np.ones((3, 2))}),
        recurrent=GateBlocks.of({"h": recurrent}),
        bias=None,
        activation=activation or Fact.given("tanh", "here"),
    )
    return Model("net", Recurrent(cell))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_found_behind_blocks_of_the_same_name(bad: float) -> None:
    with pytest.raises(SourceUnreadable, match="1 of 4 numbers"):
        refuse_non_finite(model(np.array([[1.0, bad], [0.0, 1.0]])))


def test_finite_weights_pass() -> None:
    refuse_non_finite(model(np.eye(2)))


def test_strict_names_what_is_merely_assumed() -> None:
    refuse_assumptions(model(np.eye(2)))
    with pytest.raises(FactMissing, match="layer0.activation"):
        refuse_assumptions(model(np.eye(2), Fact.assumed("tanh", "default")))
