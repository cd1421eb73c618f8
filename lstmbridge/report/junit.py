"""A verdict as JUnit XML, for CI servers that draw test results.

One case for each output of each runtime on each probe, one for the weights that were read back,
one for the planted faults, one for the verdict: a file is green only where that is a pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from lstmbridge import __version__
from lstmbridge.contracts import (
    FaultReport,
    LedgerReport,
    Outcome,
    OutputComparison,
    RuntimeResult,
    Verdict,
)

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML file may hold, not even escaped."""

Case = tuple[str, str, str, str]
"""(class, name, "" or what became of it: failure, error, skipped; why)."""


def text(verdict: Verdict, *, source: str, artifacts: tuple[str, ...]) -> str:
    """The whole file.

    Args:
        verdict: what to report.
        source: what the user called it.
        artifacts: likewise.
    """
    stated = {
        "lstmbridge": __version__,
        "verdict": verdict.outcome.value,
        "comparisons": str(verdict.comparisons),
        "seed": str(verdict.seed),
        **{f"{r.name} version": r.version for r in verdict.runtimes},
    }
    name = f"lstmbridge: {', '.join(artifacts)} against {source}"
    return document(name, _cases(verdict), stated, verdict.seconds)


def document(
    suite_name: str, cases: Sequence[Case], stated: Mapping[str, str], seconds: float
) -> str:
    """A suite of cases as a whole file; `stated` are its properties."""
    counts = Counter(state for _, _, state, _ in cases)
    suite = ET.Element(
        "testsuite",
        name=_clean(suite_name),
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time=f"{seconds:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in stated.items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    for group, name, state, why in cases:
        case = ET.SubElement(suite, "testcase", classname=_clean(group), name=_clean(name))
        if state:
            first = why.splitlines()[0] if why else state
            ET.SubElement(case, state, message=_clean(first)).text = _clean(why)
    ET.indent(suite)
    body = ET.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _clean(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)


def _cases(verdict: Verdict) -> list[Case]:
    several = len({r.subject for r in verdict.runtimes}) > 1
    cases = [case for r in verdict.runtimes for case in _runtime(r, several=several)]
    if verdict.ledger is not None:
        cases.append(("weights", "read back from the file", *_ledger(verdict.ledger)))
    cases.append(("planted faults", "would have been caught", *_faults(verdict.faults)))
    ran = {f"{r.name}: {r.reason}" for r in verdict.runtimes}
    for line in verdict.not_run:
        if line not in ran:
            name, _, why = line.partition(": ")
            cases.append(("not run", name, "skipped", why or line))
    passed = verdict.outcome is Outcome.PASS
    reasons = "\n".join(f"{verdict.outcome.value}: {why}" for why in verdict.reasons)
    cases.append(("verdict", "pass", "" if passed else "failure", "" if passed else reasons))
    return cases


def _runtime(r: RuntimeResult, *, several: bool) -> list[Case]:
    group = f"{r.name} on {r.subject}" if several else r.name
    cases = [(group, name, *_output(one, r)) for name, one in _probed(r)]
    cases += [(group, name, *_output(one, r)) for name, one in r.checks.items()]
    if r.status == "unavailable":
        cases.append((group, "run", "skipped", r.reason))
    elif r.status == "error" or not cases:
        cases.append((group, "run", "error", r.reason or "nothing was compared"))
    return cases


def _probed(r: RuntimeResult) -> list[tuple[str, OutputComparison]]:
    """Each output on each probe; at its worst place alone where no probe is told."""
    return [
        (f"{output}, probe {one.probe}" if output in r.probes else output, one)
        for output, worst in r.outputs.items()
        for one in r.probes.get(output, (worst,))
    ]


def _output(one: OutputComparison, r: RuntimeResult) -> tuple[str, str]:
    if not one.problem and one.comparisons > 0 and one.ratio <= 1.0:
        return "", ""
    said = one.problem or (
        f"differs by up to {one.max_abs:.3g}, {one.ratio:.3g} times the {one.allowed:.3g} allowed"
    )
    place = f"at {one.worst_index} of probe {one.probe}"
    return "failure", "\n".join(filter(None, (f"{said}, {place}", r.diagnosis)))


def _ledger(ledger: LedgerReport) -> tuple[str, str]:
    if ledger.unreadable:
        return "skipped", ledger.unreadable
    wrong = (
        *(f"differs: {line}" for line in ledger.different),
        *(f"missing: {line}" for line in ledger.missing),
        *(f"not in the source: {line}" for line in ledger.extra),
    )
    return ("failure", "\n".join(wrong)) if wrong else ("", "")


def _faults(faults: FaultReport) -> tuple[str, str]:
    if faults.missed:
        return "failure", f"not separable from rounding: {', '.join(faults.missed)}"
    if not faults.planted:
        return "failure", "no planted fault changes anything, so agreement proves nothing"
    return "", ""
