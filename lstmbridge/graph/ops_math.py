"""Further arithmetic: functions of one value, quotients that mind zero, softmax and losses.

Source: math_ops.cc, nn_ops.cc and the kernels behind them; ONNX has no word for some (Log1p,
Atan2), which are put together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _unary(how: str) -> Definition:
    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        return [w.unary(how, args[0])]

    return define


def _zero(w: Words[Any], like: Any) -> Any:
    return w.literal(np.asarray(0), w.kind(like))


def _equals_zero(w: Words[Any], a: Any) -> Any:
    return w.compare("equal", a, _zero(w, a))


def _guarded(make: Callable[[Words[Any], Any, Any], Any], zero: int) -> Definition:
    """`make`, and 0 where argument `zero` is 0, whatever the other is."""

    def define(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
        a, b = args
        nought = _equals_zero(w, args[zero])
        return [w.where(nought, _zero(w, a), make(w, a, b))]

    return define


def _log1p(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.unary("log", w.add(w.constant(1.0), args[0]))]


def _expm1(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.sub(w.exp(args[0]), w.constant(1.0))]


def _erfc(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.sub(w.constant(1.0), w.unary("erf", args[0]))]


def _is_finite(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    odd = w.logical("or", w.unary("is_nan", args[0]), w.unary("is_inf", args[0]))
    return [w.logical("not", odd)]


def _atan2(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """The angle of (x, y), in all four quadrants."""
    y, x = args
    zero = w.constant(0.0)
    turn = w.where(w.compare("less", y, zero), w.constant(-math.pi), w.constant(math.pi))
    left = w.compare("less", x, zero)
    upright = w.compare("equal", x, zero)
    slope = w.unary("atan", w.div(y, w.where(upright, w.constant(1.0), x)))
    angle = w.add(slope, w.where(left, turn, zero))
    half = w.mul(w.unary("sign", y), w.constant(math.pi / 2))
    return [w.where(upright, half, angle)]


def _truncated(w: Words[Any], a: Any, b: Any) -> Any:
    """A quotient of integers, rounded towards zero."""
    size = w.integer_division("floor", w.unary("abs", a), w.unary("abs", b))
    return w.mul(size, w.mul(w.unary("sign", a), w.unary("sign", b)))


def _truncate_div(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    if w.kind(args[0]) == "float":
        quotient = w.div(*args)
        return [w.mul(w.unary("sign", quotient), w.unary("floor", w.unary("abs", quotient)))]
    return [_truncated(w, *args)]


def _truncate_mod(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Mod` and `TruncateMod`: the remainder has the sign of the dividend."""
    (quotient,) = _truncate_div(w, op, args)
    return [w.sub(args[0], w.mul(quotient, args[1]))]


def _div(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Div` of early graphs: of integers it rounds towards zero."""
    return _truncate_div(w, op, args) if w.kind(args[0]) != "float" else [w.div(*args)]


def _approximately(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    tolerance = w.constant(float(op.attrs.get("tolerance", np.float32(1e-5))))
    return [w.compare("less", w.unary("abs", w.sub(*args)), tolerance)]


def _log_softmax(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.log_softmax(args[0])]


def _cross_entropy(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """(batch,) losses and their gradient, of (batch, classes) logits and probabilities."""
    logits, wanted = args
    terms = w.mul(wanted, w.log_softmax(logits))
    loss = w.unary("neg", w.reduce("sum", terms, [1], keep=False))
    return [loss, w.sub(w.softmax(logits), wanted)]


def _sparse_cross_entropy(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    logits, labels = args
    classes = w.arange(w.integer(0), w.integer(w.numbers(w.shape(logits))[1]), w.integer(1))
    hit = w.compare("equal", w.unsqueeze(labels, 1), classes)
    wanted = w.where(hit, w.constant(1.0), w.constant(0.0))
    return _cross_entropy(w, op, [logits, wanted])


def _l2_loss(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    axes = list(range(w.rank(args[0])))
    squares = w.reduce("sum", w.mul(args[0], args[0]), axes, keep=False)
    return [w.mul(squares, w.constant(0.5))]


def _lin_space(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    start, stop = args[0], args[1]
    (count,) = (int(k) for k in np.ravel(w.static(args[2])))
    steps = w.literal(np.arange(count) / max(count - 1, 1), "float")
    return [w.add(start, w.mul(w.sub(stop, start), steps))]


def _batch_matmul(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    sides = []
    for side, name in zip(args, ("x", "y"), strict=True):
        order = list(range(w.rank(side)))
        order[-2:] = [order[-1], order[-2]]
        turned = bool(op.attrs.get(f"adj_{name}", False))
        sides.append(w.transpose(side, order) if turned else side)
    return [w.matmul(*sides)]


def _einsum(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [w.einsum(str(op.attrs["equation"]), *args)]


def _true(w: Words[Any], _op: Op, _args: Sequence[Any]) -> Sequence[Any]:
    return [w.literal(np.asarray(True), "bool")]


_UNARY_OPS: Mapping[str, str] = {
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Inv": "reciprocal",
    "IsInf": "is_inf",
    "IsNan": "is_nan",
    "Rint": "round",
    "Sin": "sin",
    "Sinh": "sinh",
    "Tan": "tan",
}

MATH: Mapping[str, Definition] = {
    **{op: _unary(how) for op, how in _UNARY_OPS.items()},
    "ApproximateEqual": _approximately,
    "Atan2": _atan2,
    "BatchMatMul": _batch_matmul,
    "BatchMatMulV2": _batch_matmul,
    "BatchMatMulV3": _batch_matmul,
    "Div": _div,
    "DivNoNan": _guarded(lambda w, a, b: w.div(a, b), 1),
    "Einsum": _einsum,
    "Erfc": _erfc,
    "Expm1": _expm1,
    "IsFinite": _is_finite,
    "IsVariableInitialized": _true,
    "L2Loss": _l2_loss,
    "LinSpace": _lin_space,
    "Log1p": _log1p,
    "LogSoftmax": _log_softmax,
    "Mod": _truncate_mod,
    "MulNoNan": _guarded(lambda w, a, b: w.mul(a, b), 1),
    "SoftmaxCrossEntropyWithLogits": _cross_entropy,
    "SparseSoftmaxCrossEntropyWithLogits": _sparse_cross_entropy,
    "TruncateDiv": _truncate_div,
    "TruncateMod": _truncate_mod,
    "VarIsInitializedOp": _true,
    "Xdivy": _guarded(lambda w, a, b: w.div(a, b), 0),
    "Xlogy": _guarded(lambda w, a, b: w.mul(a, w.unary("log", b)), 0),
}
