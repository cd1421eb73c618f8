"""What equations need of a graph when they write nodes: their precision, and their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.targets.onnx.builder import GraphBuilder, Weight
from lstmbridge.targets.onnx.flow import Network
from lstmbridge.targets.onnx.weights import cast

KEEP_BELOW = 2**16
"""Weights of fewer bytes are kept from planning to writing; larger ones are made anew."""


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """In what equations compute: float16 networks in float32, all others in their own.

    ONNX Runtime's CPU provider has no half-precision arithmetic: it would widen and narrow
    around every node (measured on a `Scan`: 1.7 x the time at batch 1).
    """
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def workshop(net: Network) -> GraphBuilder:
    """The graph, as a place to write equations in their working precision."""
    return dataclasses.replace(net.graph, dtype=working_dtype(net.graph.dtype))


def widened(net: Network, x: str) -> str:
    """The sequence `x` in the working precision."""
    dtype = working_dtype(net.graph.dtype)
    return x if dtype == net.graph.dtype else net.widened(x, dtype)


def narrowed(net: Network, x: str, name: str) -> str:
    """The result `x` of equations back in the graph's precision."""
    if working_dtype(net.graph.dtype) == net.graph.dtype:
        return x
    return net.graph.cast(x, net.graph.dtype, f"{name}/narrowed")


def stored_weights(
    net: Network, owner: str, thing: object, load: Callable[[], Mapping[str, Array]]
) -> dict[str, str]:
    """Initializers ``layer0/kernel``, ... for the arrays that `load` gives by name.

    Args:
        net: the graph.
        owner: before each name.
        thing: whose weights they are: the same thing's are stored once.
        load: called now, for the shapes, and at writing once for each large array.
    """
    g = workshop(net)

    def store(label: str, array: Array) -> str:
        name = f"{owner}/{label}"
        if array.nbytes < KEEP_BELOW:
            return g.constant(name, cast(name, array, g.dtype))
        build = lambda: cast(name, load()[label], g.dtype)  # noqa: E731
        return g.weight(Weight(name, tuple(array.shape), g.dtype, build))

    return {
        label: net.shared((thing,), label, partial(store, label, array))
        for label, array in load().items()
    }
