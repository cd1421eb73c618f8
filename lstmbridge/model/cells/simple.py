"""Cells with one state and at most two gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstmbridge.gates import GateBlocks
from lstmbridge.model.cells.base import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class _Simple(Cell):
    """A kernel (I, H) and a recurrent kernel (H, H) per gate, a bias (H,) or none."""

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None
    activation: Fact[str]

    STATES: ClassVar[tuple[str, ...]] = ("h",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (self.units, self.units),
            "bias": (self.units,),
        }

    @property
    def input_size(self) -> int:
        """I: features of x."""
        return self.kernel.shape[0]

    @property
    def units(self) -> int:
        """H: width of h, and of each gate."""
        return self.kernel.shape[1]


@dataclass(frozen=True, eq=False)
class RNN(_Simple):
    """Elman's network (TensorFlow's BasicRNNCell, Keras' SimpleRNN): one block, called ``h``."""

    KIND: ClassVar[str] = "RNN"
    GATES: ClassVar[tuple[str, ...]] = ("h",)


@dataclass(frozen=True, eq=False)
class UGRNN(_Simple):
    """Update gate RNN (Collins et al. 2017): gate g keeps the state, c is the candidate.

    Attributes:
        forget_bias: added to g's pre-activation at run time.
    """

    forget_bias: Fact[float]

    KIND: ClassVar[str] = "UGRNN"
    GATES: ClassVar[tuple[str, ...]] = ("g", "c")


@dataclass(frozen=True, eq=False)
class Intersection(_Simple):
    """Intersection RNN (Collins et al. 2017): a gate through time (gh), one through depth (gy).

    The output is not the state; input and output are as wide as the state. Gates: gh, h (the
    state's candidate), gy, y (the output's candidate). `activation` is y's.

    Attributes:
        forget_bias: added to both gates' pre-activations at run time.
    """

    forget_bias: Fact[float]

    KIND: ClassVar[str] = "Intersection"
    GATES: ClassVar[tuple[str, ...]] = ("gh", "h", "gy", "y")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`: the input is gated too, so it must be as wide as the state."""
        return {**super().shapes(), "kernel": (self.units, self.units)}
