"""How cells are put together into a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from lstmbridge.gates import Array, Weights
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One cell, stepped over time.

    Attributes:
        cell: what a step computes.
        initial: state -> (width,), what every row begins with where nothing is fed (a learned
            or constant initial state); a state that is not in here begins with zeros.
    """

    cell: Cell
    initial: Mapping[str, Weights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse initial states that the cell does not have."""
        for state, row in self.initial.items():
            sizes = self.cell.state_sizes
            if row.shape != (sizes.get(state),):
                raise ValueError(
                    f"the initial {state} is {row.shape}, the cell's states are {sizes}"
                )

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.cell.input_size

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.cell.output_size


@dataclass(frozen=True, eq=False)
class Residual:
    """Output of the inner block plus its input (`tf.nn.rnn_cell.ResidualWrapper`).

    The state is the inner cell's own, without the residual.
    """

    inner: Block

    def __post_init__(self) -> None:
        """Refuse a block whose output is not as wide as its input."""
        if self.inner.input_size != self.inner.output_size:
            raise ValueError(
                f"a residual connection adds {self.inner.input_size} input features to "
                f"{self.inner.output_size} output features"
            )

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.inner.input_size

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.inner.output_size


@dataclass(frozen=True, eq=False)
class Highway:
    """Carry * input + transform * the inner block's output (`HighwayWrapper`).

    carry = sigmoid(x W + b); transform = 1 - carry, or a gate of its own where it has weights.
    The state is the inner cell's own.

    Attributes:
        carry_kernel: (F, F), F features of x and of the inner output.
        carry_bias: (F,).
        transform_kernel: (F, F), or None where the gates are coupled.
        transform_bias: (F,), or None likewise.
    """

    inner: Block
    carry_kernel: Weights
    carry_bias: Weights
    transform_kernel: Weights | None = None
    transform_bias: Weights | None = None

    def __post_init__(self) -> None:
        """Refuse gates that do not fit what they gate."""
        size = self.inner.output_size
        if self.inner.input_size != size:
            raise ValueError(
                f"a highway mixes {self.inner.input_size} input features with {size} of output"
            )
        for name, stored in self.weights.items():
            expected = (size, size) if name.endswith("kernel") else (size,)
            if stored.shape != expected:
                raise ValueError(f"{name} is {stored.shape}, the inner block asks for {expected}")

    @property
    def weights(self) -> dict[str, Weights]:
        """What is stored, by field."""
        names = ("carry_kernel", "carry_bias", "transform_kernel", "transform_bias")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.inner.input_size

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.inner.output_size


@dataclass(frozen=True, eq=False)
class Dense:
    """Activation(x W + b) at each step (`InputProjectionWrapper`, `OutputProjectionWrapper`).

    It stands inside the loop: past the end of a row its output is zero.

    Attributes:
        kernel: (I, O).
        bias: (O,), or None.
        activation: linear, unless the wrapper has one.
    """

    kernel: Weights
    bias: Weights | None
    activation: Fact[str]

    def __post_init__(self) -> None:
        """Refuse a bias that does not fit the kernel."""
        if self.bias is not None and self.bias.shape != self.kernel.shape[1:]:
            raise ValueError(f"bias is {self.bias.shape}, kernel is {self.kernel.shape}")

    @property
    def weights(self) -> dict[str, Weights]:
        """What is stored, by field."""
        found = {"kernel": self.kernel, "bias": self.bias}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.kernel.shape[0]

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.kernel.shape[1]


@dataclass(frozen=True, eq=False)
class Bidirectional:
    """Two blocks over one input, the second in reversed time; outputs side by side (fw, bw).

    With lengths, only the valid prefix is reversed (`tf.reverse_sequence`). When the blocks are
    `Sequence`s, the layers of one direction see only that direction
    (`bidirectional_dynamic_rnn` over a `MultiRNNCell` in each direction).
    """

    forward: Block
    backward: Block

    def __post_init__(self) -> None:
        """Refuse directions that do not see the same input."""
        if self.forward.input_size != self.backward.input_size:
            raise ValueError(
                f"the forward direction takes {self.forward.input_size} features, "
                f"the backward direction {self.backward.input_size}"
            )

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.forward.input_size

    @property
    def output_size(self) -> int:
        """Features of both directions together."""
        return self.forward.output_size + self.backward.output_size


@dataclass(frozen=True, eq=False)
class Sequence:
    """Blocks one after another (`MultiRNNCell`)."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        """Refuse blocks that do not chain."""
        if not self.blocks:
            raise ValueError("a Sequence needs at least one block")
        for k, (below, above) in enumerate(zip(self.blocks, self.blocks[1:], strict=False)):
            if below.output_size != above.input_size:
                raise ValueError(
                    f"block {k} gives {below.output_size} features, "
                    f"block {k + 1} takes {above.input_size}"
                )

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.blocks[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the last block's output."""
        return self.blocks[-1].output_size


Block: TypeAlias = "Recurrent | Residual | Highway | Dense | Bidirectional | Sequence"


@dataclass(frozen=True, eq=False)
class Layer:
    """A cell at its place in a network.

    Attributes:
        name: ``layer0``, or ``layer_fw0`` / ``layer_bw0`` where the network is bidirectional.
        index: place within its direction, counted from the input.
        direction: ``""``, ``"fw"`` or ``"bw"``.
        initial: as `Recurrent` has it.
    """

    name: str
    cell: Cell
    index: int
    direction: str
    initial: Mapping[str, Weights] = field(default_factory=dict)

    def state_name(self, state: str) -> str:
        """Output name of a final state: ``layer0_h``."""
        return f"{self.name}_{state}"

    def initial_name(self, state: str) -> str:
        """Input name of an initial state: ``initial_layer0_h``."""
        return f"initial_{self.name}_{state}"

    def start(self, state: str) -> Array:
        """The state (width,) that a row begins with where none is fed, in float64."""
        row = self.initial.get(state)
        if row is None:
            return np.zeros(self.cell.state_sizes[state])
        return row.load().astype(np.float64)


@dataclass(frozen=True, eq=False)
class Attachment:
    """A block with weights that is no cell, at its place in a network.

    Attributes:
        name: ``dense0``, ``highway0``; with a direction as layers have it: ``highway_bw0``.
        block: it.
        direction: ``""``, ``"fw"`` or ``"bw"``.
    """

    name: str
    block: Highway | Dense
    direction: str


def _walk(block: Block, direction: str) -> Iterator[tuple[Recurrent | Highway | Dense, str]]:
    """Every block with weights, in the order in which data meet them."""
    if isinstance(block, Bidirectional):
        yield from _walk(block.forward, "fw")
        yield from _walk(block.backward, "bw")
    elif isinstance(block, Sequence):
        for child in block.blocks:
            yield from _walk(child, direction)
    else:
        if isinstance(block, Residual | Highway):
            yield from _walk(block.inner, direction)
        if not isinstance(block, Residual):
            yield block, direction


@dataclass(frozen=True, eq=False)
class Model:
    """A recurrent network: what sources become and targets are made of.

    Attributes:
        name: the scope it has in its source, ``"encoder/rnn"``.
        root: its topmost block.
        facts: what holds for the network as a whole (``time_major``, ``shared_cell``,
            ``sequence_length``, ``residual``); the cells carry their own.
    """

    name: str
    root: Block
    facts: Mapping[str, Fact[Any]] = field(default_factory=dict)

    @property
    def places(self) -> tuple[Layer | Attachment, ...]:
        """Every block with weights under its artifact name, in the order in which data meet them.

        A highway stands after what it goes around; forward comes before backward.
        """
        counts: dict[str, int] = {}
        found: list[Layer | Attachment] = []
        for block, direction in _walk(self.root, ""):
            kind = "layer" if isinstance(block, Recurrent) else type(block).__name__.lower()
            tag = kind + (f"_{direction}" if direction else "")
            index = counts[tag] = counts.get(tag, -1) + 1
            name = f"{tag}{index}"
            if isinstance(block, Recurrent):
                found.append(Layer(name, block.cell, index, direction, block.initial))
            else:
                found.append(Attachment(name, block, direction))
        return tuple(found)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every cell with its artifact name, from input to output, forward before backward."""
        return tuple(place for place in self.places if isinstance(place, Layer))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Every block with weights that is no cell, in the order in which data meet them."""
        return tuple(place for place in self.places if isinstance(place, Attachment))

    @property
    def input_size(self) -> int:
        """Features of `inputs`."""
        return self.root.input_size

    @property
    def output_size(self) -> int:
        """Features of `outputs`."""
        return self.root.output_size

    @property
    def dtype(self) -> np.dtype[Any]:
        """As the first layer's weights are stored."""
        return self.layers[0].cell.dtype

    @property
    def all_facts(self) -> dict[str, Fact[Any]]:
        """Facts of the network and of each layer, as ``layer0.forget_bias``."""
        facts = dict(self.facts)
        for layer in self.layers:
            facts.update({f"{layer.name}.{k}": v for k, v in layer.cell.facts.items()})
        return facts
