"""What adapters are told, and what they make of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lstmbridge.contracts.sources import Source, TensorRef
from lstmbridge.graph.findings import Query
from lstmbridge.model.blocks import Model


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user states about a source (the options of the command line). None: not stated.

    Attributes:
        gate_activation: of the gates of a Keras layer, where only its weights are stored.
        go_backwards: of lone recurrent layers of Keras, likewise.
        merge_mode: of Bidirectional layers of Keras, likewise.
        masking: whether the Keras model masks padded steps, likewise.
        reset_after: of GRU layers of Keras without a bias, likewise.
        layers: one stored cell is applied this many times (``[cell] * n``).
        residual: every layer whose input is as wide as its output is wrapped in a residual.
        select: the scope of one of several stacks.
        renames: variable name in the source -> name a dialect knows (``--map``).
        ema: True: the ExponentialMovingAverage shadows are the weights. None: raw weights,
            and a warning where shadows exist.
        ignore_graph: pretend that no graph lies beside the weights.
        inputs: tensors of the graph that a whole model is fed at.
        outputs: tensors of the graph that a whole model gives.
        settings: placeholder -> its value at inference, as it was typed (``--set``).
    """

    cell: str | None = None
    forget_bias: float | None = None
    activation: str | None = None
    gate_activation: str | None = None
    go_backwards: bool | None = None
    merge_mode: str | None = None
    masking: bool | None = None
    reset_after: bool | None = None
    cell_clip: float | None = None
    proj_clip: float | None = None
    layers: int | None = None
    residual: bool | None = None
    select: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    ema: bool | None = None
    ignore_graph: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A variable that is no part of any layer, and why."""

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """One recurrent stack found in a source.

    Attributes:
        name: the scope that holds it, ``"encoder/rnn"``; what ``--select`` takes.
        model: the network; its arrays are still in the file.
        variables: layer name -> names of its variables in the source.
        dialect: whose names these are, ``"BasicLSTMCell (TensorFlow 1.2 and later)"``.
        graph_cells: layer name -> its cell as the source's graph was asked about it; empty
            where there is no graph, or no graph can be asked.
        graph_weights: the graph's name of a variable -> the tensor that the model takes for
            it, which may be its average.
    """

    name: str
    model: Model
    variables: Mapping[str, tuple[str, ...]]
    dialect: str
    graph_cells: Mapping[str, Query] = field(default_factory=dict)
    graph_weights: Mapping[str, TensorRef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Why a group of variables is not a recurrent layer that we know; nearest miss first."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """All that the adapters make of a source. `parts` is never empty."""

    parts: tuple[Part, ...]
    ignored: tuple[Ignored, ...]
    refusals: tuple[NoMatch, ...]
    warnings: tuple[str, ...]


class Adapter(Protocol):
    """Named tensors (+ graph) -> Model. One per dialect family."""

    @property
    def name(self) -> str:
        """Short name, for messages and entry points."""
        ...

    def recognise(self, source: Source, hints: Hints) -> Recognition | NoMatch:
        """Find the recurrent stacks. Reads no weights.

        Errors: NotRecognised, FactMissing, FactConflict, CannotExpress, SourceUnreadable.
        """
        ...
