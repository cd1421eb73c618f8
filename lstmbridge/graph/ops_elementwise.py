"""Arithmetic, activations, comparison, choice, reduction and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.words import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _word(name: str) -> Definition:
    """An operation that is one word of the namespace."""

    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        return [getattr(w, name)(*args)]

    return define


def _how(word: str, how: str) -> Definition:
    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        return [getattr(w, word)(how, *args)]

    return define


def _add_n(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    total = args[0]
    for term in args[1:]:
        total = w.add(total, term)
    return [total]


def _clip(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    value, low, high = args
    return [w.maximum(w.minimum(value, high), low)]


def _relu6(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.minimum(w.relu(args[0]), w.constant(6.0))]


def _leaky_relu(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    alpha = w.constant(float(op.attrs.get("alpha", np.float32(0.2))))
    return [w.maximum(args[0], w.mul(args[0], alpha))]


def _matmul(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    a, b = args
    if op.attrs.get("transpose_a", False):
        a = w.transpose(a, (1, 0))
    if op.attrs.get("transpose_b", False):
        b = w.transpose(b, (1, 0))
    return [w.matmul(a, b)]


def _square(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.mul(args[0], args[0])]


def _squared_difference(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    difference = w.sub(args[0], args[1])
    return [w.mul(difference, difference)]


def _rsqrt(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.div(w.constant(1.0), w.sqrt(args[0]))]


def _select(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Select`: a vector condition chooses whole rows; `SelectV2` broadcasts."""
    condition, a, b = args
    rank, ones = w.rank(condition), w.rank(a) - w.rank(condition)
    if rank == 1 and ones > 0:
        if isinstance(condition, np.ndarray) and isinstance(a, np.ndarray):
            _one_per_row(condition, a)
        condition = w.reshape(condition, (-1, *([1] * ones)))
    return [w.where(condition, a, b)]


def _one_per_row(condition: Any, rows: Any) -> None:
    """TensorFlow does not stretch one condition over many rows. Errors: ValueError."""
    if len(condition) != len(rows):
        raise ValueError(f"{len(condition)} conditions for {len(rows)} rows")


def _select_v2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.where(*args)]


def _reduction(how: str) -> Definition:
    def define(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
        axes = [int(k) for k in np.ravel(w.static(args[1]))]
        return [w.reduce(how, args[0], axes, bool(op.attrs.get("keep_dims", False)))]

    return define


def _norm(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`EuclideanNorm`."""
    square = [w.mul(args[0], args[0]), *args[1:]]
    return [w.sqrt(one) for one in _reduction("sum")(w, op, square)]


def _cast(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.cast(args[0], kind_of(op.attrs.get("DstT")))]


def kind_of(dtype: Any) -> str:
    """``float``, ``int`` or ``bool``: the word's name for a dtype of an attribute.

    Raises:
        ValueError: no arithmetic on such values is defined here (strings, resources).
    """
    if dtype is None:
        raise ValueError("the attribute that gives the dtype is missing or has no NumPy word")
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return "int"
    if dtype.kind == "b":
        return "bool"
    # bfloat16 is no float to NumPy: kind V
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return "float"
    raise ValueError(f"no arithmetic on {dtype.name}")


_WORDS = {
    "Add": "add",
    "AddV2": "add",
    "Sub": "sub",
    "Mul": "mul",
    "RealDiv": "div",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "Elu": "elu",
    "Selu": "selu",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Softmax": "softmax",
    "Exp": "exp",
    "Sqrt": "sqrt",
    "Pow": "power",
}
_HOW = {
    "Equal": ("compare", "equal"),
    "NotEqual": ("compare", "not_equal"),
    "Less": ("compare", "less"),
    "LessEqual": ("compare", "less_equal"),
    "Greater": ("compare", "greater"),
    "GreaterEqual": ("compare", "greater_equal"),
    "LogicalAnd": ("logical", "and"),
    "LogicalOr": ("logical", "or"),
    "LogicalNot": ("logical", "not"),
    "Abs": ("unary", "abs"),
    "Neg": ("unary", "neg"),
    "Floor": ("unary", "floor"),
    "Ceil": ("unary", "ceil"),
    "Round": ("unary", "round"),
    "Sign": ("unary", "sign"),
    "Log": ("unary", "log"),
    "Reciprocal": ("unary", "reciprocal"),
    "FloorDiv": ("integer_division", "floor"),
    "FloorMod": ("integer_division", "mod"),
}
_REDUCTIONS = {
    "Sum": "sum",
    "Mean": "mean",
    "Max": "max",
    "Min": "min",
    "Prod": "prod",
    "All": "all",
    "Any": "any",
}

ELEMENTWISE: Mapping[str, Definition] = {
    **{op: _word(word) for op, word in _WORDS.items()},
    **{op: _how(word, how) for op, (word, how) in _HOW.items()},
    **{op: _reduction(how) for op, how in _REDUCTIONS.items()},
    "AccumulateNV2": _add_n,
    "AddN": _add_n,
    "Cast": _cast,
    "ClipByValue": _clip,
    "EuclideanNorm": _norm,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "Relu6": _relu6,
    "Rsqrt": _rsqrt,
    "Select": _select,
    "SelectV2": _select_v2,
    "Square": _square,
    "SquaredDifference": _squared_difference,
}
