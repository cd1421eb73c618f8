"""The steps of LSTM's relatives, each with a slip in it.

`equations` states what a cell computes; this states it once more with switches, since a slip of
a converter is an equation of its own. A test holds each one without its slip against
`equations`, so that nothing but the slip departs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lstmbridge.arrays.namespace import activation, clip
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.gates import Array
from lstmbridge.model.cells import (
    GRU,
    NAS,
    UGRNN,
    Cell,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)

Weights = Mapping[str, Array]
StepFunction = Callable[[Array, Mapping[str, Array], Any], tuple[Array, dict[str, Array]]]
Made = tuple[Array, dict[str, Array]]

LATE_BIAS = "forget bias added after the sigmoid"
OLD_C = "output gate's peephole sees the old c"
PLAIN = "activation of the output left out"
CLIP_EARLY = "projection clip applied before the projection"
OPEN = "coupled input gate held open"
SAME = "input gate equal to the forget gate, not 1 minus it"
EARLY_BIAS = "forget bias added before the layer norm"
RAW_CARRIED = "c carried without its layer norm"
C_NOT_NORMED = "layer norm of c left out"
SAMPLE_VARIANCE = "variance of the layer norm divided by n - 1"
NEIGHBOUR = "each unit sees its neighbour's h"
NAS_SUM = "n3 a sum, not a product"
NAS_BIAS = "bias added to the input product"
NAS_PLAIN = "last tanh left out"
RESET_ALL = "reset gate applied to the input product too"
RESET_UPDATE = "update gate sees the reset state"
ONE_BIAS = "forget bias added to one of the two gates"
DEPTH_INVERTED = "input and output exchanged in the gate through depth"
OTHER_ACTIVATION = "activations of state and output exchanged"


def _late(ops: Float64, gate: Array, a: Array, bias: float, slip: str) -> Array:
    """The gate, its bias added before its activation, or after."""
    if not bias:
        return ops.sigmoid(a)
    if slip == LATE_BIAS:
        return ops.add(ops.sigmoid(a), gate)
    return ops.sigmoid(ops.add(a, gate))


def coupled(ops: Float64, cell: CoupledLSTM, weights: Weights, slip: str) -> StepFunction:
    """See `equations.lstm.coupled_lstm`."""
    act, bias = cell.activation.value, cell.forget_bias.value
    added, projection = ops.constant(bias), weights.get("projection")

    def see(name: str, a: Array, c: Array) -> Array:
        peep = weights.get(f"peephole_{name}")
        return a if peep is None else ops.add(a, ops.mul(peep, c))

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        h, old = state["h"], state["c"]
        a = ops.add(z, ops.matmul(h, weights["recurrent"]))
        a_f, a_c, a_o = ops.split(a, [cell.units] * 3)
        f = _late(ops, added, see("f", a_f, old), bias, slip)
        one = ops.constant(1.0)
        i = one if slip == OPEN else f if slip == SAME else ops.sub(one, f)
        c = ops.add(ops.mul(f, old), ops.mul(i, activation(ops, act, a_c)))
        o = ops.sigmoid(see("o", a_o, old if slip == OLD_C else c))
        h = ops.mul(o, c if slip == PLAIN else activation(ops, act, c))
        if projection is not None:
            limit = cell.proj_clip.value
            early = slip == CLIP_EARLY
            h = ops.matmul(clip(ops, h, limit if early else None), projection)
            h = clip(ops, h, None if early else limit)
        return h, {"h": h, "c": c}

    return step


def layer_norm(ops: Float64, cell: LayerNormLSTM, weights: Weights, slip: str) -> StepFunction:
    """See `equations.lstm.layer_norm_lstm`."""
    act, bias, units = cell.activation.value, cell.forget_bias.value, cell.units
    added, epsilon = ops.constant(bias), ops.constant(cell.epsilon.value)

    def norm(a: Array, gain: Array, shift: Array) -> Array:
        centred = ops.sub(a, ops.mean(a))
        variance = ops.mean(ops.mul(centred, centred))
        if slip == SAMPLE_VARIANCE:
            variance = ops.mul(variance, ops.constant(units / (units - 1)))
        deviation = ops.sqrt(ops.add(variance, epsilon))
        return ops.add(ops.mul(ops.div(centred, deviation), gain), shift)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        a = ops.add(z, ops.matmul(state["h"], weights["recurrent"]))
        parts = dict(zip(cell.GATES, ops.split(a, [units] * 4), strict=True))
        if slip == EARLY_BIAS:
            parts["f"] = ops.add(parts["f"], added)
        a_i, a_f, a_c, a_o = (
            norm(part, weights[f"gain_{gate}"], weights[f"shift_{gate}"])
            for gate, part in parts.items()
        )
        f = _late(ops, added, a_f, 0.0 if slip == EARLY_BIAS else bias, slip)
        new = ops.mul(ops.sigmoid(a_i), activation(ops, act, a_c))
        raw = ops.add(ops.mul(f, state["c"]), new)
        c = norm(raw, weights["state_gain"], weights["state_shift"])
        c = raw if slip == C_NOT_NORMED else c
        h = ops.mul(ops.sigmoid(a_o), c if slip == PLAIN else activation(ops, act, c))
        return h, {"h": h, "c": raw if slip == RAW_CARRIED else c}

    return step


def _beside(ops: Float64, h: Array, slip: str) -> Array:
    """H as each unit sees it: its own, or its neighbour's."""
    if slip != NEIGHBOUR:
        return h
    first, rest = ops.split(h, [1, h.shape[-1] - 1])
    return ops.concat([rest, first])


def indy_lstm(ops: Float64, cell: IndyLSTM, weights: Weights, slip: str) -> StepFunction:
    """See `equations.lstm.indy_lstm`."""
    act, bias = cell.activation.value, cell.forget_bias.value
    added = ops.constant(bias)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        h = _beside(ops, state["h"], slip)
        a = ops.add(z, ops.mul(ops.concat([h] * 4), weights["recurrent"]))
        a_i, a_f, a_c, a_o = ops.split(a, [cell.units] * 4)
        new = ops.mul(ops.sigmoid(a_i), activation(ops, act, a_c))
        c = ops.add(ops.mul(_late(ops, added, a_f, bias, slip), state["c"]), new)
        h = ops.mul(ops.sigmoid(a_o), c if slip == PLAIN else activation(ops, act, c))
        return h, {"h": h, "c": c}

    return step


def nas(ops: Float64, cell: NAS, weights: Weights, slip: str) -> StepFunction:
    """See `equations.lstm.nas`."""
    bias, projection = weights.get("bias"), weights.get("projection")

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        recurrent = ops.matmul(state["h"], weights["recurrent"])
        if bias is not None and slip == NAS_BIAS:
            z = ops.add(z, bias)
        elif bias is not None:
            recurrent = ops.add(recurrent, bias)
        x, m = (ops.split(a, [cell.units] * 8) for a in (z, recurrent))
        n = [ops.add(a, b) for a, b in zip(x, m, strict=True)]
        n3 = ops.relu(n[3] if slip == NAS_SUM else ops.mul(x[3], m[3]))
        left = ops.tanh(ops.mul(ops.sigmoid(n[0]), ops.relu(n[1])))
        first = ops.tanh(ops.add(left, state["c"]))
        c = ops.mul(first, ops.tanh(ops.add(ops.sigmoid(n[2]), n3)))
        right = ops.sigmoid(ops.add(ops.tanh(n[6]), ops.sigmoid(n[7])))
        middle = ops.tanh(ops.mul(ops.tanh(n[4]), ops.sigmoid(n[5])))
        h = ops.mul(c, ops.tanh(ops.add(middle, right)))
        h = h if slip == NAS_PLAIN else ops.tanh(h)
        h = h if projection is None else ops.matmul(h, projection)
        return h, {"h": h, "c": c}

    return step


def _keep(ops: Float64, gate: Array, old: Array, new: Array) -> Array:
    return ops.add(ops.mul(gate, old), ops.mul(ops.sub(ops.constant(1.0), gate), new))


def gru(ops: Float64, cell: GRU, weights: Weights, slip: str) -> StepFunction:
    """See `equations.gru.gru`."""
    gate, act, units = cell.gate_activation.value, cell.activation.value, cell.units
    after = cell.reset_after.value

    def products(h: Array) -> tuple[Array, Array, Array]:
        if not after:
            r, u = ops.split(ops.matmul(h, weights["recurrent_rz"]), [units] * 2)
            return r, u, h
        product = ops.matmul(h, weights["recurrent"])
        if "recurrent_bias" in weights:
            product = ops.add(product, weights["recurrent_bias"])
        r, u, c = ops.split(product, [units] * 3)
        late = weights.get("recurrent_bias_c")
        return r, u, c if late is None else ops.add(c, late)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        h = state["h"]
        x_r, x_u, x_c = ops.split(z, [units] * 3)
        h_r, h_u, h_c = products(h)
        r = activation(ops, gate, ops.add(x_r, h_r))
        if slip == RESET_UPDATE:
            _, h_u, _ = products(ops.mul(r, h))
        u = activation(ops, gate, ops.add(x_u, h_u))
        kept = ops.mul(r, h_c)
        kept = kept if after else ops.matmul(kept, weights["recurrent_c"])
        x_c = ops.mul(r, x_c) if slip == RESET_ALL else x_c
        h = _keep(ops, u, h, activation(ops, act, ops.add(x_c, kept)))
        return h, {"h": h}

    return step


def indy_gru(ops: Float64, cell: IndyGRU, weights: Weights, slip: str) -> StepFunction:
    """See `equations.gru.indy_gru`."""
    units = cell.units
    w_r, w_u = ops.split(weights["recurrent_rz"], [units] * 2)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        old = state["h"]
        h = _beside(ops, old, slip)
        x_r, x_u, x_c = ops.split(z, [units] * 3)
        r = ops.sigmoid(ops.add(x_r, ops.mul(h, w_r)))
        seen = ops.mul(r, h) if slip == RESET_UPDATE else h
        u = ops.sigmoid(ops.add(x_u, ops.mul(seen, w_u)))
        x_c = ops.mul(r, x_c) if slip == RESET_ALL else x_c
        kept = ops.mul(ops.mul(r, h), weights["recurrent_c"])
        new = _keep(ops, u, old, activation(ops, cell.activation.value, ops.add(x_c, kept)))
        return new, {"h": new}

    return step


def ugrnn(ops: Float64, cell: UGRNN, weights: Weights, slip: str) -> StepFunction:
    """See `equations.gru.ugrnn`."""
    bias = cell.forget_bias.value
    added = ops.constant(bias)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        a = ops.add(z, ops.matmul(state["h"], weights["recurrent"]))
        a_g, a_c = ops.split(a, [cell.units] * 2)
        new = activation(ops, cell.activation.value, a_c)
        h = _keep(ops, _late(ops, added, a_g, bias, slip), state["h"], new)
        return h, {"h": h}

    return step


def intersection(ops: Float64, cell: Intersection, weights: Weights, slip: str) -> StepFunction:
    """See `equations.gru.intersection`."""
    units, bias, act = cell.units, cell.forget_bias.value, cell.activation.value
    added = ops.constant(bias)
    of_state, of_output = (act, "tanh") if slip == OTHER_ACTIVATION else ("tanh", act)

    def step(z: Array, state: Mapping[str, Array], _tap: Any) -> Made:
        product, x = ops.split(z, [4 * units, units])
        a = ops.add(product, ops.matmul(state["h"], weights["recurrent"]))
        a_gh, a_h, a_gy, a_y = ops.split(a, [units] * 4)
        gh = _late(ops, added, a_gh, bias, slip)
        gy = _late(ops, added, a_gy, 0.0 if slip == ONE_BIAS else bias, slip)
        y = activation(ops, of_output, a_y)
        h = _keep(ops, gh, state["h"], activation(ops, of_state, a_h))
        old, new = (y, x) if slip == DEPTH_INVERTED else (x, y)
        return _keep(ops, gy, old, new), {"h": h}

    return step


WRONG_STEPS: Mapping[type[Cell], Callable[[Any, Any, Weights, str], StepFunction]] = {
    CoupledLSTM: coupled,
    LayerNormLSTM: layer_norm,
    IndyLSTM: indy_lstm,
    NAS: nas,
    GRU: gru,
    IndyGRU: indy_gru,
    UGRNN: ugrnn,
    Intersection: intersection,
}
"""Kind of cell -> its step, by the name of the slip in it; "" gives the right one."""

_SLIPS: Mapping[type[Cell], tuple[str, ...]] = {
    CoupledLSTM: (LATE_BIAS, OLD_C, PLAIN, CLIP_EARLY, OPEN, SAME),
    LayerNormLSTM: (
        LATE_BIAS, EARLY_BIAS, PLAIN, RAW_CARRIED, C_NOT_NORMED, SAMPLE_VARIANCE,
    ),
    IndyLSTM: (LATE_BIAS, PLAIN, NEIGHBOUR),
    NAS: (NAS_SUM, NAS_BIAS, NAS_PLAIN),
    GRU: (RESET_ALL, RESET_UPDATE),
    IndyGRU: (RESET_ALL, RESET_UPDATE, NEIGHBOUR),
    UGRNN: (LATE_BIAS,),
    Intersection: (LATE_BIAS, ONE_BIAS, DEPTH_INVERTED, OTHER_ACTIVATION),
}  # fmt: skip


def slips_of(cell: Cell) -> Iterator[str]:
    """The slips that a cell can have: not those of options that it does not use."""
    facts = {name: fact.value for name, fact in cell.facts.items()}
    biased = bool(facts.get("forget_bias"))
    idle = {
        LATE_BIAS: not biased,
        EARLY_BIAS: not biased,
        ONE_BIAS: not biased,
        OLD_C: "peephole" not in cell.blocks,
        PLAIN: facts.get("activation") == "linear",
        CLIP_EARLY: facts.get("proj_clip") is None or "projection" not in cell.blocks,
        NEIGHBOUR: cell.units == 1,
        SAMPLE_VARIANCE: cell.units == 1,
        NAS_BIAS: "bias" not in cell.blocks,
        OTHER_ACTIVATION: facts.get("activation") == "tanh",
    }
    for name in _SLIPS.get(type(cell), ()):
        if not idle.get(name, False):
            yield name
