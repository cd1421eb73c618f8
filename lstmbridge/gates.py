"""Gate algebra: names, orders as data, and blocks cut out of fused tensors.

Nothing here knows a file format, a framework or a file system.

Gates of the LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000), by the letter used
throughout lstmbridge:

=====  =====================  ==========================================================
``i``  input gate             called i everywhere
``f``  forget gate            called f everywhere
``c``  candidate (cell input) ``j`` in TensorFlow 1, ``c`` in Keras and ONNX, ``g`` in PyTorch
``o``  output gate            called o everywhere
=====  =====================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GATE_NAMES: Mapping[str, str] = {
    "i": "input gate",
    "f": "forget gate",
    "c": "candidate",
    "o": "output gate",
}


@dataclass(frozen=True, slots=True)
class GateOrder:
    """In which order one framework lays the gates side by side in a fused tensor.

    Attributes:
        name: who uses it.
        gates: one letter per block, first block first.
    """

    name: str
    gates: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.gates)

    def index(self, gate: str) -> int:
        """Position of `gate` among the blocks."""
        return self.gates.index(gate)


# BasicLSTMCell, LSTMCell, LSTMBlockCell, CudnnCompatibleLSTMCell: i, j, f, o
TENSORFLOW_LSTM = GateOrder("TensorFlow 1 LSTM cells", ("i", "c", "f", "o"))
KERAS_LSTM = GateOrder("Keras LSTM", ("i", "f", "c", "o"))
PYTORCH_LSTM = GateOrder("torch.nn.LSTM", ("i", "f", "c", "o"))
# ONNX operator LSTM: the inputs W, R and B; its input P has no candidate
ONNX_LSTM = GateOrder("ONNX LSTM", ("i", "o", "f", "c"))
ONNX_PEEPHOLE = GateOrder("ONNX LSTM peephole", ("i", "o", "f"))

KNOWN_ORDERS: tuple[GateOrder, ...] = (
    TENSORFLOW_LSTM,
    KERAS_LSTM,
    PYTORCH_LSTM,
    ONNX_LSTM,
    ONNX_PEEPHOLE,
)


class Weights(Protocol):
    """Numbers that may still lie in a file: shape now, bytes later."""

    @property
    def name(self) -> str:
        """How the source calls it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Known without reading the numbers."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; bfloat16 is `ml_dtypes.bfloat16`."""
        ...

    def load(self) -> Array:
        """The numbers: a read-only array, a view of the file where the format allows."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """An array that is already here, seen as `Weights`."""

    name: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's dtype."""
        return self.array.dtype

    def load(self) -> Array:
        """A read-only view of the array."""
        view: Array = self.array.view()
        view.flags.writeable = False
        return view


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A rectangular piece of a stored tensor: one gate's block, or the rows that see x."""

    source: Weights
    index: tuple[slice, ...]

    @property
    def name(self) -> str:
        """The tensor's name and which piece of it."""
        spans = ", ".join(f"{s.start}:{s.stop}" for s in self.index)
        return f"{self.source.name}[{spans}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the piece."""
        return tuple(s.stop - s.start for s in self.index)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.source.dtype

    def load(self) -> Array:
        """A view of the tensor: no number is copied."""
        piece: Array = self.source.load()[self.index]
        return piece


class GateBlocks(Mapping[str, Array]):
    """One block per gate; ``blocks["f"]`` gives the forget gate's numbers.

    All blocks have one shape and dtype. Reading a block loads it; shapes do not.
    """

    def __init__(self, cuts: Mapping[str, Weights]) -> None:
        if not cuts:
            raise ValueError("GateBlocks needs at least one gate")
        shapes = {cut.shape for cut in cuts.values()}
        if len(shapes) != 1:
            raise ValueError(f"the gates' blocks differ in shape: {sorted(shapes)}")
        self._cuts = dict(cuts)

    @classmethod
    def from_fused(cls, fused: Weights, order: GateOrder, rows: slice | None = None) -> GateBlocks:
        """Cut a fused tensor (..., n_gates * units) into gates along its last axis.

        Args:
            fused: the stored tensor; one or two axes.
            order: how its blocks lie side by side.
            rows: for a kernel over [x; h], the rows that belong to x, or to h.

        Raises:
            ValueError: the last axis does not divide by the number of gates.
        """
        width, rest = divmod(fused.shape[-1], len(order.gates))
        if rest:
            raise ValueError(
                f"{fused.name} {fused.shape} does not divide into {len(order.gates)} gates"
            )
        lead = [slice(0, n) for n in fused.shape[:-1]]
        if rows is not None:
            lead[0] = rows
        cuts = {
            gate: Cut(fused, (*lead, slice(k * width, (k + 1) * width)))
            for k, gate in enumerate(order.gates)
        }
        return cls(cuts)

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> GateBlocks:
        """Blocks from arrays that are already apart."""
        return cls({gate: InMemory(gate, array) for gate, array in arrays.items()})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each block."""
        return next(iter(self._cuts.values())).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return next(iter(self._cuts.values())).dtype

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates, in the source's own order."""
        return tuple(self._cuts)

    def cut(self, gate: str) -> Weights:
        """The gate's block, not loaded."""
        return self._cuts[gate]

    def join(self, order: GateOrder | Sequence[str], axis: int = -1) -> Array:
        """The blocks laid side by side in `order`, as one new array."""
        gates = order.gates if isinstance(order, GateOrder) else order
        joined: Array = np.concatenate([self[gate] for gate in gates], axis=axis)
        return joined

    def renamed(self, new_of_old: Mapping[str, str]) -> GateBlocks:
        """The same blocks under other gates' names (planting a gate swap, for one)."""
        return GateBlocks({new_of_old.get(g, g): cut for g, cut in self._cuts.items()})

    def __getitem__(self, gate: str) -> Array:
        return self._cuts[gate].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._cuts)

    def __len__(self) -> int:
        return len(self._cuts)

    def __repr__(self) -> str:
        return f"GateBlocks({', '.join(self._cuts)}: {self.shape} {self.dtype})"
