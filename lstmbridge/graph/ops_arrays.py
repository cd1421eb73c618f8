"""TensorArrays as values: what a loop over time reads its steps from and writes them to.

Source: data_flow_ops.cc. An array is a size and the values written so far; it travels along the
`flow` (in the first version, along the handle). Nothing is written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.network import Op

LARGEST_ARRAY = 1 << 20
"""Elements. A file of a few bytes may declare any number."""


@dataclass(frozen=True)
class Steps:
    """The contents of an array.

    What was never written is zeros, where the shape of an element is known (tensor_array.h): it
    is given, or all elements have the same one and any was written. `dynamic_rnn` ends its loop
    with the longest row and relies on it.
    """

    size: int
    written: Mapping[int, Array] = field(default_factory=dict)
    alike: bool = False
    shape: tuple[int, ...] | None = None

    def __getitem__(self, number: int) -> Array:
        """One element. Errors: LookupError where it was never written, nor has a shape."""
        if number in self.written:
            return self.written[number]
        shape = self.shape
        if shape is None and self.alike and self.written:
            shape = np.shape(next(iter(self.written.values())))
        if shape is None or not 0 <= number < self.size:
            raise LookupError(f"element {number} was never written")
        return np.zeros(shape)


def _number(value: Any) -> int:
    return int(np.ravel(value)[0])


def _new(op: Op, args: Sequence[Any]) -> Sequence[Any]:
    size = _number(args[0])
    if not 0 <= size <= LARGEST_ARRAY:
        raise ValueError(f"an array of {size} elements")
    shape = op.attrs.get("element_shape")
    known = isinstance(shape, tuple) and all(n >= 0 for n in shape)
    alike = bool(op.attrs.get("identical_element_shapes", False))
    steps = Steps(size, alike=alike, shape=shape if known else None)
    return [steps, steps]


def _flow(args: Sequence[Any]) -> Steps:
    # before the first write the flow of the second version is a plain 0.0
    steps = next((a for a in (args[-1], args[0]) if isinstance(a, Steps)), None)
    if steps is None:
        raise TypeError("its flow comes from no TensorArray")
    return steps


def _scatter(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, rows = _flow(args), [int(k) for k in np.ravel(args[1])]
    values = np.asarray(args[2])
    if len(rows) != len(values):
        raise ValueError(f"{len(values)} values for {len(rows)} places")
    written = {**steps.written, **dict(zip(rows, values, strict=True))}
    size = max([steps.size, *(k + 1 for k in rows)])
    return [replace(steps, size=size, written=written)]


def _read(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_flow(args)[_number(args[1])]]


def _write(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, row = _flow(args), _number(args[1])
    written = {**steps.written, row: np.asarray(args[2])}
    return [replace(steps, size=max(steps.size, row + 1), written=written)]


def _gather(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps = _flow(args)
    return [np.stack([steps[int(k)] for k in np.ravel(args[1])])]


def _size(_op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [np.asarray(_flow(args).size)]


_OF_VERSION: Mapping[str, Callable[[Op, Sequence[Any]], Sequence[Any]]] = {
    "TensorArray": _new,
    "TensorArrayScatter": _scatter,
    "TensorArrayRead": _read,
    "TensorArrayWrite": _write,
    "TensorArrayGather": _gather,
    "TensorArraySize": _size,
}
ARRAYS: Mapping[str, Callable[[Op, Sequence[Any]], Sequence[Any]]] = {
    f"{kind}{version}": define
    for kind, define in _OF_VERSION.items()
    for version in ("", "V2", "V3")
}
"""By operation type; inputs' values -> outputs' values."""
