"""How far faults were seen to depart, and what is said of it: caught, missed, or no fault here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lstmbridge.arrays import UNIT_ROUNDING
from lstmbridge.contracts import FaultReport

MARGIN = 10.0
"""A fault is caught when it departs by more than this many times what is allowed."""
_MARGINS: Mapping[str, float] = {"tf32": 2.0, "float16": 2.0, "bfloat16": 2.0}
"""Where numbers have 11 bits or fewer, ten times what rounding does is often more than a fault
can do. Above 2, a runtime that had it and erred towards the truth by all that is allowed would
still fail."""
DROWNED = 1 / 3
"""Departures below this share of what is allowed are no larger than rounding's own: nothing
that is computed in this precision can show them."""


def margin_of(precision: str) -> float:
    """How far a fault must stand above what is allowed in `precision`."""
    return _MARGINS.get(precision, MARGIN)


@dataclass
class Sighting:
    """How far one fault has been seen to depart: over all trials so far."""

    ratio: float = 0.0
    floor_ratio: float = 0.0


def report_of(seen: Mapping[str, Sighting], precision: str) -> FaultReport:
    """What is said of the faults `seen`, in runs of `precision`."""
    # a fault that moves nothing by more than float64 rounding is no fault on these weights
    still = 16.0 * UNIT_ROUNDING["float64"] / UNIT_ROUNDING[precision]
    margin = margin_of(precision)
    drowned = [name for name, s in seen.items() if still < s.floor_ratio <= DROWNED]
    same = [name for name, s in seen.items() if s.floor_ratio <= still] + drowned
    caught = {name: s.ratio for name, s in seen.items() if s.ratio > margin and name not in same}
    missed = [name for name in seen if name not in caught and name not in same]
    return FaultReport(
        planted=len(caught) + len(missed),
        caught=len(caught),
        indistinguishable=tuple(same),
        missed=tuple(missed),
        weakest=min(caught.items(), key=lambda item: item[1]) if caught else None,
        caught_names=tuple(caught),
        ratios={name: s.ratio for name, s in seen.items() if name not in same},
        drowned=tuple(drowned),
    )


def merged(reports: Sequence[FaultReport]) -> FaultReport:
    """One report for several experiments: a fault is caught when each experiment catches it."""
    if len(reports) == 1:
        return reports[0]
    missed = sorted({name for report in reports for name in report.missed})
    caught = [
        name
        for name in dict.fromkeys(name for report in reports for name in report.caught_names)
        if name not in missed
    ]
    same = {name for report in reports for name in report.indistinguishable}
    drowned = dict.fromkeys(name for report in reports for name in report.drowned)
    weakest = [report.weakest for report in reports if report.weakest is not None]
    ratios: dict[str, float] = {}
    for report in reports:
        for name, ratio in report.ratios.items():
            ratios[name] = min(ratio, ratios.get(name, ratio))
    return replace(
        FaultReport(len(caught) + len(missed), len(caught)),
        indistinguishable=tuple(sorted(same.difference(caught, missed))),
        missed=tuple(missed),
        weakest=min(weakest, key=lambda item: item[1]) if weakest else None,
        caught_names=tuple(caught),
        ratios=ratios,
        drowned=tuple(drowned),
    )
