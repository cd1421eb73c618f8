"""Shapes that a graph does not declare, found by running it on two sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.execute import Program
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.ports import Shape
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Whole

_SIZES = ((2, 35), (11, 47), (32, 80))


def shapes_seen(whole: Whole) -> Whole:
    """The model with the shapes that running it shows; the rest stays unknown.

    An axis that comes out alike for two sizes of all open axes is taken to be of that length.
    An input that the graph computes from others where it is not fed, a state of zeros, is
    given the shape that it then has.
    """
    whole = _inputs_seen(whole)
    if all(port.shape is not None for port in whole.outputs):
        return whole
    outputs = tuple(port.tensor for port in whole.outputs if port.shape is None)
    found = _seen(whole.program, whole, outputs)
    return replace(whole, outputs=_with(whole.outputs, found))


def _inputs_seen(whole: Whole) -> Whole:
    if all(port.shape is not None for port in whole.inputs):
        return whole
    tracer = Tracer(whole.program.tracer.network)
    plain = Program(Scopes(tracer), whole.program.weights)
    for port in whole.inputs:
        if port.shape is None:
            known = replace(whole, inputs=tuple(p for p in whole.inputs if p.shape is not None))
            found = _seen(plain, known, (port.tensor,))
            whole = replace(whole, inputs=_with(whole.inputs, found))
    return whole


def _with(ports: Sequence[Port], found: Mapping[Tensor, Shape]) -> tuple[Port, ...]:
    return tuple(
        replace(port, shape=found.get(port.tensor)) if port.shape is None else port
        for port in ports
    )


def _seen(program: Program, whole: Whole, tensors: Sequence[Tensor]) -> dict[Tensor, Shape]:
    """The shapes of tensors; nothing where no run gave them."""
    if any(port.shape is None or port.dtype.kind == "O" for port in whole.inputs):
        return {}
    for sizes in _SIZES:
        first, second = (_shapes(program, whole, tensors, size) for size in sizes)
        if first is not None and second is not None:
            return {t: _both(first[t], second[t]) for t in tensors}
    return {}


def _shapes(
    program: Program, whole: Whole, tensors: Sequence[Tensor], size: int
) -> dict[Tensor, tuple[int, ...]] | None:
    fed = {port.tensor: _fed(port, size) for port in whole.inputs}
    fed |= {setting.tensor: setting.value for setting in whole.settings}
    try:
        got = program.run(fed, tensors)
    except NotRecognised:
        return None
    return {tensor: np.shape(value) for tensor, value in got.items()}


def _fed(port: Port, size: int) -> Array:
    shape = [size if n is None else n for n in port.shape or ()]
    if port.dtype.kind in "iu":
        # a vector of integers may hold lengths: whole rows
        return np.full(shape, size if len(shape) == 1 else 1, np.int64)
    if port.dtype.kind == "b":
        return np.zeros(shape, np.bool_)
    return np.full(shape, 0.5)


def _both(first: Sequence[int], second: Sequence[int]) -> Shape:
    if len(first) != len(second):
        return None
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))
