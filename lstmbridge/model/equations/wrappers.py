"""What blocks around a cell compute, at each step: dense layers and highways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from lstmbridge.arrays.namespace import Namespace, activation
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Dense, Highway

A = TypeVar("A")


def weights_of_block(block: Dense | Highway) -> dict[str, Array]:
    """The arrays of `block`, by the names of its fields."""
    return {name: stored.load() for name, stored in block.weights.items()}


def dense(ops: Namespace[A], block: Dense, x: A, weights: Mapping[str, A]) -> A:
    """Activation(x W + b).

    Source: `tf.contrib.rnn.InputProjectionWrapper`, `OutputProjectionWrapper`.
    """
    z = ops.matmul(x, weights["kernel"])
    if "bias" in weights:
        z = ops.add(z, weights["bias"])
    return activation(ops, block.activation.value, z)


def highway(ops: Namespace[A], x: A, inner: A, weights: Mapping[str, A]) -> A:
    """Carry * x + transform * inner; transform = 1 - carry where it has no weights.

    Source: `tf.contrib.rnn.HighwayWrapper`; Srivastava, Greff, Schmidhuber 2015.
    """
    carry = ops.sigmoid(ops.add(ops.matmul(x, weights["carry_kernel"]), weights["carry_bias"]))
    if "transform_kernel" in weights:
        product = ops.matmul(x, weights["transform_kernel"])
        transform = ops.sigmoid(ops.add(product, weights["transform_bias"]))
    else:
        transform = ops.sub(ops.constant(1.0), carry)
    return ops.add(ops.mul(x, carry), ops.mul(inner, transform))
