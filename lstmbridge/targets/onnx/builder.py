"""A graph under construction: nodes with readable names, and weights that are still recipes.

Weights are made one at a time while the file is written, so that building a graph of gigabytes
costs its shapes. What differs between opsets (axes as attribute or as input) is hidden here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.gates import Array

AXES_AS_INPUT = 13
"""First opset in which Squeeze, Unsqueeze and Split take axes and sizes as inputs."""
REDUCE_AXES_AS_INPUT = 18
"""The same for ReduceMean."""


@dataclass(frozen=True, slots=True)
class Weight:
    """An initializer: its name, shape and dtype now, its numbers when it is written.

    Attributes:
        build: returns a C-contiguous array of `shape` and `dtype`.
        pieces: the same numbers as arrays one after another, where the whole need not be held.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    build: Callable[[], Array]
    pieces: Callable[[], Iterator[Array]] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def elem_type(dtype: np.dtype[Any]) -> int:
    """ONNX's number for a NumPy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@dataclass
class GraphBuilder:
    """Nodes of one graph (or of a `Scan` body); initializers belong to the outermost graph."""

    opset: int
    dtype: np.dtype[Any]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)

    def body(self) -> GraphBuilder:
        """A builder for a subgraph: nodes of its own, weights and names shared."""
        return GraphBuilder(self.opset, self.dtype, [], self.weights, self._names)

    def unique(self, name: str) -> str:
        """`name`, or `name` with a number where it is taken."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self.unique(f"{name}_{count}")

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        name: str,
        *,
        outputs: Sequence[str] = (),
        **attrs: Any,
    ) -> str:
        """Add a node; its (first) output is called as the node is, unless `outputs` says so."""
        name = self.unique(name)
        outputs = list(outputs) or [name]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attrs))
        return outputs[0]

    def drop_unused(self, value: str) -> None:
        """Take away the node that gives `value`, if no node takes it."""
        if not any(value in node.input for node in self.nodes):
            self.nodes = [node for node in self.nodes if list(node.output) != [value]]

    def weight(self, weight: Weight) -> str:
        """Add an initializer."""
        self.weights[weight.name] = weight
        return weight.name

    def constant(self, name: str, value: Array) -> str:
        """A small initializer whose numbers are here already. Same name, same numbers."""
        array = np.asarray(value, order="C")  # ascontiguousarray would turn a scalar into a vector
        known = self.weights.get(name)
        if known is not None and known.build().tobytes() != array.tobytes():
            return self.constant(self.unique(name), value)
        return self.weight(Weight(name, tuple(array.shape), array.dtype, lambda: array))

    def number(self, name: str) -> float | None:
        """The number called `name`; None where it is an array, or no constant."""
        known = self.weights.get(name)
        return None if known is None or known.shape else float(known.build())

    def ints(self, *values: int) -> str:
        """An int64 vector."""
        name = "ints/" + "_".join(map(str, values))
        return self.constant(name, np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """An int64 scalar."""
        return self.constant(f"int/{value}", np.array(value, np.int64))

    def _axes(self, x: str, axes: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
        if self.opset >= AXES_AS_INPUT:
            return [x, self.ints(*axes)], {}
        return [x], {"axes": list(axes)}

    def squeeze(self, x: str, axis: int, name: str, *, output: str = "") -> str:
        """Drop an axis of length 1."""
        inputs, attrs = self._axes(x, [axis])
        return self.node("Squeeze", inputs, name, outputs=[output] if output else (), **attrs)

    def unsqueeze(self, x: str, axes: Sequence[int], name: str) -> str:
        """Insert axes of length 1."""
        inputs, attrs = self._axes(x, axes)
        return self.node("Unsqueeze", inputs, name, **attrs)

    def cast(self, x: str, dtype: np.dtype[Any], name: str, *, output: str = "") -> str:
        """`x` in another dtype."""
        return self.node(
            "Cast", [x], name, outputs=[output] if output else (), to=elem_type(dtype)
        )

    def split(self, x: str, sizes: Sequence[int], name: str) -> list[str]:
        """Pieces of the last axis."""
        outputs = [self.unique(f"{name}/{k}") for k in range(len(sizes))]
        inputs, attrs = [x], {"axis": -1, "split": list(sizes)}
        if self.opset >= AXES_AS_INPUT:
            inputs, attrs = [x, self.ints(*sizes)], {"axis": -1}
        self.node("Split", inputs, name, outputs=outputs, **attrs)
        return outputs

    def mean(self, x: str, name: str) -> str:
        """Mean of the last axis, kept."""
        if self.opset >= REDUCE_AXES_AS_INPUT:
            return self.node("ReduceMean", [x, self.ints(-1)], name, keepdims=1)
        return self.node("ReduceMean", [x], name, axes=[-1], keepdims=1)
