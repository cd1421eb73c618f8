"""What states begin with, as TensorFlow 1.15 wrote it: found in the graph, read from variables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.contracts import Hints
from lstmbridge.errors import FactConflict
from lstmbridge.model.facts import Basis
from lstmbridge.sources import open_source

LEARNED = {
    "tf115-initial-learned": {
        f"layer{k}.initial_{s}": f"learned: init_{s}{k}" for k in (0, 1) for s in "ch"
    },
    "tf115-initial-stacked": {
        f"layer{k}.initial_{s}": "learned: init_state" for k in (0, 1) for s in "ch"
    },
    "tf115-initial-concat": {
        f"layer{k}.initial_{s}": "learned: initial_state" for k in (0, 1) for s in "ch"
    },
    "tf115-initial-two-ways": {
        "layer_fw0.initial_h": "learned: h_init",
        "layer_bw0.initial_h": "constant",
    },
    "tf115-initial-projected": {
        "layer0.initial_c": "learned: c0",
        "layer0.initial_h": "constant",
    },
    "tf115-initial-layer-norm": {"layer0.initial_c": "learned: init_c"},
    "tf115-initial-fused": {
        "layer0.initial_c": "learned: init_c",
        "layer0.initial_h": "constant",
    },
}


def shown(source):
    return {"path": source.path, "graph": source.graph}


def found(case, name, **hints):
    one = case(name)
    return recognise(open_source(one.prefix), Hints(**hints)), one


@pytest.mark.parametrize("name", LEARNED)
def test_each_state_says_what_it_begins_with_and_where_that_was_read(case, name):
    recognition, _ = found(case, name)
    facts = recognition.parts[0].model.all_facts
    begun = {k: fact for k, fact in facts.items() if ".initial_" in k}
    assert {k: fact.value for k, fact in begun.items()} == LEARNED[name]
    assert all(f.basis is Basis.READ and ".meta: " in f.where for f in begun.values())


@pytest.mark.parametrize("name", LEARNED)
def test_their_variables_belong_to_the_layer_and_are_not_ignored(case, name):
    recognition, one = found(case, name)
    [part] = recognition.parts
    used = {variable for names in part.variables.values() for variable in names}
    assert used == set(one.card["variables"])
    assert (recognition.ignored, recognition.warnings) == ((), ())


def test_a_row_is_the_variables_numbers_bit_for_bit(case):
    recognition, _ = found(case, "tf115-initial-stacked")
    stored = open_source(case("tf115-initial-stacked").prefix).tensors["init_state"].load()
    for layer in recognition.parts[0].model.layers:
        for k, state in enumerate("ch"):
            row = layer.initial[state].load()
            assert row.dtype == np.float32
            assert np.array_equal(row, stored[layer.index, k, 0])


def test_without_the_graph_they_are_shown_and_said_to_be_left_out(case):
    recognition, _ = found(case, "tf115-initial-learned", ignore_graph=True)
    names = ["init_c0", "init_c1", "init_h0", "init_h1"]
    assert [ignored.name for ignored in recognition.ignored] == names
    assert {ignored.reason for ignored in recognition.ignored} == {"a state, learned or kept"}
    [said] = [text for text in recognition.warnings if "init_c0" in text]
    assert "begins with zeros" in said
    assert all(name in said for name in names)
    assert not any(layer.initial for layer in recognition.parts[0].model.layers)


def test_bare_weights_say_so_of_variables_that_are_called_so(case):
    recognition, _ = found(case, "tf115-initial-bare")
    assert [i.name for i in recognition.ignored] == ["initial_state_c", "initial_state_h"]
    assert any("initial_state_c (1, 3)" in text for text in recognition.warnings)


@pytest.mark.parametrize(
    "name", ["tf115-seed-bare", "tf115-adam-average", "tf115-encoder-decoder"]
)
def test_other_variables_are_not_taken_for_states(case, name):
    recognition, _ = found(case, name)
    assert not any("begin with" in text for text in recognition.warnings)


def test_a_variable_of_another_shape_than_in_the_graph_is_a_conflict(case, monkeypatch):
    source = open_source(case("tf115-initial-fused").prefix)
    other = open_source(case("tf115-initial-stacked").prefix).tensors["init_state"]
    tensors = {**source.tensors, "init_c": other}
    with pytest.raises(FactConflict, match="the graph's 'init_c' is"):
        recognise(SimpleNamespace(**shown(source), tensors=tensors, declares_model=False), Hints())


def test_a_variable_that_the_source_lacks_is_said(case):
    source = open_source(case("tf115-initial-fused").prefix)

    tensors = {name: t for name, t in source.tensors.items() if name != "init_c"}
    recognition = recognise(
        SimpleNamespace(**shown(source), tensors=tensors, declares_model=False), Hints()
    )
    assert list(recognition.parts[0].model.layers[0].initial) == ["h"]
    assert any("init_c, which the source does not hold" in t for t in recognition.warnings)
