"""Checks on a whole model before it is worth converting."""

from __future__ import annotations

import numpy as np

from lstmbridge.errors import FactMissing, SourceUnreadable
from lstmbridge.gates import Cut, GateBlocks, Weights
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Basis


def refuse_assumptions(model: Model) -> None:
    """Raise FactMissing when a fact of `model` rests on a class's default only."""
    assumed = [name for name, f in model.all_facts.items() if f.basis is Basis.ASSUMED]
    if assumed:
        raise FactMissing(
            f"{len(assumed)} facts rest on a class's default only: {', '.join(assumed)}",
            expected="every fact read from the source or given, because of --strict",
            where=model.name,
            advice="give them (--forget-bias, --activation, --cell-clip ...), or put the "
            ".meta beside the checkpoint",
        )


def _whole(weights: Weights) -> Weights:
    """The stored tensor that a block was cut from: it is read once, in its own order."""
    return _whole(weights.source) if isinstance(weights, Cut) else weights


def stored_weights(cell: Cell) -> dict[str, Weights]:
    """Every stored tensor of `cell`, by its name in the source; none twice."""
    stored: dict[str, Weights] = {}
    for blocks in cell.blocks.values():
        found = [blocks.cut(g) for g in blocks] if isinstance(blocks, GateBlocks) else [blocks]
        stored.update({_whole(weights).name: _whole(weights) for weights in found})
    return stored


def refuse_non_finite(model: Model) -> None:
    """Raise SourceUnreadable when a weight of `model` is NaN or infinite. Loads all weights."""
    owners = {layer.name: stored_weights(layer.cell) for layer in model.layers}
    owners |= {a.name: {w.name: w for w in a.block.weights.values()} for a in model.attachments}
    for owner, stored in owners.items():
        for name, weights in stored.items():
            numbers = weights.load()
            bad = int(numbers.size - np.count_nonzero(np.isfinite(numbers)))
            if bad:
                raise SourceUnreadable(
                    f"{bad} of {numbers.size} numbers are NaN or infinite",
                    expected="finite weights: nothing computed from these could be verified",
                    where=f"{name}, {owner}",
                    advice="take an earlier checkpoint: this training had diverged",
                )
