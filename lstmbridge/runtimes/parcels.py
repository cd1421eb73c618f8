"""Arrays and subjects on their way to another process and back."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.contracts import Artifact, Feeds, Outputs
from lstmbridge.errors import RuntimeFailed
from lstmbridge.gates import Array, InMemory, Weights
from lstmbridge.model.blocks import Model

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def pack(path: Path, arrays: Mapping[str, Array]) -> dict[str, list[str]]:
    """Write `arrays`, and say what the other side needs to read them.

    Files of NumPy know no bfloat16: it travels as float32, which holds each of its numbers.

    Returns:
        ``names`` in the order of the file's ``a0``, ``a1``, ...; ``bfloat16``: those of them
        that are bfloat16.
    """
    stored = {name: np.asarray(array) for name, array in arrays.items()}
    narrow = [name for name, array in stored.items() if array.dtype == _BFLOAT16]
    numbered = {
        f"a{k}": array.astype(np.float32) if name in narrow else array
        for k, (name, array) in enumerate(stored.items())
    }
    np.savez(path, **numbered)  # type: ignore[arg-type] # its keywords are arrays, too
    return {"names": list(stored), "bfloat16": narrow}


def unpack(path: Path, said: Mapping[str, Any], where: str) -> Outputs:
    """Read what `pack` wrote.

    Raises:
        RuntimeFailed: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {str(name): archive[f"a{k}"] for k, name in enumerate(said["names"])}
            return {
                name: array.astype(_BFLOAT16) if name in said.get("bfloat16", ()) else array
                for name, array in found.items()
            }
    except _DAMAGED as error:
        raise RuntimeFailed(
            f"what it gave cannot be read as arrays: {error}",
            expected="an .npz of plain arrays",
            where=where,
        ) from error


class _Pickler(pickle.Pickler):
    """Takes numbers out of the source's files, which stay where they are."""

    def reducer_override(self, obj: Any) -> Any:
        """Any lazy tensor as the array that it stands for."""
        if hasattr(obj, "load") and not isinstance(obj, InMemory | type):
            weights: Weights = obj
            return InMemory, (weights.name, np.array(weights.load()))
        return NotImplemented


def pickled(subject: Artifact | Model) -> bytes:
    """A subject for a process that we started ourselves; its weights go along."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump(subject)
    return buffer.getvalue()


def feeds_of(path: Path, said: Mapping[str, Any]) -> Feeds:
    """What a probe feeds, as `pack` wrote it."""
    return unpack(path, said, "the process of a runtime")
