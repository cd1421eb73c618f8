"""Files as read-only memory: mapped lazily, checked by CRC32C, hashed in pieces.

Nothing here knows a format.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

from lstmbridge.errors import SourceUnreadable

PIECE = 1 << 20
"""Bytes taken at a time where a whole file or tensor is walked."""

MASK_DELTA = 0xA282EAD8
"""Added to a rotated CRC before it is stored, so that a CRC of CRCs stays sound (LevelDB)."""


class MappedFile:
    """A file whose bytes are mapped when they are first asked for.

    The size is taken when the object is made, so that extents can be checked without
    touching the contents.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._view: memoryview | None = None
        try:
            self.size = path.stat().st_size
        except OSError as err:
            raise unreadable(path, err) from err

    def view(self) -> memoryview:
        """All bytes, read-only. Errors: SourceUnreadable."""
        if self._view is None:
            self._view = self._map()
        return self._view

    def release(self) -> None:
        """Forget the mapping; views that were handed out keep it alive."""
        self._view = None

    def _map(self) -> memoryview:
        try:
            with self.path.open("rb") as file:
                if self.size == 0:
                    return memoryview(b"")
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as err:
            raise unreadable(self.path, err) from err
        if len(mapped) != self.size:
            raise SourceUnreadable(
                f"the file has {len(mapped)} bytes now and had {self.size} when it was opened",
                where=str(self.path),
                advice="wait until whatever writes it is done, then try again",
            )
        return memoryview(mapped)


def unreadable(path: Path, err: Exception) -> SourceUnreadable:
    """An operating system's refusal, as our error."""
    reason = getattr(err, "strerror", None) or str(err)
    return SourceUnreadable(f"the file cannot be read: {reason}", where=str(path))


def read_start(path: Path, count: int) -> bytes:
    """The first `count` bytes, fewer where the file is shorter. Errors: SourceUnreadable."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as err:
        raise unreadable(path, err) from err


def crc32c(data: memoryview | bytes, crc: int = 0) -> int:
    """CRC32C of `data`, going on from `crc`."""
    view = memoryview(data)
    for start in range(0, len(view), PIECE):
        crc = google_crc32c.extend(crc, bytes(view[start : start + PIECE]))
    return crc


def masked(crc: int) -> int:
    """The form in which LevelDB and TensorFlow store a CRC."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def sha256_of(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of `paths`, in order. Errors: SourceUnreadable."""
    digest = hashlib.sha256()
    for path in paths:
        _hash_into(digest, path)
    return digest.hexdigest()


def _hash_into(digest: hashlib._Hash, path: Path) -> None:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError as err:
        raise unreadable(path, err) from err
