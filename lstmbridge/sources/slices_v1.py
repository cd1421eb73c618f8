"""V1 checkpoints: every shard is a table of SavedTensorSlices messages.

    key ""          names, shapes, types and slices of all that this shard holds
    slice key       the numbers of one slice, as lists inside a TensorProto

One file ``model.ckpt``, or shards ``model.ckpt-00000-of-00002`` and no plain file. The slices
of a variable may lie in several shards. Opening reads each shard's index and its first block;
a slice's block is read, and its CRC32C checked, when the slice is loaded.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.sources.dtypes import NO_WORD, name_of, numpy_dtype
from lstmbridge.sources.files import MappedFile
from lstmbridge.sources.messages import parse
from lstmbridge.sources.slices import StoredSlice, check_cover, shape_of, slice_of
from lstmbridge.sources.snappy import LARGEST_RATIO
from lstmbridge.sources.table import Table
from lstmbridge.sources.values import array_from_bytes, array_from_proto, frozen, new_array
from lstmbridge.sources.wire import only, single

DATA = 2
"""SavedTensorSlices.data"""
NAME, SLICE, VALUES = 1, 2, 3
"""SavedSlice.name, .slice, .data"""
FIXED_SIZE_FIELDS: Mapping[str, int] = {
    "float32": 5,
    "float64": 6,
    "complex64": 9,
    "complex128": 12,
}
"""TensorProto's packed lists of numbers whose wire form is that of the numbers themselves."""

HIGHEST_VERSION = 1
"""The version of SavedTensorSlices that we know."""


@dataclass(slots=True, eq=False)
class SlicesTensor:
    """A tensor whose slices lie in one or several tables."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    pieces: list[tuple[StoredSlice, Table]] = field(default_factory=list)
    _whole: weakref.ref[Array] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; void where NumPy has no word for the type."""
        dtype = numpy_dtype(self.type_number)
        return NO_WORD if dtype is None else dtype

    @property
    def location(self) -> str:
        """The file of the (first) slice."""
        return f"{self.pieces[0][1].file.path}, {self.name!r}"

    def load(self) -> Array:
        """The numbers, decoded anew unless an earlier result is still in use."""
        whole = self._whole() if self._whole is not None else None
        if whole is None:
            whole = self._decode()
            self._whole = weakref.ref(whole)
        return whole

    def _decode(self) -> Array:
        if numpy_dtype(self.type_number) is None:
            raise SourceUnreadable(
                f"tensor {self.name!r} of type {name_of(self.type_number)} holds no numbers",
                where=self.location,
            )
        if len(self.pieces) == 1:
            return self._piece(*self.pieces[0]).reshape(self.shape)
        whole = new_array(self.shape, self.dtype, self.location)
        for piece, table in self.pieces:
            whole[piece.index] = self._piece(piece, table)
        return frozen(whole)

    def _piece(self, piece: StoredSlice, table: Table) -> Array:
        where = f"{table.file.path}, {self.name!r}"
        stored = table.get(piece.key)
        if stored is None:
            raise SourceUnreadable(
                f"the numbers of {self.name!r} are missing ({piece.index})", where=where
            )
        try:
            saved = _SavedSlice.of(stored, where)
            if saved.name != self.name:
                raise SourceUnreadable(f"a slice says that it is of {saved.name!r}", where=where)
            if slice_of(saved.extents, self.name, self.shape, where) != piece:
                raise SourceUnreadable("a slice says that it is another one", where=where)
            return saved.values(self.type_number, piece.lengths, where)
        except ValueError as err:
            raise SourceUnreadable(f"a slice is broken: {err}", where=where) from err


@dataclass(frozen=True, slots=True)
class _SavedSlice:
    """A SavedTensorSlices message with a slice in it, its numbers still in the file."""

    name: str
    extents: Any
    data: memoryview

    @classmethod
    def of(cls, stored: memoryview, where: str) -> _SavedSlice:
        """Take the message apart. Raises ValueError where it is broken."""
        from lstmbridge.sources.proto.tensor_pb2 import TensorSliceProto

        saved = single(stored, DATA)
        name, extents, values = (single(saved, number) for number in (NAME, SLICE, VALUES))
        return cls(bytes(name).decode(), parse(TensorSliceProto, extents, where), values)

    def values(self, type_number: int, shape: tuple[int, ...], where: str) -> Array:
        """The numbers: a view of the file for the types that are listed in fixed size.

        Raises ValueError where the message is broken. Errors: SourceUnreadable.
        """
        from lstmbridge.sources.proto.tensor_pb2 import TensorProto

        number = FIXED_SIZE_FIELDS.get(name_of(type_number))
        listed = None if number is None else only(self.data, number)
        if listed is None:
            proto = parse(TensorProto, self.data, where)
            return array_from_proto(proto, type_number, shape, where, repeat=False)
        dtype = numpy_dtype(type_number)
        needed = math.prod(shape) * (dtype.itemsize if dtype is not None else 0)
        if dtype is None or len(listed) != needed:
            raise SourceUnreadable(
                f"a slice of shape {shape} holds {len(listed)} bytes",
                expected=f"{needed} bytes",
                where=where,
            )
        return array_from_bytes(listed, dtype, shape)


@dataclass(frozen=True, slots=True)
class Slices:
    """An opened V1 checkpoint."""

    tensors: Mapping[str, SlicesTensor]
    files: tuple[MappedFile, ...]


def open_slices(shards: Sequence[Path]) -> Slices:
    """Read what the shards declare. Errors: SourceUnreadable."""
    tensors: dict[str, SlicesTensor] = {}
    files = []
    for path in shards:
        file = MappedFile(path)
        table = Table(file)
        for meta in _declared(table):
            _add(tensors, meta, table)
        files.append(file)
    for tensor in tensors.values():
        check_cover([piece for piece, _ in tensor.pieces], tensor.shape, tensor.location)
    return Slices(tensors, tuple(files))


def _declared(table: Table) -> Sequence[Any]:
    """The SavedSliceMeta messages of one shard."""
    from lstmbridge.sources.proto.checkpoint_pb2 import SavedTensorSlices

    path = table.file.path
    entry = table.first()
    if entry is None or entry[0] != b"":
        raise SourceUnreadable("the table has no list of its variables", where=str(path))
    declared = parse(SavedTensorSlices, entry[1], f"{path}, the list of variables").meta
    if declared.versions.min_consumer > HIGHEST_VERSION:
        raise SourceUnreadable(
            f"the checkpoint asks for version {declared.versions.min_consumer} of the format",
            expected=f"at most {HIGHEST_VERSION}",
            where=str(path),
        )
    tensors: Sequence[Any] = declared.tensor
    return tensors


def _add(tensors: dict[str, SlicesTensor], meta: Any, table: Table) -> None:
    """Take the slices that one shard declares of one variable."""
    where = f"{table.file.path}, {meta.name!r}"
    shape = shape_of(meta.shape, where)
    tensor = tensors.setdefault(meta.name, SlicesTensor(meta.name, shape, meta.type))
    if (tensor.shape, tensor.type_number) != (shape, meta.type):
        raise SourceUnreadable(
            f"{meta.name!r} has shape {tensor.shape} in one shard and {shape} in another",
            where=where,
            advice="the shards are of different checkpoints",
        )
    if not meta.slice:
        raise SourceUnreadable(f"{meta.name!r} has no slice", where=where)
    for proto in meta.slice:
        piece = slice_of(proto, meta.name, shape, where)
        if piece.elements > LARGEST_RATIO * table.file.size:
            raise SourceUnreadable(
                f"a slice declares {piece.elements} numbers, its file has {table.file.size} bytes",
                where=where,
                advice="the file is truncated or damaged: copy it again from its origin",
            )
        tensor.pieces.append((piece, table))
