"""Which answers of an earlier run still hold: those whose every ingredient is the same.

An answer is taken over only where it was a pass, and where the options, the contents of all files
that are read, this Python, and every installed package's version are what they were.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from lstmbridge import api
from lstmbridge.cli.manifests.reading import Entry
from lstmbridge.errors import LstmBridgeError
from lstmbridge.staging import sha256_of

_STATE = "kept.json"
_ELSEWHERE = "python:"
"""A runtime in another Python, whose packages are not known here."""


def digest(entry: Entry) -> str:
    """Of everything that a model's answer depends on; "" where that cannot be told."""
    if any(_ELSEWHERE in word for word in entry.words):
        return ""
    found = hashlib.sha256()
    here = (entry.command, *entry.words, platform.python_version(), platform.machine())
    packages = sorted({f"{one.metadata['Name']} {one.version}" for one in distributions()})
    try:
        for path in sorted({file for read in entry.reads for file in _contents(read)}):
            found.update(f"{path}\0{sha256_of(path)}\0".encode("utf-8", "surrogateescape"))
        for artifact in entry.reads[1 : 1 + len(entry.artifacts)]:
            for name in api.read_artifact(artifact).beside:
                found.update(sha256_of(artifact.parent / name).encode())
    except (OSError, LstmBridgeError):
        return ""
    found.update(json.dumps([*here, *packages]).encode())
    return found.hexdigest()


def _contents(path: Path) -> Iterator[Path]:
    """Every file that a path may mean: a folder's, or those whose names begin alike.

    A prefix names no file; its parts, a .meta that came later and a "checkpoint" lie beside it.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name in {"checkpoint", "saved_model.pb", "saved_model.pbtxt"}:
        yield from (one for one in folder.rglob("*") if one.is_file())
        return
    stem = path.name.partition(".")[0]
    for one in folder.iterdir():
        if one.is_file() and (one.name.startswith(stem) or one.name == "checkpoint"):
            yield one


def note(folder: Path, digest_of_all: str, answer: Path, body: dict[str, Any]) -> None:
    """Remember that `answer` belongs to what was read; `body` is given back with it."""
    said = {"digest": digest_of_all, "answer": sha256_of(answer), **body}
    (folder / _STATE).write_text(json.dumps(said), encoding="utf-8")


def forget(folder: Path) -> None:
    """What was remembered holds no longer."""
    (folder / _STATE).unlink(missing_ok=True)


def remembered(folder: Path, digest_of_all: str, answer: Path) -> dict[str, Any] | None:
    """The body that was noted, where everything is as it was; else None."""
    try:
        said = json.loads((folder / _STATE).read_bytes())
        same = bool(digest_of_all) and said["digest"] == digest_of_all
        return dict(said) if same and said["answer"] == sha256_of(answer) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
