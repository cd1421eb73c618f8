"""Shapes, slices of partitioned variables, and the keys under which slices are stored.

Both checkpoint formats cut a variable into rectangular slices and store each under a key that
sorts as (name, slice): TensorFlow's ordered code (tensor_slice_writer's EncodeTensorNameSlice).
Everything that a file declares is checked here before anyone takes memory for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable

HIGHEST_RANK = 32
"""NumPy 1 knows no more axes; no variable of a network comes near."""
MOST_ELEMENTS = 1 << 48
MOST_UNORDERED_SLICES = 2048
"""Slices over several axes are compared in pairs, which is bounded by this."""


@dataclass(frozen=True, slots=True)
class StoredSlice:
    """One rectangular slice: per axis a start and a length, and its key in the table."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    key: bytes

    @property
    def index(self) -> tuple[slice, ...]:
        """Where it goes in the whole tensor."""
        return tuple(
            slice(start, start + length)
            for start, length in zip(self.starts, self.lengths, strict=True)
        )

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.lengths)


def shape_of(proto: Any, where: str) -> tuple[int, ...]:
    """The shape that a TensorShapeProto declares, all axes known.

    Errors: SourceUnreadable for an unknown rank, negative axes, or more elements than a file
    can hold.
    """
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or len(shape) > HIGHEST_RANK or any(n < 0 for n in shape):
        raise SourceUnreadable(
            f"a stored tensor declares the shape {_shown(shape, proto)}",
            expected=f"at most {HIGHEST_RANK} axes, none negative",
            where=where,
        )
    # an axis of length 0 must not hide the others' overflow
    if math.prod(max(n, 1) for n in shape) > MOST_ELEMENTS:
        raise SourceUnreadable(f"a stored tensor declares the shape {shape}", where=where)
    return shape


def _shown(shape: tuple[int, ...], proto: Any) -> str:
    if proto.unknown_rank:
        return "of unknown rank"
    return str(shape) if len(shape) <= HIGHEST_RANK else f"of {len(shape)} axes"


def slice_of(proto: Any, name: str, shape: tuple[int, ...], where: str) -> StoredSlice:
    """A TensorSliceProto of the tensor `name`. Errors: SourceUnreadable when it lies outside."""
    extents = [
        (extent.start, extent.length if extent.HasField("length") else -1)
        for extent in proto.extent
    ]
    key = slice_key(name, extents)
    if len(extents) != len(shape):
        raise SourceUnreadable(
            f"a slice of {name!r} has {len(extents)} axes, its tensor {len(shape)}", where=where
        )
    lengths = tuple(
        size if length == -1 else length for (_, length), size in zip(extents, shape, strict=True)
    )
    starts = tuple(start for start, _ in extents)
    for start, length, size in zip(starts, lengths, shape, strict=True):
        if start < 0 or length < 0 or start + length > size:
            raise SourceUnreadable(
                f"a slice of {name!r} goes from {start} for {length}, the axis has {size}",
                where=where,
            )
    return StoredSlice(starts, lengths, key)


def check_cover(slices: Sequence[StoredSlice], shape: tuple[int, ...], what: str) -> None:
    """Slices must cover the tensor, each element exactly once. Errors: SourceUnreadable."""
    held, needed = sum(piece.elements for piece in slices), math.prod(shape)
    if held != needed or _overlapping([piece for piece in slices if piece.elements]):
        raise SourceUnreadable(
            f"the stored slices hold {held} numbers of {needed}, or overlap",
            expected="slices that cover the whole tensor, each number once",
            where=what,
            advice="a shard may be missing or be of another checkpoint",
        )


def _overlapping(slices: Sequence[StoredSlice]) -> bool:
    if len(slices) < 2:
        return False
    starts = np.array([piece.starts for piece in slices], np.int64)
    stops = starts + np.array([piece.lengths for piece in slices], np.int64)
    cut = [axis for axis in range(starts.shape[1]) if len(np.unique(starts[:, axis])) > 1]
    if len(cut) == 1:
        order = np.argsort(starts[:, cut[0]])
        return bool(np.any(stops[order[:-1], cut[0]] > starts[order[1:], cut[0]]))
    if len(slices) > MOST_UNORDERED_SLICES:
        return True
    for k in range(1, len(slices)):
        apart = (starts[:k] >= stops[k]) | (stops[:k] <= starts[k])
        if not apart.any(axis=1).all():
            return True
    return False


def slice_key(name: str, extents: Sequence[tuple[int, int]]) -> bytes:
    """The table key of a slice: ordered code of 0, the name, the rank, and each extent.

    Args:
        name: the whole tensor's name.
        extents: (start, length) per axis; length -1 for an axis taken whole.
    """
    parts = [_number(0), _string(name.encode()), _number(len(extents))]
    for start, length in extents:
        parts += (_signed(start), _signed(length))
    return b"".join(parts)


def _number(value: int) -> bytes:
    """An unsigned number: how many bytes, then the bytes, most significant first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _string(value: bytes) -> bytes:
    """A string that sorts before its extensions: 00 and ff are escaped, 00 01 ends it."""
    escaped = bytearray()
    for byte in value:
        escaped.append(byte)
        if byte in {0x00, 0xFF}:
            escaped.append(0xFF - byte)
    return bytes(escaped) + b"\x00\x01"


def _signed(value: int) -> bytes:
    """A signed number, 6 bits in the first byte and 7 in each further one.

    The header counts the bytes in leading ones (inverted for negative values), so that the
    code sorts as the numbers do.
    """
    magnitude = ~value if value < 0 else value
    size = magnitude.bit_length() // 7 + 1
    header = ((1 << size) - 1) << (16 - size)
    code = value & ((1 << 8 * size) - 1)
    code ^= header << (8 * size) >> 16
    return code.to_bytes(size, "big")
