"""The namespace of equations in PyTorch. Gradients flow; the device and dtype are the inputs'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmbridge.arrays import narrowed
from lstmbridge.gates import Array

# ONNX operator Selu, default attributes
_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


class TorchOps:
    """Implements `Namespace` for tensors of one dtype on one device.

    Args:
        dtype: of the constants.
        device: where they lie.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._place: dict[str, Any] = {"dtype": dtype, "device": device}
        self._scalars: dict[float, Tensor] = {}

    def constant(self, value: Array | float) -> Tensor:
        """Rounded to the dtype. A scalar is made once: it is asked for at every step."""
        if not isinstance(value, (int, float)):
            return torch.tensor(value, **self._place)
        if value not in self._scalars:
            # float16 alone loses numbers that cells are made of: an epsilon of 1e-12
            half = self._place["dtype"] == torch.float16
            stored = float(narrowed(value, np.dtype(np.float16))) if half else value
            self._scalars[value] = torch.full((), stored, **self._place)
        return self._scalars[value]

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Namespace`; likewise below."""
        return torch.matmul(a, b)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Sum."""
        return a + b

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        """Difference."""
        return a - b

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """Product."""
        return a * b

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        """Quotient."""
        return a / b

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """Minimum."""
        return torch.minimum(a, b)

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """Maximum."""
        return torch.maximum(a, b)

    def exp(self, a: Tensor) -> Tensor:
        """Exponential."""
        return torch.exp(a)

    def sqrt(self, a: Tensor) -> Tensor:
        """Square root."""
        return torch.sqrt(a)

    def sigmoid(self, a: Tensor) -> Tensor:
        """Logistic function."""
        return torch.sigmoid(a)

    def tanh(self, a: Tensor) -> Tensor:
        """Hyperbolic tangent."""
        return torch.tanh(a)

    def relu(self, a: Tensor) -> Tensor:
        """Rectifier."""
        return torch.relu(a)

    def elu(self, a: Tensor) -> Tensor:
        """Exponential linear unit, alpha 1."""
        return torch.nn.functional.elu(a)

    def selu(self, a: Tensor) -> Tensor:
        """Scaled exponential linear unit; torch's own has more digits than ONNX's defaults."""
        return _SELU_GAMMA * torch.nn.functional.elu(a, alpha=_SELU_ALPHA)

    def softplus(self, a: Tensor) -> Tensor:
        """log(1 + e^a); torch's own softplus leaves the curve above 20."""
        return torch.logaddexp(a, torch.zeros((), **self._place))

    def softsign(self, a: Tensor) -> Tensor:
        """a / (1 + |a|)."""
        return torch.nn.functional.softsign(a)

    def mean(self, a: Tensor) -> Tensor:
        """Mean of the last axis, kept."""
        return torch.mean(a, dim=-1, keepdim=True)

    def split(self, a: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
        """Views of the last axis."""
        return torch.split(a, list(sizes), dim=-1)

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        """Joined on the last axis."""
        return torch.cat(list(parts), dim=-1)
