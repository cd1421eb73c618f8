"""What is left of a graph when only what its outputs need is kept."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.execute import Program
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.pruned import pruned
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Setting, Whole

FLOAT = np.dtype(np.float32)


def whole_of(*nodes, output):
    graph = Graph({node.name: node for node in nodes}, {}, "a test")
    program = Program(Scopes(Tracer(network_of(graph))), lambda _op: np.zeros(1))
    fixed = Setting("phase", ("phase", 0), np.asarray(True), "given by --set", given=True)
    ports = [Port(name, (name, 0), (None,), FLOAT) for name in ("x", output)]
    return Whole(program, (ports[0],), (ports[1],), (fixed,))


X, PHASE = Node("x", "Placeholder", (), {}), Node("phase", "Placeholder", (), {})


def test_a_branch_that_inference_never_takes_is_left_out():
    left = pruned(
        whole_of(
            X,
            PHASE,
            Node("cond/pred_id", "Identity", ("phase",), {}),
            Node("switch", "Switch", ("x", "phase"), {}),
            Node("odd", "NobodyKnowsThis", ("switch",), {}),
            Node("right", "Tanh", ("switch:1",), {}),
            Node("cond/Merge", "Merge", ("odd", "right"), {}),
            Node("y", "Neg", ("cond/Merge",), {}),
            output="y",
        )
    )
    assert set(left.network.ops) == {"right", "y"}
    assert left.network.ops["right"].inputs == (("x", 0),)
    assert left.outputs == (("y", 0),)


def test_conds_that_are_decided_in_a_circle_are_an_error_and_no_endless_walk():
    with pytest.raises(SourceUnreadable, match="depends on itself"):
        pruned(
            whole_of(
                X,
                PHASE,
                Node("switch", "Switch", ("x", "phase"), {}),
                Node("a/Merge", "Merge", ("switch", "b/Merge"), {}),
                Node("b/Merge", "Merge", ("switch", "a/Merge"), {}),
                Node("y", "Neg", ("a/Merge",), {}),
                output="y",
            )
        )
