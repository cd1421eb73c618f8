"""V1 checkpoints: every shard is a table of SavedTensorSlices messages.

    key ""          names, shapes, types and slices of all that this shard holds
    slice key       the numbers of one slice, as lists inside a TensorProto

One file ``model.ckpt``, or shards ``model.ckpt-00000-of-00002`` and no plain file. The slices
of a variable may lie in several shards. Opening reads each shard's index and its first block;
a slice's block is read, and its CRC32C checked, when the slice is loaded.
"""

from __future__ import annotations

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
from lstmbridge.sources.table import Table
from lstmbridge.sources.values import array_from_proto, frozen

HIGHEST_VERSION = 1
"""The version of SavedTensorSlices that we know."""


@dataclass(slots=True, eq=False)
class SlicesTensor:
    """A tensor whose slices lie in one or several tables."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    pieces: list[tuple[StoredSlice, Table, Path]] = field(default_factory=list)
    _whole: weakref.ref[Array] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; void where NumPy has no word for the type."""
        dtype = numpy_dtype(self.type_number)
        return NO_WORD if dtype is None else dtype

    @property
    def location(self) -> str:
        """The file of the (first) slice."""
        return f"{self.pieces[0][2]}, {self.name!r}"

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
        whole = np.empty(self.shape, self.dtype)
        for piece, table, path in self.pieces:
            whole[piece.index] = self._piece(piece, table, path)
        return frozen(whole)

    def _piece(self, piece: StoredSlice, table: Table, path: Path) -> Array:
        from lstmbridge.sources.proto.checkpoint_pb2 import SavedTensorSlices

        where = f"{path}, {self.name!r}"
        stored = table.get(piece.key)
        if stored is None:
            raise SourceUnreadable(
                f"the numbers of {self.name!r} are missing ({piece.index})", where=where
            )
        data = parse(SavedTensorSlices, stored, where).data
        if data.name != self.name:
            raise SourceUnreadable(f"the slice says that it is of {data.name!r}", where=where)
        if slice_of(data.slice, self.name, self.shape, where) != piece:
            raise SourceUnreadable("the slice says that it is another one", where=where)
        return array_from_proto(data.data, self.type_number, piece.lengths, where, repeat=False)


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
        for meta in _declared(table, path):
            _add(tensors, meta, table, path)
        files.append(file)
    for tensor in tensors.values():
        check_cover([piece for piece, _, _ in tensor.pieces], tensor.shape, tensor.location)
    return Slices(tensors, tuple(files))


def _declared(table: Table, path: Path) -> Sequence[Any]:
    """The SavedSliceMeta messages of one shard."""
    from lstmbridge.sources.proto.checkpoint_pb2 import SavedTensorSlices

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


def _add(tensors: dict[str, SlicesTensor], meta: Any, table: Table, path: Path) -> None:
    """Take the slices that one shard declares of one variable."""
    where = f"{path}, {meta.name!r}"
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
        tensor.pieces.append((slice_of(proto, meta.name, shape, where), table, path))
