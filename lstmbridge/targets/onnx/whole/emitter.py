"""Nodes of a graph and of the loops in it: each computed once, as far out as it can be.

A node goes into the outermost graph in which all its inputs exist, so that what a loop's body
computes from nothing of its own is computed once, before the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.gates import Array
from lstmbridge.targets.onnx.builder import GraphBuilder, Weight
from lstmbridge.targets.onnx.weights import cast
from lstmbridge.targets.onnx.whole.values import KINDS, Dims, Sym, Value, dims_of, kind_of_value

INT, BOOL = np.dtype(np.int64), np.dtype(np.bool_)
_NAMED_BELOW = 2**8
BODY = "/body"
"""Ends the name of a loop's body; the loop's own name stands before it."""


@dataclass(frozen=True)
class Made:
    """How a value came about.

    Attributes:
        inputs: names.
        outputs: of the node that made it, all of them.
    """

    op: str
    inputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    outputs: tuple[str, ...]


@dataclass
class Emitter:
    """Adds nodes. `at` is the operation of the source that is being said: it names them.

    Attributes:
        graph: holds the weights and the names; its nodes are the outermost graph's.
        makers: a value's name -> how it came about.
        alike: results of choices between values of one shape.
    """

    graph: GraphBuilder
    at: str = "graph"
    makers: dict[str, Made] = field(default_factory=dict)
    alike: set[str] = field(default_factory=set)
    _syms: dict[str, Sym] = field(default_factory=dict)
    _frames: list[list[onnx.NodeProto]] = field(default_factory=lambda: [[]])
    _levels: dict[str, int] = field(default_factory=dict)
    _known: dict[Any, tuple[int, list[Sym]]] = field(default_factory=dict)
    _literals: dict[tuple[str, bytes, tuple[int, ...]], str] = field(default_factory=dict)
    _labels: dict[int, tuple[Array, str]] = field(default_factory=dict)
    _large: dict[tuple[int, str], str] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The opset that is written."""
        return self.graph.opset

    @property
    def is_double(self) -> bool:
        """Whether floats are of 64 bits."""
        return self.graph.dtype == np.float64

    def dtype(self, kind: str) -> np.dtype[Any]:
        """What a kind of number is inside the graph."""
        return {"float": self.graph.dtype, "int": INT, "bool": BOOL}[kind]

    def label(self, array: Array, name: str) -> None:
        """Remember what a weight is called."""
        self._labels[id(array)] = (array, name)

    def name(self, value: Value) -> str:
        """A value as an input of a node."""
        if isinstance(value, Sym):
            if not value.name:
                value.name = self._vector(value.content or ())
            return value.name
        return self._literal(np.asarray(value))

    def _literal(self, array: Array) -> str:
        kind = kind_of_value(array)
        dtype = self.dtype(kind)
        if array.nbytes >= _NAMED_BELOW:
            return self._large_literal(array, dtype)
        stored = _stored(self.at, array, dtype)
        key = (dtype.name, stored.tobytes(), stored.shape)
        if key not in self._literals:
            if array.ndim == 0:
                label = f"{kind}/{array.item()}"
            elif kind == "int" and array.ndim == 1 and array.size < 8:
                label = "ints/" + "_".join(map(str, array.tolist()))
            else:
                label = self._label_of(array)
            name = self.graph.unique(label)
            self._literals[key] = self.graph.weight(
                Weight(name, stored.shape, dtype, lambda: stored)
            )
        return self._literals[key]

    def _large_literal(self, array: Array, dtype: np.dtype[Any]) -> str:
        """A weight: the same array is stored once; its numbers are rounded when it is written."""
        key = (id(array), dtype.name)
        if key not in self._large:
            name = self.graph.unique(self._label_of(array))
            self._labels.setdefault(id(array), (array, name))
            _stored(name, array, dtype)
            recipe = Weight(name, array.shape, dtype, lambda: _stored(name, array, dtype))
            self._large[key] = self.graph.weight(recipe)
        return self._large[key]

    def _label_of(self, array: Array) -> str:
        known = self._labels.get(id(array))
        return f"{self.at}/constant" if known is None else known[1]

    def emit(
        self, op: str, inputs: Sequence[Value | str], kind: str, dims: Dims, **attrs: Any
    ) -> Sym:
        """Add a node with one output, or find the one that computes the same."""
        return self.emit_many(op, inputs, [(kind, dims)], **attrs)[0]

    def emit_many(
        self,
        op: str,
        inputs: Sequence[Value | str],
        outputs: Sequence[tuple[str, Dims]],
        **attrs: Any,
    ) -> list[Sym]:
        """Add a node with several outputs: the kind and shape of each is given."""
        names = tuple(one if isinstance(one, str) else self.name(one) for one in inputs)
        pairs = zip(names, inputs, strict=True)
        self._syms.update((name, one) for name, one in pairs if isinstance(one, Sym))
        shared = not any(isinstance(value, onnx.GraphProto) for value in attrs.values())
        key = (op, names, len(outputs), repr(sorted(attrs.items()))) if shared else None
        if key in self._known:
            return self._known[key][1]
        made = self.append(op, names, len(outputs), attrs)
        syms = [Sym(name, kind, dims) for name, (kind, dims) in zip(made, outputs, strict=True)]
        if key is not None:
            self._known[key] = (self.level(made[0]), syms)
        return syms

    def append(
        self, op: str, inputs: Sequence[str], count: int, attrs: Mapping[str, Any], name: str = ""
    ) -> list[str]:
        """Add a node as far out as it can be; the names of its outputs."""
        bodies = [value for value in attrs.values() if isinstance(value, onnx.GraphProto)]
        used = [*inputs, *(one for body in bodies for one in captured(body))]
        level = max((self._levels.get(one, 0) for one in used), default=0)
        name = self.graph.unique(name or self._called(op))
        outputs = (
            [name] if count == 1 else [self.graph.unique(f"{name}/{k}") for k in range(count)]
        )
        self._frames[level].append(helper.make_node(op, list(inputs), outputs, name=name, **attrs))
        for output in outputs:
            self._levels[output] = level
            self.makers[output] = Made(op, tuple(inputs), attrs, tuple(outputs))
        return outputs

    def _called(self, op: str) -> str:
        """As the source's operation, and what it is where that says something else."""
        last = self.at.rpartition("/")[2].rstrip("0123456789").rstrip("_")
        return self.at if last.lower() == op.lower() else f"{self.at}/{op}"

    def level(self, name: str) -> int:
        """How deep in loops a value lives; 0 outside of all."""
        return self._levels.get(name, 0)

    def known(self, name: str) -> Sym | None:
        """What is known of a value that some node has read; None of what none has."""
        weight = self.graph.weights.get(name)
        if weight is None:
            return self._syms.get(name)
        return Sym(name, KINDS[weight.dtype.kind], weight.shape)

    def number(self, name: str, rank: int) -> int | None:
        """The integer that a value is, where it is a constant of one element and this rank."""
        weight = self.graph.weights.get(name)
        if weight is None or weight.dtype != INT or weight.shape != (1,) * rank:
            return None
        return int(np.ravel(weight.build())[0])

    @property
    def depth(self) -> int:
        """How deep in loops nodes are being written."""
        return len(self._frames) - 1

    def enter(self) -> None:
        """Begin the body of a loop."""
        self._frames.append([])

    def argument(self, name: str, kind: str, dims: Dims) -> Sym:
        """An input of the graph or of the body that is being written."""
        made = self.graph.unique(name)
        self._levels[made] = self.depth
        return Sym(made, kind, dims)

    def copy(self, name: str, label: str) -> str:
        """A value under another name, made in the graph that is being written."""
        made = self.graph.unique(label)
        self._frames[-1].append(helper.make_node("Identity", [name], [made], name=made))
        self._levels[made] = self.depth
        return made

    def leave(self) -> list[onnx.NodeProto]:
        """End the body of a loop: its nodes."""
        level = self.depth
        self._known = {key: one for key, one in self._known.items() if one[0] < level}
        return self._frames.pop()

    def outermost(self) -> list[onnx.NodeProto]:
        """The nodes of the graph itself."""
        return self._frames[0]

    # -- shapes ---------------------------------------------------------------------------------

    def length(self, value: Value, axis: int) -> int | Sym:
        """How long an axis is: a number, or a scalar of the graph."""
        known = dims_of(value)[axis]
        if known is not None:
            return known
        shape = self.emit("Shape", [value], "int", (len(dims_of(value)),))
        scalar = self.emit("Gather", [shape, np.asarray(axis)], "int", (), axis=0)
        scalar.axis_of = (self.name(value), axis)
        return scalar

    def vector(self, content: Sequence[int | Sym]) -> Value:
        """An integer vector of these elements."""
        if all(isinstance(one, int) for one in content):
            return np.array(content, np.int64).reshape(-1)
        return Sym("", "int", (len(content),), content=tuple(content))

    def _vector(self, content: Sequence[int | Sym]) -> str:
        """Numbers beside each other are one constant; a length is taken as a vector at once."""
        parts: list[Value] = []
        numbers: list[int] = []
        for one in (*content, None):
            if isinstance(one, int):
                numbers.append(one)
                continue
            if numbers:
                parts.append(np.array(numbers, np.int64))
                numbers = []
            if one is not None:
                parts.append(self._column(one))
        if len(parts) == 1:
            return self.name(parts[0])
        return self.emit("Concat", parts, "int", (len(content),), axis=0).name

    def _column(self, scalar: Sym) -> Sym:
        """A scalar as a vector of one."""
        if scalar.axis_of is not None:
            name, axis = scalar.axis_of
            shape = self.emit("Shape", [name], "int", (None,))
            return self.emit("Gather", [shape, np.array([axis])], "int", (1,), axis=0)
        return self.with_axes("Unsqueeze", scalar, [0], "int", (1,))

    def with_axes(
        self,
        op: str,
        a: Value,
        axes: Sequence[int],
        kind: str,
        dims: Dims,
        *,
        since: int = 13,
        **attrs: Any,
    ) -> Sym:
        """A node whose axes are an attribute before the opset `since`, and an input from then."""
        if self.opset >= since:
            return self.emit(op, [a, np.array(axes, np.int64)], kind, dims, **attrs)
        return self.emit(op, [a], kind, dims, axes=list(axes), **attrs)


def _stored(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Numbers as they are written: rounded once. Errors: CannotExpress where they overflow."""
    made = cast(name, array, dtype) if dtype.kind == "f" else array.astype(dtype)
    # ascontiguousarray makes a vector of a scalar
    return np.asarray(made, order="C").reshape(array.shape)


def captured(graph: onnx.GraphProto) -> set[str]:
    """Names that a subgraph takes from the graphs around it."""
    own = {one.name for one in graph.input}
    found: set[str] = set()
    for node in graph.node:
        found.update(name for name in node.input if name and name not in own)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found.update(captured(attribute.g) - own)
        own.update(node.output)
    found.update(one.name for one in graph.output if one.name not in own)
    return found


def needed(nodes: Sequence[onnx.NodeProto], results: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that the results depend on, in their order."""
    wanted, kept = set(results), []
    for node in reversed(nodes):
        if not wanted.intersection(node.output):
            continue
        kept.append(node)
        wanted.update(name for name in node.input if name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                wanted.update(captured(attribute.g))
    return kept[::-1]
