"""Dropout in a graph: recognised by its random mask, proved to hand its input on at inference.

Forms, by the release that wrote them: ``x / keep * floor(keep + random)`` (up to 1.12),
``x * scale * cast(random >= rate)`` and ``x / keep * ...`` (1.13 to 2), and
``where(random >= rate, x * scale, 0)`` (late 2.x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import LstmBridgeError
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.network import Edge, Network, Op, Tensor

Plain = Callable[[Tensor], Tensor]

_RANDOM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
_ARITHMETIC = frozenset({"Add", "AddV2", "Mul", "Sub"})
# a rate of 0.2 and a scale of 1.25 may both be float32 constants
_TOLERANCE = 1e-5
_FURTHEST = 12


@dataclass(frozen=True, slots=True)
class _Mask:
    """A random mask.

    Attributes:
        random: the uniform random numbers.
        knob: the tensor that says how much is kept (or dropped).
        all_kept: its value where everything is.
    """

    random: Tensor
    knob: Tensor
    all_kept: float


def knob_of(network: Network, op: Op, plain: Plain) -> tuple[Tensor, float] | None:
    """What says how much a dropout keeps, and its value where it keeps everything."""
    for tensor in op.inputs:
        mask = _mask(network, tensor, plain)
        if mask is not None:
            return mask.knob, mask.all_kept
    return None


def dropout_source(network: Network, op: Op, plain: Plain) -> Tensor | None:
    """What `op` drops out from, or None where it is no dropout.

    Args:
        network: the graph.
        op: the operation that would be a dropout's last.
        plain: follows a tensor back through what hands it on.
    """
    if op.kind == "Mul" and len(op.inputs) == 2:
        sides: tuple[tuple[int, int], ...] = ((0, 1), (1, 0))
    elif op.kind in {"Select", "SelectV2"} and len(op.inputs) == 3:
        sides = ((0, 1),)
    else:
        return None
    for position, data in sides:
        mask = _mask(network, op.inputs[position], plain)
        if mask is not None:
            return _source(network, op, data, mask, plain)
    return None


def _mask(network: Network, tensor: Tensor, plain: Plain) -> _Mask | None:
    op = network.op(plain(tensor)[0])
    if op.kind == "Cast" and op.inputs:
        op = network.op(plain(op.inputs[0])[0])
    if op.kind == "GreaterEqual" and len(op.inputs) == 2:
        random = _random(network, op.inputs[0], plain)
        return random and _Mask(random, plain(op.inputs[1]), 0.0)
    if op.kind != "Floor" or not op.inputs:
        return None
    inner = network.op(plain(op.inputs[0])[0])
    if inner.kind in {"Add", "AddV2"} and len(inner.inputs) == 2:
        for k in (0, 1):
            random = _random(network, inner.inputs[k], plain)
            if random is not None:
                return _Mask(random, plain(inner.inputs[1 - k]), 1.0)
    return None


def _random(network: Network, tensor: Tensor, plain: Plain) -> Tensor | None:
    """The uniform random numbers behind `tensor`, which may scale and shift them."""
    todo, steps = [plain(tensor)], 0
    while todo and steps < _FURTHEST:
        steps += 1
        at = todo.pop()
        op = network.op(at[0])
        if op.kind in _RANDOM:
            return at
        if op.kind in _ARITHMETIC:
            todo.extend(plain(t) for t in op.inputs)
    return None


def _source(network: Network, op: Op, data: int, mask: _Mask, plain: Plain) -> Tensor | None:
    """The input that comes out unchanged where everything is kept: x, of x / keep * mask."""
    inner = network.op(plain(op.inputs[data])[0])
    edges: list[Edge] = []
    if inner.kind in {"Div", "RealDiv", "Mul"} and len(inner.inputs) == 2:
        edges = [(inner.name, 0), (inner.name, 1)]
    for edge in (*edges, (op.name, data)):
        source = network.op(edge[0]).inputs[edge[1]]
        if plain(source) != mask.knob and _hands_on(network, op, edge, mask, plain):
            return source
    return None


def _hands_on(network: Network, op: Op, edge: Edge, mask: _Mask, plain: Plain) -> bool:
    draw = np.random.default_rng(0)
    given = draw.normal(size=(3, 4))
    tensors = {mask.random: draw.uniform(size=given.shape), mask.knob: np.asarray(mask.all_kept)}
    try:
        result = Evaluation(network, plain, tensors, {edge: given})((op.name, 0))
        scale = 1.0
        knob = network.op(mask.knob[0])
        if knob.kind == "Const":
            # the scale may have been folded into a constant of its own
            value = float(np.ravel(Evaluation(network, plain)(mask.knob))[0])
            scale = 1.0 / (value if mask.all_kept else 1.0 - value)
    except (LstmBridgeError, ArithmeticError, LookupError):
        return False
    return result.shape == given.shape and (
        np.allclose(result, given, rtol=_TOLERANCE)
        or np.allclose(result, given * scale, rtol=_TOLERANCE)
    )
