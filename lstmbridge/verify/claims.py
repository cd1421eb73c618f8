"""What an artifact claims beyond its outputs becomes part of its runtime's result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lstmbridge.contracts import Artifact, OutputComparison, RuntimeResult
from lstmbridge.errors import RuntimeFailed, RuntimeUnavailable
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS
from lstmbridge.verify.compare import broken, passes
from lstmbridge.verify.metamorphic import SIZES, Claims, check_claims, telling
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import other_size
from lstmbridge.verify.sessions import ERROR, FAIL, PASS, Subject, complaint
from lstmbridge.verify.trials import Trial, calm_trial_of

_MORE_ROWS, _MORE_STEPS = 1, 3
"""By how much the other size is larger than that of the probe that claims are tried on."""


def with_claims(
    model: Model,
    subject: Subject,
    trials: Sequence[Trial],
    result: RuntimeResult,
    options: VerifyOptions,
) -> RuntimeResult:
    """The result with its claims checked; one that does not hold makes it fail.

    A runtime that stopped half-way is asked whether it was the size that it would not take: then
    the file declares what it does not do.
    """
    if subject.session is None or not isinstance(subject.thing, Artifact) or options.only_data:
        return result
    specs = subject.thing.signature.inputs
    if INPUTS not in {spec.name for spec in specs}:
        return result
    if result.status == ERROR:
        checks = _stopped(subject, trials, result)
    elif result.status == PASS and (trial := telling(tuple(trials))) is not None:
        rows, steps = trial.probe.batch + _MORE_ROWS, trial.probe.steps + _MORE_STEPS
        probe = other_size(model, specs, options, rows, steps)
        other = None
        if probe is not None:
            other = calm_trial_of(model, specs, probe, trial.precision, options)
        try:
            checks = check_claims(Claims(model, subject.session, specs, trial, other))
        except RuntimeFailed as error:
            return replace(result, status=ERROR, reason=f"died while claims were tried: {error}")
    else:
        return result
    bad = {name: one for name, one in checks.items() if not passes(one)}
    if not bad:
        return replace(result, checks=checks)
    reason = "; ".join(complaint(name, one) for name, one in bad.items())
    return replace(result, status=FAIL, reason=reason, checks=checks)


def _stopped(
    subject: Subject, trials: Sequence[Trial], result: RuntimeResult
) -> dict[str, OutputComparison]:
    """Whether only probes of another size are declined, while one size still runs."""
    if not subject.observed or len(subject.observed) == len(trials):
        return {}
    ran, declined = subject.observed[-1][0].probe, trials[len(subject.observed)].probe
    if (ran.batch, ran.steps) == (declined.batch, declined.steps):
        return {}
    if not _still_runs(subject, trials):
        return {}
    sizes = f"{ran.batch} x {ran.steps} runs, {declined.batch} x {declined.steps} does not"
    return {SIZES: broken(f"the file declares any size, but {sizes}: {result.reason}", SIZES)}


def _still_runs(subject: Subject, trials: Sequence[Trial]) -> bool:
    """Whether the session is alive: the first probe runs again."""
    assert subject.session is not None
    try:
        subject.session.run(trials[0].probe.feeds)
    except RuntimeUnavailable:
        return False
    return True
