"""Variable-length integers of tables and string tensors, within bounds."""

from __future__ import annotations


def read_varint(data: memoryview | bytes, at: int, end: int, *, bits: int) -> tuple[int, int]:
    """Seven bits per byte, least significant group first; the top bit says that more follow.

    Args:
        data: where it stands.
        at: its first byte.
        end: the first byte that it may not touch.
        bits: 32 or 64: the widest value it may have.

    Returns:
        The value, and where the next byte stands.

    Raises:
        ValueError: it does not end before `end`, or does not fit into `bits`.
    """
    value = shift = 0
    while shift < bits:
        if at >= end:
            raise ValueError("a variable-length integer goes past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> bits:
                break
            return value, at
        shift += 7
    raise ValueError(f"a variable-length integer does not fit into {bits} bits")
