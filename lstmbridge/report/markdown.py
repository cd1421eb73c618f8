"""A verdict as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lstmbridge import __version__
from lstmbridge.contracts import (
    FaultReport,
    LedgerReport,
    OutputComparison,
    RuntimeResult,
    Verdict,
)
from lstmbridge.model.facts import Basis
from lstmbridge.report.summary import findings, off, times

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&@])")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_REASONS_SHOWN = 5
_NAME = 120
_WORDS = 300


def text(verdict: Verdict, *, source: str, artifacts: tuple[str, ...]) -> str:
    """The whole comment.

    Args:
        verdict: what to report.
        source: what the user called it.
        artifacts: likewise.
    """
    names = ", ".join(code(path) for path in artifacts)
    lines = [
        f"### lstmbridge: {verdict.outcome.value.upper()}",
        "",
        f"{names} against {code(source)}: {verdict.comparisons:,} numbers compared.",
        "",
    ]
    found = findings(verdict)
    shown = found[:_REASONS_SHOWN]
    for one in shown:
        lines += [f"- {said(one.head)}", *_details(one.details)]
    if len(found) > len(shown):
        lines.append(f"- and {len(found) - len(shown)} reasons more")
    lines += [""] if shown else []
    lines += _table(verdict.runtimes)
    lines += [f"- {line}" for line in _evidence(verdict)]
    if verdict.not_run:
        lines += ["", "<details><summary>not run</summary>", ""]
        lines += [f"- {said(line)}" for line in verdict.not_run]
        lines += ["", "</details>"]
    return "\n".join([*lines, "", f"lstmbridge {__version__}, seed {verdict.seed}", ""])


def _details(details: Sequence[str]) -> list[str]:
    lines = [f"  - {said(one)}" for one in details[:_REASONS_SHOWN]]
    more = len(details) - _REASONS_SHOWN
    return [*lines, f"  - and {more} more"] if more > 0 else lines


def said(words: str) -> str:
    """Plain words, none of which Markdown or HTML would understand."""
    flat = _BREAKS.sub(" ", words).strip()
    return _SPECIAL.sub(r"\\\1", flat if len(flat) <= _WORDS else f"{flat[:_WORDS]} ...")


def code(name: str) -> str:
    """A name as code; backticks in it cannot end it, and a bar cannot end a table's cell."""
    flat = _BREAKS.sub(" ", name).strip()
    flat = flat if len(flat) <= _NAME else f"...{flat[-_NAME:]}"
    if not flat or "`" in flat or "|" in flat:
        return said(flat) or "(no name)"
    return f"`{flat}`"


def _table(runtimes: Sequence[RuntimeResult]) -> list[str]:
    if not runtimes:
        return []
    several = len({r.subject for r in runtimes}) > 1
    lines = [
        "| runtime | | worst output | differs by | allowed | of allowed |",
        "|---|---|---|--:|--:|--:|",
    ]
    for r in runtimes:
        name = said(" ".join(filter(None, (r.name, r.version, r.precision))))
        name += f", {code(r.subject)}" if several else ""
        lines.append(f"| {name} | {said(r.status)} | {' | '.join(_worst(r))} |")
    return [*lines, ""]


def _worst(r: RuntimeResult) -> tuple[str, str, str, str]:
    if not r.outputs:
        return said(r.reason.partition("\n")[0]), "", "", ""

    def rank(item: tuple[str, OutputComparison]) -> tuple[bool, float]:
        return bool(item[1].problem), item[1].ratio

    name, one = max(r.outputs.items(), key=rank)
    if one.problem:
        return f"{code(name)}: {said(one.problem)}", "", "", ""
    return code(name), f"{off(one):.2g}", f"{one.allowed:.2g}", f"{one.ratio:.2g}"


def _claims(r: RuntimeResult) -> str:
    """What the file claims beyond its outputs; what does not hold is among the reasons."""
    held = [name for name, one in r.checks.items() if not one.problem and one.ratio <= 1]
    return f"{said(r.name)}, held: {said('; '.join(held))}" if held else ""


def _evidence(verdict: Verdict) -> list[str]:
    lines = [*filter(None, map(_claims, verdict.runtimes)), _faults(verdict.faults)]
    if verdict.ledger is not None:
        lines.append(_ledger(verdict.ledger))
    assumed = dict.fromkeys(
        f"{said(name.rpartition('.')[2])} = {said(str(fact.value))}"
        for name, fact in verdict.facts.items()
        if fact.basis is Basis.ASSUMED
    )
    if assumed:
        lines.append(f"assumed, because nothing states it: {', '.join(assumed)}")
    if verdict.tolerance is not None:
        lines.append(f"a tolerance of {verdict.tolerance:g} stood in place of the noise floor")
    return lines


def _faults(faults: FaultReport) -> str:
    line = f"planted faults: {faults.caught} of {faults.planted} would have been caught"
    if faults.weakest is not None:
        name, ratio = faults.weakest
        line += f"; the faintest, {said(name)}, at {times(ratio)} what is allowed"
    return line


def _ledger(ledger: LedgerReport) -> str:
    if ledger.unreadable:
        return f"weights were not read back: {said(ledger.unreadable)}"
    wrong = len(ledger.different) + len(ledger.missing) + len(ledger.extra)
    state = f"{wrong} blocks wrong" if wrong else "all bit for bit the source's"
    return f"weights read back: {ledger.compared:,} numbers, {state}"
