"""Graphs that TensorFlow wrote: the facts of their cards, and what damage does to them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lstmbridge.errors import LstmBridgeError
from lstmbridge.graph.evidence import gather

PLAIN = {"forget_bias": 1.0, "activation": "tanh", "cell_clip": None, "proj_clip": None}
SHOWN = {
    "tf012-seed-meta": {},
    "tf10-seed-meta": {},
    "tf14-seed-meta": {},
    "tf115-seed-meta": {},
    "tf115-adam-meta": {},
    "tf115-residual": {},
    "tf115-shared-cell": {},
    "tf115-bidirectional-lengths": {},
    "tf115-relu": {"activation": "relu"},
    "tf115-forget-bias-0": {"forget_bias": 0.0},
    "tf115-block-forget-bias-0": {"forget_bias": 0.0},
    "tf10-block-clip": {"cell_clip": 3.0},
}


@pytest.mark.parametrize("name", SHOWN)
def test_constants_are_those_the_net_was_built_with(name, case, meta, queries):
    one = case(name)
    evidence = gather(meta(one), queries(one.card))
    for cell in evidence.cells.values():
        facts = {key: getattr(cell.facts, key).value for key in PLAIN}
        assert facts == {**PLAIN, **SHOWN[name]}
        assert not cell.failures
    assert all(not run.constructs for run in evidence.runs)


def test_every_option_together_is_read(case, meta, queries):
    one = case("tf115-everything")
    evidence = gather(meta(one), queries(one.card))
    (cell,) = evidence.cells.values()
    wanted = one.card["hparams"]
    assert cell.facts.forget_bias.value == wanted["forget_bias"]
    assert cell.facts.cell_clip.value == wanted["cell_clip"]
    assert cell.facts.proj_clip.value == wanted["proj_clip"]
    assert cell.facts.peephole.value is True


def test_three_layers_in_a_loop_are_one_run(case, meta, queries):
    one = case("tf115-seed-meta")
    (run,) = gather(meta(one), queries(one.card)).runs
    assert [layer.split("/")[-2] for layer in run.layers] == ["cell_0", "cell_1", "cell_2"]


def test_a_shared_cell_is_three_layers_on_one_variable(case, meta, queries):
    one = case("tf115-shared-cell")
    (run,) = gather(meta(one), queries(one.card)).runs
    assert len(run.layers) == one.card["hparams"]["layers"]
    assert len(set(run.layers)) == 1


def test_residual_layers_are_told_apart_from_plain_ones(case, meta, queries):
    one = case("tf115-residual")
    (run,) = gather(meta(one), queries(one.card)).runs
    assert run.residual == (False, True)


def test_the_backward_direction_is_the_reversed_one(case, meta, queries):
    one = case("tf115-bidirectional-lengths")
    runs = gather(meta(one), queries(one.card)).runs
    assert {run.layers[0].split("/")[1]: run.reversed for run in runs} == {
        "fw": "no",
        "bw": "lengths",
    }
    assert {run.lengths for run in runs} == {"sequence_length"}


def test_dropout_by_a_placeholder_leaves_a_plain_stack(case, meta, queries):
    one = case("tf115-dropout")
    evidence = gather(meta(one), queries(one.card))
    assert evidence.dropouts
    assert all(not run.constructs for run in evidence.runs)


def damaged(graph, seed):
    """The graph with nodes taken away, joined wrongly, renamed, stripped of attributes."""
    dice = random.Random(seed)
    nodes = dict(graph.nodes)
    for _ in range(dice.choice((1, 2, 8))):
        name = dice.choice(list(nodes))
        node = nodes[name]
        other = dice.choice(list(nodes))
        change = dice.randrange(6)
        if change == 0:
            del nodes[name]
        elif change == 1:
            nodes[name] = replace(node, inputs=node.inputs[:-1])
        elif change == 2:
            suffix = dice.choice(("", ":1", ":9"))
            nodes[name] = replace(node, inputs=(*node.inputs[1:], other + suffix))
        elif change == 3:
            nodes[name] = replace(node, op=dice.choice((nodes[other].op, "Odd", "While")))
        elif change == 4:
            nodes[name] = replace(node, attrs={})
        else:
            senseless = (None, -1, "x", b"\xff", (1, 2), 2**40, float("nan"))
            nodes[name] = replace(node, attrs={a: dice.choice(senseless) for a in node.attrs})
    return replace(graph, nodes=nodes)


def answered(graph, asked):
    """Whether there is an answer; any error but ours is a failure of the test."""
    try:
        gather(graph, asked)
    except LstmBridgeError as error:
        return not error.read
    return True


@pytest.mark.parametrize("name", ["tf115-everything", "tf115-bidirectional-lengths"])
def test_a_damaged_graph_gives_an_answer_or_one_of_our_errors(name, case, meta, queries):
    one = case(name)
    graph, asked = meta(one), queries(one.card)
    answers = [answered(damaged(graph, seed), asked) for seed in range(60)]
    assert 5 < answers.count(True) < 55
