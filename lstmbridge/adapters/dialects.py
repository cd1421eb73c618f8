"""What a dialect is made of: how classes of cells are called and how their variables are spelled.

The rows themselves stand in one file per group of families (`lstm`, `gru`, `simple`, `variants`),
those of wrappers in `wrappers`, those of classes that are recognised only to be refused in
`foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Weights
from lstmbridge.graph.findings import Query
from lstmbridge.model.blocks import Block, Dense
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

LATEST = "TensorFlow 1.2 and later"
FIRST = "TensorFlow 1.0 and 1.1"
BEFORE = "TensorFlow 0.12 and before"
ALWAYS = "every release"
"""Eras: releases that call variables the same."""

Path = tuple[str, ...]
"""A scope, as its segments."""
Sizes = tuple[int, int]
"""Input and output size."""


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
        by_dtype: defaults of dtypes that differ.
        by_scope: defaults where a scope around the cell is called so.
        unsure: eras whose releases disagree among themselves: the default is said aloud.
        refused: why no value but the default is converted, though the class takes others.
        off_at_zero: of a clip: the class takes 0 and less for none, as the kernel of
            `LSTMBlockCell` does (lstm_ops.cc); `LSTMCell` clamps to them.
    """

    default: Any
    fixed: bool = False
    by_era: Mapping[str, Any] = field(default_factory=dict)
    by_dtype: Mapping[str, Any] = field(default_factory=dict)
    by_scope: Mapping[str, Any] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    off_at_zero: bool = False


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
    """Cells of one kind and one set of variables: classes, spellings, how they are built.

    Attributes:
        kind: for a person.
        needed: the roles without which there is no cell.
        own_name: the class that a cell with a name of its own is assumed to be; empty where such
            variables prove nothing.
        measure: the sizes, or why the shapes do not fit together.
        build: the model's cell, from tensors by role and facts by the options' names.
        ask: what a graph is asked about such a cell, under a label.
        front: a dense layer that the cell applies to its input first.
        remark: what its user should know of such variables, or "".
    """

    kind: str
    classes: tuple[CellClass, ...]
    spellings: tuple[Spelling, ...]
    needed: tuple[str, ...]
    own_name: str
    measure: Callable[[Mapping[str, Stored]], Geometry | LstmBridgeError]
    build: Callable[[Mapping[str, Weights], Mapping[str, Fact[Any]]], Cell]
    ask: Callable[[str, Mapping[str, Stored], Geometry], Query]
    front: Callable[[Mapping[str, Weights]], Dense | None] | None = None
    remark: Callable[[Mapping[str, Weights]], str] | None = None

    def class_called(self, name: str) -> CellClass | None:
        """The class of that name."""
        return next((row for row in self.classes if row.name == name), None)


@dataclass(frozen=True, slots=True)
class ForeignClass:
    """A class that is recognised only to be refused by name.

    Attributes:
        signs: relative names that betray it inside one of its scopes.
        reason: why it is not converted, as the end of a sentence.
        marks: relative names that betray it in a scope with a name of its own.
    """

    name: str
    scopes: tuple[str, ...]
    signs: tuple[str, ...]
    reason: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Wrapper:
    """Something around a cell that leaves variables.

    Attributes:
        scopes: patterns of the scopes it opens.
        leaves: patterns of its variables' last segments.
        effect: what it does to the cell's inputs or outputs; empty where it does nothing to
            what the stack computes.
        spellings: of its variables, relative to its scope, or to the scope that the cell lies in
            where it opens none. None: it is not converted.
        needed: the roles without which it is not there.
        measure: (input, output) sizes of the whole from its tensors and the inner sizes, or None
            where they do not fit.
        build: the block around the inner one; with the activation of a dense layer, where a
            graph shows it.
        before: it stands in front of what it wraps.
        dense: it is a dense layer.
    """

    name: str
    scopes: tuple[str, ...]
    leaves: tuple[str, ...]
    effect: str
    spellings: tuple[Spelling, ...] = ()
    needed: tuple[str, ...] = ()
    measure: Callable[[Mapping[str, Weights], Sizes], Sizes | None] | None = None
    build: Callable[[Mapping[str, Weights], Block, Fact[str] | None], Block] | None = None
    before: bool = False
    dense: bool = False


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
