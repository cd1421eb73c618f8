"""Writing a file so that nothing is ever half there.

An artifact is written under its final name in a hidden folder beside its destination, and moved
into place only when the caller says so. A crash, a full disk or a failed verification leaves the
old file as it was. Knows nothing of what is in the file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lstmbridge.errors import LstmBridgeError, UsageError

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this system or process may write",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


class Staged:
    """A file on its way: write to `path`, then `commit()`."""

    def __init__(self, path: Path, final: Path) -> None:
        self.path = path
        self.final = final
        self.committed = False

    def told(self, text: str) -> str:
        """`text` with the path that the user gave, in place of the folder on the way."""
        folder, destination = self.path.parent, self.final.parent
        plain = str(destination) == "."
        text = text.replace(f"{folder.absolute()}{os.sep}", f"{destination.absolute()}{os.sep}")
        return text.replace(f"{folder}{os.sep}", "" if plain else f"{destination}{os.sep}")

    def commit(self) -> None:
        """Move everything that was written into place, the named file last."""
        written = sorted(self.path.parent.iterdir(), key=lambda p: p == self.path)
        for file in written:
            os.replace(file, self.final.parent / file.name)  # noqa: PTH105 - the atomic one
        self.committed = True


def default_stem(source: Path) -> str:
    """What an artifact is called where nobody says: the source's name without its suffix."""
    return re.sub(r"\.ckpt(?=-|$)|\.(pb|pbtxt)$", "", source.name) or "model"


def check_destination(final: Path, *, force: bool) -> None:
    """Refuse a destination that cannot or may not be written, before any work is done.

    Raises:
        UsageError: the folder is missing, `final` is a folder, or exists and `force` is off.
    """
    if not final.parent.is_dir():
        raise UsageError(
            f"the folder {final.parent} does not exist",
            expected="a folder to write the artifact into",
            where=f"output {final}",
            advice="create the folder, or name another with -o",
        )
    if final.is_dir():
        raise UsageError(
            f"{final} is a folder",
            expected="the name of a file",
            where=f"output {final}",
            advice=f"name a file in it: -o {final / 'model.onnx'}",
        )
    if final.exists() and not force:
        raise UsageError(
            f"{final} exists already",
            expected="a name that is free",
            where=f"output {final}",
            advice="name another file with -o, or replace this one with --force",
        )


def _same(one: Path, other: Path) -> bool:
    """Whether two names are one file, be it through links or not there yet."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def refuse_clashes(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Refuse to write over what is read, or two outputs under one name.

    Raises:
        UsageError: naming both. ``--force`` is no answer to this.
    """
    for k, output in enumerate(written):
        for other, what in [*((p, "read") for p in read), *((p, "written") for p in written[:k])]:
            if _same(output, other):
                raise UsageError(
                    f"{output} would be written over {other}, which is {what} as well",
                    expected="a name of its own for every output",
                    where=str(output),
                    advice="choose another name; nothing was touched",
                )


def _name_the_destination(error: LstmBridgeError, stage: Staged) -> None:
    """Let `error` speak of the path that the user gave, not of the folder that is on its way."""
    error.read, error.expected = stage.told(error.read), stage.told(error.expected)
    error.where, error.advice = stage.told(error.where), stage.told(error.advice)


@contextmanager
def staged(final: Path, *, force: bool) -> Iterator[Staged]:
    """Yield a `Staged` for `final`; whatever was not committed is removed on the way out.

    Raises:
        UsageError: see `check_destination`; or the system refuses a write (full disk,
            read-only folder). The old file is then as it was.
    """
    check_destination(final, force=force)
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{final.name[:40]}.", dir=final.parent))
        yield Staged(folder / final.name, final)
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise UsageError(
            f"writing failed: {_REASONS[error.errno]}",
            expected=f"a folder with room, where this user may write: {final.parent}",
            where=f"output {final}",
            advice="make room or name another folder with -o; nothing was left behind",
        ) from error
    except LstmBridgeError as error:
        if folder is not None:
            _name_the_destination(error, Staged(folder / final.name, final))
        raise
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
