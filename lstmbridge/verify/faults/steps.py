"""Faults inside a step: what no change of weights or constants can plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstmbridge.arrays.namespace import activation, clip
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.gates import Array
from lstmbridge.model.cells import LSTM
from lstmbridge.model.equations import Step, Tap


@dataclass(frozen=True, slots=True)
class Slip:
    """How `wrong_lstm` departs from `equations`; each switch is one fault.

    Attributes:
        forget_bias_late: added after the sigmoid.
        old_c_in_output: the output gate's peephole sees the old c.
        clip_gates: the clip bounds the pre-activations instead of c.
        clip_late: the output gate and h see c before it is clipped.
        plain_output: the output is o * c, without the activation.
    """

    forget_bias_late: bool = False
    old_c_in_output: bool = False
    clip_gates: bool = False
    clip_late: bool = False
    plain_output: bool = False


def wrong_lstm(ops: Float64, cell: LSTM, right: Step[Array], slip: Slip) -> Step[Array]:
    """The step of an LSTM with one slip in it. `right` gives the input product."""
    u = ops.constant(cell.recurrent.join(cell.GATES))
    peep = {g: ops.constant(cell.peephole[g]) for g in "ifo"} if cell.peephole else None
    projection = None if cell.projection is None else ops.constant(cell.projection.load())
    bias = cell.forget_bias.value
    gate, act = cell.gate_activation.value, cell.activation.value
    limit = cell.cell_clip.value

    def see(name: str, a: Array, c: Array) -> Array:
        a = a if peep is None else ops.add(a, ops.mul(peep[name], c))
        return clip(ops, a, limit) if slip.clip_gates else a

    def step(z: Array, state: Mapping[str, Any], _tap: Tap) -> tuple[Array, dict[str, Array]]:
        h, old = state["h"], state["c"]
        a_i, a_f, a_c, a_o = ops.split(ops.add(z, ops.matmul(h, u)), [cell.units] * 4)
        if not slip.forget_bias_late:
            a_f = ops.add(a_f, ops.constant(bias))
        i = activation(ops, gate, see("i", a_i, old))
        f = activation(ops, gate, see("f", a_f, old))
        if slip.forget_bias_late:
            f = ops.add(f, ops.constant(bias))
        j = activation(ops, act, clip(ops, a_c, limit) if slip.clip_gates else a_c)
        raw = ops.add(ops.mul(f, old), ops.mul(i, j))
        c = raw if slip.clip_gates else clip(ops, raw, limit)
        seen = raw if slip.clip_late else c
        o = activation(ops, gate, see("o", a_o, old if slip.old_c_in_output else seen))
        h = ops.mul(o, seen if slip.plain_output else activation(ops, act, seen))
        if projection is not None:
            h = clip(ops, ops.matmul(h, projection), cell.proj_clip.value)
        return h, {"h": h, "c": c}

    return Step(right.input_product, step)
