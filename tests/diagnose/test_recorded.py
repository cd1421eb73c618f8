"""Outputs recorded elsewhere against a network: names, layouts, and what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.errors import FactMissing, NotRecognised, SourceUnreadable, UsageError
from lstmbridge.model.blocks import Model, Recurrent, Sequence
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward


def recorded(model: Model, batch: int = 3, steps: int = 9, **more) -> dict[str, np.ndarray]:
    x = np.random.default_rng(5).uniform(-2, 2, (batch, steps, model.input_size))
    x = x.astype(np.float32)
    given = forward(model, {"inputs": x})
    return {"inputs": x, **{name: v.astype(np.float32) for name, v in given.items()}, **more}


def without_forget_bias(model: Model) -> Model:
    none = Fact.given(0.0, "")
    cells = [replace(x.cell, forget_bias=none) for x in model.layers]
    return Model("", Sequence(tuple(Recurrent(cell) for cell in cells)))


def test_what_a_right_network_gave_is_equal(networks, hand):
    model = networks.stack()
    found = diagnose(hand.ours(model), expected=recorded(model))
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.comparisons == 3 * 9 * 4 + 4 * 3 * 4


def test_what_a_wrong_network_gave_is_explained(networks, hand):
    model = networks.stack()
    found = diagnose(hand.ours(model), expected=recorded(without_forget_bias(model)))
    assert found.outcome is Outcome.FAIL
    assert "it equals the source with forget_bias = 0" in found.explanation


def test_a_checkpoint_is_compared_with_what_its_tensorflow_computed(case):
    one = case("tf115-seed-meta")
    found = diagnose(one.prefix, expected=one.expected)
    assert found.outcome is Outcome.PASS, (found.reasons, found.matched)


def test_time_major_arrays_are_recognised_by_their_states(networks, hand):
    model = networks.stack()
    arrays = recorded(model)
    for name in ("inputs", "outputs"):
        arrays[name] = arrays[name].swapaxes(0, 1)
    found = diagnose(hand.ours(model), expected=arrays)
    assert found.outcome is Outcome.PASS, found.reasons
    assert any("time-major (states have as many rows" in one for one in found.matched)


def test_without_states_the_layout_is_recognised_by_numbers_that_agree(networks, hand):
    model = networks.stack()
    arrays = {
        n: a.swapaxes(0, 1) for n, a in recorded(model).items() if n in {"inputs", "outputs"}
    }
    found = diagnose(hand.ours(model), expected=arrays)
    assert found.outcome is Outcome.PASS
    assert any("recognised by its numbers" in one for one in found.matched)


def test_a_layout_that_nothing_shows_is_asked_for(networks, hand):
    model = networks.stack()
    arrays = recorded(without_forget_bias(model))
    only = {n: arrays[n] for n in ("inputs", "outputs")}
    with pytest.raises(FactMissing, match="which of the two is time"):
        diagnose(hand.ours(model), expected=only)
    found = diagnose(hand.ours(model), expected=only, layout="batch-major")
    assert "with forget_bias = 0" in found.explanation


def test_batch_major_fed_as_time_major_is_recognised(networks, hand):
    model = networks.stack()
    x = recorded(model)["inputs"]
    y = forward(model, {"inputs": x.swapaxes(0, 1)})["outputs"].swapaxes(0, 1)
    arrays = {"inputs": x, "outputs": y.astype(np.float32)}
    found = diagnose(hand.ours(model), expected=arrays, layout="batch-major")
    assert found.outcome is Outcome.FAIL
    assert "batch and time exchanged" in found.explanation


def test_time_reversed_and_exchanged_states_are_recognised(networks, hand):
    model = networks.stack()
    arrays = recorded(model)
    turned = recorded(model) | {
        n: v.astype(np.float32)
        for n, v in forward(model, {"inputs": arrays["inputs"][:, ::-1]}).items()
    }
    found = diagnose(hand.ours(model), expected=turned)
    assert "fed in reversed time" in found.explanation
    crossed = dict(arrays)
    for k in range(2):
        crossed[f"layer{k}_h"], crossed[f"layer{k}_c"] = (
            arrays[f"layer{k}_c"],
            arrays[f"layer{k}_h"],
        )
    found = diagnose(hand.ours(model), expected=crossed)
    assert "final h and c exchanged" in found.explanation


def test_other_names_are_mapped_and_stacked_states_taken_apart(networks, hand):
    model = networks.stack(inputs=3, units=4)
    arrays = recorded(model)
    theirs = {
        "x": arrays["inputs"],
        "y": arrays["outputs"],
        "hn": np.stack([arrays["layer0_h"], arrays["layer1_h"]]),
        "junk": np.zeros(3),
    }
    found = diagnose(hand.ours(model), expected=theirs, renames={"hn": "final_h"})
    assert found.outcome is Outcome.PASS, found.reasons
    assert {"layer0_h", "layer1_h", "outputs"} == set(found.outputs)
    assert "x is inputs (the only array that fits)" in found.matched
    assert "left aside: junk" in found.matched


def test_arrays_that_hold_nothing_to_compare_are_refused(networks, hand, tmp_path):
    model = networks.stack()
    right = hand.ours(model)
    with pytest.raises(UsageError, match="nothing that was computed"):
        diagnose(right, expected={"inputs": np.zeros((2, 3, 3), np.float32)})
    with pytest.raises(UsageError, match="no inputs"):
        diagnose(right, expected={"layer0_h": np.zeros((2, 4), np.float32)})
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(SourceUnreadable):
        diagnose(right, expected=tmp_path / "no.npz")
    with pytest.raises(UsageError):
        diagnose(right, expected=tmp_path / "absent.npz")


def test_not_a_number_among_recorded_outputs_is_never_equal(networks, hand):
    model = networks.stack()
    arrays = recorded(model)
    arrays["outputs"][1, 2, 3] = np.nan
    assert diagnose(hand.ours(model), expected=arrays).outcome is Outcome.FAIL


def test_data_that_could_not_have_shown_a_mistake_prove_nothing(networks, hand):
    model = networks.stack()
    x = np.zeros((2, 1, 3), np.float32)
    given = {n: v.astype(np.float32) for n, v in forward(model, {"inputs": x}).items()}
    found = diagnose(hand.ours(model), expected={"inputs": x, **given})
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.exit_code == 3


def test_recorded_outputs_need_a_network_to_be_held_against(networks, hand):
    lost = hand.ours(networks.stack(projection=3))
    with pytest.raises(NotRecognised, match="no network was read"):
        diagnose(lost, expected={"inputs": np.zeros((1, 1, 3)), "outputs": np.zeros((1, 1, 3))})
