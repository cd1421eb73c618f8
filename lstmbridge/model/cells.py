"""Recurrent cells as values: their blocks per gate and their constants. No arithmetic in here.

What a cell computes stands in `equations`. Blocks keep TensorFlow's orientation (rows are what
comes in, columns are units), so that they are views of the stored kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lstmbridge.gates import GateBlocks, Weights
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class LSTM:
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

    def __post_init__(self) -> None:
        """Refuse blocks that do not fit together.

        Raises:
            ValueError: naming the block, its shape, and what the others ask for.
        """
        expected: list[tuple[str, GateBlocks | Weights | None, tuple[int, ...]]] = [
            ("kernel", self.kernel, (self.input_size, self.units)),
            ("recurrent", self.recurrent, (self.output_size, self.units)),
            ("bias", self.bias, (self.units,)),
            ("peephole", self.peephole, (self.units,)),
            ("projection", self.projection, (self.units, self.output_size)),
        ]
        for name, block, shape in expected:
            if block is not None and block.shape != shape:
                raise ValueError(f"{name} is {block.shape}, the other blocks ask for {shape}")

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
        return self.recurrent.shape[0] if self.projection is None else self.projection.shape[1]

    @property
    def state_sizes(self) -> dict[str, int]:
        """Width of each state."""
        return {"h": self.output_size, "c": self.units}

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.kernel.dtype

    @property
    def facts(self) -> dict[str, Fact[Any]]:
        """The constants that weights do not show, by the name users know."""
        return {
            "forget_bias": self.forget_bias,
            "activation": self.activation,
            "gate_activation": self.gate_activation,
            "cell_clip": self.cell_clip,
            "proj_clip": self.proj_clip,
        }


Cell = LSTM
"""Every kind of cell there is (a union, once there are more)."""
