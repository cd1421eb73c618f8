"""What stands in a branch of a cond is computed only where that branch is taken."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import CannotExpress
from lstmbridge.graph.graphdef import Node


def reading(constant):
    """``x[n] if n < rows of x else 0``: the row past the end must never be read."""
    return [
        Node("x", "Placeholder"),
        Node("n", "Placeholder"),
        constant("first", 0, np.int32),
        constant("from", [0], np.int32),
        constant("to", [1], np.int32),
        constant("step", [1], np.int32),
        constant("zeros", [0.0, 0.0]),
        Node("shape", "Shape", ("x",)),
        Node("rows", "StridedSlice", ("shape", "from", "to", "step"), {"shrink_axis_mask": 1}),
        Node("inside", "Less", ("n", "rows")),
        Node("x_switch", "Switch", ("x", "inside")),
        Node("n_switch", "Switch", ("n", "inside")),
        Node("zeros_switch", "Switch", ("zeros", "inside")),
        Node("row", "GatherV2", ("x_switch:1", "n_switch:1", "first")),
        Node("merge", "Merge", ("zeros_switch", "row")),
        Node("y", "Exp", ("merge",)),
    ]


INPUTS = {"x": ((None, 2), "float32"), "n": ((), "int32")}


@pytest.mark.parametrize("opset", [11, 17, 21])
def test_a_row_past_the_end_is_not_read_where_the_graph_does_not_read_it(
    opset, constant, whole_model, written
):
    whole = whole_model(reading(constant), INPUTS, {"y": "float32"})
    made = written(whole, opset=opset)
    x = np.arange(6.0).reshape(3, 2)
    for n in (0, 2, 3, 100):
        got = made(x=x, n=n)["y"]
        wanted = whole.run({"x": x, "n": np.asarray(n)})["y"]
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert "If" in made.kinds
    assert "Gather" not in made.kinds[made.kinds.index("If") :]


def test_what_both_branches_and_the_rest_need_stays_outside(constant, whole_model, written):
    nodes = [
        Node("p", "Placeholder"),
        Node("x", "Placeholder"),
        constant("axis", [0], np.int32),
        Node("shared", "Sum", ("x", "axis"), {"keep_dims": True}),
        Node("switch", "Switch", ("shared", "p")),
        Node("a", "Sum", ("switch:1", "axis"), {"keep_dims": True}),
        Node("b", "Max", ("switch:0", "axis"), {"keep_dims": True}),
        Node("merge", "Merge", ("b", "a")),
        Node("y", "Add", ("merge", "shared")),
    ]
    whole = whole_model(nodes, {"p": ((), "bool"), "x": ((None, 2), "float32")}, {"y": "float32"})
    made = written(whole)
    assert made.kinds.count("ReduceSum") == 1
    assert "ReduceMax" not in made.kinds
    x = np.arange(6.0).reshape(3, 2)
    for taken in (True, False):
        wanted = whole.run({"p": np.asarray(taken), "x": x})["y"]
        np.testing.assert_allclose(made(p=taken, x=x)["y"], wanted)


def test_a_choice_between_a_few_numbers_is_one_where(constant, whole_model, written):
    nodes = [
        Node("p", "Placeholder"),
        Node("x", "Placeholder"),
        Node("switch", "Switch", ("x", "p")),
        Node("minus", "Neg", ("switch:0",)),
        Node("merge", "Merge", ("minus", "switch:1")),
    ]
    inputs = {"p": ((), "bool"), "x": ((None, 2), "float32")}
    made = written(whole_model(nodes, inputs, {"merge": "float32"}))
    assert sorted(made.kinds) == ["Identity", "Neg", "Where"]


def test_branches_with_different_numbers_of_axes_are_refused(constant, whole_model, written):
    nodes = [
        Node("p", "Placeholder"),
        Node("x", "Placeholder"),
        constant("axis", [0], np.int32),
        Node("switch", "Switch", ("x", "p")),
        Node("sum", "Sum", ("switch:0", "axis")),
        Node("merge", "Merge", ("sum", "switch:1")),
    ]
    inputs = {"p": ((), "bool"), "x": ((None, 2), "float32")}
    with pytest.raises(CannotExpress, match="different numbers of axes") as refused:
        written(whole_model(nodes, inputs, {"merge": "float32"}))
    assert refused.value.where == "merge"


@pytest.mark.parametrize("declared", [None, ()])
def test_an_input_whose_shape_the_graph_does_not_say_has_the_axes_its_readers_take(
    declared, constant, whole_model, written
):
    nodes = [
        Node("x", "Placeholder"),
        constant("order", [1, 0, 2], np.int32),
        Node("y", "Transpose", ("x", "order")),
    ]
    made = written(whole_model(nodes, {"x": (declared, "float32")}, {"y": "float32"}))
    assert made.artifact.signature.inputs[0].shape == ("batch", "x_dim1", "x_dim2")
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(made(x=x)["y"], x.transpose(1, 0, 2))


def test_an_input_whose_number_of_axes_nothing_shows_is_refused_by_its_name(whole_model, written):
    nodes = [Node("x", "Placeholder"), Node("y", "Neg", ("x",))]
    with pytest.raises(CannotExpress, match="number of axes of the input 'x'"):
        written(whole_model(nodes, {"x": (None, "float32")}, {"y": "float32"}))


def single_or_many(constant):
    """``x`` without its second axis where that has one element, else sums over it; twice."""
    return [
        Node("x", "Placeholder"),
        constant("axis", [1], np.int32),
        constant("from", [1], np.int32),
        constant("to", [2], np.int32),
        constant("step", [1], np.int32),
        constant("one", 1, np.int32),
        Node("shape", "Shape", ("x",)),
        Node("width", "StridedSlice", ("shape", "from", "to", "step"), {"shrink_axis_mask": 1}),
        Node("single", "Equal", ("width", "one")),
        Node("switch", "Switch", ("x", "single")),
        Node("alone", "Squeeze", ("switch:1",), {"squeeze_dims": [1]}),
        Node("twice", "AddV2", ("alone", "alone")),
        Node("summed", "Sum", ("switch:0", "axis"), {"keep_dims": False}),
        Node("most", "Max", ("switch:0", "axis"), {"keep_dims": False}),
        Node("first", "Merge", ("summed", "alone")),
        Node("between", "Exp", ("first",)),
        Node("second", "Merge", ("most", "twice")),
    ]


@pytest.mark.parametrize("opset", [11, 17, 21])
def test_what_two_values_of_one_cond_need_is_not_run_where_its_branch_is_not_taken(
    opset, constant, whole_model, written
):
    outputs = {"between": "float32", "second": "float32", "first": "float32"}
    inputs = {"x": ((None, None, 2), "float32")}
    whole = whole_model(single_or_many(constant), inputs, outputs)
    made = written(whole, opset=opset)
    for width in (1, 3):
        x = np.linspace(0, 1, 4 * width).reshape(2, width, 2)
        got, wanted = made(x=x), whole.run({"x": x})
        for name in outputs:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-6)
    assert made.kinds.count("If") == 1
