"""What an artifact's module tree looks like, as values: planned from a model, kept in the file.

A `Native` node is one `torch.nn` recurrent module; an `Equations` node runs the cell's equations;
`Linear` and `Mixed` are dense layers and highways; `Series` and `TwoWay` put nodes together. A
residual connection is no module, so that it adds no level to the keys: it is a count on the node
it goes around. No torch in here; how a model becomes such a tree stands in `planning`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.model.cells import Cell
from lstmbridge.model.signature import (
    INPUTS,
    OUTPUTS,
    SEQUENCE_LENGTH,
    Signature,
    States,
    TensorSpec,
)
from lstmbridge.targets.torch.native import MODES, Mode
from lstmbridge.targets.torch.structure import Skeleton


@dataclass(frozen=True, slots=True)
class Native:
    """One `torch.nn.LSTM`, `GRU` or `RNN`; its keys are that module's own.

    Attributes:
        names: the model's layers in the order of torch's states: layer by layer, forward before
            backward.
        mode: a name of `native.MODES`.
        proj_size: width of the projection, 0 where there is none.
        bias: False where no layer adds anything.
        residuals: how often the input is added to the output.
    """

    names: tuple[str, ...]
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True
    residuals: int = 0

    @property
    def form(self) -> Mode:
        """Torch's module and its conventions."""
        return MODES[self.mode]

    @property
    def output_size(self) -> int:
        """Features of the output, of both directions together."""
        return (self.proj_size or self.hidden_size) * (2 if self.bidirectional else 1)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What torch appends to the parameters' names, layer by layer as `names`."""
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return tuple(f"_l{k}{way}" for k in range(self.num_layers) for way in ways)

    @property
    def state_sizes(self) -> dict[str, int]:
        """Width of each state of each layer, in torch's order of states."""
        h = {"h": self.proj_size or self.hidden_size}
        return {state: h.get(state, self.hidden_size) for state in self.form.states}


@dataclass(frozen=True)
class Equations:
    """One layer whose step is `model.equations`; keys ``kernel``, ``recurrent``, ``bias``, ...

    The constants that weights do not show stand here, not in the state dict.
    """

    name: str
    skeleton: Skeleton
    residuals: int = 0

    @cached_property
    def cell(self) -> Cell:
        """The layer's cell without numbers."""
        return self.skeleton.cell()

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.cell.input_size

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.cell.output_size

    @property
    def names(self) -> tuple[str, ...]:
        """The model's layer, as `Native` has them."""
        return (self.name,)

    @property
    def state_sizes(self) -> dict[str, int]:
        """Width of each state."""
        return self.cell.state_sizes


@dataclass(frozen=True, slots=True)
class Linear:
    """A dense layer: `torch.nn.Linear` with that module's keys, and an activation."""

    name: str
    input_size: int
    output_size: int
    bias: bool
    activation: str
    residuals: int = 0


@dataclass(frozen=True, slots=True)
class Mixed:
    """A highway around a node; keys ``carry_kernel``, ``carry_bias``, ... and ``inner.``.

    Attributes:
        coupled: the transform gate is 1 - carry and has no weights.
    """

    name: str
    inner: Node
    coupled: bool
    residuals: int = 0

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.inner.input_size

    @property
    def output_size(self) -> int:
        """Features of the output: as many."""
        return self.inner.output_size

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each of its own parameters."""
        size = self.inner.output_size
        gates = ("carry",) if self.coupled else ("carry", "transform")
        found: dict[str, tuple[int, ...]] = {}
        for gate in gates:
            found |= {f"{gate}_kernel": (size, size), f"{gate}_bias": (size,)}
        return found


@dataclass(frozen=True, slots=True)
class Series:
    """Nodes one after another; keys ``0.``, ``1.``, ... (``layers.0.`` at the root)."""

    nodes: tuple[Node, ...]
    residuals: int = 0

    @property
    def input_size(self) -> int:
        """Features of the first node's input."""
        return self.nodes[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the last node's output."""
        return self.nodes[-1].output_size


@dataclass(frozen=True, slots=True)
class TwoWay:
    """Two nodes over one input; keys ``forward_layers.`` and ``backward_layers.``."""

    forward: Node
    backward: Node
    residuals: int = 0

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.forward.input_size

    @property
    def output_size(self) -> int:
        """Features of both directions together."""
        return self.forward.output_size + self.backward.output_size


Node: TypeAlias = "Native | Equations | Linear | Mixed | Series | TwoWay"
Recurring: TypeAlias = "Native | Equations"
Owner: TypeAlias = "Native | Equations | Linear | Mixed"


@dataclass(frozen=True, slots=True)
class Architecture:
    """All that a file must say beside its tensors.

    Attributes:
        root: a `Series` here has its keys under ``layers.``.
        dtype: of every tensor, by NumPy's name.
        expressions: how each layer is said, and why.
        initial: ``initial_<layer>_<state>`` -> its width, of states that begin with a row of
            the file's where nothing is fed; the root has a parameter of that name.
    """

    root: Node
    dtype: str
    expressions: tuple[Expression, ...]
    initial: Mapping[str, int] = field(default_factory=dict)


def owners(node: Node, prefix: str = "") -> Iterator[tuple[str, Owner]]:
    """Every node that has parameters, with the prefix of its keys, in the model's order."""
    if isinstance(node, Series):
        for k, child in enumerate(node.nodes):
            yield from owners(child, f"{prefix}{k}.")
    elif isinstance(node, TwoWay):
        yield from owners(node.forward, f"{prefix}forward_layers.")
        yield from owners(node.backward, f"{prefix}backward_layers.")
    else:
        if isinstance(node, Mixed):
            yield from owners(node.inner, f"{prefix}inner.")
        yield prefix, node


def root_owners(architecture: Architecture) -> Iterator[tuple[str, Owner]]:
    """`owners` of the root, whose series lies under ``layers.``."""
    prefix = "layers." if isinstance(architecture.root, Series) else ""
    return owners(architecture.root, prefix)


def states_of(node: Node) -> Iterator[tuple[str, str, int]]:
    """(layer, state, width) of every state in `node`, in the model's order."""
    for _, owner in owners(node):
        if isinstance(owner, Native | Equations):
            for name in owner.names:
                for state, width in owner.state_sizes.items():
                    yield name, state, width


def signature(
    architecture: Architecture,
    dtype: np.dtype[Any],
    *,
    states: States = States.OPTIONAL,
    lengths: bool | None = None,
) -> Signature:
    """Names and shapes of what goes in and comes out.

    Args:
        architecture: the network.
        dtype: of its tensors.
        states: how it takes initial states.
        lengths: does it take lengths? None: they may be left out.
    """
    root = architecture.root
    inputs = [TensorSpec(INPUTS, ("batch", "time", root.input_size), dtype)]
    if lengths is not False:
        integers = np.dtype(np.int32)
        inputs.append(TensorSpec(SEQUENCE_LENGTH, ("batch",), integers, optional=lengths is None))
    outputs = [TensorSpec(OUTPUTS, ("batch", "time", root.output_size), dtype)]
    for name, state, width in states_of(root):
        shape = ("batch", width)
        outputs.append(TensorSpec(f"{name}_{state}", shape, dtype))
        if states is not States.NONE:
            optional = states is States.OPTIONAL
            inputs.append(TensorSpec(f"initial_{name}_{state}", shape, dtype, optional=optional))
    return Signature(tuple(inputs), tuple(outputs))
