"""Loops and conds that are no recurrent stack: ONNX's Loop, Where and If."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import CannotExpress
from lstmbridge.graph.graphdef import Function, FunctionRef, Node

FRAME = {"frame_name": "loop"}


def variable(name, initial, following):
    """One loop variable in TensorFlow 1's operations."""
    return [
        Node(f"{name}_enter", "Enter", (initial,), FRAME),
        Node(f"{name}_merge", "Merge", (f"{name}_enter", f"{name}_again")),
        Node(f"{name}_switch", "Switch", (f"{name}_merge", "cond")),
        Node(f"{name}_again", "NextIteration", (following,)),
        Node(f"{name}_exit", "Exit", (f"{name}_switch",)),
    ]


def doubling(constant):
    """``while n < limit and sum(x) < 100: x = 2 x``, each x written down."""
    return [
        Node("x", "Placeholder"),
        Node("limit", "Placeholder"),
        constant("zero", 0, np.int32),
        constant("one", 1, np.int32),
        constant("two", 2.0),
        constant("hundred", 100.0),
        constant("axes", [0, 1], np.int32),
        Node("array", "TensorArrayV3", ("limit",), {"identical_element_shapes": True}),
        *variable("n", "zero", "n_next"),
        *variable("x", "x", "x_next"),
        *variable("flow", "array:1", "written"),
        Node("below", "Less", ("n_merge", "limit")),
        Node("sum", "Sum", ("x_merge", "axes")),
        Node("small", "Less", ("sum", "hundred")),
        Node("both", "LogicalAnd", ("below", "small")),
        Node("cond", "LoopCond", ("both",)),
        Node("n_next", "Add", ("n_switch:1", "one")),
        Node("x_next", "Mul", ("x_switch:1", "two")),
        Node(
            "written", "TensorArrayWriteV3", ("array", "n_switch:1", "x_switch:1", "flow_switch:1")
        ),
        Node("size", "TensorArraySizeV3", ("array", "flow_exit")),
        Node("all", "Range", ("zero", "size", "one")),
        Node("steps", "TensorArrayGatherV3", ("array", "all", "flow_exit")),
    ]


DOUBLED = ({"x": ((None, 2), "float32"), "limit": ((), "int32")}, ["n_exit", "x_exit", "steps"])
KINDS = {"n_exit": "int32", "x_exit": "float32", "steps": "float32"}


@pytest.mark.parametrize("limit", [1, 3, 20])
@pytest.mark.parametrize("rows", [1, 4])
def test_a_loop_with_a_stop_condition_stops_where_the_graph_does(
    limit, rows, constant, whole_model, written
):
    whole = whole_model(doubling(constant), DOUBLED[0], KINDS)
    made = written(whole)
    assert made.kinds.count("Loop") == 1
    x = np.random.default_rng(rows).uniform(0.1, 1.0, (rows, 2)).astype(np.float32)
    got = made(x=x, limit=limit)
    wanted = whole.run({"x": x.astype(np.float64), "limit": np.asarray(limit)})
    assert wanted["steps"].shape == (limit, rows, 2)
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        np.testing.assert_allclose(got[name], value, rtol=1e-6)


def test_a_loop_that_takes_no_step_gives_what_it_began_with(constant, whole_model, written):
    whole = whole_model(doubling(constant), DOUBLED[0], {"n_exit": "int32", "x_exit": "float32"})
    got = written(whole)(x=np.full((1, 2), 200.0), limit=5)
    assert got["n_exit"] == 0
    np.testing.assert_array_equal(got["x_exit"], [[200.0, 200.0]])


def test_a_state_may_grow_from_step_to_step(constant, whole_model, written):
    nodes = [
        Node("x", "Placeholder"),
        constant("zero", 0, np.int32),
        constant("one", 1, np.int32),
        constant("three", 3, np.int32),
        *variable("n", "zero", "n_next"),
        *variable("x", "x", "x_next"),
        Node("below", "Less", ("n_merge", "three")),
        Node("cond", "LoopCond", ("below",)),
        Node("n_next", "Add", ("n_switch:1", "one")),
        Node("x_next", "ConcatV2", ("x_switch:1", "x_switch:1", "zero")),
    ]
    whole = whole_model(nodes, {"x": ((None, 2), "float32")}, {"x_exit": "float32"})
    x = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(written(whole)(x=x)["x_exit"], np.repeat(x, 8, axis=0))


def cond(constant):
    """``x if p else -x``; ``x if p else both rows of x together``."""
    return [
        Node("p", "Placeholder"),
        Node("x", "Placeholder"),
        constant("axis", [0], np.int32),
        Node("switch", "Switch", ("x", "p")),
        Node("minus", "Neg", ("switch:0",)),
        Node("sum", "Sum", ("switch:0", "axis"), {"keep_dims": True}),
        Node("merge", "Merge", ("minus", "switch:1")),
        Node("other", "Merge", ("sum", "switch:1")),
    ]


@pytest.mark.parametrize("taken", [True, False])
def test_a_cond_takes_the_branch_that_its_predicate_says(taken, constant, whole_model, written):
    inputs = {"p": ((), "bool"), "x": ((None, 2), "float32")}
    whole = whole_model(
        cond(constant), inputs, {"merge": "float32", "other": "float32", "merge:1": "int32"}
    )
    x = np.arange(6.0).reshape(3, 2)
    got = written(whole)(p=taken, x=x)
    wanted = whole.run({"p": np.asarray(taken), "x": x})
    for name, value in wanted.items():
        assert got[name].shape == value.shape
        np.testing.assert_array_equal(got[name], value)


def test_a_branch_that_is_known_not_to_be_taken_may_hold_anything(constant, whole_model, written):
    nodes = [
        constant("p", True, np.bool_),
        *[node for node in cond(constant) if node.name not in {"p", "minus"}],
        Node("minus", "PyFunc", ("switch:0",)),
    ]
    whole = whole_model(nodes, {"x": ((None, 2), "float32")}, {"merge": "float32"})
    made = written(whole)
    assert made.kinds == ["Identity"]


def test_an_operation_that_is_not_known_is_refused_by_its_name(whole_model, written):
    nodes = [Node("x", "Placeholder"), Node("mine", "PyFunc", ("x",)), Node("y", "Neg", ("mine",))]
    whole = whole_model(nodes, {"x": ((None,), "float32")}, {"y": "float32"})
    with pytest.raises(CannotExpress, match="PyFunc 'mine'") as refused:
        written(whole)
    assert refused.value.where == "mine"


def test_a_while_of_tensorflow_2_gives_each_of_its_variables(constant, whole_model, written):
    body = Function(
        "body",
        ("n", "total"),
        (("n", "less:z:0"), ("total", "more:z:0")),
        {
            "one": constant("one", 1.0),
            "less": Node("less", "Sub", ("n", "one:output:0")),
            "more": Node("more", "Add", ("total", "n")),
        },
    )
    again = {
        "zero": constant("zero", 0.0),
        "positive": Node("positive", "Greater", ("n", "zero:output:0")),
    }
    cond = Function("cond", ("n", "total"), (("again", "positive:z:0"),), again)
    calls = {"body": FunctionRef("body"), "cond": FunctionRef("cond")}
    nodes = [
        *(Node("n", "Placeholder", (), {}), constant("total", 0.5)),
        Node("while", "While", ("n", "total"), calls),
    ]
    wanted = {"while:0": np.float32, "while:1": np.float32}
    got = written(whole_model(nodes, {"n": ((), np.float32)}, wanted, (body, cond)))(n=4.0)
    assert (got["while_0"], got["while_1"]) == (0.0, 10.5)
