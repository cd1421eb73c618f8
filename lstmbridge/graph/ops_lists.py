"""TensorLists as values: what TensorFlow 2's loops read their steps from and write them to.

Source: list_ops.cc, list_kernels.cc. A list is the same `Steps` as a TensorArray; it travels as
its handle. An element that was never written is zeros of the list's element shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_arrays import ARRAYS, LARGEST_ARRAY, Steps

Definition = Callable[[Op, Sequence[Any]], Sequence[Any]]


def _list(value: Any) -> Steps:
    if not isinstance(value, Steps):
        raise TypeError("its handle comes from no TensorList")
    return value


def _number(value: Any) -> int:
    return int(np.ravel(value)[0])


def _element(shape: Any) -> tuple[int, ...] | None:
    """An element's shape, None where it is not known in full."""
    if np.ndim(shape) == 0 or any(int(n) < 0 for n in np.ravel(shape)):
        return None
    return tuple(int(n) for n in np.ravel(shape))


def _bounded(size: int) -> int:
    if not 0 <= size <= LARGEST_ARRAY:
        raise ValueError(f"a list of {size} elements")
    return size


def _from_tensor(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    values = np.asarray(args[0])
    return [Steps(_bounded(len(values)), dict(enumerate(values)), alike=True)]


def _reserve(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    size = _bounded(_number(args[1]))
    return [Steps(size, alike=True, shape=_element(args[0]))]


def _empty(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [Steps(0, alike=True, shape=_element(args[0]))]


def _set(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, row = _list(args[0]), _number(args[1])
    written = {**steps.written, row: np.asarray(args[2])}
    return [replace(steps, size=_bounded(max(steps.size, row + 1)), written=written)]


def _shaped(steps: Steps, shape: Any) -> Steps:
    return steps if steps.shape is not None else replace(steps, shape=_element(shape))


def _get(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_shaped(_list(args[0]), args[2])[_number(args[1])]]


def _stack(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(_list(args[0]), args[1])
    if steps.size == 0:
        if steps.shape is None:
            raise LookupError("an empty list whose elements have no known shape")
        return [np.zeros((0, *steps.shape))]
    return [np.stack([steps[k] for k in range(steps.size)])]


def _gather(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(_list(args[0]), args[2])
    return [np.stack([steps[int(k)] for k in np.ravel(args[1])])]


def _length(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [np.asarray(_list(args[0]).size)]


def _push(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _list(args[0])
    written = {**steps.written, steps.size: np.asarray(args[1])}
    return [replace(steps, size=_bounded(steps.size + 1), written=written)]


def _pop(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _shaped(_list(args[0]), args[1])
    last = steps.size - 1
    value = steps[last]
    written = {k: v for k, v in steps.written.items() if k != last}
    return [replace(steps, size=last, written=written), value]


def _resize(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, size = _list(args[0]), _bounded(_number(args[1]))
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
