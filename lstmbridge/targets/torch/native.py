"""What `torch.nn` has modules of its own for, and how their tensors are filled.

==========================  =============================================================
`torch.nn.LSTM`, GRU, RNN   from
==========================  =============================================================
``weight_ih`` (G H, I)      kernel, transposed, gates in PyTorch's order
``weight_hh`` (G H, P)      recurrent, likewise
``bias_ih`` (G H)           the stored bias, bit for bit; zeros where there is none
``bias_hh`` (G H)           LSTM: the forget bias in its gate's block, zeros elsewhere;
                            GRU: the stored recurrent bias, bit for bit, zeros where there is
                            none; RNN: zeros
``weight_hr`` (P, H)        LSTM's projection, transposed
==========================  =============================================================

Nothing is folded or summed: what is stored can be read back. `torch.nn.GRU` has the reset gate
after the recurrent product, so a GRU whose reset comes before it is never said by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.gates import PYTORCH_GRU, PYTORCH_LSTM, PYTORCH_RNN, Array, GateBlocks, GateOrder
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell

_STRIP = 16
"""Rows that are transposed together: they stay in the processor's cache."""

Recipe = tuple[tuple[int, ...], Callable[[], Array]]
"""A shape, and how to make the array."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One of `torch.nn`'s recurrent modules, by the name that torch gives its arithmetic.

    Attributes:
        module: name of the class in `torch.nn`.
        order: of the gates in its tensors.
        states: in the order in which it takes and gives them.
        nonlinearity: an argument of `torch.nn.RNN`, "" elsewhere.
    """

    module: str
    order: GateOrder
    states: tuple[str, ...] = ("h",)
    nonlinearity: str = ""


MODES: Mapping[str, Mode] = {
    "LSTM": Mode("LSTM", PYTORCH_LSTM, ("h", "c")),
    "GRU": Mode("GRU", PYTORCH_GRU),
    "RNN_TANH": Mode("RNN", PYTORCH_RNN, nonlinearity="tanh"),
    "RNN_RELU": Mode("RNN", PYTORCH_RNN, nonlinearity="relu"),
}


def mode_of(cell: Cell) -> str:
    """The mode that says `cell`, once the capability table has found it native.

    Raises:
        ValueError: there is none: the table is wrong.
    """
    mode = f"RNN_{cell.activation.value.upper()}" if isinstance(cell, RNN) else cell.KIND
    if mode not in MODES or (isinstance(cell, GRU) and not cell.reset_after.value):
        raise ValueError(f"torch.nn has no module for {cell}")
    return mode


def projection_of(cell: Cell) -> int:
    """``proj_size``; 0 where there is none."""
    return cell.output_size if "projection" in cell.blocks else 0


def needs_bias(cell: Cell) -> bool:
    """Is anything added that ``bias_ih`` or ``bias_hh`` must hold?"""
    return "bias" in cell.blocks or bool(_late(cell))


def _late(cell: Cell) -> dict[str, Callable[[], Array]]:
    """What ``bias_hh`` holds, by gate; zeros elsewhere."""
    if isinstance(cell, LSTM):
        value = cell.forget_bias.value
        return {"f": lambda: np.full(cell.units, value)} if value else {}
    stored = cell.blocks.get("recurrent_bias")
    if not isinstance(stored, GateBlocks):
        return {}
    return {gate: stored.cut(gate).load for gate in stored}


def recipes(cell: Cell, *, bias: bool) -> dict[str, Recipe]:
    """The tensors of one layer, by torch's names without the suffix ``_l0``."""
    gates = MODES[mode_of(cell)].order.gates
    found: dict[str, Recipe] = {}
    for name, field in (("weight_ih", "kernel"), ("weight_hh", "recurrent")):
        blocks = cell.blocks[field]
        assert isinstance(blocks, GateBlocks)
        wide, tall = blocks.shape
        found[name] = (len(gates) * tall, wide), _turner(blocks, gates)
    if bias:
        shape = (len(gates) * cell.units,)
        stored = cell.blocks.get("bias")
        early = {g: stored.cut(g).load for g in gates} if isinstance(stored, GateBlocks) else {}
        found["bias_ih"] = shape, _joiner(early, gates, cell.units)
        found["bias_hh"] = shape, _joiner(_late(cell), gates, cell.units)
    projection = cell.blocks.get("projection")
    if projection is not None:
        assert not isinstance(projection, GateBlocks)
        found["weight_hr"] = projection.shape[::-1], lambda: projection.load().T
    return found


def _joiner(
    parts: Mapping[str, Callable[[], Array]], gates: tuple[str, ...], units: int
) -> Callable[[], Array]:
    def joined() -> Array:
        there = {gate: part() for gate, part in parts.items()}
        zeros = np.zeros(units, next(iter(there.values())).dtype if there else np.float64)
        return np.concatenate([there.get(gate, zeros) for gate in gates])

    return joined


def _turner(blocks: GateBlocks, gates: tuple[str, ...]) -> Callable[[], Array]:
    """The gates' blocks, each transposed, one below another."""

    def turned() -> Array:
        wide, tall = blocks.shape
        array = np.empty((len(gates) * tall, wide), blocks.dtype)
        for k, gate in enumerate(gates):
            block, rows = blocks[gate], array[k * tall : (k + 1) * tall]
            for at in range(0, wide, _STRIP):  # three times as fast as all at once
                rows[:, at : at + _STRIP] = block[at : at + _STRIP].T
        return array

    return turned
