"""The oracle runs a model's equations in float64, and nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.contracts import Artifact
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import Signature
from lstmbridge.runtimes.oracle import Oracle


def fact(value):
    return Fact.given(value, "test")


@pytest.fixture
def model() -> Model:
    kernel = {"i": 0.5, "f": -1.0, "c": 2.0, "o": 1.5}
    recurrent = {"i": 0.25, "f": 0.75, "c": -0.5, "o": 1.0}
    bias = {"i": 0.1, "f": 0.2, "c": 0.3, "o": 0.4}
    cell = LSTM(
        kernel=GateBlocks.of({g: np.full((1, 1), v) for g, v in kernel.items()}),
        recurrent=GateBlocks.of({g: np.full((1, 1), v) for g, v in recurrent.items()}),
        bias=GateBlocks.of({g: np.full(1, v) for g, v in bias.items()}),
        forget_bias=fact(1.0),
        activation=fact("tanh"),
        gate_activation=fact("sigmoid"),
        cell_clip=fact(None),
        proj_clip=fact(None),
    )
    return Model("m", Recurrent(cell))


def test_one_step_is_the_textbook_s(model):
    x, h, c = 0.7, 0.3, -0.6

    def sigmoid(a):
        return 1 / (1 + math.exp(-a))

    i = sigmoid(0.5 * x + 0.25 * h + 0.1)
    f = sigmoid(-1.0 * x + 0.75 * h + 0.2 + 1.0)
    j = math.tanh(2.0 * x - 0.5 * h + 0.3)
    o = sigmoid(1.5 * x + 1.0 * h + 0.4)
    new_c = f * c + i * j
    feeds = {
        "inputs": np.array([[[x]]]),
        "initial_layer0_h": np.array([[h]]),
        "initial_layer0_c": np.array([[c]]),
    }
    with Oracle().open(model) as session:
        got = session.run(feeds)
        assert (session.precision, session.device) == ("float64", "cpu")
    assert got["layer0_c"].item() == pytest.approx(new_c, abs=1e-15)
    assert got["layer0_h"].item() == pytest.approx(o * math.tanh(new_c), abs=1e-15)
    assert got["outputs"].item() == got["layer0_h"].item()
    assert all(values.dtype == np.float64 for values in got.values())


def test_it_is_always_here_and_runs_models():
    info = Oracle().info()
    assert info.available
    assert info.version.startswith("NumPy ")
    assert (Oracle().name, Oracle().runs) == ("oracle", "model")


def test_a_file_has_no_equations_to_run():
    artifact = Artifact(Path("a.onnx"), "onnx", Signature((), ()), "float32")
    with pytest.raises(RuntimeUnavailable, match=r"a\.onnx"):
        Oracle().open(artifact)
