"""Float64 NumPy that errs, after each operation, as an arithmetic of fewer bits would.

Run an equation with several `Rounding`s, and the spread of the results is what an honest
runtime of that precision may differ by: on these weights, this input, this length. Each result
gets a random relative error of at most 2 units of rounding (a tanh 3), or of what is 2 units
of the smallest normal number, below which numbers lose digits; a dot product, whose order of
summation is nobody's promise, an error of the unit times the sum of its absolute products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.arrays.numpy64 import SELU_ALPHA, SELU_GAMMA, Float64, product
from lstmbridge.gates import Array

UNIT_ROUNDING: Mapping[str, float] = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "tf32": 2.0**-11,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}
"""Unit rounding of each precision: half the distance from 1 to the next number."""

SMALLEST_NORMAL: Mapping[str, float] = {
    "float64": 2.0**-1022,
    "float32": 2.0**-126,
    "tf32": 2.0**-126,
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
}
"""Below it a precision's numbers lie no closer together than just above it."""


def narrowed(value: Array | float, dtype: np.dtype[Any]) -> Array:
    """The value as `dtype` stores it; a lone number that is not 0 does not become 0.

    The epsilon of a layer norm does so in float16 (1e-12; the least is 6e-8), and a variance of 0
    would then be divided by 0. Rounded up it is lost beside any other variance that is not 0.
    """
    stored = np.asarray(value).astype(dtype)
    if stored.ndim or stored != 0 or not value:
        return stored
    least = ml_dtypes.finfo(dtype).smallest_subnormal  # type: ignore[no-untyped-call]
    return np.asarray(np.copysign(least, np.asarray(value, np.float64))).astype(dtype)


class Rounding(Float64):
    """`Float64` that perturbs every result by the rounding of `precision`.

    Exact operations (minimum, maximum, relu, split, concat) are left exact. The numbers of the
    model are exact as well: they are stored in a precision that holds them.
    """

    def __init__(self, precision: str, seed: int) -> None:
        self._unit = UNIT_ROUNDING[precision]
        self._least = SMALLEST_NORMAL[precision]
        self._single = precision == "float32"
        self._random = np.random.default_rng(seed)
        # how much a product may err needs no more digits than these
        wide = precision == "float64"
        self._size_type = np.dtype(np.float64 if wide else np.float32)
        self._sizes: list[tuple[Array, Array]] = []

    def _draw(self, limit: float, shape: tuple[int, ...]) -> Array:
        """Errors, uniform within +- `limit`: every one that is made comes from here."""
        return self._random.uniform(-limit, limit, size=shape)

    def _err(self, a: Array) -> Array:
        return self._err_within(2.0, a)

    def _err_within(self, units: float, a: Array) -> Array:
        spread = self._draw(units * self._unit, a.shape)
        low = (np.abs(a) < self._least) & (a != 0.0)
        if low.any():
            return np.where(low, a + spread * self._least, a * (1.0 + spread))
        return np.asarray(a * (1.0 + spread))

    def _elementwise(self, function: Callable[..., Array], *operands: Array) -> Array:
        return self._err(function(*operands))

    def matmul(self, a: Array, b: Array) -> Array:
        """Errs by the unit times the sum of absolute products, and once more as an element."""
        spread = product(np.abs(a).astype(self._size_type), self._size(b)) * self._unit
        noise = self._draw(1.0, spread.shape)
        return self._err(product(a, b) + noise * spread)

    def _size(self, b: Array) -> Array:
        """|b|, remembered for the last two: a cell's weights come back at every step."""
        for known, size in self._sizes:
            if known is b:
                return size
        size = np.abs(b, out=np.empty(b.shape, self._size_type), casting="same_kind")
        self._sizes = [(b, size), *self._sizes[:1]]
        return self._sizes[0][1]

    def add(self, a: Array, b: Array) -> Array:
        """Sum, rounded; likewise below."""
        return self._elementwise(super().add, a, b)

    def sub(self, a: Array, b: Array) -> Array:
        """Difference."""
        return self._elementwise(super().sub, a, b)

    def mul(self, a: Array, b: Array) -> Array:
        """Product."""
        return self._elementwise(super().mul, a, b)

    def div(self, a: Array, b: Array) -> Array:
        """Quotient."""
        return self._elementwise(super().div, a, b)

    def exp(self, a: Array) -> Array:
        """Exponential."""
        return self._elementwise(super().exp, a)

    def sqrt(self, a: Array) -> Array:
        """Square root."""
        return self._elementwise(super().sqrt, a)

    def sigmoid(self, a: Array) -> Array:
        """Logistic function, to within 2 units of 1, not of its own value.

        Runtimes approximate it so: ONNX Runtime 1.32's LSTM gives 0 below -18 and is 1.2e-7 off
        at -10, where the value is 4.5e-5. A nearly closed gate on a large c shows it.
        """
        value = super().sigmoid(a)
        off = self._draw(2.0 * self._unit, value.shape)
        return np.asarray(value + off)

    def tanh(self, a: Array) -> Array:
        """Hyperbolic tangent, to within 3 units of its value.

        ONNX Runtime 1.32 errs by up to 4 units in its LSTM, by up to 8 in its GRU, PyTorch by 2;
        `verify` allows three times what the perturbed runs show. In other precisions than
        float32 a tanh is no worse than other words.
        """
        return self._err_within(3.0 if self._single else 2.0, super().tanh(a))

    def elu(self, a: Array) -> Array:
        """Exponential linear unit, as runtimes compute it: e^a is rounded, then 1 taken off."""
        return self._err(np.where(a > 0, a, self._below(a)))

    def selu(self, a: Array) -> Array:
        """Scaled exponential linear unit, likewise."""
        return self._err(SELU_GAMMA * np.where(a > 0, a, SELU_ALPHA * self._below(a)))

    def _below(self, a: Array) -> Array:
        return self._err(np.exp(np.minimum(a, 0.0))) - 1.0

    def softplus(self, a: Array) -> Array:
        """log(1 + e^a): the sum is rounded before its logarithm is taken."""
        total = self._err(1.0 + np.exp(-np.abs(a)))
        return self._err(np.maximum(a, 0.0) + np.log(total))

    def softsign(self, a: Array) -> Array:
        """a / (1 + |a|)."""
        return self._elementwise(super().softsign, a)

    def mean(self, a: Array) -> Array:
        """Mean of the last axis: errs as a dot product with 1/n; of one number it is that."""
        if a.shape[-1] == 1:
            return super().mean(a)
        spread = np.mean(np.abs(a), axis=-1, keepdims=True) * self._unit
        noise = self._draw(1.0, spread.shape)
        return self._err(super().mean(a) + noise * spread)

    def split(self, a: Array, sizes: Sequence[int]) -> Sequence[Array]:
        """Exact."""
        return super().split(a, sizes)
