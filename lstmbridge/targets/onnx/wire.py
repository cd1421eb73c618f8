"""ModelProto on disk, weight by weight: written as a stream, and read without its weights.

The bytes are those that protobuf itself gives (fields in the order of their numbers), but
neither side ever holds more than one tensor. Field numbers: onnx.proto, a public, frozen format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import onnx

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MODEL_GRAPH, GRAPH_INITIALIZER, TENSOR_RAW_DATA = 7, 5, 9
MOST_FIELDS = 2**20
"""Of one message: more nodes or tensors than any network of ours, few enough to walk."""
MOST_KEPT = 2**28
"""Bytes of a file that are not weights: what `skim` will copy."""


class Malformed(ValueError):
    """The bytes are no protobuf message, or are cut off."""


def encode_varint(value: int) -> bytes:
    """Base-128, least significant group first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """(value, offset after it).

    Raises:
        Malformed: it is cut off or longer than ten bytes.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise Malformed(f"a number is cut off at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed(f"a number is longer than ten bytes at byte {at}")


def prefix(field: int, length: int) -> bytes:
    """Tag and length of a length-delimited field."""
    return encode_varint(field << 3 | BYTES) + encode_varint(length)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message: its number, wire type, and where it and its contents lie."""

    number: int
    kind: int
    begin: int
    content: int
    end: int


def fields(data: memoryview, at: int, end: int) -> Iterator[Field]:
    """The fields of the message in data[at:end].

    Raises:
        Malformed: a field passes the end, has a wire type that ONNX does not use, or there are
            more than `MOST_FIELDS`.
    """
    count = 0
    while at < end:
        begin, count = at, count + 1
        if count > MOST_FIELDS:
            raise Malformed(f"a message has more than {MOST_FIELDS} fields")
        tag, at = decode_varint(data, at, end)
        kind, number = tag & 7, tag >> 3
        content = at
        if kind == VARINT:
            _, at = decode_varint(data, at, end)
        elif kind == BYTES:
            length, content = decode_varint(data, at, end)
            at = content + length
        elif kind in {FIXED64, FIXED32}:
            at += 8 if kind == FIXED64 else 4
        else:
            raise Malformed(f"wire type {kind} at byte {begin}")
        if at > end or number == 0:
            raise Malformed(f"field {number} at byte {begin} passes the end at byte {end}")
        yield Field(number, kind, begin, content, at)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tensor's raw bytes lie in the file."""

    offset: int
    length: int


def skim(data: memoryview) -> tuple[onnx.ModelProto, dict[str, Span]]:
    """A ModelProto whose initializers have no raw data, and where that data lies.

    Raises:
        Malformed: the bytes are no ModelProto with a graph.
    """
    head = bytearray()
    graph = bytearray()
    spans: dict[str, Span] = {}
    found = False
    for one in fields(data, 0, len(data)):
        if one.number == MODEL_GRAPH and one.kind == BYTES:
            found = True
            graph += _skim_graph(data, one, spans)
        else:
            _keep(head, data, one)
    if not found:
        raise Malformed("there is no graph in it")
    model = onnx.ModelProto()
    _parse(model, bytes(head) + prefix(MODEL_GRAPH, len(graph)) + graph)
    return model, spans


def _keep(kept: bytearray, data: memoryview, one: Field) -> None:
    if len(kept) + one.end - one.begin > MOST_KEPT:
        raise Malformed(f"more than {MOST_KEPT} bytes of it are not raw weights")
    kept += data[one.begin : one.end]


def _skim_graph(data: memoryview, graph: Field, spans: dict[str, Span]) -> bytes:
    out = bytearray()
    for one in fields(data, graph.content, graph.end):
        if one.number != GRAPH_INITIALIZER or one.kind != BYTES:
            _keep(out, data, one)
            continue
        rest, span = bytearray(), None
        for part in fields(data, one.content, one.end):
            if part.number == TENSOR_RAW_DATA and part.kind == BYTES:
                span = Span(part.content, part.end - part.content)
            else:
                _keep(rest, data, part)
        tensor = onnx.TensorProto()
        _parse(tensor, bytes(rest))
        if span is not None:
            spans[tensor.name] = span
        out += prefix(GRAPH_INITIALIZER, len(rest)) + rest
    return bytes(out)


def _parse(message: onnx.ModelProto | onnx.TensorProto, data: bytes) -> None:
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf's own, whose package is onnx's affair
        raise Malformed(str(error)) from error


class Sink(Protocol):
    """What takes a file's bytes in their order."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`."""
        ...


def write_stream(
    file: Sink,
    model: onnx.ModelProto,
    tensors: Iterable[tuple[onnx.TensorProto, int | None]],
    raw: Iterator[memoryview],
    tensor_bytes: int,
) -> None:
    """Write `model`, with `tensors` as its graph's initializers.

    Args:
        file: where to.
        model: complete but for its initializers.
        tensors: each initializer without its raw data, and that data's size (None: external).
        raw: the data itself, tensor after tensor, in pieces of any size that end with a tensor.
        tensor_bytes: what the initializers' fields take in all: see `tensor_size`.

    Raises:
        ValueError: the pieces are not what the sizes promise.
    """
    before, after = _around(model.graph, GRAPH_INITIALIZER)
    head, tail = _around(model, MODEL_GRAPH)
    file.write(head)
    file.write(prefix(MODEL_GRAPH, len(before) + tensor_bytes + len(after)))
    file.write(before)
    for tensor, nbytes in tensors:
        meta = _tensor_meta(tensor, nbytes)
        file.write(meta[0])
        _write_raw(file, raw, nbytes or 0, tensor.name)
        file.write(meta[1])
    file.write(after)
    file.write(tail)


def _write_raw(file: Sink, raw: Iterator[memoryview], nbytes: int, name: str) -> None:
    """As many pieces as hold `nbytes`."""
    while nbytes > 0:
        piece = next(raw, None)
        if piece is None or piece.nbytes > nbytes:
            held = "nothing" if piece is None else f"{piece.nbytes} bytes"
            raise ValueError(f"{name}: promised {nbytes} more bytes, built {held}")
        file.write(piece)
        nbytes -= piece.nbytes
        del piece  # before the next one is made


def _tensor_meta(tensor: onnx.TensorProto, nbytes: int | None) -> tuple[bytes, bytes]:
    before, after = _around(tensor, TENSOR_RAW_DATA)
    if nbytes is not None:
        before += prefix(TENSOR_RAW_DATA, nbytes)
    size = len(before) + (nbytes or 0) + len(after)
    return prefix(GRAPH_INITIALIZER, size) + before, after


def tensor_size(tensor: onnx.TensorProto, nbytes: int | None) -> int:
    """Bytes that an initializer's field takes in its graph."""
    before, after = _tensor_meta(tensor, nbytes)
    return len(before) + (nbytes or 0) + len(after)


def _around(
    message: onnx.ModelProto | onnx.GraphProto | onnx.TensorProto, number: int
) -> tuple[bytes, bytes]:
    """The message's bytes before and after the place of a field that is left out."""
    data = memoryview(message.SerializeToString(deterministic=True))
    before, after = bytearray(), bytearray()
    for one in fields(data, 0, len(data)):
        if one.number != number:
            (before if one.number < number else after).extend(data[one.begin : one.end])
    return bytes(before), bytes(after)
