"""Blocks with weights -> tensors of a state dict. Nothing is folded: what is stored is read back.

Layers that torch has a module for: see `native`. Layers that run the equations, and highways,
keep TensorFlow's orientation and the gates in the cell's order, under the names that the
equations use (`equations.arrays_of`): ``kernel`` (I, G H), ``recurrent`` (P, G H), ``bias``
(G H), ``peephole_i`` (H), ``recurrent_rz``, ... Dense layers are `torch.nn.Linear`'s: ``weight``
(O, I), the kernel transposed, and ``bias`` (O). A cell that serves several layers is written once
for each of them: `torch.nn` has no way to share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstmbridge.errors import CannotExpress
from lstmbridge.gates import Array, GateBlocks, Weights
from lstmbridge.model.blocks import Dense, Highway, Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import arrays_of
from lstmbridge.targets.torch.architecture import Architecture, Native, Owner, root_owners
from lstmbridge.targets.torch.native import Recipe, recipes
from lstmbridge.targets.torch.structure import shapes_of


def stored_dtype(model: Model) -> np.dtype[Any]:
    """The narrowest precision that holds every stored number of `model` exactly."""
    dtypes = {weights.dtype for weights in _stored(model)}
    if len(dtypes) == 1:
        return dtypes.pop()
    return np.dtype(np.float64 if np.dtype(np.float64) in dtypes else np.float32)


def _stored(model: Model) -> Iterator[Weights]:
    for layer in model.layers:
        for blocks in layer.cell.blocks.values():
            if isinstance(blocks, GateBlocks):
                yield from map(blocks.cut, blocks)
            else:
                yield blocks
        yield from layer.initial.values()
    for attachment in model.attachments:
        yield from attachment.block.weights.values()


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A tensor of the state dict that is computed when it is written. Implements `Weights`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[], Array]

    def load(self) -> Array:
        """The numbers: contiguous, each rounded at most once.

        Raises:
            CannotExpress: a finite number does not fit into the dtype.
        """
        return cast(self.make(), self.dtype, self.name)


def state_dict(
    model: Model, architecture: Architecture, dtype: np.dtype[Any]
) -> dict[str, Weights]:
    """The tensors of `architecture`, in the order of the model's blocks.

    Nothing is computed yet. Layers that share a cell share the object.
    """
    blocks: dict[str, Cell | Dense | Highway] = {}
    blocks.update((layer.name, layer.cell) for layer in model.layers)
    blocks.update((attachment.name, attachment.block) for attachment in model.attachments)
    done: dict[tuple[int, bool, bool], dict[str, Weights]] = {}

    def once(name: str, owner: Owner) -> Mapping[str, Weights]:
        native = isinstance(owner, Native)
        key = (id(blocks[name]), native, isinstance(owner, Native) and owner.bias)
        if key not in done:
            found = recipes_of(blocks[name], native=native, bias=key[2])
            done[key] = {
                tensor: Made(f"{name}, {tensor}", shape, dtype, make)
                for tensor, (shape, make) in found.items()
            }
        return done[key]

    tensors: dict[str, Weights] = {}
    for prefix, owner in root_owners(architecture):
        if isinstance(owner, Native):
            for name, suffix in zip(owner.names, owner.suffixes, strict=True):
                found = once(name, owner)
                tensors.update({f"{prefix}{key}{suffix}": made for key, made in found.items()})
        else:
            found = once(owner.name, owner)
            tensors.update({f"{prefix}{key}": made for key, made in found.items()})
    for layer in model.layers:
        for state, row in layer.initial.items():
            key = layer.initial_name(state)
            if key in architecture.initial:
                tensors[key] = Made(key, row.shape, dtype, row.load)
    return tensors


def recipes_of(block: Cell | Dense | Highway, *, native: bool, bias: bool) -> dict[str, Recipe]:
    """The tensors of one block by their names in its module.

    Args:
        block: a cell, or a block with weights that is none.
        native: `torch.nn` has a module for the cell.
        bias: that module has biases.
    """
    if isinstance(block, Cell):
        return recipes(block, bias=bias) if native else _equations(block)
    if isinstance(block, Dense):
        kernel = block.kernel
        found: dict[str, Recipe] = {"weight": (kernel.shape[::-1], lambda: kernel.load().T)}
        if block.bias is not None:
            found["bias"] = block.bias.shape, block.bias.load
        return found
    return {name: (stored.shape, stored.load) for name, stored in block.weights.items()}


def _equations(cell: Cell) -> dict[str, Recipe]:
    shapes = shapes_of(cell)
    return {
        name: (shapes[name], partial(_array, cell, field, gates))
        for name, (field, gates) in arrays_of(cell).items()
    }


def _array(cell: Cell, field: str, gates: tuple[str, ...]) -> Array:
    stored = cell.blocks[field]
    return stored.join(gates) if isinstance(stored, GateBlocks) else stored.load()


def cast(array: Array, dtype: np.dtype[Any], where: str) -> Array:
    """The numbers in `dtype`. Errors: CannotExpress where a finite one does not fit."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.ascontiguousarray(array.astype(dtype, copy=False))
    if array.dtype != dtype and np.any(np.isfinite(array) & ~np.isfinite(rounded)):
        raise CannotExpress(
            f"the largest number is {np.max(np.abs(array)):g}, which {dtype} cannot hold",
            expected=f"numbers within the range of {dtype}",
            where=where,
            advice="choose a wider --dtype",
        )
    return rounded
