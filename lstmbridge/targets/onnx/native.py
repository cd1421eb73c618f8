"""A layer, or both directions of one, as a single native `LSTM` node.

A projection h = m P is exact algebra around the operator: its recurrent weights become P U, it
carries m (H wide), and a MatMul by P follows. A fed initial h has no m; so its contribution to
the first step, h0 U, comes in as further input columns: h0 at the first step, zeros after it,
with U as their rows of W; the operator's own initial state is then zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import LSTM
from lstmbridge.targets.onnx import weights
from lstmbridge.targets.onnx.activations import activation_attributes
from lstmbridge.targets.onnx.builder import Weight
from lstmbridge.targets.onnx.flow import Network


def lstm_of(layer: Layer) -> LSTM:
    """The layer's cell, which is an LSTM.

    Raises:
        TypeError: it is not: the capability table sends only LSTMs here.
    """
    if not isinstance(layer.cell, LSTM):
        raise TypeError(f"{layer.name} is a {layer.cell.KIND}, not an LSTM")
    return layer.cell


def fusible(forward: Layer, backward: Layer) -> bool:
    """Whether two native layers fit into one bidirectional node."""
    one, other = lstm_of(forward), lstm_of(backward)
    return (
        one.units == other.units
        and one.projection is None
        and other.projection is None
        and (one.peephole is None) == (other.peephole is None)
    )


def emit_native(net: Network, layers: Sequence[Layer], x: str, direction: str) -> str:
    """Add the node for one layer, or for (forward, backward), and its final states.

    Args:
        net: the graph's fixed points.
        layers: one layer, or two for ``direction="bidirectional"``.
        x: the sequence (time, batch, features).
        direction: ONNX's attribute.

    Returns:
        The outputs (time, batch, features of all directions).
    """
    name = layers[0].name if len(layers) == 1 else f"{layers[0].name}_{layers[1].name}"
    outputs = [net.graph.unique(f"{name}/{part}") for part in ("Y", "Y_h", "Y_c")]
    seen = _with_first_h(net, layers[0], x, direction)
    inputs = _inputs(net, layers, name, seen)
    net.graph.node("LSTM", inputs, name, outputs=outputs, **_attributes(layers, direction))
    y, y_h, y_c = outputs
    for index, layer in enumerate(layers):
        for state, value in (("h", y_h), ("c", y_c)):
            _add_final(net, layer, state, value, index if len(layers) == 2 else None)
    if len(layers) == 2:
        beside = net.graph.node("Transpose", [y], f"{name}/directions", perm=[0, 2, 1, 3])
        width = sum(layer.cell.units for layer in layers)
        return net.graph.node("Reshape", [beside, net.graph.ints(0, 0, width)], f"{name}/beside")
    return _project(net, lstm_of(layers[0]), net.graph.squeeze(y, 1, f"{name}/steps"), name)


def _attributes(layers: Sequence[Layer], direction: str) -> dict[str, Any]:
    """Only what differs from the operator's defaults: a provider may refuse a node for more."""
    cells = map(lstm_of, layers)
    pairs = [(cell.gate_activation.value, cell.activation.value) for cell in cells]
    attributes = activation_attributes(pairs) | {"hidden_size": layers[0].cell.units}
    return attributes if direction == "forward" else attributes | {"direction": direction}


def _inputs(net: Network, layers: Sequence[Layer], name: str, x: str) -> list[str]:
    """X, W, R, B, sequence_lens, initial_h, initial_c, P; what is not there is ""."""
    g = net.graph
    cells = tuple(map(lstm_of, layers))
    with_recurrent = cells[0].projection is not None and net.fed(layers[0], "h") is not None

    def stored(kind: str, weight: Weight) -> str:
        return net.shared(cells, kind, lambda: g.weight(weight))

    kernel = weights.kernel_weight(f"{name}/W", cells, g.dtype, with_recurrent=with_recurrent)
    inputs = [
        x,
        stored("W", kernel),
        stored("R", weights.recurrent_weight(f"{name}/R", cells, g.dtype)),
        "",
        net.lengths or "",
        "" if cells[0].projection is not None else _initial(net, layers, "h"),
        _initial(net, layers, "c"),
        "",
    ]
    if any(weights.needs_bias(cell) for cell in cells):
        inputs[3] = stored("B", weights.bias_weight(f"{name}/B", cells, g.dtype))
    if cells[0].peephole is not None:
        inputs[7] = stored("P", weights.peephole_weight(f"{name}/P", cells, g.dtype))
    while not inputs[-1]:
        inputs.pop()
    return inputs


def _initial(net: Network, layers: Sequence[Layer], state: str) -> str:
    """The operator's initial state (directions, batch, H); "" for zeros."""
    parts = []
    for layer in layers:
        value = net.initial(layer, state)
        if value is None:
            return ""
        parts.append(net.graph.unsqueeze(value, [0], f"{layer.initial_name(state)}/direction"))
    if len(parts) == 1:
        return parts[0]
    return net.graph.node("Concat", parts, f"initial_{layers[0].name}_{state}/both", axis=0)


def _with_first_h(net: Network, layer: Layer, x: str, direction: str) -> str:
    """`x` with the fed h0 of a projected cell beside its first step, zeros beside the others."""
    h0 = net.initial(layer, "h")
    if lstm_of(layer).projection is None or h0 is None:
        return x
    g, name = net.graph, layer.initial_name("h")
    others = net.once(
        "other_steps", lambda: g.node("Sub", [net.dim(1), g.ints(1)], "steps/others")
    )
    two, three = g.ints(0, 0), g.ints(0, 0, 0)
    # ONNX's pads: how many before each axis, then how many after each
    ends = [others, two, three] if direction == "reverse" else [three, others, two]
    pads = g.node("Concat", ends, f"{name}/pads", axis=0)
    step = g.unsqueeze(h0, [0], f"{name}/step")
    padded = g.node("Pad", [step, pads], f"{name}/steps")
    return g.node("Concat", [x, padded], f"{layer.name}/inputs", axis=2)


def _project(net: Network, cell: LSTM, value: str, name: str, output: str = "") -> str:
    if cell.projection is None:
        return value
    g = net.graph
    weight = weights.projection_weight(f"{name}/projection", cell, g.dtype)
    stored = net.shared((cell,), "projection", lambda: g.weight(weight))
    return g.node("MatMul", [value, stored], f"{name}/h", outputs=[output] if output else ())


def _add_final(net: Network, layer: Layer, state: str, value: str, index: int | None) -> None:
    """The last valid state of a layer; `index`: its direction in a bidirectional node."""
    g = net.graph

    def produce(output: str) -> str:
        name = f"{layer.name}/last_{state}"
        if index is not None:
            at = g.constant(f"int/{index}", np.array(index, np.int64))
            return g.node("Gather", [value, at], name, outputs=[output], axis=0)
        if state == "c" or lstm_of(layer).projection is None:
            return g.squeeze(value, 0, name, output=output)
        return _project(net, lstm_of(layer), g.squeeze(value, 0, name), layer.name, output)

    net.final(layer, state, produce)
