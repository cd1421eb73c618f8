"""Gated recurrent units: the reset gate before, or after, the recurrent product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstmbridge.gates import GateBlocks
from lstmbridge.model.cells.base import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014): gates r (reset), z (update; ``u`` in TensorFlow).

    The update gate keeps the old state where it is 1, as in TensorFlow, Keras, PyTorch, ONNX.
    Shapes: I input size, H units.

    Attributes:
        kernel: per gate (I, H): what x is multiplied by.
        recurrent: per gate (H, H): what h is multiplied by.
        bias: per gate (H,), or None.
        recurrent_bias: gate by gate (H,), added to the recurrent product; only where
            `reset_after` (before it, `bias` says the same). May hold the candidate alone.
        reset_after: the reset gate multiplies the candidate's recurrent product (cuDNN, PyTorch,
            Keras' ``reset_after``, ONNX ``linear_before_reset``), not the state before it
            (TensorFlow's GRUCell).
        activation: of the candidate.
        gate_activation: of both gates.
    """

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None
    reset_after: Fact[bool]
    activation: Fact[str]
    gate_activation: Fact[str]
    recurrent_bias: GateBlocks | None = None

    KIND: ClassVar[str] = "GRU"
    GATES: ClassVar[tuple[str, ...]] = ("r", "z", "c")
    STATES: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        """See `Cell`; and a recurrent bias needs the reset after it.

        Raises:
            ValueError: blocks that do not fit together.
        """
        super().__post_init__()
        if self.recurrent_bias is not None and not self.reset_after.value:
            raise ValueError("a recurrent bias is told from the bias only where reset comes after")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (self.units, self.units),
            "bias": (self.units,),
            "recurrent_bias": (self.units,),
        }

    def groups(self, field: str) -> tuple[tuple[str, ...], ...]:
        """The candidate's recurrent weights stand apart where the reset comes before them."""
        if field == "recurrent" and not self.reset_after.value:
            return (("r", "z"), ("c",))
        return super().groups(field)

    @property
    def input_size(self) -> int:
        """I: features of x."""
        return self.kernel.shape[0]

    @property
    def units(self) -> int:
        """H: width of h, and of each gate."""
        return self.kernel.shape[1]
