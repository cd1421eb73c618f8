"""A layer as a `Scan` whose body is the cell's own equations, for what no operator can say.

Nothing here knows a kind of cell. The input product is computed for all steps at once, before
the `Scan`; weights are initializers of the outer graph, which the body sees by name.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import bind, no_tap, weights_of
from lstmbridge.model.facts import Fact
from lstmbridge.targets.onnx.builder import GraphBuilder, elem_type
from lstmbridge.targets.onnx.flow import Network
from lstmbridge.targets.onnx.namespace import Named, Symbolic
from lstmbridge.targets.onnx.workshop import narrowed, stored_weights, widened, workshop


def emit_stepped(net: Network, layer: Layer, x: str, *, reverse: bool) -> str:
    """Add the `Scan` of one layer and its final states.

    Args:
        net: the graph's fixed points.
        layer: any cell that has equations.
        x: the sequence (time, batch, features).
        reverse: take the steps from the last to the first (where there are no lengths).

    Returns:
        The outputs (time, batch, features).
    """
    g = workshop(net)
    cell, name = _labelled(layer.cell), layer.name
    wide = g.dtype != net.graph.dtype
    names = stored_weights(net, name, layer.cell, partial(weights_of, layer.cell))
    z = bind(Symbolic(g, name, name), cell, names).input_product(widened(net, x))
    masks = [] if net.lengths is None else [net.alive()]
    body = _body(g, cell, names, name, masked=bool(masks))
    finals = [layer.state_name(state) for state in cell.state_sizes]
    steps = g.unique(f"{name}/steps")
    initial = [_initial(net, g, layer, state) for state in cell.state_sizes]
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": 1 + len(masks)}
    if reverse:
        attributes["scan_input_directions"] = [1] * (1 + len(masks))
        attributes["scan_output_directions"] = [1]
    outputs = [*(f"{final}/wide" if wide else final for final in finals), steps]
    g.node("Scan", [*initial, z, *masks], name, outputs=outputs, **attributes)
    if masks:
        steps = net.mask(steps, f"{name}/valid_steps", g.dtype)
    for final, output in zip(finals if wide else (), outputs, strict=False):
        g.cast(output, net.graph.dtype, f"{final}/narrowed", output=final)
    return narrowed(net, steps, name)


def _labelled(cell: Cell) -> Cell:
    """The cell, its numeric constants knowing what they are called."""
    labelled: dict[str, Any] = {}
    for field in dataclasses.fields(cell):
        fact = getattr(cell, field.name)
        if isinstance(fact, Fact) and isinstance(fact.value, float):
            labelled[field.name] = dataclasses.replace(fact, value=Named(fact.value, field.name))
    return dataclasses.replace(cell, **labelled)


def _initial(net: Network, g: GraphBuilder, layer: Layer, state: str) -> str:
    """The initial state (batch, width): fed, or zeros."""
    fed = net.initial(layer, state)
    if fed is not None:
        return fed if g.dtype == net.graph.dtype else g.cast(fed, g.dtype, f"{fed}/wide")
    width = layer.cell.state_sizes[state]

    def zeros() -> str:
        shape = g.node("Concat", [net.dim(0), g.ints(width)], f"zeros/{width}/shape", axis=0)
        return g.node("Expand", [net.zero(g.dtype), shape], f"zeros/{width}")

    return net.once(f"zeros/{width}", zeros)


def _body(
    outer: GraphBuilder, cell: Cell, names: dict[str, str], layer: str, *, masked: bool
) -> onnx.GraphProto:
    """One step: states, the step's input product (and whether rows are alive) -> states, output.

    A row past its end holds its states; that its outputs are zero is seen to outside.
    """
    g = outer.body()
    prefix = f"{layer}/step"
    old = {state: f"{prefix}/{state}_before" for state in cell.state_sizes}
    z, alive = f"{prefix}/input_product", f"{prefix}/alive"
    step = bind(Symbolic(g, prefix, layer), cell, names).step
    output, new = step(z, old, no_tap)
    if masked:
        new = {
            state: g.node("Where", [alive, value, old[state]], f"{prefix}/{state}")
            for state, value in new.items()
        }
    results = _distinct(g, [*(new[state] for state in old), output], prefix)
    kind = elem_type(g.dtype)
    widths = [*cell.state_sizes.values(), cell.output_size]
    row = helper.make_tensor_value_info
    inputs = [row(old[state], kind, ["batch", width]) for state, width in cell.state_sizes.items()]
    inputs.append(row(z, kind, ["batch", None]))
    if masked:
        inputs.append(row(alive, elem_type(np.dtype(np.bool_)), ["batch", 1]))
    outputs = [row(r, kind, ["batch", width]) for r, width in zip(results, widths, strict=True)]
    return helper.make_graph(g.nodes, f"{layer}_step", inputs, outputs)


def _distinct(g: GraphBuilder, values: list[str], prefix: str) -> list[str]:
    """The values, each once and each made by a node of the body, as a graph's outputs must be."""
    made = {output for node in g.nodes for output in node.output}
    results: list[str] = []
    for value in values:
        fresh = value in made and value not in results
        results.append(value if fresh else g.node("Identity", [value], f"{prefix}/output"))
    return results
