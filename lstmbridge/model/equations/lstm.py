"""Long short-term memory and its relatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from lstmbridge.arrays.namespace import Namespace, activation, clip
from lstmbridge.model.cells import LSTM, NAS, CoupledLSTM, IndyLSTM, LayerNormLSTM
from lstmbridge.model.equations.step import Step, Tap, affine, taps

A = TypeVar("A")


def lstm(ops: Namespace[A], cell: LSTM, weights: Mapping[str, A]) -> Step[A]:
    """LSTM as TensorFlow computes it.

    Source: Gers, Schmidhuber, Cummins 2000; peepholes Gers & Schmidhuber 2000; projection and
    clipping Sak, Senior, Beaufays 2014; in TensorFlow `rnn_cell_impl.LSTMCell.call` and the
    kernel of `LSTMBlockCell` (lstm_ops.cc): the output gate's peephole sees the new, clipped c.
    """
    u = weights["recurrent"]
    projection = weights.get("projection")
    forget_bias = cell.forget_bias.value
    gate, act = cell.gate_activation.value, cell.activation.value

    def see(gate_name: str, a: A, c: A) -> A:
        peep = weights.get(f"peephole_{gate_name}")
        return a if peep is None else ops.add(a, ops.mul(peep, c))

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
        taps(tap, i=i, f=f, c=j, o=o)
        return h, {"h": h, "c": c}

    return Step(lambda x: affine(ops, x, weights), step)


def coupled_lstm(ops: Namespace[A], cell: CoupledLSTM, weights: Mapping[str, A]) -> Step[A]:
    """LSTM with i = 1 - f.

    Source: `tf.contrib.rnn.CoupledInputForgetGateLSTMCell.call`; Greff et al. 2015.
    """
    projection = weights.get("projection")
    act = cell.activation.value
    forget_bias = cell.forget_bias.value

    def see(gate_name: str, a: A, c: A) -> A:
        peep = weights.get(f"peephole_{gate_name}")
        return a if peep is None else ops.add(a, ops.mul(peep, c))

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        h, c = state["h"], state["c"]
        a = ops.add(z, ops.matmul(h, weights["recurrent"]))
        a_f, a_c, a_o = ops.split(a, [cell.units] * 3)
        if forget_bias:
            a_f = ops.add(a_f, ops.constant(forget_bias))
        f = ops.sigmoid(see("f", a_f, c))
        j = activation(ops, act, a_c)
        c = ops.add(ops.mul(f, c), ops.mul(ops.sub(ops.constant(1.0), f), j))
        o = ops.sigmoid(see("o", a_o, c))
        h = ops.mul(o, activation(ops, act, c))
        if projection is not None:
            h = clip(ops, ops.matmul(h, projection), cell.proj_clip.value)
        taps(tap, f=f, c=j, o=o)
        return h, {"h": h, "c": c}

    return Step(lambda x: affine(ops, x, weights), step)


def layer_norm_lstm(ops: Namespace[A], cell: LayerNormLSTM, weights: Mapping[str, A]) -> Step[A]:
    """LSTM that normalises each gate and the new c, which is carried so.

    Source: `tf.contrib.rnn.LayerNormBasicLSTMCell.call`, `tf.contrib.layers.layer_norm`;
    Ba, Kiros, Hinton 2016. Dropout (of the candidate) is off at inference.
    """
    act, forget_bias = cell.activation.value, cell.forget_bias.value

    def norm(a: A, gain: A, shift: A) -> A:
        centred = ops.sub(a, ops.mean(a))
        variance = ops.mean(ops.mul(centred, centred))
        deviation = ops.sqrt(ops.add(variance, ops.constant(cell.epsilon.value)))
        return ops.add(ops.mul(ops.div(centred, deviation), gain), shift)

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        a = ops.add(z, ops.matmul(state["h"], weights["recurrent"]))
        parts = zip(cell.GATES, ops.split(a, [cell.units] * 4), strict=True)
        a_i, a_f, a_c, a_o = (
            norm(part, weights[f"gain_{gate}"], weights[f"shift_{gate}"]) for gate, part in parts
        )
        if forget_bias:
            a_f = ops.add(a_f, ops.constant(forget_bias))
        i, f, o = ops.sigmoid(a_i), ops.sigmoid(a_f), ops.sigmoid(a_o)
        j = activation(ops, act, a_c)
        c = ops.add(ops.mul(f, state["c"]), ops.mul(i, j))
        c = norm(c, weights["state_gain"], weights["state_shift"])
        h = ops.mul(o, activation(ops, act, c))
        taps(tap, i=i, f=f, c=j, o=o)
        return h, {"h": h, "c": c}

    return Step(lambda x: affine(ops, x, weights), step)


def indy_lstm(ops: Namespace[A], cell: IndyLSTM, weights: Mapping[str, A]) -> Step[A]:
    """LSTM whose units see their own h only: an elementwise recurrent product.

    Source: `tf.contrib.rnn.IndyLSTMCell.call`; Gonnet & Deselaers 2019.
    """
    act, forget_bias = cell.activation.value, cell.forget_bias.value

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        h, c = state["h"], state["c"]
        a = ops.add(z, ops.mul(ops.concat([h] * 4), weights["recurrent"]))
        a_i, a_f, a_c, a_o = ops.split(a, [cell.units] * 4)
        if forget_bias:
            a_f = ops.add(a_f, ops.constant(forget_bias))
        i, f, o = ops.sigmoid(a_i), ops.sigmoid(a_f), ops.sigmoid(a_o)
        j = activation(ops, act, a_c)
        c = ops.add(ops.mul(f, c), ops.mul(i, j))
        h = ops.mul(o, activation(ops, act, c))
        taps(tap, i=i, f=f, c=j, o=o)
        return h, {"h": h, "c": c}

    return Step(lambda x: affine(ops, x, weights), step)


def nas(ops: Namespace[A], cell: NAS, weights: Mapping[str, A]) -> Step[A]:
    """The cell found by architecture search; its bias belongs to the recurrent product.

    Source: `tf.contrib.rnn.NASCell.call`; Zoph & Le 2017, figure 8.
    """
    bias, projection = weights.get("bias"), weights.get("projection")

    def input_product(x: A) -> A:
        return ops.matmul(x, weights["kernel"])

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        recurrent = ops.matmul(state["h"], weights["recurrent"])
        if bias is not None:
            recurrent = ops.add(recurrent, bias)
        x = ops.split(z, [cell.units] * 8)
        m = ops.split(recurrent, [cell.units] * 8)
        n0 = ops.sigmoid(ops.add(x[0], m[0]))
        n1 = ops.relu(ops.add(x[1], m[1]))
        n2 = ops.sigmoid(ops.add(x[2], m[2]))
        n3 = ops.relu(ops.mul(x[3], m[3]))
        n4 = ops.tanh(ops.add(x[4], m[4]))
        n5 = ops.sigmoid(ops.add(x[5], m[5]))
        n6 = ops.tanh(ops.add(x[6], m[6]))
        n7 = ops.sigmoid(ops.add(x[7], m[7]))
        taps(tap, n0=n0, n1=n1, n2=n2, n3=n3, n4=n4, n5=n5, n6=n6, n7=n7)
        first = ops.tanh(ops.add(ops.tanh(ops.mul(n0, n1)), state["c"]))
        c = ops.mul(first, ops.tanh(ops.add(n2, n3)))
        rest = ops.tanh(ops.add(ops.tanh(ops.mul(n4, n5)), ops.sigmoid(ops.add(n6, n7))))
        h = ops.tanh(ops.mul(c, rest))
        if projection is not None:
            h = ops.matmul(h, projection)
        return h, {"h": h, "c": c}

    return Step(input_product, step)
