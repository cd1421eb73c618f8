"""A recognised stack as it stands in the graph: fed, run and read at its own tensors.

The stack's equations are one reading of the graph. Here the graph's own loops are run instead,
between the tensors where the stack begins and ends, so that each can be checked by the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.described import Described
from lstmbridge.graph.evidence import Survey, survey_of
from lstmbridge.graph.execute import Program
from lstmbridge.graph.findings import Query
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.ports import shape_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.strands import Strand
from lstmbridge.graph.words import GraphFloat64


@dataclass(frozen=True, eq=False)
class StackFeeds:
    """What a stack is fed. Float64, batch-major.

    Attributes:
        inputs: (batch, time, features).
        lengths: (batch,) or None: every row is whole.
        initial: (layer, state) -> (batch, width); what is missing is zero.
    """

    inputs: Array
    lengths: Array | None
    initial: Mapping[tuple[str, str], Array]


@dataclass(frozen=True, eq=False)
class _Chain:
    """Layers of one loop: what tells where their states live."""

    described: Described
    layers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Circuit:
    """One stack in a graph, ready to be run. Made by `circuit_of`.

    Attributes:
        source: what is fed, as it stands before it is transposed and reversed.
        turned: how the graph reverses it where the stack takes what the loop takes: ``no``,
            ``full`` or ``lengths``. Else a reversal is the stack's own, a backward direction.
        states: (layer, state) -> the loop variable's entry.
        widths: (layer, state) -> its width.
    """

    program: Program
    source: Tensor
    time_major: bool
    lengths: Tensor | None
    turned: str
    tops: tuple[Described, ...]
    states: Mapping[tuple[str, str], Tensor]
    widths: Mapping[tuple[str, str], int]

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Batch and steps that the graph declares of what is fed; None where any will do."""
        shape = shape_of(self.program.tracer, self.source)
        if shape is None or len(shape) != 3:
            return None, None
        return (shape[1], shape[0]) if self.time_major else (shape[0], shape[1])

    @property
    def may_be_longer(self) -> bool:
        """Whether steps past the end of every row change nothing: lengths end them."""
        orders = {self.turned, *(top.run.reversed for top in self.tops)}
        return self.lengths is not None and "full" not in orders

    def run(self, feeds: StackFeeds) -> tuple[Array, dict[tuple[str, str], Array]]:
        """(outputs (batch, time, features), the final states), all in float64.

        Errors: NotRecognised, naming the operation that cannot be run on what is fed.
        """
        batch, steps = feeds.inputs.shape[:2]
        lengths = feeds.lengths
        if lengths is not None and self.lengths is None:
            raise NotRecognised(
                "the graph has no sequence lengths and cannot be fed them", where="the graph"
            )
        rows = np.full(batch, steps) if lengths is None else np.asarray(lengths, np.int64)
        x = _reversed(self.turned, np.asarray(feeds.inputs, np.float64).transpose(1, 0, 2), rows)
        fed = {self.source: x if self.time_major else x.transpose(1, 0, 2)}
        if self.lengths is not None:
            fed[self.lengths] = rows
        starts = {
            entry: np.asarray(
                feeds.initial.get(key, np.zeros((batch, self.widths[key]))), np.float64
            )
            for key, entry in self.states.items()
        }
        wholes = [top.outputs[0] for top in self.tops]
        got = self.program.run(fed, [*wholes, *self.states.values()], starts, steps)
        # what is turned on its way in is not turned back: the stack gives what the loop gives
        orders = ["no" if self.turned != "no" else top.run.reversed for top in self.tops]
        parts = [
            _reversed(order, got[top.outputs[0]], rows)
            for order, top in zip(orders, self.tops, strict=True)
        ]
        outputs = np.concatenate(parts, axis=-1).transpose(1, 0, 2)
        return outputs, {key: got[entry] for key, entry in self.states.items()}


def _reversed(how: str, value: Array, rows: Array) -> Array:
    """A time-major tensor, reversed as a graph does it; doing it twice undoes it."""
    if how == "full":
        return value[::-1]
    return GraphFloat64().reverse_sequence(value, rows, 0, 1) if how == "lengths" else value


def circuit_of(
    graph: Graph,
    layers: Mapping[str, Query],
    backward: Container[str],
    weights: Callable[[Op], Array],
) -> Circuit:
    """Where a stack stands in a graph.

    Args:
        graph: as `sources` parses it.
        layers: a layer's name -> its cell, in the model's order.
        backward: the layers that the model walks from the end.
        weights: the numbers of a variable of the graph, in float64.

    Errors: NotRecognised, saying why the stack cannot be run there: it is unrolled or fused,
    stands in the graph more than once, or its states are packed into one tensor.
    """
    survey = survey_of(graph, list({q.layer: q for q in layers.values()}.values()))
    chains = _chains(survey, layers)
    for chain in chains:
        run = chain.described.run
        if run.how != "loop" or run.reversed == "unknown" or run.between or run.constructs:
            raise _no(run.name, f"it is {run.how}" if run.how != "loop" else "more stands in it")
    fed = {name for chain in chains for name in chain.described.run.inputs_from}
    bottoms = [c.described for c in chains if not c.described.run.inputs_from]
    sources = {(d.source.tensor, d.source.time_major) for d in bottoms if d.source is not None}
    if len(sources) != 1 or any(d.source is None for d in bottoms):
        raise _no(bottoms[0].run.name if bottoms else graph.where, "its layers begin apart")
    tops = tuple(c.described for c in chains if c.described.run.name not in fed)
    silent = next((top.run.name for top in tops if not top.outputs), None)
    if silent is not None:
        raise _no(silent, "nothing reads its outputs")
    (source, time_major), states, widths = sources.pop(), {}, {}
    for chain in chains:
        for name, strand in zip(chain.layers, chain.described.stack.strands, strict=True):
            query = layers[name]
            for state, width in query.state_sizes.items():
                states[name, state] = _entry(survey, strand, state)
                widths[name, state] = width
    program = Program(Scopes(survey.tracer), weights)
    lengths, turned = _lengths(chains), _turned(chains, backward)
    return Circuit(program, source, time_major, lengths, turned, tops, states, widths)


def _no(node: str, why: str) -> NotRecognised:
    return NotRecognised(f"the graph's own stack {node!r} is not run: {why}", where=node)


def _chains(survey: Survey, layers: Mapping[str, Query]) -> list[_Chain]:
    """The loops that hold the layers, each layer in exactly one, in the model's order."""
    names: dict[str, list[str]] = {}
    for name, query in layers.items():
        names.setdefault(query.layer, []).append(name)
    chains = []
    for one in survey.described:
        labels = one.run.layers
        if any(not names.get(label) for label in labels):
            raise _no(one.run.name, "the graph holds the stack more than once, or more than it")
        chains.append(_Chain(one, tuple(names[label].pop(0) for label in labels)))
    missing = Counter(label for label, left in names.items() if left)
    if missing:
        raise _no(next(iter(missing)), "not all of its layers are there")
    order = list(layers)
    return sorted(chains, key=lambda chain: order.index(chain.layers[0]))


def _entry(survey: Survey, strand: Strand, state: str) -> Tensor:
    app = strand.apps[0]
    at = survey.tracer.resolve(app.previous[state])
    if at not in survey.tracer.network.entries:
        raise _no(app.node, f"its {state} is packed with others")
    return at


def _turned(chains: Sequence[_Chain], backward: Container[str]) -> str:
    """How inputs are reversed before a stack that itself goes forward takes them."""
    ways = [(c.described.run.reversed, c.layers[0] in backward) for c in chains]
    if all((how != "no") == own for how, own in ways):
        return "no"
    if len(ways) == 1 and not ways[0][1]:
        return ways[0][0]
    raise _no(chains[0].described.run.name, "it is reversed otherwise than its names say")


def _lengths(chains: Sequence[_Chain]) -> Tensor | None:
    nodes = {c.described.run.lengths for c in chains} - {None}
    if len(nodes) > 1:
        raise _no(chains[0].described.run.name, "its layers are cut by different lengths")
    name = next(iter(nodes), None)
    return None if name is None else (name, 0)
