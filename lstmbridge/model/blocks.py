"""How cells are put together into a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One cell, stepped over time."""

    cell: Cell

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


Block: TypeAlias = "Recurrent | Residual | Bidirectional | Sequence"


@dataclass(frozen=True, eq=False)
class Layer:
    """A cell at its place in a network.

    Attributes:
        name: ``layer0``, or ``layer_fw0`` / ``layer_bw0`` where the network is bidirectional.
        index: place within its direction, counted from the input.
        direction: ``""``, ``"fw"`` or ``"bw"``.
    """

    name: str
    cell: Cell
    index: int
    direction: str

    def state_name(self, state: str) -> str:
        """Output name of a final state: ``layer0_h``."""
        return f"{self.name}_{state}"

    def initial_name(self, state: str) -> str:
        """Input name of an initial state: ``initial_layer0_h``."""
        return f"initial_{self.name}_{state}"


def _walk(block: Block, direction: str) -> Iterator[tuple[Recurrent, str]]:
    if isinstance(block, Recurrent):
        yield block, direction
    elif isinstance(block, Residual):
        yield from _walk(block.inner, direction)
    elif isinstance(block, Bidirectional):
        yield from _walk(block.forward, "fw")
        yield from _walk(block.backward, "bw")
    else:
        for child in block.blocks:
            yield from _walk(child, direction)


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
    def layers(self) -> tuple[Layer, ...]:
        """Every cell with its artifact name, from input to output, forward before backward."""
        counts: dict[str, int] = {}
        layers = []
        for recurrent, direction in _walk(self.root, ""):
            index = counts.get(direction, 0)
            counts[direction] = index + 1
            tag = f"_{direction}" if direction else ""
            layers.append(Layer(f"layer{tag}{index}", recurrent.cell, index, direction))
        return tuple(layers)

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
