"""A ``.pt2`` file: the zip of `torch.export.save`, with strings of ours. No torch in here.

What torch writes is written anew: always the same bytes, whatever the file is called. Torch
reads such a file as it reads its own. Weights are read straight from the zip, so that looking at
a file runs no code; whether it is harmless enough to be loaded is asked in `harmless`.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array, Weights
from lstmbridge.targets.torch.files import Content

SUFFIX = ".pt2"
ROOT = "model"
"""The folder in which everything lies, whatever the file is called."""
STRINGS = "extra/lstmbridge.json"
GRAPH = "models/model.json"
WEIGHTS = "data/weights/"
WEIGHTS_TABLE = f"{WEIGHTS}model_weights_config.json"
CONSTANTS_TABLE = "data/constants/model_constants_config.json"
EXAMPLES = "data/sample_inputs/model.pt"
PLAIN: frozenset[str] = frozenset({
    STRINGS, GRAPH, WEIGHTS_TABLE, CONSTANTS_TABLE, EXAMPLES,
    "archive_format", "archive_version", "byteorder", ".data/version",
})  # fmt: skip
"""Every member that is not a weight. Torch's ``.data/serialization_id`` changes with its mood."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LONGEST = 64 * 2**20
"""Bytes of a member that is no weight."""
_DTYPES: Mapping[int, np.dtype[Any]] = {
    # torch._export.serde.schema.ScalarType
    6: np.dtype(np.float16),
    7: np.dtype(np.float32),
    8: np.dtype(np.float64),
    13: np.dtype(ml_dtypes.bfloat16),
}


def rewrite(source: Path, path: Path, strings: Mapping[str, str]) -> None:
    """Write `path` with the members of `source` and `strings`; its former strings are dropped.

    Raises:
        OSError: as the system says.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            _, _, name = member.filename.partition("/")
            if name != STRINGS and (name in PLAIN or name.startswith(WEIGHTS)):
                with old.open(member) as read, _member(new, name, member.file_size) as write:
                    shutil.copyfileobj(read, write, 2**20)
        text = json.dumps(dict(strings), sort_keys=True).encode()
        with _member(new, STRINGS, len(text)) as write:
            write.write(text)


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[Any]:
    info = zipfile.ZipInfo(f"{ROOT}/{name}", _EPOCH)
    info.file_size = size
    with archive.open(info, "w") as file:
        yield file


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """A tensor that lies in the file. Implements `Weights`."""

    path: Path
    member: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def load(self) -> Array:
        """The numbers, read-only."""
        with zipfile.ZipFile(self.path) as archive:
            raw = archive.read(self.member)
        array: Array = np.frombuffer(raw, self.dtype).reshape(self.shape)
        return array


def is_ours(path: Path) -> bool:
    """Is it a zip with strings of ours in it? Never raises for what lies in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.partition("/")[2] == STRINGS for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read(path: Path) -> Content | None:
    """Tensors and strings of a file; None when lstmbridge did not write it. Runs no code.

    Raises:
        SourceUnreadable: it claims to be one and is broken.
    """
    if not is_ours(path):
        if path.suffix == SUFFIX:
            _refuse_broken(path)
        return None
    with opened(path) as members:
        strings = members.json(STRINGS)
        if members.bytes("byteorder") != b"little":
            raise broken(path, "its numbers are not little-endian")
        if not isinstance(strings, dict) or not all(isinstance(v, str) for v in strings.values()):
            raise broken(path, "its strings are no table of strings")
        table = members.json(WEIGHTS_TABLE)["config"]
        return Content(
            {key: _weights(members, key, entry) for key, entry in table.items()}, strings
        )


def _refuse_broken(path: Path) -> None:
    """A damaged ``.pt2`` is said to be damaged; a sound one of somebody else passes."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is None and archive.namelist():
                return
        reason = "a member of it is damaged"
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = str(error)
    raise broken(path, reason)


class Members:
    """The members of an open file, by their names below its folder."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.infos = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if len(self.infos) != len(archive.infolist()):
            raise broken(path, "two of its members have one name")
        if archive.comment or any(
            not i.filename.startswith(f"{ROOT}/") for i in archive.infolist()
        ):
            raise broken(path, "it is laid out as no file of ours is")
        size = path.stat().st_size
        for info in self.infos.values():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise broken(path, f"{info.filename} is packed, or longer than the file")

    def bytes(self, name: str) -> bytes:
        """A member that is no weight."""
        if name not in self.infos or self.infos[name].file_size > _LONGEST:
            raise broken(self.path, f"{name} is missing, or too long")
        return self._archive.read(self.infos[name])

    def json(self, name: str) -> Any:
        """A member that is JSON."""
        return json.loads(self.bytes(name))


@contextmanager
def opened(path: Path) -> Iterator[Members]:
    """The members of `path`; whatever goes wrong with them is SourceUnreadable."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield Members(path, archive)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise broken(path, str(error)) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise broken(path, f"it does not parse: {error!r}") from error


def _weights(members: Members, key: str, entry: Mapping[str, Any]) -> Weights:
    """One weight: a whole member, in C order. Nothing is claimed that is not there."""
    meta = entry["tensor_meta"]
    shape = tuple(_number(size) for size in meta["sizes"])
    strides = tuple(_number(stride) for stride in meta["strides"])
    dtype = _DTYPES[meta["dtype"]]
    member = WEIGHTS + entry["path_name"]
    whole = tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))
    size = math.prod(shape) * dtype.itemsize
    if (
        entry["use_pickle"]
        or meta["device"]["type"] != "cpu"
        or _number(meta["storage_offset"])
        or strides != whole
        or members.infos[member].file_size != size
    ):
        raise broken(members.path, f"its weight {key} is no plain tensor")
    return _Stored(members.path, members.infos[member].filename, key, shape, dtype)


def _number(value: Mapping[str, Any]) -> int:
    number = value["as_int"]
    if type(number) is not int or not 0 <= number < 2**40:
        raise ValueError(f"{number!r} is no size")
    return number


def broken(path: Path, reason: str) -> SourceUnreadable:
    """The error for a file that claims to be one of ours."""
    return SourceUnreadable(
        f"the file does not read: {reason}",
        expected=f"a {SUFFIX} file that lstmbridge wrote",
        where=str(path),
        advice="fetch or convert it again",
    )
