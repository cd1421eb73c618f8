"""Long short-term memory, as TensorFlow's own cells have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstmbridge.gates import GateBlocks, Weights
from lstmbridge.model.cells.base import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class LSTM(Cell):
    """Long short-term memory (Gers et al. 2000), with TensorFlow's every option.

    Shapes: I input size, H units, P output size (the projection's width, else H).

    Attributes:
        kernel: per gate (I, H): what x is multiplied by.
        recurrent: per gate (P, H): what h is multiplied by.
        bias: per gate (H,), or None where the source stores none.
        forget_bias: added to the forget gate's pre-activation at run time; not in `bias`.
        activation: of candidate and output (`arrays.ACTIVATIONS`).
        gate_activation: of the three gates.
        cell_clip: the new c is clamped to [-clip, clip] before the output gate sees it, and is
            carried so. None: not clamped.
        proj_clip: the same for the projected output.
        peephole: gates i, f, o: (H,) each; i and f see the old c, o the new one.
        projection: (H, P): h = projection of the cell's output; no bias, no activation.
    """

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None
    forget_bias: Fact[float]
    activation: Fact[str]
    gate_activation: Fact[str]
    cell_clip: Fact[float | None]
    proj_clip: Fact[float | None]
    peephole: GateBlocks | None = None
    projection: Weights | None = None

    KIND: ClassVar[str] = "LSTM"
    GATES: ClassVar[tuple[str, ...]] = ("i", "f", "c", "o")
    STATES: ClassVar[tuple[str, ...]] = ("h", "c")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (self.output_size, self.units),
            "bias": (self.units,),
            "peephole": (self.units,),
            "projection": (self.units, self.output_size),
        }

    @property
    def input_size(self) -> int:
        """I: features of x."""
        return self.kernel.shape[0]

    @property
    def units(self) -> int:
        """H: width of c, and of each gate."""
        return self.kernel.shape[1]

    @property
    def output_size(self) -> int:
        """P: width of h."""
        return self.units if self.projection is None else self.projection.shape[1]

    @property
    def state_sizes(self) -> dict[str, int]:
        """H for c, P for h."""
        return {"h": self.output_size, "c": self.units}
