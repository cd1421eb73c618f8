"""Graphs that TensorFlow wrote, whole, against the numbers that it recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.graph.execute import Program
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources import open_source

FOLDER = Path(__file__).resolve().parents[4] / "fixtures" / "graphs"
CASES = sorted(p.parent.name for p in FOLDER.glob("*/card.json"))


def tensor(text):
    name, _, number = text.partition(":")
    return name, int(number or 0)


def model_of(case):
    """The whole model of a fixture, without the stacks in it; its recorded numbers."""
    card = json.loads((FOLDER / case / "card.json").read_text())
    source = open_source(FOLDER / case / card["file"])
    graph = source.graph()
    program = Program(
        Scopes(Tracer(network_of(graph))),
        Weights(graph, source.tensors),
    )
    with np.load(FOLDER / case / "expected.npz") as stored:
        numbers = {name: stored[name] for name in stored.files}
    inputs = []
    for name, at in card["inputs"].items():
        attrs = graph.nodes[tensor(at)[0]].attrs
        shape = tuple(None if n == -1 else n for n in attrs["shape"])
        inputs.append(Port(name, tensor(at), shape, np.dtype(attrs["dtype"])))
    outputs = [
        Port(name, tensor(at), None, numbers[f"outputs|{name}"].dtype)
        for name, at in card["outputs"].items()
    ]
    return Whole(program, tuple(inputs), tuple(outputs)), numbers


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_gives_what_tensorflow_recorded(case, opset, written):
    whole, numbers = model_of(case)
    made = written(whole, opset=opset)
    got = made(**{port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs})
    assert set(got) == {port.name for port in whole.outputs}
    for name, value in got.items():
        np.testing.assert_allclose(value, numbers[f"outputs|{name}"], atol=2e-6)


def changed(numbers, port, batch, time):
    """An input of another batch and time, of values like those recorded."""
    value = numbers[f"inputs|{port.name}"]
    sizes = [n if n is not None else (batch, time)[k] for k, n in enumerate(port.shape)]
    made = np.random.default_rng(batch + time).choice(value.ravel(), size=sizes)
    return np.clip(made, 0, time).astype(value.dtype) if "length" in port.name else made


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (3, 7), (5, 2)])
@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_takes_any_batch_and_length_as_the_graph_does(case, batch, time, written):
    whole, numbers = model_of(case)
    feeds = {port.name: changed(numbers, port, batch, time) for port in whole.inputs}
    wide = {
        name: value.astype(np.float64 if value.dtype.kind == "f" else np.int64)
        for name, value in feeds.items()
    }
    wanted = whole.run(wide)
    for dtype, tolerance in ((None, 5e-6), ("float64", 1e-12)):
        got = written(whole, dtype=dtype)(**feeds)
        for name, value in got.items():
            np.testing.assert_allclose(value, wanted[name], atol=tolerance)
