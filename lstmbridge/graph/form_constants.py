"""Which constants a cell of any kind may have: those that stand around it, likeliest first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from lstmbridge.graph.findings import FormQuery, Stated
from lstmbridge.graph.form_found import Place
from lstmbridge.graph.gates_found import ACTIVATION_OPS
from lstmbridge.graph.network import Op
from lstmbridge.graph.trace import Tracer

CLIPS = frozenset({"ClipByValue", "Maximum", "Minimum", "Relu6"})
"""Operations that clip."""
LIMITS = frozenset({"cell_clip", "proj_clip"})
"""Options that are limits of such operations."""
_MOST_VALUES = 8
# what may be the last operation of an activation that is made of several
_COMPOSED: Mapping[str, tuple[str, ...]] = {
    "LeakyRelu": ("leaky_relu",),
    "Maximum": ("hard_sigmoid", "leaky_relu", "relu"),
    "Minimum": ("relu6",),
    "Select": ("relu",),
    "SelectV2": ("relu",),
}
_ACTIVATIONS = frozenset({"activation", "gate_activation"})
# options that are numbers, and how large those may be: one is not mistaken for the other
_NUMBERS = {"epsilon": (0.0, 0.5), "forget_bias": (1e-6, math.inf)}

Constants = Mapping[str, Stated[Any]]
"""A value for each option, and the node that shows it."""


def constant_sets(tracer: Tracer, query: FormQuery, place: Place) -> Iterator[Constants]:
    """Every set of constants that the operations around suggest, the likeliest first."""
    ops = [tracer.network.op(name) for name in place.reached]
    choices = [
        _suggested(tracer, ops, name, value, place.node)
        if name in query.open
        else [Stated(value, place.node)]
        for name, value in query.options.items()
    ]
    for values in product(*choices):
        yield dict(zip(query.options, values, strict=True))


def _suggested(
    tracer: Tracer, ops: Sequence[Op], option: str, default: Any, node: str
) -> list[Stated[Any]]:
    """The values of one option that are seen around, the one that is tried first in front."""
    seen: dict[Any, str] = {}
    if option in _ACTIVATIONS:
        seen = _activations(ops) | {"linear": node}
    elif option in LIMITS:
        clips = _numbers(tracer, [op for op in ops if op.kind in CLIPS])
        seen = {abs(number): where for number, where in clips.items()}
    elif option in _NUMBERS:
        low, high = _NUMBERS[option]
        seen = {n: w for n, w in _numbers(tracer, ops).items() if n == 0 or low < abs(n) < high}
        seen.setdefault(0.0, node)
    # an operation that is a whole cell shows nothing of what is inside
    seen.setdefault(default, node)
    first = default
    if option in LIMITS:
        # without its clip a cell is found as well: before the clip
        first = next(iter(seen))
    values = sorted(seen, key=lambda value: value != first)
    return [Stated(value, seen[value]) for value in values[:_MOST_VALUES]]


def _activations(ops: Sequence[Op]) -> dict[Any, str]:
    seen: dict[Any, str] = {}
    for op in ops:
        if op.kind in ACTIVATION_OPS:
            seen.setdefault(ACTIVATION_OPS[op.kind], op.name)
        elif op.kind in _COMPOSED:
            for name in _COMPOSED[op.kind]:
                seen.setdefault(name, op.name)
    return seen


def _numbers(tracer: Tracer, ops: Sequence[Op]) -> dict[Any, str]:
    seen: dict[Any, str] = {}
    for op in ops:
        for tensor in op.inputs:
            number = tracer.scalar(tensor)
            if number is not None:
                seen.setdefault(number, tracer.op(tensor).name)
    return seen
