"""What TensorFlow's own cells cannot be is declined by name, before TensorFlow is imported."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Dense, Model, Recurrent, Sequence
from lstmbridge.model.cells import RNN, UGRNN
from lstmbridge.model.facts import Fact
from lstmbridge.runtimes.tensorflow_stack import check_expressible


def rnn() -> Recurrent:
    one = GateBlocks.of({"h": np.eye(2, dtype=np.float32)})
    return Recurrent(RNN(one, one, None, Fact.given("tanh", "here")))


def ugrnn() -> Recurrent:
    two = GateBlocks.of(dict.fromkeys("gc", np.eye(2, dtype=np.float32)))
    given = Fact.given("tanh", "here"), Fact.given(1.0, "here")
    return Recurrent(UGRNN(two, two, None, *given))


def test_a_cell_that_tensorflow_2_has_lost_is_declined() -> None:
    with pytest.raises(RuntimeUnavailable):
        check_expressible(Model("net", ugrnn()))


def test_a_projection_between_cells_is_declined() -> None:
    dense = Dense(InMemory("k", np.eye(2, dtype=np.float32)), None, Fact.given("linear", "here"))
    with pytest.raises(RuntimeUnavailable, match="dense"):
        check_expressible(Model("net", Sequence((rnn(), dense))))
