"""Constants, and operations that move numbers without changing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_elementwise import kind_of
from lstmbridge.graph.words import Words, bounded

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _axes(w: Words[Any], value: Any) -> list[int]:
    """Axes, or anything else that must be known to say what an operation does."""
    return [int(k) for k in np.ravel(w.static(value))]


def _plus(w: Words[Any], a: Any, b: Any) -> Any:
    """The sum of two lengths, each an integer or a scalar."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    return w.add(w.integer(a), w.integer(b))


def _const(w: Words[Any], op: Op, _args: Sequence[Any]) -> Sequence[Any]:
    tensor = op.attrs["value"]
    bounded([int(n) for n in getattr(tensor, "shape", ())])
    array = tensor.load()
    return [w.literal(array, kind_of(array.dtype))]


def _fill(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    shape = w.numbers(args[0])
    bounded(shape)
    return [w.expand(args[1], shape)]


def _filled_like(number: float) -> Definition:
    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        one = w.literal(np.asarray(number), w.kind(args[0]))
        return [w.expand(one, w.numbers(w.shape(args[0])))]

    return define


def _range(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.arange(*args)]


def _shape(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.shape(args[0])]


def _rank(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.literal(np.asarray(w.rank(args[0])), "int")]


def _size(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reduce("prod", w.shape(args[0]), (0,), keep=False)]


def _concat(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Concat`: the axis comes first."""
    return [w.join(args[1:], _axes(w, args[0])[0])]


def _concat_v2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.join(args[:-1], _axes(w, args[-1])[0])]


def _cut(w: Words[Any], value: Any, axis: int, sizes: Sequence[Any]) -> list[Any]:
    if all(isinstance(size, int) for size in sizes):
        return list(w.pieces(value, sizes, axis))
    lead = (slice(None),) * (axis % w.rank(value))
    pieces: list[Any] = []
    start: Any = 0
    for size in sizes:
        end = _plus(w, start, size)
        pieces.append(w.index(value, (*lead, slice(start, end))))
        start = end
    return pieces


def _split(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis, count = _axes(w, args[0])[0], int(op.attrs["num_split"])
    whole = w.numbers(w.shape(args[1]))[axis]
    if not isinstance(whole, int):
        width = w.integer_division("floor", whole, w.integer(count))
        return _cut(w, args[1], axis, [width] * count)
    if whole % count:
        raise ValueError(f"axis {axis} does not divide into {count} pieces")
    return _cut(w, args[1], axis, [whole // count] * count)


def _split_v(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis, sizes = _axes(w, args[2])[0], _axes(w, args[1])
    if -1 not in sizes:
        return _cut(w, args[0], axis, sizes)
    whole, others = w.numbers(w.shape(args[0]))[axis], sum(sizes) + 1
    rest = _plus(w, whole, -others)
    return _cut(w, args[0], axis, [rest if size == -1 else size for size in sizes])


def _slice(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    begins, sizes = w.numbers(args[1]), w.numbers(args[2])
    pairs = zip(begins, sizes, strict=True)
    return [w.index(args[0], tuple(slice(begin, _end(w, begin, size)) for begin, size in pairs))]


_FAR = np.iinfo(np.int64).max
"""Past the end of any axis."""


def _end(w: Words[Any], begin: Any, size: Any) -> Any:
    """Where a slice of so many elements ends; -1 elements are all that are left."""
    if isinstance(size, int):
        return None if size == -1 else _plus(w, begin, size)
    everything = w.compare("less", size, w.integer(0))
    return w.where(everything, w.integer(int(_FAR)), _plus(w, begin, size))


def strided_index(
    op: Op, begins: Sequence[Any], ends: Sequence[Any], steps: Sequence[int]
) -> tuple[Any, ...]:
    """What `StridedSlice` with these masks (op attributes) is in NumPy's indexing.

    Bounds are integers, or an interpreter's scalars.
    """
    mask = {
        name: int(op.attrs.get(f"{name}_mask", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    at: list[Any] = []
    for k, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        bit = 1 << k
        if mask["ellipsis"] & bit:
            at.append(Ellipsis)
        elif mask["new_axis"] & bit:
            at.append(None)
        elif mask["shrink_axis"] & bit:
            at.append(begin)
        else:
            start = None if mask["begin"] & bit else begin
            stop = None if mask["end"] & bit else end
            at.append(slice(start, stop, step))
    return tuple(at)


def _strided_slice(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    begins, ends, steps = w.numbers(args[1]), w.numbers(args[2]), _axes(w, args[3])
    return [w.index(args[0], strided_index(op, begins, ends, steps))]


def _reshape(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reshape(args[0], w.numbers(args[1]))]


def _transpose(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.transpose(args[0], _axes(w, args[1]))]


def _expand_dims(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.unsqueeze(args[0], _axes(w, args[1])[0] % (w.rank(args[0]) + 1))]


def _squeeze(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """Drops the axes that are named, or all of length 1, whichever a run shows them to be."""
    shape = w.numbers(w.shape(args[0]))
    given = {int(axis) % len(shape) for axis in op.attrs.get("squeeze_dims", ()) or ()}
    gone = given or {k for k, n in enumerate(shape) if isinstance(n, int) and n == 1}
    if any(isinstance(shape[k], int) and shape[k] != 1 for k in gone):
        raise ValueError(f"axes {sorted(gone)} of {tuple(shape)} are not all of length 1")
    if not given and not all(isinstance(n, int) for n in shape):
        return [w.squeeze_ones(args[0])]
    return [w.squeeze(args[0], sorted(gone))]


def _pack(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis = int(op.attrs.get("axis", 0)) % (w.rank(args[0]) + 1)
    return [w.join([w.unsqueeze(a, axis) for a in args], axis)]


def _unpack(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis, count = int(op.attrs.get("axis", 0)) % w.rank(args[0]), int(op.attrs["num"])
    length = w.numbers(w.shape(args[0]))[axis]
    if isinstance(length, int) and length != count:
        raise ValueError(f"{count} pieces of an axis of length {length}")
    return [w.index(args[0], (*(slice(None),) * axis, k)) for k in range(count)]


def _tile(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    repeats, shape = w.numbers(args[1]), w.numbers(w.shape(args[0]))
    pairs = zip(shape, repeats, strict=True)
    bounded([n * k for n, k in pairs if isinstance(n, int) and isinstance(k, int)])
    return [w.tile(args[0], repeats)]


def _gather(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.gather(args[0], args[1], 0)]


def _reverse(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Reverse`: a boolean per axis."""
    return [w.reverse(args[0], [k for k, on in enumerate(_axes(w, args[1])) if on])]


def _reverse_v2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reverse(args[0], _axes(w, args[1]))]


def _reverse_sequence(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    time, batch = int(op.attrs["seq_dim"]), int(op.attrs.get("batch_dim", 0))
    return [w.reverse_sequence(args[0], args[1], time, batch)]


SHAPES: Mapping[str, Definition] = {
    "Concat": _concat,
    "ConcatV2": _concat_v2,
    "Const": _const,
    "ExpandDims": _expand_dims,
    "Fill": _fill,
    "Gather": _gather,
    "OnesLike": _filled_like(1.0),
    "Pack": _pack,
    "Range": _range,
    "Rank": _rank,
    "Reshape": _reshape,
    "Reverse": _reverse,
    "ReverseSequence": _reverse_sequence,
    "ReverseV2": _reverse_v2,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "SplitV": _split_v,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unpack": _unpack,
    "ZerosLike": _filled_like(0.0),
}
