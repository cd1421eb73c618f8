"""Wrong converters: a runtime that computes, in float32, a network with one fault in it."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.gates import InMemory
from lstmbridge.model.blocks import Dense, Highway, Model, Recurrent, Residual, Sequence
from lstmbridge.model.cells import (
    GRU,
    NAS,
    RNN,
    UGRNN,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.facts import Fact
from lstmbridge.verify.noise import StoredRounding


def wrapped(networks) -> Model:
    square, bias = InMemory("k", networks.numbers(4, 4)), InMemory("b", networks.numbers(4))
    dense = Dense(square, bias, Fact.given("linear", ""))
    gated = Highway(Recurrent(networks.cell(inputs=4)), square, bias)
    added = Residual(Recurrent(networks.cell(inputs=4)))
    return Model("", Sequence((added, gated, dense)))


ZOO = {
    "LSTM": lambda n: n.stack(inputs=4),
    "LSTM with peepholes and clip": lambda n: n.stack(without=(), cell_clip=0.7),
    "LSTM with projection": lambda n: n.stack(
        inputs=5, units=5, projection=5, without=(), proj_clip=0.4
    ),
    "LSTM without forget bias": lambda n: n.stack(count=1, forget_bias=0.0),
    "bidirectional": lambda n: n.bidirectional(),
    "wrapped": wrapped,
    "GRU": lambda n: n.stack(GRU, inputs=4),
    "GRU, reset after": lambda n: n.stack(GRU, reset_after=True, without=()),
    "RNN": lambda n: n.stack(RNN, inputs=4),
    "UGRNN": lambda n: n.stack(UGRNN, inputs=4),
    "Intersection": lambda n: n.stack(Intersection, inputs=4),
    "CoupledLSTM": lambda n: n.stack(CoupledLSTM, without=()),
    "LayerNormLSTM": lambda n: n.stack(LayerNormLSTM),
    "IndyLSTM": lambda n: n.stack(IndyLSTM),
    "IndyGRU": lambda n: n.stack(IndyGRU),
    "NAS": lambda n: n.stack(NAS, count=1),
}


@pytest.fixture
def zoo(networks):
    """`zoo("GRU")`: a network by its name; `zoo()`: all names."""

    def of(name: str = ""):
        return ZOO[name](networks) if name else tuple(ZOO)

    return of


@pytest.fixture
def rounded():
    """`rounded(run)` answers as `run` does, with a runtime's own rounding and dtype."""

    def of(run):
        def answer(feeds):
            found = run(feeds, ops=StoredRounding("float32", seed=123))
            return {name: values.astype(np.float32) for name, values in found.items()}

        return answer

    return of
