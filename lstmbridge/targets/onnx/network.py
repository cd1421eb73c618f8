"""A model's blocks, walked into one graph: batch-major outside, time-major inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.contracts import Expression, TargetOptions
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Dense,
    Highway,
    Layer,
    Model,
    Recurrent,
    Residual,
    Sequence,
)
from lstmbridge.model.signature import (
    OUTPUTS,
    SEQUENCE_LENGTH,
    Signature,
    States,
    TensorSpec,
    signature_of,
)
from lstmbridge.targets.capability import express, features_of
from lstmbridge.targets.onnx.attached import emit_dense, emit_highway
from lstmbridge.targets.onnx.builder import GraphBuilder, Weight, elem_type
from lstmbridge.targets.onnx.flow import Flow, Network, Order
from lstmbridge.targets.onnx.native import emit_native, fusible
from lstmbridge.targets.onnx.stepped import emit_stepped
from lstmbridge.targets.onnx.workshop import working_dtype


@dataclass(frozen=True)
class Plan:
    """A whole graph, its weights not yet made."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[onnx.ValueInfoProto, ...]
    weights: tuple[Weight, ...]
    signature: Signature
    expressions: tuple[Expression, ...]


def plan_graph(model: Model, dtype: np.dtype[Any], opset: int, options: TargetOptions) -> Plan:
    """Lay out the graph of `model` in precision `dtype`.

    Raises:
        CannotExpress: a layer needs what ONNX cannot say.
    """
    graph = GraphBuilder(opset, dtype)
    lengths = SEQUENCE_LENGTH if options.sequence_length else None
    walker = _Walker(Network(graph, options.states, lengths), model)
    walker.run()
    signature = signature_of(
        model, dtype, states=options.states, sequence_length=options.sequence_length
    )
    return Plan(
        nodes=tuple(graph.nodes),
        inputs=tuple(map(_value_info, signature.inputs)),
        outputs=tuple(map(_value_info, signature.outputs)),
        weights=tuple(graph.weights.values()),
        signature=signature,
        expressions=tuple(walker.expressions.values()),
    )


def _value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, elem_type(spec.dtype), spec.shape)


def _noted(expression: Expression, layer: Layer, dtype: np.dtype[Any]) -> Expression:
    """The expression, and what became of weights that are stored in another dtype."""
    stored = layer.cell.dtype
    work = working_dtype(dtype) if expression.how == "stepped" else dtype
    notes = [expression.detail]
    if stored != work:
        exact = np.promote_types(stored, work) == work
        done = "widened exactly" if exact else "rounded once"
        notes.append(f"weights {done} from {stored} to {work}")
    if work != dtype:
        notes.append(f"computed in {work}")
    return replace(expression, detail="; ".join(filter(None, notes)))


def _unwrapped(block: Block) -> Block:
    """A sequence of one block is that block."""
    while isinstance(block, Sequence) and len(block.blocks) == 1:
        block = block.blocks[0]
    return block


class _Walker:
    """Consumes a model's layers in the order of `Model.layers`, as the oracle does."""

    def __init__(self, net: Network, model: Model) -> None:
        self._net = net
        self._model = model
        self._layers = list(model.layers)
        self._attachments = list(model.attachments)
        features = {
            layer.name: (*features_of(layer.cell, net.graph.dtype), *self._asked())
            for layer in self._layers
        }
        self.expressions = {
            layer.name: _noted(
                express("onnx", layer, features[layer.name]), layer, net.graph.dtype
            )
            for layer in self._layers
        }

    def _asked(self) -> tuple[str, ...]:
        lengths = ("sequence_length",) if self._net.lengths else ()
        return lengths if self._net.states is States.NONE else (*lengths, "states")

    def run(self) -> None:
        """From `inputs` to `outputs`."""
        g = self._net.graph
        for layer in self._layers:
            for state in layer.cell.state_sizes:
                self._net.default_state(layer, state)
        x = Flow(self._net.time_major(), zero_past_end=False)
        y = self._block(self._model.root, x, Order.FORWARD)
        g.node("Transpose", [y.name], "outputs/batch_major", outputs=[OUTPUTS], perm=[1, 0, 2])
        g.drop_unused(x.name)

    def _block(self, block: Block, x: Flow, order: Order) -> Flow:
        if isinstance(block, Recurrent):
            return self._recurrent(x, order)
        if isinstance(block, Residual):
            return self._residual(block, x, order)
        if isinstance(block, Highway):
            inner = self._block(block.inner, x, order)
            return emit_highway(self._net, self._attachments.pop(0), x, inner)
        if isinstance(block, Dense):
            return emit_dense(self._net, self._attachments.pop(0), block, x)
        if isinstance(block, Bidirectional):
            return self._bidirectional(block, x, order)
        for child in block.blocks:
            x = self._block(child, x, order)
        return x

    def _recurrent(self, x: Flow, order: Order) -> Flow:
        layer = self._layers.pop(0)
        reverse = order is Order.REVERSE
        if self._is_stepped(layer):
            return Flow(emit_stepped(self._net, layer, x.name, reverse=reverse), True)
        direction = "reverse" if reverse else "forward"
        return Flow(emit_native(self._net, [layer], x.name, direction), True)

    def _next_name(self) -> str:
        """What comes next, after which nodes between layers are called."""
        return (self._layers or self._attachments)[0].name

    def _is_stepped(self, layer: Layer) -> bool:
        return self.expressions[layer.name].how == "stepped"

    def _residual(self, block: Residual, x: Flow, order: Order) -> Flow:
        first = self._next_name()
        y = self._block(block.inner, x, order)
        total = self._net.graph.node("Add", [y.name, x.name], f"{first}/residual")
        if self._net.lengths is not None and not x.zero_past_end:
            total = self._net.mask(total, f"{first}/residual_valid")
        return Flow(total, True)

    def _bidirectional(self, block: Bidirectional, x: Flow, order: Order) -> Flow:
        if order is Order.FORWARD and self._fits_one_node(block):
            layers = [self._layers.pop(0), self._layers.pop(0)]
            return Flow(emit_native(self._net, layers, x.name, "bidirectional"), True)
        g, first = self._net.graph, self._next_name()
        forward = self._block(block.forward, x, order)
        backward = self._backward(block.backward, x, order)
        both = g.node("Concat", [forward.name, backward.name], f"{first}/both", axis=2)
        return Flow(both, forward.zero_past_end and backward.zero_past_end)

    def _backward(self, block: Block, x: Flow, order: Order) -> Flow:
        if order is not Order.FORWARD:
            return self._block(block, x, order)
        if self._net.lengths is None:
            return self._block(block, x, Order.REVERSE)
        first = self._next_name()
        turned = Flow(self._net.turn(x.name, f"{first}/turned"), x.zero_past_end)
        y = self._block(block, turned, Order.TURNED)
        return Flow(self._net.turn(y.name, f"{first}/turned_back"), y.zero_past_end)

    def _fits_one_node(self, block: Bidirectional) -> bool:
        directions = _unwrapped(block.forward), _unwrapped(block.backward)
        if not all(isinstance(one, Recurrent) for one in directions):
            return False
        forward, backward = self._layers[:2]
        stepped = self._is_stepped(forward) or self._is_stepped(backward)
        return not stepped and fusible(forward, backward)
