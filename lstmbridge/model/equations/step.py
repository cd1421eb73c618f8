"""The shape of an equation: what is computed of x for all steps at once, and the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lstmbridge.arrays.namespace import Namespace

A = TypeVar("A")

State = Mapping[str, Any]
"""State name (``"h"``, ``"c"``) -> array (batch, width)."""
Tap = Callable[[str, Any], None]
"""Called with a gate's letter and its value after activation, at each step."""


def no_tap(_gate: str, _value: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Step(Generic[A]):
    """One cell, bound to an interpreter and its constants.

    Attributes:
        input_product: x (..., I) -> what the step needs of x: (..., n_gates * H).
        step: (input product of one time step, state, tap) -> (output, new state).
    """

    input_product: Callable[[A], A]
    step: Callable[[A, Mapping[str, A], Tap], tuple[A, dict[str, A]]]


def affine(ops: Namespace[A], x: A, weights: Mapping[str, A]) -> A:
    """X times ``kernel``, plus ``bias`` where there is one."""
    z = ops.matmul(x, weights["kernel"])
    bias = weights.get("bias")
    return z if bias is None else ops.add(z, bias)


def taps(tap: Tap, **values: Any) -> None:
    """Show each gate's value to `tap`."""
    for gate, value in values.items():
        tap(gate, value)
