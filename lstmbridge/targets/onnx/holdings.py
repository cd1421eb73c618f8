"""What an ONNX file holds: its recurrent nodes, wherever they stand, and its other operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod

import onnx
from onnx import helper

from lstmbridge.contracts import HeldLayer, Holdings
from lstmbridge.targets.onnx.reading import OnnxFile

_GATES: Mapping[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Recurrent operators, and how many blocks of rows their weights have."""
_DIRECTIONS = {"reverse": "backward", "bidirectional": "both"}
_INPUTS = {3: "bias", 4: "lengths", 5: "initial states", 7: "peepholes"}
"""Optional inputs of recurrent operators, by their number."""
_NO_FACTS = frozenset({"direction", "hidden_size"})
Shapes = Mapping[str, tuple[int, ...]]


def holdings_of(file: OnnxFile) -> Holdings:
    """Told from nodes and shapes; the numbers stay where they are."""
    graph = file.proto.graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    nodes = list(_nodes(graph))
    operations = Counter(node.op_type for node in nodes if not _is_layer(node))
    return Holdings(
        layers=tuple(_layer(node, shapes) for node in nodes if _is_layer(node)),
        operations=dict(operations.most_common()),
        tensors=len(shapes),
        numbers=sum(map(prod, shapes.values())),
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of bodies after the node that has them."""
    todo = [graph]
    while todo:
        for node in todo.pop().node:
            yield node
            todo += [one.g for one in node.attribute if one.HasField("g")]


def _is_layer(node: onnx.NodeProto) -> bool:
    return node.op_type in _GATES and node.domain in {"", "ai.onnx"}


def _layer(node: onnx.NodeProto, shapes: Shapes) -> HeldLayer:
    attrs = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    weights = shapes.get(node.input[1]) if len(node.input) > 1 else None
    known = weights is not None and len(weights) == 3
    units = attrs.get("hidden_size")
    if units is None and weights is not None and known:
        units = weights[1] // _GATES[node.op_type]
    direction = _text(attrs.get("direction", "forward"))
    facts: dict[str, str | float | bool] = {
        name: True for k, name in _INPUTS.items() if len(node.input) > k and node.input[k]
    }
    facts |= {name: _said(value) for name, value in attrs.items() if name not in _NO_FACTS}
    return HeldLayer(
        name=node.name or node.output[0],
        cell=node.op_type,
        said_by=f"ONNX {node.op_type}",
        direction=_DIRECTIONS.get(direction, direction),
        input_size=weights[2] if weights is not None and known else None,
        units=units,
        output_size=units,
        facts=facts,
    )


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _said(value: object) -> str | float | bool:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return _text(value)
