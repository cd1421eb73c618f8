"""Where a stack stands in the source's own graph, by the names of its tensors.

`GraphRuntime` runs the graph in NumPy; a real TensorFlow runs it in a session, fed and read at
these tensors. What is written here knows no TensorFlow: it maps a probe's arrays to the graph's
tensors, and back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstmbridge.contracts import Feeds, Outputs, Part, Source
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.circuit import Circuit, circuit_of
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH


@dataclass(frozen=True)
class Start:
    """Where a state begins: the tensor that is fed, and its width."""

    tensor: str
    width: int


@dataclass(frozen=True)
class Addresses:
    """The tensors of one stack. Made by `addresses_of`.

    Attributes:
        turned: how inputs are reversed before the stack takes them: ``no``, ``full``, ``lengths``.
        starts: an initial state's name in artifacts -> where it begins.
        tops: the outputs' tensors, time-major, each with how the graph has reversed it.
        finals: a final state's name in artifacts -> its tensor.
    """

    inputs: str
    time_major: bool
    lengths: str | None
    turned: str
    starts: Mapping[str, Start]
    tops: tuple[tuple[str, str], ...]
    finals: Mapping[str, str]

    @property
    def fetches(self) -> list[str]:
        """Every tensor that is asked for, once."""
        return list(dict.fromkeys([*(name for name, _ in self.tops), *self.finals.values()]))

    def fed(self, feeds: Feeds, rows: Array) -> dict[str, Array]:
        """A probe as the graph takes it; `rows` are the lengths, or the steps of each row."""
        x = _reversed(self.turned, np.asarray(feeds[INPUTS]).swapaxes(0, 1), rows)
        given = {self.inputs: x if self.time_major else x.swapaxes(0, 1)}
        if self.lengths is not None:
            given[self.lengths] = rows
        for name, start in self.starts.items():
            given[start.tensor] = np.asarray(
                feeds.get(name, np.zeros((len(rows), start.width))), np.float64
            )
        return given

    def read(self, values: Mapping[str, Array], rows: Array) -> dict[str, Array]:
        """What the graph gave, by the names of artifacts."""
        parts = [_reversed(how, values[name], rows) for name, how in self.tops]
        found = {OUTPUTS: np.concatenate(parts, axis=-1).swapaxes(0, 1)}
        return found | {name: values[tensor] for name, tensor in self.finals.items()}

    def pieces(self, feeds: Feeds) -> Iterator[tuple[Array, Feeds]]:
        """(row numbers, the probe for them): rows of one length where the graph has no lengths."""
        batch, steps = np.asarray(feeds[INPUTS]).shape[:2]
        lengths = np.asarray(feeds.get(SEQUENCE_LENGTH, np.full(batch, steps)), np.int64)
        if self.lengths is not None or bool((lengths == steps).all()):
            yield np.arange(batch), feeds
            return
        for length in sorted(set(lengths.tolist())):
            rows = np.flatnonzero(lengths == length)
            piece = {name: np.asarray(a)[rows] for name, a in feeds.items()}
            piece[INPUTS] = piece[INPUTS][:, :length]
            piece.pop(SEQUENCE_LENGTH)
            yield rows, piece


def _reversed(how: str, value: Array, rows: Array) -> Array:
    """A time-major tensor, reversed as a graph does it; doing it twice undoes it."""
    if how == "no":
        return value
    if how == "full":
        return value[::-1]
    turned: Array = np.array(value)
    for row, length in enumerate(rows):
        turned[:length, row] = value[:length, row][::-1]
    return turned


def joined(pieces: list[tuple[Array, Outputs]], batch: int, steps: int) -> dict[str, Array]:
    """One answer for all rows; past the end of a row its outputs are zero."""
    found: dict[str, Array] = {}
    for rows, outputs in pieces:
        for name, value in outputs.items():
            shape = (
                (batch, steps, value.shape[-1]) if name == OUTPUTS else (batch, *value.shape[1:])
            )
            whole = found.setdefault(name, np.zeros(shape, value.dtype))
            if name == OUTPUTS:
                whole[rows, : value.shape[1]] = value
            else:
                whole[rows] = value
    return found


def addresses_of(source: Source, part: Part) -> Addresses:
    """Find the stack's tensors.

    Errors: NotRecognised, saying why the stack cannot be run in its graph.
    """
    graph = source.graph() if part.graph_cells else None
    model = part.model
    if graph is None:
        raise NotRecognised("no graph was read beside the weights", where=str(source.path))
    cells = part.graph_cells
    if model.attachments or set(cells) != {layer.name for layer in model.layers}:
        raise NotRecognised("the graph was not asked about every layer", where=graph.where)
    backward = {layer.name for layer in model.layers if layer.direction == "bw"}
    circuit = circuit_of(graph, cells, backward, _no_weights)
    starts, finals = _states(circuit, model)
    orders = ["no" if circuit.turned != "no" else top.run.reversed for top in circuit.tops]
    found = Addresses(
        inputs=_name(graph, circuit.source),
        time_major=circuit.time_major,
        lengths=None if circuit.lengths is None else _name(graph, circuit.lengths),
        turned=circuit.turned,
        starts={name: Start(_name(graph, t), width) for name, (t, width) in starts.items()},
        tops=tuple(
            (_name(graph, top.outputs[0]), how)
            for top, how in zip(circuit.tops, orders, strict=True)
        ),
        finals={name: _name(graph, tensor) for name, tensor in finals.items()},
    )
    fed = [start.tensor for start in found.starts.values()]
    if len(set(fed)) < len(fed):
        raise NotRecognised("states of the graph begin with one tensor", where=min(fed))
    return found


def _states(
    circuit: Circuit, model: Model
) -> tuple[dict[str, tuple[Tensor, int]], dict[str, Tensor]]:
    entries = circuit.program.tracer.network.entries
    starts, finals = {}, {}
    for layer in model.layers:
        for state in layer.cell.state_sizes:
            entry = circuit.states[layer.name, state]
            _, variable = entries[entry]
            if not variable.exits:
                raise NotRecognised(f"nothing reads the last {state}", where=entry[0])
            starts[layer.initial_name(state)] = (
                variable.initial,
                circuit.widths[layer.name, state],
            )
            finals[layer.state_name(state)] = variable.exits[0]
    return starts, finals


def _name(graph: Graph, tensor: Tensor) -> str:
    if tensor[0] not in graph.nodes:
        raise NotRecognised(f"{tensor[0]!r} stands inside a function", where=tensor[0])
    return f"{tensor[0]}:{tensor[1]}"


def _no_weights(op: Op) -> Array:
    raise NotRecognised("only TensorFlow knows its weights here", where=op.name)


def file_of(source: Source) -> dict[str, str]:
    """The graph's file, and how TensorFlow is to load it."""
    graph = source.graph()
    where = Path("" if graph is None else graph.where)
    if not source.declares_model:
        return {"kind": "meta", "path": str(where), "checkpoint": str(source.path)}
    if source.path.is_dir() or where.name.startswith("saved_model."):
        return {"kind": "saved_model", "path": str(where.parent)}
    return {"kind": "frozen", "path": str(where)}
