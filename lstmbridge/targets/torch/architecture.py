"""What an artifact's module tree looks like, as values: planned from a model, kept in the file.

A `Native` node is one `torch.nn.LSTM`; an `Equations` node runs the cell's equations; `Series`
and `TwoWay` put nodes together. A residual connection is no module, so that it adds no level to
the keys: it is a count on the node it goes around. No torch in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.errors import CannotExpress
from lstmbridge.model.blocks import Bidirectional, Block, Layer, Model, Recurrent, Residual
from lstmbridge.model.cells import LSTM
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH, Signature, TensorSpec
from lstmbridge.targets.capability import express, features_of


@dataclass(frozen=True, slots=True)
class Native:
    """One `torch.nn.LSTM`; its keys are that module's own.

    Attributes:
        names: the model's layers in the order of torch's states: layer by layer, forward before
            backward.
        proj_size: width of the projection, 0 where there is none.
        bias: False where no layer has a bias or a forget bias.
        residuals: how often the input is added to the output.
    """

    names: tuple[str, ...]
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True
    residuals: int = 0

    @property
    def output_size(self) -> int:
        """Features of the output, of both directions together."""
        return (self.proj_size or self.hidden_size) * (2 if self.bidirectional else 1)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What torch appends to the parameters' names, layer by layer as `names`."""
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return tuple(f"_l{k}{way}" for k in range(self.num_layers) for way in ways)


@dataclass(frozen=True, slots=True)
class Equations:
    """One layer whose step is `model.equations`; keys ``kernel``, ``recurrent``, ``bias``, ...

    The constants that weights do not show stand here, not in the state dict.
    """

    name: str
    input_size: int
    units: int
    output_size: int
    bias: bool
    peephole: bool
    projection: bool
    forget_bias: float
    activation: str
    gate_activation: str
    cell_clip: float | None
    proj_clip: float | None
    residuals: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """Nodes one after another; keys ``0.``, ``1.``, ... (``layers.0.`` at the root)."""

    nodes: tuple[Node, ...]
    residuals: int = 0

    @property
    def input_size(self) -> int:
        """Features of the first node's input."""
        return self.nodes[0].input_size

    @property
    def output_size(self) -> int:
        """Features of the last node's output."""
        return self.nodes[-1].output_size


@dataclass(frozen=True, slots=True)
class TwoWay:
    """Two nodes over one input; keys ``forward_layers.`` and ``backward_layers.``."""

    forward: Node
    backward: Node
    residuals: int = 0

    @property
    def input_size(self) -> int:
        """Features of the input."""
        return self.forward.input_size

    @property
    def output_size(self) -> int:
        """Features of both directions together."""
        return self.forward.output_size + self.backward.output_size


Node: TypeAlias = "Native | Equations | Series | TwoWay"
Leaf: TypeAlias = "Native | Equations"


@dataclass(frozen=True, slots=True)
class Architecture:
    """All that a file must say beside its tensors.

    Attributes:
        root: a `Series` here has its keys under ``layers.``.
        dtype: of every tensor, by NumPy's name.
        expressions: how each layer is said, and why.
    """

    root: Node
    dtype: str
    expressions: tuple[Expression, ...]


def leaves(node: Node, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every module that holds parameters, with the prefix of its keys, in the model's order."""
    if isinstance(node, Series):
        for k, child in enumerate(node.nodes):
            yield from leaves(child, f"{prefix}{k}.")
    elif isinstance(node, TwoWay):
        yield from leaves(node.forward, f"{prefix}forward_layers.")
        yield from leaves(node.backward, f"{prefix}backward_layers.")
    else:
        yield prefix, node


def root_leaves(architecture: Architecture) -> Iterator[tuple[str, Leaf]]:
    """`leaves` of the root, whose series lies under ``layers.``."""
    prefix = "layers." if isinstance(architecture.root, Series) else ""
    return leaves(architecture.root, prefix)


def state_sizes(leaf: Leaf) -> list[tuple[str, int, int]]:
    """(layer, width of h, width of c) of the layers in `leaf`."""
    if isinstance(leaf, Native):
        h = leaf.proj_size or leaf.hidden_size
        return [(name, h, leaf.hidden_size) for name in leaf.names]
    return [(leaf.name, leaf.output_size, leaf.units)]


def signature(architecture: Architecture, dtype: np.dtype[Any]) -> Signature:
    """Names and shapes of the module's `forward`: lengths and initial states are optional."""
    inputs = [
        TensorSpec(INPUTS, ("batch", "time", architecture.root.input_size), dtype),
        TensorSpec(SEQUENCE_LENGTH, ("batch",), np.dtype(np.int32), optional=True),
    ]
    outputs = [TensorSpec(OUTPUTS, ("batch", "time", architecture.root.output_size), dtype)]
    for _, leaf in root_leaves(architecture):
        for name, h, c in state_sizes(leaf):
            for state, width in (("h", h), ("c", c)):
                shape = ("batch", width)
                inputs.append(TensorSpec(f"initial_{name}_{state}", shape, dtype, optional=True))
                outputs.append(TensorSpec(f"{name}_{state}", shape, dtype))
    return Signature(tuple(inputs), tuple(outputs))


# --- model -> architecture -------------------------------------------------------------------


def plan(model: Model, dtype: np.dtype[Any]) -> Architecture:
    """How `model` is said in PyTorch.

    Raises:
        CannotExpress: a feature or a topology that this target does not know.
    """
    planner = _Planner(model.layers, dtype)
    root = planner.node(model.root)
    if planner.unplaced:
        raise ValueError(f"layers {[layer.name for layer in planner.unplaced]} have no place")
    if isinstance(root, Equations) or (isinstance(root, Native) and root.residuals):
        root = Series((root,))
    return Architecture(root, str(dtype), tuple(planner.expressions))


class _Planner:
    """Walks the blocks in the order of `Model.layers`."""

    def __init__(self, layers: tuple[Layer, ...], dtype: np.dtype[Any]) -> None:
        self.unplaced = list(layers)
        self.expressions: list[Expression] = []
        self._dtype = dtype

    def node(self, block: Block, *, one_way: bool = False) -> Node:
        """The node for `block`; `one_way` inside a direction of a bidirectional block."""
        if isinstance(block, Recurrent):
            return self._leaf()
        if isinstance(block, Residual):
            inner = self.node(block.inner, one_way=one_way)
            return replace(inner, residuals=inner.residuals + 1)
        if isinstance(block, Bidirectional):
            if one_way:
                raise CannotExpress(
                    "a bidirectional block lies inside one direction of another",
                    expected="directions that are made of one-way layers",
                    where=self.unplaced[0].name,
                    advice="open an issue with this message",
                )
            forward = self.node(block.forward, one_way=True)
            backward = self.node(block.backward, one_way=True)
            return _both(forward, backward) or TwoWay(forward, backward)
        nodes = tuple(self.node(child, one_way=one_way) for child in block.blocks)
        return _stacked(nodes) or Series(nodes)

    def _leaf(self) -> Leaf:
        layer = self.unplaced.pop(0)
        cell = layer.cell
        how = express("torch", layer, features_of(cell, self._dtype))
        if how.how == "native" and cell.projection is not None and cell.output_size >= cell.units:
            reason = "torch.nn.LSTM projects to fewer features than units only"
            how = Expression(layer.name, "stepped", reason)
        self.expressions.append(how)
        return _native(layer) if how.how == "native" else _equations(layer)


def _native(layer: Layer) -> Native:
    cell = layer.cell
    return Native(
        names=(layer.name,),
        input_size=cell.input_size,
        hidden_size=cell.units,
        proj_size=0 if cell.projection is None else cell.output_size,
        bias=cell.bias is not None or cell.forget_bias.value != 0,
    )


def _equations(layer: Layer) -> Equations:
    cell: LSTM = layer.cell
    return Equations(
        name=layer.name,
        input_size=cell.input_size,
        units=cell.units,
        output_size=cell.output_size,
        bias=cell.bias is not None,
        peephole=cell.peephole is not None,
        projection=cell.projection is not None,
        forget_bias=float(cell.forget_bias.value),
        activation=cell.activation.value,
        gate_activation=cell.gate_activation.value,
        cell_clip=_number(cell.cell_clip.value),
        proj_clip=_number(cell.proj_clip.value),
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _both(forward: Node, backward: Node) -> Native | None:
    """Two single layers as one bidirectional `torch.nn.LSTM`, where they are alike."""
    if not isinstance(forward, Native) or not isinstance(backward, Native):
        return None
    if forward.num_layers + backward.num_layers != 2 or not _alike((forward, backward)):
        return None
    return replace(
        forward,
        names=(*forward.names, *backward.names),
        bidirectional=True,
        bias=forward.bias or backward.bias,
    )


def _stacked(nodes: tuple[Node, ...]) -> Native | None:
    """Layers of one size as one `torch.nn.LSTM` with ``num_layers``."""
    natives = [node for node in nodes if isinstance(node, Native)]
    if len(natives) != len(nodes) or not _alike(tuple(natives)):
        return None
    return replace(
        natives[0],
        names=tuple(name for node in natives for name in node.names),
        num_layers=sum(node.num_layers for node in natives),
        bias=any(node.bias for node in natives),
    )


def _alike(nodes: tuple[Native, ...]) -> bool:
    shapes = {(n.hidden_size, n.proj_size, n.bidirectional, n.residuals) for n in nodes}
    return len(shapes) == 1 and not nodes[0].residuals
