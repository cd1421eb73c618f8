"""The array namespace of cells, widened by what a graph around them needs.

Each word means what ONNX's operator of that name means (NumPy's broadcasting, float64 for
every kind of float, int64 for every kind of integer), so that the definitions in `ops*` can
serve an interpreter other than NumPy's: one that only knows how many axes a value has, and not
how long each is. Axes, permutations and ranks are therefore plain integers, while lengths,
repeats and bounds of slices are integers or scalars of the interpreter's own: `numbers` takes
the elements of a value apart into these. `static` is for what must be known to say what an
operation does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.arrays.namespace import Namespace
from lstmbridge.gates import Array

A = TypeVar("A")


class Words(Namespace[A], Protocol[A]):
    """`Namespace`, and comparison, choice, reduction and shape."""

    def static(self, a: A) -> Array:
        """The numbers of a value that decides what an operation does.

        Raises:
            ValueError: the interpreter does not know them.
        """
        ...

    def numbers(self, a: A) -> Sequence[int | A]:
        """The elements of an integer scalar or vector: integers, or scalars where not known."""
        ...

    def integer(self, number: int | A) -> A:
        """One of `numbers`, as a scalar."""
        ...

    def rank(self, a: A) -> int:
        """How many axes it has."""
        ...

    def kind(self, a: A) -> str:
        """``float``, ``int`` or ``bool``."""
        ...

    def literal(self, array: Array, kind: str) -> A:
        """Numbers that stand in the graph."""
        ...

    def compare(self, how: str, a: A, b: A) -> A:
        """``equal``, ``less``, ``less_equal``, ``greater``, ``greater_equal``: booleans."""
        ...

    def logical(self, how: str, *operands: A) -> A:
        """``and``, ``or``, ``xor``, ``not`` of booleans."""
        ...

    def where(self, condition: A, a: A, b: A) -> A:
        """A where the condition holds, else b."""
        ...

    def unary(self, how: str, a: A) -> A:
        """``abs``, ``neg``, ``floor``, ``ceil``, ``round``, ``sign``, ``log``, ``reciprocal``."""
        ...

    def integer_division(self, how: str, a: A, b: A) -> A:
        """``floor`` or ``mod``, both rounding towards minus infinity."""
        ...

    def power(self, a: A, b: A) -> A:
        """A to the power of b."""
        ...

    def reduce(self, how: str, a: A, axes: Sequence[int], keep: bool) -> A:
        """``sum``, ``mean``, ``max``, ``min``, ``prod``, ``all``, ``any`` over axes."""
        ...

    def softmax(self, a: A) -> A:
        """Over the last axis."""
        ...

    def cast(self, a: A, kind: str) -> A:
        """To ``float``, ``int`` or ``bool``; towards zero from float to int."""
        ...

    def shape(self, a: A) -> A:
        """The lengths of the axes, as integers."""
        ...

    def reshape(self, a: A, shape: Sequence[int | A]) -> A:
        """One axis may be -1."""
        ...

    def unsqueeze(self, a: A, axis: int) -> A:
        """A further axis of length 1, which is then number `axis`."""
        ...

    def squeeze(self, a: A, axes: Sequence[int]) -> A:
        """Without these axes, which have length 1."""
        ...

    def transpose(self, a: A, order: Sequence[int]) -> A:
        """Axes in another order."""
        ...

    def expand(self, a: A, shape: Sequence[int | A]) -> A:
        """Broadcast to a shape."""
        ...

    def tile(self, a: A, repeats: Sequence[int | A]) -> A:
        """Repeat along each axis."""
        ...

    def index(self, a: A, at: tuple[Any, ...]) -> A:
        """Basic slicing: slices, integers, None and Ellipsis. Bounds may be scalars."""
        ...

    def pieces(self, a: A, sizes: Sequence[int], axis: int) -> Sequence[A]:
        """Side by side on an axis before, apart after."""
        ...

    def gather(self, a: A, indices: A, axis: int) -> A:
        """Whole slices by number."""
        ...

    def join(self, parts: Sequence[A], axis: int) -> A:
        """Side by side on an axis."""
        ...

    def arange(self, start: A, limit: A, step: A) -> A:
        """Numbers from start to limit, without it."""
        ...

    def reverse(self, a: A, axes: Sequence[int]) -> A:
        """Back to front."""
        ...

    def reverse_sequence(self, a: A, lengths: A, time: int, batch: int) -> A:
        """Back to front, each row up to its length."""
        ...


_COMPARE: Mapping[str, Any] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
_LOGICAL: Mapping[str, Any] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
}
_UNARY: Mapping[str, Any] = {
    "abs": np.abs,
    "neg": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sign": np.sign,
    "log": np.log,
    "reciprocal": np.reciprocal,
    "square": np.square,
}
_REDUCE: Mapping[str, Any] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "all": np.all,
    "any": np.any,
}
_KINDS: Mapping[str, Any] = {"float": np.float64, "int": np.int64, "bool": np.bool_}
_KIND_OF: Mapping[str, str] = {"f": "float", "i": "int", "u": "int", "b": "bool"}

LARGEST_CONSTANT = 1 << 24
"""Numbers in one constant, fill or range. A file of a few bytes may ask for any number."""


def bounded(shape: Sequence[Any]) -> None:
    """Errors: ValueError where a shape (as far as it is known) is larger than any graph needs."""
    size = 1
    for length in shape:
        size *= max(length, 0) if isinstance(length, int) else 1
    if size > LARGEST_CONSTANT:
        raise ValueError(f"{size} numbers are more than any cell needs")


class GraphFloat64(Float64):
    """Implements `Words` in NumPy. Stateless."""

    def static(self, a: Array) -> Array:
        """Itself."""
        return a

    def numbers(self, a: Array) -> Sequence[int | Array]:
        """Integers."""
        return [int(k) for k in np.ravel(a)]

    def integer(self, number: int | Array) -> Array:
        """A scalar."""
        return np.asarray(number, np.int64)

    def rank(self, a: Array) -> int:
        """Axes."""
        return np.ndim(a)

    def kind(self, a: Array) -> str:
        """Kind."""
        return _KIND_OF[np.asarray(a).dtype.kind]

    def literal(self, array: Array, kind: str) -> Array:
        """Widened."""
        return self.cast(array, kind)

    def compare(self, how: str, a: Array, b: Array) -> Array:
        """See `Words`; likewise below."""
        return np.asarray(_COMPARE[how](a, b))

    def logical(self, how: str, *operands: Array) -> Array:
        """Booleans."""
        return np.asarray(_LOGICAL[how](*operands))

    def where(self, condition: Array, a: Array, b: Array) -> Array:
        """Choice."""
        return np.where(condition, a, b)

    def unary(self, how: str, a: Array) -> Array:
        """Elementwise."""
        return np.asarray(_UNARY[how](a))

    def integer_division(self, how: str, a: Array, b: Array) -> Array:
        """Quotient or remainder."""
        return np.asarray(np.floor_divide(a, b) if how == "floor" else np.mod(a, b))

    def power(self, a: Array, b: Array) -> Array:
        """Power."""
        return np.asarray(np.power(a, b))

    def reduce(self, how: str, a: Array, axes: Sequence[int], keep: bool) -> Array:
        """Reduction."""
        return np.asarray(_REDUCE[how](a, axis=tuple(axes), keepdims=keep))

    def softmax(self, a: Array) -> Array:
        """Softmax."""
        shifted = np.exp(a - np.max(a, axis=-1, keepdims=True))
        return np.asarray(shifted / np.sum(shifted, axis=-1, keepdims=True))

    def cast(self, a: Array, kind: str) -> Array:
        """Cast."""
        return np.asarray(a).astype(_KINDS[kind])

    def shape(self, a: Array) -> Array:
        """Shape."""
        return np.asarray(np.shape(a), np.int64)

    def reshape(self, a: Array, shape: Sequence[int | Array]) -> Array:
        """Reshape."""
        return np.reshape(a, _lengths(shape))

    def unsqueeze(self, a: Array, axis: int) -> Array:
        """Insert."""
        return np.expand_dims(a, axis)

    def squeeze(self, a: Array, axes: Sequence[int]) -> Array:
        """Drop."""
        return np.squeeze(a, tuple(axes))

    def transpose(self, a: Array, order: Sequence[int]) -> Array:
        """Transpose."""
        return np.transpose(a, tuple(order))

    def expand(self, a: Array, shape: Sequence[int | Array]) -> Array:
        """Broadcast."""
        return np.broadcast_to(a, _lengths(shape))

    def tile(self, a: Array, repeats: Sequence[int | Array]) -> Array:
        """Tile."""
        return np.tile(a, _lengths(repeats))

    def index(self, a: Array, at: tuple[Any, ...]) -> Array:
        """Slices."""
        return np.asarray(a[at])

    def pieces(self, a: Array, sizes: Sequence[int], axis: int) -> Sequence[Array]:
        """Slices."""
        lead, ends = (slice(None),) * (axis % np.ndim(a)), np.cumsum(sizes).tolist()
        cuts = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        places = [(*lead, cut) for cut in cuts]
        return [a[place] for place in places]

    def gather(self, a: Array, indices: Array, axis: int) -> Array:
        """Take."""
        return np.asarray(np.take(a, indices, axis=axis))

    def join(self, parts: Sequence[Array], axis: int) -> Array:
        """Concatenate."""
        return np.concatenate(list(parts), axis=axis)

    def arange(self, start: Array, limit: Array, step: Array) -> Array:
        """Range."""
        first, last, by = start.item(), limit.item(), step.item()
        bounded([int(abs((last - first) / by)) + 1])
        return np.arange(first, last, by)

    def reverse(self, a: Array, axes: Sequence[int]) -> Array:
        """Flip."""
        return np.flip(a, tuple(axes))

    def reverse_sequence(self, a: Array, lengths: Array, time: int, batch: int) -> Array:
        """Flip each row's prefix."""
        moved = np.moveaxis(a, (time, batch), (0, 1))
        steps = np.arange(moved.shape[0])[:, None]
        ends = np.asarray(lengths, np.int64)[None, :]
        source = np.where(steps < ends, ends - 1 - steps, steps)
        flipped = moved[source, np.arange(moved.shape[1])[None, :]]
        return np.moveaxis(flipped, (0, 1), (time, batch))


def _lengths(shape: Sequence[int | Array]) -> tuple[int, ...]:
    return tuple(map(int, shape))
