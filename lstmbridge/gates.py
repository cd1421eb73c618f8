"""Gate algebra: names, orders as data, and blocks cut out of fused tensors.

Nothing here knows a file format, a framework or a file system.

The letters used throughout lstmbridge, whatever a framework calls the gate:

==========  ===========================  ====================================================
``i``       input gate                   called i everywhere
``f``       forget gate                  called f everywhere
``c``       candidate                    ``j`` in TensorFlow's LSTMs, ``c`` in Keras' and ONNX's,
                                         ``g`` in PyTorch's; of a GRU: ``h`` in Keras and ONNX,
                                         ``n`` in PyTorch
``o``       output gate                  called o everywhere
``r``       reset gate                   called r everywhere
``z``       update gate, 1 keeps         ``u`` in TensorFlow
``h``       the new state, if ungated    ``i`` in ONNX
``g``       gate of the UGRNN, 1 keeps   as in TensorFlow
``gh``      Intersection: through time   as in TensorFlow; its candidate is ``h``
``gy``      Intersection: through depth  as in TensorFlow; its candidate is ``y``
``n0``-``n7``  blocks of the NAS cell    TensorFlow numbers them too
==========  ===========================  ====================================================
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
    "r": "reset gate",
    "z": "update gate",
    "g": "update gate",
    "h": "new state",
    "gh": "gate through time",
    "gy": "gate through depth",
    "y": "new output",
    **{f"n{k}": f"block {k}" for k in range(8)},
}


@dataclass(frozen=True, slots=True)
class GateOrder:
    """In which order one framework lays the gates side by side in a fused tensor.

    Attributes:
        name: who uses it.
        gates: one letter per block, first block first.
        own: the framework's own letters for the same blocks, where it uses others.
        tensors: which of the framework's tensors lie so.
    """

    name: str
    gates: tuple[str, ...]
    own: tuple[str, ...] = ()
    tensors: str = ""

    def __str__(self) -> str:
        return ", ".join(self.gates)

    def index(self, gate: str) -> int:
        """Position of `gate` among the blocks."""
        return self.gates.index(gate)

    @property
    def letters(self) -> tuple[str, ...]:
        """The blocks in the framework's own letters."""
        return self.own or self.gates

    def letter(self, gate: str) -> str:
        """What the framework calls `gate`; `gate` itself where it has no block of its own."""
        return self.letters[self.index(gate)] if gate in self.gates else gate


# BasicLSTMCell, LSTMCell, LSTMBlockCell, CudnnCompatibleLSTMCell: i, j, f, o
TENSORFLOW_LSTM = GateOrder(
    "TensorFlow 1 LSTM cells", ("i", "c", "f", "o"), ("i", "j", "f", "o"), "kernel, bias"
)
KERAS_LSTM = GateOrder(
    "Keras LSTM", ("i", "f", "c", "o"), tensors="kernel, recurrent_kernel, bias"
)
PYTORCH_LSTM = GateOrder(
    "torch.nn.LSTM",
    ("i", "f", "c", "o"),
    ("i", "f", "g", "o"),
    "weight_ih, weight_hh, bias_ih, bias_hh",
)
# ONNX operator LSTM: the inputs W, R and B; its input P has no candidate
ONNX_LSTM = GateOrder("ONNX LSTM", ("i", "o", "f", "c"), tensors="W, R, B")
ONNX_PEEPHOLE = GateOrder("ONNX LSTM peephole", ("i", "o", "f"), tensors="P")

# GRUCell, GRUBlockCell, CudnnCompatibleGRUCell: the candidate is stored apart
TENSORFLOW_GRU_GATES = GateOrder(
    "TensorFlow 1 GRU cells, gates", ("r", "z"), ("r", "u"), "gates/kernel, gates/bias"
)
TENSORFLOW_GRU_CANDIDATE = GateOrder(
    "TensorFlow 1 GRU cells, candidate", ("c",), tensors="candidate/kernel, candidate/bias"
)
KERAS_GRU = GateOrder(
    "Keras GRU", ("z", "r", "c"), ("z", "r", "h"), "kernel, recurrent_kernel, bias"
)
PYTORCH_GRU = GateOrder(
    "torch.nn.GRU",
    ("r", "z", "c"),
    ("r", "z", "n"),
    "weight_ih, weight_hh, bias_ih, bias_hh",
)
ONNX_GRU = GateOrder("ONNX GRU", ("z", "r", "c"), ("z", "r", "h"), "W, R, B")

TENSORFLOW_RNN = GateOrder("TensorFlow 1 BasicRNNCell", ("h",), tensors="kernel, bias")
KERAS_RNN = GateOrder("Keras SimpleRNN", ("h",), tensors="kernel, recurrent_kernel, bias")
PYTORCH_RNN = GateOrder("torch.nn.RNN", ("h",), tensors="weight_ih, weight_hh, bias_ih, bias_hh")
ONNX_RNN = GateOrder("ONNX RNN", ("h",), ("i",), "W, R, B")

TENSORFLOW_COUPLED = GateOrder(
    "TensorFlow 1 CoupledInputForgetGateLSTMCell", ("c", "f", "o"), ("j", "f", "o"), "W_0, B"
)
TENSORFLOW_LAYER_NORM = GateOrder(
    "TensorFlow 1 LayerNormBasicLSTMCell", ("i", "c", "f", "o"), ("i", "j", "f", "o"), "kernel"
)
TENSORFLOW_INDY_LSTM = GateOrder(
    "TensorFlow 1 IndyLSTMCell",
    ("i", "c", "f", "o"),
    ("i", "j", "f", "o"),
    "kernel_w, kernel_u, bias",
)
TENSORFLOW_INDY_GRU_GATES = GateOrder(
    "TensorFlow 1 IndyGRUCell, gates",
    ("r", "z"),
    ("r", "u"),
    "gates/kernel_w, gates/kernel_u, gates/bias",
)
TENSORFLOW_INDY_GRU_CANDIDATE = GateOrder(
    "TensorFlow 1 IndyGRUCell, candidate",
    ("c",),
    tensors="candidate/kernel, candidate/kernel_u, candidate/bias",
)
TENSORFLOW_UGRNN = GateOrder("TensorFlow 1 UGRNNCell", ("g", "c"), tensors="kernel, bias")
TENSORFLOW_INTERSECTION = GateOrder(
    "TensorFlow 1 IntersectionRNNCell", ("gh", "h", "gy", "y"), tensors="kernel, bias"
)
TENSORFLOW_NAS = GateOrder(
    "TensorFlow 1 NASCell",
    tuple(f"n{k}" for k in range(8)),
    tensors="kernel, recurrent_kernel, bias",
)

Orders = Mapping[str, tuple[GateOrder, ...]]
"""Framework -> how it lays the gates of one kind of cell; several where it has several tensors."""

FRAMEWORKS: tuple[str, ...] = ("TensorFlow 1", "Keras", "PyTorch", "ONNX")
"""The frameworks of `ORDERS`, in the order in which they are shown."""

ORDERS: Mapping[str, Orders] = {
    "LSTM": {
        "TensorFlow 1": (TENSORFLOW_LSTM,),
        "Keras": (KERAS_LSTM,),
        "PyTorch": (PYTORCH_LSTM,),
        "ONNX": (ONNX_LSTM, ONNX_PEEPHOLE),
    },
    "GRU": {
        "TensorFlow 1": (TENSORFLOW_GRU_GATES, TENSORFLOW_GRU_CANDIDATE),
        "Keras": (KERAS_GRU,),
        "PyTorch": (PYTORCH_GRU,),
        "ONNX": (ONNX_GRU,),
    },
    "RNN": {
        "TensorFlow 1": (TENSORFLOW_RNN,),
        "Keras": (KERAS_RNN,),
        "PyTorch": (PYTORCH_RNN,),
        "ONNX": (ONNX_RNN,),
    },
    "CoupledLSTM": {"TensorFlow 1": (TENSORFLOW_COUPLED,)},
    "LayerNormLSTM": {"TensorFlow 1": (TENSORFLOW_LAYER_NORM,)},
    "IndyLSTM": {"TensorFlow 1": (TENSORFLOW_INDY_LSTM,)},
    "IndyGRU": {"TensorFlow 1": (TENSORFLOW_INDY_GRU_GATES, TENSORFLOW_INDY_GRU_CANDIDATE)},
    "UGRNN": {"TensorFlow 1": (TENSORFLOW_UGRNN,)},
    "Intersection": {"TensorFlow 1": (TENSORFLOW_INTERSECTION,)},
    "NAS": {"TensorFlow 1": (TENSORFLOW_NAS,)},
}
"""Kind of cell -> framework -> its orders. A framework without the cell is not there."""


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

    def __contains__(self, gate: object) -> bool:
        return gate in self._cuts  # Mapping's own would load the block to see

    def __iter__(self) -> Iterator[str]:
        return iter(self._cuts)

    def __len__(self) -> int:
        return len(self._cuts)

    def __repr__(self) -> str:
        return f"GateBlocks({', '.join(self._cuts)}: {self.shape} {self.dtype})"
