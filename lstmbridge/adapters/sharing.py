"""Stacks that may have more layers than they store: ``[cell] * n`` stores one cell.

From TensorFlow 1.2 on, a cell that stands in a stack again stores nothing under its second place,
``cell_2`` say. So ``[own] + [cell] * 2`` looks like two layers; where the last stored layer could
follow itself, its weights do not say how often it does.
"""

from __future__ import annotations

from collections.abc import Iterator

from lstmbridge.adapters.dialects import LATEST, MULTI_SCOPES
from lstmbridge.adapters.sites import Site
from lstmbridge.adapters.topology import Draft


def stored_alone(draft: Draft) -> Site | None:
    """The cell of a stack that stores one, as wide as its input; of either direction."""
    return next((site for count, site in _last_cells(draft) if count == 1), None)


def repeatable(draft: Draft) -> Site | None:
    """The last cell of a stack, where it could follow itself; of either direction."""
    return next((site for _, site in _last_cells(draft)), None)


def _last_cells(draft: Draft) -> Iterator[tuple[int, Site]]:
    """(stored layers, last cell) of each stack whose last layer could follow itself."""
    for half in draft.pair or (draft,):
        leaves = list(half.leaves())
        if not half.stack or not MULTI_SCOPES.fullmatch(half.path[-1] if half.path else ""):
            continue
        sizes, site = leaves[-1].sizes(), leaves[-1].cell
        if site is None or site.spelling is None or site.spelling.era != LATEST:
            continue
        if sizes is not None and sizes[0] == sizes[1]:
            yield len(leaves), site
