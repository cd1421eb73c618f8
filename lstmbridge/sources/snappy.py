"""Decompression of one Snappy block (the raw format, without frames), within bounds.

The format is public: a varint with the length, then literals and copies. TensorFlow's tables
may hold such blocks, though no release that we know writes them into checkpoints.
"""

from __future__ import annotations

from lstmbridge.sources.varint import read_varint

LARGEST_RATIO = 22
"""A copy of 64 bytes takes 3: no honest block grows more than that."""


class SnappyError(ValueError):
    """The bytes are no Snappy block."""


def decompress(data: bytes) -> bytes:
    """The bytes that `data` stands for.

    Raises:
        SnappyError: a length, offset or literal goes out of bounds.
    """
    try:
        declared, at = read_varint(data, 0, len(data), bits=32)
    except ValueError as err:
        raise SnappyError(str(err)) from err
    if declared > LARGEST_RATIO * len(data):
        raise SnappyError(f"{len(data)} bytes cannot hold {declared} bytes")
    out = bytearray()
    while at < len(data):
        at = _element(data, at, out)
        if len(out) > declared:
            raise SnappyError(f"more than the declared {declared} bytes")
    if len(out) != declared:
        raise SnappyError(f"{len(out)} bytes where {declared} are declared")
    return bytes(out)


def _element(data: bytes, at: int, out: bytearray) -> int:
    """Apply the literal or copy at `at` to `out`; returns where the next one starts."""
    tag = data[at]
    kind, upper = tag & 3, tag >> 2
    at += 1
    if kind == 0:
        extra = max(0, upper - 59)
        length = 1 + (upper if extra == 0 else _little_endian(data, at, extra))
        at += extra
        if at + length > len(data):
            raise SnappyError("a literal goes past the end")
        out += data[at : at + length]
        return at + length
    if kind == 1:
        length = 4 + (upper & 7)
        offset = ((upper >> 3) << 8) | _little_endian(data, at, 1)
        at += 1
    else:
        length = 1 + upper
        size = 2 if kind == 2 else 4
        offset = _little_endian(data, at, size)
        at += size
    _copy(out, offset, length)
    return at


def _copy(out: bytearray, offset: int, length: int) -> None:
    """Repeat what stands `offset` bytes back; source and copy may overlap."""
    if not 0 < offset <= len(out):
        raise SnappyError(f"a copy reaches {offset} bytes back where {len(out)} stand")
    start = len(out) - offset
    pattern = bytes(out[start : start + length])
    repeats = -(-length // len(pattern))
    out += (pattern * repeats)[:length]


def _little_endian(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise SnappyError("an element goes past the end")
    return int.from_bytes(data[at : at + size], "little")
