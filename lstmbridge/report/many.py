"""A run over many models, for a terminal, a pull request, a browser and a program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lstmbridge import __version__
from lstmbridge.contracts.manifests import ManifestRun, ModelRun, ModelState
from lstmbridge.report import markdown as md
from lstmbridge.report.drawing import said
from lstmbridge.report.junit import Case, document
from lstmbridge.report.layout import wrapped
from lstmbridge.report.schema import headed
from lstmbridge.report.style import CSS

_REASONS_SHOWN = 4
_NAME, _STATE = 24, 14
_LONGEST = 100
_HTML_REPORT = "report.html"


def _word(one: ModelRun) -> str:
    """What stands first in a line; only a pass is in small letters."""
    return "pass" if one.state is ModelState.PASS else one.state.value.upper()


def _held(one: ModelRun) -> str:
    """What a pass rests on."""
    said_ = f"{one.comparisons:,} numbers, {one.caught} of {one.planted} faults caught"
    assumed = f"{one.assumed} fact{'' if one.assumed == 1 else 's'} assumed"
    return f"{said_}, {assumed}" if one.assumed else said_


def _brief(one: ModelRun) -> str:
    """One line on what became of it."""
    when = f"taken over from {one.taken_over}" if one.taken_over else f"{one.seconds:.1f} s"
    if one.state is ModelState.PASS:
        return f"{_held(one)}; {when}"
    if one.state is ModelState.ERROR:
        return f"exit {one.exit_code}: {one.reasons[0] if one.reasons else 'no reason given'}"
    first = one.reasons[0].partition(";")[0] if one.reasons else "no reason given"
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]} ..."


def line(one: ModelRun) -> str:
    """One model, when it is done."""
    front = f"  {_word(one):<{_STATE}}{one.name:<{_NAME}}"
    return "\n".join(_hung(front, _brief(one)))


def _hung(front: str, text: str) -> list[str]:
    """`text` after `front`, wrapped within itself."""
    column = _STATE + 2
    if len(front) > column + _NAME:
        return [front.rstrip(), *wrapped(text, column, hang=0)]
    lines = wrapped(text, column + _NAME, hang=0)
    return [front + lines[0].lstrip(), *lines[1:]]


def counts(run: ManifestRun) -> str:
    """``"4 of 6 pass; 1 fail, 1 error"``."""
    others = [s for s in ModelState if s is not ModelState.PASS and run.count(s)]
    rest = ", ".join(f"{run.count(s)} {s.value}" for s in others)
    return f"{run.count(ModelState.PASS)} of {len(run.models)} pass{'; ' * bool(rest)}{rest}"


def text(run: ManifestRun) -> str:
    """What is said when all are done: why each that does not pass does not, then the sum."""
    lines = []
    for one in run.models:
        if one.state is ModelState.PASS:
            continue
        lines += ["", f"{one.name}: {_word(one)}  ({run.manifest}, line {one.line})"]
        for reason in one.reasons[:_REASONS_SHOWN]:
            lines += wrapped(" ".join(reason.split()), 2, hang=2)
        if len(one.reasons) > _REASONS_SHOWN:
            lines.append(f"  and {len(one.reasons) - _REASONS_SHOWN} reasons more")
        lines += wrapped(f"all of it: {one.folder}", 2, hang=2)
    taken = sum(bool(one.taken_over) for one in run.models)
    kept = f", {taken} taken over because nothing changed" if taken else ""
    lines += ["", f"{counts(run)}{kept}; {run.seconds:.1f} s, exit {run.exit_code}"]
    return "\n".join(lines)


def body(run: ManifestRun) -> dict[str, Any]:
    """What `verify --manifest --json` answers."""
    models = [
        {
            "name": one.name,
            "line": one.line,
            "source": one.source,
            "artifacts": list(one.artifacts),
            "state": one.state.value,
            "exit_code": one.exit_code,
            "reasons": list(one.reasons),
            "comparisons": one.comparisons,
            "planted": one.planted,
            "caught": one.caught,
            "assumed": one.assumed,
            "seconds": one.seconds,
            "taken_over": one.taken_over or None,
            "folder": one.folder,
        }
        for one in run.models
    ]
    said_ = {"manifest": run.manifest, "exit_code": run.exit_code, "seconds": run.seconds}
    return headed("manifest", {**said_, "models": models})


def junit(run: ManifestRun) -> str:
    """One case for each model."""
    states = {ModelState.PASS: "", ModelState.ERROR: "error"}
    cases: list[Case] = [
        (run.manifest, one.name, states.get(one.state, "failure"), "\n".join(one.reasons))
        for one in run.models
    ]
    stated = {"lstmbridge": __version__, "exit code": str(run.exit_code)}
    return document(f"lstmbridge: {run.manifest}", cases, stated, run.seconds)


def markdown(run: ManifestRun) -> str:
    """A table for a pull request or a job's summary."""
    passed = run.exit_code == 0
    lines = [
        f"### lstmbridge: {'PASS' if passed else 'NOT PASSED'}",
        "",
        f"{md.code(run.manifest)}: {md.said(counts(run))}.",
        "",
        "| model | | |",
        "|---|---|---|",
    ]
    for one in run.models:
        told = _brief(one) if one.state is ModelState.PASS else " ".join(one.reasons)
        lines.append(f"| {md.code(one.name)} | {md.said(_word(one))} | {md.said(told)} |")
    return "\n".join([*lines, "", f"lstmbridge {__version__}", ""])


def html(run: ManifestRun, *, at: Path) -> str:
    """One page that leads to each model's own; `at`: where it will lie."""
    rows = []
    for one in run.models:
        report = Path(one.folder) / _HTML_REPORT
        named = said(one.name)
        if report.is_file():
            there = os.path.relpath(report, at.absolute().parent)
            named = f'<a href="{said(Path(there).as_posix())}">{named}</a>'
        told = [_brief(one)] if one.state is ModelState.PASS else one.reasons
        rows.append(
            f'<tr><td>{named}</td><td class="{one.state.value}">{_word(one)}</td>'
            f"<td>{'<br>'.join(said(part) for part in told[: _REASONS_SHOWN + 1])}</td></tr>"
        )
    word = "pass" if run.exit_code == 0 else "fail"
    title = "PASS" if run.exit_code == 0 else "NOT PASSED"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>lstmbridge: {title}, {said(run.manifest)}</title><style>{CSS}</style></head>"
        f'<body><h1><span class="{word}">{title}</span></h1>'
        f"<p><code>{said(run.manifest)}</code>: {said(counts(run))}</p>"
        f'<p class="soft">lstmbridge {__version__}, {run.seconds:.1f} s</p>'
        "<table><thead><tr><th>model</th><th>verdict</th><th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></body></html>\n"
    )
