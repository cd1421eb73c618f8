"""Whole models: from a source with a graph to an artifact that computes all of it.

What a source declares decides what is converted: a frozen graph or a SavedModel declares a
model, a checkpoint declares weights unless outputs are asked for by name. How a graph is read
stands in `graph`, how it is written in `targets`, how it is proved in `verify.wholes`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lstmbridge import __version__, registry
from lstmbridge.adapters.by_graph import GraphAdapter, lone_cells
from lstmbridge.contracts import (
    Artifact,
    Conversion,
    DrawnModel,
    Draws,
    Hints,
    LedgerReport,
    NoMatch,
    Outcome,
    Part,
    Progress,
    Recognition,
    Runtime,
    Source,
    States,
    Target,
    TargetOptions,
    TensorRef,
    Verdict,
    WholeTarget,
)
from lstmbridge.errors import (
    CannotExpress,
    FactConflict,
    FactMissing,
    NotRecognised,
    UsageError,
)
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.place_given import proved_places
from lstmbridge.graph.placed import places_of
from lstmbridge.graph.whole import Whole
from lstmbridge.metadata import PREFIX, fact_as_json, verdict_metadata
from lstmbridge.model.checks import refuse_assumptions
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources.restored import keys_of_variables
from lstmbridge.staging import check_destination, default_stem, refuse_clashes, sha256_of, staged
from lstmbridge.subjects import runtimes_of_whole
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.wholes import facts_of, verify_whole
from lstmbridge.written import taken_over


def is_asked_for(source: Source, hints: Hints, *, stack_only: bool) -> bool:
    """Whether the whole model is to be converted, not only a stack.

    Raises:
        UsageError: both were asked for.
    """
    named = bool(hints.outputs or hints.inputs)
    if stack_only and named:
        raise UsageError(
            "--stack-only and tensors of the graph were both given",
            expected="the stack alone, or the graph from --inputs to --outputs",
            where="--stack-only",
        )
    return not stack_only and (named or source.declares_model)


def whole_from(
    source: Source, hints: Hints, known: Recognition | None = None
) -> tuple[Whole, tuple[str, ...]]:
    """The whole model in a source, its stacks recognised where they can be; and warnings.

    Args:
        source: with a graph.
        hints: what the user knows beyond it.
        known: what the adapters made of it, where they were asked already.

    Raises:
        UsageError: there is no graph.
        NotRecognised, FactMissing, SourceUnreadable: as `graph.asked.whole_of`.
    """
    graph = None if hints.ignore_graph else source.graph()
    drawn = None if graph is not None or hints.ignore_graph else _drawn(source, hints)
    if drawn is not None:
        return _whole_drawn(drawn, hints)
    if graph is None:
        raise UsageError(
            f"{source.path.name} has no graph, only weights",
            expected="a graph beside the weights (a .meta), a frozen graph, a SavedModel or a "
            "Keras model",
            where=str(source.path),
            advice="leave --inputs and --outputs away to convert its recurrent stack",
        )
    parts, warnings = (known.parts, known.warnings) if known else _parts(source, hints)
    tensors: dict[str, TensorRef] = dict(source.tensors)
    for name, key in keys_of_variables(graph).items():
        if key in tensors:
            tensors.setdefault(name, tensors[key])
    for part in parts:
        tensors.update(part.graph_weights)
    declared = source.signature
    whole = whole_of(
        graph,
        Weights(graph, tensors),
        declared_inputs={} if declared is None else declared.inputs,
        declared_outputs={} if declared is None else declared.outputs,
        inputs=hints.inputs,
        outputs=hints.outputs,
        settings=hints.settings,
    )
    whole = places_of(whole, [part for part in parts if part.graph_cells])
    return whole, (*warnings, *whole.notes)


def _drawn(source: Source, hints: Hints) -> DrawnModel | None:
    """The model that a source without a graph describes. Errors: as `Draws.draw`."""
    able = (adapter for adapter in registry.adapters() if isinstance(adapter, Draws))
    return next((made for a in able if (made := a.draw(source, hints)) is not None), None)


def _whole_drawn(drawn: DrawnModel, hints: Hints) -> tuple[Whole, tuple[str, ...]]:
    """The whole model of a drawing, its stacks proved at their places."""
    weights: dict[str, TensorRef] = dict(drawn.weights)  # type: ignore[arg-type]
    whole = whole_of(
        drawn.graph,
        Weights(drawn.graph, weights),
        declared_inputs=drawn.inputs,
        declared_outputs=drawn.outputs,
        inputs=hints.inputs,
        outputs=hints.outputs,
        settings=hints.settings,
    )
    whole = proved_places(whole, drawn.places)
    return whole, (*drawn.notes, *whole.notes)


def _parts(source: Source, hints: Hints) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The stacks that the adapters recognise; where none is, everything goes op by op.

    Beside those that names show, the graph's loops may compute others.
    """
    for adapter in registry.adapters():
        if isinstance(adapter, GraphAdapter):
            continue
        try:
            answer = adapter.recognise(source, hints)
        except (CannotExpress, FactConflict, FactMissing, NotRecognised) as error:
            # what names do not show, the graph may
            found = lone_cells(source, hints)
            said = f"no stack was recognised by its names: {error.read}"
            return found, () if found else (said,)
        if not isinstance(answer, NoMatch):
            # where names speak, loops beside them may still be somebody's own
            return (*answer.parts, *lone_cells(source, hints, unrolled=False)), answer.warnings
    return lone_cells(source, hints), ()


def writer_of(target: Target) -> WholeTarget:
    """The target, if it can write whole models. Errors: CannotExpress."""
    if isinstance(target, WholeTarget):
        return target
    able = ", ".join(t.name for t in registry.targets() if isinstance(t, WholeTarget))
    raise CannotExpress(
        f"--to {target.name} cannot say a whole model",
        expected=f"--to {able}",
        where=f"--to {target.name}",
        advice="or say --stack-only to convert the recurrent stack alone",
    )


def metadata_of_whole(source: Source, whole: Whole) -> dict[str, str]:
    """What an artifact records about its origin."""
    facts = {name: fact_as_json(f) for name, f in facts_of(whole).items()}
    return {
        f"{PREFIX}version": __version__,
        f"{PREFIX}source.format": source.format,
        f"{PREFIX}source.sha256": source.sha256(),
        f"{PREFIX}source.producer": source.producer or "not stated",
        f"{PREFIX}stacks": json.dumps([place.name for place in whole.places]),
        f"{PREFIX}facts": json.dumps(facts, sort_keys=True),
    }


def compare_whole(
    whole: Whole,
    artifacts: Sequence[Artifact],
    options: VerifyOptions,
    wanted: Sequence[str],
    progress: Progress | None,
) -> Verdict:
    """Run every artifact on its runtimes, and read its weights back."""
    subjects: list[tuple[Runtime, Artifact]] = []
    left_out: dict[str, None] = {}
    ledgers: dict[str, LedgerReport] = {}
    for artifact in artifacts:
        chosen, absent = runtimes_of_whole(artifact, wanted, options)
        subjects += [(runtime, artifact) for runtime in chosen]
        left_out.update(dict.fromkeys(absent))
        writer = writer_of(registry.target(artifact.target))
        ledgers[str(artifact.path)] = writer.account_for(artifact, whole)
    return verify_whole(
        whole,
        subjects,
        options=options,
        ledgers=ledgers,
        not_run=tuple(left_out),
        progress=progress,
    )


def write_whole(
    target: Target,
    whole: Whole,
    path: Path,
    options: TargetOptions,
    metadata: Mapping[str, str],
) -> Artifact:
    """Write the artifact and describe it from its file.

    Raises:
        CannotExpress: the target cannot say it, or the file does not read back as meant.
    """
    written = writer_of(target).write_whole(whole, path, options, metadata)
    found = target.read(path)
    if found is None or found.signature != written.signature:
        raise CannotExpress(
            f"the {target.name} file that was written does not read back as what was meant",
            expected=str(written.signature),
            where=str(path),
            advice="this is a defect of lstmbridge; please report it",
        )
    return replace(found, expressions=written.expressions)


@dataclass(frozen=True, slots=True)
class Order:
    """What a conversion was asked for; as `api.convert` explains it."""

    target: Target
    output: Path | None
    hints: Hints
    options: TargetOptions
    verification: VerifyOptions | None
    runtimes: Sequence[str]
    force: bool
    reports: Sequence[Path]
    progress: Progress | None
    strict: bool = False


def refuse_assumed(whole: Whole) -> None:
    """Errors: FactMissing where a stack of the model has facts that are merely assumed."""
    for place in whole.places:
        refuse_assumptions(place.model)


def convert_whole(source: Source, order: Order) -> Conversion:
    """`api.convert` for a whole model. Errors: as there; nothing was written."""
    start = time.perf_counter()
    _refuse_options(order.options)
    writer_of(order.target)
    final = order.output or Path(default_stem(source.path) + order.target.suffixes[0])
    refuse_clashes([final, *order.reports], source.files)
    check_destination(final, force=order.force)
    whole, warnings = whole_from(source, order.hints)
    if order.strict:
        refuse_assumed(whole)
    with staged(final, force=order.force) as stage:
        metadata = metadata_of_whole(source, whole)
        if order.verification is None:
            metadata |= verdict_metadata(None)
        artifact = write_whole(order.target, whole, stage.path, order.options, metadata)
        verdict = None
        if order.verification is not None:
            verdict = compare_whole(
                whole, [artifact], order.verification, order.runtimes, order.progress
            )
            verdict = taken_over(verdict, stage)
            if verdict.outcome is Outcome.PASS:
                noted = order.target.annotate(artifact, verdict_metadata(verdict))
                artifact = replace(noted, expressions=artifact.expressions)
        if verdict is None or verdict.outcome is Outcome.PASS:
            stage.commit()
    return Conversion(
        path=final if stage.committed else None,
        sha256=sha256_of(final) if stage.committed else None,
        artifact=replace(artifact, path=final),
        part=None,
        verdict=verdict,
        warnings=warnings,
        seconds=time.perf_counter() - start,
        whole=whole,
    )


def _refuse_options(options: TargetOptions) -> None:
    """A whole model has the inputs that its source has: states and lengths are among them."""
    asked = [
        ("--states", options.states is not States.NONE),
        ("--sequence-length", options.sequence_length),
    ]
    for name, on in asked:
        if on:
            raise UsageError(
                f"{name} adds inputs to a stack; a whole model has those of its source",
                expected="--stack-only, or the tensors by name in --inputs",
                where=name,
            )


__all__ = [
    "Order",
    "compare_whole",
    "convert_whole",
    "is_asked_for",
    "metadata_of_whole",
    "refuse_assumed",
    "whole_from",
    "write_whole",
    "writer_of",
]
