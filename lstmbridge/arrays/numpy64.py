"""The namespace in float64 NumPy: the arithmetic of the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from lstmbridge.gates import Array

# ONNX operator Selu, default attributes
SELU_ALPHA = 1.67326319217681884765625
SELU_GAMMA = 1.05070102214813232421875


def product(a: Array, b: Array) -> Array:
    """A times b; a matrix b is gone through once, not once for each step of a.

    Args:
        a: (..., n).
        b: (n, m), or as `numpy.matmul` takes it.
    """
    if a.ndim > 2 and b.ndim == 2:
        rows = np.asarray(np.matmul(a.reshape(-1, a.shape[-1]), b))
        return rows.reshape(*a.shape[:-1], b.shape[-1])
    return np.asarray(np.matmul(a, b))


class Float64:
    """Implements `Namespace` for float64 arrays. Stateless."""

    dtype: np.dtype[Any] = np.dtype(np.float64)
    """What it computes in."""

    def constant(self, value: Array | float) -> Array:
        """Widened to float64, exactly."""
        return np.asarray(value).astype(np.float64)

    def matmul(self, a: Array, b: Array) -> Array:
        """See `Namespace`; likewise below."""
        return product(a, b)

    def add(self, a: Array, b: Array) -> Array:
        """Sum."""
        return a + b

    def sub(self, a: Array, b: Array) -> Array:
        """Difference."""
        return a - b

    def mul(self, a: Array, b: Array) -> Array:
        """Product."""
        return a * b

    def div(self, a: Array, b: Array) -> Array:
        """Quotient."""
        return a / b

    def minimum(self, a: Array, b: Array) -> Array:
        """Minimum."""
        return np.minimum(a, b)

    def maximum(self, a: Array, b: Array) -> Array:
        """Maximum."""
        return np.maximum(a, b)

    def exp(self, a: Array) -> Array:
        """Exponential."""
        return np.exp(a)

    def sqrt(self, a: Array) -> Array:
        """Square root."""
        return np.sqrt(a)

    def sigmoid(self, a: Array) -> Array:
        """Logistic function, by tanh: no overflow at either end."""
        return 0.5 * np.tanh(0.5 * a) + 0.5

    def tanh(self, a: Array) -> Array:
        """Hyperbolic tangent."""
        return np.tanh(a)

    def relu(self, a: Array) -> Array:
        """Rectifier."""
        return np.maximum(a, 0.0)

    def elu(self, a: Array) -> Array:
        """Exponential linear unit, alpha 1."""
        return np.where(a > 0, a, np.expm1(np.minimum(a, 0.0)))

    def selu(self, a: Array) -> Array:
        """Scaled exponential linear unit."""
        return SELU_GAMMA * np.where(a > 0, a, SELU_ALPHA * np.expm1(np.minimum(a, 0.0)))

    def softplus(self, a: Array) -> Array:
        """log(1 + e^a)."""
        return np.logaddexp(0.0, a)

    def softsign(self, a: Array) -> Array:
        """a / (1 + |a|)."""
        return a / (1.0 + np.abs(a))

    def mean(self, a: Array) -> Array:
        """Mean of the last axis, kept."""
        return np.asarray(np.mean(a, axis=-1, keepdims=True))

    def split(self, a: Array, sizes: Sequence[int]) -> Sequence[Array]:
        """Views of the last axis."""
        ends = list(accumulate(sizes))
        return [a[..., end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def concat(self, parts: Sequence[Array]) -> Array:
        """Joined on the last axis."""
        return np.concatenate(parts, axis=-1)
