"""How many axes an input has whose graph does not say it.

TensorFlow before 1.1 wrote an unknown shape as no axes at all. What reads the input shows how
many there are: a transposition's order, a matrix product, a recognised stack.
"""

from __future__ import annotations

from lstmbridge.graph.network import Tensor
from lstmbridge.graph.whole import Port, Whole

_RANKS = {"MatMul": 2, "Conv2D": 4}
"""Operations whose first input has this many axes."""
Shape = tuple[int | None, ...]


def shape_of_port(whole: Whole, port: Port) -> Shape | None:
    """The port's shape: as declared, or as its readers show it; None where nothing does."""
    if port.shape:
        return port.shape
    guarded = whole.program.tracer.guarded
    at = guarded(port.tensor)
    for place in whole.places:
        if guarded(place.source) == at:
            return (None, None, place.model.input_size)
        if place.lengths is not None and guarded(place.lengths) == at:
            return (None,)
    rank = _rank_read(whole, port.tensor)
    return port.shape if rank is None else (None,) * rank


def _rank_read(whole: Whole, tensor: Tensor) -> int | None:
    """The number of axes that some reader takes for granted."""
    tracer = whole.program.tracer
    for name, position in tracer.uses(tensor):
        op = tracer.network.op(name)
        if position == 0 and op.kind in _RANKS:
            return _RANKS[op.kind]
        if position == 0 and op.kind == "Transpose" and len(op.inputs) == 2:
            order = tracer.constant(op.inputs[1])
            if order is not None:
                return int(order.size)
    return None
