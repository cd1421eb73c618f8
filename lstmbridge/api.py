"""The public verbs: load, inspect, convert, verify. The only module that introduces rooms.

What each room does stands in the room; here is only the order in which they are asked.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lstmbridge import __version__, registry
from lstmbridge.contracts import (
    Artifact,
    Conversion,
    Feeds,
    Hints,
    Inspection,
    NoMatch,
    Outcome,
    Part,
    Recognition,
    RuntimeInfo,
    Source,
    States,
    Target,
    TargetOptions,
    Verdict,
)
from lstmbridge.errors import FactMissing, NotRecognised, SourceUnreadable, UsageError
from lstmbridge.gates import Weights
from lstmbridge.metadata import metadata_of, verdict_metadata
from lstmbridge.model.blocks import Model
from lstmbridge.model.facts import Basis
from lstmbridge.sources import open_source
from lstmbridge.staging import check_destination, staged

_HASHED_FOR_INSPECTION = 64 * 2**20


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How to verify. See DESIGN section 6.

    Attributes:
        runtimes: names to run; empty: every one here that can run the artifact.
        require: names whose absence is a failure to conclude.
        batch: largest batch of the probes; None: the verifier's choice.
        steps: longest sequence; None likewise.
        data: the user's own sequences, by the artifact's input names.
        tolerance: replaces the noise floor; None: the floor.
    """

    runtimes: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    batch: int | None = None
    steps: int | None = None
    seed: int = 0
    data: Feeds | None = None
    tolerance: float | None = None


@contextmanager
def _opened(path: str | Path) -> Iterator[Source]:
    source = open_source(path)
    try:
        yield source
    finally:
        source.close()


def _recognise(source: Source, hints: Hints) -> Recognition:
    refusals: list[NoMatch] = []
    for adapter in registry.adapters():
        answer = adapter.recognise(source, hints)
        if isinstance(answer, Recognition):
            return answer
        refusals.append(answer)
    seen = "; ".join(f"{r.where}: {r.reason}" for r in refusals)
    raise NotRecognised(
        f"no recurrent layer was recognised among {len(source.tensors)} variables",
        expected="variables of a TensorFlow recurrent cell",
        where=f"{source.path} ({seen})" if seen else str(source.path),
        advice="rename the variables with --map FILE",
    )


def _choose(recognition: Recognition, where: Path) -> Part:
    if len(recognition.parts) == 1:
        return recognition.parts[0]
    names = ", ".join(part.name for part in recognition.parts)
    raise FactMissing(
        f"{len(recognition.parts)} recurrent stacks: {names}",
        expected="one stack to convert",
        where=str(where),
        advice=f"choose one: --select {recognition.parts[0].name}",
    )


def _strictly(model: Model) -> None:
    assumed = [name for name, f in model.all_facts.items() if f.basis is Basis.ASSUMED]
    if assumed:
        raise FactMissing(
            f"{len(assumed)} facts rest on a class's default only: {', '.join(assumed)}",
            expected="every fact read from the source or given, because of --strict",
            where=model.name,
            advice="give them (--forget-bias, --activation, --cell-clip ...), or put the "
            ".meta beside the checkpoint",
        )


def _finite(model: Model) -> None:
    for layer in model.layers:
        cell = layer.cell
        stored: dict[str, Weights] = {}
        for blocks in (cell.kernel, cell.recurrent, cell.bias, cell.peephole):
            if blocks is not None:
                stored.update({blocks.cut(gate).name: blocks.cut(gate) for gate in blocks})
        if cell.projection is not None:
            stored[cell.projection.name] = cell.projection
        for name, weights in stored.items():
            numbers = weights.load()
            bad = int(numbers.size - np.count_nonzero(np.isfinite(numbers)))
            if bad:
                raise SourceUnreadable(
                    f"{bad} of {numbers.size} numbers are NaN or infinite",
                    expected="finite weights: nothing computed from these could be verified",
                    where=f"{name}, {layer.name}",
                    advice="take an earlier checkpoint: this training had diverged",
                )


def inspect(path: str | Path, hints: Hints | None = None) -> Inspection:
    """Say what recurrent stacks `path` holds. Reads no weights.

    Args:
        path: a checkpoint's prefix, any of its files, its folder, or a ``checkpoint`` file.
        hints: what the user knows beyond the file.

    Raises:
        SourceUnreadable, NotRecognised, FactMissing, FactConflict, CannotExpress.
    """
    with _opened(path) as source:
        recognition = _recognise(source, hints or Hints())
        size = sum(file.stat().st_size for file in source.files)
        return Inspection(
            path=source.path,
            format=source.format,
            producer=source.producer,
            files=source.files,
            sha256=source.sha256() if size <= _HASHED_FOR_INSPECTION else None,
            recognition=recognition,
        )


def load(path: str | Path, hints: Hints | None = None) -> Model:
    """The network in `path`; ``model.layers[0].cell.kernel["f"]`` is the forget gate's block.

    Blocks are views of the mapped file where the format allows it.

    Raises:
        As `inspect`; FactMissing when there are several stacks and no `hints.select`.
    """
    with _opened(path) as source:
        return _choose(_recognise(source, hints or Hints()), source.path).model


def runtimes() -> tuple[RuntimeInfo, ...]:
    """Every runtime: is it here, which version, and how to get it."""
    return tuple(registry.runtime(name).info() for name in registry.runtime_names())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _default_output(source: Source, part: Part, alone: bool, target: Target) -> Path:
    stem = re.sub(r"\.ckpt(?=-|$)", "", source.path.name) or "model"
    if not alone:
        stem += "." + re.sub(r"[^A-Za-z0-9_.-]+", "-", part.name).strip("-")
    return Path(stem + target.suffixes[0])


def _runtimes_for(
    kind: str, options: VerifyOptions, *, thorough: bool
) -> tuple[list[Runtime], list[str]]:
    """The runtimes to run on artifacts of one target, and what is left out, in words."""
    chosen: list[Runtime] = []
    left_out: list[str] = []
    named = {*options.runtimes, *options.require}
    for name in [*registry.runtime_names(), *(named - set(registry.runtime_names()))]:
        runtime = registry.runtime(name)
        if name == ORACLE or runtime.runs not in {kind, "model"}:
            continue
        if name in named:
            chosen.append(runtime)
            continue
        info = runtime.info()
        if not info.available:
            left_out.append(f"{name} ({info.reason})")
        elif options.runtimes or (runtime.runs == "model" and not thorough):
            left_out.append(f"{name} (here, not asked for: --runtimes {name})")
        else:
            chosen.append(runtime)
    return chosen, left_out


def _judge(
    model: Model, artifacts: Sequence[Artifact], options: VerifyOptions, *, thorough: bool,
    progress: Progress | None,
) -> Verdict:
    subjects: list[tuple[Runtime, Artifact | Model]] = []
    not_run: list[str] = []
    ledgers = {}
    for artifact in artifacts:
        chosen, left_out = _runtimes_for(artifact.target, options, thorough=thorough)
        for runtime in chosen:
            subject = model if runtime.runs == "model" else artifact
            if (runtime.name, subject) not in [(r.name, s) for r, s in subjects]:
                subjects.append((runtime, subject))
        not_run += [x for x in left_out if x not in not_run]
        ledgers[str(artifact.path)] = (artifact, registry.target(artifact.target).ledger(artifact, model))
    return judge(model, subjects, ledgers=ledgers, options=options, not_run=not_run, progress=progress)
