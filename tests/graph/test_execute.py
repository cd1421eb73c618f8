"""A network is run as TensorFlow ran it: loops, conds, TensorArrays, in float64."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.graph.execute import Program
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.words_rounding import GraphRounding
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources import open_source

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
CASES = sorted(p.parent.name for p in FOLDER.glob("*/card.json"))


class Number:
    """What a Const's attribute `value` is."""

    def __init__(self, value, dtype=np.float32):
        self._array = np.asarray(value, dtype)
        self.shape = self._array.shape

    def load(self):
        return self._array


def const(name, value, dtype=np.float32, inputs=()):
    return Node(name, "Const", tuple(inputs), {"value": Number(value, dtype)})


def program(*nodes):
    graph = Graph({node.name: node for node in nodes}, where="a test")
    return Program(Scopes(Tracer(network_of(graph))), lambda op: np.zeros(1))


def tensor(text):
    name, _, number = text.partition(":")
    return name, int(number or 0)


def wide(array):
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


@pytest.mark.parametrize("case", CASES)
def test_a_graph_gives_what_tensorflow_recorded(case):
    card = json.loads((FOLDER / case / "card.json").read_text())
    source = open_source(FOLDER / case / card["file"])
    whole = Program(
        Scopes(Tracer(network_of(source.graph()))),
        Weights(source.graph(), source.tensors),
    )
    with np.load(FOLDER / case / "expected.npz") as stored:
        fed = {tensor(t): wide(stored[f"inputs|{n}"]) for n, t in card["inputs"].items()}
        got = whole.run(fed, [tensor(t) for t in card["outputs"].values()])
        assert got
        for name, at in card["outputs"].items():
            np.testing.assert_allclose(got[tensor(at)], stored[f"outputs|{name}"], atol=2e-6)


def counting(limit, *, step=1.0):
    """``while n < limit: n, total = n + 1, total + n`` in TensorFlow 1's five operations."""
    frame = {"frame_name": "loop"}
    nodes = [const("zero", 0.0), const("limit", limit), const("one", step)]
    for name, following in (("n", "n_next"), ("total", "total_next")):
        nodes += [
            Node(f"{name}_enter", "Enter", ("zero",), frame),
            Node(f"{name}_merge", "Merge", (f"{name}_enter", f"{name}_again")),
            Node(f"{name}_switch", "Switch", (f"{name}_merge", "cond")),
            Node(f"{name}_again", "NextIteration", (following,)),
            Node(f"{name}_exit", "Exit", (f"{name}_switch",)),
        ]
    nodes += [
        Node("less", "Less", ("n_merge", "limit")),
        Node("cond", "LoopCond", ("less",)),
        Node("n_next", "Add", ("n_switch:1", "one")),
        Node("total_next", "Add", ("total_switch:1", "n_switch:1")),
    ]
    return nodes


def test_a_loop_runs_until_its_condition_is_false():
    got = program(*counting(5.0)).run({}, [("total_exit", 0), ("n_exit", 0)])
    assert (got["total_exit", 0], got["n_exit", 0]) == (10.0, 5.0)


def test_a_loop_whose_condition_is_false_at_once_gives_what_it_began_with():
    assert program(*counting(-1.0)).run({}, [("total_exit", 0)])["total_exit", 0] == 0.0


def test_a_loop_variable_may_be_started_with_another_value_and_read_without_an_exit():
    nodes = [node for node in counting(5.0) if node.name != "total_exit"]
    entry = ("total_merge", 0)
    assert program(*nodes).run({}, [entry], {entry: np.asarray(100.0)})[entry] == 110.0


def test_a_loop_that_takes_more_steps_than_it_may_is_given_up_by_its_name():
    endless = program(*counting(5.0, step=0.0))
    with pytest.raises(NotRecognised, match="'loop' has not ended after 50 steps"):
        endless.run({}, [("n_exit", 0)], most=50)
    assert program(*counting(5.0)).run({}, [("n_exit", 0)], most=5)["n_exit", 0] == 5.0


def test_what_a_loop_computes_in_each_step_has_no_value_outside_of_it():
    nodes = [*counting(5.0), Node("leak", "Neg", ("n_next",))]
    with pytest.raises(NotRecognised):
        program(*nodes).run({}, [("leak", 0)])
    with pytest.raises(NotRecognised, match="outside of the loop 'loop'"):
        program(*nodes).run({}, [("n_next", 0)])


def cond():
    """``x if p else -x``, and a constant that stands in the branch of not p."""
    return [
        Node("p", "Placeholder"),
        Node("x", "Placeholder"),
        Node("switch", "Switch", ("x", "p")),
        Node("pivot_switch", "Switch", ("p", "p")),
        Node("pivot", "Identity", ("pivot_switch:0",)),
        Node("minus", "Neg", ("switch:0",)),
        const("seven", 7.0, inputs=["^pivot"]),
        Node("merge", "Merge", ("minus", "switch:1")),
        Node("or_seven", "Merge", ("seven", "switch:1")),
    ]


@pytest.mark.parametrize(("taken", "value", "other"), [(True, 3.0, 3.0), (False, -3.0, 7.0)])
def test_a_cond_takes_the_branch_that_its_predicate_says(taken, value, other):
    fed = {("p", 0): np.asarray(taken), ("x", 0): np.asarray(3.0)}
    got = program(*cond()).run(fed, [("merge", 0), ("or_seven", 0)])
    assert (got["merge", 0], got["or_seven", 0]) == (value, other)


def test_what_stands_in_a_branch_that_is_not_taken_has_no_value():
    fed = {("p", 0): np.asarray(True), ("x", 0): np.asarray(3.0)}
    with pytest.raises(NotRecognised, match="'minus' has no value"):
        program(*cond()).run(fed, [("minus", 0)])


def test_an_array_gives_back_what_was_written_and_nothing_else():
    nodes = [
        const("size", 2, np.int32),
        const("both", [0, 1], np.int32),
        const("second", 1, np.int32),
        const("values", [[1.0, 2.0], [3.0, 4.0]]),
        const("row", [5.0, 6.0]),
        Node("array", "TensorArrayV3", ("size",)),
        Node("filled", "TensorArrayScatterV3", ("array", "both", "values", "array:1")),
        Node("written", "TensorArrayWriteV3", ("array", "second", "row", "filled")),
        Node("all", "TensorArrayGatherV3", ("array", "both", "written")),
        Node("none", "TensorArrayReadV3", ("array", "second", "array:1")),
    ]
    whole = program(*nodes)
    np.testing.assert_array_equal(whole.run({}, [("all", 0)])["all", 0], [[1, 2], [5, 6]])
    with pytest.raises(NotRecognised, match="'none' cannot be computed"):
        whole.run({}, [("none", 0)])


@pytest.mark.parametrize("size", [-1, 1 << 40])
def test_an_array_of_any_size_is_not_believed(size):
    nodes = [const("size", size, np.int64), Node("array", "TensorArrayV3", ("size",))]
    with pytest.raises(NotRecognised, match="elements"):
        program(*nodes).run({}, [("array", 0)])


def test_an_operation_that_is_not_defined_is_named():
    with pytest.raises(NotRecognised, match="PyFunc 'mine'"):
        program(const("x", 1.0), Node("mine", "PyFunc", ("x",))).run({}, [("mine", 0)])


def test_a_placeholder_that_is_not_fed_is_named():
    nodes = [Node("x", "Placeholder"), Node("y", "Neg", ("x",))]
    with pytest.raises(NotRecognised, match="Placeholder 'x'"):
        program(*nodes).run({}, [("y", 0)])


def test_a_placeholder_with_a_default_has_it_until_it_is_fed():
    nodes = [const("five", 5.0), Node("x", "PlaceholderWithDefault", ("five",))]
    whole = program(*nodes, Node("y", "Neg", ("x",)))
    assert whole.run({}, [("y", 0)])["y", 0] == -5.0
    assert whole.run({("x", 0): np.asarray(2.0)}, [("y", 0)])["y", 0] == -2.0


def test_a_cycle_outside_of_loops_is_an_error_of_the_file():
    nodes = [Node("a", "Neg", ("b",)), Node("b", "Exp", ("a",))]
    with pytest.raises(SourceUnreadable, match="depends on itself"):
        program(*nodes).run({}, [("a", 0)])


def test_a_chain_of_many_operations_needs_no_recursion():
    nodes = [const("n0", 1.0)]
    nodes += [Node(f"n{k + 1}", "Neg", (f"n{k}",)) for k in range(20_000)]
    assert program(*nodes).run({}, [("n20000", 0)])["n20000", 0] == 1.0


def two_loops(first_starts_with, second_starts_with):
    """Two counting loops, the second's values named with ``b_`` in front."""
    first = counting(5.0)
    second = [
        Node(f"b_{n.name}", n.op, tuple(f"b_{i}" for i in n.inputs), n.attrs)
        for n in counting(5.0)
    ]
    second = [
        Node(n.name, n.op, n.inputs, {"frame_name": "other"}) if n.op == "Enter" else n
        for n in second
    ]
    starts = {"n_enter": first_starts_with, "b_n_enter": second_starts_with}
    return [
        Node(n.name, n.op, (starts[n.name],), n.attrs) if n.name in starts else n
        for n in (*first, *second)
    ]


def test_a_loop_may_begin_with_what_another_ended_with():
    got = program(*two_loops("zero", "n_exit")).run({}, [("b_n_exit", 0), ("b_total_exit", 0)])
    assert (got["b_n_exit", 0], got["b_total_exit", 0]) == (5.0, 0.0)


def test_loops_that_begin_with_each_other_s_end_are_an_error_of_the_file():
    with pytest.raises(SourceUnreadable, match="depends on itself"):
        program(*two_loops("b_n_exit", "n_exit")).run({}, [("n_exit", 0)])


def test_a_condition_that_is_no_truth_is_named():
    nodes = [n for n in counting(5.0) if n.name != "limit"]
    with pytest.raises(NotRecognised, match="no single truth"):
        program(*nodes, const("limit", [])).run({}, [("n_exit", 0)])


def test_an_operations_meaning_and_a_variables_numbers_can_be_replaced():
    nodes = [const("x", 2.0), Node("w", "VariableV2"), Node("y", "Mul", ("x", "w"))]
    plain = program(*nodes)
    assert plain.run({}, [("y", 0)])["y", 0] == 0.0
    other = replace(plain, weights=lambda op: np.full(1, 3.0))
    assert other.run({}, [("y", 0)])["y", 0] == 6.0
    turned = replace(other, defines={"y": lambda w, op, args: [w.add(*args)]})
    assert turned.run({}, [("y", 0)])["y", 0] == 5.0


def test_a_graph_is_run_by_the_words_it_is_given():
    nodes = [const("x", 0.1), Node("w", "VariableV2"), Node("y", "Mul", ("x", "w"))]
    exact = replace(program(*nodes), weights=lambda op: np.full(1, 0.3))
    coarse = replace(exact, words=GraphRounding("bfloat16", 3))
    off = abs(coarse.run({}, [("y", 0)])["y", 0] / exact.run({}, [("y", 0)])["y", 0] - 1.0)
    assert 0.0 < off < 2.0**-6


def test_what_cannot_be_computed_does_no_harm_where_nobody_needs_it():
    nodes = [
        *(const("x", 2.0), const("p", False, np.bool_), Node("odd", "Quux", ("x",))),
        *(Node("s", "Switch", ("odd", "p")), Node("t", "Switch", ("x", "p"))),
        *(Node("neg", "Neg", ("s:1",)), Node("m", "Merge", ("t", "neg"))),
    ]
    assert program(*nodes).run({}, [("m", 0)])["m", 0] == 2.0
    with pytest.raises(NotRecognised, match="it depends on the Quux 'odd'"):
        program(*nodes).run({}, [("s", 0)])


def counting_down():
    """``while n > 0: n, total = n - 1, total + n`` as TensorFlow 2 writes it."""
    one = const("one", 1.0)
    body = Function(
        "body",
        ("n", "total"),
        (("n", "less:z:0"), ("total", "more:z:0")),
        {
            "one": one,
            "less": Node("less", "Sub", ("n", "one:output:0")),
            "more": Node("more", "Add", ("total", "n")),
        },
    )
    cond = Function(
        "cond",
        ("n", "total"),
        (("again", "positive:z:0"),),
        {
            "zero": const("zero", 0.0),
            "positive": Node("positive", "Greater", ("n", "zero:output:0")),
        },
    )
    calls = {"body": FunctionRef("body"), "cond": FunctionRef("cond")}
    nodes = [const("n", 4.0), const("total", 0.5), Node("while", "While", ("n", "total"), calls)]
    graph = Graph({n.name: n for n in nodes}, {"body": body, "cond": cond}, "a test")
    return Program(Scopes(Tracer(network_of(graph))), lambda op: np.zeros(1))


def test_a_while_gives_each_of_its_variables_as_an_output_of_its_own():
    got = counting_down().run({}, [("while", 0), ("while", 1)])
    assert (got["while", 0], got["while", 1]) == (0.0, 10.5)
    assert counting_down().run({}, [("while", 1)])["while", 1] == 10.5
