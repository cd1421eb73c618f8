"""LSTM's relatives: coupled gates, layer norm, independent units, NAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lstmbridge.gates import GateBlocks, Weights
from lstmbridge.model.cells.base import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, eq=False)
class CoupledLSTM(Cell):
    """LSTM whose input gate is 1 - forget gate (Greff et al. 2015; CoupledInputForgetGate).

    Attributes:
        kernel: per gate (I, H).
        recurrent: per gate (P, H).
        bias: per gate (H,).
        forget_bias: added to the forget gate at run time.
        activation: of candidate and output.
        proj_clip: clamp of the projected output, or None.
        peephole: gates f, o: (H,) each; f sees the old c, o the new one.
        projection: (H, P).
    """

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None
    forget_bias: Fact[float]
    activation: Fact[str]
    proj_clip: Fact[float | None]
    peephole: GateBlocks | None = None
    projection: Weights | None = None

    KIND: ClassVar[str] = "CoupledLSTM"
    GATES: ClassVar[tuple[str, ...]] = ("f", "c", "o")
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


@dataclass(frozen=True, eq=False)
class LayerNormLSTM(Cell):
    """LSTM with layer norm of each gate and of the new c (LayerNormBasicLSTMCell; Ba 2016).

    There is no bias; the normalised c is the one that is carried.

    Attributes:
        kernel: per gate (I, H).
        recurrent: per gate (H, H).
        gain: per gate (H,): ``gamma``.
        shift: per gate (H,): ``beta``.
        state_gain: (H,), of c.
        state_shift: (H,), of c.
        forget_bias: added to the normalised forget gate at run time.
        activation: of candidate and output.
        epsilon: added to the variance; TensorFlow's is 1e-12 (1e-3 in float16).
    """

    kernel: GateBlocks
    recurrent: GateBlocks
    gain: GateBlocks
    shift: GateBlocks
    state_gain: Weights
    state_shift: Weights
    forget_bias: Fact[float]
    activation: Fact[str]
    epsilon: Fact[float]

    KIND: ClassVar[str] = "LayerNormLSTM"
    GATES: ClassVar[tuple[str, ...]] = ("i", "f", "c", "o")
    STATES: ClassVar[tuple[str, ...]] = ("h", "c")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        vectors = ("gain", "shift", "state_gain", "state_shift")
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (self.units, self.units),
            **dict.fromkeys(vectors, (self.units,)),
        }

    def groups(self, field: str) -> tuple[tuple[str, ...], ...]:
        """Each gate is normalised by itself."""
        if field in {"gain", "shift"}:
            return tuple((gate,) for gate in self.GATES)
        return super().groups(field)

    @property
    def input_size(self) -> int:
        """I: features of x."""
        return self.kernel.shape[0]

    @property
    def units(self) -> int:
        """H: width of c, and of each gate."""
        return self.kernel.shape[1]


@dataclass(frozen=True, eq=False)
class _Independent(Cell):
    """A kernel (I, H) per gate; each unit sees its own h only: recurrent (1, H) per gate."""

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None
    activation: Fact[str]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (1, self.units),
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
class IndyLSTM(_Independent):
    """Independently recurrent LSTM (Gonnet & Deselaers 2019).

    Attributes:
        forget_bias: added to the forget gate at run time.
    """

    forget_bias: Fact[float]

    KIND: ClassVar[str] = "IndyLSTM"
    GATES: ClassVar[tuple[str, ...]] = ("i", "f", "c", "o")
    STATES: ClassVar[tuple[str, ...]] = ("h", "c")


@dataclass(frozen=True, eq=False)
class IndyGRU(_Independent):
    """Independently recurrent GRU, the reset before the recurrent product."""

    KIND: ClassVar[str] = "IndyGRU"
    GATES: ClassVar[tuple[str, ...]] = ("r", "z", "c")
    STATES: ClassVar[tuple[str, ...]] = ("h",)

    def groups(self, field: str) -> tuple[tuple[str, ...], ...]:
        """The candidate's recurrent weights stand apart: the reset comes before them."""
        return (("r", "z"), ("c",)) if field == "recurrent" else super().groups(field)


@dataclass(frozen=True, eq=False)
class NAS(Cell):
    """The cell found by architecture search (Zoph & Le 2017): eight blocks, n0 to n7.

    Attributes:
        kernel: per block (I, H).
        recurrent: per block (P, H).
        bias: per block (H,), added to the recurrent product; or None.
        projection: (H, P), or None.
    """

    kernel: GateBlocks
    recurrent: GateBlocks
    bias: GateBlocks | None = None
    projection: Weights | None = None

    KIND: ClassVar[str] = "NAS"
    GATES: ClassVar[tuple[str, ...]] = tuple(f"n{k}" for k in range(8))
    STATES: ClassVar[tuple[str, ...]] = ("h", "c")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See `Cell.shapes`."""
        return {
            "kernel": (self.input_size, self.units),
            "recurrent": (self.output_size, self.units),
            "bias": (self.units,),
            "projection": (self.units, self.output_size),
        }

    @property
    def input_size(self) -> int:
        """I: features of x."""
        return self.kernel.shape[0]

    @property
    def units(self) -> int:
        """H: width of c, and of each block."""
        return self.kernel.shape[1]

    @property
    def output_size(self) -> int:
        """P: width of h."""
        return self.units if self.projection is None else self.projection.shape[1]

    @property
    def state_sizes(self) -> dict[str, int]:
        """H for c, P for h."""
        return {"h": self.output_size, "c": self.units}
