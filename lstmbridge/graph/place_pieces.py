"""A chain of unrolled steps of which more is used than its outputs and last states, in pieces.

A native operator gives its output at each step and its states at the last. So where a graph
uses what a lower layer gives at each step, the layers are cut above that layer; where it uses
another state in the middle, the steps are cut after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from lstmbridge.graph.described import Described
from lstmbridge.graph.execute import Program
from lstmbridge.graph.needed import Walker
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Whole

_FEWEST_STEPS = 2
"""Of a piece, on average: operators for single steps are no better than their operations."""


def pieces_of(
    whole: Whole, place: Place, one: Described, beside: Sequence[Place]
) -> list[Described]:
    """The runs of fewer layers or steps that give all of `one` that is used.

    Args:
        whole: the model.
        place: what `one` is.
        one: a run.
        beside: the other places.

    Returns:
        None at all where there are no such: what stands inside of cells is used, or the pieces
        would be too many, or lengths end the steps.
    """
    if one.run.how != "unrolled" or one.stack.strands[0].lengths or one.run.spans:
        return []
    used = _used(whole, place, one, beside)
    if used is None:
        return []
    ends = _ends(whole.program.tracer, one)
    cut_above = [layer for layer, own in enumerate(ends[:-1]) if used & set(own)]
    pieces: list[Described] = []
    for first, last in _between(cut_above, len(ends)):
        inner = {
            step
            for layer in range(first, last)
            for step, app in enumerate(one.stack.strands[layer].apps[:-1])
            # what the uppermost layer of a piece gives at each step is there
            if used & (set(app.states.values()) - {ends[last - 1][step]})
        }
        steps = len(ends[0])
        if _FEWEST_STEPS * (len(inner) + 1) > steps:
            return []
        for start, end in _between(sorted(inner), steps):
            pieces.append(_piece(one, (first, last), (start, end), ends[last - 1][start:end]))
    return pieces if len(pieces) > 1 else []


def _between(cuts: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """(first, one past the last) of what lies between cuts, each after its number."""
    return pairwise([0, *(cut + 1 for cut in cuts), count])


def _ends(tracer: Tracer, one: Described) -> list[tuple[Tensor, ...]]:
    """Per layer: the output of each step as the layer above reads it."""
    above = [
        tuple(tracer.resolve(app.x) for app in strand.apps) for strand in one.stack.strands[1:]
    ]
    return [*above, one.ends]


def _used(
    whole: Whole, place: Place, one: Described, beside: Sequence[Place]
) -> set[Tensor] | None:
    """The cells' outputs and states that are needed; None where more of cells is needed."""
    old = whole.program.tracer
    cells = {t for own in _ends(old, one) for t in own}
    cells |= {t for s in one.stack.strands for app in s.apps for t in app.states.values()}
    given = {old.guarded(t) for other in beside for t in other.gives}
    tracer = Tracer(old.network, old.stops | given | cells)
    program = Program(Scopes(tracer), whole.program.weights)
    walker = Walker(program, {s.tensor: s.value for s in whole.settings})
    wanted = [port.tensor for port in whole.outputs]
    wanted += [t for other in (*beside, place) for t in other.takes]
    found = walker.walk(wanted)
    return None if place.nodes & set(found.ops) else cells & set(found.fed)


def _piece(
    one: Described, layers: tuple[int, int], steps: tuple[int, int], ends: tuple[Tensor, ...]
) -> Described:
    """The run of some layers and steps of another."""
    kept = slice(*layers)
    strands = tuple(
        replace(
            strand,
            apps=strand.apps[slice(*steps)],
            initial=strand.apps[steps[0]].previous if steps[0] else strand.initial,
        )
        for strand in one.stack.strands[kept]
    )
    nodes = tuple(app.node for strand in strands for app in strand.apps)
    run = replace(
        one.run,
        name=nodes[0],
        layers=one.run.layers[kept],
        residual=one.run.residual[kept],
        steps=steps[1] - steps[0],
        nodes=nodes,
    )
    stack = replace(
        one.stack,
        strands=strands,
        residual=one.stack.residual[kept],
        further=one.stack.further[kept],
    )
    return Described(run, stack, None, (), ends=ends)
