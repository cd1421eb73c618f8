"""Initial states that no user feeds: one row for all sequences, learned or constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lstmbridge.adapters.leftovers import is_state
from lstmbridge.adapters.stored import Stored
from lstmbridge.adapters.topology import Draft
from lstmbridge.errors import FactConflict
from lstmbridge.gates import Array
from lstmbridge.graph.findings import Row, Run, State
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

_INSTEAD = (
    "converted as a stack it begins with zeros, or, with --states, with what you feed "
    "(a whole model begins as its graph does)"
)

Beginnings = tuple[Mapping[str, State], ...]
"""Per layer, state -> what it begins with, where that is one row for all sequences."""


def common_beginnings(
    copies: Sequence[Run], labels: Sequence[str]
) -> tuple[Beginnings, tuple[str, ...]]:
    """What the layers `labels` begin with in all copies of a stack, and what is not taken over.

    A copy whose states are fed says nothing of what they begin with otherwise.
    """
    stacks = [_layers(run, labels) for run in copies]
    doubts: dict[str, None] = {}
    found: list[dict[str, State]] = []
    for layer in zip(*stacks, strict=True):
        found.append({})
        for state in layer[0]:
            ways = [copy[state] for copy in layer if copy[state].kind != "fed"]
            other = next((way for way in ways[1:] if not _alike(ways[0], way)), None)
            lost = next((way for way in ways if _is_lost(way)), None)
            if lost is not None:
                doubts[
                    f"begins with states that nobody feeds and that are not one row for all "
                    f"sequences ({lost.kind}: {lost.node}); {_INSTEAD}"
                ] = None
            elif other is not None:
                doubts[
                    f"stands more than once, and its states begin differently "
                    f"({ways[0].node}, {other.node}); {_INSTEAD}"
                ] = None
            elif ways and ways[0].row is not None and ways[0].kind != "zeros":
                found[-1][state] = ways[0]
    return tuple(found), tuple(doubts)


def _layers(run: Run, labels: Sequence[str]) -> list[Mapping[str, State]]:
    pairs = zip(run.layers, run.initial, strict=True)
    return [states for layer, states in pairs if layer in labels]


def _is_lost(state: State) -> bool:
    """Whether a state begins with something that the model cannot say."""
    return state.row is None and state.kind in {"variable", "computed"}


def _alike(one: State, other: State) -> bool:
    """Whether two copies of a layer begin with the same."""
    if one.row is None or other.row is None or "zeros" in {one.kind, other.kind}:
        return one.kind == other.kind
    if one.row.shapes != other.row.shapes:
        return False
    draw = np.random.default_rng(4)
    numbers = {name: draw.normal(size=shape) for name, shape in one.row.shapes.items()}
    return bool(np.array_equal(one.row(numbers), other.row(numbers)))


@dataclass(frozen=True, eq=False)
class StoredRow:
    """The row that a state begins with, from the source's variables. Implements `Weights`.

    Attributes:
        name: for messages.
        width: of the state.
        dtype: of the variables; what a graph computes of them is rounded to it once.
        row: how the graph makes it of the variables.
        stored: by the graph's names; empty where it is a constant.
        where: the graph's node that shows it.
    """

    name: str
    width: int
    dtype: np.dtype[Any]
    row: Row
    stored: Mapping[str, Stored]
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(width,)."""
        return (self.width,)

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of its variables in the source."""
        return tuple(name for stored in self.stored.values() for name in stored.sources)

    @cached_property
    def _numbers(self) -> Array:
        numbers = {k: s.ref.load().astype(np.float64) for k, s in self.stored.items()}
        row = np.ascontiguousarray(self.row(numbers).astype(self.dtype))
        row.flags.writeable = False
        return row

    def load(self) -> Array:
        """The row, read-only. Errors: SourceUnreadable."""
        return self._numbers


def rows_of(
    begins: Mapping[str, State],
    scope: str,
    cell: Cell,
    in_graph: Mapping[str, Stored],
    file: str,
) -> tuple[dict[str, StoredRow], tuple[str, ...]]:
    """What a cell's states begin with, by state, and what is not taken over.

    Args:
        begins: what the graph says.
        scope: of the cell, for messages.
        cell: it.
        in_graph: the source's variables by the graph's names.
        file: the graph's.

    Raises:
        FactConflict: a variable has another shape than in the graph.
    """
    rows: dict[str, StoredRow] = {}
    doubts: list[str] = []
    for state, one in begins.items():
        row = one.row
        if row is None or not row.shapes.keys() <= in_graph.keys():
            doubts.append(
                f"in the graph the {state} of {scope} begins with {one.node}, which the source "
                f"does not hold; {_INSTEAD}"
            )
            continue
        _check_shapes(row, in_graph)
        # a frozen graph has constants where variables were
        names = [
            *row.shapes,
            *(n for n in row.constants if n in in_graph and _is_row(in_graph[n])),
        ]
        stored = {name: in_graph[name] for name in names}
        dtype = np.result_type(*(s.ref.dtype for s in stored.values())) if stored else cell.dtype
        width, where = cell.state_sizes[state], f"{file}: {one.node}"
        rows[state] = StoredRow(f"{scope}, initial {state}", width, dtype, row, stored, where)
    return rows, tuple(doubts)


def _is_row(stored: Stored) -> bool:
    """Whether a constant is numbers of a state, not a size."""
    return stored.ref.dtype.kind not in "iub" and bool(stored.ref.shape)


def _check_shapes(row: Row, in_graph: Mapping[str, Stored]) -> None:
    for name, shape in row.shapes.items():
        found = in_graph[name].ref.shape
        if found != shape:
            raise FactConflict(
                f"the graph's {name!r} is {shape}, the checkpoint's is {found}",
                expected="the graph of this checkpoint",
                where=name,
                advice="--ignore-graph if the graph is not the checkpoint's",
            )


def facts_begun(model: Model) -> dict[str, Fact[Any]]:
    """What the states of a model begin with, where that is neither zeros nor fed."""
    return {
        f"{layer.name}.initial_{state}": Fact.read(
            f"learned: {', '.join(row.sources)}" if row.sources else "constant", row.where
        )
        for layer in model.layers
        for state, row in layer.initial.items()
        if isinstance(row, StoredRow)
    }


def sources_of_states(layer: Layer) -> tuple[str, ...]:
    """The source's variables that a layer's states begin with."""
    rows = (row for row in layer.initial.values() if isinstance(row, StoredRow))
    return tuple(dict.fromkeys(name for row in rows for name in row.sources))


def unread(draft: Draft, others: Mapping[str, Stored]) -> tuple[str, ...]:
    """What to say of variables that are called as initial states and that no graph explains."""
    sizes = {s.sizes.units for s in draft.sites() if s.sizes is not None}
    sizes |= {s.sizes.output_size for s in draft.sites() if s.sizes is not None}
    alike = [
        str(stored)
        for stored in others.values()
        if is_state(stored) and stored.ref.shape and stored.ref.shape[-1] in sizes
    ]
    if not alike:
        return ()
    said = f"{', '.join(alike)}: called as what the states of {draft.scope} begin with"
    return (f"{said}; how, only a graph shows (put the .meta beside the checkpoint); {_INSTEAD}",)
