"""Stacks whose places are known beforehand: each is proved there like one that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lstmbridge.graph.needed import Walker
from lstmbridge.graph.place_proved import departure
from lstmbridge.graph.whole import Place, Whole


def proved_places(whole: Whole, places: Sequence[Place]) -> Whole:
    """The model with those of the places that it needs and that compute what they say.

    `notes` tell of the others: they are converted operation by operation.
    """
    walker = Walker(whole.program, {s.tensor: s.value for s in whole.settings})
    needed = walker.walk([port.tensor for port in whole.outputs])
    kept: list[Place] = []
    notes: list[str] = []
    for place in places:
        loops = tuple(f"{name}/" for name in place.nodes)
        if not any(name.startswith(loops) for name in needed.ops):
            continue
        problem = departure(whole, place)
        if problem:
            notes.append(f"{place.name!r} is converted operation by operation: {problem}")
        else:
            kept.append(place)
    return replace(whole, places=tuple(kept), notes=(*whole.notes, *notes))
