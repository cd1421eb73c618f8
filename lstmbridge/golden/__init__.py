"""Golden packs: what the oracle computed, kept, so that an artifact can be checked without source.

A pack holds probes, the oracle's outputs and what may be allowed, for each precision; facts,
origin and versions; and a digest of all of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge import __version__, api, registry, subjects
from lstmbridge.contracts import (
    Artifact,
    FaultReport,
    Hints,
    Outcome,
    Progress,
    Runtime,
    RuntimeResult,
    States,
    Verdict,
)
from lstmbridge.errors import UsageError
from lstmbridge.golden.narrowed import Narrowed
from lstmbridge.golden.pack import Pack, read, write
from lstmbridge.golden.wholes import fitted, record_whole
from lstmbridge.metadata import fact_as_json
from lstmbridge.model.checks import refuse_assumptions, refuse_non_finite
from lstmbridge.model.signature import signature_of
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.data import data_probe
from lstmbridge.verify.probes import NOT_PROBED, Probe
from lstmbridge.verify.sessions import ERROR, FAIL, UNAVAILABLE, judge, open_subject
from lstmbridge.verify.sightings import merged
from lstmbridge.verify.trials import Experiment, design

__all__ = ["Pack", "read", "record", "replay"]


def record(
    source: str | Path,
    output: str | Path,
    *,
    hints: Hints | None = None,
    options: VerifyOptions | None = None,
    states: States = States.NONE,
    sequence_length: bool = False,
    stack_only: bool = False,
    strict: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Pack:
    """Store what the network in `source` computes, for artifacts that are fed like this.

    Args:
        source: as `api.inspect` takes it. One that declares a whole model (or whose outputs
            `hints` name) is recorded whole, under its own names.
        output: the pack's file.
        hints: what the source's names do not say.
        options: `seed`, `batch`, `steps`, `replicas` and `data` are heeded.
        states: as the artifacts have them.
        sequence_length: as the artifacts have it.
        stack_only: of a source that declares a whole model, its stack.
        strict: a fact that is merely assumed is an error.
        force: replace an existing file.
        progress: called as the work advances.

    Raises:
        LstmBridgeError: any of `lstmbridge.errors`; nothing was written.
    """
    options = replace(options or VerifyOptions(), tolerance=None, require=())
    report = progress or (lambda _what, _done, _total: None)
    hints = hints or Hints()
    whole = api.is_whole(source, hints, stack_only=stack_only)
    if whole:
        if states is not States.NONE or sequence_length:
            raise UsageError(
                "a whole model has the inputs of its source, and no others",
                expected="--stack-only, or neither --states nor --sequence-length",
                where="--states" if states is not States.NONE else "--sequence-length",
            )
        with api.opened(source) as here:
            manifest, experiments = record_whole(here, hints, options, report)
    else:
        how = _How(states, sequence_length, stack_only, strict)
        manifest, experiments = _record_stack(source, hints, options, how, report)
    write(Path(output), manifest, experiments, force=force)
    return read(output)


@dataclass(frozen=True, slots=True)
class _How:
    """As `record` explains them."""

    states: States
    sequence_length: bool
    stack_only: bool
    strict: bool


def _record_stack(
    source: str | Path, hints: Hints, options: VerifyOptions, how: _How, report: Progress
) -> tuple[dict[str, Any], dict[str, Experiment]]:
    found = api.inspect(source, hints)
    model = api.load(source, hints)
    if how.strict:
        refuse_assumptions(model)
    refuse_non_finite(model)
    wide = ("float64",) if model.dtype == np.float64 else ()
    experiments = {}
    for precision in ("float32", "float16", *wide):
        dtype = np.dtype(precision)
        signature = signature_of(
            model, dtype, states=how.states, sequence_length=how.sequence_length
        )
        experiments[precision] = design(model, signature.inputs, precision, options, report)
    manifest = {
        "lstmbridge": __version__,
        "numpy": np.__version__,
        "source": {
            "format": found.format,
            "producer": found.producer,
            "sha256": found.sha256,
            "part": model.name,
        },
        "facts": {name: fact_as_json(f) for name, f in model.all_facts.items()},
        "seed": options.seed,
        "asked": {
            "states": how.states.value,
            "sequence_length": how.sequence_length,
            "batch": options.batch,
            "steps": options.steps,
            "replicas": options.replicas,
            **({"stack_only": True} if how.stack_only else {}),
        },
    }
    return manifest, experiments


def replay(
    artifact: str | Path,
    pack: str | Path | Pack,
    *,
    runtimes: Sequence[str] = (),
    require: Sequence[str] = (),
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Check `artifact` against a pack; no source is needed.

    Args:
        artifact: a file that a target wrote.
        pack: a pack, or its file.
        runtimes: run these only; empty: every one that is here and fits.
        require: names of runtimes that must have run, or the verdict is inconclusive.
        timeout: seconds for a runtime to load, and for each probe; each then runs in a process
            of its own.
        progress: called as the work advances.

    Raises:
        UsageError: a runtime is unknown, or the pack's probes cannot be fed to the artifact.
        SourceUnreadable: the pack or the artifact is damaged.
    """
    start = time.perf_counter()
    golden = pack if isinstance(pack, Pack) else read(pack)
    subject = api.read_artifact(artifact)
    chosen, left_out = _chosen(
        subject, (*runtimes, *require), narrowed=bool(runtimes), timeout=timeout
    )
    report = progress or (lambda _what, _done, _total: None)
    ran = [_run(runtime, subject, golden, report) for runtime in chosen]
    results = tuple(result for result, _ in ran)
    used = list({id(one): one for _, one in ran if one is not None}.values())
    faults = merged([one.faults for one in used]) if used else FaultReport(0, 0)
    outcome, reasons = _conclude(results, faults, used, require, judged=golden.by_tolerance)
    if golden.doubts and outcome is not Outcome.FAIL:
        outcome, reasons = Outcome.INCONCLUSIVE, (*reasons, *golden.doubts)
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        comparisons=sum(o.comparisons for r in results for o in r.outputs.values()),
        runtimes=results,
        noise_floor=_noise(used),
        faults=faults,
        ledger=None,
        facts=golden.facts,
        not_run=(
            *left_out,
            *(f"{r.name}: {r.reason}" for r in results if r.status == UNAVAILABLE),
            "weights were not compared: a pack holds outputs, not weights",
            *_not_in_pack(golden, subject),
            f"not probed: {NOT_PROBED}",
        ),
        seconds=time.perf_counter() - start,
        seed=int(golden.manifest["seed"]),
        tolerance=golden.by_tolerance,
    )


def _not_in_pack(pack: Pack, artifact: Artifact) -> list[str]:
    """What an imported pack cannot say of this artifact."""
    if not pack.imported:
        return []
    held = {name for e in pack.experiments.values() for t in e.trials for name in t.expected}
    lacks = [name for name in artifact.signature.output_names() if name not in held]
    said = [f"outputs that were not recorded: {', '.join(lacks)}"] if lacks else []
    if pack.by_tolerance is not None:
        said.append("planted faults: the pack was imported without its source")
    return said


def _chosen(
    artifact: Artifact, named: Sequence[str], *, narrowed: bool, timeout: float | None
) -> tuple[list[Runtime], list[str]]:
    """The runtimes to run, and in words what is left out."""
    for name in named:
        registry.runtime(name)
    chosen: list[Runtime] = []
    left_out: list[tuple[str, str]] = []
    for name in registry.runtime_names():
        runtime = registry.runtime(name)
        if runtime.runs != artifact.target:
            continue
        info = runtime.info()
        unasked = narrowed or getattr(runtime, "on_request", False)
        if name in named or (info.available and not unasked):
            strange = subjects.is_strange(artifact)
            chosen.append(subjects.prepared(name, timeout=timeout, distrust=strange))
        else:
            left_out.append((name, info.reason or "here, not asked for"))
    return chosen, subjects.grouped(left_out)


def _run(
    runtime: Runtime, artifact: Artifact, pack: Pack, progress: Progress
) -> tuple[RuntimeResult, Experiment | None]:
    subject = open_subject(runtime, artifact)
    if subject.session is None:
        return judge(subject, (), progress), None
    with subject.session as session:
        experiment = pack.experiments.get(session.precision)
        if experiment is None:
            held = ", ".join(pack.experiments) or "nothing"
            why = f"the pack holds {held}; this runs in {session.precision}"
            return replace(judge(subject, (), progress), reason=why), None
        if pack.imported:
            subject.session = Narrowed(session, experiment)
        fit = fitted if pack.of_whole else _fitted
        trials = [replace(trial, probe=fit(trial.probe, artifact)) for trial in experiment.trials]
        return judge(subject, trials, progress), experiment


def _fitted(probe: Probe, artifact: Artifact) -> Probe:
    """The probe in the artifact's dtypes; names are matched both ways."""
    try:
        return replace(data_probe(artifact.signature.inputs, probe.feeds), name=probe.name)
    except UsageError as error:
        raise UsageError(
            f"the pack does not fit the artifact: {error.read}",
            expected=error.expected,
            where=f"probe {probe.name} of the pack, {artifact.path}",
            advice="record the pack with the --states and --sequence-length of the artifact",
        ) from error


def _noise(used: Sequence[Experiment]) -> dict[str, float]:
    floors: dict[str, float] = {}
    for trial in (trial for one in used for trial in one.trials):
        for name, value in trial.straying.items():
            floors[name] = max(floors.get(name, 0.0), value)
    return floors


def _conclude(
    results: Sequence[RuntimeResult],
    faults: FaultReport,
    used: Sequence[Experiment],
    require: Sequence[str],
    *,
    judged: float | None,
) -> tuple[Outcome, tuple[str, ...]]:
    failures = [f"{r.name}: {r.reason}" for r in results if r.status == FAIL]
    doubts = [f"{r.name}: {r.reason}" for r in results if r.status == ERROR]
    ran = {r.name for r in results if r.status != UNAVAILABLE}
    doubts += [f"{name} is required and did not run" for name in require if name not in ran]
    doubts += [] if ran else ["no runtime ran the artifact"]
    if not any(one.comparisons for r in results for one in r.outputs.values()):
        doubts.append("nothing was compared")
    doubts += [
        f"the source does not stay finite on probe {one.infinite}" for one in used if one.infinite
    ]
    if faults.missed:
        doubts.append(f"planted faults would pass unseen: {', '.join(faults.missed)}")
    elif not faults.planted and judged is None:
        doubts.append("no planted fault changes anything, so agreement proves nothing")
    if failures:
        return Outcome.FAIL, (*failures, *doubts)
    return (Outcome.INCONCLUSIVE if doubts else Outcome.PASS), tuple(doubts)
