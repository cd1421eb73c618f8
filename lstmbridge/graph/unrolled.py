"""Unrolled steps: in which order they take their inputs, and what each step computes itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lstmbridge.graph.findings import Application, Construct
from lstmbridge.graph.glue import Gluer
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.slices import PHRASES, construct_kind, slice_back
from lstmbridge.graph.trace import Tracer

_SEES_THROUGH = frozenset({"ExpandDims", "Reshape", "Squeeze"})
_LONGEST = 8
_HEAVY = frozenset({"BatchMatMul", "BatchMatMulV2", "Conv2D", "MatMul", "Softmax"})


@dataclass(frozen=True, slots=True)
class Order:
    """In which order time is walked: ``no``, ``full``, ``lengths`` or ``unknown``."""

    how: str
    lengths: str | None = None


UNKNOWN = Order("unknown")


def input_order(tracer: Tracer, apps: Sequence[Application]) -> Order:
    """Whether unrolled steps walk a sequence forwards or backwards."""
    if len(apps) < 2:
        return Order("no")
    places = [_place(tracer, app.x) for app in apps]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or len({base for base, _ in known}) != 1:
        return UNKNOWN
    numbers = [number for _, number in known]
    base = known[0][0]
    rising = all(a < b for a, b in pairwise(numbers))
    falling = all(a > b for a, b in pairwise(numbers))
    turned, lengths = _reversal(tracer, base)
    if rising:
        return Order(turned, lengths)
    if falling and turned == "no":
        return Order("full")
    return Order("unknown")


def _place(tracer: Tracer, tensor: Tensor) -> tuple[Tensor, tuple[int, ...]] | None:
    """(the sequence, which step of it), of one step's input."""
    at = tracer.resolve(tensor)
    for _ in range(_LONGEST):
        op = tracer.network.op(at[0])
        if op.kind in {"Split", "SplitV", "Unpack"} and op.inputs:
            data = op.inputs[1] if op.kind == "Split" and len(op.inputs) > 1 else op.inputs[0]
            return tracer.resolve(data), (at[1],)
        if op.kind in {"StridedSlice", "Slice"} and len(op.inputs) > 1:
            begin = tracer.constant(op.inputs[1])
            if begin is None:
                return None
            return tracer.resolve(op.inputs[0]), tuple(int(k) for k in np.ravel(begin))
        if op.kind not in _SEES_THROUGH or not op.inputs:
            return None
        at = tracer.resolve(op.inputs[0])
    return None


def _reversal(tracer: Tracer, base: Tensor) -> tuple[str, str | None]:
    at = base
    for _ in range(_LONGEST):
        op = tracer.network.op(at[0])
        if op.kind == "ReverseSequence" and len(op.inputs) == 2:
            return "lengths", tracer.op(op.inputs[1]).name
        if op.kind in {"Reverse", "ReverseV2"}:
            return "full", None
        if op.kind not in {*_SEES_THROUGH, "Transpose"} or not op.inputs:
            break
        at = tracer.resolve(op.inputs[0])
    return "no", None


def step_projection(tracer: Tracer, gluer: Gluer, apps: Sequence[Application]) -> Construct | None:
    """What each unrolled step computes on its own input, beyond taking it from a sequence.

    A product with weights inside each step is a wrapper's (InputProjectionWrapper, attention);
    what is computed once for all steps stands before the stack.
    """
    if len(apps) < 2:
        return None
    one, two = apps[len(apps) // 2 - 1], apps[len(apps) // 2]
    first = slice_back(tracer, one.x, gluer.outputs)
    second = slice_back(tracer, two.x, gluer.outputs)
    own = {name: kind for name, kind in second.ops.items() if name not in first.ops}
    node = next((name for name, kind in own.items() if kind in _HEAVY), None)
    if second.cells:
        node = node or next(iter(own), two.x[0])
        return Construct(
            "feedback", node, two.layer, f"each step's input of {two.layer} depends on cells"
        )
    if node is None:
        return None
    kind, _ = construct_kind(own.values())
    return Construct(
        kind, node, two.layer, f"each step of {two.layer} computes its input by {PHRASES[kind]}"
    )
