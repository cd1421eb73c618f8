"""Proofs are shared between unrolled steps that are the same computation, and by no others."""

from dataclasses import replace

import pytest

from lstmbridge.graph import prove
from lstmbridge.graph.evidence import gather
from lstmbridge.graph.findings import CellQuery
from lstmbridge.graph.graphdef import Graph


@pytest.fixture
def unrolled(build, ask):
    """Six equal steps of one cell, and the question about it."""
    x = build.placeholder("x", -1, 6, 3)
    pair = build.weights("cell", 3)
    c, h = build.zeros(), build.zeros()
    for at in build.steps(x, 6):
        c, h = build.cell(at, c, h, pair)
    return build.graph(), ask("cell")


def _attempts(monkeypatch, graph, query: CellQuery):
    """(the evidence, how many proofs were made)."""
    made, attempt = [], prove.Prover._attempt
    monkeypatch.setattr(
        prove.Prover, "_attempt", lambda *a, **k: made.append(0) or attempt(*a, **k)
    )
    return gather(graph, [query]), len(made)


def _later(graph: Graph, kind: str) -> str:
    """The fourth step's operation of a kind."""
    return [node.name for node in graph.nodes.values() if node.op == kind][3]


def test_equal_steps_are_proven_once(monkeypatch, unrolled):
    evidence, proofs = _attempts(monkeypatch, *unrolled)
    assert len(evidence.cells["cell"].applications) == 6
    assert proofs == 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Tanh", lambda node: replace(node, op="Relu")),
        ("Mul", lambda node: replace(node, inputs=(node.inputs[0], node.inputs[0]))),
        ("Sigmoid", lambda node: replace(node, op="Tanh")),
        ("BiasAdd", lambda node: replace(node, op="Sub")),
        ("MatMul", lambda node: replace(node, attrs={**node.attrs, "transpose_a": True})),
        ("ConcatV2", lambda node: replace(node, inputs=(*node.inputs[1::-1], node.inputs[2]))),
    ],
)
def test_one_step_that_deviates_is_found(monkeypatch, unrolled, kind, change):
    graph, query = unrolled
    name = _later(graph, kind)
    changed = replace(graph, nodes={**graph.nodes, name: change(graph.nodes[name])})
    evidence, _ = _attempts(monkeypatch, changed, query)
    cell = evidence.cells["cell"]
    assert cell.facts is None or any(run.constructs for run in evidence.runs)


def test_a_constant_of_one_step_alone_is_not_shared(monkeypatch, build, ask):
    x = build.placeholder("x", -1, 4, 3)
    pair = build.weights("cell", 3)
    c, h = build.zeros(), build.zeros()
    for k, at in enumerate(build.steps(x, 4)):
        c, h = build.cell(at, c, h, pair, forget_bias=0.5 if k == 2 else 1.0)
    evidence, proofs = _attempts(monkeypatch, build.graph(), ask("cell"))
    assert evidence.cells["cell"].facts is None
    assert proofs == 2
