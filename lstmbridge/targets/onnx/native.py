"""A layer, or both directions of one, as a single native `LSTM`, `GRU` or `RNN` node.

A projection h = m P is exact algebra around the operator: its recurrent weights become P U, it
carries m (H wide), and a MatMul by P follows. An initial h has no m; so its contribution to
the first step, h0 U, comes in as further input columns: h0 at the first step, zeros after it,
with U as their rows of W; the operator's own initial state is then zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import Cell
from lstmbridge.targets.onnx import weights
from lstmbridge.targets.onnx.activations import activation_attributes
from lstmbridge.targets.onnx.builder import Weight
from lstmbridge.targets.onnx.flow import Network
from lstmbridge.targets.onnx.operators import LENGTHS, OPERATORS, STATES, B, Operator, P, R, W


def fusible(forward: Layer, backward: Layer) -> bool:
    """Whether two native layers fit into one bidirectional node."""
    cells = forward.cell, backward.cell
    same = {(_operator(c), c.units, "peephole" in c.blocks, _resets_after(c)) for c in cells}
    return len(same) == 1 and not any("projection" in cell.blocks for cell in cells)


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
    operator = _operator(layers[0].cell)
    y = net.graph.unique(f"{name}/Y")
    picked = operator.picks_last and net.lengths is not None
    last = {} if picked else {s: net.graph.unique(f"{name}/Y_{s}") for s in operator.states}
    seen = _with_first_h(net, layers[0], x, direction)
    inputs = _inputs(net, layers, name, seen)
    attributes = _attributes(layers, direction)
    net.graph.node(operator.name, inputs, name, outputs=[y, *last.values()], **attributes)
    for index, layer in enumerate(layers):
        for state in operator.states:
            if picked and index == 0:
                _pick_final(net, layer, state, y)
                continue
            value = last[state] if last else _first_step(net, y, name)
            _add_final(net, layer, state, value, index if len(layers) == 2 else None)
    if len(layers) == 2:
        beside = net.graph.node("Transpose", [y], f"{name}/directions", perm=[0, 2, 1, 3])
        width = sum(layer.cell.units for layer in layers)
        return net.graph.node("Reshape", [beside, net.graph.ints(0, 0, width)], f"{name}/beside")
    return _project(net, layers[0].cell, net.graph.squeeze(y, 1, f"{name}/steps"), name)


def _operator(cell: Cell) -> Operator:
    return OPERATORS[cell.KIND]


def _resets_after(cell: Cell) -> bool:
    return "reset_after" in cell.facts and bool(cell.facts["reset_after"].value)


def _attributes(layers: Sequence[Layer], direction: str) -> dict[str, Any]:
    """Only what differs from the operator's defaults: a provider may refuse a node for more."""
    operator = _operator(layers[0].cell)
    wanted = [
        str(layer.cell.facts[fact].value) if fact in layer.cell.facts else default
        for layer in layers
        for fact, default in zip(operator.activations, operator.defaults, strict=True)
    ]
    attributes = activation_attributes(wanted, operator.defaults)
    attributes["hidden_size"] = layers[0].cell.units
    if direction != "forward":
        attributes["direction"] = direction
    if _resets_after(layers[0].cell):
        attributes["linear_before_reset"] = 1
    return attributes


def _inputs(net: Network, layers: Sequence[Layer], name: str, x: str) -> list[str]:
    """X, W, R, B, sequence_lens, the initial states and P; what is not there is ""."""
    g = net.graph
    cells, operator = tuple(layer.cell for layer in layers), _operator(layers[0].cell)
    projected = "projection" in cells[0].blocks

    def stored(kind: str, weight: Weight) -> str:
        return net.shared(cells, kind, lambda: g.weight(weight))

    kernel = weights.kernel_weight(
        f"{name}/W",
        operator,
        cells,
        g.dtype,
        with_recurrent=projected and net.initial(layers[0], "h") is not None,
    )
    inputs = [x] + [""] * P
    inputs[W] = stored("W", kernel)
    inputs[R] = stored("R", weights.recurrent_weight(f"{name}/R", operator, cells, g.dtype))
    if any(weights.needs_bias(cell) for cell in cells):
        inputs[B] = stored("B", weights.bias_weight(f"{name}/B", operator, cells, g.dtype))
    inputs[LENGTHS] = net.lengths or ""
    for place, state in enumerate(operator.states, STATES):
        inputs[place] = "" if projected and state == "h" else _initial(net, layers, state)
    if operator.peephole is not None and "peephole" in cells[0].blocks:
        gates = operator.peephole.gates
        inputs[P] = stored("P", weights.peephole_weight(f"{name}/P", gates, cells, g.dtype))
    while not inputs[-1]:
        inputs.pop()
    return inputs


def _initial(net: Network, layers: Sequence[Layer], state: str) -> str:
    """The operator's initial state (directions, batch, H); "" for zeros."""
    values = [net.initial(layer, state) for layer in layers]
    if not any(values):
        return ""
    parts = [
        net.graph.unsqueeze(
            value or net.zeros(layer.cell.units, net.graph.dtype),
            [0],
            f"{layer.initial_name(state)}/direction",
        )
        for layer, value in zip(layers, values, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    return net.graph.node("Concat", parts, f"initial_{layers[0].name}_{state}/both", axis=0)


def _with_first_h(net: Network, layer: Layer, x: str, direction: str) -> str:
    """`x` with the h0 of a projected cell beside its first step, zeros beside the others."""
    h0 = net.initial(layer, "h")
    if "projection" not in layer.cell.blocks or h0 is None:
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


def _project(net: Network, cell: Cell, value: str, name: str, output: str = "") -> str:
    if "projection" not in cell.blocks:
        return value
    g = net.graph
    weight = weights.projection_weight(f"{name}/projection", cell, g.dtype)
    stored = net.shared((cell,), "projection", lambda: g.weight(weight))
    return g.node("MatMul", [value, stored], f"{name}/h", outputs=[output] if output else ())


def _pick_final(net: Network, layer: Layer, state: str, y: str) -> None:
    """The output of each row's last step, of the forward direction; an empty row's is zero."""
    g = net.graph
    # rows of the forward direction come first, so they keep their numbers
    rows = g.node("Reshape", [y, g.ints(0, -1, layer.cell.units)], f"{y}/rows")
    inputs = [rows, net.last_steps()]
    name = f"{layer.name}/last_{state}"
    net.final(layer, state, lambda output: g.node("GatherND", inputs, name, outputs=[output]))


def _first_step(net: Network, y: str, name: str) -> str:
    """What a backward direction ends with: its output at the first step."""
    g = net.graph
    return g.node("Gather", [y, g.scalar(0)], f"{name}/first_step", axis=0)


def _add_final(net: Network, layer: Layer, state: str, value: str, index: int | None) -> None:
    """The last valid state of a layer; `index`: its direction in a bidirectional node."""
    g, projected = net.graph, "projection" in layer.cell.blocks

    def produce(output: str) -> str:
        name = f"{layer.name}/last_{state}"
        if index is not None:
            return g.node("Gather", [value, g.scalar(index)], name, outputs=[output], axis=0)
        if state == "c" or not projected:
            return g.squeeze(value, 0, name, output=output)
        return _project(net, layer.cell, g.squeeze(value, 0, name), layer.name, output)

    net.final(layer, state, produce)
