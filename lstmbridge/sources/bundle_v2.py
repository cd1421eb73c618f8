"""V2 checkpoints (TensorFlow's tensor bundle): one table of entries, and shards of raw bytes.

    prefix.index                  table: "" -> BundleHeaderProto, name -> BundleEntryProto,
                                  slice key -> BundleEntryProto of one slice
    prefix.data-00000-of-00002    the tensors' bytes, C order, each with its CRC32C in its entry

A partitioned variable has a plain entry that lists its slices and holds no bytes of its own.
Opening reads and checks the index alone; every extent that it declares is compared with the
sizes of the shards.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.sources.dtypes import NO_WORD, STRING, name_of, numpy_dtype
from lstmbridge.sources.files import MappedFile, crc32c, masked
from lstmbridge.sources.messages import parse
from lstmbridge.sources.slices import StoredSlice, check_cover, shape_of, slice_of
from lstmbridge.sources.table import Table
from lstmbridge.sources.values import (
    array_from_bytes,
    array_from_strings,
    cut_strings,
    frozen,
    new_array,
    split_strings,
)

MOST_SHARDS = 100_000
"""As many as the five digits of a shard's name can count."""
HIGHEST_VERSION = 1
"""The version of the bundle format that we know."""


@dataclass(slots=True, eq=False)
class Extent:
    """Bytes of one tensor or slice in a shard, whose CRC32C is checked on the first load."""

    shard: MappedFile
    offset: int
    size: int
    stated_crc: int
    big_endian: bool
    checked: bool = False

    @property
    def where(self) -> str:
        """File and offset."""
        return f"{self.shard.path}, byte {self.offset}"

    def read(self, name: str, type_number: int, shape: tuple[int, ...]) -> Array:
        """The numbers or strings. Errors: SourceUnreadable."""
        data = self.shard.view()[self.offset : self.offset + self.size]
        if type_number == STRING:
            return self._read_strings(data, name, shape)
        if not self.checked:
            self._compare(crc32c(data), name)
        dtype = numpy_dtype(type_number)
        if dtype is None:
            raise SourceUnreadable(
                f"tensor {name!r} of type {name_of(type_number)} holds no numbers",
                where=self.where,
            )
        return array_from_bytes(data, dtype, shape, big_endian=self.big_endian)

    def _read_strings(self, data: memoryview, name: str, shape: tuple[int, ...]) -> Array:
        """Lengths as varints, a masked CRC32C of the lengths, the strings.

        The CRC runs over the lengths as fixed-size integers, their CRC, and the strings.
        """
        order = ">" if self.big_endian else "<"
        try:
            lengths, at = split_strings(data, math.prod(shape), bits=64)
            crc = 0
            for length in lengths:
                width = 4 if length >> 32 == 0 else 8
                crc = crc32c(np.array(length, f"{order}u{width}").tobytes(), crc)
            items = cut_strings(data[at + 4 :], lengths)
        except ValueError as err:
            raise SourceUnreadable(
                f"the strings of {name!r} are broken: {err}", where=self.where
            ) from err
        self._compare(crc32c(data[at:], crc), name)
        return array_from_strings(items, shape)

    def _compare(self, crc: int, name: str) -> None:
        if masked(crc) != self.stated_crc:
            raise SourceUnreadable(
                f"the bytes of tensor {name!r} have CRC32C 0x{masked(crc):08x}",
                expected=f"0x{self.stated_crc:08x}, as the index states",
                where=self.where,
                advice="the file is damaged: copy it again from its origin, in binary mode",
            )
        self.checked = True


@dataclass(slots=True, eq=False)
class BundleTensor:
    """A tensor stored in one piece, or in slices."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    pieces: tuple[tuple[StoredSlice, Extent], ...]
    _whole: weakref.ref[Array] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored, in native byte order; void where NumPy has no word for the type."""
        dtype = numpy_dtype(self.type_number)
        return NO_WORD if dtype is None else dtype

    @property
    def location(self) -> str:
        """File and offset of the (first) bytes."""
        return self.pieces[0][1].where if self.pieces else "no bytes"

    def load(self) -> Array:
        """The numbers; slices are put together anew unless an earlier result is still in use."""
        if len(self.pieces) == 1 and self.pieces[0][0].lengths == self.shape:
            return self.pieces[0][1].read(self.name, self.type_number, self.shape)
        whole = self._whole() if self._whole is not None else None
        if whole is None:
            whole = new_array(self.shape, self.dtype, self.location)
            for piece, extent in self.pieces:
                whole[piece.index] = extent.read(self.name, self.type_number, piece.lengths)
            frozen(whole)
            self._whole = weakref.ref(whole)
        return whole


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened V2 checkpoint."""

    tensors: Mapping[str, BundleTensor]
    files: tuple[MappedFile, ...]


def open_bundle(index: Path, prefix: Path) -> Bundle:
    """Read and check the index of the checkpoint `prefix`. Errors: SourceUnreadable."""
    from lstmbridge.sources.proto.checkpoint_pb2 import BundleHeaderProto

    index_file = MappedFile(index)
    items = iter(Table(index_file).entries())
    key, value = next(items, (None, memoryview(b"")))
    header = parse(BundleHeaderProto, value, f"{index}, the bundle's header")
    if key != b"" or not 0 < header.num_shards < MOST_SHARDS or header.endianness not in {0, 1}:
        raise SourceUnreadable(
            f"the index has no valid header (it states {header.num_shards} shards)",
            where=str(index),
        )
    if header.version.min_consumer > HIGHEST_VERSION:
        raise SourceUnreadable(
            f"the checkpoint asks for version {header.version.min_consumer} of the format",
            expected=f"at most {HIGHEST_VERSION}",
            where=str(index),
        )
    reader = _IndexReader(index, prefix, header.num_shards, big_endian=header.endianness == 1)
    tensors = reader.read(items)
    return Bundle(tensors, (index_file, *reader.present()))


def shard_path(prefix: Path, number: int, count: int) -> Path:
    """Where a shard of a V2 checkpoint lies: always beside its index."""
    return prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{count:05d}")


class _IndexReader:
    """Entries of an index to tensors; opens (but does not read) the shards they name."""

    def __init__(self, index: Path, prefix: Path, count: int, *, big_endian: bool) -> None:
        self._index = index
        self._where = str(index)
        self._prefix = prefix
        self._count = count
        self._big_endian = big_endian
        self._shards: dict[int, MappedFile] = {}
        self._taken: list[tuple[int, int, int, str]] = []

    def present(self) -> Iterable[MappedFile]:
        """The shards that entries name, in order."""
        return (self._shards[number] for number in sorted(self._shards))

    def read(self, items: Iterable[tuple[bytes, memoryview]]) -> dict[str, BundleTensor]:
        """All tensors by name. Errors: SourceUnreadable."""
        from lstmbridge.sources.proto.checkpoint_pb2 import BundleEntryProto

        tensors: dict[str, BundleTensor] = {}
        slices: dict[bytes, Any] = {}
        for key, value in items:
            entry = parse(BundleEntryProto, value, self._where)
            # slice keys begin with 0 and so stand before all names
            if key.startswith(b"\x00"):
                slices[key] = entry
            else:
                name = self._name(key)
                tensors[name] = self._tensor(name, entry, slices)
        if slices:
            raise self._corrupt(f"{len(slices)} slices belong to no variable")
        self._check_overlaps()
        return tensors

    def _name(self, key: bytes) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError as err:
            raise self._corrupt(f"the name {key!r} is not UTF-8") from err

    def _tensor(self, name: str, entry: Any, slices: dict[bytes, Any]) -> BundleTensor:
        where = f"{self._where}, {name!r}"
        shape = shape_of(entry.shape, where)
        if not entry.slices:
            whole = StoredSlice((0,) * len(shape), shape, b"")
            pieces = [(whole, self._extent(name, entry, entry.dtype, shape))]
            return BundleTensor(name, shape, entry.dtype, tuple(pieces))
        pieces = []
        for proto in entry.slices:
            piece = slice_of(proto, name, shape, where)
            stored = slices.pop(piece.key, None)
            if stored is None:
                raise self._corrupt(f"a slice of {name!r} is missing ({piece.index})")
            if shape_of(stored.shape, where) != piece.lengths:
                raise self._corrupt(f"a slice of {name!r} has another shape than it states")
            pieces.append((piece, self._extent(name, stored, entry.dtype, piece.lengths)))
        check_cover([piece for piece, _ in pieces], shape, where)
        return BundleTensor(name, shape, entry.dtype, tuple(pieces))

    def _extent(self, name: str, entry: Any, type_number: int, shape: tuple[int, ...]) -> Extent:
        if entry.dtype != type_number or entry.offset < 0 or entry.size < 0:
            raise self._corrupt(f"the entry of {name!r} contradicts itself")
        dtype = numpy_dtype(type_number)
        if dtype is not None and type_number != STRING:
            needed = math.prod(shape) * dtype.itemsize
            if entry.size != needed:
                raise self._corrupt(
                    f"{name!r} {shape} {dtype} takes {needed} bytes, its entry states {entry.size}"
                )
        shard = self._shard(entry.shard_id)
        if entry.offset + entry.size > shard.size:
            raise SourceUnreadable(
                f"{name!r} ends at byte {entry.offset + entry.size}, the file has {shard.size}",
                where=str(shard.path),
                advice="the file is truncated: copy it again from its origin",
            )
        if entry.size:
            self._taken.append((entry.shard_id, entry.offset, entry.offset + entry.size, name))
        return Extent(shard, entry.offset, entry.size, entry.crc32c, self._big_endian)

    def _shard(self, number: int) -> MappedFile:
        if number not in self._shards:
            if not 0 <= number < self._count:
                raise self._corrupt(f"an entry lies in shard {number} of {self._count}")
            path = shard_path(self._prefix, number, self._count)
            if not path.is_file():
                raise SourceUnreadable(
                    f"shard {number} of {self._count} is missing",
                    expected=f"a file {path.name} beside {self._index.name}",
                    where=str(path),
                    advice="copy all files of the checkpoint into one folder",
                )
            self._shards[number] = MappedFile(path)
        return self._shards[number]

    def _check_overlaps(self) -> None:
        self._taken.sort()
        for (shard, _, end, one), (next_shard, start, _, other) in zip(
            self._taken[:-1], self._taken[1:], strict=True
        ):
            if shard == next_shard and start < end:
                raise self._corrupt(f"the bytes of {one!r} and {other!r} overlap")

    def _corrupt(self, read: str) -> SourceUnreadable:
        return SourceUnreadable(
            read,
            where=str(self._index),
            advice="the index is damaged: copy it again from its origin, in binary mode",
        )
