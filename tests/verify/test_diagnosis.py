"""Where a departure begins, and which mistake explains it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.model.blocks import Model, Recurrent, Sequence
from lstmbridge.model.cells import GRU
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import States
from lstmbridge.verify import verify


@pytest.fixture
def diagnosis(puppet, artifact_of):
    def of(model, answer, **signature):
        verdict = verify(model, [(puppet(answer), artifact_of(model, **signature))])
        assert verdict.outcome.value == "fail"
        return verdict.runtimes[0].diagnosis

    return of


def test_the_first_layer_to_depart_is_named(networks, honest, diagnosis):
    model = networks.stack(count=3)
    blocks = list(model.root.blocks)
    blocks[1] = Recurrent(networks.cell(inputs=4))
    wrong = Model("", Sequence(tuple(blocks)))
    text = diagnosis(model, honest(wrong))
    assert "the first layer to depart is layer1 (layer1_h and layer1_c)" in text
    assert "no planted fault explains it" in text


def test_step_and_unit_are_named(networks, honest, diagnosis):
    model = networks.stack()

    def late(feeds):
        outputs = honest(model)(feeds)
        outputs["outputs"][:, 1:, 3] += np.float32(1e-3)
        return outputs

    text = diagnosis(model, late)
    assert "all final states agree, only the outputs depart" in text
    assert "the first step to depart is 1, most in unit 3" in text


def test_rows_are_named_with_their_lengths(networks, honest, diagnosis):
    model = networks.stack()

    def short(feeds):
        outputs = honest(model)(feeds)
        gone = feeds["sequence_length"] == 0
        return {
            k: np.where(gone.reshape(-1, *[1] * (v.ndim - 1)), v + np.float32(0.5), v)
            for k, v in outputs.items()
        }

    text = diagnosis(model, short, lengths=True)
    assert "(lengths 0)" in text


@pytest.mark.parametrize(("side", "word"), [("forward", "forward"), ("backward", "backward")])
def test_the_direction_that_departs_is_named(networks, honest, diagnosis, side, word):
    model = networks.bidirectional(count=1)
    block = model.root.blocks[0]
    other = {"forward": block.forward, "backward": block.backward}
    other[side] = networks.bidirectional(count=1).root.blocks[0].forward
    wrong = Model("", type(block)(**other))
    assert f"in the {word} direction alone" in diagnosis(model, honest(wrong))


def test_gates_read_in_another_frameworks_order_are_recognised(networks, honest, diagnosis):
    model = networks.stack(GRU)
    turned = []
    for layer in model.layers:
        blocks = {k: b.renamed({"r": "z", "z": "r"}) for k, b in layer.cell.blocks.items()}
        turned.append(Recurrent(replace(layer.cell, **blocks)))
    wrong = Model("", Sequence(tuple(turned)))
    assert "equals the source with gates r and z exchanged" in diagnosis(model, honest(wrong))


def test_an_explanation_is_claimed_only_when_all_numbers_agree(networks, honest, diagnosis):
    model = networks.stack(count=1)
    cell = model.layers[0].cell
    nearly = replace(cell, forget_bias=Fact.given(0.01, ""))
    assert "no planted fault explains it" in diagnosis(model, honest(Model("", Recurrent(nearly))))
    exactly = replace(cell, forget_bias=Fact.given(0.0, ""))
    text = diagnosis(model, honest(Model("", Recurrent(exactly))))
    assert "it equals the source with forget_bias = 0" in text


def test_outputs_that_are_not_finite_are_not_explained(networks, diagnosis, honest):
    model = networks.stack()

    def sick(feeds):
        return {k: np.full_like(v, np.nan) for k, v in honest(model)(feeds).items()}

    assert diagnosis(model, sick) == ""


def test_states_that_were_not_taken_are_recognised(networks, honest, diagnosis):
    model = networks.stack()

    def forgetful(feeds):
        return honest(model)({"inputs": feeds["inputs"]})

    text = diagnosis(model, forgetful, states=States.REQUIRED)
    assert "equals the source with its initial states ignored" in text
