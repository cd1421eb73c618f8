"""ONNX's recurrent operators, and which of them says which kind of cell. Data.

Source: the operators' specifications, https://onnx.ai/onnx/operators/ (LSTM, GRU, RNN). All have
the inputs X, W, R, B, sequence_lens, one initial state per state (LSTM: and P), and the outputs
Y, then one last state per state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lstmbridge.gates import ONNX_GRU, ONNX_LSTM, ONNX_PEEPHOLE, ONNX_RNN, GateOrder


@dataclass(frozen=True, slots=True)
class Operator:
    """One recurrent operator.

    Attributes:
        name: its op type.
        order: the gates in W, in R, and in each half of B.
        states: in the order of its outputs after Y, and of its inputs after sequence_lens.
        activations: in the operator's order, the constant of a cell that each stands for.
        defaults: the activations where it says none, by TensorFlow's names.
        peephole: the gates in its input P, which follows the states; None: it has none.
        picks_last: where there are lengths, the last state is picked out of Y. For a row of
            length 0, ONNX Runtime's RNN reads its Y_h from memory that is not its own, until
            2026 (microsoft/onnxruntime pull request 28052); seen with 1.17.
    """

    name: str
    order: GateOrder
    states: tuple[str, ...]
    activations: tuple[str, ...]
    defaults: tuple[str, ...]
    peephole: GateOrder | None = None
    picks_last: bool = False

    def output(self, state: str) -> int:
        """Which output is the last `state`."""
        return 1 + self.states.index(state)


X, W, R, B, LENGTHS, STATES, P = 0, 1, 2, 3, 4, 5, 7
"""Places among the inputs; the states begin at `STATES`."""

LSTM = Operator(
    "LSTM",
    ONNX_LSTM,
    ("h", "c"),
    ("gate_activation", "activation", "activation"),
    ("sigmoid", "tanh", "tanh"),
    ONNX_PEEPHOLE,
)
GRU = Operator("GRU", ONNX_GRU, ("h",), ("gate_activation", "activation"), ("sigmoid", "tanh"))
RNN = Operator("RNN", ONNX_RNN, ("h",), ("activation",), ("tanh",), picks_last=True)

OPERATORS: Mapping[str, Operator] = {
    "LSTM": LSTM,
    "CoupledLSTM": LSTM,
    "GRU": GRU,
    "RNN": RNN,
}
"""Kind of cell -> the operator that says it; the capability table says when."""
