"""Whole models of sources that have no graph: an adapter draws one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lstmbridge.contracts.recognition import Hints
from lstmbridge.contracts.sources import Source
from lstmbridge.gates import Weights
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.whole import Place


@dataclass(frozen=True, eq=False)
class DrawnModel:
    """A model as a graph.

    Attributes:
        graph: its operations, TensorFlow's.
        weights: variable of the graph -> its numbers.
        inputs: name -> tensor, ``"x:0"``.
        outputs: likewise.
        places: recurrent stacks, where they stand; still to be proved there.
        notes: what a user should know.
    """

    graph: Graph
    weights: Mapping[str, Weights]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Draws(Protocol):
    """An adapter that can draw what its sources describe."""

    def draw(self, source: Source, hints: Hints) -> DrawnModel | None:
        """The model of a source; None where it describes none.

        Errors: CannotExpress, NotRecognised, FactMissing, FactConflict, SourceUnreadable.
        """
        ...
