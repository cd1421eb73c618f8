"""A whole model drawn: what a reader looks for is there, and graphs of any size stay readable."""

from __future__ import annotations

import random
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner

from lstmbridge.cli import main
from lstmbridge.cli.reports import network_of
from lstmbridge.contracts import Hints
from lstmbridge.graph.execute import Program
from lstmbridge.graph.network import Network, Op
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.report.flow import drawn, flow_of
from lstmbridge.report.layered import Box, Flow, picture

GRAPHS = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"


def whole_of(ops: list[Op], outputs: list[str]) -> Whole:
    network = Network({op.name: op for op in ops}, (), "test")
    tracer = Tracer(network)
    program = Program(Scopes(tracer), lambda _op: np.zeros(()))
    ends = tuple(Port(name, (name, 0), (None, 4), np.dtype("f4")) for name in outputs)
    return Whole(program, (Port("x", ("x", 0), None, np.dtype("f4")),), ends)


def chain(count: int, scope: str = "net") -> list[Op]:
    ops = [Op("x", "Placeholder", (), {}), Op("w", "VariableV2", (), {})]
    last = "x"
    for k in range(count):
        name = f"{scope}/part{k // 20}/op{k}"
        ops.append(Op(name, "MatMul" if k % 2 else "Relu", ((last, 0), ("w", 0)), {}))
        last = name
    return ops


def pieces(svg: str) -> list[ET.Element]:
    return [x for x in ET.fromstring(svg).iter() if x.tag.endswith("rect")]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (
            "frozen-translator/frozen.pb",
            {
                "embedding: encoder",
                "encoder/rnn",
                "embedding: decoder",
                "decoder/rnn",
                "decoder/logits",
            },
        ),
        ("saved-tagger/saved_model", {"embedding: embedding_lookup", "rnn", "logits"}),
    ],
)
def test_embeddings_stacks_heads_and_ports_of_a_real_model_are_boxes(graph, expected) -> None:
    flow = flow_of(network_of(GRAPHS / graph, Hints(), stack_only=False))
    kinds = {box.title: box.kind for box in flow.boxes.values()}
    assert expected <= kinds.keys()
    assert {title for title, kind in kinds.items() if kind == "native"} == {
        title for title in expected if title.endswith("rnn")
    }
    assert {"input", "output"} <= set(kinds.values())


def test_shape_arithmetic_and_weights_are_not_drawn() -> None:
    ops = [
        *chain(4),
        Op("shape", "Shape", (("x", 0),), {}),
        Op("rows", "StridedSlice", (("shape", 0),), {}),
        Op("out", "Reshape", (("net/part0/op3", 0), ("rows", 0)), {}),
    ]
    flow = flow_of(whole_of(ops, ["out"]))
    assert [box.title for box in flow.boxes.values()] == ["x", "net/part0", "out"]
    assert len(flow.wires) == 2


@pytest.mark.parametrize("count", [10, 100, 1500])
def test_graphs_of_any_size_are_few_boxes(count: int) -> None:
    flow = flow_of(whole_of(chain(count), [f"net/part{(count - 1) // 20}/op{count - 1}"]))
    assert 3 <= len(flow.boxes) <= 50
    assert len(pieces(picture(flow, "test"))) == len(flow.boxes)


def test_scopes_that_feed_each_other_are_one_box() -> None:
    ops, last = [Op("x", "Placeholder", (), {})], "x"
    for k in range(40):
        ops.append(Op(f"{'ab'[k % 2]}/op{k}", "Relu", ((last, 0),), {}))
        last = ops[-1].name
    flow = flow_of(whole_of(ops, [last]))
    assert sorted(box.kind for box in flow.boxes.values()) == ["", "input", "output"]


def test_boxes_do_not_lie_on_each_other_and_numbers_flow_downwards() -> None:
    dice = random.Random(5)
    boxes = {str(k): Box(f"box {k}", "", "") for k in range(30)}
    wires = {(str(a), str(b)) for b in range(1, 30) for a in dice.sample(range(b), min(b, 2))}
    svg = picture(Flow(boxes, tuple(sorted(wires))), "test")
    spots = {x[0].text: (float(x.get("x")), float(x.get("y"))) for x in pieces(svg)}
    assert len(set(spots.values())) == 30
    for a, (x, y) in spots.items():
        for b, (x2, y2) in spots.items():
            assert a == b or abs(x - x2) >= 214 or abs(y - y2) >= 46
    for a, b in wires:
        assert spots[f"box {a}: "][1] < spots[f"box {b}: "][1]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\"b'c&d", "]]>", "\u202etxt"])
def test_a_hostile_operation_or_input_is_text_and_nothing_else(name: str) -> None:
    ops = [Op("x", "Placeholder", (), {}), Op(name, "Relu", (("x", 0),), {})]
    svg = drawn(whole_of(ops, [name]))
    assert "<script" not in svg
    assert {x.tag.rpartition("}")[2] for x in ET.fromstring(svg).iter()} <= {
        "svg", "title", "g", "path", "rect", "text",
    }  # fmt: skip


def test_the_page_of_a_whole_model_draws_it_in_both_commands(tmp_path: Path) -> None:
    run = CliRunner().invoke
    source, artifact = str(GRAPHS / "saved-tagger" / "saved_model"), str(tmp_path / "m.onnx")
    page = tmp_path / "m.html"
    asked = ["--html", str(page), "--batch", "2", "--steps", "4"]
    made = run(main, ["convert", source, "--to", "onnx", "-o", artifact, *asked])
    assert made.exit_code == 0, made.output
    first = page.read_text(encoding="utf-8")
    done = run(main, ["verify", source, artifact, *asked])
    assert done.exit_code == 0, done.output
    for text in (first, page.read_text(encoding="utf-8")):
        assert 'class="flow"' in text
        assert "embedding: embedding_lookup" in text
        assert "1 layer LSTM, 3 → 4" in text
