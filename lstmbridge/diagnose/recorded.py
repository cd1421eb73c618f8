"""Outputs that were recorded elsewhere, as a runtime that gives them again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from zipfile import BadZipFile

import ml_dtypes
import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import (
    BATCH_MAJOR,
    TIME_MAJOR,
    Artifact,
    Feeds,
    Outputs,
    Port,
    RuntimeInfo,
    Signature,
    TensorSpec,
)
from lstmbridge.diagnose.ports import known_names, split, stacks, turned
from lstmbridge.errors import FactMissing, RuntimeUnavailable, SourceUnreadable, UsageError
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.noise import run_model

_NO_ARRAYS = (
    OSError, EOFError, ValueError, AttributeError, TypeError, RuntimeError, BadZipFile, zlib.error
)  # fmt: skip
"""What NumPy and zipfile raise for a file that is no .npz, or a damaged one."""
_ALIKE = 1e-3
"""Of an output's size: as near as this, and a layout is recognised by its numbers."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a file of recorded arrays holds, batch-major, by our names.

    Attributes:
        said: how names and axes were matched, in words.
    """

    feeds: Feeds
    outputs: Outputs
    said: tuple[str, ...]


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an .npz; nothing is unpickled.

    Raises:
        UsageError: there is no such file. SourceUnreadable: it is no .npz of plain arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", expected="an .npz", where=str(path))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except _NO_ARRAYS as error:
        raise SourceUnreadable(
            f"{path} cannot be read as arrays: {error}",
            expected='an .npz, as np.savez("recorded.npz", inputs=x, outputs=y) writes it',
            where=str(path),
        ) from error


def take(
    arrays: Mapping[str, Array],
    model: Model,
    renames: Mapping[str, str],
    layout: str | None,
    where: str,
) -> Recorded:
    """Match the arrays with the network's names, and find out which axis is time.

    Args:
        arrays: as recorded.
        model: the network that they are compared with.
        renames: the user's: theirs -> ours.
        layout: the user's word; None: found out, or asked for.
        where: the file.

    Raises:
        UsageError: names or shapes do not fit. FactMissing: which axis is time is not plain.
    """
    named, said = _named(arrays, model, renames, where)
    sequences = {n: a for n, a in named.items() if n in {INPUTS, OUTPUTS}}
    for name, array in sequences.items():
        if array.ndim != 3:
            raise UsageError(
                f"{name} has the shape {array.shape}",
                expected="three axes: (batch, time, features), or (time, batch, features)",
                where=where,
            )
    found, why = (layout, "--layout") if layout else _layout(named, model, where)
    if found == TIME_MAJOR or why:
        said.append(f"sequences are {found} ({why})")
    for name in sequences:
        named[name] = turned(named[name], found)
    known = known_names(model)
    takes = {name for name in known if name in {INPUTS, SEQUENCE_LENGTH} or "initial_" in name}
    feeds = {name: array for name, array in named.items() if name in takes}
    outputs = {name: array for name, array in named.items() if name not in takes}
    return Recorded(feeds, outputs, tuple(said))


def _named(
    arrays: Mapping[str, Array], model: Model, renames: Mapping[str, str], where: str
) -> tuple[dict[str, Array], list[str]]:
    known, stacked = known_names(model), stacks(model)
    for old, new in renames.items():
        if old not in arrays or new not in {**known, **stacked}:
            raise UsageError(
                f"--rename {old}={new}: there is no {old if old not in arrays else new}",
                expected=f"one of {', '.join(arrays if old not in arrays else known)}",
                where=where,
                advice="the name in the file comes first: --rename theirs=ours",
            )
    named: dict[str, Array] = {}
    said, aside = [], []
    for theirs, array in arrays.items():
        ours = renames.get(theirs, theirs)
        if ours in stacked:
            named.update(split(array, Port(theirs, stacked[ours], stacked=True)))
        elif ours in known:
            named[ours] = array
        else:
            aside.append(theirs)
            continue
        said += [f"{theirs} is {ours} (--rename)"] if theirs in renames else []
    for ours in (INPUTS, OUTPUTS):
        fits = [n for n in aside if _could_be(arrays[n], known[ours])]
        if ours not in named and len(fits) == 1 and INPUTS != OUTPUTS:
            named[ours] = arrays[fits[0]]
            aside.remove(fits[0])
            said.append(f"{fits[0]} is {ours} (the only array that fits)")
    said += [f"left aside: {', '.join(aside)}"] if aside else []
    if INPUTS not in named or len(named) == 1:
        lacks = f"no {INPUTS}" if INPUTS not in named else "nothing that was computed from it"
        raise UsageError(
            f"among {', '.join(arrays) or 'no arrays'} there is {lacks}",
            expected=f"{INPUTS}, and at least one of "
            + ", ".join(n for n in known if n == OUTPUTS or n.startswith("layer")),
            where=where,
            advice="map the names: --rename theirs=ours",
        )
    return named, said


def _could_be(array: Array, spec: TensorSpec) -> bool:
    return array.ndim == 3 and array.shape[2] == spec.shape[2] and array.dtype.kind in "fV"


def _layout(named: Mapping[str, Array], model: Model, where: str) -> tuple[str, str]:
    """Which layout it is, and why; recognised by shapes, else by numbers, else asked for."""
    first, second = named[INPUTS].shape[:2]
    rows = {a.shape[0] for n, a in named.items() if n not in {INPUTS, OUTPUTS} and a.ndim}
    if len(rows) == 1 and first != second and rows <= {first, second}:
        count = rows.pop()
        return (
            (BATCH_MAJOR, "states have as many rows as the first axis")
            if count == first
            else (TIME_MAJOR, "states have as many rows as the second axis")
        )
    alike = [x for x in (BATCH_MAJOR, TIME_MAJOR) if _agrees(named, model, x)]
    if len(alike) == 1:
        return alike[0], "recognised by its numbers: read so, it agrees with A"
    raise FactMissing(
        f"the sequences have the axes {first} x {second}; which of the two is time is not plain",
        expected="final states whose rows show it, or numbers that agree one way alone",
        where=where,
        advice=f"say it: --layout {BATCH_MAJOR}, or --layout {TIME_MAJOR}",
    )


def _agrees(named: Mapping[str, Array], model: Model, layout: str) -> bool:
    """Whether the recorded outputs are near the network's, read in this layout."""
    feeds = {n: np.asarray(a) for n, a in named.items() if n == INPUTS or "initial_" in n}
    feeds[INPUTS] = turned(feeds[INPUTS], layout)
    if SEQUENCE_LENGTH in named:
        feeds[SEQUENCE_LENGTH] = named[SEQUENCE_LENGTH]
    rows = feeds[INPUTS].shape[0]
    if any(a.shape[:1] != (rows,) for a in feeds.values()):
        return False
    if feeds[INPUTS].shape[2] != model.input_size:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        right = run_model(model, feeds)
        for name, values in right.items():
            if name not in named:
                continue
            given = np.asarray(named[name], np.float64)
            given = turned(given, layout) if name == OUTPUTS else given
            size = float(np.abs(values).max(initial=0.0))
            if given.shape != values.shape or not np.abs(given - values).max() <= _ALIKE * size:
                return False
    return True


def axes_exchanged(model: Model, recorded: Recorded) -> bool:
    """Whether it equals the network that takes the batch for the time."""
    feeds = {INPUTS: np.asarray(recorded.feeds[INPUTS]).swapaxes(0, 1)}
    if OUTPUTS not in recorded.outputs or len(recorded.feeds) > 1:
        return False
    given = np.asarray(recorded.outputs[OUTPUTS], np.float64).swapaxes(0, 1)
    return _agrees({**feeds, OUTPUTS: given}, model, BATCH_MAJOR)


class Replayed:
    """A runtime and its session, which give what was recorded. Runs ``"recorded"``."""

    name = "recorded"
    runs = "recorded"
    device = "elsewhere"

    def __init__(self, recorded: Recorded, precision: str) -> None:
        self._recorded = recorded
        self.precision = precision

    def info(self) -> RuntimeInfo:
        """It is here: in the file."""
        return RuntimeInfo(self.name, available=True, device=self.device)

    def open(self, _subject: Any) -> Replayed:
        """Nothing to load."""
        return self

    def run(self, feeds: Feeds) -> Outputs:
        """What was recorded for these feeds.

        Raises:
            RuntimeUnavailable: it was recorded for others.
        """
        mine = self._recorded.feeds
        if set(feeds) != set(mine) or any(
            not np.array_equal(np.asarray(feeds[n], np.float64), np.asarray(mine[n], np.float64))
            for n in mine
        ):
            raise RuntimeUnavailable("nothing was recorded for these sequences", where=self.name)
        return self._recorded.outputs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def as_artifact(path: Path, recorded: Recorded, precision: str) -> Artifact:
    """The file as something that a verification can speak of."""

    def specs(arrays: Mapping[str, Array]) -> Iterator[TensorSpec]:
        for name, array in arrays.items():
            axes: Sequence[int | str] = ("batch", *array.shape[1:])
            if name in {INPUTS, OUTPUTS}:
                axes = ("batch", "time", array.shape[2])
            yield TensorSpec(name, tuple(axes), array.dtype)

    signature = Signature(tuple(specs(recorded.feeds)), tuple(specs(recorded.outputs)))
    return Artifact(path, "recorded", signature, precision)


def precision_of(recorded: Recorded, model: Model) -> str:
    """In which arithmetic the outputs were computed, as far as their type and the model say.

    float32 that was saved as float64 is still float32: the coarser of both counts.
    """
    ranks = {"bfloat16": 0, "float16": 1, "float32": 2, "float64": 3}
    names = [np.dtype(array.dtype).name for array in recorded.outputs.values()]
    names.append(np.dtype(model.dtype).name)
    known = [name for name in names if name in ranks]
    if np.dtype(model.dtype) == np.dtype(ml_dtypes.bfloat16):
        known = [name for name in known if name != "bfloat16"] or ["float32"]
    return min(known, key=ranks.__getitem__) if known else "float32"
