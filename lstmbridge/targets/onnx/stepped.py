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

from lstmbridge.arrays import Float64
from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import bind, no_tap, weights_of
from lstmbridge.model.facts import Fact
from lstmbridge.targets.onnx.builder import GraphBuilder, elem_type
from lstmbridge.targets.onnx.flow import Network
from lstmbridge.targets.onnx.namespace import Named, Symbolic
from lstmbridge.targets.onnx.simplify import with_clips
from lstmbridge.targets.onnx.workshop import narrowed, stored_weights, widened, workshop


def emit_stepped(net: Network, layer: Layer, x: str, *, reverse: bool) -> str:
    """Add the `Scan` of one layer and its final states.

    With lengths, a row runs on past its end. What it gives there is replaced by zeros, and its
    final states are picked out of all its states: to hold them, step by step, would cost a
    `Where` per state inside the loop.

    Args:
        net: the graph's fixed points.
        layer: any cell that has equations.
        x: the sequence (time, batch, features).
        reverse: take the steps from the last to the first (where there are no lengths).

    Returns:
        The outputs (time, batch, features).
    """
    g = workshop(net)
    cell, name, ragged = _labelled(layer.cell), layer.name, net.lengths is not None
    names = stored_weights(net, name, layer.cell, partial(weights_of, layer.cell))
    z = bind(Symbolic(g, name, name), cell, names).input_product(widened(net, x))
    body, others = _body(g, cell, names, name, every_state=ragged)
    wide = "/wide" if g.dtype != net.graph.dtype else ""
    finals = {state: layer.state_name(state) + wide for state in cell.state_sizes}
    last = [f"{final}/past_end" if ragged else final for final in finals.values()]
    steps = g.unique(f"{name}/steps")
    tracks = dict.fromkeys(finals, steps) | {state: f"{name}/{state}_steps" for state in others}
    initial = {state: _initial(net, g, layer, state) for state in finals}
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": 1}
    if reverse:
        attributes |= {"scan_input_directions": [1], "scan_output_directions": [1]}
    outputs = [*last, steps, *(tracks[state] for state in others)]
    g.node("Scan", [*initial.values(), z], name, outputs=outputs, **attributes)
    if ragged:
        for state, final in finals.items():
            at_end = g.node("GatherND", [tracks[state], net.last_steps()], f"{final}/at_end")
            inputs = [net.not_empty(), at_end, initial[state]]
            g.node("Where", inputs, f"{final}/or_initial", outputs=[final])
        steps = net.mask(steps, f"{name}/valid_steps", g.dtype)
    for final in finals.values() if wide else ():
        output = final.removesuffix(wide)
        g.cast(final, net.graph.dtype, f"{output}/narrowed", output=output)
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
    """The initial state (batch, width): fed, the model's own, or zeros."""
    fed = net.initial(layer, state)
    if fed is not None:
        return fed if g.dtype == net.graph.dtype else g.cast(fed, g.dtype, f"{fed}/wide")
    return net.zeros(layer.cell.state_sizes[state], g.dtype)


def _body(
    outer: GraphBuilder, cell: Cell, names: dict[str, str], layer: str, *, every_state: bool
) -> tuple[onnx.GraphProto, tuple[str, ...]]:
    """One step: states, the step's input product -> states, output, other states once more.

    `every_state`: each state is wanted after each step; those that are not the output itself
    are given beside it. The second result names them.
    """
    g = outer.body()
    prefix = f"{layer}/step"
    old = {state: f"{prefix}/{state}_before" for state in cell.state_sizes}
    z = f"{prefix}/input_product"
    step = bind(Symbolic(g, prefix, layer), cell, names).step
    output, new = step(z, old, no_tap)
    others = tuple(state for state in old if every_state and new[state] != output)
    results = [*(new[state] for state in old), output, *(new[state] for state in others)]
    kind = elem_type(g.dtype)
    sizes = cell.state_sizes
    widths = [*sizes.values(), cell.output_size, *(sizes[state] for state in others)]
    row = helper.make_tensor_value_info
    inputs = [row(old[state], kind, ["batch", width]) for state, width in sizes.items()]
    inputs.append(row(z, kind, ["batch", _product_width(outer, cell, names)]))
    results = _distinct(g, results, prefix)
    outputs = [
        row(result, kind, ["batch", width]) for result, width in zip(results, widths, strict=True)
    ]
    nodes = with_clips(g, results)
    return helper.make_graph(nodes, f"{layer}_step", inputs, outputs), others


def _product_width(g: GraphBuilder, cell: Cell, names: dict[str, str]) -> int:
    """Width of the input product, from the equations and no number."""
    shapes = {k: np.broadcast_to(np.float64(0), g.weights[v].shape) for k, v in names.items()}
    product = bind(Float64(), cell, shapes).input_product(np.zeros((0, cell.input_size)))
    return int(product.shape[-1])


def _distinct(g: GraphBuilder, values: list[str], prefix: str) -> list[str]:
    """The values, each once and each made by a node of the body, as a graph's outputs must be."""
    made = {output for node in g.nodes for output in node.output}
    results: list[str] = []
    for value in values:
        fresh = value in made and value not in results
        results.append(value if fresh else g.node("Identity", [value], f"{prefix}/output"))
    return results
