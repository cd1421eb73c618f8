"""The tensors W, R, B and P of ONNX's recurrent operators, as recipes over a cell's blocks.

Shapes as in the operators' specifications, D directions, G gates, H units, I input features:
W (D, G H, I), R (D, G H, H), B (D, 2 G H), P (D, 3 H); the gates' orders stand in `operators`.

Nothing is folded but a projection: the stored bias stands bit for bit in the first half of B
(the operator's Wb). In the second (Rb) stands what a source keeps apart: the forget bias of an
LSTM, the recurrent bias of a GRU. The operator adds both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lstmbridge.errors import CannotExpress
from lstmbridge.gates import Array, GateBlocks, Weights
from lstmbridge.model.cells import Cell
from lstmbridge.model.folding import forget_bias_of, gate_block, projected_gate
from lstmbridge.targets.onnx.builder import Weight
from lstmbridge.targets.onnx.operators import Operator

PANEL_BYTES = 2**21
"""Of a transposed block, made and written together: small enough to stay in the cache."""
ROWS_AT_ONCE = 128
"""Rows of a panel that are transposed together."""
PADDING = 16
"""Numbers after each row of the scratch: lines that lie a power of two apart share few places in
the cache, and trained layers are mostly that wide."""


def checked(name: str, out: Array) -> Array:
    """`out`, narrowed from finite numbers, is still finite.

    Raises:
        CannotExpress: a weight lies outside the range of `out`'s dtype.
    """
    if not np.isfinite(out).all():
        raise CannotExpress(
            f"a weight of {name} does not fit into {out.dtype}",
            expected=f"weights below {np.finfo(out.dtype).max:.6g}",
            where=name,
            advice="convert with --dtype float32",
        )
    return out


def cast(name: str, value: Array, dtype: np.dtype[Any]) -> Array:
    """`value` in `dtype`, rounded once; refuses what overflows (see `checked`)."""
    if value.dtype == dtype:
        return np.ascontiguousarray(value)
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(value.astype(dtype))
    return checked(name, out) if np.isfinite(value).all() else out


def panels(name: str, block: Array, dtype: np.dtype[Any]) -> Iterator[Array]:
    """A block, transposed where it has two axes: some rows of the result at a time, C order.

    A whole transposition would jump through memory for each number; this way, with a padded
    scratch between, it takes about twice a plain copy instead of six times.

    Raises:
        CannotExpress: a finite number does not fit into `dtype`.
    """
    if block.ndim < 2:  # a vector is its own transposed
        yield cast(name, block, dtype)
        return
    rows, columns = block.shape
    width = max(PANEL_BYTES // max(rows * dtype.itemsize, 1), 1)
    scratch = np.empty((ROWS_AT_ONCE, min(width, columns) + PADDING), dtype)
    for left in range(0, columns, width):
        part = block[:, left : left + width]
        out = np.empty((part.shape[1], rows), dtype)
        with np.errstate(over="ignore"):
            for at in range(0, rows, ROWS_AT_ONCE):
                some = part[at : at + ROWS_AT_ONCE]
                padded = scratch[: len(some), : part.shape[1]]
                padded[...] = some
                out.T[at : at + ROWS_AT_ONCE] = padded
        if block.dtype != dtype and np.isfinite(part).all():
            checked(name, out)
        yield out


def _stack(
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Callable[[int, int, str], Any],
    gates: Sequence[str],
) -> Weight:
    """A tensor (D, len(gates) * H, ...) of blocks (rows, H) or (H,): `fill(d, k, gate)`."""

    def pieces() -> Iterator[Array]:
        for d in range(shape[0]):
            for k, gate in enumerate(gates):
                yield from panels(name, fill(d, k, gate), dtype)

    def build() -> Array:
        return np.concatenate(list(pieces())).reshape(shape)

    return Weight(name, shape, dtype, build, pieces)


def _block(cell: Cell, field: str, gate: str) -> Array:
    """The numbers of `gate` in `field`; zeros where the cell has none."""
    block = gate_block(cell, field, gate)
    return np.zeros(cell.shapes()[field], cell.dtype) if block is None else block


def kernel_weight(
    name: str,
    operator: Operator,
    cells: Sequence[Cell],
    dtype: np.dtype[Any],
    *,
    with_recurrent: bool,
) -> Weight:
    """W. `with_recurrent`: the recurrent weights follow as further input columns.

    They serve a projected cell whose initial h is fed: see `native`.
    """
    first, gates = cells[0], operator.order.gates
    columns = first.input_size + (first.output_size if with_recurrent else 0)

    def fill(d: int, _k: int, gate: str) -> Array:
        kernel = _block(cells[d], "kernel", gate)
        if not with_recurrent:
            return kernel
        return np.concatenate([kernel, _block(cells[d], "recurrent", gate)])

    return _stack(name, (len(cells), len(gates) * first.units, columns), dtype, fill, gates)


def recurrent_weight(
    name: str, operator: Operator, cells: Sequence[Cell], dtype: np.dtype[Any]
) -> Weight:
    """R; where there is a projection P, the product with it (float64, rounded once)."""
    units, gates = cells[0].units, operator.order.gates

    def fill(d: int, _k: int, gate: str) -> Array:
        if "projection" in cells[d].blocks:
            return projected_gate(cells[d], gate)
        return _block(cells[d], "recurrent", gate)

    return _stack(name, (len(cells), len(gates) * units, units), dtype, fill, gates)


def needs_bias(cell: Cell) -> bool:
    """Whether B says anything: a forget bias, or a stored bias that is not +0 throughout."""
    for field in ("bias", "recurrent_bias"):
        stored = cell.blocks.get(field)
        if isinstance(stored, GateBlocks) and any(
            stored[g].tobytes().strip(b"\0") for g in stored
        ):
            return True
    return any(forget_bias_of(cell, gate) for gate in cell.GATES)


def bias_weight(
    name: str, operator: Operator, cells: Sequence[Cell], dtype: np.dtype[Any]
) -> Weight:
    """B: the stored biases, then what a source keeps apart from them."""
    units, gates = cells[0].units, operator.order.gates

    def fill(d: int, k: int, gate: str) -> Array:
        if k < len(gates):
            return _block(cells[d], "bias", gate)
        if "recurrent_bias" in cells[d].blocks:
            return _block(cells[d], "recurrent_bias", gate)
        return np.full(units, forget_bias_of(cells[d], gate))

    return _stack(name, (len(cells), 2 * len(gates) * units), dtype, fill, gates * 2)


def peephole_weight(
    name: str, gates: Sequence[str], cells: Sequence[Cell], dtype: np.dtype[Any]
) -> Weight:
    """P; zeros in a direction that has none."""
    units = cells[0].units

    def fill(d: int, _k: int, gate: str) -> Array:
        return _block(cells[d], "peephole", gate)

    return _stack(name, (len(cells), len(gates) * units), dtype, fill, gates)


def projection_weight(name: str, cell: Cell, dtype: np.dtype[Any]) -> Weight:
    """The projection (H, P), as stored.

    Raises:
        ValueError: the cell has none.
    """
    projection = cell.blocks.get("projection")
    if projection is None or isinstance(projection, GateBlocks):
        raise ValueError("the cell has no projection")
    stored: Weights = projection
    return Weight(name, stored.shape, dtype, lambda: cast(name, stored.load(), dtype))
