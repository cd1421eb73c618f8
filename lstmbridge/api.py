"""The public verbs: load, inspect, convert, verify. The only module that introduces rooms.

What each room does stands in the room; here is only the order in which they are asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstmbridge import registry
from lstmbridge.contracts import (
    Artifact,
    ArtifactInspection,
    Conversion,
    Hints,
    Inspection,
    NoMatch,
    Outcome,
    Part,
    Progress,
    Recognition,
    RuntimeInfo,
    Source,
    Target,
    TargetOptions,
    Verdict,
)
from lstmbridge.errors import (
    CannotExpress,
    FactMissing,
    NotRecognised,
    SourceUnreadable,
    UsageError,
)
from lstmbridge.metadata import metadata_of, verdict_metadata
from lstmbridge.model.blocks import Model
from lstmbridge.model.checks import refuse_assumptions, refuse_non_finite
from lstmbridge.sources import open_source
from lstmbridge.staging import check_destination, default_stem, refuse_clashes, sha256_of, staged
from lstmbridge.subjects import refuse_other_names, subjects_of
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.written import annotated, left_to_say, read_back, taken_over

if TYPE_CHECKING:
    from lstmbridge.runtimes.graph import GraphRuntime

_HASHED_FOR_INSPECTION = 64 * 2**20


@contextmanager
def opened(path: str | Path) -> Iterator[Source]:
    """The source at `path`, closed at the end. Errors: SourceUnreadable."""
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


def inspect(path: str | Path, hints: Hints | None = None) -> Inspection:
    """Say what recurrent stacks `path` holds, and what whole model. Reads no weights.

    Of a whole model's stacks it does: that they are what they seem is proved by numbers.

    Args:
        path: a checkpoint's prefix, any of its files, its folder, or a ``checkpoint`` file.
        hints: what the user knows beyond the file.

    Raises:
        SourceUnreadable, NotRecognised, FactMissing, FactConflict, CannotExpress.
    """
    hints = hints or Hints()
    with opened(path) as source, ThreadPoolExecutor(1) as hasher:
        size = sum(file.stat().st_size for file in source.files)
        small = size <= _HASHED_FOR_INSPECTION
        # beside the recognition, which takes as long for a large graph
        digest = hasher.submit(source.sha256) if small else None
        whole = None
        if source.declares_model or hints.inputs or hints.outputs:
            from lstmbridge.inspections import overview

            recognition = _recognised_or_none(source, hints)
            whole = overview(source, hints, recognition)
        else:
            recognition = _recognise(source, hints)
        return Inspection(
            path=source.path,
            format=source.format,
            producer=source.producer,
            files=source.files,
            sha256=None if digest is None else digest.result(),
            recognition=recognition,
            whole=whole,
        )


def _recognised_or_none(source: Source, hints: Hints) -> Recognition:
    """What is recognised in a model that is converted whether anything is or not."""
    try:
        return _recognise(source, hints)
    except (CannotExpress, NotRecognised) as error:
        return Recognition((), (), (), (f"no stack was recognised: {error.read}",))


def inspect_any(path: str | Path, hints: Hints | None = None) -> Inspection | ArtifactInspection:
    """`inspect`, or what an artifact holds: an ONNX file, or what ``--to torch`` wrote.

    Raises:
        As `inspect`, where the file is neither; RuntimeUnavailable for a ``.pt`` without PyTorch.
    """
    try:
        open_source(path).close()
    except SourceUnreadable:
        from lstmbridge.inspections import inspect_artifact

        found = inspect_artifact(Path(path))
        if found is None:
            raise
        return found
    return inspect(path, hints)


def load(path: str | Path, hints: Hints | None = None) -> Model:
    """The network in `path`; ``model.layers[0].cell.kernel["f"]`` is the forget gate's block.

    Blocks are views of the mapped file where the format allows it.

    Raises:
        As `inspect`; FactMissing when there are several stacks and no `hints.select`.
    """
    with opened(path) as source:
        return _choose(_recognise(source, hints or Hints()), source.path).model


def runtimes() -> tuple[RuntimeInfo, ...]:
    """Every runtime: is it here, which version, and how to get it."""
    names = (*registry.runtime_names(), registry.OTHER_PYTHON)
    return tuple(registry.runtime(name).info() for name in names)


def _default_output(source: Source, part: Part, target: Target, *, alone: bool) -> Path:
    stem = default_stem(source.path)
    if not alone:
        stem += "." + re.sub(r"[^A-Za-z0-9_.-]+", "-", part.name).strip("-")
    return Path(stem + target.suffixes[0])


def convert(
    path: str | Path,
    *,
    to: str,
    output: str | Path | None = None,
    hints: Hints | None = None,
    options: TargetOptions | None = None,
    verification: VerifyOptions | None = VerifyOptions(),  # noqa: B008 - frozen
    runtimes: Sequence[str] = (),
    strict: bool = False,
    force: bool = False,
    reports: Sequence[str | Path] = (),
    stack_only: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Convert the stack in `path` and verify the file that results, by reading it back.

    Args:
        path: as `inspect`.
        to: a target's name: ``"onnx"`` or ``"torch"``.
        output: where the artifact goes; by default the source's name, in the current folder.
        hints: what the user knows beyond the file.
        options: what the artifact's signature and precision shall be.
        verification: None writes without proof.
        runtimes: run these only; by default all that are here and run this target.
        strict: a fact that is merely assumed is an error.
        force: replace an existing file.
        reports: files that the caller will write afterwards: refused where they are the
            artifact or a file of the source.
        stack_only: of a source that declares a whole model (a frozen graph, a SavedModel),
            convert the recurrent stack alone. Without it the whole model is converted, as it
            is from a checkpoint where `hints` name outputs of its graph.
        progress: called as the work advances.

    Returns:
        What was done. `path` in it is None, and nothing was written, unless the verdict is
        `pass` (or none was asked for).

    Raises:
        LstmBridgeError: any of `lstmbridge.errors`; nothing was written.
    """
    start = time.perf_counter()
    with opened(path) as source:
        from lstmbridge.whole_models import Order, convert_whole, is_asked_for

        target = registry.target(to)
        if is_asked_for(source, hints or Hints(), stack_only=stack_only):
            order = Order(
                target, Path(output) if output else None, hints or Hints(),
                options or TargetOptions(), verification, runtimes,
                force, [*map(Path, reports)], progress, strict,
            )  # fmt: skip
            return convert_whole(source, order)
        recognition = _recognise(source, hints or Hints())
        part = _choose(recognition, source.path)
        alone = len(recognition.parts) == 1 and not (hints and hints.select)
        final = Path(output) if output else _default_output(source, part, target, alone=alone)
        refuse_clashes([final, *map(Path, reports)], source.files)
        check_destination(final, force=force)
        if strict:
            refuse_assumptions(part.model)
        with ThreadPoolExecutor(1) as hasher:
            origin = hasher.submit(source.sha256)  # while the weights are looked at
            refuse_non_finite(part.model)
        with staged(final, force=force) as stage:
            options = options or TargetOptions()
            metadata = metadata_of(source, part, origin.result())
            verdict = None
            if verification is None:
                metadata |= verdict_metadata(None)
            artifact = target.write(part.model, stage.path, options, metadata)
            if verification is not None:
                artifact = read_back(target, artifact)
                verdict = _compare(
                    part.model,
                    [artifact],
                    verification,
                    runtimes,
                    origin=(source, part),
                    thorough=False,
                    progress=progress,
                )
                verdict = taken_over(verdict, stage)
                if verdict.outcome is Outcome.PASS:
                    artifact = annotated(target, artifact, part.model, verdict)
            if verdict is None or verdict.outcome is Outcome.PASS:
                stage.commit()
        artifact = replace(artifact, path=final)
        return Conversion(
            path=final if stage.committed else None,
            sha256=(artifact.sha256 or sha256_of(final)) if stage.committed else None,
            artifact=artifact,
            part=part,
            verdict=verdict,
            warnings=(*recognition.warnings, *left_to_say(part.model, artifact)),
            seconds=time.perf_counter() - start,
            usage=target.usage(artifact) if stage.committed else "",
        )


def verify(
    path: str | Path,
    *artifacts: str | Path,
    hints: Hints | None = None,
    options: VerifyOptions | None = None,
    runtimes: Sequence[str] = (),
    strict: bool = False,
    reports: Sequence[str | Path] = (),
    stack_only: bool = False,
    progress: Progress | None = None,
) -> Verdict:
    """Prove that `artifacts` compute what the stack in `path` computes, or show where not.

    Raises:
        UsageError: no artifact, or a file that no target knows.
        LstmBridgeError: as `inspect`, for the source.
    """
    with opened(path) as source:
        refuse_clashes([*map(Path, reports)], [*source.files, *map(Path, artifacts)])
        from lstmbridge.whole_models import (
            compare_whole,
            is_asked_for,
            refuse_assumed,
            whole_from,
        )

        read = [read_artifact(file) for file in artifacts]
        if is_asked_for(source, hints or Hints(), stack_only=stack_only):
            whole, _ = whole_from(source, hints or Hints())
            if strict:
                refuse_assumed(whole)
            return compare_whole(whole, read, options or VerifyOptions(), runtimes, progress)
        part = _choose(_recognise(source, hints or Hints()), source.path)
        if strict:
            refuse_assumptions(part.model)
        refuse_non_finite(part.model)
        refuse_other_names(read, path)
        return _compare(
            part.model,
            read,
            options or VerifyOptions(),
            runtimes,
            origin=(source, part),
            thorough=True,
            progress=progress,
        )


def is_whole(path: str | Path, hints: Hints | None = None, *, stack_only: bool = False) -> bool:
    """Whether `convert` would convert a whole model. Errors: SourceUnreadable, UsageError."""
    from lstmbridge.whole_models import is_asked_for

    with opened(path) as source:
        return is_asked_for(source, hints or Hints(), stack_only=stack_only)


def read_artifact(path: str | Path) -> Artifact:
    """Describe an artifact from its file alone.

    Raises:
        UsageError: there is no such file, or no target knows it.
        SourceUnreadable: it is broken.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no file {path}", expected="an artifact", where=str(path))
    for target in registry.targets():
        found = target.read(path)
        if found is not None:
            return found
    raise UsageError(
        f"{path} is no artifact that a target knows",
        expected="a file of " + ", ".join(t.name for t in registry.targets()),
        where=str(path),
    )


def _graph_of(source: Source, part: Part) -> GraphRuntime | None:
    """The runtime of the source's own graph, where the graph was read."""
    graph = source.graph() if part.graph_cells else None
    if graph is None:
        return None
    from lstmbridge.runtimes.graph import GraphRuntime

    return GraphRuntime(graph, source.tensors, part)


def _compare(
    model: Model,
    artifacts: Sequence[Artifact],
    options: VerifyOptions,
    runtimes: Sequence[str],
    *,
    origin: tuple[Source, Part],
    thorough: bool,
    progress: Progress | None,
) -> Verdict:
    subjects = subjects_of(
        model,
        artifacts,
        runtimes,
        options.require,
        thorough=thorough,
        graph=_graph_of(*origin),
        origin=origin,
        timeout=options.timeout,
    )
    # what compares takes as long to import as a whole inspection of a small checkpoint
    from lstmbridge.verify import verify as compare

    return compare(
        model,
        subjects.runs,
        options=options,
        ledgers=subjects.ledgers,
        not_run=subjects.left_out,
        progress=progress,
    )
