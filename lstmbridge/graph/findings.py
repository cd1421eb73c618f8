"""What a graph shows about recurrent cells, as plain values. No search and no arithmetic here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from lstmbridge.gates import Array, Weights
from lstmbridge.graph.network import Tensor
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

T = TypeVar("T")


@dataclass(frozen=True)
class AroundQuery:
    """A wrapper around a cell that left variables.

    Attributes:
        name: for a person.
        layer: the cell's label.
        variables, shapes: by role: ``kernel`` and ``bias`` of a dense layer; of a highway
            ``carry_kernel``, ``carry_bias``, and the same of ``transform`` where it has them.
        before: it stands in front of the cell.
        dense: a dense layer, else a highway.
        linear: the dense layer has no activation by definition.
    """

    name: str
    layer: str
    variables: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    before: bool = False
    dense: bool = True
    linear: bool = False


@dataclass(frozen=True)
class CellQuery:
    """An LSTM that the variables' names suggest, and that the graph is asked about.

    Attributes:
        layer: a label of the caller's; it comes back in every answer.
        kernel: its variables' names as the checkpoint has them, (input + output, 4 * units)
            together: more than one where each holds a shard of the rows. A partitioned
            variable is one name; its parts (``name/part_0``) are found here.
        bias: (4 * units,), or None where there is none.
        peephole: gate i, f, o -> variable (units,); empty where there are none.
        projection: variables of the (units, output) projection; empty where there is none.
        input_size, units, output_size: I, H, P (= H without a projection).
        around: wrappers that left variables, innermost first.
    """

    layer: str
    kernel: tuple[str, ...]
    input_size: int
    units: int
    output_size: int
    bias: str | None = None
    peephole: Mapping[str, str] = field(default_factory=dict)
    projection: tuple[str, ...] = ()
    around: tuple[AroundQuery, ...] = ()

    @property
    def state_sizes(self) -> dict[str, int]:
        """Width of each state."""
        return {"h": self.output_size, "c": self.units}

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """The variables by role; the kernel first."""
        found = {"kernel": self.kernel}
        if self.bias is not None:
            found["bias"] = (self.bias,)
        if self.projection:
            found["projection"] = self.projection
        return found | {f"peephole {gate}": (name,) for gate, name in self.peephole.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What the variables of each role must be together."""
        h, p = self.units, self.output_size
        return {
            "kernel": (self.input_size + p, 4 * h),
            "bias": (4 * h,),
            "projection": (h, p),
            **{f"peephole {gate}": (h,) for gate in self.peephole},
        }


class Build(Protocol):
    """Makes a cell of tensors by role and constants by option. Errors: ValueError."""

    def __call__(self, roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]], /) -> Cell:
        """The cell."""
        ...


@dataclass(frozen=True)
class FormQuery:
    """A cell of any kind that the variables' names suggest: what builds it tells what it is.

    Attributes:
        layer: a label of the caller's; it comes back in every answer.
        variables: role -> its variables' names as the checkpoint has them, in `CellQuery`'s way.
        shapes: role -> what its variables must be together.
        small: shapes of a small stand-in with the same roles; None where sizes are part of what
            the cell is.
        sees: role -> what its kernel is multiplied with: ``"xh"`` (x and h side by side),
            ``"x"`` or ``"h"``. The first role is the one by whose uses the cell is looked for.
        build: the cell, from tensors of those shapes.
        options: its constants, each with the value that is tried first.
        open: the options that may have other values: those that are seen around are tried.
        input_size, output_size, state_sizes: of the cell.
        last: roles that are applied to what the cell has computed (a projection).
        pieces: operations by which the cell cuts or repeats x and h before kernels see them.
        around: wrappers that left variables, innermost first.
    """

    layer: str
    variables: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    small: Mapping[str, tuple[int, ...]] | None
    sees: Mapping[str, str]
    build: Build
    options: Mapping[str, Any]
    open: frozenset[str]
    input_size: int
    output_size: int
    state_sizes: Mapping[str, int]
    last: frozenset[str] = frozenset()
    pieces: frozenset[str] = frozenset()
    around: tuple[AroundQuery, ...] = ()


Query = CellQuery | FormQuery
"""What a graph is asked about one cell."""


def outer_sizes(query: Query) -> tuple[int, int]:
    """(input, output) size of a cell with what lies around it."""
    inputs, outputs = query.input_size, query.output_size
    for around in query.around:
        rows, columns = around.shapes["kernel"] if around.dense else (0, 0)
        if around.dense and around.before:
            inputs = rows
        elif around.dense:
            outputs = columns
    return inputs, outputs


@dataclass(frozen=True, slots=True)
class Stated(Generic[T]):
    """A value, and the node that shows it."""

    value: T
    where: str


@dataclass(frozen=True, slots=True)
class CellFacts:
    """The constants of one LSTM, as `model.cells.LSTM` calls them. All proven by numbers."""

    forget_bias: Stated[float]
    activation: Stated[str]
    gate_activation: Stated[str]
    cell_clip: Stated[float | None]
    proj_clip: Stated[float | None]
    peephole: Stated[bool]

    @property
    def stated(self) -> dict[str, Stated[Any]]:
        """By the names of the cell's own facts."""
        return {
            "forget_bias": self.forget_bias,
            "activation": self.activation,
            "gate_activation": self.gate_activation,
            "cell_clip": self.cell_clip,
            "proj_clip": self.proj_clip,
        }

    @property
    def values(self) -> tuple[object, ...]:
        """The values alone: two applications of one cell must agree on these."""
        return tuple(s.value for s in (*self.stated.values(), self.peephole))


@dataclass(frozen=True)
class FormFacts:
    """The constants of a cell of any kind, by the names of its own facts. Proven by numbers."""

    stated: Mapping[str, Stated[Any]]

    @property
    def values(self) -> tuple[object, ...]:
        """The values alone."""
        return tuple(s.value for s in self.stated.values())


Facts = CellFacts | FormFacts
"""What is proven about one cell."""


@dataclass(frozen=True, slots=True)
class Construct:
    """Something in the graph that the variables' names do not show.

    Attributes:
        kind: ``residual``, ``highway``, ``projection``, ``attention``, ``concatenation``,
            ``embedding``, ``elementwise``, ``own cell``, ``other graph``, ``feedback``, ``state``,
            ``masking``, ``computation``.
        node: where it stands.
        layer: whose input, state or output it concerns.
        detail: a sentence for a message.
    """

    kind: str
    node: str
    layer: str
    detail: str

    def __str__(self) -> str:
        return f"{self.detail} (node {self.node!r})"


@dataclass(frozen=True, slots=True)
class Application:
    """One place in the graph where a cell is computed, proven to be the one of its `facts`.

    Attributes:
        layer: the query's label.
        node: the operation that reads the kernel.
        facts: its constants.
        x: the tensor that it takes as input, resolved, as are all.
        previous: state -> the tensor that it reads.
        states: state -> the tensor that it makes; one that nobody asks for may be missing.
        output: the tensor that it gives; most often one of `states`.
        whole: it computes all steps at once (BlockLSTM): x, states and output have a leading time
            axis.
        around: of each wrapper that was asked about, its activation ("" for a highway): x and
            output are then those of the outermost.
        within: whether a residual lies inside of those wrappers; None where there are none.
    """

    layer: str
    node: str
    facts: Facts
    x: Tensor
    previous: Mapping[str, Tensor]
    states: Mapping[str, Tensor]
    output: Tensor
    whole: bool = False
    around: tuple[Stated[str], ...] = ()
    within: Stated[bool] | None = None

    @property
    def values(self) -> tuple[object, ...]:
        """All constants alone: two applications of one cell must agree on these."""
        within = None if self.within is None else self.within.value
        return (self.facts.values, tuple(s.value for s in self.around), within)


@dataclass(frozen=True)
class CellEvidence:
    """All about one cell.

    Attributes:
        layer: the query's label.
        facts: proven, and the same wherever the cell is applied; None where a place is not
            proven, or where they disagree.
        applications: each proven place.
        failures: places that read the kernel and were not proven.
        known: False where the graph has no such variable.
    """

    layer: str
    facts: Facts | None
    applications: tuple[Application, ...]
    failures: tuple[Construct, ...]
    known: bool


@dataclass(frozen=True, eq=False)
class Row:
    """One row that a state begins with in every sequence, whatever is fed.

    Attributes:
        shapes: the graph's names of the variables that it is computed from, and their shapes.
        constants: nodes of the constants that have a part in it, those of a frozen graph's
            variables among them.
        compute: the variables' numbers in float64, by those names -> the row (width,).
    """

    shapes: Mapping[str, tuple[int, ...]]
    constants: tuple[str, ...]
    compute: Callable[[Mapping[str, Array]], Array]

    def __call__(self, numbers: Mapping[str, Array]) -> Array:
        """The row for these numbers. Errors: NotRecognised, which the proof rules out."""
        return self.compute(numbers)


@dataclass(frozen=True)
class State:
    """How one layer's state begins.

    Attributes:
        kind: ``zeros``, ``fed`` (a placeholder), ``variable`` (learned), ``constant``,
            ``computed``.
        node: what it begins with.
        row: the row, where it is proven to be one and the same for all sequences.
    """

    kind: str
    node: str
    row: Row | None = None


@dataclass(frozen=True)
class Run:
    """One stack of cells, running over time: a loop, an unrolled chain, or a fused operation.

    Attributes:
        name: the loop's frame or While, or the first node of an unrolled chain.
        how: ``loop``, ``unrolled`` or ``fused``.
        layers: labels from input to output; a label occurs n times where one cell is applied
            to n layers (``[cell] * n``).
        residual: per layer: its output is the cell's output plus its input.
        spans: residuals that are more: around several layers, or around one that has one; each as
            the positions of its first and last layer, innermost first.
        steps: of an unrolled chain; None where it is dynamic.
        time_major: False where inputs are transposed from (batch, time, ...) just before the
            loop; None where that cannot be told.
        lengths: the node that gives sequence lengths (outputs zero and states held past the
            end, as `dynamic_rnn` does), or None.
        reversed: ``"no"``, ``"full"`` (all steps reversed), ``"lengths"`` (ReverseSequence),
            or ``"unknown"``.
        initial: per layer, "h" and "c" -> how it begins.
        inputs_from: names of the runs whose outputs, side by side, are the inputs, where that
            is proven; empty where inputs come from elsewhere.
        inputs_residual: what is fed is the one such run's output plus its own input.
        between: where the inputs depend on other runs in another way: what stands between. Of
            no concern to whoever converts this run alone; a refusal for whoever takes this run
            and the others for layers of one stack.
        constructs: what keeps this from being a plain stack of its layers, nothing omitted.
        notes: what surrounds the stack and does not change it.
        nodes: of all applications, layer by layer.
        rounded: precisions below that of the weights to which the graph rounds weights, states
            or outputs, each with the cast that does it.
    """

    name: str
    how: str
    layers: tuple[str, ...]
    residual: tuple[bool, ...]
    steps: int | None
    time_major: bool | None
    lengths: str | None
    reversed: str
    initial: tuple[Mapping[str, State], ...]
    inputs_from: tuple[str, ...] = ()
    inputs_residual: bool = False
    between: tuple[Construct, ...] = ()
    constructs: tuple[Construct, ...] = ()
    notes: tuple[Construct, ...] = ()
    nodes: tuple[str, ...] = ()
    rounded: tuple[Stated[str], ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that a graph shows about the cells it was asked about.

    Attributes:
        where: the file.
        cells: by label; every query has an entry.
        runs: every stack found; a net that is built twice (training, evaluation) has two.
        dropouts: nodes of the dropouts that were taken for what they are at inference:
            nothing.
    """

    where: str
    cells: Mapping[str, CellEvidence]
    runs: tuple[Run, ...]
    dropouts: tuple[str, ...] = ()

    def runs_of(self, layer: str) -> tuple[Run, ...]:
        """The runs in which a layer takes part."""
        return tuple(run for run in self.runs if layer in run.layers)
