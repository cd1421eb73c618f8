"""A failing input on disk: arrays as ``--data`` takes them, and beside them what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge.contracts import Counterexample
from lstmbridge.errors import UsageError
from lstmbridge.gates import Array

EXPECTED, OBSERVED, COMMAND = "expected/", "observed/", "replay/command"
"""Names with a folder are not fed again."""


def write(path: Path, found: Counterexample, command: str) -> None:
    """Write the inputs, the outputs of both sides, and the command that runs it again.

    Raises:
        UsageError: the system refuses the file.
    """
    arrays: dict[str, Array] = {**found.feeds, COMMAND: np.asarray(command)}
    for folder, outputs in ((EXPECTED, found.expected), (OBSERVED, found.observed)):
        arrays |= {folder + name: _plain(values) for name, values in outputs.items()}
    named: Mapping[str, Any] = {name: _plain(array) for name, array in arrays.items()}
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, **named)
    except OSError as error:
        raise UsageError(
            f"the failing input cannot be written: {error.strerror}",
            where=f"--save-failure {path}",
        ) from error


def _plain(array: Array) -> Array:
    """bfloat16 as float32, which holds it exactly: NumPy's files have no name for it."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype.kind == "V" else array
