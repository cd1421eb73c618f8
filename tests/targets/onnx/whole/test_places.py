"""Recognised stacks inside a whole model are native nodes, and everything around them goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lstmbridge
from lstmbridge.contracts import Expression, TargetOptions
from lstmbridge.errors import CannotExpress
from lstmbridge.graph.execute import Program
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Port, Whole
from lstmbridge.sources import open_source
from lstmbridge.targets.onnx.network import Plan
from lstmbridge.targets.onnx.whole.places import NativePlace
from lstmbridge.targets.onnx.whole.plan import plan_whole

FOLDER = Path(__file__).resolve().parents[4] / "fixtures" / "graphs"
SOURCES = {
    "frozen-classifier": ("frames:0", None),
    "frozen-stack": ("frames:0", None),
    "saved-tagger": ("embedding_lookup/Identity:0", "lengths:0"),
}


def tensor(text):
    name, _, number = text.partition(":")
    return name, int(number or 0)


def with_place(case, **changes):
    """A fixture's whole model, its stack recognised; what TensorFlow recorded."""
    card = json.loads((FOLDER / case / "card.json").read_text())
    path = FOLDER / case / card["file"]
    source = open_source(path)
    graph = source.graph()
    program = Program(
        Scopes(Tracer(network_of(graph))),
        lambda op: source.tensors[op.name].load().astype(np.float64),
    )
    with np.load(FOLDER / case / "expected.npz") as stored:
        numbers = {name: stored[name] for name in stored.files}
    inputs = []
    for name, at in card["inputs"].items():
        attrs = graph.nodes[tensor(at)[0]].attrs
        shape = tuple(None if n == -1 else n for n in attrs["shape"])
        inputs.append(Port(name, tensor(at), shape, np.dtype(attrs["dtype"])))
    wanted = {**card["outputs"], **{k: v for k, v in card["stack"].items() if k != "inputs"}}
    outputs = [
        Port(name, tensor(at), None, numbers[f"outputs|{name}"].dtype)
        for name, at in wanted.items()
        if f"outputs|{name}" in numbers
    ]
    model = lstmbridge.load(path)
    at, lengths = SOURCES[case]
    finals = {
        (layer.name, state): (tensor(card["stack"][layer.state_name(state)]),)
        for layer in model.layers
        for state in layer.cell.state_sizes
    }
    whole_output = tensor(card["stack"]["outputs"])
    place = Place(
        name="rnn",
        model=model,
        source=tensor(at),
        time_major=False,
        lengths=None if lengths is None else tensor(lengths),
        initial={},
        outputs=(whole_output,) if case != "frozen-classifier" else (),
        outputs_time_major=False,
        finals=finals,
    )
    place = replace(place, **changes)
    return Whole(program, tuple(inputs), tuple(outputs), (), (place,)), numbers


@pytest.mark.parametrize("case", sorted(SOURCES))
def test_a_recognised_stack_is_native_nodes_and_gives_what_tensorflow_recorded(case, written):
    whole, numbers = with_place(case)
    made = written(whole)
    assert "LSTM" in made.kinds
    assert not {"Loop", "Scan"} & set(made.kinds)
    got = made(**{port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs})
    for name, value in got.items():
        np.testing.assert_allclose(value, numbers[f"outputs|{name}"], atol=2e-6)


def test_a_stack_whose_model_onnx_has_no_form_for_is_said_operation_by_operation(
    written, monkeypatch
):
    def refuse(*_args):
        raise CannotExpress("no such cell")

    monkeypatch.setattr("lstmbridge.targets.onnx.whole.places.plan_graph", refuse)
    whole, numbers = with_place("saved-tagger")
    made = written(whole)
    assert "LSTM" not in made.kinds
    assert "Loop" in made.kinds
    loop, said = made.artifact.expressions
    assert (said.layer, said.how) == ("rnn/layer0", "stepped")
    assert "no such cell" in said.detail
    assert (loop.layer, loop.how) == ("rnn/while/while_context", "loop")
    got = made(**{port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs})
    for name, value in got.items():
        np.testing.assert_allclose(value, numbers[f"outputs|{name}"], atol=2e-6)


def test_only_the_stacks_around_which_something_cannot_be_said_go_operation_by_operation(
    monkeypatch,
):
    whole, _ = with_place("saved-tagger")
    names = ["first", "bad", "last"]
    whole = replace(whole, places=tuple(replace(whole.places[0], name=name) for name in names))

    class Planner:
        """Cannot say anything around the second stack."""

        def __init__(self, whole, _opset, _options):
            self.whole = whole
            self.places = [NativePlace(place) for place in whole.places]

        def plan(self):
            if any(place.name == "bad" for place in self.whole.places):
                raise CannotExpress("a cond needs its steps")
            kept = tuple(Expression(p.name, "native", "") for p in self.whole.places)
            return Plan((), (), (), (), None, kept)

    monkeypatch.setattr("lstmbridge.targets.onnx.whole.plan._Planner", Planner)
    said = plan_whole(whole, 17, TargetOptions()).expressions
    assert [(one.layer, one.how) for one in said] == [
        ("first", "native"),
        ("last", "native"),
        ("bad/layer0", "stepped"),
    ]
    assert "a cond needs its steps" in said[-1].detail


def test_batch_and_time_are_called_so_where_a_stack_shows_which_they_are(written):
    whole, _ = with_place("saved-tagger")
    made = written(whole)
    shapes = {spec.name: spec.shape for spec in made.artifact.signature.inputs}
    assert shapes == {"words": ("batch", "time"), "lengths": ("lengths_dim0",)}
    assert made.artifact.signature.outputs[0].shape == ("batch", "time", 2)
    (said,) = made.artifact.expressions
    assert said.how == "native"


def test_states_that_begin_with_the_graphs_own_zeros_need_no_input_of_the_node(written):
    whole, numbers = with_place("saved-tagger")
    place = whole.places[0]
    # the graph begins with zeros: they are said as the operator's default
    zeros = {("layer0", "c"): ("rnn/while/Enter_3", 0), ("layer0", "h"): ("rnn/while/Enter_4", 0)}
    same = replace(whole, places=(replace(place, initial=zeros),))
    made = written(same)
    plain = written(whole)
    feeds = {port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs}
    for name, value in made(**feeds).items():
        np.testing.assert_array_equal(value, plain(**feeds)[name])
    assert "Expand" not in made.kinds


def test_a_state_that_the_graph_computes_is_handed_to_the_native_node(written):
    """The last states of a first run begin the second: encoder and decoder."""
    whole, numbers = with_place("saved-tagger")
    place = whole.places[0]
    ones = {("layer0", "c"): ("given_c", 0), ("layer0", "h"): ("given_h", 0)}
    ports = tuple(
        Port(at[0], at, (None, place.model.layers[0].cell.state_sizes[state]), np.dtype("f4"))
        for (_, state), at in ones.items()
    )
    entries = {"c": ("rnn/while/Enter_3", 0), "h": ("rnn/while/Enter_4", 0)}
    initial = {key: entries[key[1]] for key in ones}
    guarded = whole.program.tracer.guarded
    fed = tuple(
        replace(port, tensor=guarded(entries[state]))
        for port, (_, state) in zip(ports, ones, strict=True)
    )
    states = replace(
        whole, inputs=(*whole.inputs, *fed), places=(replace(place, initial=initial),)
    )
    made = written(states)
    rng = np.random.default_rng(3)
    feeds = {port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs}
    rows = len(feeds["words"])
    feeds |= {port.name: rng.normal(size=(rows, port.shape[1])) for port in fed}
    wide = {n: v.astype(np.int64 if v.dtype.kind == "i" else np.float64) for n, v in feeds.items()}
    wanted = states.run(wide)
    for name, value in made(**feeds).items():
        np.testing.assert_allclose(value, wanted[name], atol=2e-6)
    recorded = numbers["outputs|logits"]
    assert not np.allclose(wanted["logits"], recorded, atol=1e-3)


@pytest.mark.parametrize("opset", [11, 13, 21])
def test_a_recognised_stack_is_written_in_every_opset(opset, written):
    whole, numbers = with_place("saved-tagger")
    made = written(whole, opset=opset)
    got = made(**{port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs})
    for name, value in got.items():
        np.testing.assert_allclose(value, numbers[f"outputs|{name}"], atol=2e-6)


def test_a_whole_model_in_double_precision_agrees_with_the_graph_to_rounding(written):
    whole, numbers = with_place("saved-tagger")
    feeds = {port.name: numbers[f"inputs|{port.name}"] for port in whole.inputs}
    wanted = whole.run({name: value.astype(np.int64) for name, value in feeds.items()})
    got = written(whole, dtype="float64")(**feeds)
    for name, value in got.items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-12)
