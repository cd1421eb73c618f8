"""Whole models that TensorFlow 1.15 wrote give, run from their graphs, what it computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.errors import FactMissing
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.placed import places_of
from lstmbridge.sources import open_source

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "whole"
CASES = sorted(p.parent.name for p in FOLDER.glob("*/card.json"))
PHASE = {"is_training": "false"}


def loaded(case, **asked):
    """(the model, what is fed, what TensorFlow computed, the stacks that names show)."""
    card = json.loads((FOLDER / case / "card.json").read_text())
    source = open_source(FOLDER / case / "frozen.pb")

    def weights(op):
        return source.tensors[op.name].load().astype(np.float64)

    outputs = [at.removesuffix(":0") for at in card["outputs"].values()]
    settings = PHASE if case == "classifier" else {}
    whole = whole_of(
        source.graph(), weights, **({"outputs": outputs, "settings": settings} | asked)
    )
    with np.load(FOLDER / case / "expected.npz") as stored:
        wide = {"f": np.float64, "i": np.int64}
        feeds = {
            at.removesuffix(":0"): stored[f"inputs|{name}"].astype(
                wide[stored[f"inputs|{name}"].dtype.kind]
            )
            for name, at in card["inputs"].items()
        }
        wanted = {
            at.removesuffix(":0"): stored[f"outputs|{name}"]
            for name, at in card["outputs"].items()
        }
    return whole, feeds, wanted, source


@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_gives_what_tensorflow_recorded(case):
    whole, feeds, wanted, _ = loaded(case)
    assert {port.name for port in whole.inputs} == set(feeds)
    got = whole.run(feeds)
    for port in whole.outputs:
        assert port.dtype == wanted[port.name].dtype
        np.testing.assert_allclose(got[port.name], wanted[port.name], 2e-6, 2e-6)


def test_the_outputs_of_a_frozen_graph_are_what_nobody_reads():
    whole, feeds, wanted, _ = loaded("tagger", outputs=[])
    assert {port.name for port in whole.outputs} == set(wanted)
    assert {port.name for port in whole.inputs} == set(feeds)


def test_what_inference_fixes_is_listed_with_its_reason():
    whole, _, _, _ = loaded("classifier")
    reasons = {s.name: (s.value.item(), s.why) for s in whole.settings}
    assert reasons == {
        "is_training": (False, "given by --set"),
        "keep_prob": (1.0, "feeds only dropout"),
    }


def test_a_phase_that_nobody_set_is_asked_for():
    with pytest.raises(FactMissing, match="is_training") as caught:
        loaded("classifier", settings={})
    assert "--set is_training=false" in caught.value.advice


@pytest.mark.parametrize(("case", "layers"), [("classifier", 1), ("tagger", 1)])
def test_their_stacks_have_places(case, layers):
    whole, _, _, source = loaded(case)
    placed = places_of(whole, recognise(source).parts)
    assert [len(place.model.layers) for place in placed.places] == [layers]
    assert placed.notes == ()


def test_steps_that_lengths_end_are_one_place():
    whole, _, _, source = loaded("tagger")
    (place,) = places_of(whole, recognise(source).parts).places
    assert place.lengths == ("lengths", 0)
    assert len(place.step_outputs) == 5
