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

from typing import Any

import numpy as np

from lstmbridge.errors import CannotExpress
from lstmbridge.gates import PYTORCH_LSTM, Array, GateBlocks, Weights
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import LSTM
from lstmbridge.model.equations import weights_of
from lstmbridge.targets.torch.architecture import Architecture, Equations, Native, root_leaves

_NATIVE_ORDER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


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


def state_dict(model: Model, architecture: Architecture, dtype: np.dtype[Any]) -> dict[str, Array]:
    """The tensors of `architecture`, in the order of the module's own state dict.

    Arrays are contiguous and in `dtype`, each number rounded at most once. Layers that share a
    cell share the array.

    Raises:
        CannotExpress: a finite number does not fit into `dtype`.
    """
    layers = {layer.name: layer for layer in model.layers}
    done: dict[tuple[int, bool, bool], dict[str, Array]] = {}

    def once(layer: Layer, leaf: Native | Equations) -> dict[str, Array]:
        key = (id(layer.cell), isinstance(leaf, Native), leaf.bias)
        if key not in done:
            native = isinstance(leaf, Native)
            raw = _native(layer.cell, bias=leaf.bias) if native else weights_of(layer.cell)
            done[key] = {name: _cast(a, dtype, f"{layer.name}, {name}") for name, a in raw.items()}
        return done[key]

    tensors: dict[str, Array] = {}
    for prefix, leaf in root_leaves(architecture):
        if isinstance(leaf, Native):
            for name, suffix in zip(leaf.names, leaf.suffixes, strict=True):
                found = once(layers[name], leaf)
                tensors.update({f"{prefix}{key}{suffix}": a for key, a in found.items()})
        else:
            found = once(layers[leaf.name], leaf)
            tensors.update({f"{prefix}{key}": a for key, a in found.items()})
    return tensors


def _native(cell: LSTM, *, bias: bool) -> dict[str, Array]:
    tensors = {
        "weight_ih": cell.kernel.join(PYTORCH_LSTM).T,
        "weight_hh": cell.recurrent.join(PYTORCH_LSTM).T,
    }
    if bias:
        zeros = np.zeros(cell.units, cell.dtype)
        none = GateBlocks.of(dict.fromkeys(cell.GATES, zeros))
        added = {"f": cell.forget_bias.value}
        late = {gate: np.full(cell.units, added.get(gate, 0.0)) for gate in cell.GATES}
        tensors["bias_ih"] = (cell.bias or none).join(PYTORCH_LSTM)
        tensors["bias_hh"] = GateBlocks.of(late).join(PYTORCH_LSTM)
    if cell.projection is not None:
        tensors["weight_hr"] = cell.projection.load().T
    return {name: tensors[name] for name in _NATIVE_ORDER if name in tensors}


def _cast(array: Array, dtype: np.dtype[Any], where: str) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.ascontiguousarray(array.astype(dtype))
    if array.dtype != dtype and np.any(np.isfinite(array) & ~np.isfinite(rounded)):
        raise CannotExpress(
            f"the largest number is {np.max(np.abs(array)):g}, which {dtype} cannot hold",
            expected=f"numbers within the range of {dtype}",
            where=where,
            advice="choose a wider --dtype",
        )
    return rounded
