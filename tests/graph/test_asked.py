"""Which model a graph holds is found where the graph says it, and asked for where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.errors import FactConflict, FactMissing, NotRecognised, UsageError
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.graph.undefined import why_undefined

F, I, B = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.bool_)


class Number:
    def __init__(self, value, dtype=np.float32):
        self._array = np.asarray(value, dtype)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def load(self):
        return self._array


def const(name, value, dtype=np.float32, inputs=()):
    return Node(name, "Const", tuple(inputs), {"value": Number(value, dtype)})


def feed(name, *shape, dtype=F, kind="Placeholder", inputs=()):
    return Node(name, kind, tuple(inputs), {"dtype": dtype, "shape": shape})


def node(name, kind, *inputs, **attrs):
    return Node(name, kind, inputs, {"T": F, **attrs})


def graph(*nodes):
    return Graph({n.name: n for n in nodes}, where="a test")


def whole(*nodes, **asked):
    return whole_of(graph(*nodes), lambda op: np.full((2, 2), 3.0), **asked)


X = feed("x", -1, 2)


def test_a_frozen_graph_leads_from_its_placeholders_to_what_nobody_reads():
    model = whole(X, node("y", "Tanh", "x"))
    (given,), (made,) = model.inputs, model.outputs
    assert (given.name, given.shape, given.dtype) == ("x", (None, 2), F)
    assert (made.name, made.shape, made.dtype) == ("y", (None, 2), F)
    got = model.run({"x": np.ones((3, 2))})
    np.testing.assert_array_equal(got["y"], np.tanh(np.ones((3, 2))))


def test_declared_inputs_and_outputs_keep_the_signatures_keys():
    model = whole(
        *(X, node("y", "Tanh", "x"), node("z", "Neg", "y")),
        declared_inputs={"tokens": "x:0"},
        declared_outputs={"scores": "y:0"},
    )
    assert [p.name for p in (*model.inputs, *model.outputs)] == ["tokens", "scores"]
    assert set(model.run({"tokens": np.ones((1, 2))})) == {"scores"}


def test_what_the_user_names_wins_over_what_is_declared_and_anything_can_be_an_input():
    nodes = (X, node("y", "Tanh", "x"), node("z", "Neg", "y"))
    model = whole(*nodes, declared_outputs={"scores": "y:0"}, inputs=["y"], outputs=["z:0"])
    assert [p.name for p in (*model.inputs, *model.outputs)] == ["y", "z"]
    assert model.run({"y": np.ones((1, 2))})["z"].tolist() == [[-1.0, -1.0]]


def test_feeding_what_only_hands_a_tensor_on_leaves_its_other_readers_alone():
    nodes = (X, node("same", "Identity", "x"), node("y", "Add", "same", "x"))
    model = whole(*nodes, inputs=["x", "same"], outputs=["y"])
    got = model.run({"x": np.ones((1, 2)), "same": np.full((1, 2), 10.0)})
    assert got["y"].tolist() == [[11.0, 11.0]]


def test_a_name_that_is_not_there_is_answered_with_near_ones():
    with pytest.raises(UsageError) as caught:
        whole(X, node("head/logits", "Tanh", "x"), outputs=["logits"])
    assert "'logits'" in caught.value.read
    assert "head/logits" in caught.value.advice


def test_several_outputs_of_a_graph_that_was_not_cut_are_asked_for():
    nodes = (X, node("w", "VariableV2", dtype=F), node("y", "Mul", "x", "w"))
    assert [p.name for p in whole(*nodes).outputs] == ["y"]
    with pytest.raises(FactMissing, match=r"'y' .*'z'") as caught:
        whole(*nodes, node("z", "MatMul", "x", "w"))
    assert "--outputs" in caught.value.advice


def test_gradients_savers_and_summaries_are_no_outputs():
    nodes = (
        *(X, node("w", "VariableV2", dtype=F), node("y", "Mul", "x", "w")),
        *(node("gradients/g", "Neg", "x"), node("save", "SaveV2", "w"), node("go", "NoOp", "^y")),
        node("watch", "HistogramSummary", "x", "w"),
    )
    assert [p.name for p in whole(*nodes).outputs] == ["y"]


def test_what_the_graph_does_not_compute_is_asked_for_with_its_dtype_and_shape():
    lists = {"output_types": (I, F), "output_shapes": ((-1,), (-1, 2))}
    nodes = (Node("next", "IteratorGetNext", (), lists), node("y", "Tanh", "next:1"))
    with pytest.raises(FactMissing) as caught:
        whole(*nodes, outputs=["y"])
    assert "'next:1' (float32, (?, 2), IteratorGetNext, read by 'y')" in caught.value.read
    assert "--inputs next:1" in caught.value.advice
    model = whole(*nodes, inputs=["next:1"], outputs=["y"])
    assert (model.inputs[0].name, model.inputs[0].shape) == ("next:1", (None, 2))


def test_an_operation_that_is_not_defined_is_refused_by_its_type_name_and_reader():
    nodes = (X, node("odd", "Quux", "x"), node("y", "Tanh", "odd"))
    with pytest.raises(NotRecognised, match=r"Quux 'odd'.*'y' reads it") as caught:
        whole(*nodes)
    assert all(way in caught.value.advice for way in ("--outputs", "--inputs odd", "--stack-only"))
    assert [p.name for p in whole(*nodes, inputs=["odd"]).inputs] == ["odd"]


def test_a_placeholder_beside_the_named_inputs_is_asked_for():
    nodes = (X, feed("t", dtype=F), node("y", "Mul", "x", "t"))
    assert [p.name for p in whole(*nodes).inputs] == ["x", "t"]
    with pytest.raises(FactMissing, match=r"'t' \(float32, \(\), Placeholder, read by 'y'\)"):
        whole(*nodes, inputs=["x"])
    model = whole(*nodes, inputs=["x"], settings={"t": "2.5"})
    (setting,) = model.settings
    assert (setting.name, setting.why, setting.given) == ("t", "given by --set", True)
    assert model.run({"x": np.ones((1, 2))})["y"].tolist() == [[2.5, 2.5]]


def test_a_placeholder_with_a_default_takes_it():
    nodes = (
        *(X, const("two", 2.0)),
        feed("t", kind="PlaceholderWithDefault", inputs=["two"]),
        node("y", "Mul", "x", "t"),
    )
    model = whole(*nodes)
    assert [(s.name, float(s.value), s.why) for s in model.settings] == [("t", 2.0, "its default")]
    assert [p.name for p in whole(*nodes, inputs=["x", "t"]).inputs] == ["x", "t"]


def dropout(keep):
    """``x / keep * floor(keep + random)``, as TensorFlow 1 writes it."""
    return (
        *(X, feed(keep, dtype=F), const("shape", [3, 2], np.int32), const("low", 0.0)),
        node("noise", "RandomUniform", "shape"),
        node("shifted", "Add", keep, "noise"),
        *(node("mask", "Floor", "shifted"), node("scaled", "RealDiv", "x", keep)),
        *(node("dropped", "Mul", "scaled", "mask"), node("y", "Tanh", "dropped")),
    )


@pytest.mark.parametrize("asked", [{}, {"inputs": ["x"]}, {"inputs": ["x", "keep"]}])
def test_a_keep_probability_that_only_feeds_dropout_is_1(asked):
    model = whole(*dropout("keep"), **asked, outputs=["y"])
    assert [(s.name, float(s.value), s.why) for s in model.settings] == [
        ("keep", 1.0, "feeds only dropout")
    ]
    assert [p.name for p in model.inputs] == ["x"]
    assert model.run({"x": np.ones((3, 2))})["y"][0, 0] == np.tanh(1.0)


def test_a_keep_probability_that_is_set_to_something_else_is_a_contradiction():
    assert whole(*dropout("keep"), outputs=["y"], settings={"keep": "1.0"}).settings[0].given
    with pytest.raises(FactConflict, match="only feeds dropout"):
        whole(*dropout("keep"), outputs=["y"], settings={"keep": "0.5"})


def cond(then, other, *more):
    """``then if phase else other``, as `tf.cond` writes it."""
    return (
        *(X, feed("phase", dtype=B), node("cond/pred_id", "Identity", "phase")),
        node("cond/Switch", "Switch", "x", "cond/pred_id"),
        *more,
        node("cond/Merge", "Merge", other, then),
        node("y", "Tanh", "cond/Merge"),
    )


def test_a_switch_between_training_and_inference_is_asked_for():
    nodes = cond("then", "cond/Switch", node("then", "Neg", "cond/Switch:1"))
    with pytest.raises(FactMissing, match=r"'phase' \(bool, \(\)") as caught:
        whole(*nodes)
    assert "--set phase=false" in caught.value.advice
    for value, sign in (("false", 1.0), ("True", -1.0), ("0", 1.0)):
        model = whole(*nodes, settings={"phase": value})
        assert model.run({"x": np.ones((1, 2))})["y"][0, 0] == np.tanh(sign)


def test_a_branch_that_is_not_taken_needs_nothing():
    odd = (node("odd", "Quux", "cond/Switch:1"), node("z", "Placeholder", dtype=F))
    nodes = cond("then", "cond/Switch", *odd, node("then", "Add", "odd", "z"))
    model = whole(*nodes, settings={"phase": "false"})
    assert [p.name for p in model.inputs] == ["x"]
    assert model.run({"x": np.ones((1, 2))})["y"][0, 0] == np.tanh(1.0)
    with pytest.raises(NotRecognised, match="Quux"):
        whole(*nodes, settings={"phase": "true"})


def test_a_switch_that_chooses_between_equal_things_is_not_asked_for():
    nodes = cond("then", "cond/Switch", node("then", "Identity", "cond/Switch:1"))
    (setting,) = whole(*nodes).settings
    assert (setting.name, setting.why) == ("phase", "chooses between equal branches")


def test_a_switch_that_is_read_elsewhere_is_asked_for_even_so():
    nodes = cond("then", "cond/Switch", node("then", "Identity", "cond/Switch:1"))
    more = (node("number", "Cast", "phase", DstT=F), node("z", "Mul", "y", "number"))
    with pytest.raises(FactMissing, match="'phase'"):
        whole(*nodes, *more)


def test_a_phase_may_be_a_word():
    words = (
        Node("phase", "Placeholder", (), {"dtype": np.dtype(object), "shape": ()}),
        Node("train", "Const", (), {"value": Number(b"train", object)}),
        node("is_train", "Equal", "phase", "train"),
    )
    nodes = (n for n in cond("then", "cond/Switch") if n.name not in {"phase", "cond/pred_id"})
    both = (node("cond/pred_id", "Identity", "is_train"), node("then", "Neg", "cond/Switch:1"))
    model = whole(*words, *nodes, *both, settings={"phase": "test"})
    assert model.run({"x": np.ones((1, 2))})["y"][0, 0] == np.tanh(1.0)


@pytest.mark.parametrize("text", ["maybe", "", "1,2,3"])
def test_a_setting_that_does_not_fit_the_placeholder_is_refused(text):
    nodes = (X, feed("flags", 2, dtype=B), node("y", "Tanh", "x"))
    with pytest.raises(UsageError, match="--set flags="):
        whole(*nodes, settings={"flags": text})
    assert whole(*nodes, settings={"flags": "true,false"}).settings[0].value.tolist() == [
        True,
        False,
    ]


def test_shapes_that_a_graph_does_not_declare_are_seen_by_running_it():
    nodes = (X, const("two", [-1, 1, 2], np.int32), node("y", "Reshape", "x", "two"))
    assert whole(*nodes).outputs[0].shape == (None, 1, 2)


def test_an_input_that_the_graph_computes_where_it_is_not_fed_has_the_shape_that_it_then_has():
    nodes = (
        *(X, node("how", "Shape", "x"), const("zero", 0.0), node("state", "Fill", "how", "zero")),
        node("y", "Add", "x", "state"),
    )
    model = whole(*nodes, inputs=["x", "state"])
    assert model.inputs[1].shape == (None, 2)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Multinomial", "draws random numbers"),
        ("StatelessRandomUniform", "draws random numbers"),
        ("LookupTableFindV2", "a table"),
        ("HashTableV2", "a table"),
        ("StringSplitV2", "text"),
        ("DecodeWav", "text or encoded bytes"),
        ("PyFunc", "Python code"),
        ("Cholesky", "not defined here"),
    ],
)
def test_why_an_operation_is_not_defined_is_said(kind, said):
    assert said in why_undefined(kind)


def test_what_cannot_be_computed_is_refused_with_the_tensor_before_it():
    nodes = [feed("x", -1, 3), const("count", 1, np.int32)]
    nodes.append(Node("pick", "Multinomial", ("x", "count"), {}))
    graph = Graph({node.name: node for node in nodes}, {}, "a test")
    with pytest.raises(NotRecognised, match="'pick', which draws random numbers") as caught:
        whole_of(graph, lambda op: np.zeros(1), outputs=["pick"])
    assert "--outputs x" in caught.value.advice
    assert "--inputs pick" in caught.value.advice
    assert "''" not in str(caught.value)
