"""What a tensor is as an affine function of others: which rows, times which weights, plus what.

A step of a recurrent cell is arithmetic on a few affine functions of its input and its state.
However a graph writes them down (one kernel or one per gate, ``x W + h U`` or ``[h, x] K``, the
bias here or there, gates cut before or after), each is a sum of terms ``row @ matrix``, and the
matrices are found by running the graph's own operations on weights, never on rows. So they are
exact, and the same walk gives them for stand-ins (to form a hypothesis) and for the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.functions import ELEMENTWISE
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.ops_elementwise import kind_of
from lstmbridge.graph.ops_shape import strided_index
from lstmbridge.graph.rows import (
    Opaque,
    Piece,
    Row,
    Scalar,
    added,
    columns_of,
    dense,
    scaled,
    sum_of,
)
from lstmbridge.graph.trace import VARIABLES, Tracer

_ADDS = frozenset({"Add", "AddV2", "AddN", "BiasAdd", "Sub"})
_SCALES = frozenset({"Div", "Mul", "Neg", "RealDiv"})
_PRODUCTS = frozenset({"BatchMatMul", "BatchMatMulV2", "MatMul"})
_JOINS = frozenset({"Concat", "ConcatV2"})
_CUTS = frozenset({"Slice", "Split", "SplitV", "StridedSlice"})
_SHAPES = frozenset({"Rank", "Shape", "ShapeN", "Size"})
_MOST_FIXED = 40_000
_MOST_BEHIND = 100

Numbers = Callable[[Op], Array]
"""A variable, or a constant of more than one number -> its numbers in float64."""


@dataclass(eq=False)
class Affine:
    """Answers for one network and one set of weights; remembers the answers.

    Attributes:
        numbers: what the weights are.
    """

    tracer: Tracer
    numbers: Numbers
    widths: dict[Tensor, int] = field(default_factory=dict)
    _rows: dict[Tensor, Row] = field(default_factory=dict)
    _fixed: dict[str, bool] = field(default_factory=dict)
    _weights: dict[Tensor, Array] = field(default_factory=dict)
    _values: dict[Tensor, Array | None] = field(default_factory=dict)

    def row(self, tensor: Tensor) -> Row:
        """What `tensor` (batch, columns) is; itself where it is no affine function of others."""
        start = self.tracer.resolve(tensor)
        stack = [start]
        entered: set[Tensor] = set()
        while stack:
            at = stack[-1]
            if at in self._rows:
                stack.pop()
                continue
            needs = [t for t in self._needs(at) if t not in self._rows]
            if needs and at not in entered:
                entered.add(at)
                stack.extend(needs)
                continue
            self._rows[at] = self._row(at)
            stack.pop()
        return self._rows[start]

    def fixed(self, tensor: Tensor) -> Array | None:
        """The numbers of a tensor that depends on weights and constants alone; else None."""
        at = self.tracer.resolve(tensor)
        if at not in self._values:
            self._values[at] = self._evaluated(at) if self._is_fixed(at) else None
        return self._values[at]

    def _evaluated(self, at: Tensor) -> Array | None:
        network, resolve = self.tracer.network, self.tracer.resolve
        try:
            value = Evaluation(network, resolve, self._weights)(at)
        except LstmBridgeError:
            return None
        return np.asarray(value)

    def _is_fixed(self, tensor: Tensor) -> bool:
        stack, open_ = [tensor[0]], set[str]()
        while stack:
            name = stack[-1]
            if name in self._fixed:
                stack.pop()
                continue
            op = self.tracer.network.op(name)
            known = self._known(op)
            if known is not None:
                self._fixed[name] = known
                stack.pop()
                continue
            inner = [self.tracer.resolve(t)[0] for t in op.inputs]
            waiting = [n for n in inner if n not in self._fixed and n not in open_]
            if waiting and len(self._fixed) < _MOST_FIXED:
                open_.add(name)
                stack.extend(waiting)
                continue
            self._fixed[name] = all(self._fixed.get(n, False) for n in inner)
            stack.pop()
        return self._fixed[tensor[0]]

    def _known(self, op: Op) -> bool | None:
        """Whether it is fixed, where that can be told of it alone."""
        at = (op.name, 0)
        if op.kind in VARIABLES or (op.kind == "Const" and _is_many(op)):
            try:
                self._weights[at] = self.numbers(op)
            except LstmBridgeError:
                return False
            return True
        if op.kind == "Const":
            return True
        if at in self.tracer.network.entries or op.kind not in OPS or not op.inputs:
            return False
        return False if at in self.tracer.stops or op.kind in _SHAPES else None

    def _needs(self, at: Tensor) -> list[Tensor]:
        """The rows that the operation behind `at` is made of."""
        op = self.tracer.network.op(at[0])
        if at in self.tracer.stops or at in self.tracer.network.entries:
            return []
        if op.kind not in _ADDS | _SCALES | _PRODUCTS | _JOINS | _CUTS:
            return []
        rows = [self.tracer.resolve(t) for t in op.inputs]
        return [t for t in rows if not self._is_fixed(t)]

    def _row(self, at: Tensor) -> Row:
        op = self.tracer.network.op(at[0])
        itself = (Piece({at: None}, width=self.widths.get(at)),)
        if not self._needs(at):
            return itself
        try:
            if op.kind in _PRODUCTS:
                return (self._product(op),)
            if op.kind in _JOINS:
                return self._joined(op)
            if op.kind in _CUTS:
                return self._cut(op, at[1])
            return self._sum(op) if op.kind in _ADDS else self._scaled(op)
        except Opaque:
            return itself

    def _product(self, op: Op) -> Piece:
        first, second = (self.tracer.resolve(t) for t in op.inputs[:2])
        weights = self.fixed(second)
        turned = bool(op.attrs.get("transpose_b") or op.attrs.get("adj_y"))
        if op.attrs.get("transpose_a") or op.attrs.get("adj_x") or weights is None:
            raise Opaque
        if weights.ndim != 2 or first not in self._rows:
            raise Opaque
        weights = weights.T if turned else weights
        row = self._of_width(self._rows[first], weights.shape[0])
        total = Piece({}, None, (), weights.shape[1])
        start = 0
        for piece in row:
            rows = weights[start : start + (piece.width or 0)]
            start += piece.width or 0
            own = piece.settled()
            parts = {t: rows if m is None else dense(m, len(rows)) @ rows for t, m in
                     own.parts.items()}  # fmt: skip
            base = None if own.base is None else own.base @ rows
            total = added(total, Piece(parts, base, (), weights.shape[1]))
        return total

    def _of_width(self, row: Row, width: int) -> Row:
        """`row`, whose one piece of unknown width takes what is left."""
        unknown = [k for k, piece in enumerate(row) if piece.width is None]
        if len(unknown) > 1:
            row = tuple(map(self._told, row))
            unknown = [k for k, piece in enumerate(row) if piece.width is None]
        known = sum(piece.width or 0 for piece in row)
        if len(unknown) > 1 or known > width or (known != width) != bool(unknown):
            raise Opaque
        for k in unknown:
            piece = replace(row[k], width=width - known)
            for tensor, matrix in piece.parts.items():
                if matrix is None:
                    self.widths[tensor] = width - known
            row = (*row[:k], piece, *row[k + 1 :])
        return row

    def _told(self, piece: Piece) -> Piece:
        """A piece with the width that the weights behind it give it, where they do."""
        alone = next(iter(piece.parts)) if len(piece.parts) == 1 else None
        if piece.width is not None or alone is None:
            return piece
        return replace(piece, width=self.width_of(alone))

    def width_of(self, tensor: Tensor) -> int | None:
        """How many columns a tensor has, as far as the weights that make it say it."""
        todo, seen = [(self.tracer.resolve(tensor), 1)], set[Tensor]()
        while todo and len(seen) < _MOST_BEHIND:
            at, shares = todo.pop(0)
            op = self.tracer.network.op(at[0])
            if at in seen or at in self.tracer.network.entries:
                continue
            seen.add(at)
            value = self.fixed(op.inputs[1]) if op.kind == "MatMul" else None
            if value is not None and value.ndim == 2:
                return int(value.shape[0 if op.attrs.get("transpose_b") else 1]) // shares
            if op.kind == "Fill":
                return self._filled(op)
            if op.kind == "Split":
                shares *= int(op.attrs.get("num_split", 1))
            elif op.kind not in ELEMENTWISE and op.kind not in {"AddN", "BiasAdd"}:
                continue
            todo.extend((self.tracer.resolve(t), shares) for t in op.inputs)
        return None

    def _filled(self, op: Op) -> int | None:
        """The last of the lengths of a tensor of zeros, say."""
        dims = self.tracer.op(op.inputs[0])
        last = dims.inputs[-1] if dims.kind == "Pack" and dims.inputs else op.inputs[0]
        known = self.tracer.constant(last)
        return int(known.ravel()[-1]) if known is not None and known.size else None

    def _joined(self, op: Op) -> Row:
        rows = op.inputs[:-1] if op.kind == "ConcatV2" else op.inputs[1:]
        axis = self.fixed(op.inputs[-1] if op.kind == "ConcatV2" else op.inputs[0])
        if axis is None or axis.size != 1 or int(axis.ravel()[0]) not in {1, -1}:
            raise Opaque
        found: list[Piece] = []
        for tensor in rows:
            if self._is_fixed(self.tracer.resolve(tensor)):
                raise Opaque
            found += self._rows[self.tracer.resolve(tensor)]
        return tuple(found)

    def _cut(self, op: Op, output: int) -> Row:
        position = {"Split": 1}.get(op.kind, 0)
        row = self._rows.get(self.tracer.resolve(op.inputs[position]))
        if row is None or any(piece.width is None for piece in row):
            raise Opaque
        span = self._span(op, output, sum(piece.width or 0 for piece in row))
        return columns_of(row, *span)

    def _span(self, op: Op, output: int, total: int) -> tuple[int, int]:
        """(start, stop) of the columns that a cut takes. Errors: Opaque."""
        numbers = [self.fixed(t) for k, t in enumerate(op.inputs)
                   if k != {"Split": 1}.get(op.kind, 0)]  # fmt: skip
        if any(n is None for n in numbers):
            raise Opaque
        lists = [[int(v) for v in np.ravel(n)] for n in numbers if n is not None]
        if op.kind == "Split":
            count = op.attrs.get("num_split")
            if lists[0] not in ([1], [-1]) or not isinstance(count, int) or total % count:
                raise Opaque
            return output * (total // count), (output + 1) * (total // count)
        if op.kind == "SplitV":
            sizes = [total - sum(n for n in lists[0] if n >= 0) if n < 0 else n for n in lists[0]]
            if lists[1] not in ([1], [-1]) or sum(sizes) != total:
                raise Opaque
            return sum(sizes[:output]), sum(sizes[: output + 1])
        if op.kind == "Slice":
            if len(lists[0]) != 2 or lists[0][0] != 0 or lists[1][0] != -1:
                raise Opaque
            start, size = lists[0][1], lists[1][1]
            return start, total if size < 0 else start + size
        return _strided(op, lists, total)

    def _sum(self, op: Op) -> Row:
        total: Row | None = None
        for k, tensor in enumerate(op.inputs):
            sign = -1.0 if op.kind == "Sub" and k else 1.0
            at = self.tracer.resolve(tensor)
            if self._is_fixed(at):
                continue
            row = self._rows[at]
            row = row if sign > 0 else scaled(row, Scalar("mul", -1.0, op.name))
            total = row if total is None else sum_of(total, row)
        for k, tensor in enumerate(op.inputs):
            at = self.tracer.resolve(tensor)
            if total is not None and self._is_fixed(at):
                sign = -1.0 if op.kind == "Sub" and k else 1.0
                total = self._plus(total, at, sign)
        if total is None or any(_is_mixed(piece) for piece in total):
            raise Opaque
        return total

    def _plus(self, row: Row, at: Tensor, sign: float) -> Row:
        value = self.fixed(at)
        if value is None:
            raise Opaque
        if value.size == 1 and self.tracer.network.op(at[0]).kind == "Const":
            return scaled(row, Scalar("add", sign * float(value.ravel()[0]), at[0]))
        flat, row = self._vector(row, value)
        start, found = 0, []
        for piece in row:
            # what is added last may as well be added first, where nothing multiplies between
            sums = all(one.how == "add" for one in piece.scalars)
            own = piece if sums else piece.settled()
            more = sign * flat[start : start + (piece.width or 0)]
            found.append(replace(own, base=more if own.base is None else own.base + more))
            start += piece.width or 0
        return tuple(found)

    def _vector(self, row: Row, value: Array) -> tuple[Array, Row]:
        """A vector of one number per column, and `row` with its width known. Errors: Opaque."""
        if value.size != 1 and (value.ndim > 2 or (value.ndim == 2 and value.shape[0] != 1)):
            raise Opaque
        if value.size == 1:
            if any(piece.width is None for piece in row):
                raise Opaque
            value = np.full(sum(piece.width or 0 for piece in row), float(value.ravel()[0]))
        return value.ravel(), self._of_width(row, value.size)

    def _scaled(self, op: Op) -> Row:
        if op.kind == "Neg":
            row = self._rows[self.tracer.resolve(op.inputs[0])]
            return scaled(row, Scalar("mul", -1.0, op.name))
        sides = [self.tracer.resolve(t) for t in op.inputs]
        ones = [self._is_ones(t) for t in sides]
        if op.kind == "Mul" and any(ones):
            # a dropout's mask that inference leaves whole
            return self._rows[sides[ones.index(False)] if not all(ones) else sides[0]]
        fixed = [self._is_fixed(t) for t in sides]
        if sum(fixed) != 1 or (op.kind != "Mul" and not fixed[1]):
            raise Opaque
        value = self.fixed(sides[fixed.index(True)])
        row = self._rows[sides[fixed.index(False)]]
        if value is None:
            raise Opaque
        value = value if op.kind == "Mul" else 1.0 / value
        if value.size == 1:
            return scaled(row, Scalar("mul", float(value.ravel()[0]), op.name))
        flat, row = self._vector(row, value)
        start, found = 0, []
        for piece in row:
            by, own = flat[start : start + (piece.width or 0)], piece.settled()
            parts = {t: by if m is None else m * by for t, m in own.parts.items()}
            base = None if own.base is None else own.base * by
            found.append(Piece(parts, base, (), piece.width))
            start += piece.width or 0
        return tuple(found)

    def _is_ones(self, tensor: Tensor) -> bool:
        op = self.tracer.network.op(tensor[0])
        if op.kind == "Fill" and len(op.inputs) == 2:
            return self.tracer.scalar(op.inputs[1]) == 1.0
        return op.kind == "OnesLike"


def _is_mixed(piece: Piece) -> bool:
    """A sum of several tensors without a weight: a tensor of its own, as good as they are."""
    return len(piece.parts) > 1 and all(matrix is None for matrix in piece.parts.values())


def _is_many(op: Op) -> bool:
    """A constant of several real numbers: a frozen graph's weight, most often."""
    shape = getattr(op.attrs.get("value"), "shape", ())
    try:
        floats = kind_of(op.attrs.get("dtype")) == "float"
    except (TypeError, ValueError):
        return False
    return floats and len(shape) > 0 and int(np.prod(shape)) > 1


def _strided(op: Op, lists: Sequence[Sequence[int]], total: int) -> tuple[int, int]:
    try:
        cut: Sequence[Any] = strided_index(op, list(lists[0]), list(lists[1]), list(lists[2]))
    except (IndexError, ValueError):
        raise Opaque from None
    if len(cut) != 2 or not all(isinstance(one, slice) for one in cut):
        # an Ellipsis stands for the rows
        if len(cut) != 2 or cut[0] is not Ellipsis or not isinstance(cut[1], slice):
            raise Opaque
    elif cut[0].indices(7) != (0, 7, 1):
        raise Opaque
    start, stop, step = cut[1].indices(total)
    if step != 1 or stop <= start:
        raise Opaque
    return start, stop
