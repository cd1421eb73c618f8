"""Checks on a whole model before it is worth converting."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lstmbridge.errors import FactMissing, SourceUnreadable
from lstmbridge.gates import Cut, GateBlocks, Weights
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import Stored
from lstmbridge.model.facts import Basis


def refuse_assumptions(model: Model) -> None:
    """Raise FactMissing when a fact of `model` rests on a class's default only."""
    facts = {name: f for name, f in model.all_facts.items() if f.basis is Basis.ASSUMED}
    assumed = list(facts)
    if assumed:
        keras = any("Keras" in f.where for f in facts.values())
        raise FactMissing(
            f"{len(assumed)} facts rest on a class's default only: {', '.join(assumed)}",
            expected="every fact read from the source or given, because of --strict",
            where=model.name,
            advice="give them (--activation, --gate-activation, --go-backwards, --merge-mode, "
            "--masking, --select), or the file that model.save wrote"
            if keras
            else "give them (--forget-bias, --activation, --cell-clip ...), or put the "
            ".meta beside the checkpoint",
        )


def _whole(weights: Weights) -> Weights:
    """The stored tensor that a block was cut from: it is read once, in its own order."""
    return _whole(weights.source) if isinstance(weights, Cut) else weights


def stored_weights(stored: Iterable[Stored]) -> list[Weights]:
    """The stored tensors that blocks were cut from, each once."""
    found: dict[int, Weights] = {}
    for blocks in stored:
        cuts = [blocks.cut(g) for g in blocks] if isinstance(blocks, GateBlocks) else [blocks]
        found.update({id(_whole(weights)): _whole(weights) for weights in cuts})
    return list(found.values())


def refuse_non_finite(model: Model) -> None:
    """Raise SourceUnreadable when a weight of `model` is NaN or infinite. Loads all weights."""
    owners = {layer.name: stored_weights(layer.cell.blocks.values()) for layer in model.layers}
    owners |= {a.name: stored_weights(a.block.weights.values()) for a in model.attachments}
    for layer in model.layers:
        owners[layer.name] = [*owners[layer.name], *layer.initial.values()]
    for owner, stored in owners.items():
        for weights in stored:
            numbers = weights.load()
            bad = int(numbers.size - np.count_nonzero(np.isfinite(numbers)))
            if bad:
                raise SourceUnreadable(
                    f"{bad} of {numbers.size} numbers are NaN or infinite",
                    expected="finite weights: nothing computed from these could be verified",
                    where=f"{weights.name}, {owner}",
                    advice="take an earlier checkpoint: this training had diverged",
                )
