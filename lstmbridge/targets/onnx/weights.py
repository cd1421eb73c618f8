"""The tensors W, R, B and P of ONNX's `LSTM` operator, as recipes over a model's blocks.

Shapes as in the operator's specification, D directions, H units, I input features:
W (D, 4H, I), R (D, 4H, H), B (D, 8H), P (D, 3H); gates i, o, f, c, in P i, o, f.

Nothing is folded but a projection: the stored bias stands bit for bit in the first half of B
(the operator's Wb), the forget bias in the second half's f block (Rb): the operator adds both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lstmbridge.errors import CannotExpress
from lstmbridge.gates import ONNX_LSTM, ONNX_PEEPHOLE, Array
from lstmbridge.model.cells import LSTM
from lstmbridge.model.folding import projected_gate
from lstmbridge.targets.onnx.builder import Weight

ROWS_AT_ONCE = 16
"""Rows of a block that are transposed together; measured to be the fastest (7 x a plain copy)."""


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


def _fill(name: str, out: Array, block: Array) -> None:
    """Write a block, transposed where it has two axes, into its place: rounded once, if at all.

    Some rows at a time: a whole transposition would jump through memory for each number.
    """
    with np.errstate(over="ignore"):
        for at in range(0, len(block), ROWS_AT_ONCE):
            rows = slice(at, at + ROWS_AT_ONCE)
            out.T[rows] = block[rows]
    if block.dtype != out.dtype and np.isfinite(block).all():
        checked(name, out)


def _stack(
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Callable[[int, int, str], Any],
    gates: Sequence[str],
) -> Weight:
    """A tensor (D, len(gates) * H, ...) of blocks (rows, H) or (H,): `fill(d, k, gate)`."""
    width = shape[1] // len(gates)

    def build() -> Array:
        out = np.empty(shape, dtype)
        for d in range(shape[0]):
            for k, gate in enumerate(gates):
                _fill(name, out[d, k * width : (k + 1) * width], fill(d, k, gate))
        return out

    return Weight(name, shape, dtype, build)


def kernel_weight(
    name: str, cells: Sequence[LSTM], dtype: np.dtype[Any], *, with_recurrent: bool
) -> Weight:
    """W. `with_recurrent`: the recurrent weights follow as further input columns.

    They serve a projected cell whose initial h is fed: see `native`.
    """
    first = cells[0]
    columns = first.input_size + (first.output_size if with_recurrent else 0)

    def fill(d: int, _k: int, gate: str) -> Any:
        kernel = cells[d].kernel[gate]
        if not with_recurrent:
            return kernel
        return np.concatenate([kernel, cells[d].recurrent[gate]])

    shape = (len(cells), 4 * first.units, columns)
    return _stack(name, shape, dtype, fill, ONNX_LSTM.gates)


def recurrent_weight(name: str, cells: Sequence[LSTM], dtype: np.dtype[Any]) -> Weight:
    """R; where there is a projection P, the product with it (float64, rounded once)."""
    units = cells[0].units

    def fill(d: int, _k: int, gate: str) -> Any:
        cell = cells[d]
        return cell.recurrent[gate] if cell.projection is None else projected_gate(cell, gate)

    return _stack(name, (len(cells), 4 * units, units), dtype, fill, ONNX_LSTM.gates)


def needs_bias(cell: LSTM) -> bool:
    """Whether B says anything: a forget bias, or a stored bias that is not +0 throughout."""
    if cell.forget_bias.value:
        return True
    return cell.bias is not None and any(cell.bias[g].tobytes().strip(b"\0") for g in cell.bias)


def bias_weight(name: str, cells: Sequence[LSTM], dtype: np.dtype[Any]) -> Weight:
    """B: the stored biases, then zeros but for the forget bias."""
    units = cells[0].units

    def fill(d: int, k: int, gate: str) -> Any:
        bias = cells[d].bias
        if k < len(ONNX_LSTM.gates):
            return np.zeros(units, dtype) if bias is None else bias[gate]
        return np.full(units, cells[d].forget_bias.value if gate == "f" else 0.0)

    return _stack(name, (len(cells), 8 * units), dtype, fill, ONNX_LSTM.gates * 2)


def peephole_weight(name: str, cells: Sequence[LSTM], dtype: np.dtype[Any]) -> Weight:
    """P; zeros in a direction that has none."""
    units = cells[0].units

    def fill(d: int, _k: int, gate: str) -> Any:
        peephole = cells[d].peephole
        return np.zeros(units, dtype) if peephole is None else peephole[gate]

    return _stack(name, (len(cells), 3 * units), dtype, fill, ONNX_PEEPHOLE.gates)


def projection_weight(name: str, cell: LSTM, dtype: np.dtype[Any]) -> Weight:
    """The projection (H, P), as stored.

    Raises:
        ValueError: the cell has none.
    """
    projection = cell.projection
    if projection is None:
        raise ValueError("the cell has no projection")
    return Weight(name, projection.shape, dtype, lambda: cast(name, projection.load(), dtype))
