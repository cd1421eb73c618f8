"""Variables that a graph writes while it computes its outputs: a state between calls.

A stateful layer begins where the last call ended. An artifact computes from its inputs alone:
what it begins with is what was stored, at every call, and that is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.network import Network, Tensor
from lstmbridge.graph.trace import Tracer

_WRITES = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})
_MOST_SHOWN = 3


def updated_note(
    graph: Graph, tracer: Tracer, needed: Collection[str], inputs: Collection[Tensor]
) -> str:
    """What to say about variables that a call of the model changes; "" where there are none.

    Counted is what a function writes (its writes happen whenever it is called), from what is
    fed, to a variable that the outputs need. A TensorFlow 1 graph's writes are run by whoever
    asks for them, and are no part of its outputs.

    Args:
        graph: tells what stands in functions from what does not.
        tracer: of the graph's network, nothing fed.
        needed: names of the operations that the outputs need.
        inputs: the tensors that are fed.
    """
    network = tracer.network
    written: dict[str, None] = {}
    for op in network.ops.values():
        if op.kind not in _WRITES or op.name in graph.nodes or len(op.inputs) < 2:
            continue
        variable = tracer.resolve(op.inputs[0])[0]
        if variable in needed and _follows(network, op.inputs[1], inputs):
            written[variable] = None
    if not written:
        return ""
    names = ", ".join([*written][:_MOST_SHOWN]) + (", ..." if len(written) > _MOST_SHOWN else "")
    return (
        f"each call of this model changes {names}, and the next call begins with that; what is "
        "converted begins with the stored values at every call"
    )


def _follows(network: Network, tensor: Tensor, inputs: Collection[Tensor]) -> bool:
    """Whether a value depends on what is fed."""
    fed = {name for name, _ in inputs}
    queue, seen = deque([tensor[0]]), {tensor[0]}
    while queue:
        op = network.op(queue.popleft())
        if op.name in fed:
            return True
        fresh = [name for name, _ in op.inputs if name not in seen]
        seen.update(fresh)
        queue.extend(fresh)
    return False
