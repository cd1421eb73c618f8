"""Checkpoints that real releases wrote: what the model computes is what TensorFlow recorded."""

import json
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters import recognise
from lstmbridge.arrays import Rounding
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress
from lstmbridge.model.facts import Basis
from lstmbridge.model.forward import forward
from lstmbridge.sources import open_source

FIXTURES = Path(__file__).parents[2] / "fixtures"
CARDS = {path.parent: json.loads(path.read_text()) for path in FIXTURES.glob("tf*/card.json")}
CONVERTED = sorted(
    folder
    for folder, card in CARDS.items()
    if card["cell"] != "AttentionCellWrapper" and card["hparams"].get("stacks", 1) == 1
    # only a graph shows what their states begin with
    if "initial_state" not in card["hparams"]
)
BEGUN = sorted(folder for folder, card in CARDS.items() if "initial_state" in card["hparams"])
WITH_GRAPH = [
    folder
    for folder in [*CONVERTED, *BEGUN]
    if (folder / "model.ckpt.meta").exists() and CARDS[folder]["family"] == "lstm"
]
# what the releases' own arithmetic in that precision loses against float64, where gates are tame
PRECISION = {"float32": 3e-6, "float64": 1e-13, "float16": 3e-3, "bfloat16": 3e-2}
REPLICAS = 4


def _worst(folder, hints):
    """The largest difference from what was recorded, in units of what rounding explains."""
    source = open_source(folder)
    [part] = recognise(source, hints).parts
    expected = np.load(folder / "expected.npz")
    feeds = {
        name: expected[name]
        for name in expected.files
        if name in {"inputs", "sequence_length"} or name.startswith("initial_")
    }
    if "inputs" not in feeds:
        [table] = [t for name, t in source.tensors.items() if name.endswith("embedding")]
        feeds["inputs"] = table.load()[expected["input_ids"]]
    outputs = forward(part.model, feeds)
    compared = {name: expected[name] for name in outputs if name in expected.files}
    assert "outputs" in compared
    dtype = str(part.model.dtype)
    rounded = [forward(part.model, feeds, ops=Rounding(dtype, seed)) for seed in range(REPLICAS)]
    ratios = [
        np.abs(outputs[name] - recorded).max()
        / (PRECISION[dtype] + max(np.abs(r[name] - outputs[name]).max() for r in rounded))
        for name, recorded in compared.items()
    ]
    return part.model, max(ratios)


def _needs(folder):
    card = CARDS[folder]
    return dict(card["needs"]) | ({"residual": True} if card["hparams"].get("residual") else {})


@pytest.mark.parametrize("folder", CONVERTED, ids=lambda folder: folder.name)
def test_bare_weights_and_what_their_user_knows_compute_what_was_recorded(folder):
    _, worst = _worst(folder, Hints(ignore_graph=True, **_needs(folder)))
    assert worst <= 1


@pytest.mark.parametrize("folder", WITH_GRAPH, ids=lambda folder: folder.name)
def test_with_its_graph_a_checkpoint_needs_no_statement_and_nothing_is_assumed(folder):
    model, worst = _worst(folder, Hints())
    assert worst <= 1
    assert {fact.basis for fact in model.all_facts.values()} == {Basis.READ}


@pytest.mark.parametrize("folder", WITH_GRAPH, ids=lambda folder: folder.name)
def test_statements_that_agree_with_the_graph_are_welcome(folder):
    _, worst = _worst(folder, Hints(**CARDS[folder]["needs"]))
    assert worst <= 1


def test_attention_wrappers_are_refused_by_their_names():
    with pytest.raises(CannotExpress, match="AttentionCellWrapper"):
        recognise(open_source(FIXTURES / "tf115-attention"))


def test_both_stacks_of_an_encoder_and_a_decoder_are_found():
    found = recognise(open_source(FIXTURES / "tf115-encoder-decoder"))
    assert len(found.parts) == 2
    for part in found.parts:
        alone = recognise(open_source(FIXTURES / "tf115-encoder-decoder"), Hints(select=part.name))
        assert [p.name for p in alone.parts] == [part.name]
