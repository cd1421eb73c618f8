"""Which activation a piece of a graph is: told by its numbers, however it is written.

`tf.maximum(0.2 * x, x)` is a leaky relu, and a lambda that clips a line a hard sigmoid. What a
function of one number is, its values on a grid say; the cell's proof then decides.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from lstmbridge.arrays import ACTIVATIONS, Float64, activation
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.trace import Tracer

ELEMENTWISE = frozenset(
    {
        *("Abs", "Add", "AddV2", "ClipByValue", "Elu", "Erf", "Exp", "Greater", "GreaterEqual"),
        *("LeakyRelu", "Less", "LessEqual", "Log", "Maximum", "Minimum", "Mul", "Neg", "OnesLike"),
        *("Pow", "RealDiv", "Relu", "Relu6", "Select", "SelectV2", "Selu", "Sigmoid", "Sign"),
        *("Sin", "Softplus", "Softsign", "Sqrt", "Square", "Sub", "Tanh", "ZerosLike"),
    }
)
"""Operations that do the same to every number of a tensor."""
_MOST = 12
# near zero, where most differ, and far from it, where clips are
_GRID = np.concatenate([np.linspace(-8.0, 8.0, 161), [-1e3, -60.0, -25.0, 25.0, 60.0, 1e3]])
_TOLERANCE = 1e-6


def source_of(tracer: Tracer, tensor: Tensor, stops: Container[Tensor]) -> Tensor | None:
    """The one tensor of which `tensor` is an elementwise function; None where there are more.

    Args:
        tracer: the graph.
        tensor: resolved.
        stops: tensors that are not looked into.
    """
    found: dict[Tensor, None] = {}
    todo, seen = [tensor], {tensor}
    while todo:
        at = todo.pop()
        op = tracer.network.op(at[0])
        if at in stops or (op.kind not in ELEMENTWISE and op.kind != "Const"):
            found[at] = None
            continue
        fresh = [t for t in map(tracer.resolve, op.inputs) if t not in seen]
        seen.update(fresh)
        todo.extend(fresh)
        if len(seen) > _MOST:
            return None
    return next(iter(found)) if len(found) == 1 and tensor not in found else None


def steps_of(tracer: Tracer, tensor: Tensor, stops: Container[Tensor]) -> str:
    """The operations that make `tensor`, in words, first the first; "" where there is none."""
    found: dict[str, str] = {}
    todo = [tensor]
    while todo and len(found) < _MOST:
        at = todo.pop(0)
        op = tracer.network.op(at[0])
        if at not in stops and op.kind in ELEMENTWISE and op.name not in found:
            found[op.name] = op.kind
            todo.extend(map(tracer.resolve, op.inputs))
    return ", ".join(dict.fromkeys(reversed(found.values())))


def name_of(tracer: Tracer, tensor: Tensor, source: Tensor) -> str | None:
    """The activation that makes `tensor` of `source`; None where it is none that is known."""
    grid = _GRID[None, :]
    try:
        value = Evaluation(tracer.network, tracer.resolve, {source: grid})(tensor)
    except NotRecognised:
        return None
    if value.shape != grid.shape:
        return None
    return next((name for name in ACTIVATIONS if _same(value, name, grid)), None)


def _same(value: Array, name: str, grid: Array) -> bool:
    with np.errstate(all="ignore"):
        wanted = activation(Float64(), name, grid)
    return bool(np.all(np.abs(value - wanted) <= _TOLERANCE * (1.0 + np.abs(wanted))))


def composed(tracer: Tracer, op: Op, stops: Container[Tensor]) -> tuple[str, str, Tensor] | None:
    """(name, node, source) of the activation that ends in `op`, where it is one of several."""
    if op.kind not in ELEMENTWISE:
        return None
    tensor = (op.name, 0)
    source = source_of(tracer, tensor, stops)
    name = None if source is None else name_of(tracer, tensor, source)
    return None if source is None or name in {None, "linear"} else (str(name), op.name, source)
