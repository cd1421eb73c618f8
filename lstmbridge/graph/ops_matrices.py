"""Diagonals and bands of matrices. Source: array_ops.cc, matrix_diag_op.cc."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _zero(w: Words[Any], like: Any) -> Any:
    return w.literal(np.asarray(0), w.kind(like))


def _counted(w: Words[Any], length: Any) -> Any:
    zero, one = (w.literal(np.asarray(n), "int") for n in (0, 1))
    return w.arange(zero, w.integer(length), one)


def _places(w: Words[Any], value: Any) -> tuple[Any, Any]:
    """Row and column numbers of the last two axes, to be compared."""
    rows, columns = w.numbers(w.shape(value))[-2:]
    return w.unsqueeze(_counted(w, rows), 1), w.unsqueeze(_counted(w, columns), 0)


def _band_part(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`MatrixBandPart`: so many diagonals below and above; a negative number keeps all."""
    value, lower, upper = args
    row, column = _places(w, value)
    zero = w.literal(np.asarray(0), "int")

    def within(off: Any, most: Any) -> Any:
        all_of_it = w.compare("less", most, zero)
        return w.logical("or", all_of_it, w.compare("less_equal", off, most))

    near = w.logical("and", within(w.sub(row, column), lower), within(w.sub(column, row), upper))
    return [w.where(near, value, _zero(w, value))]


def _main_only(w: Words[Any], args: Sequence[Any]) -> None:
    """The later versions' further inputs must say the main diagonal of a square matrix."""
    if args and any(int(k) for k in np.ravel(w.static(args[0]))):
        raise ValueError("its diagonal is not the main one")


def _matrix_diag(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    _main_only(w, args[1:2])
    if len(args) > 2 and any(int(k) != -1 for a in args[2:4] for k in np.ravel(w.static(a))):
        raise ValueError("its matrix has a shape of its own")
    value, last = args[0], w.rank(args[0]) - 1
    wide = w.unsqueeze(value, last + 1)
    length = w.numbers(w.shape(value))[-1]
    row, column = w.unsqueeze(_counted(w, length), 1), w.unsqueeze(_counted(w, length), 0)
    return [w.where(w.compare("equal", row, column), wide, _zero(w, value))]


def _set_diag(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    _main_only(w, args[2:3])
    value, diagonal = args[0], args[1]
    rows = w.numbers(w.shape(value))[-2]
    row, column = _places(w, value)
    axis = w.rank(diagonal) - 1
    # one number for each row: past the end of a wide diagonal no row needs one
    length = w.numbers(w.shape(diagonal))[-1]
    known = isinstance(rows, int) and isinstance(length, int)
    missing = rows - length if known else w.sub(w.integer(rows), w.integer(length))
    before = [0] * (axis + 1)
    padded = w.pad(diagonal, before, [*before[:-1], missing], _zero(w, diagonal))
    wide = w.unsqueeze(padded, axis + 1)
    return [w.where(w.compare("equal", row, column), wide, value)]


def _diag_part(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`MatrixDiagPart`, and `DiagPart` of a matrix."""
    _main_only(w, args[1:2])
    value = args[0]
    row, column = _places(w, value)
    inside = w.where(w.compare("equal", row, column), value, _zero(w, value))
    rows, columns = w.numbers(w.shape(value))[-2:]
    summed = w.reduce("sum", inside, [w.rank(value) - 1], keep=False)
    lead = (slice(None),) * (w.rank(value) - 2)
    if isinstance(rows, int) and isinstance(columns, int):
        return [w.index(summed, (*lead, slice(0, min(rows, columns))))]
    return [w.index(summed, (*lead, slice(0, columns)))]


def _diag(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    if w.rank(args[0]) != 1:
        raise ValueError("Diag of more than a vector")
    return _matrix_diag(w, op, args)


MATRICES: Mapping[str, Definition] = {
    "Diag": _diag,
    "DiagPart": _diag_part,
    "MatrixBandPart": _band_part,
    "MatrixDiag": _matrix_diag,
    "MatrixDiagPart": _diag_part,
    "MatrixDiagPartV2": _diag_part,
    "MatrixDiagPartV3": _diag_part,
    "MatrixDiagV2": _matrix_diag,
    "MatrixDiagV3": _matrix_diag,
    "MatrixSetDiag": _set_diag,
    "MatrixSetDiagV2": _set_diag,
    "MatrixSetDiagV3": _set_diag,
}
