"""TensorFlow's table: sorted keys and values in blocks, derived from LevelDB's.

    [data block] ... [metaindex block] [index block] [footer]

    block    entries, restart offsets (uint32 each), their count (uint32);
             then one byte of compression (0 none, 1 Snappy) and the masked CRC32C of both
    entry    varint shared, varint unshared, varint value size, unshared key bytes, value
    footer   48 bytes: varint64 offset and size of the metaindex and the index block, padding,
             and the magic number 0xdb4775248b80fb57

Both formats of checkpoints lie in such tables. Nothing here knows what keys and values mean.
Whatever the bytes, the cost is bounded by the file's size: blocks may not overlap, keys must
ascend, and what prefix compression may unfold to is limited.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources.files import MappedFile, crc32c, masked
from lstmbridge.sources.snappy import SnappyError, decompress
from lstmbridge.sources.varint import read_varint

MAGIC = 0xDB4775248B80FB57
FOOTER_SIZE = 48
TRAILER_SIZE = 5
LONGEST_KEY = 1 << 16
LARGEST_UNFOLDING = 64
"""Keys may unfold to this many times their block; a writer's restarts keep it below 16."""

Entry = tuple[bytes, memoryview]


@dataclass(frozen=True, slots=True)
class Handle:
    """Where a block lies."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte after the block's trailer."""
        return self.offset + self.size + TRAILER_SIZE


def has_magic(file: MappedFile) -> bool:
    """Whether the file ends like a table."""
    if file.size < FOOTER_SIZE:
        return False
    return int.from_bytes(file.view()[-8:], "little") == MAGIC


class Table:
    """A table whose index block has been read and checked; data blocks are read on demand."""

    def __init__(self, file: MappedFile) -> None:
        if not has_magic(file):
            raise SourceUnreadable(
                "the file does not end with a table's magic number",
                expected=f"{FOOTER_SIZE} bytes of footer that end with 0x{MAGIC:x}",
                where=str(file.path),
                advice="the file is truncated or no checkpoint: copy it again from its origin",
            )
        self.file = file
        body = file.size - FOOTER_SIZE
        footer = file.view()[body:]
        metaindex, at = self._handle(footer, 0, body, "the footer")
        index, _ = self._handle(footer, at, body, "the footer")
        self._block(metaindex)
        self._last_keys: list[bytes] = []
        self._handles: list[Handle] = []
        self._read_index(index)

    def entries(self) -> Iterator[Entry]:
        """All keys and values, in order. Values are views: copy what should outlive the file."""
        previous: bytes | None = None
        for handle, last in zip(self._handles, self._last_keys, strict=True):
            for key, value in self._entries_of(handle):
                if previous is not None and key <= previous:
                    raise self._corrupt(f"key {key!r} follows {previous!r}", handle)
                previous = key
                yield key, value
            if previous is not None and previous > last:
                raise self._corrupt(f"key {previous!r} is beyond the index's {last!r}", handle)

    def first(self) -> Entry | None:
        """The first entry; None where the table is empty."""
        for handle in self._handles:
            for entry in self._entries_of(handle):
                return entry
        return None

    def get(self, key: bytes) -> memoryview | None:
        """The value of `key`, None where it is absent. Reads and checks one block."""
        at = bisect.bisect_left(self._last_keys, key)
        if at == len(self._handles):
            return None
        found: memoryview | None = None
        previous: bytes | None = None
        for candidate, value in self._entries_of(self._handles[at]):
            if previous is not None and candidate <= previous:
                raise self._corrupt(f"key {candidate!r} follows {previous!r}", self._handles[at])
            previous = candidate
            if candidate == key:
                found = value
        return found

    def _read_index(self, index: Handle) -> None:
        end = 0
        for key, value in self._entries_of(index):
            handle, _ = self._handle(value, 0, index.offset, "the index block")
            if self._last_keys and key <= self._last_keys[-1]:
                raise self._corrupt("the index's keys do not ascend", index)
            if handle.offset < end:
                raise self._corrupt("two blocks overlap", handle)
            end = handle.end
            self._last_keys.append(key)
            self._handles.append(handle)

    def _handle(self, data: memoryview, at: int, limit: int, where: str) -> tuple[Handle, int]:
        """The block handle at `at`: its block must end before byte `limit` of the file."""
        try:
            offset, at = read_varint(data, at, len(data), bits=64)
            size, at = read_varint(data, at, len(data), bits=64)
        except ValueError as err:
            raise self._corrupt(f"{where} holds a broken block handle: {err}") from err
        handle = Handle(offset, size)
        if handle.end > limit:
            raise self._corrupt(
                f"{where} names a block at {offset} of {size} bytes, where {limit} are before it"
            )
        return handle, at

    def _block(self, handle: Handle) -> memoryview:
        """The checked, uncompressed contents of a block."""
        stored = self.file.view()[handle.offset : handle.end]
        covered, stated = stored[: handle.size + 1], bytes(stored[handle.size + 1 :])
        if masked(crc32c(covered)) != int.from_bytes(stated, "little"):
            raise self._corrupt("a block's CRC32C does not agree with its contents", handle)
        compression = stored[handle.size]
        contents = stored[: handle.size]
        if compression == 0:
            return contents
        if compression == 1:
            try:
                return memoryview(decompress(bytes(contents)))
            except SnappyError as err:
                raise self._corrupt(f"a block's Snappy data is broken: {err}", handle) from err
        raise self._corrupt(f"a block's compression is {compression}", handle)

    def _entries_of(self, handle: Handle) -> Iterator[Entry]:
        """Keys and values of one block, in the order in which they stand."""
        block = self._block(handle)
        end = self._entries_end(block, handle)
        at, key, unfolded = 0, b"", 0
        while at < end:
            try:
                shared, at = read_varint(block, at, end, bits=32)
                unshared, at = read_varint(block, at, end, bits=32)
                size, at = read_varint(block, at, end, bits=32)
            except ValueError as err:
                raise self._corrupt(f"an entry is broken: {err}", handle) from err
            if shared > len(key) or shared + unshared > LONGEST_KEY:
                raise self._corrupt(f"a key shares {shared} bytes of {len(key)}", handle)
            if at + unshared + size > end:
                raise self._corrupt("an entry goes past the end of its block", handle)
            key = key[:shared] + bytes(block[at : at + unshared])
            unfolded += len(key)
            if unfolded > LARGEST_UNFOLDING * len(block):
                raise self._corrupt("keys unfold beyond all measure", handle)
            at += unshared
            yield key, block[at : at + size]
            at += size

    def _entries_end(self, block: memoryview, handle: Handle) -> int:
        """Where a block's entries end and its restart offsets begin."""
        if len(block) < 4:
            raise self._corrupt("a block is too short for its restart count", handle)
        restarts = int.from_bytes(block[-4:], "little")
        end = len(block) - 4 - 4 * restarts
        if end < 0:
            raise self._corrupt(f"a block states {restarts} restarts", handle)
        return end

    def _corrupt(self, read: str, handle: Handle | None = None) -> SourceUnreadable:
        where = str(self.file.path)
        if handle is not None:
            where += f", block at byte {handle.offset}"
        return SourceUnreadable(
            read,
            where=where,
            advice="the file is damaged: copy it again from its origin, in binary mode",
        )
