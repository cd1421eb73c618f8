"""A stack at its own tensors in the graph: its direction, its lengths, and when it is not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.errors import NotRecognised
from lstmbridge.graph.circuit import StackFeeds, circuit_of
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import forward
from lstmbridge.sources import open_source

GRAPHS = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"


def loaded(path):
    source = open_source(path)
    (part,) = recognise(source).parts

    def weights(op):
        return source.tensors[op.name].load().astype(np.float64)

    return source.graph(), part, weights


@pytest.fixture
def both_ways(case):
    """A function: (graph, part, weights) of a bidirectional network, with lengths or without."""

    def load(*, lengths):
        if lengths:
            return loaded(case("tf115-bidirectional-lengths").prefix)
        return loaded(GRAPHS / "frozen-classifier" / "frozen.pb")

    return load


@pytest.mark.parametrize("lengths", [False, True])
def test_a_backward_loop_taken_for_a_stack_of_its_own_is_fed_what_the_loop_takes(
    both_ways, lengths
):
    graph, part, weights = both_ways(lengths=lengths)
    cells = {"layer0": part.graph_cells["layer_bw0"]}
    circuit = circuit_of(graph, cells, frozenset(), weights)
    assert circuit.turned == ("lengths" if lengths else "full")
    model = Model("backward alone", part.model.root.backward)
    x = np.random.default_rng(2).normal(size=(3, 6, model.input_size))
    rows = np.array([6, 1, 4]) if lengths else None
    outputs, states = circuit.run(StackFeeds(x, rows, {}))
    feeds = {"inputs": x, **({"sequence_length": rows} if lengths else {})}
    wanted = forward(model, feeds)
    np.testing.assert_allclose(outputs, wanted["outputs"], atol=1e-12)
    np.testing.assert_allclose(states["layer0", "c"], wanted["layer0_c"], atol=1e-12)


def test_directions_that_contradict_the_graph_are_not_run(both_ways):
    graph, part, weights = both_ways(lengths=False)
    with pytest.raises(NotRecognised, match="reversed otherwise"):
        circuit_of(graph, part.graph_cells, {"layer_fw0"}, weights)


def test_a_layer_that_stands_elsewhere_too_is_not_run(both_ways):
    graph, part, weights = both_ways(lengths=False)
    cells = {"layer0": part.graph_cells["layer_fw0"], "layer1": part.graph_cells["layer_fw0"]}
    with pytest.raises(NotRecognised, match="not all of its layers"):
        circuit_of(graph, cells, frozenset(), weights)


def test_unrolled_steps_are_not_run():
    graph, part, weights = loaded(GRAPHS / "frozen-unrolled-text" / "frozen.pbtxt")
    with pytest.raises(NotRecognised, match="it is unrolled"):
        circuit_of(graph, part.graph_cells, frozenset(), weights)
