"""The source's own graph, run in float64 NumPy: the third corner of the triangle.

The oracle runs the equations that were read out of the graph; this runs the graph itself. Where
the two agree, what was read is right, and a runtime that departs is the runtime's fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, Part, RuntimeInfo, TensorRef
from lstmbridge.errors import NotRecognised, RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.graph.circuit import Circuit, StackFeeds, circuit_of
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.network import Op
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH

_SHAPES = ((2, 3), (5, 1))
_PART = re.compile(r"(?P<whole>.+)/part_(?P<number>\d+)")


class Weights:
    """The numbers of a graph's variables, from the source, in float64."""

    def __init__(self, graph: Graph, tensors: Mapping[str, TensorRef]) -> None:
        self._graph = graph
        self._tensors = tensors

    def __call__(self, op: Op) -> Array:
        """The numbers of one variable. Errors: NotRecognised where the source lacks it."""
        if op.name in self._tensors:
            return self._tensors[op.name].load().astype(np.float64)
        match = _PART.fullmatch(op.name)
        if match is None or match["whole"] not in self._tensors:
            raise NotRecognised(f"the source has no variable {op.name!r}", where=op.name)
        array = self._tensors[match["whole"]].load()
        axis, sizes = self._cut(match["whole"], int(match["number"]))
        part = np.arange(sum(sizes[:-1]), sum(sizes))
        return np.take(array, part, axis).astype(np.float64)

    def _cut(self, whole: str, number: int) -> tuple[int, list[int]]:
        """Along which axis a variable is parted, and the lengths of its parts up to `number`."""
        stored = self._tensors[whole].shape
        shapes = [self._shape(f"{whole}/part_{k}") for k in range(number + 1)]
        alike = [s for s in shapes if s is not None and len(s) == len(stored)]
        axes = {k for s in alike for k, n in enumerate(s) if n != stored[k]} or {0}
        if len(alike) <= number or len(axes) > 1 or not stored:
            raise NotRecognised(f"{whole!r} is not cut along one axis", where=whole)
        (axis,) = axes
        sizes = [s[axis] for s in alike]
        if sum(sizes) > stored[axis]:
            raise NotRecognised(f"the parts of {whole!r} are larger than it is", where=whole)
        return axis, sizes

    def _shape(self, part: str) -> tuple[int, ...] | None:
        node = self._graph.nodes.get(part)
        shape = None if node is None else node.attrs.get("shape")
        return None if not shape else tuple(int(n) for n in shape)


class GraphSession:
    """A stack of a graph, ready to run. Implements `contracts.Session`."""

    precision = "float64"
    device = "cpu"

    def __init__(
        self, circuit: Circuit, model: Model, fixed: tuple[int | None, int | None] = (None, None)
    ) -> None:
        self._circuit = circuit
        self._model = model
        self._fixed = fixed

    def run(self, feeds: Feeds) -> Outputs:
        """All outputs in float64, by artifact name. Errors: RuntimeUnavailable.

        A graph that is made for one batch is run on that many rows at a time, some of them
        twice; one that is made for so many steps on so many, where lengths end the rows.
        """
        rows, steps = feeds[INPUTS].shape[:2]
        longer = self._longer(feeds)
        batch = self._fixed[0] or max(rows, 1)
        found: dict[str, list[Array]] = {}
        for first in range(0, rows, batch):
            own = np.arange(first, first + batch) % rows
            for name, value in self._at_once({n: a[own] for n, a in longer.items()}).items():
                found.setdefault(name, []).append(value)
        if not found:
            return self._at_once(feeds)
        joined = {name: np.concatenate(parts)[:rows] for name, parts in found.items()}
        joined[OUTPUTS] = joined[OUTPUTS][:, :steps]
        return joined

    def _longer(self, feeds: Feeds) -> Feeds:
        """The probe with as many steps as the graph is made for."""
        rows, steps = feeds[INPUTS].shape[:2]
        wanted = self._fixed[1] or steps
        if wanted == steps:
            return feeds
        if wanted < steps or not self._circuit.may_be_longer:
            raise RuntimeUnavailable(
                f"the graph is made for {wanted} steps and cannot be run on {steps}",
                where=self._circuit.source[0],
            )
        past = np.zeros((rows, wanted - steps, feeds[INPUTS].shape[2]))
        lengths = feeds.get(SEQUENCE_LENGTH, np.full(rows, steps))
        x = np.concatenate([feeds[INPUTS], past], axis=1)
        return {**feeds, INPUTS: x, SEQUENCE_LENGTH: lengths}

    def _at_once(self, feeds: Feeds) -> dict[str, Array]:
        batch = len(feeds[INPUTS])
        initial = {
            (layer.name, state): feeds.get(
                layer.initial_name(state), np.tile(layer.start(state), (batch, 1))
            )
            for layer in self._model.layers
            for state in layer.cell.state_sizes
        }
        asked = StackFeeds(feeds[INPUTS], feeds.get(SEQUENCE_LENGTH), initial)
        try:
            outputs, states = self._circuit.run(asked)
        except NotRecognised as err:
            raise _unavailable(err) from err
        found = {OUTPUTS: outputs}
        for layer in self._model.layers:
            for state in layer.cell.state_sizes:
                found[layer.state_name(state)] = states[layer.name, state]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class GraphRuntime:
    """Runs the source's graph. Implements `contracts.Runtime`; `bound` ties it to a source."""

    name = "graph"
    runs = "model"

    def __init__(
        self,
        graph: Graph | None = None,
        tensors: Mapping[str, TensorRef] | None = None,
        part: Part | None = None,
    ) -> None:
        self._graph = graph
        self._tensors = tensors or {}
        self._part = part

    def info(self) -> RuntimeInfo:
        """Always here: it needs NumPy only."""
        return RuntimeInfo(self.name, available=True, version=f"NumPy {np.__version__}")

    def open(self, subject: Artifact | Model) -> GraphSession:
        """Find the stack in the graph.

        Raises:
            RuntimeUnavailable: there is no graph, or the stack cannot be run in it.
        """
        if isinstance(subject, Artifact) or self._graph is None or self._part is None:
            raise RuntimeUnavailable(
                "the graph runtime has no graph to run",
                expected="a source with a graph (a .meta, a frozen graph, a SavedModel)",
                where=self.name,
            )
        cells = self._part.graph_cells
        if subject.attachments or set(cells) != {layer.name for layer in subject.layers}:
            raise RuntimeUnavailable(
                "the graph was not asked about every layer of the stack", where=self.name
            )
        backward = {layer.name for layer in subject.layers if layer.direction == "bw"}
        weights = Weights(self._graph, {**self._tensors, **self._part.graph_weights})
        try:
            circuit = circuit_of(self._graph, cells, backward, weights)
            fixed = _fixed(circuit, subject.input_size)
        except NotRecognised as err:
            raise _unavailable(err) from err
        return GraphSession(circuit, subject, fixed)


def _fixed(circuit: Circuit, features: int) -> tuple[int | None, int | None]:
    """The batch and the steps that the graph is made for; None for any.

    Errors: NotRecognised where it cannot be run on those that it declares either.
    """
    batch, steps = circuit.sizes
    tried = dict.fromkeys([(None, None), (None, steps), (batch, None), (batch, steps)])
    refused: list[NotRecognised] = []
    for fixed in tried:
        try:
            for rows, count in _SHAPES:
                x = np.zeros((fixed[0] or rows, fixed[1] or count, features))
                circuit.run(StackFeeds(x, None, {}))
                if None not in fixed:
                    break
        except NotRecognised as err:
            refused.append(err)
        else:
            return fixed
    raise refused[0]


def _unavailable(err: NotRecognised) -> RuntimeUnavailable:
    return RuntimeUnavailable(err.read, where=err.where, advice=err.advice)
