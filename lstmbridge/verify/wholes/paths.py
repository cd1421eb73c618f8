"""Which operations of a graph lie between a model's inputs and its outputs."""

from __future__ import annotations

from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.whole import Whole


def operations_around(whole: Whole) -> list[Op]:
    """Every operation that the outputs need, but for those inside recognised stacks.

    In the order in which they are met on the way from the outputs back.
    """
    tracer = whole.program.tracer
    network, scopes = tracer.network, whole.program.scopes
    stop = {tracer.guarded(port.tensor) for port in whole.inputs}
    stop |= {tracer.guarded(setting.tensor) for setting in whole.settings}
    inside = _of_places(whole)
    todo: list[Tensor] = [port.tensor for port in whole.outputs]
    seen: set[Tensor] = set()
    found: dict[str, Op] = {}
    while todo:
        at = tracer.guarded(todo.pop())
        if at in seen or at in stop:
            continue
        seen.add(at)
        if at in inside:
            todo += inside[at]
            continue
        entry = network.entries.get(at) or scopes.exits.get(at)
        if entry is not None:
            loop, variable = entry
            todo += [variable.initial, variable.following, scopes.condition(loop)]
            continue
        op = network.op(at[0])
        found.setdefault(op.name, op)
        todo += scopes.reads(op)
    return list(found.values())


def _of_places(whole: Whole) -> dict[Tensor, list[Tensor]]:
    """What a stack gives -> what it reads."""
    guarded = whole.program.tracer.guarded
    found: dict[Tensor, list[Tensor]] = {}
    for place in whole.places:
        found.update((guarded(tensor), list(place.takes)) for tensor in place.gives)
    return found
