"""TensorFlow's data types as NumPy's: a table of numbers, names and element sizes.

Source: TensorFlow's types.proto. Types of which NumPy and ml_dtypes have no word are listed by
name; their tensors can be seen and not loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

STRING = 7

NAMES: Mapping[int, str] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    STRING: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
}

_QUANTISED: Mapping[str, str] = {
    "qint8": "int8",
    "quint8": "uint8",
    "qint16": "int16",
    "quint16": "uint16",
    "qint32": "int32",
}
"""Quantised numbers are stored as the plain integers of their width."""

_FROM_ML_DTYPES = ("bfloat16", "float8_e5m2", "float8_e4m3fn")

NO_WORD = np.dtype(np.void)
"""The dtype that a listed tensor shows when NumPy has no word for its type."""


def name_of(number: int) -> str:
    """TensorFlow's name of a data type; reference types (100 and up) as what they refer to."""
    plain = number - 100 if number > 100 else number
    return NAMES.get(plain, f"data type {number}")


def numpy_dtype(number: int) -> np.dtype[Any] | None:
    """The NumPy dtype of one element; strings are objects; None where NumPy has no word."""
    name = name_of(number)
    if name == "string":
        return np.dtype(object)
    if name in _FROM_ML_DTYPES:
        extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return extended
    if name in {"resource", "variant"} or name.startswith("data type"):
        return None
    return np.dtype(_QUANTISED.get(name, name))
