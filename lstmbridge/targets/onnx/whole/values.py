"""What is known of a value before the model is run.

A value is either known, and then it is a NumPy array (float64, int64, bool), or a `Sym`: the
name of a value in the graph, with its kind and as much of its shape as can be told. A length
that only a run will show may still be the same as another: it is then the same `Sym`, so that
two shapes can be compared without numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lstmbridge.gates import Array

Length: TypeAlias = "int | Sym | None"
"""Of an axis: known, the same as another, or not known."""
Dims: TypeAlias = "tuple[Length, ...]"


@dataclass(eq=False)
class Sym:
    """A value that a run will give.

    Attributes:
        name: in the graph; "" for a vector that nothing has asked for yet (see `content`).
        kind: ``float``, ``int`` or ``bool``.
        dims: the lengths of its axes.
        content: of an integer vector: its elements, as far as they are known by themselves.
        fill: the number that all its elements are.
        counting: of a vector: it is 0, 1, ... up to this length.
        axis_of: of a scalar: it is the length of this axis of the value of this name.
        label: what a length of an input is called in the signature.
    """

    name: str
    kind: str
    dims: Dims
    content: tuple[int | Sym, ...] | None = None
    fill: float | None = None
    counting: Length = None
    axis_of: tuple[str, int] | None = None
    label: str = ""

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.dims)


Value: TypeAlias = "Array | Sym"
KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}


def kind_of_value(value: Value) -> str:
    """``float``, ``int`` or ``bool``. Errors: ValueError for anything else (text)."""
    if isinstance(value, Sym):
        return value.kind
    try:
        return KINDS[value.dtype.kind]
    except KeyError:
        raise ValueError(f"values of {value.dtype} have no place in an ONNX model") from None


def dims_of(value: Value) -> Dims:
    """The lengths of the axes."""
    return value.dims if isinstance(value, Sym) else tuple(int(n) for n in np.shape(value))


def content_of(value: Value) -> tuple[int | Sym, ...] | None:
    """The elements of an integer scalar or vector; None where it is anything else."""
    if isinstance(value, Sym):
        return (value,) if value.kind == "int" and not value.dims else value.content
    if np.ndim(value) > 1 or value.dtype.kind not in "iu":
        return None
    return tuple(int(n) for n in np.ravel(value))


def same(a: Length, b: Length) -> bool:
    """Whether two lengths are the same in every run, as far as is known."""
    if a is None or b is None:
        return False
    return a is b or (isinstance(a, int) and isinstance(b, int) and a == b)


def _wider(a: Length, b: Length) -> Length:
    if same(a, b) or (isinstance(b, int) and b == 1):
        return a
    if isinstance(a, int) and a == 1:
        return b
    return next((n for n in (a, b) if isinstance(n, int)), None)


def broadcast(*shapes: Dims) -> Dims:
    """The lengths of what an elementwise operation on these shapes gives."""
    rank = max(map(len, shapes))
    total: list[Length] = [1] * rank
    for shape in shapes:
        padded = (*([1] * (rank - len(shape))), *shape)
        total = [_wider(a, b) for a, b in zip(total, padded, strict=True)]
    return tuple(total)


def meet(a: Dims, b: Dims) -> Dims:
    """What holds for both of two shapes of one rank."""
    return tuple(m if same(m, n) else None for m, n in zip(a, b, strict=True))


def has_sym(args: Iterable[Any]) -> bool:
    """Whether anything in (nested) arguments waits for a run."""
    for arg in args:
        if isinstance(arg, Sym):
            return True
        if isinstance(arg, slice):
            if has_sym((arg.start, arg.stop)):
                return True
        elif isinstance(arg, tuple | list) and has_sym(arg):
            return True
    return False


def fixed(dims: Sequence[Length]) -> list[int | None]:
    """Lengths for a value's declaration: what is not a number is left open."""
    return [n if isinstance(n, int) else None for n in dims]
