"""Kernels and constants of a Keras layer -> a cell of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.weights import Kernels
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import (
    KERAS_GRU,
    KERAS_LSTM,
    KERAS_RNN,
    Array,
    GateBlocks,
    GateOrder,
    Weights,
)
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell
from lstmbridge.model.facts import Fact

GATES: Mapping[str, int] = {
    "LSTM": 4,
    "GRU": 3,
    "SimpleRNN": 1,
    "CuDNNLSTM": 4,
    "CuDNNGRU": 3,
    "LSTMCell": 4,
    "GRUCell": 3,
    "SimpleRNNCell": 1,
}
"""Layer or cell class -> its gates."""
CUDNN = frozenset({"CuDNNLSTM", "CuDNNGRU"})
_ORDERS: Mapping[int, GateOrder] = {4: KERAS_LSTM, 3: KERAS_GRU, 1: KERAS_RNN}
_GRU_LETTERS: Mapping[str, str] = {"z": "z", "r": "r", "h": "c"}


@dataclass(frozen=True, slots=True)
class Constants:
    """What the weights of a recurrent layer do not show."""

    activation: Fact[str]
    gate_activation: Fact[str]
    reset_after: Fact[bool]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Numbers made from stored ones by moving them, or by adding two biases. A `Weights`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[], Array]

    def load(self) -> Array:
        """The numbers, read-only."""
        made = np.ascontiguousarray(self.make())
        made.flags.writeable = False
        return made


def build(kernels: Kernels, constants: Constants, *, cudnn: bool) -> Cell:
    """The cell of `kernels`, whose class and constants are known.

    Raises:
        NotRecognised: the arrays do not fit together.
    """
    try:
        return _build(kernels, constants, cudnn=cudnn)
    except ValueError as err:
        raise NotRecognised(
            f"the weights of {kernels.place} do not fit together: {err}",
            expected="kernel, recurrent_kernel and bias of one Keras layer",
            where=kernels.place,
        ) from err


def _build(kernels: Kernels, constants: Constants, *, cudnn: bool) -> Cell:
    fused = _parted if kernels.parted else (_cudnn if cudnn else _plain)
    order = _ORDERS[kernels.gates]
    kernel, recurrent, bias, second = fused(kernels, order)
    if kernels.gates == 1:
        return RNN(kernel, recurrent, bias, constants.activation)
    if kernels.gates == 3:
        return GRU(
            kernel,
            recurrent,
            bias,
            constants.reset_after,
            constants.activation,
            constants.gate_activation,
            second,
        )
    nothing: Fact[float | None] = Fact.read(None, "Keras' LSTM has no such option")
    return LSTM(
        kernel,
        recurrent,
        bias,
        Fact.read(0.0, "Keras stores it in the bias"),
        constants.activation,
        constants.gate_activation,
        nothing,
        nothing,
    )


_Blocks = tuple[GateBlocks, GateBlocks, GateBlocks | None, GateBlocks | None]


def _plain(kernels: Kernels, order: GateOrder) -> _Blocks:
    roles = kernels.roles
    kernel = GateBlocks.from_fused(roles["kernel"], order)
    recurrent = GateBlocks.from_fused(roles["recurrent"], order)
    bias = roles.get("bias")
    if bias is None or len(bias.shape) == 1:
        return (
            kernel,
            recurrent,
            None if bias is None else GateBlocks.from_fused(bias, order),
            None,
        )
    rows = [
        GateBlocks.from_fused(_made(bias, bias.shape[1:], f"row {k}", _row(bias, k)), order)
        for k in range(2)
    ]
    return kernel, recurrent, rows[0], rows[1]


def _row(bias: Weights, k: int) -> Callable[[], Array]:
    return lambda: np.asarray(bias.load()[k])


def _made(source: Weights, shape: tuple[int, ...], how: str, make: Callable[[], Array]) -> Made:
    return Made(f"{source.name} ({how})", shape, source.dtype, make)


def _parted(kernels: Kernels, order: GateOrder) -> _Blocks:
    """Keras 1: ``W_i``, ``U_i``, ``b_i`` and so on, each an array of its own."""
    letters = _GRU_LETTERS if order is KERAS_GRU else {gate: gate for gate in order.gates}
    found: dict[str, GateBlocks] = {}
    for field in ("kernel", "recurrent", "bias"):
        cuts = {
            gate: kernels.roles[f"{field} {letter}"]
            for letter, gate in letters.items()
            if f"{field} {letter}" in kernels.roles
        }
        if len(cuts) != len(letters):
            raise ValueError(f"{field} has gates {', '.join(cuts) or 'none'}")
        found[field] = GateBlocks({gate: cuts[gate] for gate in order.gates})
    return found["kernel"], found["recurrent"], found["bias"], None


def _cudnn(kernels: Kernels, order: GateOrder) -> _Blocks:
    """CuDNNLSTM, CuDNNGRU: matrices as cuDNN lays them, two biases one after the other.

    Gate k of the kernel is stored as ``k.T`` with its numbers in row order; seen in
    TensorFlow 1.15's own conversion.
    """
    kernel, recurrent, bias = (kernels.roles.get(r) for r in ("kernel", "recurrent", "bias"))
    if kernel is None or recurrent is None or bias is None:
        raise ValueError("a cuDNN layer has a kernel, a recurrent_kernel and a bias")
    gates, units = order.gates, recurrent.shape[0]
    width = len(gates) * units
    if bias.shape != (2 * width,):
        raise ValueError(f"bias is {bias.shape}, two of cuDNN's would be ({2 * width},)")

    def laid(stored: Weights, k: int, *, rows: bool) -> Callable[[], Array]:
        def make() -> Array:
            block = stored.load()[:, k * units : (k + 1) * units]
            turned: Array = block.T.reshape(block.shape, order="F") if rows else block.T
            return turned

        return make

    blocks = [
        GateBlocks(
            {
                gate: _made(
                    stored, (stored.shape[0], units), f"gate {gate}", laid(stored, k, rows=rows)
                )
                for k, gate in enumerate(gates)
            }
        )
        for stored, rows in ((kernel, True), (recurrent, False))
    ]
    halves = [
        _made(bias, (width,), f"half {k}", lambda k=k: bias.load()[k * width : (k + 1) * width])  # type: ignore[misc]
        for k in range(2)
    ]
    if order is KERAS_GRU:
        own, second = (GateBlocks.from_fused(half, order) for half in halves)
        return blocks[0], blocks[1], own, second
    total = _made(bias, (width,), "sum of both", lambda: halves[0].load() + halves[1].load())
    return blocks[0], blocks[1], GateBlocks.from_fused(total, order), None
