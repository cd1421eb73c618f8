"""Columns side by side, each an affine function of rows: their arithmetic.

Nothing here knows a graph: `affine` walks one and asks for sums, cuts and products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.network import Tensor


class Opaque(Exception):
    """An operation makes something else of rows than an affine function. Never leaves."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number that a row was multiplied by (``mul``) or that was added to it (``add``).

    Those of different nodes are the same.
    """

    how: str
    number: float
    node: str = field(compare=False)


@dataclass(frozen=True, eq=False)
class Piece:
    """Columns side by side, as an affine function of rows.

    Attributes:
        parts: tensor (batch, n) -> what it is multiplied by: (n, width) a matrix, (n,) a
            diagonal, None: itself.
        base: (width,), added; None where nothing is.
        scalars: what is done to all of it afterwards, first the first.
        width: None where it is not known: of a single tensor that is no product.
    """

    parts: Mapping[Tensor, Array | None]
    base: Array | None = None
    scalars: tuple[Scalar, ...] = ()
    width: int | None = None

    @property
    def is_product(self) -> bool:
        """Whether a matrix has a part in it."""
        return any(matrix is not None and matrix.ndim == 2 for matrix in self.parts.values())

    def settled(self) -> Piece:
        """The same with the scalars worked into its numbers."""
        parts, base = dict(self.parts), self.base
        for one in self.scalars:
            if one.how == "mul":
                parts = {t: _times(m, one.number, self.width) for t, m in parts.items()}
                base = None if base is None else base * one.number
            else:
                zeros = np.zeros(self.width or 1)
                base = (zeros if base is None else base) + one.number
        return Piece(parts, base, (), self.width)

    def columns(self, start: int, stop: int) -> Piece:
        """Some of its columns; its width must be known."""
        width = self.width or 0
        if (start, stop) == (0, width):
            return self
        parts = {t: dense(m, width)[:, start:stop] for t, m in self.parts.items()}
        base = None if self.base is None else self.base[start:stop]
        return Piece(parts, base, self.scalars, stop - start)


Row = tuple[Piece, ...]
"""Pieces side by side."""


def dense(matrix: Array | None, width: int) -> Array:
    """What multiplies a tensor (`Piece.parts`), as a matrix."""
    if matrix is None:
        return np.eye(width)
    return np.diag(matrix) if matrix.ndim == 1 else matrix


def _times(matrix: Array | None, number: float, width: int | None) -> Array | None:
    if matrix is None:
        return np.full(width or 1, number)
    return matrix * number


def scaled(row: Row, by: Scalar) -> Row:
    """A row to which one number more is added, or by which it is multiplied."""
    return tuple(replace(piece, scalars=(*piece.scalars, by)) for piece in row)


def columns_of(row: Row, start: int, stop: int) -> Row:
    """Some columns of a row whose width is known. Errors: Opaque, where it has fewer."""
    found, at = [], 0
    for piece in row:
        first, last = max(start - at, 0), min(stop - at, piece.width or 0)
        if first < last:
            found.append(piece.columns(first, last))
        at += piece.width or 0
    if not found or stop > at:
        raise Opaque
    return tuple(found)


def sum_of(a: Row, b: Row) -> Row:
    """Two rows of one width, added. Errors: Opaque."""
    if len(a) == len(b) == 1:
        return (added(a[0], b[0]),)
    if any(piece.width is None for piece in (*a, *b)):
        raise Opaque
    ends = [np.cumsum([piece.width or 0 for piece in row]).tolist() for row in (a, b)]
    if ends[0][-1] != ends[1][-1]:
        raise Opaque
    cuts = sorted({0, *ends[0], *ends[1]})
    found: list[Piece] = []
    for start, stop in pairwise(cuts):
        found.append(added(columns_of(a, start, stop)[0], columns_of(b, start, stop)[0]))
    return tuple(found)


def added(a: Piece, b: Piece) -> Piece:
    """Two pieces of one width, added; numbers that were added to one stay apart."""
    width = a.width if b.width is None else b.width
    if a.width is not None and a.width != width:
        raise Opaque
    a, b = replace(a, width=width), replace(b, width=width)
    kept = [one.scalars for one in (a, b)]
    plain = [all(s.how == "add" for s in scalars) for scalars in kept]
    scalars = (*kept[0], *kept[1]) if all(plain) else ()
    if all(plain):
        a, b = replace(a, scalars=()), replace(b, scalars=())
    else:
        a, b = a.settled(), b.settled()
    parts: dict[Tensor, Array | None] = dict(a.parts)
    for tensor, matrix in b.parts.items():
        if tensor not in parts:
            parts[tensor] = matrix
            continue
        mine = parts[tensor]
        if width is None:
            raise Opaque
        if (mine is None or mine.ndim == 1) and (matrix is None or matrix.ndim == 1):
            ones = np.ones(width)
            parts[tensor] = (ones if mine is None else mine) + (ones if matrix is None else matrix)
        else:
            parts[tensor] = dense(mine, width) + dense(matrix, width)
    if a.base is None or b.base is None:
        base = b.base if a.base is None else a.base
    else:
        base = a.base + b.base
    return Piece(parts, base, scalars, width)
