"""TensorArrays as values of a graph: a tensor of all elements, or elements one by one.

What a loop's body writes at its own step comes out of the loop as one tensor. Source of the
operations' meaning: data_flow_ops.cc, list_ops.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.targets.onnx.whole.values import Sym, Value, dims_of, same
from lstmbridge.targets.onnx.whole.words import Symbolic


@dataclass(frozen=True, eq=False)
class Elements:
    """The contents of an array.

    Attributes:
        size: how many elements it was made for.
        whole: all elements, one after another on the first axis, where they are one tensor.
        written: elements by number, written one by one.
        grows: writing past its end makes it longer.
        entered: the array as it is at the start of a loop's step; then `steps` counts what the
            step writes.
        steps: (number, value) of each write of this step.
    """

    size: int | Sym
    whole: Value | None = None
    written: Mapping[int, Value] = field(default_factory=dict)
    grows: bool = False
    entered: bool = False
    steps: tuple[tuple[Value, Value], ...] = ()


def _array(args: Sequence[Any]) -> Elements:
    # before the first write the flow of the second version is a plain 0.0
    found = next((a for a in (args[-1], args[0]) if isinstance(a, Elements)), None)
    if found is None:
        raise TypeError("its flow comes from no TensorArray")
    return found


def _new(w: Symbolic, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    made = Elements(w.numbers(args[0])[0], grows=bool(op.attrs.get("dynamic_size", False)))
    return [made, made]


def _scatter(_w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    array, indices, values = _array(args), args[1], args[2]
    if array.whole is not None or array.written or array.steps:
        raise ValueError("it adds to an array that holds elements already")
    count = dims_of(values)[0]
    if not _counts(indices):
        raise ValueError("it writes elements in an order that is not known to be theirs")
    size = array.size if count is None else count
    return [replace(array, whole=values, size=size)]


def _counts(indices: Value) -> bool:
    """Whether indices are 0, 1, ... as far as there are any."""
    if isinstance(indices, Sym):
        return indices.counting is not None
    return bool(np.array_equal(np.ravel(indices), np.arange(indices.size)))


def _read(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    array = _array(args)
    if array.whole is not None:
        return [w.gather(array.whole, w.integer(w.numbers(args[1])[0]), 0)]
    (number,) = w.numbers(args[1])
    if array.entered or not isinstance(number, int) or number not in array.written:
        raise ValueError("it reads an element that is written step by step")
    return [array.written[number]]


def _write(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    array, (number,), value = _array(args), w.numbers(args[1]), args[2]
    if array.entered:
        return [replace(array, steps=(*array.steps, (w.integer(number), value)))]
    if array.whole is not None or not isinstance(number, int):
        raise ValueError("it writes an element whose number only a run will show")
    size = max(array.size, number + 1) if isinstance(array.size, int) else array.size
    return [replace(array, written={**array.written, number: value}, size=size)]


def _gather(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    array, indices = _array(args), args[1]
    if array.whole is not None:
        return [_picked(w, array, array.whole, indices)]
    if array.entered:
        raise ValueError("it gathers an array that is still being written")
    numbers = w.static(indices)
    rows = [w.unsqueeze(array.written[int(k)], 0) for k in np.ravel(numbers)]
    return [w.join(rows, 0)]


def _picked(w: Symbolic, array: Elements, whole: Value, indices: Value) -> Value:
    """Rows of the tensor; itself where they are all of them."""
    if isinstance(indices, Sym):
        if same(indices.counting, array.size):
            return whole
    elif same(array.size, int(indices.size)) and _counts(indices):
        return whole
    rows: Value = w.gather(whole, indices, 0)
    return rows


def _size(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.integer(_array(args).size)]


def _from_tensor(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [Elements(w.emitter.length(args[0], 0), whole=args[0])]


def _reserve(w: Symbolic, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [Elements(w.numbers(args[1])[0])]


def _list_read(w: Symbolic, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return _read(w, op, args[:2])


def _list_write(w: Symbolic, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return _write(w, op, args[:3])


def _stack(w: Symbolic, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    array = _array(args[:1])
    if array.whole is not None:
        return [array.whole]
    if isinstance(array.size, Sym):
        raise TypeError("it stacks an array that was not filled by a loop")
    return _gather(w, op, [array, np.arange(array.size)])


Handling = Callable[[Symbolic, Op, Sequence[Any]], Sequence[Any]]
_OF_VERSION: Mapping[str, Handling] = {
    "TensorArray": _new,
    "TensorArrayScatter": _scatter,
    "TensorArrayRead": _read,
    "TensorArrayWrite": _write,
    "TensorArrayGather": _gather,
    "TensorArraySize": _size,
}
ARRAYS: Mapping[str, Handling] = {
    **{
        f"{kind}{version}": handle
        for kind, handle in _OF_VERSION.items()
        for version in ("", "V2", "V3")
    },
    "TensorListFromTensor": _from_tensor,
    "TensorListGetItem": _list_read,
    "TensorListLength": lambda w, op, args: _size(w, op, args[:1]),
    "TensorListReserve": _reserve,
    "TensorListSetItem": _list_write,
    "TensorListStack": _stack,
}
"""By operation type; inputs' values -> outputs' values."""
