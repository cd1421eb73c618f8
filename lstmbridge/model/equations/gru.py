"""Gated recurrent units, and cells with one state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from lstmbridge.arrays.namespace import Namespace, activation
from lstmbridge.model.cells import GRU, RNN, UGRNN, IndyGRU, Intersection
from lstmbridge.model.equations.step import Step, Tap, affine, taps

A = TypeVar("A")


def _keep(ops: Namespace[A], gate: A, old: A, new: A) -> A:
    """Gate * old + (1 - gate) * new."""
    return ops.add(ops.mul(gate, old), ops.mul(ops.sub(ops.constant(1.0), gate), new))


def gru(ops: Namespace[A], cell: GRU, weights: Mapping[str, A]) -> Step[A]:
    """GRU; z = 1 keeps the old state.

    Source: Cho et al. 2014 (reset before: `tf.nn.rnn_cell.GRUCell.call`); reset after: cuDNN,
    `tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell.call`, ONNX GRU with linear_before_reset = 1.
    """
    units, gate, act = cell.units, cell.gate_activation.value, cell.activation.value

    def after(z: A, h: A) -> tuple[A, A, A]:
        product = ops.matmul(h, weights["recurrent"])
        if "recurrent_bias" in weights:
            product = ops.add(product, weights["recurrent_bias"])
        x_r, x_z, x_c = ops.split(z, [units] * 3)
        h_r, h_z, h_c = ops.split(product, [units] * 3)
        if "recurrent_bias_c" in weights:
            h_c = ops.add(h_c, weights["recurrent_bias_c"])
        r = activation(ops, gate, ops.add(x_r, h_r))
        u = activation(ops, gate, ops.add(x_z, h_z))
        return r, u, activation(ops, act, ops.add(x_c, ops.mul(r, h_c)))

    def before(z: A, h: A) -> tuple[A, A, A]:
        x_gates, x_c = ops.split(z, [2 * units, units])
        gates = ops.add(x_gates, ops.matmul(h, weights["recurrent_rz"]))
        r, u = ops.split(activation(ops, gate, gates), [units] * 2)
        kept = ops.matmul(ops.mul(r, h), weights["recurrent_c"])
        return r, u, activation(ops, act, ops.add(x_c, kept))

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        r, u, c = (after if cell.reset_after.value else before)(z, state["h"])
        h = _keep(ops, u, state["h"], c)
        taps(tap, r=r, z=u, c=c)
        return h, {"h": h}

    return Step(lambda x: affine(ops, x, weights), step)


def indy_gru(ops: Namespace[A], cell: IndyGRU, weights: Mapping[str, A]) -> Step[A]:
    """GRU (reset before) whose units see their own h only.

    Source: `tf.contrib.rnn.IndyGRUCell.call`.
    """
    units = cell.units

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        h = state["h"]
        x_gates, x_c = ops.split(z, [2 * units, units])
        gates = ops.add(x_gates, ops.mul(ops.concat([h, h]), weights["recurrent_rz"]))
        r, u = ops.split(ops.sigmoid(gates), [units] * 2)
        kept = ops.mul(ops.mul(r, h), weights["recurrent_c"])
        c = activation(ops, cell.activation.value, ops.add(x_c, kept))
        h = _keep(ops, u, h, c)
        taps(tap, r=r, z=u, c=c)
        return h, {"h": h}

    return Step(lambda x: affine(ops, x, weights), step)


def rnn(ops: Namespace[A], cell: RNN, weights: Mapping[str, A]) -> Step[A]:
    """h = activation(x W + h U + b).

    Source: Elman 1990; `tf.nn.rnn_cell.BasicRNNCell.call`.
    """

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        a = ops.add(z, ops.matmul(state["h"], weights["recurrent"]))
        h = activation(ops, cell.activation.value, a)
        taps(tap, h=h)
        return h, {"h": h}

    return Step(lambda x: affine(ops, x, weights), step)


def ugrnn(ops: Namespace[A], cell: UGRNN, weights: Mapping[str, A]) -> Step[A]:
    """One gate g, which keeps the old state where it is 1.

    Source: `tf.contrib.rnn.UGRNNCell.call`; Collins, Sohl-Dickstein, Sussillo 2017.
    """

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        a = ops.add(z, ops.matmul(state["h"], weights["recurrent"]))
        a_g, a_c = ops.split(a, [cell.units] * 2)
        if cell.forget_bias.value:
            a_g = ops.add(a_g, ops.constant(cell.forget_bias.value))
        g = ops.sigmoid(a_g)
        c = activation(ops, cell.activation.value, a_c)
        h = _keep(ops, g, state["h"], c)
        taps(tap, g=g, c=c)
        return h, {"h": h}

    return Step(lambda x: affine(ops, x, weights), step)


def intersection(ops: Namespace[A], cell: Intersection, weights: Mapping[str, A]) -> Step[A]:
    """A gate through time and one through depth; the output is not the state.

    Source: `tf.contrib.rnn.IntersectionRNNCell.call`; Collins et al. 2017. The input itself is
    gated too, so it goes along beside its product: ``[x W + b, x]``.
    """
    units, bias = cell.units, cell.forget_bias.value

    def input_product(x: A) -> A:
        return ops.concat([affine(ops, x, weights), x])

    def step(z: A, state: Mapping[str, A], tap: Tap) -> tuple[A, dict[str, A]]:
        product, x = ops.split(z, [4 * units, units])
        a = ops.add(product, ops.matmul(state["h"], weights["recurrent"]))
        a_gh, a_h, a_gy, a_y = ops.split(a, [units] * 4)
        if bias:
            a_gh, a_gy = ops.add(a_gh, ops.constant(bias)), ops.add(a_gy, ops.constant(bias))
        gh, gy = ops.sigmoid(a_gh), ops.sigmoid(a_gy)
        new, y = ops.tanh(a_h), activation(ops, cell.activation.value, a_y)
        h = _keep(ops, gh, state["h"], new)
        taps(tap, gh=gh, h=new, gy=gy, y=y)
        return _keep(ops, gy, x, y), {"h": h}

    return Step(input_product, step)
