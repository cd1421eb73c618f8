"""What a placeholder is at inference: given, or shown by the graph to make no difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmbridge.errors import FactConflict, LstmBridgeError, UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.dropout import knob_of
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.needed import Needed, Walker
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.ports import Shape
from lstmbridge.graph.scopes import SWITCHES
from lstmbridge.graph.slices import PLACEHOLDERS
from lstmbridge.graph.whole import Setting

_TRUTHS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_FURTHEST = 2_000


def given_value(name: str, text: str, dtype: np.dtype[Any] | None, shape: Shape) -> Array:
    """The value that a user gives a placeholder, in float64, int64, bool or bytes.

    Args:
        name: for messages.
        text: a number, a word, or several with commas between them.
        dtype: of the placeholder; None where it is not known.
        shape: of the placeholder; several numbers fill it in order, one fills all of it.

    Errors: UsageError.
    """
    kind = "f" if dtype is None else "f" if dtype.kind == "V" else dtype.kind
    words = [word.strip() for word in text.strip().strip("[]()").split(",")]
    try:
        values = np.asarray([_number(word, kind) for word in words], _DTYPES.get(kind))
        if shape is None or len(values) == 1:
            return _loose(values, shape)
        return np.asarray(values.reshape([-1 if n is None else n for n in shape]))
    except ValueError as err:
        wanted = "a value" if dtype is None else f"{dtype.name}"
        raise UsageError(
            f"--set {name}={text} does not fit the placeholder",
            expected=f"{wanted} of the shape {shape}",
            where=name,
        ) from err


_DTYPES: dict[str, Any] = {
    "f": np.float64,
    "i": np.int64,
    "u": np.int64,
    "b": np.bool_,
    "O": object,
}


def _loose(values: Array, shape: Shape) -> Array:
    """One value for all of a shape, or several of a shape that is not known."""
    if len(values) > 1:
        return values
    lengths = [1 if n is None else n for n in shape or ()]
    return np.array(np.broadcast_to(values.reshape(()), lengths))


def _number(word: str, kind: str) -> Any:
    if kind == "b":
        if word.lower() not in _TRUTHS:
            raise ValueError(word)
        return _TRUTHS[word.lower()]
    if kind == "O":
        return word.encode()
    if word.lower() in {"true", "false"}:
        return float(_TRUTHS[word.lower()])
    return int(word) if kind in "iu" else float(word)


def equal_choices(walker: Walker, found: Needed, tensor: Tensor) -> bool:
    """Whether all that depends on a switch chooses between equal things.

    Equal: both branches of every cond that it decides hand on one tensor (dropout seen
    through), and nothing else reads it.
    """
    tracer = walker.program.tracer
    decided = [
        branches
        for predicate, branches in found.choices.values()
        if tensor in _behind(walker, predicate)
    ]
    if any(len({tracer.resolve(t) for t in branches}) > 1 for branches in decided):
        return False
    return bool(decided) and _only_decides(walker, found, tensor)


def _behind(walker: Walker, predicate: Tensor) -> set[Tensor]:
    """What a predicate is made of, seen through `not`, `and`, `or`."""
    tracer = walker.program.tracer
    todo, seen = [tracer.guarded(predicate)], set[Tensor]()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        op = tracer.network.op(at[0])
        if op.kind.startswith("Logical"):
            todo += [tracer.guarded(t) for t in op.inputs]
    return seen


def _only_decides(walker: Walker, found: Needed, tensor: Tensor) -> bool:
    network = walker.program.tracer.network
    todo, seen = [tensor], {tensor}
    while todo and len(seen) < _FURTHEST:
        for name, position in network.consumers.get(todo.pop(), ()):
            op = network.op(name)
            follows = op.kind.startswith("Logical") or op.kind == "Identity"
            if op.kind in SWITCHES and (position == 1 or op.inputs[0] == op.inputs[1]):
                continue
            if follows and (name, 0) not in seen:
                seen.add((name, 0))
                todo.append((name, 0))
            elif not follows and name in found.ops:
                return False
    return not todo


def dropped(walker: Walker, found: Needed) -> list[Setting]:
    """Placeholders that only say how much is dropped out: at inference, nothing is.

    Args:
        walker: that made `found`: its tracer knows the dropouts that were seen through.
        found: what the outputs need.

    Errors: FactConflict where the user gives such a placeholder another value.
    """
    tracer = walker.program.tracer
    settings: dict[Tensor, Setting] = {}
    for name in sorted(tracer.dropouts):
        knob = knob_of(tracer.network, tracer.network.op(name), tracer.plain)
        if knob is None:
            continue
        for tensor in _placeholders(walker, knob[0]):
            if tensor in found.placeholders or tensor in found.fed or tensor in settings:
                continue
            value = _keeps_all(walker, tensor, *knob)
            given = walker.settings.get(tensor)
            if value is None:
                continue
            if given is not None and float(np.ravel(given)[0]) != value:
                raise FactConflict(
                    f"{tensor[0]!r} only feeds dropout; with it at {given} the model is random",
                    expected=f"{value:g}, at which nothing is dropped",
                    where=tensor[0],
                    advice=f"leave out --set {tensor[0]}",
                )
            if given is None:
                array = np.asarray(value)
                settings[tensor] = Setting(tensor[0], tensor, array, "feeds only dropout")
    return list(settings.values())


def _placeholders(walker: Walker, start: Tensor) -> list[Tensor]:
    tracer, found = walker.program.tracer, []
    todo, seen = [start], {start}
    while todo and len(seen) < _FURTHEST:
        at = tracer.plain(todo.pop())
        op = tracer.network.op(at[0])
        if op.kind in PLACEHOLDERS:
            found.append(at)
        elif at not in tracer.network.entries:
            fresh = [t for t in op.inputs if t not in seen]
            seen.update(fresh)
            todo.extend(fresh)
    return found


def _keeps_all(walker: Walker, tensor: Tensor, knob: Tensor, all_kept: float) -> float | None:
    """The placeholder's value at which the knob keeps everything."""
    tracer = walker.program.tracer
    for value in (1.0, 0.0):
        try:
            got = Evaluation(tracer.network, tracer.plain, {tensor: np.asarray(value)})(knob)
        except LstmBridgeError:
            continue
        if got.size == 1 and float(np.ravel(got)[0]) == all_kept:
            return value
    return None
