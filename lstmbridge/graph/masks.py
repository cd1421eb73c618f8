"""Sequence lengths: Selects that hold a state, or zero an output, past a row's end.

Semantics: `dynamic_rnn` and `static_rnn` with ``sequence_length``: at step t, rows with
``t >= length`` keep the old state and give zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.trace import SELECTS, Tracer

# (kind, position of the time) -> whether the comparison holds past the end
_PAST: Mapping[tuple[str, int], bool] = {
    ("GreaterEqual", 0): True,
    ("LessEqual", 1): True,
    ("Less", 0): False,
    ("Greater", 1): False,
}
_WRAPS = frozenset({"ExpandDims", "LogicalNot", "Reshape", "Tile"})
_LONGEST = 6

IsTime = Callable[[Tensor], bool]
"""Whether a tensor is the number of the step."""


@dataclass(frozen=True, slots=True)
class LengthMask:
    """One Select by length.

    Attributes:
        lengths: the node that gives them.
        past: the tensor chosen past the end.
        alive: the tensor chosen before.
    """

    lengths: str
    past: Tensor
    alive: Tensor


def length_mask(tracer: Tracer, op: Op, is_time: IsTime) -> LengthMask | None:
    """What `op` masks by length, or None where it is no such Select."""
    if op.kind not in SELECTS or len(op.inputs) != 3:
        return None
    condition, negated = tracer.op(op.inputs[0]), False
    for _ in range(_LONGEST):
        if condition.kind not in _WRAPS or not condition.inputs:
            break
        negated ^= condition.kind == "LogicalNot"
        condition = tracer.op(condition.inputs[0])
    if len(condition.inputs) != 2:
        return None
    for k in (0, 1):
        past = _PAST.get((condition.kind, k))
        if past is None or not is_time(tracer.resolve(condition.inputs[k])):
            continue
        lengths = tracer.op(condition.inputs[1 - k]).name
        when_true, when_false = op.inputs[1], op.inputs[2]
        if past ^ negated:
            return LengthMask(lengths, when_true, when_false)
        return LengthMask(lengths, when_false, when_true)
    return None


def is_counter(tracer: Tracer, tensor: Tensor) -> bool:
    """Whether a loop variable counts the steps from 0."""
    found = tracer.network.entries.get(tensor)
    if found is None:
        return False
    _, variable = found
    if tracer.scalar(variable.initial) != 0.0:
        return False
    op = tracer.op(variable.following)
    if op.kind not in {"Add", "AddV2"} or len(op.inputs) != 2:
        return False
    sides = [tracer.resolve(t) for t in op.inputs]
    return tensor in sides and any(tracer.scalar(t) == 1.0 for t in sides)
