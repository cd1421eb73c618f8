"""Pieces that are put together as they were taken apart: the whole is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lstmbridge.targets.onnx.whole.emitter import Made
from lstmbridge.targets.onnx.whole.values import Sym, Value, dims_of


def rejoined(words: Any, parts: Sequence[Value], axis: int) -> Value | None:
    """What `parts`, joined along `axis`, are all pieces of; None where they are not.

    Args:
        words: the vocabulary that is being spoken (`words.Symbolic`).
        parts: each a piece of one value, or a step of it.
        axis: at least 0.
    """
    made = [words.emitter.makers.get(p.name) if isinstance(p, Sym) else None for p in parts]
    first = made[0]
    if first is None:
        return None
    if first.op == "Split":
        names = tuple(part.name if isinstance(part, Sym) else "" for part in parts)
        whole: Value | None = words.emitter.known(first.inputs[0])
        return whole if first.outputs == names and first.attrs["axis"] == axis else None
    if first.op == "Unsqueeze":
        return _stacked(words, made, parts, axis)
    return _side_by_side(words, made, axis)


@dataclass(frozen=True)
class _Step:
    """Element `number` of the axis `along` of a value."""

    whole: str
    along: int
    number: int


def _step(words: Any, made: Made | None) -> _Step | None:
    if made is None or made.op != "Gather":
        return None
    number = words.emitter.number(made.inputs[1], 0)
    return (
        None if number is None or number < 0 else _Step(made.inputs[0], made.attrs["axis"], number)
    )


def _stacked(
    words: Any, made: Sequence[Made | None], parts: Sequence[Value], axis: int
) -> Value | None:
    """Steps of some values, each with a new axis: the values, their axes as asked for."""
    groups: list[tuple[_Step | None, list[Value]]] = []
    for one, part in zip(made, parts, strict=True):
        step = None
        if one is not None and one.op == "Unsqueeze" and _axis_of(words, one) == axis:
            step = _step(words, words.emitter.makers.get(one.inputs[0]))
        first, own = groups[-1] if groups else (None, [])
        if first is not None and step == replace(first, number=first.number + len(own)):
            own.append(part)
        else:
            groups.append((step, [part]))
    if len(groups) == len(parts):
        return None
    found = [
        own[0] if first is None or len(own) == 1 else _turned(words, first, len(own), axis)
        for first, own in groups
    ]
    if not all(isinstance(one, Sym) for one in found):
        return None
    joined: Value = words.join(found, axis)
    return joined


def _turned(words: Any, first: _Step, count: int, axis: int) -> Value | None:
    """So many steps of a value, from the first on, along this axis."""
    whole = words.emitter.known(first.whole)
    if whole is None:
        return None
    last = first.number + count
    part = words.index(whole, (*(slice(None),) * first.along, slice(first.number, last)))
    order = [k for k in range(len(dims_of(part))) if k != first.along]
    order.insert(axis, first.along)
    turned: Value = words.transpose(part, order)
    return turned


def _side_by_side(words: Any, made: Sequence[Made | None], axis: int) -> Value | None:
    """Steps of one value along an axis of theirs: the value, two of its axes made one."""
    first = _step(words, made[0])
    if first is None or any(
        _step(words, one) != replace(first, number=first.number + k) for k, one in enumerate(made)
    ):
        return None
    whole = _turned(words, first, len(made), axis)
    one, two = (None, None) if whole is None else dims_of(whole)[axis : axis + 2]
    if not isinstance(one, int) or not isinstance(two, int):
        return None
    shape = words.numbers(words.shape(whole))
    joined: Value = words.reshape(whole, [*shape[:axis], one * two, *shape[axis + 2 :]])
    return joined


def _axis_of(words: Any, made: Made) -> int | None:
    """The axis that an Unsqueeze inserts."""
    if "axes" in made.attrs:
        axes = made.attrs["axes"]
        return int(axes[0]) if len(axes) == 1 else None
    number: int | None = words.emitter.number(made.inputs[1], 1)
    return number
