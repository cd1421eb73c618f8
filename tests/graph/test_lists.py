"""TensorLists hold what TensorFlow 2's loops read and write, element by element."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_lists import LISTS
from lstmbridge.graph.words import GraphFloat64

X = np.arange(6.0).reshape(3, 2)
OPEN = np.asarray(-1)


def run(kind, *args):
    return LISTS[kind](GraphFloat64(), Op("op", kind, (), {}), [*map(as_value, args)])


def as_value(value):
    return np.asarray(value) if isinstance(value, int | list) else value


def test_a_tensor_becomes_a_list_of_its_rows_and_a_tensor_again():
    (steps,) = run("TensorListFromTensor", X, [2])
    assert run("TensorListLength", steps)[0] == 3
    np.testing.assert_array_equal(run("TensorListGetItem", steps, 1, OPEN)[0], X[1])
    np.testing.assert_array_equal(run("TensorListStack", steps, OPEN)[0], X)
    np.testing.assert_array_equal(run("TensorListGather", steps, [2, 0], OPEN)[0], X[[2, 0]])


def test_writing_leaves_the_list_that_was_written_to_as_it_was():
    (empty,) = run("TensorListReserve", [2], 2)
    (one,) = run("TensorListSetItem", empty, 1, X[0])
    np.testing.assert_array_equal(run("TensorListStack", one, OPEN)[0], [[0.0, 0.0], X[0]])
    np.testing.assert_array_equal(run("TensorListStack", empty, OPEN)[0], np.zeros((2, 2)))


def test_elements_that_were_never_written_are_zeros_of_the_shape_that_is_asked_for():
    (empty,) = run("TensorListReserve", OPEN, 1)
    np.testing.assert_array_equal(run("TensorListGetItem", empty, 0, [3])[0], np.zeros(3))
    with pytest.raises(LookupError, match="never written"):
        run("TensorListGetItem", empty, 0, OPEN)


def test_what_is_pushed_last_is_popped_first():
    (steps,) = run("EmptyTensorList", [2], 9)
    (steps,) = run("TensorListPushBack", steps, X[0])
    (steps,) = run("TensorListPushBack", steps, X[1])
    rest, last = run("TensorListPopBack", steps, OPEN)
    np.testing.assert_array_equal(last, X[1])
    assert rest.size == 1
    assert run("TensorListLength", run("TensorListResize", rest, 5)[0])[0] == 5


def test_a_list_of_more_elements_than_memory_holds_is_refused():
    with pytest.raises(ValueError, match="a list of"):
        run("TensorListReserve", [2], 1 << 40)


def test_what_is_no_list_is_not_read_as_one():
    with pytest.raises(TypeError, match="no TensorList"):
        run("TensorListStack", X, OPEN)
