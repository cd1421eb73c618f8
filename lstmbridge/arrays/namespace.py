"""The vocabulary of equations: a protocol whose words are ONNX's operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from lstmbridge.gates import Array

A = TypeVar("A")


class Namespace(Protocol[A]):
    """What an equation may say. `A` is the interpreter's own kind of array.

    Shapes broadcast as in NumPy (and ONNX). There are few words on purpose: each is one ONNX
    node, one NumPy expression and one PyTorch call.
    """

    def constant(self, value: Array | float) -> A:
        """Numbers of the model, in the interpreter's precision."""
        ...

    def matmul(self, a: A, b: A) -> A:
        """(..., n, k) x (k, m) -> (..., n, m)."""
        ...

    def add(self, a: A, b: A) -> A:
        """Elementwise sum."""
        ...

    def sub(self, a: A, b: A) -> A:
        """Elementwise difference."""
        ...

    def mul(self, a: A, b: A) -> A:
        """Elementwise product."""
        ...

    def div(self, a: A, b: A) -> A:
        """Elementwise quotient."""
        ...

    def minimum(self, a: A, b: A) -> A:
        """Elementwise minimum; NaN wins."""
        ...

    def maximum(self, a: A, b: A) -> A:
        """Elementwise maximum; NaN wins."""
        ...

    def exp(self, a: A) -> A:
        """e to the power of a."""
        ...

    def sqrt(self, a: A) -> A:
        """Square root."""
        ...

    def sigmoid(self, a: A) -> A:
        """1 / (1 + e^-a)."""
        ...

    def tanh(self, a: A) -> A:
        """Hyperbolic tangent."""
        ...

    def relu(self, a: A) -> A:
        """max(a, 0)."""
        ...

    def elu(self, a: A) -> A:
        """A where a > 0, else e^a - 1."""
        ...

    def selu(self, a: A) -> A:
        """ONNX Selu with its default alpha and gamma."""
        ...

    def softplus(self, a: A) -> A:
        """log(1 + e^a)."""
        ...

    def softsign(self, a: A) -> A:
        """a / (1 + |a|)."""
        ...

    def mean(self, a: A) -> A:
        """Mean over the last axis, which is kept with length 1."""
        ...

    def split(self, a: A, sizes: Sequence[int]) -> Sequence[A]:
        """Pieces of the last axis."""
        ...

    def concat(self, parts: Sequence[A]) -> A:
        """Side by side on the last axis."""
        ...


ACTIVATIONS: Mapping[str, str] = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "elu": "elu",
    "selu": "selu",
    "softplus": "softplus",
    "softsign": "softsign",
    "linear": "",
    "relu6": "",
    "leaky_relu": "",
    "hard_sigmoid": "",
}
"""Activation name (TensorFlow's own) -> the namespace's word; "" where it is composed below."""


LEAKY_ALPHA = 0.20000000298023224
"""0.2 in float32."""


def activation(ops: Namespace[A], name: str, a: A) -> A:
    """Apply the activation called `name` to `a`.

    ``relu6`` is min(max(a, 0), 6) (`tf.nn.relu6`); ``leaky_relu`` is max(a, 0.2 a)
    (`tf.nn.leaky_relu`, whose alpha is a float32); ``hard_sigmoid`` is clip(0.2 a + 0.5, 0, 1)
    (Keras before version 3).

    Raises:
        KeyError: `name` is not in `ACTIVATIONS`; whoever reads a source checks this first.
    """
    word = ACTIVATIONS[name]
    if word:
        function: Any = getattr(ops, word)
        result: A = function(a)
        return result
    if name == "relu6":
        return ops.minimum(ops.relu(a), ops.constant(6.0))
    if name == "leaky_relu":
        return ops.maximum(a, ops.mul(a, ops.constant(LEAKY_ALPHA)))
    if name == "hard_sigmoid":
        line = ops.add(ops.mul(a, ops.constant(0.2)), ops.constant(0.5))
        return ops.minimum(ops.maximum(line, ops.constant(0.0)), ops.constant(1.0))
    return a


def clip(ops: Namespace[A], a: A, limit: float | None) -> A:
    """Clamp to [-limit, limit]; None leaves `a` alone. `tf.clip_by_value`'s order: min first."""
    if limit is None:
        return a
    return ops.maximum(ops.minimum(a, ops.constant(limit)), ops.constant(-limit))
