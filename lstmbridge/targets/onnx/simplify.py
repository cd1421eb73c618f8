"""Nodes that say together what one operator says alone. Exact: not a bit of a result changes.

Each node of a loop's body costs a call per step. Measured on an LSTM of 256 units with a cell
clip (ONNX Runtime 1.32, one row): 3 % of the time is one node of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import onnx
from onnx import helper

from lstmbridge.targets.onnx.builder import GraphBuilder

CLIP_OF_ANY_FLOAT = 12
"""The first opset whose Clip ONNX Runtime has in double."""
_OTHER = {"Min": "Max", "Max": "Min"}


def with_clips(graph: GraphBuilder, results: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes of `graph`, each Max of a Min (or Min of a Max) by numbers as one Clip.

    Args:
        graph: whose nodes take a number as their second input.
        results: values that are used outside.
    """
    if graph.opset < CLIP_OF_ANY_FLOAT:
        return graph.nodes
    makers = {node.output[0]: node for node in graph.nodes}
    uses = Counter(name for node in graph.nodes for name in node.input) + Counter(results)
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        inner = makers.get(node.input[0])
        clip = _clip(graph, inner, node) if inner and uses[inner.output[0]] == 1 else None
        if clip is not None:
            kept = [one for one in kept if one is not inner]
        kept.append(node if clip is None else clip)
    return kept


def _clip(
    graph: GraphBuilder, inner: onnx.NodeProto, outer: onnx.NodeProto
) -> onnx.NodeProto | None:
    """Both as one node; None where they are something else, or where their order matters."""
    if _OTHER.get(outer.op_type) != inner.op_type:
        return None
    limits = {node.op_type: node.input[1] for node in (inner, outer)}
    low, high = limits["Max"], limits["Min"]
    lowest, highest = graph.number(low), graph.number(high)
    if lowest is None or highest is None or not lowest <= highest:
        return None
    return helper.make_node("Clip", [inner.input[0], low, high], outer.output, name=outer.name)
