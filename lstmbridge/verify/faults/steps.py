"""Faults inside a step: what no change of weights or constants can plant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lstmbridge.arrays.namespace import activation, clip
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import LSTM
from lstmbridge.model.equations import Step, Tap, weights_of
from lstmbridge.model.forward import Wrap
from lstmbridge.verify.faults.fault import Fault, runs
from lstmbridge.verify.faults.slips import (
    CLIP_EARLY,
    LATE_BIAS,
    OLD_C,
    PLAIN,
    WRONG_STEPS,
    slips_of,
)

_CLIP = 3.0
"""What a converter takes over when it reads the default of TensorFlow's LSTM ops, or writes it as
the clip of an ONNX node, which bounds pre-activations."""


@dataclass(frozen=True, slots=True)
class Slip:
    """How `wrong_lstm` departs from `equations`; each switch is one fault.

    Attributes:
        forget_bias_late: added after the sigmoid.
        old_c_in_output: the output gate's peephole sees the old c.
        clip_gates: the clip bounds the pre-activations instead of c.
        gate_limit: a clip that the source has not bounds the pre-activations.
        clip_late: the output gate and h see c before it is clipped.
        plain_output: the output is o * c, without the activation.
        proj_clip_early: the projection clip bounds what is projected.
    """

    forget_bias_late: bool = False
    old_c_in_output: bool = False
    clip_gates: bool = False
    gate_limit: float | None = None
    clip_late: bool = False
    plain_output: bool = False
    proj_clip_early: bool = False


def wrong_lstm(ops: Float64, cell: LSTM, right: Step[Array], slip: Slip) -> Step[Array]:
    """The step of an LSTM with one slip in it. `right` gives the input product."""
    u = ops.constant(cell.recurrent.join(cell.GATES))
    peep = {g: ops.constant(cell.peephole[g]) for g in "ifo"} if cell.peephole else None
    projection = None if cell.projection is None else ops.constant(cell.projection.load())
    bias = cell.forget_bias.value
    gate, act = cell.gate_activation.value, cell.activation.value
    limit = cell.cell_clip.value
    gate_limit = limit if slip.clip_gates else slip.gate_limit

    def see(name: str, a: Array, c: Array) -> Array:
        a = a if peep is None else ops.add(a, ops.mul(peep[name], c))
        return clip(ops, a, gate_limit)

    def step(z: Array, state: Mapping[str, Any], _tap: Tap) -> tuple[Array, dict[str, Array]]:
        h, old = state["h"], state["c"]
        a_i, a_f, a_c, a_o = ops.split(ops.add(z, ops.matmul(h, u)), [cell.units] * 4)
        if not slip.forget_bias_late:
            a_f = ops.add(a_f, ops.constant(bias))
        i = activation(ops, gate, see("i", a_i, old))
        f = activation(ops, gate, see("f", a_f, old))
        if slip.forget_bias_late:
            f = ops.add(f, ops.constant(bias))
        j = activation(ops, act, clip(ops, a_c, gate_limit))
        raw = ops.add(ops.mul(f, old), ops.mul(i, j))
        c = raw if slip.clip_gates else clip(ops, raw, limit)
        seen = raw if slip.clip_late else c
        o = activation(ops, gate, see("o", a_o, old if slip.old_c_in_output else seen))
        h = ops.mul(o, seen if slip.plain_output else activation(ops, act, seen))
        if projection is not None:
            bound, early = cell.proj_clip.value, slip.proj_clip_early
            h = ops.matmul(clip(ops, h, bound if early else None), projection)
            h = clip(ops, h, None if early else bound)
        return h, {"h": h, "c": c}

    return Step(right.input_product, step)


def step_faults(model: Model) -> Iterator[Fault]:
    """The state is lost, or a step is computed by slightly other equations."""
    cells = [layer.cell for layer in model.layers]
    states = dict.fromkeys(state for cell in cells for state in cell.STATES)
    everything = tuple(states)
    yield Fault(
        "state reset at each step",
        "with its state reset at each step",
        runs(model, partial(_forgetting, everything)),
    )
    for state in everything if len(everything) > 1 else ():
        yield Fault(
            f"{state} not carried",
            f"with {state} reset at each step",
            runs(model, partial(_forgetting, (state,))),
        )
    slips = dict(_slips([cell for cell in cells if isinstance(cell, LSTM)]))
    for name in dict.fromkeys([*slips, *(name for cell in cells for name in slips_of(cell))]):
        yield Fault(
            name, f"with its {name}", runs(model, partial(_slipping, name, slips.get(name)))
        )


def _slips(cells: Sequence[LSTM]) -> Iterator[tuple[str, Slip]]:
    if any(cell.forget_bias.value for cell in cells):
        yield LATE_BIAS, Slip(forget_bias_late=True)
    if any(cell.peephole is not None for cell in cells):
        yield OLD_C, Slip(old_c_in_output=True)
    if any(cell.cell_clip.value is None for cell in cells):
        yield "gates clipped", Slip(gate_limit=_CLIP)
    if any(cell.cell_clip.value is not None for cell in cells):
        yield "clip applied to the gates instead of c", Slip(clip_gates=True)
        yield "clip applied to the carried c alone", Slip(clip_late=True)
    if any(cell.activation.value != "linear" for cell in cells):
        yield PLAIN, Slip(plain_output=True)
    if any(cell.proj_clip.value is not None and cell.projection is not None for cell in cells):
        yield CLIP_EARLY, Slip(proj_clip_early=True)


def _forgetting(states: tuple[str, ...], _ops: Float64) -> Wrap:
    def wrap(_layer: Layer, right: Step[Array]) -> Step[Array]:
        def step(z: Array, state: Mapping[str, Array], tap: Tap) -> tuple[Array, dict[str, Array]]:
            kept = {k: np.zeros_like(v) if k in states else v for k, v in state.items()}
            return right.step(z, kept, tap)

        return replace(right, step=step)

    return wrap


def _slipping(name: str, slip: Slip | None, ops: Float64) -> Wrap:
    """Each layer that can have the slip has it; `slip`: an LSTM's."""

    def wrap(layer: Layer, right: Step[Array]) -> Step[Array]:
        cell = layer.cell
        if isinstance(cell, LSTM):
            return right if slip is None else wrong_lstm(ops, cell, right, slip)
        if name not in slips_of(cell):
            return right
        weights = {label: ops.constant(array) for label, array in weights_of(cell).items()}
        return replace(right, step=WRONG_STEPS[type(cell)](ops, cell, weights, name))

    return wrap
