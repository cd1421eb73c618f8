"""Words that move numbers: reshape, slices, joins. Integer vectors keep what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmbridge.targets.onnx.builder import AXES_AS_INPUT
from lstmbridge.targets.onnx.whole.rejoined import rejoined
from lstmbridge.targets.onnx.whole.values import (
    Dims,
    Length,
    Sym,
    Value,
    broadcast,
    content_of,
    dims_of,
    kind_of_value,
    same,
)
from lstmbridge.targets.onnx.whole.words_base import folded
from lstmbridge.targets.onnx.whole.words_elementwise import Elementwise

_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
ALLOW_ZERO_SINCE = 14


class Shapes(Elementwise):
    """See `graph.words.Words`; likewise below."""

    @folded
    def reshape(self, a: Value, shape: Sequence[int | Sym]) -> Value:
        """Reshape. A length that stays where it is needs no number, nor does one that is left."""
        dims, wanted = dims_of(a), list(shape)
        if len(wanted) == len(dims) and all(map(same, wanted, dims)):
            return a
        content = content_of(a)
        if content is not None and len(content) == 1 and len(wanted) <= 1:
            scalar = content[0]
            return self.integer(scalar) if not wanted else self.emitter.vector([scalar])
        if content is not None and len(dims) == 1 == len(wanted):
            return a
        given = _inferred(dims, wanted)
        if 0 in wanted:
            if self.emitter.opset < ALLOW_ZERO_SINCE:
                raise ValueError(f"a shape with no elements needs opset {ALLOW_ZERO_SINCE}")
            into = self.emitter.vector(wanted)
            return self.emitter.emit("Reshape", [a, into], kind_of_value(a), given, allowzero=1)
        into = self.emitter.vector(_said(dims, wanted))
        return self.emitter.emit("Reshape", [a, into], kind_of_value(a), given)

    @folded
    def unsqueeze(self, a: Value, axis: int) -> Value:
        """Insert an axis."""
        dims, content = dims_of(a), content_of(a)
        if not dims and content is not None:
            return self.emitter.vector(content)
        wide = (*dims[:axis], 1, *dims[axis:])
        return self.emitter.with_axes("Unsqueeze", a, [axis], kind_of_value(a), wide)

    @folded
    def squeeze_ones(self, a: Value) -> Value:
        """Squeeze without axes: a run drops those that it shows to be of length 1.

        What follows is said for lengths other than 1, as the graph was made for them.
        """
        kept = tuple(n for n in dims_of(a) if not (isinstance(n, int) and n == 1))
        return self.emitter.emit("Squeeze", [a], kind_of_value(a), kept)

    @folded
    def squeeze(self, a: Value, axes: Sequence[int]) -> Value:
        """Drop axes."""
        dims, content = dims_of(a), content_of(a)
        if not axes:
            return a
        if len(dims) == 1 and content is not None:
            return self.integer(content[0])
        gone = {axis % len(dims) for axis in axes}
        kept = tuple(n for k, n in enumerate(dims) if k not in gone)
        return self.emitter.with_axes("Squeeze", a, sorted(gone), kind_of_value(a), kept)

    @folded
    def transpose(self, a: Value, order: Sequence[int]) -> Value:
        """Axes in another order; two such become one."""
        dims = dims_of(a)
        perm = [k % len(dims) for k in order]
        made = self.emitter.makers.get(self.emitter.name(a))
        source: Value | str = a
        if made is not None and made.op == "Transpose":
            before = made.attrs["perm"]
            source, perm = made.inputs[0], [before[k] for k in perm]
        turned = tuple(dims[k % len(dims)] for k in order)
        if perm == list(range(len(perm))):
            return Sym(source, kind_of_value(a), turned) if isinstance(source, str) else source
        return self.emitter.emit("Transpose", [source], kind_of_value(a), turned, perm=perm)

    @folded
    def expand(self, a: Value, shape: Sequence[int | Sym]) -> Value:
        """Broadcast."""
        dims, wanted = dims_of(a), tuple(shape)
        if len(dims) == len(wanted) and all(map(same, dims, wanted)):
            return a
        into = self.emitter.vector(wanted)
        wide = self.emitter.emit("Expand", [a, into], kind_of_value(a), broadcast(dims, wanted))
        if not isinstance(a, Sym) and a.size == 1 and kind_of_value(a) == "float":
            wide.fill = float(a.item())
        return wide

    @folded
    def tile(self, a: Value, repeats: Sequence[int | Sym]) -> Value:
        """Tile."""
        dims = tuple(_times(n, k) for n, k in zip(dims_of(a), repeats, strict=True))
        if all(isinstance(k, int) and k == 1 for k in repeats):
            return a
        return self.emitter.emit("Tile", [a, self.emitter.vector(repeats)], kind_of_value(a), dims)

    @folded
    def index(self, a: Value, at: tuple[Any, ...]) -> Value:
        """Slices first, then single elements, then new axes."""
        rank = self.rank(a)
        used = sum(1 for one in at if one is not None and one is not Ellipsis)
        spread: list[Any] = []
        rest = (slice(None),) * (rank - used)
        for one in (*at, *(() if Ellipsis in at else (Ellipsis,))):
            spread.extend(rest if one is Ellipsis else (one,))
        along = [one for one in spread if one is not None]
        content = content_of(a)
        if content is not None and rank == 1 and len(spread) == 1 and not _has_symbol(spread[0]):
            picked = content[spread[0]]
            if isinstance(picked, tuple):
                return self.emitter.vector(picked)
            return self.integer(picked)
        value = self._sliced(a, along)
        singles = [k for k, one in enumerate(along) if not isinstance(one, slice)]
        for k in reversed(singles):
            value = self.gather(value, self.integer(along[k]), k)
        kept = [one for one in spread if one is None or isinstance(one, slice)]
        for k, one in enumerate(kept):
            if one is None:
                value = self.unsqueeze(value, k)
        return value

    def _sliced(self, a: Value, along: Sequence[Any]) -> Value:
        """One node for all slices."""
        axes: list[int] = []
        bounds: list[tuple[Any, Any, int]] = []
        dims = list(dims_of(a))
        for k, one in enumerate(along):
            if not isinstance(one, slice) or one == slice(None):
                continue
            step = 1 if one.step is None else int(one.step)
            first = (0 if step > 0 else _LAST) if one.start is None else one.start
            last = (_LAST if step > 0 else _FIRST) if one.stop is None else one.stop
            if (step == 1 and isinstance(first, int) and first == 0) and same(last, dims[k]):
                continue
            axes.append(k)
            bounds.append((first, last, step))
            dims[k] = _slice_length(dims[k], one, step)
        if not axes:
            return a
        vector = self.emitter.vector
        starts, ends, steps = (vector([b[n] for b in bounds]) for n in range(3))
        inputs = [a, starts, ends, np.array(axes, np.int64), steps]
        if all(step == 1 for _, _, step in bounds):
            inputs.pop()
        return self.emitter.emit("Slice", inputs, kind_of_value(a), tuple(dims))

    @folded
    def gather(self, a: Value, indices: Value, axis: int) -> Value:
        """Take."""
        dims = dims_of(a)
        axis %= len(dims)
        content = content_of(a)
        if content is not None and not isinstance(indices, Sym):
            picked = [content[int(k)] for k in np.ravel(indices)]
            return self.emitter.vector(picked) if indices.ndim else self.integer(picked[0])
        out = (*dims[:axis], *dims_of(indices), *dims[axis + 1 :])
        return self.emitter.emit("Gather", [a, indices], kind_of_value(a), out, axis=axis)

    @folded
    def join(self, parts: Sequence[Value], axis: int) -> Value:
        """Concatenate."""
        if len(parts) == 1:
            return parts[0]
        contents = [content_of(part) for part in parts]
        if all(c is not None for c in contents) and self.rank(parts[0]) == 1:
            return self.emitter.vector([one for c in contents for one in c or ()])
        axis %= self.rank(parts[0])
        whole = rejoined(self, parts, axis)
        if whole is not None:
            return whole
        lengths = [dims_of(part)[axis] for part in parts]
        numbers = [n for n in lengths if isinstance(n, int)]
        total = sum(numbers) if len(numbers) == len(lengths) else None
        dims: list[Length] = list(dims_of(parts[0]))
        for part in parts[1:]:
            theirs = dims_of(part)
            # all parts have the same lengths on the other axes: take what any of them knows
            dims = [
                m if isinstance(m, int) or n is None else n
                for m, n in zip(dims, theirs, strict=True)
            ]
        dims[axis] = total
        return self.emitter.emit("Concat", parts, kind_of_value(parts[0]), tuple(dims), axis=axis)

    @folded
    def split(self, a: Value, sizes: Sequence[int]) -> Sequence[Value]:
        """Pieces of the last axis."""
        parts: Sequence[Value] = self.pieces(a, sizes, -1)
        return parts

    @folded
    def pieces(self, a: Value, sizes: Sequence[int], axis: int) -> Sequence[Value]:
        """Pieces of an axis; where they are not all of it, slices."""
        dims, kind = dims_of(a), kind_of_value(a)
        axis %= len(dims)
        if len(sizes) == 1 or dims[axis] != sum(sizes) or content_of(a) is not None:
            lead, ends = (slice(None),) * axis, np.cumsum(sizes).tolist()
            pairs = zip(sizes, ends, strict=True)
            return [self.index(a, (*lead, slice(end - size, end))) for size, end in pairs]
        outputs = [(kind, (*dims[:axis], size, *dims[axis + 1 :])) for size in sizes]
        if self.emitter.opset >= AXES_AS_INPUT:
            inputs = [a, np.array(sizes, np.int64)]
            return self.emitter.emit_many("Split", inputs, outputs, axis=axis)
        return self.emitter.emit_many("Split", [a], outputs, axis=axis, split=list(sizes))

    @folded
    def concat(self, parts: Sequence[Value]) -> Value:
        """Joined on the last axis."""
        joined: Value = self.join(parts, -1)
        return joined

    @folded
    def arange(self, start: Value, limit: Value, step: Value) -> Value:
        """Range."""
        bounds = [self._scalar(one) for one in (start, limit, step)]
        counts = [one for one in (bounds[0], bounds[2]) if not isinstance(one, Sym)]
        simple = len(counts) == 2 and counts[0].item() == 0 and counts[1].item() == 1
        length = bounds[1] if simple and isinstance(bounds[1], Sym) else None
        if isinstance(length, Sym) and length.axis_of is None:
            made = self.emitter.emit("Range", bounds, kind_of_value(start), (None,))
        else:
            made = self.emitter.emit("Range", bounds, kind_of_value(start), (length,))
        made.counting = length
        return made

    def _scalar(self, a: Value) -> Value:
        return self.reshape(a, ()) if self.rank(a) else a

    @folded
    def reverse(self, a: Value, axes: Sequence[int]) -> Value:
        """Back to front."""
        turned = {axis % self.rank(a) for axis in axes}
        back, whole = slice(None, None, -1), slice(None)
        at = tuple(back if k in turned else whole for k in range(self.rank(a)))
        flipped: Value = self.index(a, at)
        return flipped

    @folded
    def reverse_sequence(self, a: Value, lengths: Value, time: int, batch: int) -> Value:
        """Each row back to front up to its length; an empty row as one of length 1 (the same)."""
        rank = self.rank(a)
        time, batch = time % rank, batch % rank
        rows = self.maximum(lengths, np.asarray(1, np.int64))
        if {time, batch} == {0, 1}:
            inputs = [a, rows]
            return self.emitter.emit(
                "ReverseSequence",
                inputs,
                kind_of_value(a),
                dims_of(a),
                time_axis=time,
                batch_axis=batch,
            )
        order = [time, batch, *(k for k in range(rank) if k not in (time, batch))]
        moved = self.reverse_sequence(self.transpose(a, order), rows, 0, 1)
        back: Value = self.transpose(moved, [order.index(k) for k in range(rank)])
        return back


def _has_symbol(one: Any) -> bool:
    return isinstance(one, Sym) or (
        isinstance(one, slice) and (isinstance(one.start, Sym) or isinstance(one.stop, Sym))
    )


def _times(length: Length, count: int | Sym) -> Length:
    if isinstance(count, int):
        if count == 1:
            return length
        return length * count if isinstance(length, int) else None
    return count if isinstance(length, int) and length == 1 and count.axis_of else None


def _slice_length(length: Length, one: slice, step: int) -> Length:
    """How many elements a slice takes."""
    if isinstance(one.start, Sym) or isinstance(one.stop, Sym):
        return None
    if isinstance(length, int):
        return len(range(*one.indices(length)))
    if one.start is None and one.stop is None and abs(step) == 1:
        return length
    return None


def _said(dims: Dims, wanted: Sequence[int | Sym]) -> list[int | Sym]:
    """A shape as Reshape takes it: 0 for a length that stays, -1 for one that is left over."""
    said: list[int | Sym] = [
        0 if isinstance(n, Sym) and k < len(dims) and same(n, dims[k]) else n
        for k, n in enumerate(wanted)
    ]
    open_at = [k for k, n in enumerate(said) if isinstance(n, Sym)]
    if open_at and not any(isinstance(n, int) and n == -1 for n in said):
        said[open_at[-1]] = -1
    return said


def _inferred(dims: Dims, wanted: Sequence[int | Sym]) -> Dims:
    """The shape after a Reshape: what stands for -1 follows where all others are the same."""
    lengths: list[Length] = list(wanted)
    at = next((k for k, n in enumerate(wanted) if isinstance(n, int) and n == -1), None)
    if at is None:
        return tuple(lengths)
    before, after = list(dims), [n for k, n in enumerate(lengths) if k != at]
    for one in [n for n in after if isinstance(n, Sym)]:
        match = next((k for k, n in enumerate(before) if n is one), None)
        if match is None:
            return (*lengths[:at], None, *lengths[at + 1 :])
        before.pop(match)
        after.remove(one)
    symbols = [n for n in before if not isinstance(n, int)]
    over = int(np.prod([n for n in before if isinstance(n, int)], dtype=np.int64))
    by = int(np.prod([n for n in after if isinstance(n, int)], dtype=np.int64))
    rest: Length = None
    if not symbols and by and over % by == 0:
        rest = over // by
    elif len(symbols) == 1 and over == by:
        rest = symbols[0]
    return (*lengths[:at], rest, *lengths[at + 1 :])
