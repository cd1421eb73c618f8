"""Why a verdict is no pass, for a reader: what departs first, its details under it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lstmbridge.contracts import LedgerReport, OutputComparison, RuntimeResult, Verdict

_FAIL = "fail"
_LINES = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason: its gist, and what stands under it."""

    head: str
    details: tuple[str, ...] = ()


def off(one: OutputComparison) -> float:
    """The difference at the place that comes nearest to what is allowed, or passes it furthest.

    The largest difference may be elsewhere, where more is allowed.
    """
    there = one.ratio * one.allowed
    return there if math.isfinite(there) else one.max_abs


def times(ratio: float) -> str:
    """A multiple of what is allowed, to three digits: ``"12,900 x"``."""
    if not math.isfinite(ratio):
        return "infinitely far"
    return f"{float(f'{ratio:.3g}'):,g} x" if ratio < 1e6 else f"{ratio:.1e} x"


def sentences(text: str) -> tuple[str, ...]:
    """A diagnosis or a message of several parts, part by part."""
    return tuple(part for line in _LINES.split(text) for part in line.split("; ") if part)


def findings(verdict: Verdict) -> tuple[Finding, ...]:
    """The reasons of a verdict, those of a runtime and those of the weights each as one.

    The numbers of every output and every weight stand in the report's tables; here are the
    counts, the worst, and the diagnosis.
    """
    wrong = [r for r in verdict.runtimes if r.status == _FAIL]
    told = [_of_runtime(r) for r in wrong] + list(_of_weights(verdict.ledger))
    known = {f"{r.name}: {r.reason}" for r in wrong}
    lines = set() if verdict.ledger is None else set(_lines(verdict.ledger))
    rest = [
        Finding(reason) if "\n" not in reason else Finding(*_split(reason))
        for reason in verdict.reasons
        if not any(reason.startswith(one) for one in known)
        and reason.partition(": ")[2] not in lines
    ]
    return (*told, *rest)


def _split(reason: str) -> tuple[str, tuple[str, ...]]:
    head, *details = _LINES.split(reason)
    return head, tuple(details)


def _of_runtime(r: RuntimeResult) -> Finding:
    every = {**r.outputs, **r.checks}
    bad = {name: one for name, one in every.items() if one.problem or not one.ratio <= 1}
    if not bad:
        return Finding(f"{r.name}: {r.reason}", sentences(r.diagnosis))
    name, worst = max(bad.items(), key=lambda item: (bool(item[1].problem), item[1].ratio))
    detail = f"{name}: {worst.problem}" if worst.problem else (
        f"{name} by {off(worst):.3g}, {times(worst.ratio)} what is allowed, on probe "
        f"{worst.probe}"
    )  # fmt: skip
    what = f"{len(bad)} of {len(every)} comparisons differ, {detail}"
    return Finding(f"{r.name}: {what}", sentences(r.diagnosis))


def _lines(ledger: LedgerReport) -> Iterator[str]:
    yield from (*ledger.different, *ledger.missing, *ledger.extra)


def _of_weights(ledger: LedgerReport | None) -> Iterator[Finding]:
    if ledger is None:
        return
    kinds = (
        ("of the weights differ", ledger.different),
        ("of the source's weights are not in the artifact", ledger.missing),
        ("of weights in the artifact are not the source's", ledger.extra),
    )
    for what, lines in kinds:
        if lines:
            yield Finding(f"{len(lines)} block{'s' * (len(lines) > 1)} {what}", lines)
