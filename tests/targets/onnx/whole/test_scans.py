"""Loops that count their steps become ONNX's Scan; those that may end otherwise stay a Loop."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.graph.graphdef import Function, FunctionRef, Node

FRAME = {"frame_name": "loop"}
INPUTS = {"x": ((None, None, 2), "float32")}
KINDS = {"s_exit": "float32", "steps": "float32"}


def variable(name, initial, following):
    """One loop variable in TensorFlow 1's operations."""
    return [
        Node(f"{name}_enter", "Enter", (initial,), FRAME),
        Node(f"{name}_merge", "Merge", (f"{name}_enter", f"{name}_again")),
        Node(f"{name}_switch", "Switch", (f"{name}_merge", "cond")),
        Node(f"{name}_again", "NextIteration", (following,)),
        Node(f"{name}_exit", "Exit", (f"{name}_switch",)),
    ]


def summing(constant, *, limit="length", condition=(), start=0, stride=1, state="s_plain"):
    """``for n in range(limit): s = 2 s + x[n]``, each s written down; x is time-major."""
    return [
        Node("x", "Placeholder"),
        Node(
            "rows",
            "StridedSlice",
            ("shape", "second", "third", "second"),
            {"shrink_axis_mask": 1},
        ),
        constant("wide", 2, np.int32),
        Node("state", "Pack", ("rows", "wide"), {"axis": 0}),
        constant("three", 3.0),
        Node("s", "Fill", ("state", "three")),
        constant("start", start, np.int32),
        constant("zero", 0, np.int32),
        constant("one", 1, np.int32),
        constant("stride", stride, np.int32),
        constant("two", 2.0),
        constant("first", [0], np.int32),
        constant("second", [1], np.int32),
        constant("third", [2], np.int32),
        Node("shape", "Shape", ("x",)),
        Node(
            "length",
            "StridedSlice",
            ("shape", "first", "second", "second"),
            {"shrink_axis_mask": 1},
        ),
        Node("all", "Range", ("zero", "length", "one")),
        Node("read", "TensorArrayV3", ("length",), {}),
        Node("scattered", "TensorArrayScatterV3", ("read", "all", "x", "read:1")),
        Node("array", "TensorArrayV3", ("length",), {"identical_element_shapes": True}),
        *variable("n", "start", "n_next"),
        *variable("s", "s", "s_next"),
        *variable("flow", "array:1", "written"),
        Node("below", "Less", ("n_merge", limit)),
        *(condition or (Node("cond", "LoopCond", ("below",)),)),
        Node("n_next", "Add", ("n_switch:1", "stride")),
        Node("step", "TensorArrayReadV3", ("read", "n_switch:1", "scattered")),
        Node("double", "Mul", ("s_switch:1", "two")),
        Node("s_plain", "Add", ("double", "step")),
        Node("s_next", "Identity", (state,)),
        Node("written", "TensorArrayWriteV3", ("array", "n_switch:1", "s_next", "flow_switch:1")),
        Node("steps", "TensorArrayGatherV3", ("array", "all", "flow_exit")),
    ]


def nodes_within(graph):
    """Nodes of a graph, those of its subgraphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_within(attribute.g)


def kinds_within(graph):
    return [node.op_type for node in nodes_within(graph)]


def bodies_within(graph):
    """What each Scan repeats."""
    scans = (node for node in nodes_within(graph) if node.op_type == "Scan")
    return [one.g for node in scans for one in node.attribute if one.name == "body"]


def agrees(whole, made, lengths=(1, 2, 5), rows=(1, 3), **more):
    """Whether the file gives what the graph does, at every size."""
    draw = np.random.default_rng(0)
    for length in lengths:
        for batch in rows:
            feeds = {"x": draw.normal(size=(length, batch, 2)), **more}
            wanted = whole.run({k: np.asarray(v) for k, v in feeds.items()})
            for name, value in made(**feeds).items():
                assert value.shape == wanted[name].shape
                np.testing.assert_allclose(value, wanted[name], rtol=1e-5, atol=1e-5)


def test_a_loop_that_reads_and_writes_at_its_counter_is_a_scan_over_the_sequence(
    constant, whole_model, written
):
    whole = whole_model(summing(constant), INPUTS, KINDS)
    made = written(whole)
    kinds = kinds_within(made.proto.graph)
    assert kinds.count("Scan") == 1
    assert "Loop" not in kinds
    (said,) = made.artifact.expressions
    assert (said.layer, said.how) == ("loop", "scan")
    assert "not a native operator" in said.detail
    # no counter is left: the sequence itself says where it ends
    (body,) = bodies_within(made.proto.graph)
    assert (len(body.input), len(body.output)) == (2, 2)
    assert [node.op_type for node in body.node if node.op_type != "Identity"] == ["Mul", "Add"]
    agrees(whole, made)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_sequence_of_no_steps_leaves_the_states_as_they_began(
    rows, constant, whole_model, written
):
    made = written(whole_model(summing(constant), INPUTS, KINDS))
    got = made(x=np.zeros((0, rows, 2)))
    np.testing.assert_array_equal(got["s_exit"], np.full((rows, 2), 3.0))
    assert got["steps"].shape == (0, rows, 2)


def test_a_sequence_of_a_length_that_is_known_needs_no_question(constant, whole_model, written):
    inputs = {"x": ((4, None, 2), "float32")}
    whole = whole_model(summing(constant), inputs, KINDS)
    made = written(whole)
    assert made.kinds.count("Scan") == 1
    assert "If" not in made.kinds
    agrees(whole, made, lengths=(4,))


@pytest.mark.parametrize("most", [0, 1, 3, 9])
def test_a_loop_to_the_lesser_of_two_limits_scans_so_many_steps_and_leaves_zeros(
    most, constant, whole_model, written
):
    nodes = [
        *summing(constant, limit="bound"),
        Node("most", "Placeholder"),
        Node("bound", "Minimum", ("length", "most")),
    ]
    inputs = {**INPUTS, "most": ((), "int32")}
    whole = whole_model(nodes, inputs, KINDS)
    made = written(whole)
    assert "Scan" in kinds_within(made.proto.graph)
    x = np.random.default_rng(most).normal(size=(5, 3, 2))
    state, wanted = np.full((3, 2), 3.0), np.zeros((5, 3, 2))
    for k in range(min(most, 5)):
        state = wanted[k] = 2 * state + x[k]
    got = made(x=x, most=most)
    np.testing.assert_allclose(got["s_exit"], state, rtol=1e-5)
    np.testing.assert_allclose(got["steps"], wanted, rtol=1e-5)


@pytest.mark.parametrize("most", [1, 3, 9])
def test_two_conditions_that_both_count_end_the_scan_at_the_first(
    most, constant, whole_model, written
):
    both = (
        Node("also", "Greater", ("most", "n_merge")),
        Node("both", "LogicalAnd", ("below", "also")),
        Node("cond", "LoopCond", ("both",)),
    )
    nodes = [*summing(constant, condition=both), Node("most", "Placeholder")]
    whole = whole_model(nodes, {**INPUTS, "most": ((), "int32")}, {"s_exit": "float32"})
    made = written(whole)
    assert "Scan" in kinds_within(made.proto.graph)
    agrees(whole, made, most=most)


def test_a_limit_that_may_lie_past_the_sequence_stays_a_loop(constant, whole_model, written):
    nodes = [*summing(constant, limit="most"), Node("most", "Placeholder")]
    whole = whole_model(nodes, {**INPUTS, "most": ((), "int32")}, {"s_exit": "float32"})
    made = written(whole)
    assert "Loop" in made.kinds
    agrees(whole, made, lengths=(4,), most=4)


@pytest.mark.parametrize(("start", "stride"), [(1, 1), (0, 2)])
def test_a_counter_that_does_not_take_every_step_stays_a_loop(
    start, stride, constant, whole_model, written
):
    nodes = summing(constant, start=start, stride=stride)
    whole = whole_model(nodes, INPUTS, {"s_exit": "float32"})
    made = written(whole)
    assert "Loop" in made.kinds
    agrees(whole, made)


def test_a_condition_that_asks_for_a_state_too_stays_a_loop(constant, whole_model, written):
    more = (
        Node("axes", "Range", ("zero", "rank", "one")),
        Node("rank", "Rank", ("s_merge",)),
        Node("sum", "Sum", ("s_merge", "axes")),
        constant("hundred", 9.0),
        Node("small", "Less", ("sum", "hundred")),
        Node("both", "LogicalAnd", ("below", "small")),
        Node("cond", "LoopCond", ("both",)),
    )
    whole = whole_model(summing(constant, condition=more), INPUTS, {"s_exit": "float32"})
    made = written(whole)
    assert "Loop" in made.kinds
    agrees(whole, made)


def test_a_state_that_begins_narrower_than_it_goes_on_stays_a_loop(constant, whole_model, written):
    nodes = [node for node in summing(constant) if node.name != "s"]
    inputs = {**INPUTS, "s": ((1, 2), "float32")}
    whole = whole_model([*nodes, Node("s", "Placeholder")], inputs, KINDS)
    made = written(whole)
    assert "Loop" in made.kinds
    x, s = np.random.default_rng(1).normal(size=(3, 4, 2)), np.ones((1, 2))
    wanted = whole.run({"x": x, "s": s})
    for name, value in made(x=x, s=s).items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-5)


def test_a_step_that_is_read_in_one_branch_only_is_read_there(constant, whole_model, written):
    """Past its own sequence's end a branch that is not taken reads nothing."""
    nodes = [
        *summing(constant, state="s_held"),
        constant("few", 3, np.int32),
        Node("early", "Less", ("n_switch:1", "few")),
        Node("short", "Placeholder"),
        Node("at", "Switch", ("n_switch:1", "early")),
        Node("other", "Switch", ("s_plain", "early")),
        Node("extra", "GatherV2", ("short", "at:1", "zero")),
        Node("more", "Add", ("other:1", "extra")),
        Node("s_held", "Merge", ("other:0", "more")),
    ]
    inputs = {**INPUTS, "short": ((3, 2), "float32")}
    whole = whole_model(nodes, inputs, KINDS)
    made = written(whole)
    assert "Scan" in kinds_within(made.proto.graph)
    agrees(whole, made, short=np.arange(6.0).reshape(3, 2))


@pytest.mark.parametrize("opset", [13, 21])
def test_a_scan_is_written_in_every_opset(opset, constant, whole_model, written):
    whole = whole_model(summing(constant), INPUTS, KINDS)
    made = written(whole, opset=opset)
    assert "Scan" in kinds_within(made.proto.graph)
    agrees(whole, made)


def test_a_while_of_tensorflow_2_over_a_list_is_a_scan(constant, whole_model, written):
    body = Function(
        "body",
        ("n", "limit", "s", "xs", "ys"),
        (
            ("n", "more:z:0"),
            ("limit", "limit"),
            ("s", "sum:z:0"),
            ("xs", "xs"),
            ("ys", "set:output_handle:0"),
        ),
        {
            "one": constant("one", 1, np.int32),
            "more": Node("more", "AddV2", ("n", "one:output:0")),
            "shape": constant("shape", [-1, 2], np.int32),
            "get": Node("get", "TensorListGetItem", ("xs", "n", "shape:output:0")),
            "sum": Node("sum", "AddV2", ("s", "get:item:0")),
            "set": Node("set", "TensorListSetItem", ("ys", "n", "sum:z:0")),
        },
    )
    cond = Function(
        "cond",
        ("n", "limit", "s", "xs", "ys"),
        (("again", "below:z:0"),),
        {"below": Node("below", "Less", ("n", "limit"))},
    )
    calls = {"body": FunctionRef("body"), "cond": FunctionRef("cond")}
    names = {"x", "s", "zero", "first", "second", "third", "rows", "wide", "state", "three"}
    base = [n for n in summing(constant) if n.name in {*names, "shape", "length"}]
    nodes = [
        *base,
        constant("element", [-1, 2], np.int32),
        Node("xs", "TensorListFromTensor", ("x", "element")),
        Node("ys", "TensorListReserve", ("element", "length"), {"element_dtype": np.float32}),
        Node("while", "While", ("zero", "length", "s", "xs", "ys"), calls),
        Node("steps", "TensorListStack", ("while:4", "element"), {"element_dtype": np.float32}),
    ]
    wanted = {"while:2": np.float32, "steps": np.float32}
    whole = whole_model(nodes, INPUTS, wanted, (body, cond))
    made = written(whole)
    assert "Scan" in kinds_within(made.proto.graph)
    agrees(whole, made)
