"""From nodes to a network: frames, functions, choices, and graphs that make no sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.evidence import gather
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.trace import Tracer


def graph(*nodes, functions=()):
    return Graph({n.name: n for n in nodes}, {f.name: f for f in functions}, where="by hand")


def function(name, arguments, returns, *nodes):
    named = tuple((f"out{k}", text) for k, text in enumerate(returns))
    return Function(name, tuple(arguments), named, {n.name: n for n in nodes})


def test_a_frame_becomes_a_loop_with_its_variables(build):
    weights = build.weights("l0")

    def step(x, old):
        c, h = build.cell(x, *old, weights)
        return h, [c, h]

    zeros = build.zeros()
    build.loop(build.placeholder("x", -1, 5, 3), step, [zeros, build.zeros()])
    (loop,) = network_of(build.graph()).loops
    assert loop.name == "while_context"
    assert len(loop.variables) == 4
    state = loop.variables[2]
    assert state.initial == (zeros, 0)
    assert state.following == ("new_c", 0)
    assert len(state.exits) == 1


def test_a_while_and_its_function_become_the_same_loop():
    body = function(
        "body",
        ["i", "s"],
        ["next:z:0", "twice:z:0"],
        Node("next", "AddV2", ("i", "i")),
        Node("twice", "AddV2", ("s", "s")),
    )
    start = Node("start", "Placeholder")
    loop = Node("while", "While", ("start", "start"), {"body": FunctionRef("body")})
    network = network_of(graph(start, loop, functions=[body]))
    (found,) = network.loops
    assert [v.initial for v in found.variables] == [("start", 0), ("start", 0)]
    assert found.variables[1].following == ("while/body/twice", 0)
    assert found.variables[1].exits == (("while", 1),)
    assert network.op("while/body/twice").inputs == (found.variables[1].entry,) * 2


def test_outputs_of_an_operation_in_a_function_are_found_by_name():
    body = function(
        "f",
        ["x"],
        ["block:h:0"],
        Node("block", "LSTMBlockCell", ("x",) * 8),
    )
    call = Node("call", "PartitionedCall", ("x",), {"f": FunctionRef("f")})
    tracer = Tracer(network_of(graph(Node("x", "Placeholder"), call, functions=[body])))
    assert tracer.resolve(("call", 0)) == ("call/block", 6)


@pytest.mark.parametrize(("predicate", "wanted"), [(True, 3.0), (False, 4.0)])
def test_an_if_is_one_choice_per_output(build, predicate, wanted):
    build.const(predicate, np.bool_, name="p")
    build.const(3.0, name="a")
    build.const(4.0, name="b")
    # the first output depends on what cannot be computed; the second does not
    branches = [
        function(name, ["a", "b"], ["q:o:0", text], Node("q", "Placeholder"))
        for name, text in (("then", "a"), ("other", "b"))
    ]
    choice = {"then_branch": FunctionRef("then"), "else_branch": FunctionRef("other")}
    build.op("If", "p", "a", "b", name="if", **choice)
    whole = Graph(build.nodes, {f.name: f for f in branches}, where="by hand")
    network = network_of(whole)
    tracer = Tracer(network)
    assert set(tracer.options(("if", 1)).tensors) == {("a", 0), ("b", 0)}
    assert Evaluation(network, tracer.guarded, conds=True)(("if", 1)) == wanted


@pytest.mark.parametrize(("predicate", "wanted"), [(True, 3.0), (False, 0.0)])
def test_a_cond_is_evaluated_by_its_predicate_and_its_constants_branch(build, predicate, wanted):
    p = build.const(predicate, np.bool_)
    pivot = build.op("Switch", p, p)
    outside = build.const(3.0)
    taken = build.op("Switch", outside, p)
    false_branch = build.op("Identity", pivot)
    zero = build.const(0.0, name="zero")
    build.nodes[zero] = replace(build.nodes[zero], inputs=(f"^{false_branch}",))
    merge = build.op("Merge", zero, f"{taken}:1")
    network = network_of(build.graph())
    assert Evaluation(network, Tracer(network).guarded, conds=True)((merge, 0)) == wanted


def test_a_variable_that_no_step_changes_is_its_initial_value():
    body = function("body", ["i", "w"], ["next:z:0", "w"], Node("next", "AddV2", ("i", "i")))
    loop = Node("while", "While", ("a", "b"), {"body": FunctionRef("body")})
    nodes = Node("a", "Placeholder"), Node("b", "Placeholder"), loop
    tracer = Tracer(network_of(graph(*nodes, functions=[body])))
    assert tracer.resolve(("while/variable_1", 0)) == ("b", 0)
    assert tracer.resolve(("while/variable_0", 0)) == ("while/variable_0", 0)


# --- graphs that make no sense ---


def test_an_input_that_is_not_in_the_graph_is_named(build, show):
    build.op("Identity", "nowhere", name="cell/kernel")
    kernel, _ = build.weights("other")
    build.op("MatMul", "missing_node", kernel)
    with pytest.raises(SourceUnreadable, match="missing_node"):
        show(build, "other")


def test_a_function_that_is_not_in_the_graph_is_named():
    call = Node("call", "PartitionedCall", (), {"f": FunctionRef("absent")})
    with pytest.raises(SourceUnreadable, match="'call' calls the function 'absent'"):
        network_of(graph(call))


def test_a_function_that_calls_itself_is_refused():
    call = Node("call", "PartitionedCall", (), {"f": FunctionRef("f")})
    with pytest.raises(SourceUnreadable, match="call themselves"):
        network_of(graph(call, functions=[function("f", [], [], call)]))


def test_functions_that_multiply_are_bounded(monkeypatch):
    monkeypatch.setattr("lstmbridge.graph.lift.MOST_OPS", 1000)
    levels = [
        function(
            f"f{k}",
            [],
            [],
            *(Node(f"c{j}", "PartitionedCall", (), {"f": FunctionRef(f"f{k + 1}")}) for j in "ab"),
        )
        for k in range(30)
    ]
    last = function("f30", [], [], Node("end", "NoOp"))
    call = Node("call", "PartitionedCall", (), {"f": FunctionRef("f0")})
    with pytest.raises(SourceUnreadable, match="unfold to more than"):
        network_of(graph(call, functions=[*levels, last]))


def test_a_call_with_the_wrong_number_of_arguments_is_refused():
    call = Node("call", "PartitionedCall", (), {"f": FunctionRef("f")})
    with pytest.raises(SourceUnreadable, match="takes 1 arguments and is given 0"):
        network_of(graph(call, functions=[function("f", ["x"], ["x"])]))


def test_a_cycle_outside_a_loop_is_named():
    nodes = Node("a", "Identity", ("b",)), Node("b", "Identity", ("a",))
    with pytest.raises(SourceUnreadable, match="depends on itself"):
        Tracer(network_of(graph(*nodes))).resolve(("a", 0))


def test_a_cycle_of_computations_is_named():
    nodes = Node("a", "Tanh", ("b",)), Node("b", "Tanh", ("a",))
    network = network_of(graph(*nodes))
    with pytest.raises(SourceUnreadable, match="depends on itself"):
        Evaluation(network, Tracer(network).resolve)(("a", 0))


def test_depth_does_not_recurse(build, ask):
    at = build.placeholder("x", -1, 3)
    for k in range(20_000):
        at = build.op("Identity" if k % 2 else "Tanh", at, name=f"n{k}")
    kernel, _ = build.weights()
    build.op("MatMul", build.op("ConcatV2", at, at, build.number(1)), kernel)
    cell = gather(build.graph(), [ask("cell")]).cells["cell"]
    assert cell.failures


def test_a_piece_that_is_too_large_is_refused_not_computed(build):
    at = build.const(0.5)
    for k in range(6_000):
        at = build.op("Tanh", at, name=f"n{k}")
    network = network_of(build.graph())
    with pytest.raises(NotRecognised, match="more than 5000 operations"):
        Evaluation(network, Tracer(network).resolve)((at, 0))


def test_an_unknown_operation_is_named(build):
    build.op("FrobnicateV7", build.const(1.0), name="odd")
    network = network_of(build.graph())
    with pytest.raises(NotRecognised, match="FrobnicateV7 'odd'"):
        Evaluation(network, Tracer(network).resolve)(("odd", 0))


def test_attributes_that_make_no_sense_are_named(build):
    split = build.op("Split", build.number(1), build.const([[1.0, 2.0]]), num_split="two")
    network = network_of(build.graph())
    with pytest.raises(NotRecognised, match=f"Split '{split}' cannot be computed"):
        Evaluation(network, Tracer(network).resolve)((split, 0))
