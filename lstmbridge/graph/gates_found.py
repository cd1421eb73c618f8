"""One gate of a cell, followed back from its value to the kernel's product.

This forms hypotheses only; whether they hold is for `prove` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.graph.functions import composed
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.ops_shape import strided_index
from lstmbridge.graph.trace import Tracer

ACTIVATION_OPS: Mapping[str, str] = {
    "Elu": "elu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
"""Op type -> the activation's name in `arrays.ACTIVATIONS`."""
ADDS = frozenset({"Add", "AddV2"})
_LONGEST = 12


@dataclass(frozen=True, slots=True)
class Product:
    """The kernel's product, before anything is done to it.

    Attributes:
        tensor: output of the MatMul.
        units: width of a gate.
    """

    tensor: Tensor
    units: int


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, as found.

    Attributes:
        index: which quarter of the kernel's columns.
        activation: its name, ``linear`` where there is none.
        node: the operation that shows it.
        offset: constants added before the activation.
        offset_node: the constant that shows it, "" where there is none.
        peephole: the inputs by which a peephole product reads a cell state.
    """

    index: int
    activation: str
    node: str
    offset: float
    offset_node: str
    peephole: tuple[Edge, ...]


class GateFinder:
    """Follows tensors back to one kernel's product.

    Attributes:
        state: the new c, once it is known: the output's activation begins with it.
    """

    def __init__(self, tracer: Tracer, product: Product) -> None:
        self._tracer = tracer
        self._product = product
        self.state: Tensor | None = None

    def find(self, tensor: Tensor) -> Gate | None:
        """The gate whose value `tensor` is, or None."""
        at = self._tracer.resolve(tensor)
        activation, node, before = self.activation(at)
        gate = self._before_activation(before, activation, node)
        if gate is None and activation != "linear":
            return self._before_activation(at, "linear", at[0])
        return gate

    def activation(self, tensor: Tensor) -> tuple[str, str, Tensor]:
        """(name, node, input) of the activation that makes `tensor`; else ("linear", ...)."""
        op = self._tracer.op(tensor)
        if op.kind in ACTIVATION_OPS and op.inputs:
            return ACTIVATION_OPS[op.kind], op.name, op.inputs[0]
        found = composed(self._tracer, op, self) or self._hard_sigmoid(op)
        return found or ("linear", op.name, tensor)

    def __contains__(self, tensor: object) -> bool:
        """Whether a tensor is where an activation's input begins: a gate, or the new c."""
        if self.state is not None and tensor == self.state:
            return True
        return isinstance(tensor, tuple) and self.column(tensor) is not None

    def _hard_sigmoid(self, op: Op) -> tuple[str, str, Tensor] | None:
        """clip(0.2 x + 0.5, 0, 1)."""
        node, at = op.name, op
        for _ in range(2):
            if at.kind in {"ClipByValue", "Minimum", "Maximum"} and at.inputs:
                at = self._tracer.op(at.inputs[0])
        if at is op:
            return None
        for kinds in (ADDS, frozenset({"Mul"})):
            if at.kind not in kinds or len(at.inputs) != 2:
                return None
            value = next((t for t in at.inputs if self._tracer.scalar(t) is None), None)
            if value is None:
                return None
            last, at = value, self._tracer.op(value)
        return "hard_sigmoid", node, last

    def _before_activation(self, tensor: Tensor, activation: str, node: str) -> Gate | None:
        offset, offset_node = 0.0, ""
        peephole: list[Edge] = []
        at = self._tracer.resolve(tensor)
        for _ in range(_LONGEST):
            index = self.column(at)
            if index is not None:
                return Gate(index, activation, node, offset, offset_node, tuple(peephole))
            op = self._tracer.network.op(at[0])
            if op.kind not in ADDS or len(op.inputs) != 2:
                return None
            for k in (0, 1):
                other = op.inputs[1 - k]
                constant = self._tracer.scalar(other)
                if constant is not None:
                    offset += constant
                    offset_node = self._tracer.op(other).name
                    break
                edge = self._peephole(other)
                if edge is not None:
                    peephole.append(edge)
                    break
            else:
                return None
            at = self._tracer.resolve(op.inputs[k])
        return None

    def _peephole(self, tensor: Tensor) -> Edge | None:
        """The edge by which ``variable * c`` reads c."""
        op = self._tracer.op(tensor)
        if op.kind != "Mul" or len(op.inputs) != 2:
            return None
        for k in (0, 1):
            if self._holds_weights(op.inputs[k]):
                return (op.name, 1 - k)
        return None

    def _holds_weights(self, tensor: Tensor) -> bool:
        """A variable, whole or put together from parts; a frozen graph's is a constant."""
        op = self._tracer.op(tensor)
        if op.kind in {"ConcatV2", "Concat", "Reshape", "ExpandDims"}:
            return any(self._tracer.is_weight(t) for t in op.inputs)
        return self._tracer.is_weight(tensor)

    def column(self, tensor: Tensor) -> int | None:
        """Which quarter of the product `tensor` is, or None."""
        op = self._tracer.network.op(tensor[0])
        index: int | None = None
        if op.kind == "Split" and len(op.inputs) == 2 and op.attrs.get("num_split") == 4:
            index, whole = tensor[1], op.inputs[1]
        elif op.kind == "SplitV" and len(op.inputs) == 3:
            index, whole = tensor[1], op.inputs[0]
        elif op.kind in {"StridedSlice", "Slice"} and op.inputs:
            index, whole = self._sliced(op), op.inputs[0]
        if index is None or index > 3 or not self.is_product(whole):
            return None
        return index

    def _sliced(self, op: Op) -> int | None:
        numbers = [self._tracer.constant(t) for t in op.inputs[1:]]
        if any(n is None for n in numbers):
            return None
        lists = [[int(v) for v in np.ravel(n)] for n in numbers if n is not None]
        if op.kind == "Slice":
            begin: int | None = lists[0][-1]
        else:
            try:
                last = strided_index(op, lists[0], lists[1], lists[2])[-1]
            except (IndexError, ValueError):
                return None
            begin = (last.start or 0) if isinstance(last, slice) else None
        if begin is None or begin < 0 or begin % self._product.units:
            return None
        return begin // self._product.units

    def is_product(self, tensor: Tensor) -> bool:
        """Whether it is the kernel's product, perhaps with a bias added."""
        at = self._tracer.resolve(tensor)
        for _ in range(_LONGEST):
            if at == self._product.tensor:
                return True
            op = self._tracer.network.op(at[0])
            if op.kind == "BiasAdd" and op.inputs:
                at = self._tracer.resolve(op.inputs[0])
            elif op.kind in ADDS and len(op.inputs) == 2:
                sides = [self._tracer.resolve(t) for t in op.inputs]
                rest = [t for t in sides if not self._holds_weights(t)]
                if len(rest) != 1:
                    return False
                at = rest[0]
            else:
                return False
        return False
