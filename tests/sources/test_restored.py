"""Which key holds a variable of a graph, and which part of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.graph.network import Op
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources import open_source
from lstmbridge.sources.restored import keys_of_variables

PARTED = Path(__file__).resolve().parents[2] / "fixtures" / "graphs" / "saved-parted"


class Stored:
    """A tensor of a checkpoint."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def load(self):
        return self.array


def weights_of(array, *shapes):
    """The parts of one stored variable that a graph has."""
    nodes = {
        f"v/part_{k}": Node(f"v/part_{k}", "VariableV2", (), {"shape": shape})
        for k, shape in enumerate(shapes)
    }
    weights = Weights(Graph(nodes, {}, "a test"), {"v": Stored(array)})
    return [weights(Op(name, "VariableV2", (), {})) for name in nodes]


WHOLE = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    ("shapes", "axis"), [([(1, 3), (2, 3), (1, 3)], 0), ([(4, 2), (4, 1)], 1), ([(4, 3)], 0)]
)
def test_a_part_of_a_variable_is_its_own_rows_or_columns(shapes, axis):
    parts = weights_of(WHOLE, *shapes)
    assert [part.shape for part in parts] == shapes
    np.testing.assert_array_equal(np.concatenate(parts, axis), WHOLE)


@pytest.mark.parametrize("shapes", [[(2, 2)], [(3, 3), (3, 3)], [(3,)], [(4, 9)], [None]])
def test_parts_that_are_not_cut_along_one_axis_are_refused(shapes):
    with pytest.raises(NotRecognised):
        weights_of(WHOLE, *shapes)


def test_a_part_that_a_saver_restores_from_a_slice_is_not_what_the_key_holds():
    source = open_source(PARTED / "saved_model")
    assert {"table", "head"} <= set(source.tensors)
    known = keys_of_variables(source.graph())
    assert not [name for name in known if "/part_" in name]
    assert known == {}
