"""Model -> architecture: which module says which block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.errors import CannotExpress
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Dense,
    Highway,
    Model,
    Recurrent,
    Residual,
)
from lstmbridge.targets.capability import express, features_of
from lstmbridge.targets.torch.architecture import (
    Architecture,
    Equations,
    Linear,
    Mixed,
    Native,
    Node,
    Series,
    TwoWay,
)
from lstmbridge.targets.torch.native import mode_of, needs_bias, projection_of
from lstmbridge.targets.torch.structure import skeleton_of


def plan(
    model: Model, dtype: np.dtype[Any], target: str = "torch", *, fed: bool = False
) -> Architecture:
    """How `model` is said in PyTorch.

    Args:
        model: the network.
        dtype: of the artifact's tensors.
        target: the column of the capability table that is asked.
        fed: initial states are fed in any case, so the model's own are not there.

    Raises:
        CannotExpress: a feature or a topology that this target does not know.
    """
    planner = _Planner(model, dtype, target)
    root = planner.node(model.root)
    planner.finish()
    if not isinstance(root, Series | TwoWay | Native) or (
        isinstance(root, Native) and root.residuals
    ):
        root = Series((root,))
    initial = {
        layer.initial_name(state): layer.cell.state_sizes[state]
        for layer in (() if fed else model.layers)
        for state in layer.initial
    }
    return Architecture(root, str(dtype), tuple(planner.expressions), initial)


class _Planner:
    """Walks the blocks in the order of `Model.layers` and `Model.attachments`."""

    def __init__(self, model: Model, dtype: np.dtype[Any], target: str) -> None:
        self._layers = list(model.layers)
        self._attachments = list(model.attachments)
        self.expressions: list[Expression] = []
        self._dtype = dtype
        self._target = target

    def finish(self) -> None:
        """Raise ValueError when something of the model has no place."""
        left = [*(one.name for one in self._layers), *(one.name for one in self._attachments)]
        if left:
            raise ValueError(f"{', '.join(left)} have no place")

    def node(self, block: Block, *, one_way: bool = False) -> Node:
        """The node for `block`; `one_way` inside a direction of a bidirectional block."""
        if isinstance(block, Recurrent):
            return self._layer()
        if isinstance(block, Residual):
            inner = self.node(block.inner, one_way=one_way)
            return replace(inner, residuals=inner.residuals + 1)
        if isinstance(block, Highway):
            inner = self.node(block.inner, one_way=one_way)
            coupled = block.transform_kernel is None
            return Mixed(self._attachments.pop(0).name, inner, coupled)
        if isinstance(block, Dense):
            return self._dense(block)
        if isinstance(block, Bidirectional):
            return self._two_way(block, one_way=one_way)
        nodes = tuple(_stacked([self.node(child, one_way=one_way) for child in block.blocks]))
        return nodes[0] if _is_stack(nodes) else Series(nodes)

    def _two_way(self, block: Bidirectional, *, one_way: bool) -> Node:
        if one_way:
            raise CannotExpress(
                "a bidirectional block lies inside one direction of another",
                expected="directions that are made of one-way layers",
                where=self._layers[0].name,
                advice="open an issue with this message",
            )
        forward = self.node(block.forward, one_way=True)
        backward = self.node(block.backward, one_way=True)
        return _both(forward, backward) or TwoWay(forward, backward)

    def _dense(self, block: Dense) -> Linear:
        return Linear(
            name=self._attachments.pop(0).name,
            input_size=block.input_size,
            output_size=block.output_size,
            bias=block.bias is not None,
            activation=block.activation.value,
        )

    def _layer(self) -> Native | Equations:
        layer = self._layers.pop(0)
        cell = layer.cell
        how = express(self._target, layer, features_of(cell, self._dtype))
        if how.how == "native" and projection_of(cell) >= cell.units:
            reason = "torch.nn.LSTM projects to fewer features than units only"
            how = Expression(layer.name, "stepped", reason)
        self.expressions.append(how)
        if how.how != "native":
            return Equations(layer.name, skeleton_of(cell))
        return Native(
            names=(layer.name,),
            mode=mode_of(cell),
            input_size=cell.input_size,
            hidden_size=cell.units,
            proj_size=projection_of(cell),
            bias=needs_bias(cell),
        )


def _is_stack(nodes: tuple[Node, ...]) -> bool:
    """Is a series of `nodes` nothing more than one module of several layers?"""
    return len(nodes) == 1 and isinstance(nodes[0], Native) and not nodes[0].residuals


def _both(forward: Node, backward: Node) -> Native | None:
    """Two single layers as one bidirectional module, where they are alike."""
    if not isinstance(forward, Native) or not isinstance(backward, Native):
        return None
    alike = _sort(forward) == _sort(backward) != ()
    if not alike or forward.num_layers + backward.num_layers != 2:
        return None
    return replace(
        forward,
        names=(*forward.names, *backward.names),
        bidirectional=True,
        bias=forward.bias or backward.bias,
    )


def _stacked(nodes: list[Node]) -> Iterator[Node]:
    """Neighbours of one size and kind as one module with ``num_layers``."""
    for _, group in groupby(enumerate(nodes), key=lambda pair: _sort(pair[1]) or pair[0]):
        alike = [node for _, node in group]
        natives = [node for node in alike if isinstance(node, Native)]
        if len(natives) < 2:
            yield from alike
            continue
        yield replace(
            natives[0],
            names=tuple(name for node in natives for name in node.names),
            num_layers=sum(node.num_layers for node in natives),
            bias=any(node.bias for node in natives),
        )


def _sort(node: Node) -> tuple[Any, ...]:
    """What layers of one `torch.nn` module have in common; () for what is no such layer."""
    if not isinstance(node, Native) or node.residuals:
        return ()
    return node.mode, node.hidden_size, node.proj_size, node.bidirectional
