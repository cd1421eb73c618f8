"""Keras' masks around a loop that only knows lengths, exactly, wherever the masked steps lie.

A masked step leaves the states alone and repeats the output before it (zeros where there is
none, or always with zero_output_for_mask). So the steps that count are moved to the front of
each row, run with their number as the length, and what they gave is spread out again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstmbridge.adapters.keras.whole.drawing import Drawing, Value


@dataclass(frozen=True)
class Packed:
    """A sequence without its masked steps.

    Attributes:
        x: (batch, time, features): the steps that count, then the others.
        lengths: (batch,) how many count.
        mask: (batch, time) which they were.
    """

    x: Value
    lengths: Value
    mask: Value


def packed(d: Drawing, x: Value, mask: Value) -> Packed:
    """Move the steps that count to the front, their order kept."""
    steps = d.dim(x, 1)
    limit = steps if isinstance(steps, str) else d.constant(steps, "int")
    places = d.op("Range", [d.constant(0, "int"), limit, d.constant(1, "int")], mask.shape[1:],
                  "int", Tidx=np.dtype(np.int32))  # fmt: skip
    counts = d.cast(mask, "int")
    # keys that differ: time - place for a step that counts, -place for one that does not
    ahead = d.op("Mul", [counts, limit], mask.shape, "int")
    keys = d.op("Sub", [ahead, places], mask.shape, "int")
    order = d.node("TopKV2", [keys.name, limit], "order", sorted=True)
    moved = d.op("GatherV2", [x, f"{order}:1", d.constant(1, "int")], x.shape, batch_dims=1)
    lengths = d.reduce("Sum", counts, [1], keep=False)
    return Packed(moved, lengths, mask)


def spread(d: Drawing, made: Value, given: Packed, *, backward: bool, zeros: bool) -> Value:
    """The outputs at every step, the masked ones included, in the order of the original steps.

    Args:
        d: the drawing.
        made: (batch, time, units) of the packed steps.
        given: what was packed.
        backward: the steps were run from the last to the first: a masked step repeats the one
            that follows it.
        zeros: masked steps give zeros.
    """
    mask = given.mask
    counts = d.cast(mask, "int")
    axis = d.constant(1, "int")
    if backward:
        before = d.op("Cumsum", [counts, axis], mask.shape, "int", exclusive=True)
        index, total = before, d.expand(given.lengths, 1)
        there = d.op("Less", [before, total], mask.shape, "bool")
    else:
        through = d.op("Cumsum", [counts, axis], mask.shape, "int")
        index = d.op("Sub", [through, d.constant(1, "int")], mask.shape, "int")
        there = d.op("GreaterEqual", [index, d.constant(0, "int")], mask.shape, "bool")
    zero = d.op("ZerosLike", [index], mask.shape, "int")
    safe = d.op("SelectV2", [there, index, zero], mask.shape, "int")
    wide = d.op("GatherV2", [made, safe, axis], made.shape, batch_dims=1)
    kept = d.expand(mask if zeros else there, 2)
    nothing = d.op("ZerosLike", [wide], made.shape)
    return d.op("SelectV2", [kept, wide, nothing], made.shape)
