"""What the emitters of layers share: the graph's fixed points and a sequence that flows on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from lstmbridge.model.blocks import Layer
from lstmbridge.model.signature import INPUTS, States
from lstmbridge.targets.onnx.builder import GraphBuilder, Weight
from lstmbridge.targets.onnx.weights import cast


class Order(Enum):
    """In which order a block's nodes take the steps."""

    FORWARD = "forward"
    REVERSE = "reverse"
    """Each node runs backwards over a sequence in its original order (no lengths)."""
    TURNED = "turned"
    """The sequence has been reversed, valid prefix only: nodes run forward (lengths)."""


@dataclass(frozen=True)
class Flow:
    """A sequence (time, batch, features) inside the graph.

    Attributes:
        zero_past_end: what lies past each row's length is zero.
    """

    name: str
    zero_past_end: bool


@dataclass
class Network:
    """One graph's fixed points. Names of values that several layers need are made once.

    Attributes:
        graph: where nodes and weights go.
        states: how initial states come in.
        lengths: the input ``sequence_length`` where there is one.
    """

    graph: GraphBuilder
    states: States
    lengths: str | None
    _memo: dict[str, str] = field(default_factory=dict)
    _weights: dict[tuple[object, ...], str] = field(default_factory=dict)

    def once(self, key: str, make: Callable[[], str]) -> str:
        """The value that `make` adds to the graph, made at its first use."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def shared(self, owners: tuple[object, ...], kind: str, make: Callable[[], str]) -> str:
        """The initializer of these very cells or blocks, made at its first use."""
        key = (*map(id, owners), kind)
        if key not in self._weights:
            self._weights[key] = make()
        return self._weights[key]

    def dim(self, axis: int) -> str:
        """Size of an axis of `inputs` (0: batch, 1: time), as an int64 vector of one."""
        g = self.graph
        name = ("batch", "time")[axis]
        shape = self.once("shape", lambda: g.node("Shape", [INPUTS], "inputs/shape"))
        gather = lambda: g.node("Gather", [shape, g.ints(axis)], f"inputs/{name}")  # noqa: E731
        return self.once(name, gather)

    def lengths64(self) -> str:
        """The lengths as int64."""
        g, lengths = self.graph, str(self.lengths)
        make = lambda: g.cast(lengths, np.dtype(np.int64), "sequence_length/int64")  # noqa: E731
        return self.once("lengths64", make)

    def _has_steps(self) -> str:
        """(batch,) bool: the row has a step."""
        g, lengths = self.graph, str(self.lengths)

        def make() -> str:
            zero = g.constant("int32/0", np.array(0, np.int32))
            return g.node("Greater", [lengths, zero], "sequence_length/not_empty")

        return self.once("has_steps", make)

    def not_empty(self) -> str:
        """(batch, 1) bool: the row has a step."""
        g, name = self.graph, "sequence_length/not_empty_column"
        return self.once("not_empty", lambda: g.unsqueeze(self._has_steps(), [1], name))

    def _at_least_1(self) -> str:
        """The lengths as int64, 1 for an empty row: one step reversed is that step.

        ReverseSequence of ONNX Runtime up to 1.22 leaves the rows of length 0 unwritten.
        """
        inputs = [self._has_steps(), self.lengths64(), self.graph.scalar(1)]
        name = "sequence_length/at_least_1"
        return self.once("at_least_1", lambda: self.graph.node("Where", inputs, name))

    def alive(self) -> str:
        """(time, batch, 1) bool: the step lies before the row's end."""
        g = self.graph

        def make() -> str:
            time = g.squeeze(self.dim(1), 0, "steps/time")
            steps = g.node("Range", [g.scalar(0), time, g.scalar(1)], "steps")
            column = g.unsqueeze(steps, [1], "steps/column")
            before = g.node("Less", [column, self.lengths64()], "steps/before_end")
            return g.unsqueeze(before, [2], "steps/alive")

        return self.once("alive", make)

    def last_steps(self) -> str:
        """(batch, 2): each row's last step and the row, as GatherND takes them."""
        g = self.graph

        def make() -> str:
            step = g.node("Sub", [self._at_least_1(), g.scalar(1)], "steps/last")
            rows = g.squeeze(self.dim(0), 0, "rows/count")
            row = g.node("Range", [g.scalar(0), rows, g.scalar(1)], "rows")
            columns = [g.unsqueeze(one, [1], f"{one}/column") for one in (step, row)]
            return g.node("Concat", columns, "steps/last_of_rows", axis=1)

        return self.once("last_steps", make)

    def zero(self, dtype: np.dtype[Any] | None = None) -> str:
        """The number zero, in the graph's precision or another."""
        number = np.zeros((), self.graph.dtype if dtype is None else dtype)
        return self.graph.constant(f"zero/{number.dtype}", number)

    def mask(self, x: str, name: str, dtype: np.dtype[Any] | None = None) -> str:
        """`x` (time, batch, features), zero past each row's end."""
        return self.graph.node("Where", [self.alive(), x, self.zero(dtype)], name)

    def time_major(self) -> str:
        """The inputs (time, batch, features)."""
        g = self.graph
        make = lambda: g.node("Transpose", [INPUTS], "inputs/time_major", perm=[1, 0, 2])  # noqa: E731
        return self.once("time_major", make)

    def widened(self, x: str, dtype: np.dtype[Any]) -> str:
        """`x` in a wider dtype.

        The network's inputs are widened before they are transposed: a Cast between a Transpose
        and a MatMul crashes ONNX Runtime 1.24 to 1.32 while it loads (microsoft/onnxruntime
        issue 28392).
        """
        g = self.graph
        if x != self.time_major():
            return g.cast(x, dtype, f"{x}/wide")

        def make() -> str:
            wide = g.cast(INPUTS, dtype, "inputs/wide")
            return g.node("Transpose", [wide], "inputs/wide_time_major", perm=[1, 0, 2])

        return self.once("wide_inputs", make)

    def turn(self, x: str, name: str) -> str:
        """`x` with each row's valid prefix reversed in time."""
        inputs = [x, self._at_least_1()]
        return self.graph.node("ReverseSequence", inputs, name, time_axis=0, batch_axis=1)

    def fed(self, layer: Layer, state: str) -> str | None:
        """The initial state's input, or None where states are not fed."""
        return None if self.states is States.NONE else layer.initial_name(state)

    def default_state(self, layer: Layer, state: str) -> None:
        """Give an optional input its default, one row, under the input's name."""
        if self.states is States.OPTIONAL:
            self.graph.weight(self._row(layer, state, layer.initial_name(state)))

    def _row(self, layer: Layer, state: str, name: str) -> Weight:
        """One row (1, width): the model's own initial state, or zeros."""
        dtype, own = self.graph.dtype, layer.initial.get(state)
        shape = (1, layer.cell.state_sizes[state])
        if own is None:
            return Weight(name, shape, dtype, lambda: np.zeros(shape, dtype))
        return Weight(name, shape, dtype, lambda: cast(name, own.load()[None], dtype))

    def rows(self) -> str:
        """Shape (batch, 1), to which a default of one row is expanded."""
        g = self.graph
        inputs = [self.dim(0), g.ints(1)]
        return self.once("rows", lambda: g.node("Concat", inputs, "inputs/rows", axis=0))

    def initial(self, layer: Layer, state: str) -> str | None:
        """The initial state (batch, width): fed, or the model's own; None where it is zeros.

        A default, and the model's own, is one row for all.
        """
        name = self.fed(layer, state)
        if name is not None and self.states is States.REQUIRED:
            return name
        if name is None and state not in layer.initial:
            return None
        if name is None:
            own = self._row(layer, state, f"{layer.name}/initial_{state}")
            name = self.once(own.name, lambda: self.graph.weight(own))
        expand = lambda: self.graph.node("Expand", [name, self.rows()], f"{name}/rows")  # noqa: E731
        return self.once(f"{name}/rows", expand)

    def zeros(self, width: int, dtype: np.dtype[Any]) -> str:
        """A state (batch, width) of zeros."""
        g = self.graph

        def make() -> str:
            shape = g.node("Concat", [self.dim(0), g.ints(width)], f"zeros/{width}/shape", axis=0)
            return g.node("Expand", [self.zero(dtype), shape], f"zeros/{width}")

        return self.once(f"zeros/{width}/{dtype}", make)

    def final(self, layer: Layer, state: str, produce: Callable[[str], str]) -> None:
        """Name a final state as the graph's output; an empty row keeps what it began with.

        `produce` adds the node that gives the state and takes the name of its output.
        """
        g, output = self.graph, layer.state_name(state)
        initial = self.initial(layer, state)
        if self.lengths is None or initial is None:
            produce(output)
            return
        last = produce(g.unique(f"{output}/last"))
        inputs = [self.not_empty(), last, initial]
        g.node("Where", inputs, f"{output}/or_initial", outputs=[output])
