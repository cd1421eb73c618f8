"""`Words` that err after each operation as an arithmetic of fewer bits would.

Run a whole graph by several of these, and the spread of its outputs is what an honest runtime
of that precision may differ by. What `arrays.Rounding` does for cells is widened to the words
of graphs; integers and booleans are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.arrays import UNIT_ROUNDING, Rounding
from lstmbridge.gates import Array
from lstmbridge.graph.windows import convolved
from lstmbridge.graph.words import GraphFloat64

_STORED: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
_SUMS = frozenset({"sum", "mean"})
_EXACT = frozenset({"abs", "neg", "floor", "ceil", "round", "sign", "is_nan", "is_inf"})


class GraphRounding(Rounding, GraphFloat64):
    """Every result of floats is perturbed; constants are first stored in the precision's type.

    Args:
        precision: one of `arrays.UNIT_ROUNDING`.
        seed: of the errors.
    """

    def __init__(self, precision: str, seed: int) -> None:
        super().__init__(precision, seed)
        self._rounding = UNIT_ROUNDING[precision]
        self._dtype = _STORED[precision]

    def constant(self, value: Array | float) -> Array:
        """Rounded to what the precision holds."""
        return np.asarray(value).astype(self._dtype).astype(np.float64)

    def literal(self, array: Array, kind: str) -> Array:
        """Likewise, where it is a float."""
        return self.constant(array) if kind == "float" else self.cast(array, kind)

    def _err(self, a: Array) -> Array:
        """Integers and booleans do not err, nor do infinities and NaN."""
        return super()._err(a) if np.asarray(a).dtype.kind == "f" else np.asarray(a)

    def matmul(self, a: Array, b: Array) -> Array:
        """A dot product; of integers, exact."""
        if np.asarray(a).dtype.kind != "f":
            return GraphFloat64.matmul(self, a, b)
        return super().matmul(a, b)

    def unary(self, how: str, a: Array) -> Array:
        """A function, rounded where it can be inexact; likewise below."""
        value = GraphFloat64.unary(self, how, a)
        return value if how in _EXACT else self._err(value)

    def power(self, a: Array, b: Array) -> Array:
        """Power."""
        return self._err(GraphFloat64.power(self, a, b))

    def reduce(self, how: str, a: Array, axes: Sequence[int], keep: bool) -> Array:
        """A sum errs by the unit times the sum of absolute terms, in whatever order."""
        value = GraphFloat64.reduce(self, how, a, axes, keep)
        if value.dtype.kind != "f" or how not in _SUMS | {"prod"}:
            return value
        if how == "prod":
            count = max(np.size(a) // max(value.size, 1), 1)
            return self._spread(value, np.abs(value) * np.sqrt(count))
        return self._spread(value, GraphFloat64.reduce(self, how, np.abs(a), axes, keep))

    def softmax(self, a: Array) -> Array:
        """Softmax: e^a, its sum and the quotient err."""
        shifted = self._err(a - np.max(a, axis=-1, keepdims=True, initial=-np.inf))
        powers = self._err(np.exp(shifted))
        return self._err(powers / self.reduce("sum", powers, [np.ndim(a) - 1], True))

    def log_softmax(self, a: Array) -> Array:
        """Log-softmax: the sum of e^a, its logarithm and the difference err."""
        shifted = self._err(a - np.max(a, axis=-1, keepdims=True, initial=-np.inf))
        total = self.reduce("sum", self._err(np.exp(shifted)), [np.ndim(a) - 1], True)
        return self._err(shifted - self._err(np.log(total)))

    def cumulative_sum(self, a: Array, axis: int, *, exclusive: bool, backward: bool) -> Array:
        """Running sums."""
        run = partial(
            GraphFloat64.cumulative_sum, self, axis=axis, exclusive=exclusive, backward=backward
        )
        value = run(a)
        return self._spread(value, run(np.abs(a))) if value.dtype.kind == "f" else value

    def scatter_nd(self, a: Array, indices: Array, updates: Array, how: str) -> Array:
        """Sums where indices repeat."""
        value = GraphFloat64.scatter_nd(self, a, indices, updates, how)
        return self._err(value) if how == "add" else value

    def einsum(self, equation: str, *operands: Array) -> Array:
        """Sums of products."""
        value = GraphFloat64.einsum(self, equation, *operands)
        return self._spread(value, np.einsum(equation, *map(np.abs, operands)))

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
        """Dot products with windows."""
        sizes = (strides, dilations)
        value = convolved(a, kernel, *sizes, same=same, groups=groups)
        size = np.abs(a).astype(self._size_type), self._size(kernel)
        return self._spread(value, convolved(*size, *sizes, same=same, groups=groups))

    def pool(
        self, how: str, a: Array, *, window: Sequence[int], strides: Sequence[int], same: bool
    ) -> Array:
        """Averages err as sums do."""
        run = partial(GraphFloat64.pool, self, how, window=window, strides=strides, same=same)
        return run(a) if how == "max" else self._spread(run(a), run(np.abs(a)))

    def _spread(self, value: Array, size: Array) -> Array:
        noise = self._random.uniform(-1.0, 1.0, size=np.shape(value))
        return self._err(np.asarray(value + noise * size * self._rounding))
