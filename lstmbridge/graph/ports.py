"""Which dtype and shape a tensor of a graph has, as far as the graph says it.

Source: TensorFlow's op registry for which attribute names an output's type; `_output_shapes` is
what `export_meta_graph` writes beside every operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmbridge.graph.network import BRANCHES, LOOP_INPUT, RETURN, Op, Tensor
from lstmbridge.graph.slices import PLACEHOLDERS
from lstmbridge.graph.trace import Tracer

Shape = tuple[int | None, ...] | None

_BOOLEANS = frozenset(
    {
        *("All", "Any", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"),
        *("LogicalAnd", "LogicalOr", "LogicalNot", "LoopCond", "IsFinite", "IsNan", "IsInf"),
        *("InTopK", "InTopKV2", "VarIsInitializedOp", "IsVariableInitialized"),
    }
)
# (operation type, output) -> the attribute that names its dtype, and that attribute's default
_ATTRIBUTES: Mapping[str, tuple[str, Any]] = {
    "ArgMax": ("output_type", np.int64),
    "ArgMin": ("output_type", np.int64),
    "Cast": ("DstT", None),
    "Gather": ("Tparams", None),
    "GatherNd": ("Tparams", None),
    "GatherV2": ("Tparams", None),
    "Range": ("Tidx", np.int32),
    "Shape": ("out_type", np.int32),
    "ShapeN": ("out_type", np.int32),
    "Size": ("out_type", np.int32),
}
_FIXED: Mapping[tuple[str, int], Any] = {
    ("Rank", 0): np.int32,
    ("TopKV2", 1): np.int32,
    ("TopK", 1): np.int32,
    ("Where", 0): np.int64,
    ("Unique", 1): np.int32,
    ("Merge", 1): np.int32,
    ("TensorArraySizeV3", 0): np.int32,
    ("TensorListLength", 0): np.int32,
}
_LISTS = ("output_types", "component_types", "Tout", "dtypes", "out_types")
_SHAPE_LISTS = ("_output_shapes", "output_shapes", "shapes")
_PLAIN = ("T", "dtype", "element_dtype", "Tparams", "type")


def dtype_of(tracer: Tracer, tensor: Tensor) -> np.dtype[Any] | None:
    """The dtype that a graph declares for a tensor; None where it has none that NumPy knows."""
    op = tracer.network.op(tensor[0])
    if op.kind in {RETURN, LOOP_INPUT, BRANCHES} and op.inputs:
        position = -1 if op.kind == BRANCHES else min(tensor[1], len(op.inputs) - 1)
        behind = op.inputs[position]
        return None if behind == tensor else dtype_of(tracer, tracer.guarded(behind))
    if op.kind in _BOOLEANS:
        return np.dtype(np.bool_)
    if (op.kind, tensor[1]) in _FIXED:
        return _dtype(_FIXED[op.kind, tensor[1]])
    if op.kind in _ATTRIBUTES:
        name, default = _ATTRIBUTES[op.kind]
        return _dtype(op.attrs.get(name, default))
    for name in (*_LISTS, "T"):
        listed = op.attrs.get(name)
        if isinstance(listed, tuple):
            return _dtype(listed[tensor[1]]) if tensor[1] < len(listed) else None
    return next((_dtype(op.attrs[n]) for n in _PLAIN if n in op.attrs), None)


def _dtype(value: Any) -> np.dtype[Any] | None:
    if value is None or isinstance(value, tuple | str):
        return None
    found: np.dtype[Any] = np.dtype(value)
    return found


def shape_of(tracer: Tracer, tensor: Tensor) -> Shape:
    """The shape that a graph declares for a tensor: None for what it leaves open."""
    op = tracer.network.op(tensor[0])
    for name in _SHAPE_LISTS:
        listed = op.attrs.get(name)
        if isinstance(listed, tuple) and tensor[1] < len(listed):
            found = _shape(listed[tensor[1]])
            if found is not None or name == "_output_shapes":
                return found
    if op.kind in PLACEHOLDERS:
        return _shape(op.attrs.get("shape"))
    behind = tracer.guarded(tensor)
    return None if behind == tensor else shape_of(tracer, behind)


def _shape(value: Any) -> Shape:
    if not isinstance(value, tuple):
        return None
    return tuple(None if int(n) < 0 else int(n) for n in value)


def described(op: Op, dtype: np.dtype[Any] | None, shape: Shape) -> str:
    """For a message: ``float32 (?, 20) Placeholder``."""
    axes = "" if shape is None else ", ".join("?" if n is None else str(n) for n in shape)
    known = "unknown shape" if shape is None else f"({axes}{',' if len(shape) == 1 else ''})"
    name = "unknown dtype" if dtype is None else "string" if dtype.kind == "O" else dtype.name
    return f"{name}, {known}, {op.kind}"
