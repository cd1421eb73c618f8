"""Which stacks of a whole model are modules, and which stay the graph's own operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.errors import CannotExpress, NotRecognised, SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.graph.execute import Program as Runnable
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.pruned import Pruned, Resolved, pruned
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.targets.torch.architecture import Architecture
from lstmbridge.targets.torch.planning import plan

_OUTSIDE = ""


@dataclass(frozen=True, eq=False)
class Said:
    """How a whole model is said.

    Attributes:
        left: the network, its modules being single operations.
        architectures: by the place's name; of those in `left`.
        expressions: of all layers of all places.
    """

    left: Pruned
    architectures: Mapping[str, Architecture]
    expressions: tuple[Expression, ...]


def said_of(whole: Whole, dtype: np.dtype[Any]) -> Said:
    """Decide for each place.

    Errors: NotRecognised for an operation that is not known; SourceUnreadable.
    """
    architectures: dict[str, Architecture] = {}
    refused: dict[str, str] = {}
    for place in whole.places:
        planned = _planned(place, dtype)
        if isinstance(planned, str):
            refused[place.name] = planned
        else:
            architectures[place.name] = planned
    kept = [place for place in whole.places if place.name in architectures]
    try:
        left = _left(whole, kept)
    except (NotRecognised, SourceUnreadable):
        kept, around = _apart(whole, kept)
        refused |= around
        left = _left(whole, kept)
    reached = {place.name for place in left.stacks.values()}
    return Said(
        left,
        {name: architectures[name] for name in reached},
        tuple(_expressions(whole.places, architectures, reached, refused)),
    )


def _planned(place: Place, dtype: np.dtype[Any]) -> Architecture | str:
    """The modules, or why there are none. Its initial states are always the graph's."""
    try:
        return plan(place.model, dtype, fed=True)
    except CannotExpress as error:
        return error.read


def _left(whole: Whole, places: Sequence[Place]) -> Pruned:
    """The network around `places`, once it is known that it can be computed in some order."""
    left = pruned(replace(whole, places=tuple(places)))
    fed: dict[Tensor, Any] = dict.fromkeys((*left.inputs, *left.fixed))
    scopes = Scopes(Resolved(left.network, frozenset(fed)))
    Runnable(scopes, _no_numbers).order(_OUTSIDE, left.outputs, fed)
    return left


def _no_numbers(op: Op) -> Array:
    raise NotRecognised(f"{op.name!r} is not asked for its numbers", where=op.name)


def _apart(whole: Whole, places: Sequence[Place]) -> tuple[list[Place], dict[str, str]]:
    """The places that can be computed beside one another, and why each other cannot."""
    kept: list[Place] = []
    refused: dict[str, str] = {}
    for place in places:
        problem = _problem(whole, [*kept, place])
        if problem:
            refused[place.name] = problem
        else:
            kept.append(place)
    return kept, refused


def _problem(whole: Whole, places: Sequence[Place]) -> str:
    try:
        _left(whole, places)
    except (NotRecognised, SourceUnreadable) as error:
        return error.read
    return ""


def _expressions(
    places: Sequence[Place],
    architectures: Mapping[str, Architecture],
    reached: set[str],
    refused: Mapping[str, str],
) -> list[Expression]:
    several = len(places) > 1
    found: list[Expression] = []
    for place in places:
        name = f"{place.name}/" if several else ""
        if place.name in refused:
            detail = f"operation by operation: {refused[place.name]}"
            found += [Expression(f"{name}{x.name}", "stepped", detail) for x in place.model.layers]
        elif place.name in reached:
            own = architectures[place.name].expressions
            found += [Expression(f"{name}{one.layer}", one.how, one.detail) for one in own]
    return found
