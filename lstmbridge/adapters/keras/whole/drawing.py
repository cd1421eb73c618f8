"""A graph that is drawn node by node, with the shapes that Keras knows of its tensors.

The operations are TensorFlow's, as `graph.ops` defines them. Lengths of axes are known, or are
scalars of the graph that are taken from a tensor's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.contracts import TensorRef
from lstmbridge.gates import Array, InMemory, Weights
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node

Shape = tuple[int | None, ...]
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "int": np.dtype(np.int32),
    "bool": np.dtype(np.bool_),
}


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the drawing.

    Attributes:
        name: ``"dense/add"`` or ``"split:2"``.
        shape: None for an axis of open length.
        kind: ``float``, ``int`` or ``bool``.
        mask: Keras' mask of it, (batch, time), where it has one.
    """

    name: str
    shape: Shape
    kind: str = "float"
    mask: Value | None = None

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)


@dataclass
class Drawing:
    """A graph in the making.

    Attributes:
        nodes: by name.
        functions: bodies and conditions of loops.
        tensors: variable -> its numbers in the file.
        scope: goes in front of names.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    tensors: dict[str, Weights | TensorRef] = field(default_factory=dict)
    scope: str = ""
    _shapes: dict[str, str] = field(default_factory=dict)
    _made: dict[Any, str] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """A node's name in the present scope that is not taken."""
        base = f"{self.scope}/{name}" if self.scope else name
        taken, found, k = self.nodes, base, 0
        while found in taken:
            k += 1
            found = f"{base}_{k}"
        return found

    def node(self, op: str, inputs: Sequence[str], name: str = "", **attrs: Any) -> str:
        """Add an operation; its first output."""
        made = self.unique(name or op)
        self.nodes[made] = Node(made, op, tuple(inputs), attrs)
        return made

    def op(
        self,
        op: str,
        inputs: Sequence[Value | str],
        shape: Shape,
        kind: str = "float",
        **attrs: Any,
    ) -> Value:
        """Add an operation that gives one tensor of this shape."""
        names = [one.name if isinstance(one, Value) else one for one in inputs]
        axes = tuple(-1 if n is None else n for n in shape)
        return Value(self.node(op, names, _output_shapes=(axes,), **attrs), shape, kind)

    def constant(self, number: Any, kind: str = "float") -> str:
        """A constant, each said once."""
        wide = {"float": np.float64, "int": np.int64, "bool": np.bool_}[kind]
        array: Array = np.asarray(number, wide)
        key = (kind, array.shape, array.tobytes())
        if key not in self._made:
            stored: Array = array.astype(_DTYPES["int"]) if kind == "int" else array
            held, self.scope = self.scope, ""
            self._made[key] = self.node(
                "Const", [], "const", value=InMemory("const", stored), dtype=stored.dtype
            )
            self.scope = held
        return self._made[key]

    def variable(self, role: str, weights: Weights) -> Value:
        """A layer's weights, under the layer's name; a layer that is called twice has one."""
        name = f"{self.scope}/{role}"
        if name not in self.nodes:
            self.nodes[name] = Node(
                name, "VariableV2", (), {"dtype": np.dtype(weights.dtype), "shape": weights.shape}
            )
            self.tensors[name] = weights
        return Value(name, tuple(weights.shape))

    def placeholder(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> Value:
        """An input."""
        axes = tuple(-1 if n is None else n for n in shape)
        made = self.node("Placeholder", [], name, dtype=dtype, shape=axes)
        kind = {"f": "float", "i": "int", "u": "int", "b": "bool"}[dtype.kind]
        return Value(made, shape, kind)

    def output(self, value: Value, name: str, dtype: np.dtype[Any]) -> str:
        """An output, with the dtype and shape that it has."""
        axes = tuple(-1 if n is None else n for n in value.shape)
        return self.node("Identity", [value.name], name, T=dtype, _output_shapes=(axes,))

    def dims(self, value: Value) -> list[int | str]:
        """The lengths of the axes, open ones as scalars."""
        return [self.dim(value, k) for k in range(value.rank)]

    def dim(self, value: Value, axis: int) -> int | str:
        """The length of an axis."""
        known = value.shape[axis]
        if known is not None:
            return known
        key = ("dim", value.name, axis % value.rank)
        if key not in self._made:
            if value.name not in self._shapes:
                self._shapes[value.name] = self.node(
                    "Shape", [value.name], "shape", out_type=np.dtype(np.int32)
                )
            at = self.constant(axis % value.rank, "int")
            self._made[key] = self.node(
                "GatherV2", [self._shapes[value.name], at, self.constant(0, "int")], "length",
                Tparams=np.dtype(np.int32),
            )  # fmt: skip
        return self._made[key]

    def lengths(self, dims: Sequence[int | str]) -> str:
        """A vector of lengths."""
        if all(isinstance(n, int) for n in dims):
            return self.constant(list(dims), "int")
        parts = [n if isinstance(n, str) else self.constant(n, "int") for n in dims]
        return self.node("Pack", parts, "lengths", axis=0, N=len(parts), T=np.dtype(np.int32))

    def reshape(self, value: Value, dims: Sequence[int | str], shape: Shape) -> Value:
        """Another shape; `shape` is what is known of it."""
        if value.shape == shape and None not in shape:
            return value
        return self.op("Reshape", [value, self.lengths(dims)], shape, value.kind)

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Axes in another order."""
        shape = tuple(value.shape[k] for k in order)
        perm = self.constant(list(order), "int")
        return self.op("Transpose", [value, perm], shape, value.kind)

    def expand(self, value: Value, axis: int) -> Value:
        """A further axis of length 1."""
        at = axis % (value.rank + 1)
        shape = (*value.shape[:at], 1, *value.shape[at:])
        return self.op("ExpandDims", [value, self.constant(at, "int")], shape, value.kind)

    def squeeze(self, value: Value, axis: int) -> Value:
        """Without an axis of length 1."""
        at = axis % value.rank
        shape = (*value.shape[:at], *value.shape[at + 1 :])
        return self.op("Squeeze", [value], shape, value.kind, squeeze_dims=(at,))

    def binary(self, op: str, a: Value | str, b: Value | str, kind: str = "float") -> Value:
        """An elementwise operation, shapes broadcast."""
        shapes = [v.shape if isinstance(v, Value) else () for v in (a, b)]
        return self.op(op, [a, b], broadcast(*shapes), kind)

    def unary(self, op: str, a: Value, **attrs: Any) -> Value:
        """An elementwise operation."""
        return replace(self.op(op, [a], a.shape, a.kind, **attrs), mask=None)

    def number(self, value: float) -> str:
        """A floating-point constant."""
        return self.constant(value)

    def cast(self, value: Value, kind: str) -> Value:
        """Another kind; floats are cut towards zero."""
        if value.kind == kind:
            return value
        made = self.op("Cast", [value], value.shape, kind, DstT=_DTYPES[kind])
        return replace(made, mask=value.mask)

    def reduce(
        self, how: str, value: Value, axes: Sequence[int], *, keep: bool, kind: str = ""
    ) -> Value:
        """``Sum``, ``Mean``, ``Max``, ``Any``, ``All`` over axes."""
        wanted = [k % value.rank for k in axes]
        shape = tuple(
            1 if k in wanted else n for k, n in enumerate(value.shape) if keep or k not in wanted
        )
        at = self.constant(wanted, "int")
        return self.op(how, [value, at], shape, kind or value.kind, keep_dims=keep)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Side by side."""
        at = axis % values[0].rank
        lengths = [value.shape[at] for value in values]
        total = None if None in lengths else sum(n for n in lengths if n is not None)
        known = [next((v.shape[k] for v in values if v.shape[k] is not None), None)
                 for k in range(values[0].rank)]  # fmt: skip
        shape = (*known[:at], total, *known[at + 1 :])
        inputs: list[Value | str] = [*values, self.constant(at, "int")]
        return self.op("ConcatV2", inputs, shape, values[0].kind, N=len(values))

    def reverse(self, value: Value, axis: int) -> Value:
        """Back to front."""
        at = self.constant([axis % value.rank], "int")
        return self.op("ReverseV2", [value, at], value.shape, value.kind)

    def slice(self, value: Value, axis: int, begin: int, end: int | None) -> Value:
        """A part of an axis; `end` None: to its end, and both may count from there."""
        at, length = axis % value.rank, value.shape[axis]
        begins, ends = [0] * value.rank, [0] * value.rank
        begins[at], ends[at] = begin, end or 0
        open_begin = sum(1 << k for k in range(value.rank) if k != at)
        open_end = open_begin | (1 << at if end is None else 0)
        known = None if length is None else len(range(*slice(begin, end).indices(length)))
        shape = (*value.shape[:at], known, *value.shape[at + 1 :])
        bounds = (begins, ends, [1] * value.rank)
        inputs: list[Value | str] = [value, *(self.constant(v, "int") for v in bounds)]
        return self.op(
            "StridedSlice", inputs, shape, value.kind, begin_mask=open_begin, end_mask=open_end
        )

    def at(self, value: Value, axis: int, index: int) -> Value:
        """One place of an axis, without the axis."""
        wanted = self.slice(value, axis, index, index + 1 if index != -1 else None)
        return self.squeeze(wanted, axis)

    def matmul(self, a: Value, b: Value, *, adjoint: bool = False) -> Value:
        """A product over the last axis of `a` and the first (of two) of `b`; batches broadcast."""
        width = b.shape[-2] if adjoint else b.shape[-1]
        if a.rank == 2 and b.rank == 2:
            return self.op("MatMul", [a, b], (a.shape[0], width), transpose_b=adjoint)
        lead = broadcast(a.shape[:-2], b.shape[:-2])
        return self.op("BatchMatMulV2", [a, b], (*lead, a.shape[-2], width), adj_y=adjoint)

    def call(
        self, name: str, body: Drawing, returns: Sequence[str], arguments: Sequence[str]
    ) -> FunctionRef:
        """A function of the library; its nodes are those of `body`."""
        full = self.unique(name)
        returned = tuple((f"r{k}", text) for k, text in enumerate(returns))
        while full in self.functions:
            full += "_"
        self.functions[full] = Function(full, tuple(arguments), returned, dict(body.nodes))
        return FunctionRef(full)

    def graph(self, where: str, producer: str | None) -> Graph:
        """What was drawn."""
        return Graph(self.nodes, self.functions, where, producer)


def broadcast(*shapes: Shape) -> Shape:
    """The shape that several broadcast to, an open axis staying open."""
    rank = max(len(shape) for shape in shapes)
    wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    found: list[int | None] = []
    for axis in zip(*wide, strict=True):
        known = [n for n in axis if n is not None and n != 1]
        found.append(known[0] if known else (None if None in axis else 1))
    return tuple(found)
