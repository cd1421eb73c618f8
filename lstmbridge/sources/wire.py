"""Fields of a protobuf message as views, without decoding or copying their contents.

For the one place where protobuf would copy a tensor of any size three times over. Everything
else goes through protobuf itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from lstmbridge.sources.varint import read_varint

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


def fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(field number, wire type, contents) of each field, in order.

    Raises:
        ValueError: a field is broken or goes past the end.
    """
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at, len(data), bits=32)
        kind = tag & 7
        if kind == BYTES:
            size, at = read_varint(data, at, len(data), bits=64)
            start, at = at, at + size
        elif kind == VARINT:
            start = at
            _, at = read_varint(data, at, len(data), bits=64)
        elif kind in _FIXED_SIZES:
            start, at = at, at + _FIXED_SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if tag < 8 or at > len(data):
            raise ValueError("a field goes past the end, or has no number")
        yield tag >> 3, kind, data[start:at]


def only(data: memoryview, number: int) -> memoryview | None:
    """The contents of the field `number`, where it stands once and holds bytes; else None.

    Raises:
        ValueError: a field is broken.
    """
    found = [(kind, contents) for n, kind, contents in fields(data) if n == number]
    if len(found) != 1 or found[0][0] != BYTES:
        return None
    return found[0][1]


def single(data: memoryview, number: int) -> memoryview:
    """The contents of the field `number`, empty where it is absent.

    Raises:
        ValueError: a field is broken, or this one stands twice or holds no bytes.
    """
    contents = only(data, number)
    if contents is not None:
        return contents
    if any(n == number for n, _, _ in fields(data)):
        raise ValueError(f"field {number} does not stand once, as bytes")
    return data[:0]
