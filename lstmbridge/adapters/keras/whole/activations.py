"""Keras' activations as operations.

Source: Keras' documentation; each was compared with tf_keras 2.21 and Keras 3. hard_sigmoid is
another function from Keras 3 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lstmbridge.adapters.keras.versions import other_hard_sigmoid
from lstmbridge.adapters.keras.whole.drawing import Drawing, Value
from lstmbridge.adapters.keras.whole.site import ADVICE
from lstmbridge.errors import CannotExpress

Definition = Callable[[Drawing, Value], Value]


def _op(kind: str) -> Definition:
    return lambda d, x: d.unary(kind, x)


def _hard_sigmoid(d: Drawing, x: Value) -> Value:
    return _clipped_line(d, x, 0.2)


def _hard_sigmoid_3(d: Drawing, x: Value) -> Value:
    return _clipped_line(d, x, 1.0 / 6.0)


def _clipped_line(d: Drawing, x: Value, slope: float) -> Value:
    line = d.binary("AddV2", d.binary("Mul", x, d.number(slope)), d.number(0.5))
    return d.binary("Minimum", d.binary("Maximum", line, d.number(0.0)), d.number(1.0))


def _swish(d: Drawing, x: Value) -> Value:
    return d.binary("Mul", x, d.unary("Sigmoid", x))


def _gelu(d: Drawing, x: Value) -> Value:
    root = d.number(1.0 / math.sqrt(2.0))
    wide = d.binary("AddV2", d.unary("Erf", d.binary("Mul", x, root)), d.number(1.0))
    return d.binary("Mul", d.binary("Mul", x, d.number(0.5)), wide)


def _mish(d: Drawing, x: Value) -> Value:
    return d.binary("Mul", x, d.unary("Tanh", d.unary("Softplus", x)))


def _leaky_relu(d: Drawing, x: Value) -> Value:
    return d.unary("LeakyRelu", x, alpha=0.2)


def _log_sigmoid(d: Drawing, x: Value) -> Value:
    return d.unary("Neg", d.unary("Softplus", d.unary("Neg", x)))


def _hard_swish(d: Drawing, x: Value) -> Value:
    return d.binary("Mul", x, _hard_sigmoid_3(d, x))


def _linear(_d: Drawing, x: Value) -> Value:
    return x


ACTIVATIONS: Mapping[str, Definition] = {
    "linear": _linear,
    "relu": _op("Relu"),
    "relu6": _op("Relu6"),
    "sigmoid": _op("Sigmoid"),
    "tanh": _op("Tanh"),
    "elu": _op("Elu"),
    "selu": _op("Selu"),
    "softplus": _op("Softplus"),
    "softsign": _op("Softsign"),
    "exponential": _op("Exp"),
    "softmax": _op("Softmax"),
    "log_softmax": _op("LogSoftmax"),
    "hard_sigmoid": _hard_sigmoid,
    "swish": _swish,
    "silu": _swish,
    "gelu": _gelu,
    "mish": _mish,
    "leaky_relu": _leaky_relu,
    "log_sigmoid": _log_sigmoid,
    "hard_silu": _hard_swish,
    "hard_swish": _hard_swish,
}
"""Name -> what it does, up to Keras 2's definitions."""


def activation_named(stored: Any, version: str, where: str) -> tuple[str, Definition]:
    """An activation by its entry in a config.

    Raises:
        CannotExpress: it is a function of the user's, or unknown.
    """
    if isinstance(stored, dict):
        inner = stored.get("config")
        stored = inner if isinstance(inner, str) else stored.get("class_name", "")
    name = "linear" if stored is None else str(stored)
    if name == "hard_sigmoid" and other_hard_sigmoid(version):
        return name, _hard_sigmoid_3
    if name not in ACTIVATIONS:
        raise CannotExpress(
            f"{where} has the activation {name[:60]!r}, which is not known",
            expected=f"one of {', '.join(ACTIVATIONS)}",
            where=where,
            advice=ADVICE,
        )
    return name, ACTIVATIONS[name]
