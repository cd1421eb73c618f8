"""A model that changes its own variables says so: the next call begins where it ended."""

from __future__ import annotations

import numpy as np

from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node

F = np.dtype(np.float32)


def model(*, inside, written="sum:z:0"):
    """``x + state``, and the state is `written`, in a function or beside it."""
    steps = [
        Node("old", "ReadVariableOp", ("state",), {"dtype": F}),
        Node("sum", "AddV2", ("x", "old:value:0"), {"T": F}),
    ]
    write = Node("write", "AssignVariableOp", ("state", written))
    body = [*steps, write] if inside else steps
    named = {node.name: node for node in body}
    function = Function("step", ("x", "state"), (("y", "sum:z:0"),), named)
    nodes = [
        Node("x", "Placeholder", (), {"dtype": F, "shape": (2,)}),
        Node("state", "VarHandleOp", (), {"dtype": F, "shape": (2,)}),
        Node("call", "StatefulPartitionedCall", ("x", "state"), {"f": FunctionRef("step")}),
        *([] if inside else [Node("write", "AssignVariableOp", ("state", "call"))]),
    ]
    graph = Graph({node.name: node for node in nodes}, {"step": function}, "a test")
    return whole_of(graph, lambda _op: np.ones(2), outputs=["call"])


def test_a_model_whose_calls_change_a_variable_from_what_is_fed_says_so():
    (note,) = model(inside=True).notes
    assert note.startswith("each call of this model changes state, ")


def test_a_variable_that_is_written_with_what_no_input_decides_is_no_state():
    assert model(inside=True, written="old:value:0").notes == ()


def test_what_a_training_step_beside_the_outputs_writes_is_no_part_of_a_call():
    assert model(inside=False).notes == ()
