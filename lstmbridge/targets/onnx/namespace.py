"""The array namespace as a builder of ONNX nodes: each word is one node, its result a name.

In double, ONNX Runtime (1.32, CPU) has no Elu, Selu, Softplus and Softsign: there, and there
only, these words are composed of operators that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import Self

from lstmbridge.arrays import narrowed
from lstmbridge.arrays.numpy64 import SELU_ALPHA, SELU_GAMMA
from lstmbridge.gates import Array
from lstmbridge.targets.onnx.builder import GraphBuilder


class Named(float):
    """A constant of a cell that remembers what it is called (``forget_bias``)."""

    label: str

    def __new__(cls, value: float, label: str) -> Self:
        """A float with a label; arithmetic gives plain floats."""
        self = super().__new__(cls, value)
        self.label = label
        return self


class Symbolic:
    """Implements `Namespace` for names of values in `graph`.

    Args:
        graph: where the nodes go.
        prefix: before each node's name.
        owner: before each constant's name.
    """

    def __init__(self, graph: GraphBuilder, prefix: str, owner: str) -> None:
        self._graph = graph
        self._prefix = prefix
        self._owner = owner
        self._is_double = graph.dtype == np.float64

    def _node(self, op: str, *inputs: str) -> str:
        return self._graph.node(op, inputs, f"{self._prefix}/{op}")

    def constant(self, value: Array | float) -> str:
        """An initializer in the graph's precision, named after what it is where that is known."""
        array = narrowed(value, self._graph.dtype)
        if isinstance(value, Named):
            label = value.label
        elif array.ndim == 0:
            label = f"{float(value):g}"
        else:
            label = self._graph.unique("constant")
        return self._graph.constant(f"{self._owner}/{label}", array)

    def matmul(self, a: str, b: str) -> str:
        """See `Namespace`; likewise below."""
        return self._node("MatMul", a, b)

    def add(self, a: str, b: str) -> str:
        """Sum."""
        return self._node("Add", a, b)

    def sub(self, a: str, b: str) -> str:
        """Difference."""
        return self._node("Sub", a, b)

    def mul(self, a: str, b: str) -> str:
        """Product."""
        return self._node("Mul", a, b)

    def div(self, a: str, b: str) -> str:
        """Quotient."""
        return self._node("Div", a, b)

    def minimum(self, a: str, b: str) -> str:
        """Minimum."""
        return self._node("Min", a, b)

    def maximum(self, a: str, b: str) -> str:
        """Maximum."""
        return self._node("Max", a, b)

    def exp(self, a: str) -> str:
        """Exponential."""
        return self._node("Exp", a)

    def sqrt(self, a: str) -> str:
        """Square root."""
        return self._node("Sqrt", a)

    def sigmoid(self, a: str) -> str:
        """Logistic function."""
        return self._node("Sigmoid", a)

    def tanh(self, a: str) -> str:
        """Hyperbolic tangent."""
        return self._node("Tanh", a)

    def relu(self, a: str) -> str:
        """Rectifier."""
        return self._node("Relu", a)

    def elu(self, a: str) -> str:
        """Exponential linear unit."""
        return self._elu(a, 1.0) if self._is_double else self._node("Elu", a)

    def selu(self, a: str) -> str:
        """Scaled exponential linear unit."""
        if not self._is_double:
            return self._node("Selu", a)
        return self.mul(self._elu(a, SELU_ALPHA), self.constant(SELU_GAMMA))

    def _elu(self, a: str, alpha: float) -> str:
        rest = self.sub(self.exp(self.minimum(a, self.constant(0.0))), self.constant(1.0))
        scaled = rest if alpha == 1.0 else self.mul(rest, self.constant(alpha))
        return self.add(self.relu(a), scaled)

    def softplus(self, a: str) -> str:
        """log(1 + e^a); in double max(a, 0) + log(1 + e^-|a|), which does not overflow."""
        if not self._is_double:
            return self._node("Softplus", a)
        small = self.exp(self._node("Neg", self._node("Abs", a)))
        return self.add(self.relu(a), self._node("Log", self.add(small, self.constant(1.0))))

    def softsign(self, a: str) -> str:
        """a / (1 + |a|)."""
        if not self._is_double:
            return self._node("Softsign", a)
        return self.div(a, self.add(self._node("Abs", a), self.constant(1.0)))

    def mean(self, a: str) -> str:
        """Mean of the last axis, kept."""
        return self._graph.mean(a, f"{self._prefix}/mean")

    def split(self, a: str, sizes: Sequence[int]) -> Sequence[str]:
        """Pieces of the last axis."""
        return self._graph.split(a, sizes, f"{self._prefix}/Split")

    def concat(self, parts: Sequence[str]) -> str:
        """Joined on the last axis."""
        return self._graph.node("Concat", parts, f"{self._prefix}/Concat", axis=-1)
