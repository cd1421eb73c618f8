"""Run one runtime on the trials and judge what it gave."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lstmbridge.contracts import (
    Artifact,
    OutputComparison,
    Outputs,
    Progress,
    Runtime,
    RuntimeResult,
    Session,
    States,
)
from lstmbridge.errors import RuntimeFailed, RuntimeUnavailable
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import TensorSpec, signature_of
from lstmbridge.verify.along import along_time
from lstmbridge.verify.compare import compare_outputs, passes, worst_of
from lstmbridge.verify.trials import Trial

PASS, FAIL, UNAVAILABLE, ERROR = "pass", "fail", "unavailable", "error"


@dataclass
class Subject:
    """One runtime with one thing to run, and what came of it.

    Attributes:
        session: open, or None where the runtime declined; `declined` then says why.
        failed: it did not decline: it died, hung, or the like.
        unfit: why the thing cannot be fed what the source is fed; it is then not opened.
    """

    runtime: Runtime
    thing: Artifact | Model
    session: Session | None
    declined: str = ""
    failed: bool = False
    unfit: str = ""
    observed: list[tuple[Trial, Outputs]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What is run, for reports."""
        return str(self.thing.path) if isinstance(self.thing, Artifact) else "source"


def open_fitting(model: Model, runtime: Runtime, thing: Artifact | Model) -> Subject:
    """Load `thing`, unless it is an artifact of a network with other inputs than `model`."""
    unfit = _unfit(model, thing.signature.inputs) if isinstance(thing, Artifact) else ""
    if unfit:
        return Subject(runtime, thing, None, unfit=unfit)
    return open_subject(runtime, thing)


def open_subject(runtime: Runtime, thing: Artifact | Model) -> Subject:
    """Load `thing`; a runtime that declines is an answer, not an error."""
    try:
        return Subject(runtime, thing, runtime.open(thing))
    except RuntimeUnavailable as error:
        failed = isinstance(error, RuntimeFailed)
        return Subject(runtime, thing, None, declined=str(error), failed=failed)


def _unfit(model: Model, inputs: Sequence[TensorSpec]) -> str:
    """In words, which of an artifact's inputs a network like `model` has not got."""
    every = signature_of(model, model.dtype, states=States.OPTIONAL, sequence_length=True).inputs
    known = {spec.name: spec.shape for spec in every}
    for spec in inputs:
        if spec.name not in known:
            return f"it takes {spec.name}, which the source's network has not got"
        theirs, ours = spec.shape, known[spec.name]
        sizes = zip(theirs, ours, strict=False)
        other = any(a != b for a, b in sizes if isinstance(a, int) and isinstance(b, int))
        if other or len(theirs) != len(ours):
            shown, wanted = (f"({', '.join(map(str, one))})" for one in (theirs, ours))
            return f"its {spec.name} are {shown}, those of the source's network {wanted}"
    return ""


def judge(subject: Subject, trials: Sequence[Trial], progress: Progress) -> RuntimeResult:
    """Run every trial and compare; `subject.observed` keeps the outputs for a diagnosis."""
    start = time.perf_counter()
    name = subject.runtime.name
    if subject.unfit:
        return _result(subject, FAIL, subject.unfit, {}, start)
    if subject.session is None:
        status = ERROR if subject.failed else UNAVAILABLE
        return _result(subject, status, subject.declined, {}, start)
    found: dict[str, list[OutputComparison]] = {}
    stopped, failed = "", False
    for k, trial in enumerate(trials):
        progress(name, k, len(trials))
        try:
            outputs = subject.session.run(trial.probe.feeds)
        except RuntimeUnavailable as error:
            stopped = f"stopped at probe {trial.probe.name}: {error}"
            failed = isinstance(error, RuntimeFailed)
            break
        subject.observed.append((trial, outputs))
        for output, one in _compared(subject, trial, outputs).items():
            found.setdefault(output, []).append(one)
    progress(name, len(trials), len(trials))
    worst = {output: worst_of(each) for output, each in found.items()}
    status, reason = _status(worst, stopped, failed=failed)
    return replace(_result(subject, status, reason, worst, start), probes=_each(found))


def _each(
    found: Mapping[str, Sequence[OutputComparison]],
) -> dict[str, tuple[OutputComparison, ...]]:
    return {output: tuple(comparisons) for output, comparisons in found.items()}


def _compared(subject: Subject, trial: Trial, outputs: Outputs) -> dict[str, OutputComparison]:
    dtypes = {}
    if isinstance(subject.thing, Artifact):
        dtypes = {spec.name: spec.dtype for spec in subject.thing.signature.outputs}
    return compare_outputs(outputs, trial.expected, trial.allowed, dtypes, trial.probe.name)


def _status(
    worst: Mapping[str, OutputComparison], stopped: str, *, failed: bool
) -> tuple[str, str]:
    bad = {name: one for name, one in worst.items() if not passes(one)}
    if bad:
        return FAIL, "; ".join(complaint(name, one) for name, one in bad.items())
    if stopped:
        # a runtime that ran nothing was not there; one that stopped half-way is a worry
        return (ERROR if worst or failed else UNAVAILABLE), stopped
    return (PASS, "") if worst else (ERROR, "nothing was compared")


def complaint(name: str, one: OutputComparison) -> str:
    """What is wrong with one comparison, in words."""
    if one.problem:
        return f"{name}: {one.problem} (probe {one.probe})"
    return (
        f"{name} differs by up to {one.max_abs:.3g}, {one.ratio:.3g} times what is allowed, "
        f"at {one.worst_index} of probe {one.probe}"
    )


def _result(
    subject: Subject,
    status: str,
    reason: str,
    outputs: Mapping[str, OutputComparison],
    start: float,
) -> RuntimeResult:
    info = subject.runtime.info()
    session = subject.session
    return RuntimeResult(
        name=subject.runtime.name,
        version=info.version,
        device=info.device if session is None else session.device,
        status=status,
        reason=reason,
        precision="" if session is None else session.precision,
        subject=subject.label,
        outputs=outputs,
        traces=along_time(subject.observed),
        seconds=time.perf_counter() - start,
    )
