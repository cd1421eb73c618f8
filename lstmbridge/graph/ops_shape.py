"""Constants, and operations that move numbers without changing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_elementwise import kind_of
from lstmbridge.graph.words import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]

LARGEST_CONSTANT = 1 << 24
"""Numbers in one constant or fill. A file of a few bytes may ask for any number of them."""


def _ints(w: Words[Any], value: Any) -> list[int]:
    return [int(k) for k in np.ravel(w.static(value))]


def _bounded(shape: Sequence[int]) -> tuple[int, ...]:
    size = 1
    for length in shape:
        size *= max(int(length), 0)
    if size > LARGEST_CONSTANT:
        raise ValueError(f"{size} numbers are more than any cell needs")
    return tuple(int(length) for length in shape)


def _const(w: Words[Any], op: Op, _args: Sequence[Any]) -> Sequence[Any]:
    tensor = op.attrs["value"]
    _bounded(getattr(tensor, "shape", ()))
    array = tensor.load()
    kind = kind_of(array.dtype)
    return [w.constant(array) if kind == "float" else w.cast(array, kind)]


def _fill(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.expand(args[1], _bounded(_ints(w, args[0])))]


def _zeros_like(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.expand(w.constant(0.0), _ints(w, w.shape(args[0])))]


def _ones_like(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.expand(w.constant(1.0), _ints(w, w.shape(args[0])))]


def _range(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    start, limit, step = (np.ravel(w.static(a))[0] for a in args)
    _bounded([int(abs((limit - start) / step)) + 1])
    return [w.arange(*args)]


def _shape(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.shape(args[0])]


def _rank(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.cast(np.asarray(w.static(w.shape(args[0])).size), "int")]


def _size(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reduce("prod", w.shape(args[0]), (0,), keep=False)]


def _concat(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Concat`: the axis comes first."""
    return [w.join(args[1:], _ints(w, args[0])[0])]


def _concat_v2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.join(args[:-1], _ints(w, args[-1])[0])]


def _cut(w: Words[Any], value: Any, axis: int, sizes: Sequence[int]) -> list[Any]:
    rank = int(w.static(w.shape(value)).size)
    lead = (slice(None),) * (axis % rank)
    pieces, start = [], 0
    for size in sizes:
        pieces.append(w.index(value, (*lead, slice(start, start + size))))
        start += size
    return pieces


def _split(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis, count = _ints(w, args[0])[0], int(op.attrs["num_split"])
    width, rest = divmod(_ints(w, w.shape(args[1]))[axis], count)
    if rest:
        raise ValueError(f"axis {axis} does not divide into {count} pieces")
    return _cut(w, args[1], axis, [width] * count)


def _split_v(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axis, sizes = _ints(w, args[2])[0], _ints(w, args[1])
    if -1 in sizes:
        whole = _ints(w, w.shape(args[0]))[axis]
        sizes[sizes.index(-1)] = whole - sum(sizes) - 1
    return _cut(w, args[0], axis, sizes)


def _slice(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    begins, sizes = _ints(w, args[1]), _ints(w, args[2])
    return [
        w.index(
            args[0],
            tuple(
                slice(begin, None if size == -1 else begin + size)
                for begin, size in zip(begins, sizes, strict=True)
            ),
        )
    ]


def strided_index(
    op: Op, begins: Sequence[int], ends: Sequence[int], steps: Sequence[int]
) -> tuple[Any, ...]:
    """What `StridedSlice` with these masks (op attributes) is in NumPy's indexing."""
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
    begins, ends, steps = (_ints(w, a) for a in args[1:])
    return [w.index(args[0], strided_index(op, begins, ends, steps))]


def _reshape(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reshape(args[0], _ints(w, args[1]))]


def _transpose(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.transpose(args[0], _ints(w, args[1]))]


def _expand_dims(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    shape, axis = _ints(w, w.shape(args[0])), _ints(w, args[1])[0]
    at = axis % (len(shape) + 1)
    return [w.reshape(args[0], (*shape[:at], 1, *shape[at:]))]


def _squeeze(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    shape = _ints(w, w.shape(args[0]))
    given = op.attrs.get("squeeze_dims", ()) or ()
    gone = {axis % len(shape) for axis in given} or {k for k, n in enumerate(shape) if n == 1}
    if any(shape[k] != 1 for k in gone):
        raise ValueError(f"axes {sorted(gone)} of {tuple(shape)} are not all of length 1")
    return [w.reshape(args[0], [n for k, n in enumerate(shape) if k not in gone])]


def _pack(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    shape = _ints(w, w.shape(args[0]))
    axis = int(op.attrs.get("axis", 0)) % (len(shape) + 1)
    wide = [w.reshape(a, (*shape[:axis], 1, *shape[axis:])) for a in args]
    return [w.join(wide, axis)]


def _unpack(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    shape = _ints(w, w.shape(args[0]))
    lead = (slice(None),) * (int(op.attrs.get("axis", 0)) % len(shape))
    return [w.index(args[0], (*lead, k)) for k in range(int(op.attrs["num"]))]


def _tile(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    repeats, shape = _ints(w, args[1]), _ints(w, w.shape(args[0]))
    _bounded([n * k for n, k in zip(shape, repeats, strict=True)])
    return [w.tile(args[0], repeats)]


def _gather(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.gather(args[0], args[1], 0)]


def _gather_v2(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    if int(op.attrs.get("batch_dims", 0)):
        raise ValueError("batch_dims is not 0")
    return [w.gather(args[0], args[1], _ints(w, args[2])[0])]


def _reverse(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Reverse`: a boolean per axis."""
    return [w.reverse(args[0], [k for k, on in enumerate(_ints(w, args[1])) if on])]


def _reverse_v2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.reverse(args[0], _ints(w, args[1]))]


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
    "GatherV2": _gather_v2,
    "OnesLike": _ones_like,
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
    "ZerosLike": _zeros_like,
}
