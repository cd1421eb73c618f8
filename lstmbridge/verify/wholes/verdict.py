"""Every runtime against the source's own graph, and what follows from all of it together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from lstmbridge.contracts import (
    Artifact,
    FaultReport,
    LedgerReport,
    Progress,
    Runtime,
    RuntimeResult,
    TensorSpec,
    Verdict,
)
from lstmbridge.graph.whole import Whole
from lstmbridge.verify.conclusion import Evidence, conclude, drowned_remarks
from lstmbridge.verify.ledger import merged_ledgers
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import NOT_PROBED
from lstmbridge.verify.sessions import FAIL, Subject, judge, open_subject
from lstmbridge.verify.sightings import merged
from lstmbridge.verify.wholes.facts import facts_of
from lstmbridge.verify.wholes.likeness import like
from lstmbridge.verify.wholes.trials import Trials, design


def verify_whole(
    whole: Whole,
    subjects: Sequence[tuple[Runtime, Artifact]],
    *,
    options: VerifyOptions | None = None,
    ledgers: Mapping[str, LedgerReport] | None = None,
    not_run: Sequence[str] = (),
    progress: Progress | None = None,
) -> Verdict:
    """Prove that artifacts compute what the graph computes, or show where they do not.

    Args:
        whole: the source's model: what is right.
        subjects: runtimes, each with the artifact that it runs.
        options: see `VerifyOptions`.
        ledgers: the path of an artifact -> what reading its weights back gave.
        not_run: runtimes that were left out and why.
        progress: called with (what, done, of how many).

    Returns:
        As `verify.verify`.

    Raises:
        UsageError: options that make no sense, or data that do not fit the inputs.
    """
    start = time.perf_counter()
    options = options or VerifyOptions()
    options.check()
    report = progress or _silent
    with ExitStack() as stack:
        opened = [open_subject(runtime, artifact) for runtime, artifact in subjects]
        for subject in opened:
            if subject.session is not None:
                stack.enter_context(subject.session)
        precisions = [s.session.precision for s in opened if s.session is not None]
        specs = _specs(opened)
        trials = {p: design(whole, specs, p, options, report) for p in dict.fromkeys(precisions)}
        results = [_judged(whole, subject, trials, report) for subject in opened]
    faults = merged([one.faults for one in trials.values()] or [FaultReport(0, 0)])
    ledger = _ledger(ledgers or {})
    outcome, reasons = conclude(
        Evidence(
            model=None,
            ran=tuple(zip(opened, results, strict=True)),
            artifacts=tuple(ledgers or {}),
            require=options.require,
            infinite=(),
            faults=faults,
            ledger=ledger,
            doubts=tuple(dict.fromkeys(d for one in trials.values() for d in one.doubts)),
        )
    )
    remarks = dict.fromkeys(r for one in trials.values() for r in one.remarks)
    absent = [f"{r.name}: {r.reason}" for r in results if r.status == "unavailable"]
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        comparisons=sum(o.comparisons for r in results for o in r.outputs.values()),
        runtimes=tuple(results),
        noise_floor=_noise(trials.values()),
        faults=faults,
        ledger=ledger,
        facts=facts_of(whole),
        not_run=(
            *not_run,
            *absent,
            *remarks,
            *drowned_remarks(faults),
            f"not probed: {NOT_PROBED}",
        ),
        seconds=time.perf_counter() - start,
        seed=options.seed,
        tolerance=options.tolerance,
    )


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _specs(opened: Sequence[Subject]) -> tuple[TensorSpec, ...]:
    """What the first artifact that was opened is fed."""
    things = [s.thing for s in opened if isinstance(s.thing, Artifact)]
    return things[0].signature.inputs if things else ()


def _judged(
    whole: Whole, subject: Subject, trials: Mapping[str, Trials], report: Progress
) -> RuntimeResult:
    precision = "" if subject.session is None else subject.session.precision
    mine = trials.get(precision)
    result = judge(subject, [] if mine is None else [a.trial for a in mine.answers], report)
    if result.status != FAIL or mine is None:
        return result
    said = [like(whole, subject.observed), _first(result)]
    return replace(result, diagnosis="; ".join(filter(None, said)))


def _first(result: RuntimeResult) -> str:
    """Which outputs agree: what stands before them is right."""
    right = [name for name, one in result.outputs.items() if not one.problem and one.ratio <= 1.0]
    return f"outputs that agree: {', '.join(right)}" if right else "no output agrees"


def _noise(trials: Iterable[Trials]) -> dict[str, float]:
    floors: dict[str, float] = {}
    for one in trials:
        for found in one.answers:
            for name, value in found.trial.straying.items():
                floors[name] = max(floors.get(name, 0.0), value)
    return floors


def _ledger(ledgers: Mapping[str, LedgerReport]) -> LedgerReport | None:
    return merged_ledgers(ledgers) if ledgers else None
