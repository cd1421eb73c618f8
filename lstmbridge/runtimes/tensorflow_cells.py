"""TensorFlow's own cells for the model's: which class, with which options, and what it stores.

=============================  =============================================================
cell                           TensorFlow 2's
=============================  =============================================================
LSTM                           ``rnn_cell.LSTMCell``
GRU, reset before              ``rnn_cell.GRUCell``
GRU, reset after, or with      Keras' ``GRUCell``, which has both resets and any activation
gates other than sigmoid
RNN                            ``rnn_cell.BasicRNNCell``
=============================  =============================================================

What else TensorFlow 1 had in ``tf.contrib`` is gone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import KERAS_GRU, TENSORFLOW_LSTM, Array, GateBlocks, GateOrder
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell

NAME = "tensorflow"

_CELLS = (
    # where TensorFlow and Keras have kept the cells, newest place first
    "tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl",
    "tensorflow.python.ops.rnn_cell_impl",
)
_KERAS = "tensorflow.python.keras.layers.recurrent"

ACTIVATIONS: Mapping[str, Callable[[Any], Callable[[Any], Any]]] = {
    "tanh": lambda tf: tf.tanh,
    "sigmoid": lambda tf: tf.sigmoid,
    "relu": lambda tf: tf.nn.relu,
    "elu": lambda tf: tf.nn.elu,
    "selu": lambda tf: tf.nn.selu,
    "softplus": lambda tf: tf.nn.softplus,
    "softsign": lambda tf: tf.nn.softsign,
    "linear": lambda tf: tf.identity,
    "relu6": lambda tf: tf.nn.relu6,
    "leaky_relu": lambda tf: tf.nn.leaky_relu,
    # Keras before version 3; Keras 3 has another function by this name
    "hard_sigmoid": lambda tf: lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0),
}


@dataclass(frozen=True)
class Tools:
    """TensorFlow, the module that holds its cells, and the precision of the network."""

    tf: Any
    rnn: Any
    dtype: Any

    def activation(self, name: str) -> Callable[[Any], Any]:
        """TensorFlow's function."""
        return ACTIVATIONS[name](self.tf)


@dataclass(frozen=True)
class OwnCell:
    """One of TensorFlow's cells.

    Attributes:
        make: tools, cell -> an instance.
        variables: cell -> its numbers by the ends of TensorFlow's variable names.
        states: in the order in which TensorFlow flattens them.
        any_gates: its gates may have another activation than sigmoid.
    """

    make: Callable[[Tools, Any], Any]
    variables: Callable[[Any], dict[str, Array]]
    states: tuple[str, ...] = ("h",)
    any_gates: bool = False


def own_cell(cell: Cell) -> OwnCell | None:
    """TensorFlow 2's cell for `cell`; None where it has none."""
    if isinstance(cell, GRU) and (
        cell.reset_after.value or cell.gate_activation.value != "sigmoid"
    ):
        return _KERAS_GRU
    return _OWN.get(type(cell))


def lacking(cell: Cell) -> str:
    """What of `cell` TensorFlow 2 "has no"; "" where it has all."""
    own = own_cell(cell)
    if own is None:
        return f"cell for {cell.KIND}"
    facts = {name: fact.value for name, fact in cell.facts.items()}
    gates = facts.get("gate_activation", "sigmoid")
    if gates != "sigmoid" and not own.any_gates:
        return f"{cell.KIND} cell with {gates} gates: its are sigmoid"
    unknown = {gates, facts.get("activation", "tanh")} - ACTIVATIONS.keys()
    return f"activation {min(unknown)}" if unknown else ""


def tools_of(tf: Any, dtype: Any) -> Tools:
    """Where this TensorFlow keeps its cells.

    Raises:
        RuntimeUnavailable: nowhere.
    """
    for name in _CELLS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "LSTMCell") and hasattr(module, "ResidualWrapper"):
            return Tools(tf, module, dtype)
    raise RuntimeUnavailable(
        f"TensorFlow {tf.__version__} has no LSTMCell any more",
        expected=f"one of the modules {', '.join(_CELLS)}",
        where=NAME,
        advice="pip install tensorflow==2.16.2",
    )


def leaf_cells(cell: Any) -> list[Any]:
    """The cells with variables inside a cell, in order."""
    if hasattr(cell, "_cells"):
        return [leaf for inner in cell._cells for leaf in leaf_cells(inner)]  # noqa: SLF001
    if hasattr(cell, "cell"):
        return leaf_cells(cell.cell)
    return [cell]


# --- the cells -------------------------------------------------------------------------------


def _stacked(cell: Cell, gates: GateOrder | tuple[str, ...]) -> Array:
    """Rows that see x above rows that see h."""
    parts = (_blocks(cell, "kernel"), _blocks(cell, "recurrent"))
    return np.concatenate([part.join(gates) for part in parts], axis=0)


def _biases(cell: Cell, field: str, gates: tuple[str, ...]) -> Array:
    """A bias side by side, with zeros for what is not stored."""
    stored = cell.blocks.get(field)
    zeros = np.zeros(cell.units, cell.dtype)
    there = dict(stored) if isinstance(stored, GateBlocks) else {}
    return np.concatenate([there.get(gate, zeros) for gate in gates])


def _blocks(cell: Cell, field: str) -> GateBlocks:
    blocks = cell.blocks[field]
    assert isinstance(blocks, GateBlocks)
    return blocks


def _lstm(tools: Tools, cell: LSTM) -> Any:
    projected = cell.projection is not None
    return tools.rnn.LSTMCell(
        cell.units,
        use_peepholes=cell.peephole is not None,
        cell_clip=cell.cell_clip.value,
        num_proj=cell.output_size if projected else None,
        proj_clip=cell.proj_clip.value if projected else None,
        forget_bias=cell.forget_bias.value,
        activation=tools.activation(cell.activation.value),
        dtype=tools.dtype,
    )


def _lstm_variables(cell: LSTM) -> dict[str, Array]:
    found = {
        "kernel": _stacked(cell, TENSORFLOW_LSTM),
        "bias": _biases(cell, "bias", TENSORFLOW_LSTM.gates),
    }
    if cell.peephole is not None:
        found |= {f"w_{gate}_diag": cell.peephole[gate] for gate in "ifo"}
    if cell.projection is not None:
        found["projection/kernel"] = cell.projection.load()
    return found


def _gru(tools: Tools, cell: GRU) -> Any:
    activation = tools.activation(cell.activation.value)
    return tools.rnn.GRUCell(cell.units, activation=activation, dtype=tools.dtype)


def _gru_variables(cell: GRU) -> dict[str, Array]:
    found = {}
    for scope, gates in (("gates", ("r", "z")), ("candidate", ("c",))):
        found[f"{scope}/kernel"] = _stacked(cell, gates)
        found[f"{scope}/bias"] = _biases(cell, "bias", gates)
    return found


def _keras_gru(tools: Tools, cell: GRU) -> Any:
    try:
        plain: Any = importlib.import_module(_KERAS).GRUCell
    except (ImportError, AttributeError) as error:
        raise RuntimeUnavailable(
            f"TensorFlow {tools.tf.__version__} has no Keras GRUCell any more",
            expected=f"the module {_KERAS}",
            where=NAME,
            advice="pip install tensorflow==2.16.2",
        ) from error

    class GRUCell(plain):  # type: ignore[misc]
        """Keras' cell as `dynamic_rnn` calls cells: with a variable scope."""

        def call(self, inputs: Any, states: Any, scope: Any = None) -> Any:
            """Keras' own step."""
            del scope
            return super().call(inputs, states)

    return GRUCell(
        cell.units,
        activation=tools.activation(cell.activation.value),
        recurrent_activation=tools.activation(cell.gate_activation.value),
        reset_after=cell.reset_after.value,
        recurrent_initializer="zeros",  # its own has no bfloat16
        dtype=tools.dtype,
    )


def _keras_gru_variables(cell: GRU) -> dict[str, Array]:
    gates = KERAS_GRU.gates
    bias = _biases(cell, "bias", gates)
    if cell.reset_after.value:
        bias = np.stack([bias, _biases(cell, "recurrent_bias", gates)])
    return {
        "kernel": cell.kernel.join(gates),
        "recurrent_kernel": cell.recurrent.join(gates),
        "bias": bias,
    }


def _rnn(tools: Tools, cell: RNN) -> Any:
    activation = tools.activation(cell.activation.value)
    return tools.rnn.BasicRNNCell(cell.units, activation=activation, dtype=tools.dtype)


def _rnn_variables(cell: RNN) -> dict[str, Array]:
    return {"kernel": _stacked(cell, ("h",)), "bias": _biases(cell, "bias", ("h",))}


_KERAS_GRU = OwnCell(_keras_gru, _keras_gru_variables, any_gates=True)
_OWN: Mapping[type[Cell], OwnCell] = {
    LSTM: OwnCell(_lstm, _lstm_variables, states=("c", "h")),
    GRU: OwnCell(_gru, _gru_variables),
    RNN: OwnCell(_rnn, _rnn_variables),
}
