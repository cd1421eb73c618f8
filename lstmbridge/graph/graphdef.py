"""A GraphDef as plain values: nodes, functions, attributes. No protobuf in here.

`sources` parses the bytes into these; everything in this room and above works on them.
Semantics of the fields: TensorFlow's graph.proto, node_def.proto, function.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        name: unique in its graph or function.
        op: operation type, ``"MatMul"``.
        inputs: as written: ``"a"``, ``"a:1"``, ``"^control"``; in functions ``"a:output:0"``.
        attrs: decoded: int, float, bool, str, bytes, tuple of such; a dtype is a
            `numpy.dtype` (None for types that NumPy has no word for: resource, variant);
            a shape is a tuple with -1 for unknown axes (None for unknown rank); a tensor is
            anything with ``load() -> numpy array``; a function is a `FunctionRef`.
        device: as written.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function named by an attribute (``body`` of a While)."""

    name: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Function:
    """A FunctionDef of the graph's library.

    Attributes:
        arguments: names of the arguments, in order.
        returns: (output name, the tensor in the body that it returns), in order.
    """

    name: str
    arguments: tuple[str, ...]
    returns: tuple[tuple[str, str], ...]
    nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole graph.

    Attributes:
        nodes: by name, in the file's order.
        functions: the library, by name.
        where: the file, for messages.
        producer: ``"TensorFlow 1.15.5"`` where the file says it, else None.
    """

    nodes: Mapping[str, Node]
    functions: Mapping[str, Function] = field(default_factory=dict)
    where: str = ""
    producer: str | None = None
