"""TensorLists as values: what TensorFlow 2's loops read their steps from and write them to.

Source: list_ops.cc, list_kernels.cc. A list is the same `Steps` as a TensorArray; it travels as
its handle. An element that was never written is zeros of the list's element shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_arrays import (
    ARRAYS,
    LARGEST_ARRAY,
    Definition,
    Steps,
    rows_of,
    whole_numbers,
    zeros,
)
from lstmbridge.graph.vocabulary import Words


def _list(value: Any) -> Steps:
    if not isinstance(value, Steps):
        raise TypeError("its handle comes from no TensorList")
    return value


def _element(w: Words[Any], shape: Any) -> tuple[int, ...] | None:
    """An element's shape, None where it is not known in full."""
    lengths = whole_numbers(w, shape)
    return None if w.rank(shape) == 0 or any(n < 0 for n in lengths) else tuple(lengths)


def _bounded(size: int) -> int:
    if not 0 <= size <= LARGEST_ARRAY:
        raise ValueError(f"a list of {size} elements")
    return size


def _from_tensor(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    values = rows_of(w, args[0])
    return [Steps(_bounded(len(values)), dict(enumerate(values)), alike=True)]


def _reserve(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    size = _bounded(whole_numbers(w, args[1])[0])
    return [Steps(size, alike=True, shape=_element(w, args[0]))]


def _empty(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [Steps(0, alike=True, shape=_element(w, args[0]))]


def _set(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, row = _list(args[0]), whole_numbers(w, args[1])[0]
    written = {**steps.written, row: args[2]}
    return [replace(steps, size=_bounded(max(steps.size, row + 1)), written=written)]


def _shaped(w: Words[Any], steps: Steps, shape: Any) -> Steps:
    return steps if steps.shape is not None else replace(steps, shape=_element(w, shape))


def _get(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(w, _list(args[0]), args[2])
    return [steps.element(w, whole_numbers(w, args[1])[0])]


def _stack(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(w, _list(args[0]), args[1])
    if steps.size == 0:
        if steps.shape is None:
            raise LookupError("an empty list whose elements have no known shape")
        return [zeros(w, (0, *steps.shape), "float")]
    return [steps.stacked(w, range(steps.size))]


def _gather(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(w, _list(args[0]), args[2])
    return [steps.stacked(w, whole_numbers(w, args[1]))]


def _length(_w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [np.asarray(_list(args[0]).size)]


def _push(_w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _list(args[0])
    written = {**steps.written, steps.size: args[1]}
    return [replace(steps, size=_bounded(steps.size + 1), written=written)]


def _pop(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(w, _list(args[0]), args[1])
    last = steps.size - 1
    value = steps.element(w, last)
    written = {k: v for k, v in steps.written.items() if k != last}
    return [replace(steps, size=last, written=written), value]


def _resize(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, size = _list(args[0]), _bounded(whole_numbers(w, args[1])[0])
    return [
        replace(steps, size=size, written={k: v for k, v in steps.written.items() if k < size})
    ]


LISTS: Mapping[str, Definition] = {
    "EmptyTensorList": _empty,
    "TensorListFromTensor": _from_tensor,
    "TensorListGather": _gather,
    "TensorListGetItem": _get,
    "TensorListLength": _length,
    "TensorListPopBack": _pop,
    "TensorListPushBack": _push,
    "TensorListReserve": _reserve,
    "TensorListResize": _resize,
    "TensorListSetItem": _set,
    "TensorListStack": _stack,
}
"""By operation type; inputs' values -> outputs' values."""

CONTAINERS: Mapping[str, Definition] = {**ARRAYS, **LISTS}
"""TensorArrays and TensorLists."""
