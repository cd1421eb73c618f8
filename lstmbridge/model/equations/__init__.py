"""What each cell computes, stated once, against the array namespace. Nothing else in here.

The same lines are run by float64 NumPy (the oracle), by NumPy that rounds (the noise floor), by
PyTorch (`nn.Module` for what `torch.nn.LSTM` cannot say) and by a builder of ONNX nodes (the
body of a `Scan`). What does not depend on the state, the input product, is apart, so that it is
computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lstmbridge.arrays.namespace import Namespace
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model import cells
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import gru, lstm
from lstmbridge.model.equations.step import State, Step, Tap, no_tap

A = TypeVar("A")

__all__ = ["State", "Step", "Tap", "arrays_of", "bind", "no_tap", "weights_of"]


def bind(ops: Namespace[A], cell: Cell, weights: Mapping[str, A] | None = None) -> Step[A]:
    """The equations of `cell`, ready to run in `ops`.

    Args:
        ops: the interpreter.
        cell: its structure and constants; its numbers too, unless `weights` are given.
        weights: the interpreter's own arrays in place of the cell's numbers (parameters that
            are trained, inputs of a graph), by the names that `weights_of` gives.
    """
    if weights is None:
        weights = {name: ops.constant(array) for name, array in weights_of(cell).items()}
    return _EQUATIONS[type(cell)](ops, cell, weights)


def arrays_of(cell: Cell) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name of each array that the equations of `cell` use -> its field, and the gates in it.

    A field without gates has its own name, and no gates; gates that stand side by side in one
    array (`Cell.groups`) have the field's too, where they are all of the cell's; otherwise
    ``peephole_i``, ``recurrent_rz``, ... Loads nothing.
    """
    names: dict[str, tuple[str, tuple[str, ...]]] = {}
    for field, stored in cell.blocks.items():
        if not isinstance(stored, GateBlocks):
            names[field] = field, ()
            continue
        for group in cell.groups(field):
            whole = len(group) == len(cell.GATES)
            names[field if whole else f"{field}_{''.join(group)}"] = field, group
    return names


def weights_of(cell: Cell) -> dict[str, Array]:
    """The arrays that the equations of `cell` use, by the names of `arrays_of`."""
    arrays: dict[str, Array] = {}
    for name, (field, gates) in arrays_of(cell).items():
        stored = cell.blocks[field]
        arrays[name] = stored.join(gates) if isinstance(stored, GateBlocks) else stored.load()
    return arrays


_EQUATIONS: Mapping[type, Callable[[Any, Any, Any], Step[Any]]] = {
    cells.LSTM: lstm.lstm,
    cells.CoupledLSTM: lstm.coupled_lstm,
    cells.LayerNormLSTM: lstm.layer_norm_lstm,
    cells.IndyLSTM: lstm.indy_lstm,
    cells.NAS: lstm.nas,
    cells.GRU: gru.gru,
    cells.IndyGRU: gru.indy_gru,
    cells.RNN: gru.rnn,
    cells.UGRNN: gru.ugrnn,
    cells.Intersection: gru.intersection,
}
