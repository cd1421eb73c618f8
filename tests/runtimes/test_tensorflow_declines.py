"""What TensorFlow's own cells cannot be is declined by name, before TensorFlow is imported."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Dense, Model, Recurrent, Sequence
from lstmbridge.model.cells import RNN
from lstmbridge.model.facts import Fact
from lstmbridge.runtimes.tensorflow_stack import check_expressible


def rnn() -> Recurrent:
    one = GateBlocks.of({"h": np.eye(2, dtype=np.float32)})
    return Recurrent(RNN(one, one, None, Fact.given("tanh", "here")))


def test_a_cell_that_is_no_lstm_is_declined() -> None:
    with pytest.raises(RuntimeUnavailable, match="no form for RNN"):
        check_expressible(Model("net", rnn()))


def test_a_projection_between_cells_is_declined() -> None:
    dense = Dense(InMemory("k", np.eye(2, dtype=np.float32)), None, Fact.given("linear", "here"))
    with pytest.raises(RuntimeUnavailable, match="dense0"):
        check_expressible(Model("net", Sequence((rnn(), dense))))
