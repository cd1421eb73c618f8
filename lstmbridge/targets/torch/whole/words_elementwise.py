"""Arithmetic in PyTorch: values are tensors, and NumPy arrays where no input is in them.

Shapes and what is computed from constants alone stay on the host, in float64 and int64, and
become tensors where they meet one. Floats are of one dtype, integers are int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lstmbridge.gates import Array
from lstmbridge.graph.words import GraphFloat64
from lstmbridge.targets.torch.namespace import TorchOps

Value: TypeAlias = "Array | Tensor"
NUMBERS = GraphFloat64()
_COMPARE: Mapping[str, Any] = {
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
}
_UNARY: Mapping[str, Any] = {"is_nan": torch.isnan, "is_inf": torch.isinf}
_REDUCE: Mapping[str, Any] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
}
_ONE_BY_ONE: Mapping[str, Any] = {"prod": torch.prod, "all": torch.all, "any": torch.any}


def _has_tensor(args: Iterable[Any]) -> bool:
    for arg in args:
        if isinstance(arg, Tensor):
            return True
        if isinstance(arg, slice):
            if isinstance(arg.start, Tensor) or isinstance(arg.stop, Tensor):
                return True
        elif isinstance(arg, tuple | list) and _has_tensor(arg):
            return True
    return False


def folded(word: Callable[..., Any]) -> Callable[..., Any]:
    """A word that NumPy says where none of its arguments is a tensor."""
    name = word.__name__

    @wraps(word)
    def fold(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _has_tensor((*args, *kwargs.values())):
            return word(self, *args, **kwargs)
        return getattr(NUMBERS, name)(*args, **kwargs)

    return fold


def _by_equations(name: str) -> Any:
    """A word that `TorchOps` has."""

    def word(self: Any, *args: Any) -> Any:
        if not _has_tensor(args):
            return getattr(NUMBERS, name)(*args)
        return getattr(self.ops, name)(*map(self.tensor, args))

    return word


class Elementwise:
    """Values, arithmetic and reductions: see `graph.words.Words`, likewise below."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.ops = TorchOps(dtype, device)

    def tensor(self, a: Any) -> Tensor:
        """A value on the device. Errors: ValueError for a number that the dtype cannot hold."""
        if isinstance(a, Tensor):
            return a
        array = np.array(a)
        kind = self.kind(array)
        if kind != "float":
            dtype = torch.int64 if kind == "int" else torch.bool
            return torch.from_numpy(array).to(self.device, dtype)
        made = torch.from_numpy(array.astype(np.float64)).to(self.dtype)
        if not np.isfinite(array).all() or torch.isfinite(made).all():
            return made.to(self.device)
        if np.any(np.isfinite(array) & ~torch.isfinite(made).numpy()):
            raise ValueError(f"a constant of the graph does not fit {self.dtype}")
        return made.to(self.device)

    def own(self, value: Any) -> Value:
        """A tensor, or an array."""
        return value if isinstance(value, Tensor) else np.asarray(value)

    def constant(self, value: Array | float) -> Array:
        """On the host."""
        return NUMBERS.constant(value)

    def literal(self, array: Array, kind: str) -> Array:
        """On the host."""
        return NUMBERS.literal(array, kind)

    def static(self, a: Value) -> Array:
        """The numbers, fetched from the device."""
        if not isinstance(a, Tensor):
            return np.asarray(a)
        here = a.detach().cpu()
        numbers: Array = (here.double() if here.is_floating_point() else here).numpy()
        return numbers

    def numbers(self, a: Value) -> Sequence[int]:
        """Integers."""
        return [int(k) for k in np.ravel(self.static(a))]

    def integer(self, number: int | Value) -> Value:
        """A scalar."""
        return number if isinstance(number, Tensor) else np.asarray(number, np.int64)

    def rank(self, a: Value) -> int:
        """Axes."""
        return int(a.ndim)

    def kind(self, a: Value) -> str:
        """Kind."""
        if not isinstance(a, Tensor):
            return NUMBERS.kind(a)
        if a.is_floating_point():
            return "float"
        return "bool" if a.dtype == torch.bool else "int"

    def shape(self, a: Value) -> Array:
        """On the host."""
        return np.asarray(tuple(a.shape), np.int64)

    matmul = _by_equations("matmul")
    add = _by_equations("add")
    sub = _by_equations("sub")
    mul = _by_equations("mul")
    div = _by_equations("div")
    minimum = _by_equations("minimum")
    maximum = _by_equations("maximum")
    exp = _by_equations("exp")
    sqrt = _by_equations("sqrt")
    sigmoid = _by_equations("sigmoid")
    tanh = _by_equations("tanh")
    relu = _by_equations("relu")
    elu = _by_equations("elu")
    selu = _by_equations("selu")
    softplus = _by_equations("softplus")
    softsign = _by_equations("softsign")
    mean = _by_equations("mean")

    @folded
    def split(self, a: Tensor, sizes: Sequence[int]) -> Sequence[Value]:
        """See `Words`; likewise below."""
        return list(torch.split(a, list(sizes), dim=-1))

    @folded
    def compare(self, how: str, a: Value, b: Value) -> Value:
        """Booleans."""
        made: Tensor = _COMPARE[how](self.tensor(a), self.tensor(b))
        return made

    @folded
    def logical(self, how: str, *operands: Value) -> Value:
        """Booleans."""
        made: Tensor = getattr(torch, f"logical_{how}")(*map(self.tensor, operands))
        return made

    @folded
    def where(self, condition: Value, a: Value, b: Value) -> Value:
        """Choice."""
        chosen, left, right = map(self.tensor, (condition, a, b))
        return torch.where(chosen, left, right)

    @folded
    def unary(self, how: str, a: Tensor) -> Value:
        """Elementwise."""
        made: Tensor = _UNARY.get(how, getattr(torch, how, None))(a)
        # torch gives 0 for what is no number
        return torch.where(torch.isnan(a.double()), a, made) if how == "sign" else made

    @folded
    def integer_division(self, how: str, a: Value, b: Value) -> Value:
        """Quotient or remainder."""
        left, right = self.tensor(a), self.tensor(b)
        if how == "floor":
            return torch.div(left, right, rounding_mode="floor")
        return torch.remainder(left, right)

    @folded
    def power(self, a: Value, b: Value) -> Value:
        """Power."""
        return torch.pow(self.tensor(a), self.tensor(b))

    @folded
    def reduce(self, how: str, a: Tensor, axes: Sequence[int], keep: bool) -> Value:
        """Reduction; over no axes (which torch takes for all) it is nothing."""
        dims = sorted({axis % max(a.ndim, 1) for axis in axes}, reverse=True)
        if not dims or not a.ndim:
            return a
        if how in _REDUCE:
            made: Tensor = _REDUCE[how](a, dim=dims, keepdim=keep)
            return made
        for dim in dims:
            a = _ONE_BY_ONE[how](a, dim=dim, keepdim=keep)
        return a

    @folded
    def softmax(self, a: Tensor) -> Value:
        """Softmax."""
        return torch.softmax(a, -1)

    @folded
    def log_softmax(self, a: Tensor) -> Value:
        """Log-softmax."""
        return torch.log_softmax(a, -1)

    @folded
    def cast(self, a: Tensor, kind: str) -> Value:
        """Cast."""
        return a.to({"float": self.dtype, "int": torch.int64, "bool": torch.bool}[kind])
