"""What a dialect is made of: how classes of cells are called and how their variables are spelled.

The rows themselves stand in one file per family (`lstm`), those of classes that are recognised
only to be refused in `foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError
from lstmbridge.graph.findings import CellQuery
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

Path = tuple[str, ...]
"""A scope, as its segments."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one era calls a cell's variables, relative to the cell's scope.

    Attributes:
        era: the releases, ``"TensorFlow 1.0 and 1.1"``.
        roles: role -> name; ``#`` stands for the number of a row shard (``W_#``).
    """

    era: str
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """A constant of a class that its weights do not show, and its documented default.

    Attributes:
        default: what the class takes when its user says nothing.
        fixed: the class has no such option: the value is its definition.
        by_era: defaults of eras that differ.
        unsure: eras whose releases disagree among themselves: the default is said aloud.
    """

    default: Any
    fixed: bool = False
    by_era: Mapping[str, Any] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellClass:
    """A class of cells that a family can build.

    Attributes:
        name: TensorFlow's own name.
        scopes: the scopes its variables lie in, in every era.
        roles: which roles it may store.
        options: its constants by name.
        shares: other classes whose variables are called the same.
        doubt: what the user should know about those, as a warning.
    """

    name: str
    scopes: tuple[str, ...]
    roles: frozenset[str]
    options: Mapping[str, Option]
    shares: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the shapes of a cell's variables say."""

    input_size: int
    units: int
    output_size: int


@dataclass(frozen=True, slots=True)
class Family:
    """Cells of one kind: their classes, spellings, and how they are built.

    Attributes:
        measure: the sizes, or why the shapes do not fit together.
        build: the model's cell; facts by the options' names.
        ask: what a graph is asked about such a cell, under a label.
        needed: the roles without which there is no cell.
        own_name: the class that a cell with a name of its own is assumed to be.
    """

    kind: str
    classes: tuple[CellClass, ...]
    spellings: tuple[Spelling, ...]
    needed: tuple[str, ...]
    own_name: str
    measure: Callable[[Mapping[str, Stored]], Geometry | LstmBridgeError]
    build: Callable[[Mapping[str, Stored], Mapping[str, Fact[Any]]], Cell]
    ask: Callable[[str, Mapping[str, Stored], Geometry], CellQuery]

    def class_called(self, name: str) -> CellClass | None:
        """The class of that name."""
        return next((row for row in self.classes if row.name == name), None)


@dataclass(frozen=True, slots=True)
class ForeignClass:
    """A class that is recognised only to be refused by name.

    Attributes:
        signs: relative names that betray it inside one of its scopes.
        marks: relative names that betray it in a scope with a name of its own.
    """

    name: str
    scopes: tuple[str, ...]
    signs: tuple[str, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrapper:
    """Something around a cell that leaves variables.

    Attributes:
        scopes: patterns of the scopes it opens.
        leaves: patterns of its variables' last segments.
        effect: what it does to the cell's inputs or outputs; empty where it does nothing to
            what the stack computes.
    """

    name: str
    scopes: tuple[str, ...]
    leaves: tuple[str, ...]
    effect: str


LOOP_SCOPES = re.compile(r"(rnn|RNN|bidirectional_rnn|BiRNN)(_\d+)?|fw|bw|FW|BW")
"""Scopes that a function which steps a cell over time opens around it."""
BIDIRECTIONAL_SCOPES = re.compile(r"(bidirectional_rnn|BiRNN)(_\d+)?")
STACKED_BIDIRECTIONAL_SCOPES = re.compile(r"(stack_bidirectional_rnn|StackRNN)(_\d+)?")
MULTI_SCOPES = re.compile(r"(multi_rnn_cell|MultiRNNCell)(_\d+)?")
LAYER_SCOPE = re.compile(r"(?:cell_|Cell)(\d+)")
DIRECTIONS: Mapping[str, str] = {"fw": "fw", "FW": "fw", "bw": "bw", "BW": "bw"}
_UNIQUE = re.compile(r"_\d+$")


def scope_matches(segment: str, scopes: tuple[str, ...]) -> bool:
    """Is `segment` one of `scopes`, or one that TensorFlow made unique (``lstm_cell_1``)?"""
    return segment in scopes or _UNIQUE.sub("", segment) in scopes


def layer_index(segment: str) -> int | None:
    """k of ``cell_k`` or ``Cellk``."""
    found = LAYER_SCOPE.fullmatch(segment)
    return int(found.group(1)) if found else None
