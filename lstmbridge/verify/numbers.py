"""The interpreters that verification runs, and how they come by a cell's numbers.

A verification runs the same network dozens of times, right and wrong. For large networks most of
that time went into joining and widening the same weights anew; so the right network's are kept,
and wrong ones are first looked at in float32, on the stored blocks as they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from lstmbridge.arrays.numpy64 import product
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import arrays_of, weights_of
from lstmbridge.model.forward import Library

MOST_KEPT = 2**29
"""Bytes of widened weights that are kept; larger networks are widened at each run."""
WORTH_A_SKETCH = 2**17
"""Weights from which on a run in float32 is noticeably faster."""
_MULTIPLIED_ONLY = ("kernel", "recurrent")
"""Fields whose matrices the equations use as right factors and in no other way; the recurrent
weights of independent units, which are multiplied elementwise, have one row."""


def size_of(model: Model) -> int:
    """Numbers in the kernels of all layers."""
    cells = [layer.cell for layer in model.layers]
    return sum(len(c.GATES) * c.units * (c.input_size + c.output_size) for c in cells)


class Shelf:
    """The weights of one network in float64, widened once where they are not too many."""

    def __init__(self, model: Model) -> None:
        cells = {id(layer.cell): layer.cell for layer in model.layers}
        self._cells = cells if 8 * size_of(model) <= MOST_KEPT else {}
        self._kept: dict[int, Mapping[str, Array]] = {}

    def weights(self, cell: Cell) -> Mapping[str, Array]:
        """The arrays of `cell`, which may be one of a wrong network."""
        if id(cell) not in self._cells:
            return _widened(cell)
        if id(cell) not in self._kept:
            self._kept[id(cell)] = _widened(cell)
        return self._kept[id(cell)]


def _widened(cell: Cell) -> dict[str, Array]:
    return {name: array.astype(np.float64) for name, array in weights_of(cell).items()}


class Oracle(Library):
    """Float64 with weights from a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def weights(self, cell: Cell) -> Mapping[str, Array]:
        """See `Library`."""
        return self._shelf.weights(cell)


class SideBySide(tuple[Array, ...]):
    """Matrices (rows, columns) that stand for the one they would be side by side."""

    __slots__ = ()


class Sketch(Library):
    """Float32: what a wrong network does, to about seven digits, without copying its weights.

    Good for differences that are many times what float32 itself errs by, and for nothing else.
    """

    dtype = np.dtype(np.float32)

    def constant(self, value: Array | float) -> Array:
        """Rounded to float32."""
        return np.asarray(value, np.float32)

    def weights(self, cell: Cell) -> Mapping[str, Array]:
        """See `Library`; gates' blocks are not joined where they are only multiplied with."""
        arrays: dict[str, Array] = {}
        for name, (field, gates) in arrays_of(cell).items():
            stored = cell.blocks[field]
            if not isinstance(stored, GateBlocks):
                arrays[name] = self.constant(stored.load())
            elif field in _MULTIPLIED_ONLY and stored.shape[0] > 1:
                blocks = SideBySide(self.constant(stored[gate]) for gate in gates)
                arrays[name] = cast("Array", blocks)
            else:
                arrays[name] = self.constant(stored.join(gates))
        return arrays

    def matmul(self, a: Array, b: Array) -> Array:
        """A product with every block, side by side."""
        if isinstance(b, SideBySide):
            return np.concatenate([product(a, block) for block in b], axis=-1)
        return product(a, b)


__all__ = ["WORTH_A_SKETCH", "Oracle", "Shelf", "SideBySide", "Sketch", "size_of"]
