"""Operations that choose, count and place elements by their numbers.

Source: array_ops.cc, data_flow_ops.cc, nn_ops.cc and their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _ints(w: Words[Any], value: Any) -> list[int]:
    return [int(k) for k in np.ravel(w.static(value))]


def _int(w: Words[Any], value: int) -> Any:
    return w.literal(np.asarray(value), "int")


def _counted(w: Words[Any], length: Any) -> Any:
    """0, 1, ... as many as `length`, an integer or a scalar."""
    return w.arange(_int(w, 0), w.integer(length), _int(w, 1))


def _length(w: Words[Any], value: Any, axis: int) -> Any:
    return w.numbers(w.shape(value))[axis]


def _arg(how: str) -> Definition:
    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        axis = _ints(w, args[1])[0] if len(args) > 1 else 0
        return [w.arg(how, args[0], axis % w.rank(args[0]))]

    return define


def _top_k(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    count = int(op.attrs["k"]) if len(args) == 1 else w.numbers(args[1])[0]
    return list(w.top_k(args[0], count))


def _one_hot(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    indices, depth, on, off = args
    rank, axis = w.rank(indices), int(op.attrs.get("axis", -1))
    hit = w.compare("equal", w.unsqueeze(indices, rank), _counted(w, w.numbers(depth)[0]))
    made = w.where(hit, on, off)
    if axis in {-1, rank}:
        return [made]
    order = list(range(rank))
    order.insert(axis, rank)
    return [w.transpose(made, order)]


def _cumsum(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    exclusive, backward = (bool(op.attrs.get(n, False)) for n in ("exclusive", "reverse"))
    axis = _ints(w, args[1])[0] % w.rank(args[0])
    return [w.cumulative_sum(args[0], axis, exclusive=exclusive, backward=backward)]


def _cumprod(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """Products of all that a triangular mask leaves: ONNX has no word for it."""
    value, axis = args[0], _ints(w, args[1])[0] % w.rank(args[0])
    exclusive, backward = (bool(op.attrs.get(n, False)) for n in ("exclusive", "reverse"))
    places = _counted(w, _length(w, value, axis))
    at, seen = w.unsqueeze(places, 1), w.unsqueeze(places, 0)
    how = ("greater" if exclusive else "greater_equal") if not backward else "less"
    how = "less_equal" if backward and not exclusive else how
    last = w.rank(value)
    front = [k for k in range(last) if k != axis]
    moved = w.unsqueeze(w.transpose(value, [*front, axis]), last - 1)
    one = w.literal(np.asarray(1), w.kind(value))
    made = w.reduce("prod", w.where(w.compare(how, at, seen), moved, one), [last], keep=False)
    back = list(range(last - 1))
    back.insert(axis, last - 1)
    return [w.transpose(made, back)]


def _gather_v2(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_gathered(w, args[0], args[1], _ints(w, args[2])[0], op)]


def _resource_gather(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_gathered(w, args[0], args[1], int(op.attrs.get("batch_dims", 0)), op)]


def _gathered(w: Words[Any], value: Any, indices: Any, axis: int, op: Op) -> Any:
    batch, rank = int(op.attrs.get("batch_dims", 0)), w.rank(value)
    batch, axis = batch % max(w.rank(indices), 1) if batch < 0 else batch, axis % rank
    if not batch:
        return w.gather(value, indices, axis)
    inner = w.rank(indices) - batch
    # the axis that is taken from comes right behind the batch's
    order = [*range(batch), axis, *(k for k in range(batch, rank) if k != axis)]
    pairs = w.unsqueeze(indices, w.rank(indices))
    made = w.gather_nd(w.transpose(value, order), pairs, batch)
    between = axis - batch
    if not between:
        return made
    kept = list(range(batch + inner, batch + inner + between))
    rest = range(batch + inner + between, inner + rank - 1)
    return w.transpose(made, [*range(batch), *kept, *range(batch, batch + inner), *rest])


def _gather_nd(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.gather_nd(args[0], args[1], int(op.attrs.get("batch_dims", 0)))]


def _zeros(w: Words[Any], shape: Any, like: Any) -> Any:
    return w.expand(w.literal(np.asarray(0), w.kind(like)), w.numbers(shape))


def _scatter_nd(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    indices, updates, shape = args
    return [w.scatter_nd(_zeros(w, shape, updates), indices, updates, "add")]


def _tensor_scatter(how: str) -> Definition:
    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        return [w.scatter_nd(args[0], args[1], args[2], how)]

    return define


def _sparse_to_dense(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    indices, shape, values, default = args
    rank = len(w.numbers(shape))
    if w.rank(indices) == 0:
        indices = w.unsqueeze(indices, 0)
    if w.rank(indices) == 1:
        indices = w.unsqueeze(indices, 1 if rank == 1 else 0)
    lengths = [_length(w, indices, 0)]
    base = w.expand(default, w.numbers(shape))
    return [w.scatter_nd(base, indices, w.expand(values, lengths), "none")]


def _where(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Where` of one input: a row for each place."""
    return [w.transpose(w.nonzero(args[0]), (1, 0))]


def _rows_of(w: Words[Any], value: Any, lead: int) -> Any:
    """The first `lead` axes as one."""
    rest = list(w.numbers(w.shape(value)))[lead:]
    return w.reshape(value, [-1, *rest])


def _partition(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    value, which = args
    rows = _rows_of(w, value, w.rank(which))
    flat = w.reshape(which, (-1,))
    parts = []
    for k in range(int(op.attrs["num_partitions"])):
        hit = w.nonzero(w.compare("equal", flat, _int(w, k)))
        parts.append(w.gather(rows, w.index(hit, (0,)), 0))
    return parts


def _stitch(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`DynamicStitch`: rows put back where they were; the last wins."""
    count = int(op.attrs.get("N", len(args) // 2))
    indices, values = args[:count], args[count:]
    pairs = zip(values, indices, strict=True)
    rows = [_rows_of(w, value, w.rank(index)) for value, index in pairs]
    joined = w.join([w.reshape(index, (-1,)) for index in indices], 0)
    data = w.join(rows, 0)
    # nothing may be stitched together: the largest number is then -1
    none = w.literal(np.asarray([-1]), "int")
    last = w.reduce("max", w.join([joined, none], 0), [0], keep=True)
    rest = w.index(w.shape(data), (slice(1, None),))
    shape = w.join([w.add(last, _int(w, 1)), rest], 0)
    return [w.scatter_nd(_zeros(w, shape, data), w.unsqueeze(joined, 1), data, "none")]


def _segment_sum(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`UnsortedSegmentSum`, `SegmentSum`: rows added by number."""
    value, numbers = args[0], args[1]
    rows, flat = _rows_of(w, value, w.rank(numbers)), w.reshape(numbers, (-1,))
    if len(args) > 2:
        count = w.reshape(args[2], (1,))
    else:
        count = w.add(w.reduce("max", flat, [0], keep=True), _int(w, 1))
    shape = w.join([count, w.index(w.shape(rows), (slice(1, None),))], 0)
    return [w.scatter_nd(_zeros(w, shape, rows), w.unsqueeze(flat, 1), rows, "add")]


def _segment_mean(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`SegmentMean`: 0 where a number has no rows."""
    ones = w.expand(w.constant(1.0), w.numbers(w.shape(args[0])))
    (total,), (count,) = (_segment_sum(w, op, [v, args[1]]) for v in (args[0], ones))
    return [w.div(total, w.maximum(count, w.constant(1.0)))]


def _unique(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return list(w.unique(args[0]))


def _invert(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`InvertPermutation`."""
    count = _length(w, args[0], 0)
    zeros = w.expand(_int(w, 0), [count])
    return [w.scatter_nd(zeros, w.unsqueeze(args[0], 1), _counted(w, count), "none")]


def _list_diff(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`ListDiff`: what is in the first list only, and where. Of axes, as `tensordot` has it."""
    first, second = (_ints(w, a) for a in args)
    kept = [k for k, n in enumerate(first) if n not in second]
    return [w.literal(np.asarray(a, np.int64), "int") for a in ([first[k] for k in kept], kept)]


def _shape_n(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.shape(a) for a in args]


def _broadcast_to(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.expand(args[0], w.numbers(args[1]))]


def _broadcast_args(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """The shape of what two shapes broadcast to."""
    sides = [list(w.numbers(a)) for a in args]
    longest = max(map(len, sides))
    wide = [[1] * (longest - len(side)) + side for side in sides]
    made = []
    for a, b in zip(*wide, strict=True):
        made.append(w.where(w.compare("equal", w.integer(a), _int(w, 1)), *map(w.integer, (b, a))))
    none = w.literal(np.zeros(0, np.int64), "int")
    return [w.join([w.unsqueeze(n, 0) for n in made] or [none], 0)]


def _roll(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    value = args[0]
    for shift, axis in zip(_ints(w, args[1]), _ints(w, args[2]), strict=True):
        at = axis % w.rank(value)
        length = w.integer(_length(w, value, at))
        places = w.sub(_counted(w, _length(w, value, at)), _int(w, shift))
        value = w.gather(value, w.integer_division("mod", places, length), at)
    return [value]


def _pad(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Pad`, `PadV2`."""
    value = args[2] if len(args) > 2 else w.literal(np.asarray(0), w.kind(args[0]))
    widths = list(w.numbers(w.reshape(args[1], (-1,))))
    return [w.pad(args[0], widths[0::2], widths[1::2], value)]


def _mirror_pad(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    value, widths = args[0], _ints(w, args[1])
    mode = op.attrs.get("mode", "REFLECT")
    skip = 1 if mode in {"REFLECT", b"REFLECT"} else 0
    for axis, (before, after) in enumerate(zip(widths[0::2], widths[1::2], strict=True)):
        lead = (slice(None),) * axis
        front = w.reverse(w.index(value, (*lead, slice(skip, skip + before))), [axis])
        back = value if not skip else w.index(value, (*lead, slice(None, -1)))
        tail = w.reverse(w.index(back, (*lead, slice(-after, None))), [axis])
        parts = [*([front] if before else []), value, *([tail] if after else [])]
        value = w.join(parts, axis) if len(parts) > 1 else value
    return [value]


INDEX: Mapping[str, Definition] = {
    "ArgMax": _arg("max"),
    "ArgMin": _arg("min"),
    "BroadcastArgs": _broadcast_args,
    "BroadcastTo": _broadcast_to,
    "Cumprod": _cumprod,
    "Cumsum": _cumsum,
    "DynamicPartition": _partition,
    "DynamicStitch": _stitch,
    "GatherNd": _gather_nd,
    "GatherV2": _gather_v2,
    "InvertPermutation": _invert,
    "ListDiff": _list_diff,
    "MirrorPad": _mirror_pad,
    "OneHot": _one_hot,
    "Pad": _pad,
    "PadV2": _pad,
    "ParallelDynamicStitch": _stitch,
    "ResourceGather": _resource_gather,
    "ResourceGatherNd": _gather_nd,
    "Roll": _roll,
    "ScatterNd": _scatter_nd,
    "SegmentMean": _segment_mean,
    "SegmentSum": _segment_sum,
    "ShapeN": _shape_n,
    "SparseToDense": _sparse_to_dense,
    "TensorScatterAdd": _tensor_scatter("add"),
    "TensorScatterUpdate": _tensor_scatter("none"),
    "TopK": _top_k,
    "TopKV2": _top_k,
    "Unique": _unique,
    "UnsortedSegmentSum": _segment_sum,
    "VariableShape": lambda w, _op, args: [w.shape(args[0])],
    "Where": _where,
}
