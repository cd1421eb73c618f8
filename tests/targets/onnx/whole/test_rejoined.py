"""Pieces that are put together as they were taken apart are the whole again."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.targets.onnx.builder import GraphBuilder
from lstmbridge.targets.onnx.whole.emitter import Emitter
from lstmbridge.targets.onnx.whole.values import Sym
from lstmbridge.targets.onnx.whole.words import Symbolic


@pytest.fixture(params=[11, 17])
def words(request):
    return Symbolic(Emitter(GraphBuilder(request.param, np.dtype(np.float32))))


@pytest.fixture
def whole():
    """(rows, 4 steps, 6 features)."""
    return Sym("whole", "float", (Sym("rows", "int", ()), 4, 6))


def steps(words, whole, numbers):
    return [words.index(whole, (slice(None), k)) for k in numbers]


def stacked(words, parts, axis):
    return words.join([words.unsqueeze(part, axis) for part in parts], axis)


def test_what_was_split_is_joined_without_a_node(words, whole):
    parts = words.split(whole, [2, 4])
    assert words.join(parts, 2) is whole


def test_pieces_in_another_order_or_along_another_axis_are_joined(words, whole):
    parts = words.split(whole, [3, 3])
    assert words.join(parts[::-1], 2).name != "whole"
    assert words.join(parts, 1).dims[1] == 8


def test_all_steps_stacked_where_they_were_are_the_whole(words, whole):
    assert stacked(words, steps(words, whole, range(4)), 1).name == "whole"


def test_steps_stacked_in_front_are_the_whole_transposed(words, whole):
    found = stacked(words, steps(words, whole, range(4)), 0)
    made = words.emitter.makers[found.name]
    assert (made.op, made.inputs[0], made.attrs["perm"]) == ("Transpose", "whole", [1, 0, 2])


def test_some_steps_in_a_row_are_one_slice(words, whole):
    found = stacked(words, steps(words, whole, [1, 2, 3]), 1)
    assert words.emitter.makers[found.name].op == "Slice"
    assert found.dims[1:] == (3, 6)


@pytest.mark.parametrize("numbers", [[1, 0, 2, 3], [0, 0, 1, 1], [3, 2, 1, 0]])
def test_steps_in_another_order_are_joined(words, whole, numbers):
    found = stacked(words, steps(words, whole, numbers), 1)
    assert words.emitter.makers[found.name].op == "Concat"


def test_steps_of_two_values_are_two_slices(words, whole):
    other = Sym("other", "float", (whole.dims[0], 2, 6))
    parts = [*steps(words, whole, range(4)), *steps(words, other, range(2))]
    found = stacked(words, parts, 1)
    made = words.emitter.makers[found.name]
    assert (made.op, made.inputs) == ("Concat", ("whole", "other"))
    assert found.dims[1:] == (6, 6)


def test_steps_side_by_side_are_the_whole_with_two_axes_made_one(words, whole):
    found = words.join(steps(words, whole, range(4)), 1)
    made = words.emitter.makers[found.name]
    assert (made.op, made.inputs[0]) == ("Reshape", "whole")
    assert found.dims[1] == 24
