"""Sequence lengths: states that are held, and outputs that are zeros, past a row's end.

Semantics: `dynamic_rnn` and `static_rnn` with ``sequence_length``: at step t, rows with
``t >= length`` keep the old state and give zeros. What chooses (Selects, and conds on the
longest and shortest row) is evaluated with lengths on both sides of t, and must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.trace import SELECTS, Options, Tracer

_COMPARES = frozenset({"Greater", "GreaterEqual", "Less", "LessEqual"})
_WRAPS = frozenset({"ExpandDims", "LogicalNot", "Reshape", "Tile"})
_LONGEST = 6


@dataclass(frozen=True)
class Clock:
    """How a graph says which step it is.

    Attributes:
        entry: the loop variable that counts, None where steps are unrolled.
        number: of an unrolled step.
        flags: the loop variable that carries which rows have ended, where one does.
    """

    entry: Tensor | None
    number: int = 0
    flags: Tensor | None = None


@dataclass(frozen=True)
class Mask:
    """By which lengths something is chosen ("" where nothing is), or why that is no mask."""

    lengths: str = ""
    problem: str = ""


def is_counter(tracer: Tracer, tensor: Tensor) -> bool:
    """Whether a loop variable counts the steps from 0."""
    found = tracer.network.entries.get(tensor)
    if found is None:
        return False
    _, variable = found
    if tracer.scalar(variable.initial) != 0.0:
        return False
    return is_next(tracer, variable.following, tensor)


def is_next(tracer: Tracer, tensor: Tensor, counter: Tensor) -> bool:
    """Whether `tensor` is the counter plus one."""
    op = tracer.op(tensor)
    if op.kind not in {"Add", "AddV2"} or len(op.inputs) != 2:
        return False
    sides = [tracer.resolve(t) for t in op.inputs]
    return counter in sides and any(tracer.scalar(t) == 1.0 for t in sides)


def mask_of(
    tracer: Tracer,
    tensor: Tensor,
    options: Options,
    *,
    made: tuple[Tensor, Array],
    old: tuple[Tensor, Array] | None,
    clock: Clock,
) -> Mask:
    """How `tensor` chooses between what a step made and what was there before.

    Args:
        tracer: the graph.
        tensor: what is handed on.
        options: what it may be.
        made: the new tensor, and random numbers (batch, width) for it.
        old: the tensor that is kept past the end; None: zeros.
        clock: how the graph counts steps.
    """
    if not options.choices or _all_go_on(tracer, tensor, options, made):
        return Mask()
    found: dict[Tensor, None] = {}
    for name in options.choices:
        op = tracer.network.op(name)
        if op.kind in SELECTS:
            lengths, when = _compared(tracer, op.inputs[0], clock)
            if lengths is None or when is None:
                return Mask(problem=f"{name!r} chooses it by something other than lengths")
            found[lengths] = None
            clock = when
    if len(found) != 1:
        return Mask(problem=f"{options.choices[0]!r} chooses it by something other than lengths")
    lengths = next(iter(found))
    given = {made[0]: made[1], **({old[0]: old[1]} if old else {})}
    for zero in options.tensors:
        if tracer.is_zeros(zero):
            given.setdefault(zero, np.zeros_like(made[1]))
    past = np.zeros_like(made[1]) if old is None else old[1]
    if not _agrees(tracer, tensor, lengths, clock, given=given, made=made[1], past=past):
        return Mask(problem=f"{options.choices[0]!r} does not choose as sequence lengths do")
    return Mask(lengths[0])


def _compared(
    tracer: Tracer, condition: Tensor, clock: Clock
) -> tuple[Tensor | None, Clock | None]:
    """The lengths that a condition compares the step's number with, and that number."""
    finished = _finished(tracer, tracer.resolve(condition))
    if finished is not None:
        return finished
    op = tracer.op(condition)
    for _ in range(_LONGEST):
        if op.kind not in _WRAPS or not op.inputs:
            break
        op = tracer.op(op.inputs[0])
    if op.kind not in _COMPARES or len(op.inputs) != 2:
        return None, None
    for k in (0, 1):
        at = tracer.resolve(op.inputs[k])
        lengths = tracer.resolve(op.inputs[1 - k])
        if clock.entry is None and tracer.scalar(at) == clock.number:
            return lengths, clock
        if at in tracer.network.entries and is_counter(tracer, at):
            return lengths, Clock(at)
    return None, None


def _finished(tracer: Tracer, flags: Tensor) -> tuple[Tensor, Clock] | None:
    """The lengths, and the step's number, where a loop carries which rows have ended.

    `raw_rnn` hands on ``finished or step + 1 >= lengths`` and begins with ``0 >= lengths``: at
    each step that is ``step >= lengths``.
    """
    found = tracer.network.entries.get(flags)
    if found is None:
        return None
    _, variable = found
    either = tracer.op(variable.following)
    if either.kind != "LogicalOr" or len(either.inputs) != 2:
        return None
    sides = [tracer.resolve(t) for t in either.inputs]
    if flags not in sides:
        return None
    following = _ends(tracer, sides[1 - sides.index(flags)])
    first = _ends(tracer, tracer.resolve(variable.initial))
    if following is None or first is None or following[1] != first[1]:
        return None
    if tracer.scalar(first[0]) != 0.0:
        return None
    counters = (tracer.resolve(t) for t in tracer.network.op(following[0][0]).inputs)
    clock = next(
        (c for c in counters if is_counter(tracer, c) and is_next(tracer, following[0], c)), None
    )
    return None if clock is None else (following[1], Clock(clock, flags=flags))


def _all_go_on(
    tracer: Tracer, tensor: Tensor, options: Options, made: tuple[Tensor, Array]
) -> bool:
    """Whether only rows that have ended are chosen otherwise, and all rows end together.

    `raw_rnn` without lengths: its loop stops when all rows have ended, so none has in a step.
    """
    flags: dict[Tensor, Array] = {}
    for name in options.choices:
        op = tracer.network.op(name)
        if op.kind not in SELECTS:
            return False
        flags[tracer.resolve(op.inputs[0])] = np.zeros(len(made[1]), bool)
    if not all(_end_together(tracer, tensor) for tensor in flags):
        return False
    given = {made[0]: made[1], **{t: np.zeros_like(made[1]) for t in options.tensors}, **flags}
    given[made[0]] = made[1]
    try:
        value = Evaluation(tracer.network, tracer.guarded, given, conds=True)(tensor)
    except NotRecognised:
        return False
    return np.array_equal(value, made[1])


def _end_together(tracer: Tracer, flags: Tensor) -> bool:
    """Whether a loop variable says the same of all rows, and stops the loop where that is so."""
    found = tracer.network.entries.get(flags)
    if found is None:
        return False
    either = tracer.op(found[1].following)
    sides = [tracer.resolve(t) for t in either.inputs] if either.kind == "LogicalOr" else []
    if flags not in sides or len(sides) != 2:
        return False
    others = (sides[1 - sides.index(flags)], tracer.resolve(found[1].initial))
    if any(tracer.network.op(other[0]).kind != "Fill" for other in others):
        return False
    at = flags
    for kind in ("All", "LogicalNot", "LoopCond"):
        readers = (name for name, _ in tracer.uses(at) if tracer.network.op(name).kind == kind)
        at = next(((name, 0) for name in readers), ("", 0))
        if not at[0]:
            return False
    return True


def _ends(tracer: Tracer, flags: Tensor) -> tuple[Tensor, Tensor] | None:
    """(step, lengths) of ``step >= lengths``."""
    op = tracer.op(flags)
    if op.kind not in {"GreaterEqual", "LessEqual"} or len(op.inputs) != 2:
        return None
    step, lengths = (tracer.resolve(t) for t in op.inputs)
    return (step, lengths) if op.kind == "GreaterEqual" else (lengths, step)


def _agrees(
    tracer: Tracer,
    tensor: Tensor,
    lengths: Tensor,
    clock: Clock,
    *,
    given: Mapping[Tensor, Array],
    made: Array,
    past: Array,
) -> bool:
    batch = made.shape[0]
    for step in (clock.number,) if clock.entry is None else (0, 3):
        for shifts in ([1] * batch, [-k for k in range(batch)], [k - 1 for k in range(batch)]):
            ends = np.maximum(0, step + np.asarray(shifts, np.int64))
            tensors = {**given, lengths: ends}
            if clock.entry is not None:
                tensors[clock.entry] = np.asarray(step)
            if clock.flags is not None:
                tensors[clock.flags] = step >= ends
            try:
                value = Evaluation(tracer.network, tracer.guarded, tensors, conds=True)(tensor)
            except NotRecognised:
                return False
            wanted = np.where((step < ends)[:, None], made, past)
            if value.shape != wanted.shape or not np.array_equal(value, wanted):
                return False
    return True
