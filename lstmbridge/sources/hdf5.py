"""HDF5 files as named lazy tensors: what Keras uses of the format; no link is followed out of it.

Numbers are views of the mapped bytes where a dataset lies in one piece, as Keras writes it;
other datasets are read when they are asked for.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array

MAGIC = b"\x89HDF\r\n\x1a\n"
DEEPEST = 32
"""Groups within groups that are followed."""
_OF_HDF5 = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError)
"""What h5py raises for a damaged file."""
_LARGEST_RATIO = 2000
"""Deflate packs no denser than 1032 to 1."""


@dataclass(frozen=True, eq=False)
class Container:
    """The bytes of one HDF5 file.

    Attributes:
        path: the file on disk, for messages; the archive that holds the bytes.
        view: all bytes.
        size: their number.
        kind: what `path` is, for messages.
    """

    path: Path
    view: Callable[[], memoryview]
    size: int
    kind: str = "an HDF5 file (Keras .h5)"

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The file as h5py has it. Errors: SourceUnreadable."""
        import h5py

        # h5py reads what was mapped already: one file, whatever happens to it meanwhile
        try:
            with h5py.File(_ReadOnly(self.view()), "r") as file:
                yield file
        except _OF_HDF5 as err:
            raise self.damaged(str(err)) from err

    def damaged(self, why: str) -> SourceUnreadable:
        """An error that names the file."""
        return SourceUnreadable(
            f"{self.path.name} is {self.kind} that cannot be used: {why[:300]}",
            expected="a file as Keras writes it",
            where=str(self.path),
            advice="fetch it again; it may be truncated",
        )


class _ReadOnly(io.RawIOBase):
    """A memory view as a file."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


@dataclass(frozen=True, eq=False)
class HdfTensor:
    """A dataset. Implements `contracts.TensorRef`; it has no CRC of its own.

    Attributes:
        dataset: its full path in the file.
        offset: of its bytes; None where they do not lie in one piece.
        stored: the dtype with the file's byte order.
    """

    name: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    container: Container
    dataset: str
    offset: int | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored, in native byte order."""
        native: np.dtype[Any] = self.stored.newbyteorder("=")
        return native

    @property
    def location(self) -> str:
        """File and dataset, for messages."""
        return f"{self.container.path}: {self.dataset}"

    def load(self) -> Array:
        """The numbers, read-only. Errors: SourceUnreadable."""
        count = int(np.prod(self.shape, dtype=np.int64))
        if self.offset is None or count == 0:
            with self.container.opened() as file:
                array = np.asarray(file[self.dataset][()])
        else:
            array = np.frombuffer(self.container.view(), self.stored, count, self.offset)
        array = array.reshape(self.shape).astype(self.dtype, copy=False)
        array.flags.writeable = False
        return array


def tensor_of(container: Container, dataset: Any, name: str, home: str) -> HdfTensor:
    """A dataset of an opened file as a lazy tensor.

    Args:
        container: the file's bytes.
        dataset: h5py's dataset.
        name: what the tensor is to be called.
        home: h5py's name of the opened file; a link may have led out of it.

    Raises:
        SourceUnreadable: it leads out of the file, or claims more numbers than are stored.
    """
    where = str(dataset.name)
    if dataset.file.filename != home or dataset.external or dataset.is_virtual:
        raise container.damaged(f"{where} refers to another file")
    stored = np.dtype(dataset.dtype)
    shape = tuple(int(n) for n in dataset.shape or ())
    claimed = int(np.prod(shape, dtype=object)) * stored.itemsize
    offset = dataset.id.get_offset()
    bound = container.size if offset is not None else container.size * _LARGEST_RATIO
    if claimed > bound or (offset is not None and offset + claimed > container.size):
        raise container.damaged(f"{where} {shape} is larger than the file")
    return HdfTensor(name, shape, stored, container, where, offset)


def text(value: Any) -> str:
    """An attribute as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.size == 1:
        return text(value.reshape(())[()])
    return str(value)


def names_in(attributes: Any, key: str) -> list[str] | None:
    """A list of names; Keras cuts long ones into ``key0``, ``key1``, ... None: not there."""
    if key in attributes:
        return [text(n) for n in np.asarray(attributes[key]).reshape(-1)]
    found: list[str] = []
    number = 0
    while f"{key}{number}" in attributes:
        found += [text(n) for n in np.asarray(attributes[f"{key}{number}"]).reshape(-1)]
        number += 1
    return found if number else None


def walk(container: Container, group: Any, path: str = "", depth: int = 0) -> Iterator[Any]:
    """(path, group or dataset) of all that lies in `group` itself; links are not followed."""
    import h5py

    if depth > DEEPEST:
        raise container.damaged(f"{path} lies more than {DEEPEST} groups deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        child, place = group[name], f"{path}/{name}" if path else str(name)
        yield place, child
        if isinstance(child, h5py.Group):
            yield from walk(container, child, place, depth + 1)
