"""The vocabulary of graphs in float64 NumPy: what an interpreter of a whole graph is run by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.gates import Array
from lstmbridge.graph.stepwise import Step, stepwise
from lstmbridge.graph.vocabulary import Words
from lstmbridge.graph.windows import convolved, windows_of

__all__ = [
    "LARGEST_CONSTANT",
    "UNARY",
    "GraphFloat64",
    "Words",
    "bounded",
    "cumulative",
]

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
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "is_nan": np.isnan,
    "is_inf": np.isinf,
}
UNARY: tuple[str, ...] = tuple(_UNARY)
"""Functions of one value that `Words.unary` knows."""
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

    def own(self, value: Any) -> Array:
        """An array."""
        return np.asarray(value)

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

    def squeeze_ones(self, a: Array) -> Array:
        """Drop every axis of length 1."""
        return np.squeeze(a)

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

    def log_softmax(self, a: Array) -> Array:
        """Log-softmax."""
        shifted = a - np.max(a, axis=-1, keepdims=True)
        return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)))

    def arg(self, how: str, a: Array, axis: int) -> Array:
        """Place of the extreme."""
        return np.asarray((np.argmax if how == "max" else np.argmin)(a, axis=axis))

    def top_k(self, a: Array, count: int | Array) -> tuple[Array, Array]:
        """Sorted, stable."""
        order = np.argsort(-a, axis=-1, kind="stable")[..., : int(count)]
        return np.take_along_axis(a, order, axis=-1), order

    def cumulative_sum(self, a: Array, axis: int, *, exclusive: bool, backward: bool) -> Array:
        """Running sums."""
        return cumulative(np.cumsum, a, axis, exclusive=exclusive, backward=backward)

    def pad(
        self, a: Array, before: Sequence[int | Array], after: Sequence[int | Array], value: Array
    ) -> Array:
        """Pad."""
        widths = list(zip(_lengths(before), _lengths(after), strict=True))
        bounded([n + sum(w) for n, w in zip(np.shape(a), widths, strict=True)])
        return np.pad(a, widths, constant_values=np.asarray(value).item()) if widths else a

    def gather_nd(self, a: Array, indices: Array, batch_dims: int) -> Array:
        """Take by tuples."""
        if not batch_dims:
            return np.asarray(a[tuple(np.moveaxis(indices, -1, 0))])
        lead = np.ogrid[tuple(slice(n) for n in np.shape(indices)[:batch_dims])]
        inner = np.ndim(indices) - 1 - batch_dims
        rows = [np.reshape(k, (*np.shape(k), *[1] * inner)) for k in lead]
        at = (*rows, *np.moveaxis(indices, -1, 0))
        return np.asarray(a[at])

    def scatter_nd(self, a: Array, indices: Array, updates: Array, how: str) -> Array:
        """Put by tuples."""
        made = np.array(a)
        at = tuple(np.moveaxis(indices, -1, 0))
        if how == "add":
            np.add.at(made, at, updates)
        else:
            made[at] = updates
        return made

    def nonzero(self, a: Array) -> Array:
        """Indices."""
        return np.asarray(np.nonzero(a))

    def unique(self, a: Array) -> tuple[Array, Array]:
        """By first appearance."""
        values, first, inverse = np.unique(a, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return values[order], np.argsort(order)[np.reshape(inverse, np.shape(a))]

    def einsum(self, equation: str, *operands: Array) -> Array:
        """Sum of products."""
        return np.asarray(np.einsum(equation, *operands))

    def conv(
        self,
        a: Array,
        kernel: Array,
        *,
        strides: Sequence[int],
        dilations: Sequence[int],
        same: bool,
        groups: int,
    ) -> Array:
        """Convolution."""
        sizes = (strides, dilations)
        return convolved(a, kernel, *sizes, same=same, groups=groups)

    def pool(
        self, how: str, a: Array, *, window: Sequence[int], strides: Sequence[int], same: bool
    ) -> Array:
        """Pooling."""
        ones = [1] * len(window)
        within = tuple(range(-len(window), 0))
        if how == "max":
            windows = windows_of(a, window, strides, ones, same=same, fill=-np.inf)
            return np.asarray(windows.max(axis=within))
        windows = windows_of(a, window, strides, ones, same=same, fill=0.0)
        counted = windows_of(np.ones_like(a), window, strides, ones, same=same, fill=0.0)
        return np.asarray(windows.sum(axis=within) / counted.sum(axis=within))

    def scan(
        self,
        step: Step,
        states: Sequence[Array],
        sequences: Sequence[Array],
        *,
        backward: bool = False,
    ) -> Sequence[Array]:
        """Step by step."""
        return stepwise(self, step, states, sequences, backward=backward)


def cumulative(
    function: Callable[..., Array], a: Array, axis: int, *, exclusive: bool, backward: bool
) -> Array:
    """Running sums from either end, with or without the element itself."""
    if backward:
        a = np.flip(a, axis)
    made = np.asarray(function(a, axis=axis))
    if exclusive:
        made = made - a
    return np.flip(made, axis) if backward else made


def _lengths(shape: Sequence[int | Array]) -> tuple[int, ...]:
    return tuple(map(int, shape))
