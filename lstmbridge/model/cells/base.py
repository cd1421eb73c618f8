"""What every recurrent cell is: stored blocks, constants, states, and shapes that must fit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from lstmbridge.gates import GateBlocks, Weights
from lstmbridge.model.facts import Fact

Stored = GateBlocks | Weights
"""A field of a cell that holds numbers: one block per gate, or one array without gates."""


@dataclass(frozen=True, eq=False)
class Cell:
    """The root of all cells. A cell is data: what it computes stands in `equations`.

    Every field of a cell is one of three things: blocks per gate (`GateBlocks`), an array
    without gates (`Weights`), or a constant that weights do not show (`Fact`). Blocks keep
    TensorFlow's orientation (rows are what comes in, columns are units), so that they are views
    of the stored kernel.

    Attributes:
        KIND: the cell's name for a person.
        GATES: its gates, in the order in which equations lay them side by side.
        STATES: its states, the output's own first.
    """

    KIND: ClassVar[str]
    GATES: ClassVar[tuple[str, ...]]
    STATES: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        """Refuse blocks that do not fit together.

        Raises:
            ValueError: naming the block, its shape, and what the others ask for.
        """
        expected = self.shapes()
        for name, stored in self.blocks.items():
            if stored.shape != expected[name]:
                raise ValueError(
                    f"{name} is {stored.shape}, the other blocks ask for {expected[name]}"
                )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape that each block (of one gate) must have, for every field of numbers."""
        raise NotImplementedError

    @property
    def input_size(self) -> int:
        """Features of x."""
        raise NotImplementedError

    @property
    def units(self) -> int:
        """Width of a gate."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        """Features of the output; `units` unless the cell says otherwise."""
        return self.units

    @property
    def state_sizes(self) -> dict[str, int]:
        """Width of each state; `units` unless the cell says otherwise."""
        return dict.fromkeys(self.STATES, self.units)

    @property
    def blocks(self) -> dict[str, Stored]:
        """Every field of numbers that is there, by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: value
            for name, value in found.items()
            if value is not None and not isinstance(value, Fact)
        }

    @property
    def facts(self) -> dict[str, Fact[Any]]:
        """The constants that weights do not show, by the name users know."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Fact)}

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return next(iter(self.blocks.values())).dtype

    def groups(self, field: str) -> tuple[tuple[str, ...], ...]:
        """Which gates of `field` the equations want side by side in one array.

        All of them where the field has all of the cell's gates, each by itself otherwise.
        """
        gates = tuple(g for g in self.GATES if g in getattr(self, field))
        return (gates,) if gates == self.GATES else tuple((gate,) for gate in gates)
