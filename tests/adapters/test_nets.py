"""Graphs that TensorFlow built, of every cell and wrapper: proven, or refused by name and node."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lstmbridge.adapters import recognise
from lstmbridge.errors import CannotExpress, FactConflict, LstmBridgeError, NotRecognised
from lstmbridge.model.blocks import Highway, Residual
from lstmbridge.model.facts import Basis

NETS = json.loads((Path(__file__).parent / "recorded_nets.json").read_text())["nets"]
PROVEN = [net for net in NETS if not net.get("refused")]
REFUSED = [net for net in NETS if net.get("refused")]


def _named(net):
    return net["name"]


@pytest.mark.parametrize("net", PROVEN, ids=_named)
def test_a_graph_shows_structure_and_constants_and_nothing_is_assumed(look, structure, net):
    [part] = look(net).parts
    facts = part.model.all_facts
    assert structure(part.model.root) == net["structure"]
    assert {name: facts[name].value for name in net["constants"]} == net["constants"]
    assert {fact.basis for fact in facts.values()} == {Basis.READ}


@pytest.mark.parametrize("net", [n for n in PROVEN if not n["name"].startswith("own")], ids=_named)
def test_constants_that_a_net_leaves_alone_are_the_defaults_that_bare_weights_assume(look, net):
    [proven], [bare] = look(net).parts, _bare(look, net).parts
    for told, assumed in zip(proven.model.layers, bare.model.layers, strict=True):
        for name, fact in assumed.cell.facts.items():
            if f"{told.name}.{name}" not in net["constants"]:
                assert told.cell.facts[name].value == fact.value, name


def _bare(look, net):
    layers = net["structure"].count(",") + 1 if "shared_cell" in net["constants"] else None
    return look(net, ignore_graph=True, layers=layers)


@pytest.mark.parametrize("net", REFUSED, ids=_named)
def test_what_computes_something_else_than_its_names_say_is_refused_with_its_node(look, net):
    with pytest.raises(CannotExpress) as caught:
        look(net)
    assert "net.pb" in caught.value.where
    assert "--ignore-graph" in caught.value.advice


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("gru-softsign", {"activation": "softsign"}),
        ("coupled", {"forget_bias": 0.25, "proj_clip": 0.3}),
        ("layer-norm", {"forget_bias": 0.0, "activation": "relu"}),
        ("residuals", {"residual": True}),
        ("gru-shared", {"layers": 3}),
    ],
)
def test_a_statement_that_agrees_with_the_graph_is_welcome(look, name, hints):
    net = next(net for net in PROVEN if net["name"] == name)
    assert look(net, **hints).parts[0].model.all_facts == look(net).parts[0].model.all_facts


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("gru-softsign", {"activation": "tanh"}),
        ("coupled", {"forget_bias": 1.0}),
        ("coupled", {"proj_clip": 0.5}),
        ("gru", {"forget_bias": 1.0}),
        ("gru", {"residual": True}),
        ("gru-block", {"activation": "relu"}),
        ("gru-shared", {"layers": 2}),
    ],
)
def test_a_statement_that_the_graph_contradicts_is_a_conflict(look, name, hints):
    net = next(net for net in PROVEN if net["name"] == name)
    with pytest.raises(FactConflict):
        look(net, **hints)


@pytest.mark.parametrize("net", [n for n in PROVEN if n["name"].startswith("own")], ids=_named)
def test_a_graph_tells_which_cell_lies_under_a_name_of_its_own(look, net):
    assert look(net).warnings == ()
    try:
        [part] = look(net, ignore_graph=True).parts
    except NotRecognised:
        return
    assert any("name of its own" in text for text in look(net, ignore_graph=True).warnings)
    assert {fact.basis for fact in part.model.all_facts.values()} > {Basis.ASSUMED}


def _damaged(graph, seed):
    """The graph with nodes taken away, joined wrongly, renamed or stripped of attributes."""
    dice = random.Random(seed)
    nodes = dict(graph.nodes)
    for _ in range(dice.choice((1, 2, 8))):
        name, other = dice.choice(list(nodes)), dice.choice(list(nodes))
        node = nodes[name]
        nodes[name] = dice.choice(
            (
                replace(node, inputs=node.inputs[:-1]),
                replace(node, inputs=(*node.inputs[1:], other + dice.choice(("", ":1", ":9")))),
                replace(node, op=dice.choice((nodes[other].op, "Odd", "While"))),
                replace(node, attrs={}),
            )
        )
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize("net", PROVEN[::4], ids=_named)
def test_a_damaged_graph_gives_an_answer_or_one_of_our_errors(source, graph_of, net):
    graph = graph_of(net)
    shapes = {name: tuple(shape) for name, shape in net["variables"].items()}
    answers = [_answer(source(shapes, shown_graph=_damaged(graph, k))) for k in range(12)]
    assert all(answers)
    assert len(set(answers)) > 1


def _answer(opened):
    """The error's words, or that there is none; any error but ours is a failure of the test."""
    try:
        recognise(opened)
    except LstmBridgeError as error:
        return error.read
    return "read"


def test_a_residual_of_one_of_two_wrapped_layers_stands_where_the_graph_has_it(look):
    inner = next(net for net in PROVEN if net["name"] == "highway-of-residual")
    outer = next(net for net in PROVEN if net["name"] == "residual-of-highway")
    assert isinstance(look(inner).parts[0].model.root, Highway)
    assert isinstance(look(outer).parts[0].model.root, Residual)
