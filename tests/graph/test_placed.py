"""Stacks stand at their places in a whole model, proved there, or are left as they are and said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.placed import places_of
from lstmbridge.model.blocks import Bidirectional, Residual, Sequence
from lstmbridge.model.forward import forward
from lstmbridge.sources import open_source

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
PLACES = {
    "frozen-classifier": {"bidirectional_rnn": 2},
    "frozen-stack": {"rnn": 2},
    "frozen-translator": {"encoder/rnn": 1, "decoder/rnn": 1},
    "frozen-unrolled-text": {"rnn/rnn/multi_rnn_cell/cell_0/basic_lstm_cell": 1},
    "saved-tagger": {"rnn": 1},
}


class Case:
    """A fixture: its graph's model, the stacks that names show, what was fed and computed."""

    def __init__(self, name):
        self.card = json.loads((FOLDER / name / "card.json").read_text())
        self.source = open_source(FOLDER / name / self.card["file"])
        self.parts = recognise(self.source).parts
        with np.load(FOLDER / name / "expected.npz") as stored:
            numbers = {key: stored[key] for key in stored.files}
        names = {at.removesuffix(":0"): name for name, at in self.card["inputs"].items()}
        wide = {"f": np.float64, "i": np.int64}
        self.feeds = {
            at: numbers[f"inputs|{name}"].astype(wide[numbers[f"inputs|{name}"].dtype.kind])
            for at, name in names.items()
        }
        self.wanted = {at: numbers[f"outputs|{name}"] for name, at in self.card["outputs"].items()}

    def weights(self, op):
        return self.source.tensors[op.name].load().astype(np.float64)

    def whole(self, **asked):
        declared = {at.removesuffix(":0"): at for at in self.card["outputs"].values()}
        asked = asked or {"declared_outputs": declared}
        return whole_of(self.source.graph(), self.weights, **asked)


@pytest.fixture
def loaded():
    return Case


def given_by(whole, feeds, place):
    """What a place's model computes from what the graph feeds it, at the tensors it gives."""
    fed = whole.program.run(whole.fed(feeds), place.takes)
    if place.step_sources:
        x = np.stack([fed[t] for t in place.step_sources], 1)
    else:
        x = fed[place.source].transpose(1, 0, 2) if place.time_major else fed[place.source]
    own = {"inputs": x}
    if place.lengths is not None:
        own["sequence_length"] = fed[place.lengths]
    layers = {layer.name: layer for layer in place.model.layers}
    for (name, state), tensor in place.initial.items():
        own[layers[name].initial_name(state)] = fed[tensor]
    made = forward(place.model, own)
    return dict(place.handed_on(made))


@pytest.mark.parametrize("name", PLACES)
def test_every_recurrent_stack_of_a_model_has_a_place(loaded, name):
    case = loaded(name)
    whole = places_of(case.whole(), case.parts)
    assert {p.name: len(p.model.layers) for p in whole.places} == PLACES[name]
    assert whole.notes == ()


@pytest.mark.parametrize("name", PLACES)
def test_with_what_the_places_give_the_model_gives_what_tensorflow_recorded(loaded, name):
    case = loaded(name)
    whole = places_of(case.whole(), case.parts)
    given = {}
    for place in whole.places:
        given |= given_by(whole, case.feeds, place)
    got = whole.go_on(case.feeds, given)
    plain = whole.run(case.feeds)
    for at, wanted in case.wanted.items():
        np.testing.assert_allclose(got[at.removesuffix(":0")], wanted, atol=2e-6)
        np.testing.assert_allclose(got[at.removesuffix(":0")], plain[at.removesuffix(":0")], 1e-12)


def test_lengths_and_states_that_are_handed_over_are_tensors_of_the_place(loaded):
    case = loaded("frozen-translator")
    encoder, decoder = places_of(case.whole(), case.parts).places
    if encoder.name.startswith("decoder"):
        encoder, decoder = decoder, encoder
    assert encoder.lengths is not None
    assert decoder.lengths is None
    handed = {t for tensors in encoder.finals.values() for t in tensors}
    assert set(decoder.initial.values()) <= handed


def test_unrolled_steps_read_all_of_a_sequence_and_give_each_step(loaded):
    case = loaded("frozen-unrolled-text")
    (place,) = places_of(case.whole(), case.parts).places
    assert (place.source, place.time_major) == (("frames", 0), False)
    assert len(place.step_outputs) == 2
    assert place.outputs == ()


def test_what_the_outputs_do_not_need_has_no_place(loaded):
    case = loaded("frozen-translator")
    whole = case.whole(outputs=["encoder/rnn/while/Exit_3"])
    assert [p.name for p in places_of(whole, case.parts).places] == ["encoder/rnn"]


def test_a_stack_of_which_more_is_asked_for_than_it_gives_is_left_as_it_is(loaded):
    case = loaded("frozen-unrolled-text")
    inner = "rnn/rnn/multi_rnn_cell/cell_0/basic_lstm_cell/Add_1"
    whole = places_of(case.whole(outputs=["together", inner]), case.parts)
    assert whole.places == ()
    (note,) = whole.notes
    assert "more of it is used than its outputs and last states" in note


def test_a_stack_whose_numbers_are_not_the_graphs_is_left_as_it_is(loaded):
    case = loaded("saved-tagger")
    plain = case.whole()
    doubled = replace(plain.program, weights=lambda op: 2.0 * case.weights(op))
    placed = places_of(replace(plain, program=doubled), case.parts)
    assert placed.places == ()
    assert "depart from the model's by" in placed.notes[0]


def test_a_source_without_stacks_is_handed_back(loaded):
    case = loaded("frozen-stack")
    whole = case.whole()
    assert places_of(whole, ()) is whole


WHOLE = FOLDER.parent / "whole"


def placed_in(case):
    """The places of a fixture that is all about its stacks."""
    card = json.loads((WHOLE / case / "card.json").read_text())
    source = open_source(WHOLE / case / "frozen.pb")
    whole = whole_of(
        source.graph(),
        lambda op: source.tensors[op.name].load().astype(np.float64),
        outputs=[at.removesuffix(":0") for at in card["outputs"].values()],
    )
    return places_of(whole, recognise(source).parts)


def test_two_runs_over_one_sequence_and_the_same_lengths_are_directions_of_one_place():
    lower, upper = placed_in("both-ways").places
    assert lower.name == "stack_bidirectional_rnn/cell_0/bidirectional_rnn"
    for place in (lower, upper):
        assert isinstance(place.model.root, Bidirectional)
        assert place.lengths == ("lengths", 0)
        assert len(place.outputs) == 2
        assert place.widths == ({lower: 3, upper: 2}[place],) * 2
    assert lower.source == ("frames", 0)


def test_directions_whose_last_states_alone_are_used_give_no_sequence():
    (place,) = placed_in("both-ways-last").places
    assert place.outputs == ()
    assert {layer for layer, _ in place.finals} == {"layer_fw0", "layer_bw0"}


def test_a_run_that_begins_with_what_another_ends_with_is_no_direction_beside_it():
    places = placed_in("both-ways-chained").places
    assert {p.name for p in places} == {"rnn", "back/rnn"}


@pytest.mark.parametrize("case", ["both-ways-steps", "both-ways-steps-lengths"])
def test_unrolled_directions_give_each_step_in_the_order_of_time(case):
    (place,) = placed_in(case).places
    assert isinstance(place.model.root, Bidirectional)
    assert place.source == ("frames", 0)
    assert [layer.name for layer in place.model.layers] == ["layer_fw0", "layer_bw0"]
    assert len(place.step_outputs) == 10


def test_a_residual_that_leaves_unrolled_steps_is_part_of_the_place():
    (place,) = placed_in("unrolled-residual").places
    assert isinstance(place.model.root, Sequence)
    assert isinstance(place.model.root.blocks[-1], Residual)
    assert len(place.step_outputs) == 5


def test_unrolled_steps_are_cut_where_a_lower_layer_or_a_state_in_the_middle_is_used():
    places = {p.model.input_size: [] for p in placed_in("unrolled-inner").places}
    for place in sorted(placed_in("unrolled-inner").places, key=lambda p: -len(p.step_outputs)):
        places[place.model.input_size].append(place)
    (lower,), upper = places[4], places[3]
    assert len(lower.step_outputs) == 5
    assert [len(place.step_outputs) for place in upper] == [3, 2]
    first, second = upper
    assert set(second.initial.values()) <= set(first.gives)
    assert first.step_sources == lower.step_outputs[:3]


def test_unrolled_steps_of_which_every_state_is_used_are_left_as_they_are():
    source = open_source(WHOLE / "unrolled-inner" / "frozen.pb")
    wanted = [f"layer1/basic_lstm_cell/Add_{k}" for k in (1, 3, 5, 7, 9)]
    whole = whole_of(
        source.graph(),
        lambda op: source.tensors[op.name].load().astype(np.float64),
        outputs=[*wanted, "middle"],
    )
    placed = places_of(whole, recognise(source).parts)
    assert placed.places == ()
    assert "more of it is used" in placed.notes[-1]


@pytest.mark.parametrize(
    ("case", "attached", "residuals"),
    [
        ("wrapped", ["Dense", "Highway", "Dense"], 0),
        ("projected-residual", ["Dense"], 2),
        ("projected-inner", ["Dense", "Dense"], 3),
    ],
)
def test_projections_and_highways_around_cells_are_part_of_the_place(case, attached, residuals):
    (place,) = placed_in(case).places
    assert [type(one.block).__name__ for one in place.model.attachments] == attached
    assert sum(isinstance(block, Residual) for block in place.model.root.blocks) == residuals
