"""The star: every runtime against the oracle, and what follows from all of it together."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from lstmbridge.contracts import (
    Artifact,
    Ledger,
    LedgerReport,
    Progress,
    Runtime,
    RuntimeResult,
    States,
    Verdict,
)
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import signature_of
from lstmbridge.verify.claims import with_claims
from lstmbridge.verify.conclusion import Evidence, conclude, drowned_remarks
from lstmbridge.verify.diagnosis import diagnose
from lstmbridge.verify.ledger import check_ledger, merged_ledgers
from lstmbridge.verify.metamorphic import not_claimed
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import NOT_PROBED, InputSpecs
from lstmbridge.verify.sessions import FAIL, UNAVAILABLE, Subject, judge, open_fitting
from lstmbridge.verify.sightings import merged
from lstmbridge.verify.smallest import smallest
from lstmbridge.verify.trials import Experiment, design, outlasted

EXACT = "float64"
Plan = tuple[InputSpecs, str]
"""What can be fed, and the precision: subjects that share both share an experiment."""


def verify(
    model: Model,
    subjects: Sequence[tuple[Runtime, Artifact | Model]],
    *,
    options: VerifyOptions | None = None,
    ledgers: Mapping[str, Ledger | str] | None = None,
    not_run: Sequence[str] = (),
    progress: Progress | None = None,
) -> Verdict:
    """Prove that artifacts compute what `model` computes, or show where they do not.

    Args:
        model: the source's network.
        subjects: runtimes, each with the artifact (or the model) that it runs.
        options: see `VerifyOptions`.
        ledgers: the path of an artifact -> its weights as `Target.ledger` read them back, or
            the reason in words why they could not be read.
        not_run: runtimes that were left out and why, to be stated in the verdict.
        progress: called with (what, done, of how many).

    Returns:
        ``pass`` only if every output of every runtime was compared and lies within what is
        allowed, at least one artifact ran, each required runtime ran, every planted fault
        would have been caught, and no weight that was read back differs. ``fail`` if a runtime
        or a weight disagrees. ``inconclusive`` for all else.

    Raises:
        UsageError: options that make no sense, or data that do not fit the inputs.
    """
    start = time.perf_counter()
    options = options or VerifyOptions()
    options.check()
    report = progress or _silent
    must = _must_be_fed(subjects)
    checked = {
        path: _checked_ledger(model, one, must.get(path, ()))
        for path, one in (ledgers or {}).items()
    }
    with ExitStack() as stack:
        opened = [open_fitting(model, runtime, thing) for runtime, thing in subjects]
        for subject in opened:
            if subject.session is not None:
                stack.enter_context(subject.session)
        plans = _plans(model, opened)
        results, designs = _run(model, opened, plans, options, report)
    experiments = _relevant(opened, plans, designs)
    faults = merged([one.faults for one in experiments])
    ledger = merged_ledgers(checked)
    outcome, reasons = conclude(
        Evidence(
            model=model,
            ran=tuple(zip(opened, results, strict=True)),
            artifacts=tuple(checked),
            require=options.require,
            infinite=tuple(one.infinite for one in experiments if one.infinite),
            faults=faults,
            ledger=ledger,
        )
    )
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        comparisons=sum(result.comparisons for result in results),
        runtimes=tuple(results),
        noise_floor=_noise(experiments),
        faults=faults,
        ledger=ledger,
        facts=model.all_facts,
        not_run=(
            *not_run,
            *_left_out(opened, results, checked),
            *_undecided(experiments),
            *_unclaimed(model, opened, results),
            *drowned_remarks(faults),
            f"not probed: {NOT_PROBED}{_later(experiments)}",
        ),
        seconds=time.perf_counter() - start,
        seed=options.seed,
        tolerance=options.tolerance,
    )


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _must_be_fed(subjects: Sequence[tuple[Runtime, Artifact | Model]]) -> dict[str, list[str]]:
    """By artifact: the inputs that have no default."""
    return {
        str(thing.path): [spec.name for spec in thing.signature.inputs if not spec.optional]
        for _, thing in subjects
        if isinstance(thing, Artifact)
    }


def _checked_ledger(model: Model, ledger: Ledger | str, fed: Container[str]) -> LedgerReport:
    if isinstance(ledger, str):
        return LedgerReport(0, unreadable=ledger or "no reason given")
    return check_ledger(model, ledger, fed)


def _plans(model: Model, opened: Sequence[Subject]) -> dict[int, Plan]:
    """What each open subject is to be tried on; models are fed like the first artifact."""
    specs: InputSpecs | None = None
    for subject in opened:
        if specs is None and subject.session is not None and isinstance(subject.thing, Artifact):
            specs = subject.thing.signature.inputs
    if specs is None:
        dtype = np.dtype(np.float64 if model.dtype == np.float64 else np.float32)
        full = signature_of(model, dtype, states=States.OPTIONAL, sequence_length=True)
        specs = full.inputs
    plans = {
        k: (
            s.thing.signature.inputs if isinstance(s.thing, Artifact) else specs,
            s.session.precision,
        )
        for k, s in enumerate(opened)
        if s.session is not None
    }
    on_artifacts = [plan for k, plan in plans.items() if isinstance(opened[k].thing, Artifact)]
    if on_artifacts:
        # whoever computes in float64 has no noise of its own: it is tried with the artifact
        for k, (fed, precision) in plans.items():
            own = isinstance(opened[k].thing, Artifact)
            if not own and fed == on_artifacts[0][0] and precision == EXACT:
                plans[k] = on_artifacts[0]
    return plans


def _run(
    model: Model,
    opened: Sequence[Subject],
    plans: Mapping[int, Plan],
    options: VerifyOptions,
    progress: Progress,
) -> tuple[list[RuntimeResult], dict[Plan, Experiment]]:
    """Every subject on the trials of its plan; and what each plan's trials were.

    What begins late can be in a file, not in the source: files alone are run on the longest.
    """
    designs = {
        plan: design(model, *plan, options, progress) for plan in dict.fromkeys(plans.values())
    }
    files = {k for k, subject in enumerate(opened) if isinstance(subject.thing, Artifact)}
    longer = {
        plan: outlasted(designs[plan], model, *plan, options)
        for plan in dict.fromkeys(plans[k] for k in files & plans.keys())
    }
    results = []
    for k, subject in enumerate(opened):
        known = longer if k in files else designs
        experiment = known[plans[k]] if k in plans else None
        results.append(_judged(model, subject, experiment, options, progress))
    return results, {**designs, **longer}


def _judged(
    model: Model,
    subject: Subject,
    experiment: Experiment | None,
    options: VerifyOptions,
    progress: Progress,
) -> RuntimeResult:
    trials = () if experiment is None else experiment.trials
    result = judge(subject, trials, progress)
    if subject.unfit:
        return result
    if result.status == FAIL:
        small = smallest(model, subject, options)
        found = diagnose(model, subject.observed)
        return replace(result, diagnosis=found, counterexample=small)
    return with_claims(model, subject, trials, result, options)


def _relevant(
    opened: Sequence[Subject], plans: Mapping[int, Plan], designs: Mapping[Plan, Experiment]
) -> list[Experiment]:
    """The experiments that artifacts were tried on; those of models where there is no artifact."""
    on_artifacts = [p for k, p in plans.items() if isinstance(opened[k].thing, Artifact)]
    return [designs[plan] for plan in dict.fromkeys(on_artifacts or plans.values())]


def _noise(experiments: Iterable[Experiment]) -> dict[str, float]:
    floors: dict[str, float] = {}
    for experiment in experiments:
        for trial in experiment.trials:
            for name, value in trial.straying.items():
                floors[name] = max(floors.get(name, 0.0), value)
    return floors


def _undecided(experiments: Iterable[Experiment]) -> list[str]:
    """Probes on which agreement proves little: seeded ones are cut short before that."""
    names = dict.fromkeys(
        trial.probe.name for one in experiments for trial in one.trials if trial.chaotic
    )
    return [
        f"{name}: rounding alone decides much of what comes out; there, only sizes were compared"
        for name in names
    ]


def _unclaimed(
    model: Model, opened: Sequence[Subject], results: Sequence[RuntimeResult]
) -> list[str]:
    """Claims that an artifact does not make, so that nothing was tried."""
    said = dict.fromkeys(
        f"not claimed by {s.label}: {line}"
        for s, r in zip(opened, results, strict=True)
        if r.checks and isinstance(s.thing, Artifact)
        for line in not_claimed(model, s.thing.signature.inputs)
    )
    return list(said)


def _later(experiments: Sequence[Experiment]) -> str:
    """Steps that no probe reached: an operator cannot know them, what surrounds it could."""
    steps = [trial.probe.steps for one in experiments for trial in one.trials]
    return f"; nor any step after the {max(steps)}th" if max(steps, default=0) > 3 else ""


def _left_out(
    opened: Sequence[Subject],
    results: Sequence[RuntimeResult],
    ledgers: Mapping[str, LedgerReport],
) -> list[str]:
    absent = [f"{r.name}: {r.reason}" for r in results if r.status == UNAVAILABLE]
    unread = [
        f"weights of {path} were not read back: {one.unreadable}"
        for path, one in ledgers.items()
        if one.unreadable
    ]
    artifacts = {s.label for s in opened if isinstance(s.thing, Artifact)}
    silent = [f"weights of {p} were not read back" for p in sorted(artifacts - set(ledgers))]
    return [*absent, *unread, *silent]
