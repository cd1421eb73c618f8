"""What each cell computes, stated once, against the array namespace. Nothing else in here.

The same lines are run by float64 NumPy (the oracle), by NumPy that rounds (the noise floor), by
PyTorch (`nn.Module` for what `torch.nn.LSTM` cannot say) and by a builder of ONNX nodes (the
body of a `Scan`). What does not depend on the state, the input product, is apart, so that it is
computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lstmbridge.arrays.namespace import Namespace, activation, clip
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.cells import LSTM, Cell

A = TypeVar("A")

State = Mapping[str, Any]
"""State name (``"h"``, ``"c"``) -> array (batch, width)."""
Tap = Callable[[str, Any], None]
"""Called with a gate's letter and its value after activation, at each step."""


def no_tap(_gate: str, _value: Any) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Step(Generic[A]):
    """One cell, bound to an interpreter and its constants.

    Attributes:
        input_product: x (..., I) -> what the step needs of x: (..., n_gates * H).
        step: (input product of one time step, state, tap) -> (output, new state).
    """

    input_product: Callable[[A], A]
    step: Callable[[A, Mapping[str, A], Tap], tuple[A, dict[str, A]]]


def bind(ops: Namespace[A], cell: Cell, weights: Mapping[str, A] | None = None) -> Step[A]:
    """The equations of `cell`, ready to run in `ops`.

    Args:
        ops: the interpreter.
        cell: its structure and constants; its numbers too, unless `weights` are given.
        weights: the interpreter's own arrays in place of the cell's numbers (parameters that
            are trained, inputs of a graph), by the names that `weights_of` gives.
    """
    if weights is None:
        weights = {name: ops.constant(array) for name, array in weights_of(cell).items()}
    return _EQUATIONS[type(cell)](ops, cell, weights)


def weights_of(cell: Cell) -> dict[str, Array]:
    """The arrays that the equations of `cell` use, by name.

    A field without gates has its own name; gates that stand side by side in one array
    (`Cell.groups`) too, where they are all of the field's gates; otherwise ``peephole_i``,
    ``recurrent_rz``, ...
    """
    arrays: dict[str, Array] = {}
    for field, stored in cell.blocks.items():
        if not isinstance(stored, GateBlocks):
            arrays[field] = stored.load()
            continue
        for group in cell.groups(field):
            whole = len(group) == len(cell.GATES)
            arrays[field if whole else f"{field}_{''.join(group)}"] = stored.join(group)
    return arrays


def _lstm(ops: Namespace[A], cell: LSTM, weights: Mapping[str, A]) -> Step[A]:
    """LSTM as TensorFlow computes it.

    Source: Gers, Schmidhuber, Cummins 2000; peepholes Gers & Schmidhuber 2000; projection and
    clipping Sak, Senior, Beaufays 2014; in TensorFlow `rnn_cell_impl.LSTMCell.call` and the
    kernel of `LSTMBlockCell` (lstm_ops.cc): the output gate's peephole sees the new, clipped c.
    """
    w, u, b = weights["kernel"], weights["recurrent"], weights.get("bias")
    projection = weights.get("projection")
    forget_bias = cell.forget_bias.value
    gate, act = cell.gate_activation.value, cell.activation.value

    def see(gate_name: str, a: A, c: A) -> A:
        peep = weights.get(f"peephole_{gate_name}")
        return a if peep is None else ops.add(a, ops.mul(peep, c))

    def input_product(x: A) -> A:
        z = ops.matmul(x, w)
        return z if b is None else ops.add(z, b)

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        h, c = state["h"], state["c"]
        a_i, a_f, a_c, a_o = ops.split(ops.add(z, ops.matmul(h, u)), [cell.units] * 4)
        if forget_bias:
            a_f = ops.add(a_f, ops.constant(forget_bias))
        i = activation(ops, gate, see("i", a_i, c))
        f = activation(ops, gate, see("f", a_f, c))
        j = activation(ops, act, a_c)
        c = clip(ops, ops.add(ops.mul(f, c), ops.mul(i, j)), cell.cell_clip.value)
        o = activation(ops, gate, see("o", a_o, c))
        h = ops.mul(o, activation(ops, act, c))
        if projection is not None:
            h = clip(ops, ops.matmul(h, projection), cell.proj_clip.value)
        for letter, value in zip("ifco", (i, f, j, o), strict=True):
            tap(letter, value)
        return h, {"h": h, "c": c}

    return Step(input_product, step)


_EQUATIONS: Mapping[type, Callable[[Any, Any, Any], Step[Any]]] = {LSTM: _lstm}
