"""Cells -> tensors of a state dict. Nothing is folded: what is stored can be read back.

=====================  =============================================================
`torch.nn.LSTM`        from
=====================  =============================================================
``weight_ih`` (4H, I)  kernel, transposed, gates i, f, g, o
``weight_hh`` (4H, P)  recurrent, likewise
``bias_ih`` (4H)       the stored bias, bit for bit; zeros where there is none
``bias_hh`` (4H)       the forget bias in its gate's block, zeros elsewhere
``weight_hr`` (P, H)   projection, transposed
=====================  =============================================================

Layers that run the equations keep TensorFlow's orientation and the gates in the cell's order,
i, f, c, o: ``kernel`` (I, 4H), ``recurrent`` (P, 4H), ``bias`` (4H), ``peephole_i``,
``peephole_f``, ``peephole_o`` (H), ``projection`` (H, P). A cell that serves several layers is
written once for each of them: `torch.nn.LSTM` has no way to share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstmbridge.errors import CannotExpress
from lstmbridge.gates import PYTORCH_LSTM, Array, GateBlocks, Weights
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import LSTM
from lstmbridge.model.equations import weights_of
from lstmbridge.targets.torch.architecture import Architecture, Equations, Native, root_leaves

_STRIP = 16
"""Rows that are transposed together: they stay in the processor's cache."""


def stored_dtype(model: Model) -> np.dtype[Any]:
    """The narrowest precision that holds every stored number of `model` exactly."""
    dtypes = {cut.dtype for layer in model.layers for cut in _stored(layer.cell)}
    if len(dtypes) == 1:
        return dtypes.pop()
    return np.dtype(np.float64 if np.dtype(np.float64) in dtypes else np.float32)


def _stored(cell: LSTM) -> list[Weights]:
    groups: list[GateBlocks | None] = [cell.kernel, cell.recurrent, cell.bias, cell.peephole]
    found = [blocks.cut(gate) for blocks in groups if blocks is not None for gate in blocks]
    return found if cell.projection is None else [*found, cell.projection]


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
        return _cast(self.make(), self.dtype, self.name)


def state_dict(
    model: Model, architecture: Architecture, dtype: np.dtype[Any]
) -> dict[str, Weights]:
    """The tensors of `architecture`, in the order of the module's own state dict.

    Nothing is computed yet. Layers that share a cell share the object.
    """
    layers = {layer.name: layer for layer in model.layers}
    done: dict[tuple[int, bool, bool], dict[str, Weights]] = {}

    def once(layer: Layer, leaf: Native | Equations) -> dict[str, Weights]:
        native = isinstance(leaf, Native)
        key = (id(layer.cell), native, leaf.bias)
        if key not in done:
            recipes = _native(layer.cell, bias=leaf.bias) if native else _equations(layer.cell)
            done[key] = {
                name: Made(f"{layer.name}, {name}", shape, dtype, make)
                for name, (shape, make) in recipes.items()
            }
        return done[key]

    tensors: dict[str, Weights] = {}
    for prefix, leaf in root_leaves(architecture):
        if isinstance(leaf, Native):
            for name, suffix in zip(leaf.names, leaf.suffixes, strict=True):
                found = once(layers[name], leaf)
                tensors.update({f"{prefix}{key}{suffix}": a for key, a in found.items()})
        else:
            found = once(layers[leaf.name], leaf)
            tensors.update({f"{prefix}{key}": a for key, a in found.items()})
    return tensors


Recipe = tuple[tuple[int, ...], Callable[[], Array]]
"""A shape, and how to make the array."""


def _native(cell: LSTM, *, bias: bool) -> dict[str, Recipe]:
    fused, kernel, recurrent = 4 * cell.units, cell.kernel, cell.recurrent
    recipes: dict[str, Recipe] = {
        "weight_ih": ((fused, cell.input_size), lambda: _turned(kernel)),
        "weight_hh": ((fused, cell.output_size), lambda: _turned(recurrent)),
    }
    if bias:
        stored = cell.bias or GateBlocks.of(dict.fromkeys(cell.GATES, np.zeros(cell.units)))
        added = {"f": cell.forget_bias.value}
        late = GateBlocks.of({g: np.full(cell.units, added.get(g, 0.0)) for g in cell.GATES})
        recipes["bias_ih"] = (fused,), lambda: stored.join(PYTORCH_LSTM)
        recipes["bias_hh"] = (fused,), lambda: late.join(PYTORCH_LSTM)
    if cell.projection is not None:
        projection = cell.projection
        recipes["weight_hr"] = projection.shape[::-1], lambda: projection.load().T
    return recipes


def _equations(cell: LSTM) -> dict[str, Recipe]:
    # such layers are rare, and one of them at a time fits into memory
    arrays = weights_of(cell)
    return {
        name: (array.shape, partial(arrays.__getitem__, name)) for name, array in arrays.items()
    }


def _turned(blocks: GateBlocks) -> Array:
    """The gates' blocks, each transposed, one below another, in PyTorch's order."""
    wide, tall = blocks.shape
    turned = np.empty((4 * tall, wide), blocks.dtype)
    for k, gate in enumerate(PYTORCH_LSTM.gates):
        block, rows = blocks[gate], turned[k * tall : (k + 1) * tall]
        for at in range(0, wide, _STRIP):  # three times as fast as all at once
            rows[:, at : at + _STRIP] = block[at : at + _STRIP].T
    return turned


def _cast(array: Array, dtype: np.dtype[Any], where: str) -> Array:
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
