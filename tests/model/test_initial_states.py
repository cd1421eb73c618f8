"""States that begin with a row of the model's own, in the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.gates import InMemory
from lstmbridge.model.blocks import Recurrent, Sequence
from lstmbridge.model.forward import forward


@pytest.fixture
def begun(networks):
    """A model of one layer whose c begins with a row of its own, and that row."""
    model = networks.stack(count=1)
    row = networks.numbers(4)
    return replace(model, root=Recurrent(model.layers[0].cell, {"c": InMemory("c", row)})), row


def test_a_row_of_the_models_own_is_what_feeding_it_would_be(networks, begun):
    model, row = begun
    x = networks.numbers(3, 5, 3)
    fed = {"initial_layer0_c": np.tile(row, (3, 1)), "initial_layer0_h": np.zeros((3, 4))}
    plain = replace(model, root=Recurrent(model.layers[0].cell))
    for name, values in forward(plain, {"inputs": x, **fed}).items():
        assert np.array_equal(forward(model, {"inputs": x})[name], values), name


def test_what_is_fed_takes_the_place_of_the_models_own(networks, begun):
    model, _ = begun
    feeds = {"inputs": networks.numbers(2, 3, 3), "initial_layer0_c": np.zeros((2, 4))}
    plain = replace(model, root=Recurrent(model.layers[0].cell))
    assert np.array_equal(forward(model, feeds)["outputs"], forward(plain, feeds)["outputs"])


def test_a_row_of_length_0_ends_with_what_it_began_with(networks, begun):
    model, row = begun
    feeds = {"inputs": networks.numbers(2, 3, 3), "sequence_length": np.asarray([0, 3])}
    assert np.array_equal(forward(model, feeds)["layer0_c"][0], row.astype(np.float64))


def test_layers_that_share_a_cell_begin_as_they_like(networks):
    cell = networks.cell(inputs=4)
    one, other = Recurrent(cell, {"h": InMemory("h", networks.numbers(4))}), Recurrent(cell)
    model = networks.stack(count=1)
    layers = replace(model, root=Sequence((one, other))).layers
    assert [sorted(layer.initial) for layer in layers] == [["h"], []]


@pytest.mark.parametrize(("state", "width"), [("c", 5), ("m", 4)])
def test_a_state_that_the_cell_does_not_have_is_refused(networks, state, width):
    with pytest.raises(ValueError, match=f"the initial {state} is"):
        Recurrent(networks.cell(), {state: InMemory("x", networks.numbers(width))})
