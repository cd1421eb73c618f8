"""TensorArrays as values: what a loop over time reads its steps from and writes them to.

Source: data_flow_ops.cc. An array is a size and the values written so far; it travels along the
`flow` (in the first version, along the handle). Nothing is written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]

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
    written: Mapping[int, Any] = field(default_factory=dict)
    alike: bool = False
    shape: tuple[int, ...] | None = None

    def element(self, w: Words[Any], number: int) -> Any:
        """One element. Errors: LookupError where it was never written, nor has a shape."""
        if number in self.written:
            return self.written[number]
        other = next(iter(self.written.values()), None)
        shape: Sequence[Any] | None = self.shape
        if shape is None and self.alike and other is not None:
            shape = w.numbers(w.shape(other))
        if shape is None or not 0 <= number < self.size:
            raise LookupError(f"element {number} was never written")
        return zeros(w, shape, "float" if other is None else w.kind(other))

    def stacked(self, w: Words[Any], numbers: Iterable[int]) -> Any:
        """Elements one after another on a new first axis. Errors: as `element`."""
        return w.join([w.unsqueeze(self.element(w, k), 0) for k in numbers], 0)


def zeros(w: Words[Any], shape: Sequence[Any], kind: str) -> Any:
    """Zeros of a shape."""
    return w.expand(w.literal(np.asarray(0), kind), shape)


def whole_numbers(w: Words[Any], value: Any) -> list[int]:
    """The integers in a value."""
    return [int(k) for k in np.ravel(w.static(value))]


def rows_of(w: Words[Any], value: Any) -> list[Any]:
    """The slices of the first axis."""
    length = int(w.static(w.shape(value))[0])
    return [w.index(value, (k,)) for k in range(length)]


def _new(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    (size,) = whole_numbers(w, args[0])
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


def _scatter(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, rows, values = _flow(args), whole_numbers(w, args[1]), rows_of(w, args[2])
    if len(rows) != len(values):
        raise ValueError(f"{len(values)} values for {len(rows)} places")
    written = {**steps.written, **dict(zip(rows, values, strict=True))}
    size = max([steps.size, *(k + 1 for k in rows)])
    return [replace(steps, size=size, written=written)]


def _read(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_flow(args).element(w, whole_numbers(w, args[1])[0])]


def _write(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    steps, row = _flow(args), whole_numbers(w, args[1])[0]
    written = {**steps.written, row: args[2]}
    return [replace(steps, size=max(steps.size, row + 1), written=written)]


def _gather(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [_flow(args).stacked(w, whole_numbers(w, args[1]))]


def _size(_w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [np.asarray(_flow(args).size)]


_OF_VERSION: Mapping[str, Definition] = {
    "TensorArray": _new,
    "TensorArrayScatter": _scatter,
    "TensorArrayRead": _read,
    "TensorArrayWrite": _write,
    "TensorArrayGather": _gather,
    "TensorArraySize": _size,
}
ARRAYS: Mapping[str, Definition] = {
    f"{kind}{version}": define
    for kind, define in _OF_VERSION.items()
    for version in ("", "V2", "V3")
}
"""By operation type; inputs' values -> outputs' values."""
