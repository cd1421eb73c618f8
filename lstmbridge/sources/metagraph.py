"""GraphDefs, alone or inside a MetaGraphDef, to the plain values of `lstmbridge.graph`.

Attributes are decoded when they are first looked at: most of a training graph's nodes are
gradients that nobody asks about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node
from lstmbridge.sources.dtypes import NO_WORD, numpy_dtype
from lstmbridge.sources.files import read_start, unreadable
from lstmbridge.sources.messages import parse, parse_text
from lstmbridge.sources.slices import shape_of
from lstmbridge.sources.values import array_from_proto

IGNORE = "give --ignore-graph to go by the variables alone"


@dataclass(frozen=True, slots=True, eq=False)
class ConstTensor:
    """A tensor inside a graph (a Const's value): shape now, numbers when asked for."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    proto: Any
    where: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; void where NumPy has no word for the type."""
        dtype = numpy_dtype(self.type_number)
        return NO_WORD if dtype is None else dtype

    @property
    def location(self) -> str:
        """File and node."""
        return self.where

    def load(self) -> Array:
        """The numbers, read-only: the last listed value stands for all that are missing.

        Errors: SourceUnreadable.
        """
        return array_from_proto(self.proto, self.type_number, self.shape, self.where, repeat=True)


class LazyAttrs(Mapping[str, Any]):
    """A node's attributes, decoded one by one when they are looked at."""

    __slots__ = ("_decoded", "_protos", "_where")

    def __init__(self, protos: Mapping[str, Any], where: str) -> None:
        self._protos = protos
        self._where = where
        self._decoded: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._decoded:
            # a protobuf map makes an entry for a key that it is asked for
            if key not in self._protos:
                raise KeyError(key)
            self._decoded[key] = _decode(self._protos[key], f"{self._where}, attribute {key!r}")
        return self._decoded[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._protos))

    def __len__(self) -> int:
        return len(self._protos)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._protos

    def __repr__(self) -> str:
        return f"LazyAttrs({', '.join(self)})"


def graph_from_metagraph_file(path: Path) -> Graph:
    """The graph of a `.meta` file. Errors: SourceUnreadable."""
    from lstmbridge.sources.proto.graph_pb2 import MetaGraphDef

    message = parse(MetaGraphDef, _contents(path), str(path), advice=IGNORE)
    if not message.graph_def.node:
        raise SourceUnreadable("the .meta holds no graph", where=str(path), advice=IGNORE)
    return graph_of_message(message.graph_def, str(path), producer_of_message(message))


def producer_of_metagraph_file(path: Path) -> str | None:
    """``"TensorFlow 1.15.5"`` where the `.meta` says it.

    None, too, where the file is damaged: the graph's reader reports that, and whoever ignores
    the graph may still ask for this.
    """
    from lstmbridge.sources.proto.graph_pb2 import MetaGraphProducer

    try:
        return producer_of_message(parse(MetaGraphProducer, _contents(path), str(path)))
    except SourceUnreadable:
        return None


def graph_from_graphdef_bytes(data: bytes, where: str) -> Graph:
    """A graph from a serialized GraphDef (a frozen `.pb`). Errors: SourceUnreadable."""
    from lstmbridge.sources.proto.graph_pb2 import GraphDef

    message = parse(GraphDef, data, where)
    if not message.node:
        raise SourceUnreadable("the GraphDef holds no node", where=where)
    return graph_of_message(message, where, None)


def graph_from_graphdef_text(text: str, where: str) -> Graph:
    """A graph from a GraphDef in protobuf's text format (`.pbtxt`). Errors: SourceUnreadable."""
    from lstmbridge.sources.proto.graph_pb2 import GraphDef

    return graph_of_message(parse_text(GraphDef, text, where), where, None)


def _contents(path: Path) -> bytes:
    try:
        return read_start(path, path.stat().st_size)
    except OSError as err:
        raise unreadable(path, err) from err


def producer_of_message(message: Any) -> str | None:
    """``"TensorFlow 1.15.5"`` where a MetaGraphDef says it."""
    version: str = message.meta_info_def.tensorflow_version
    return f"TensorFlow {version}" if version else None


def graph_of_message(message: Any, where: str, producer: str | None) -> Graph:
    """A parsed GraphDef as plain values. Errors: SourceUnreadable."""
    functions: dict[str, Function] = {}
    for proto in message.library.function:
        name = proto.signature.name
        if name in functions:
            raise SourceUnreadable(f"two functions are called {name!r}", where=where)
        functions[name] = _function(proto, where)
    return Graph(_nodes(message.node, where), functions, where, producer)


def _nodes(protos: Iterable[Any], where: str) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for proto in protos:
        name = proto.name
        if name in nodes:
            raise SourceUnreadable(f"two nodes are called {name!r}", where=where, advice=IGNORE)
        attrs = LazyAttrs(proto.attr, f"{where}: {name}")
        nodes[name] = Node(name, proto.op, tuple(proto.input), attrs, proto.device)
    return nodes


def _function(proto: Any, where: str) -> Function:
    signature = proto.signature
    returns = []
    for output in signature.output_arg:
        if output.name not in proto.ret:
            raise SourceUnreadable(
                f"function {signature.name!r} does not say what its {output.name!r} is",
                where=where,
                advice=IGNORE,
            )
        returns.append((output.name, proto.ret[output.name]))
    return Function(
        signature.name,
        tuple(argument.name for argument in signature.input_arg),
        tuple(returns),
        _nodes(proto.node_def, f"{where}, function {signature.name}"),
    )


def _decode(proto: Any, where: str) -> Any:
    """An AttrValue as a plain value; None where none is set."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(proto, kind)
    if kind == "list":
        # one of the lists is in use; an empty list does not say of what
        for descriptor, items in value.ListFields():
            return tuple(_decode_as(descriptor.name, item, where) for item in items)
        return ()
    return _decode_as(kind, value, where)


def _decode_as(kind: str, value: Any, where: str) -> Any:
    if kind == "type":
        return numpy_dtype(value)
    if kind == "shape":
        return _partial_shape(value)
    if kind == "tensor":
        shape = shape_of(value.tensor_shape, where)
        return ConstTensor(where, shape, value.dtype, value, where)
    if kind == "func":
        return FunctionRef(value.name, LazyAttrs(value.attr, where))
    if kind == "s":
        return _text(value)
    return value


def _partial_shape(proto: Any) -> tuple[int, ...] | None:
    """A declared shape: -1 for unknown axes, None for an unknown rank."""
    if proto.unknown_rank:
        return None
    return tuple(max(dim.size, -1) for dim in proto.dim)


def _text(value: bytes) -> str | bytes:
    """TensorFlow writes names and enums as bytes; what is no UTF-8 stays bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
