"""Pieces of a file made ahead, hashed beside, and written in their order.

Transposing, hashing and writing each let go of the interpreter's lock, so that two processors
share them; never more than a few pieces are held.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

AHEAD = 2
"""Pieces that are made, or wait to be hashed, while another is written."""


def ahead(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    """The same pieces in the same order, each made in a thread while earlier ones are used.

    What the maker raises is raised here, at the piece's turn.
    """
    with ThreadPoolExecutor(1) as maker:
        coming: deque[Future[memoryview | None]] = deque()
        for _ in range(AHEAD):
            coming.append(maker.submit(next, pieces, None))
        while (piece := coming.popleft().result()) is not None:
            coming.append(maker.submit(next, pieces, None))
            yield piece
            del piece  # before the next one is waited for


class HashingWriter:
    """A file that is written from its start to its end and hashed on the way.

    Close it, then the file. What is handed to `write` must not
    change afterwards: it may be hashed a little later.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def close(self) -> None:
        """Stop hashing; the file stays open."""
        self._hasher.shutdown(cancel_futures=True)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`. Errors: OSError, the file's."""
        self._waiting.append(self._hasher.submit(self._digest.update, data))
        self._file.write(data)
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def sha256(self) -> str:
        """Of all that was written."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._digest.hexdigest()


__all__ = ["AHEAD", "HashingWriter", "ahead"]
