"""A verdict as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from lstmbridge import __version__
from lstmbridge.contracts import (
    FaultReport,
    LedgerReport,
    OutputComparison,
    RuntimeResult,
    Verdict,
)
from lstmbridge.model.blocks import Model
from lstmbridge.report.along import shared_scale, trace_panel
from lstmbridge.report.drawing import Scale, distances, error_bar, error_scale, said, stack
from lstmbridge.report.style import CSS
from lstmbridge.report.summary import Finding, findings, sentences

_MARK = (
    '<p class="soft">A bar is the largest difference anywhere; the mark is what rounding may do '
    "on these weights (the noise floor) at the worst place. What passes it is red.</p>"
)
_ALONG = (
    "Along time: the line (or dot) is the difference, the shaded ground what rounding may do. "
    "Final states are followed by the length of their sequences, over all probes."
)
_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "tensorflow")
_CAUGHT_BEYOND = 2.0
"""As verify counts; here it only colours."""


def text(
    verdict: Verdict, *, source: str, artifacts: tuple[str, ...], model: Model | None = None
) -> str:
    """The whole page.

    Args:
        verdict: what to report.
        source: what the user called it.
        artifacts: likewise.
        model: the network, to be drawn; no weight is read.
    """
    word = verdict.outcome.value
    named = ", ".join(f"<code>{said(path)}</code>" for path in artifacts) or "no artifact"
    sections = [
        f'<h1><span class="{word}">{word.upper()}</span></h1>',
        f"<p>{named} against <code>{said(source)}</code></p>",
        f'<p class="soft">{verdict.comparisons:,} numbers compared in {verdict.seconds:.2f} s</p>',
        _findings(findings(verdict)),
        _section("The network", f"<figure>{stack(model)}</figure>") if model else "",
        _section("Runtimes", _runtimes(verdict)),
        _section("Planted faults", _faults(verdict.faults)),
        _section("Weights read back", _ledger(verdict.ledger)),
        _section("Facts", _facts(verdict)),
        _section("Not run", _list(verdict.not_run)) if verdict.not_run else "",
        _section("Versions", _versions(verdict)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{word}: {said(', '.join(artifacts))}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n{chr(10).join(filter(None, sections))}\n</body>\n</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{said(title)}</h2>\n{body}</section>"


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{said(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _findings(found: Sequence[Finding]) -> str:
    """Each finding with its details as a list of their own."""
    items = "".join(f"<li>{said(one.head)}{_list(one.details)}</li>" for one in found)
    return f"<ul>{items}</ul>" if items else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """Rows of HTML; the last `numbers` columns but the very last hold numbers."""

    def kind(k: int) -> str:
        return ' class="n"' if len(heads) - 1 - numbers <= k < len(heads) - 1 else ""

    head = "".join(f"<th{kind(k)}>{said(x)}</th>" for k, x in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(k)}>{x}</td>" for k, x in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _runtimes(verdict: Verdict) -> str:
    compared = [c for r in verdict.runtimes for c in (*r.outputs.values(), *r.checks.values())]
    scale = error_scale(compared)
    parts = [_runtime(r, verdict.runtimes) for r in verdict.runtimes] or ["<p>none ran</p>"]
    for k, r in enumerate(verdict.runtimes):
        parts[k] += _comparisons("output", r.outputs, scale)
        parts[k] += _comparisons("what the file claims besides", r.checks, scale)
        parts[k] += _along(r, verdict.runtimes)
    told = _MARK
    if verdict.tolerance is not None:
        told = f"<p>a tolerance of {verdict.tolerance:g} stood in place of the noise floor</p>"
    return told + "".join(parts)


def _comparisons(what: str, found: Mapping[str, OutputComparison], scale: Scale) -> str:
    """Comparisons by name, a row for each; "" where there are none."""
    if not found:
        return ""
    rows = [
        (
            (f"<code>{said(name)}</code>" if what == "output" else said(name))
            + (f' <span class="fail">{said(one.problem)}</span>' if one.problem else ""),
            f"{one.comparisons:,}",
            f"{one.max_abs:.2g}",
            f"{one.allowed:.2g}",
            f"{one.ratio:.2g}",
            error_bar(one, scale),
        )
        for name, one in found.items()
    ]
    axis = f"1e{scale.low} to 1e{scale.high}, logarithmic"
    heads = (what, "numbers", "differs by", "allowed", "of allowed", axis)
    return _table(heads, rows, numbers=4)


def _along(r: RuntimeResult, every: Sequence[RuntimeResult]) -> str:
    """Every output along time, all of them on one scale."""
    if not r.traces:
        return ""
    scale = shared_scale(t for x in every for t in x.traces.values())
    panels = "".join(trace_panel(name, one, scale) for name, one in r.traces.items())
    return f'<p class="soft">{_ALONG}</p><figure class="along">{panels}</figure>'


def _runtime(r: RuntimeResult, every: Sequence[RuntimeResult]) -> str:
    several = len({x.subject for x in every}) > 1
    what = ", ".join(filter(None, (r.device, r.precision, r.subject if several else "")))
    head = (
        f'<h3><b>{said(r.name)}</b> {said(r.version)} <span class="soft">({said(what)})</span> '
        f'<span class="{said(r.status)}">{said(r.status)}</span></h3>'
    )
    told = r.diagnosis or (r.reason if r.status != "fail" else "")
    return head + _list(sentences(told))


def _faults(faults: FaultReport) -> str:
    line = f"{faults.caught} of {faults.planted} wrong networks would have been caught"
    if faults.weakest is not None:
        line += f"; the faintest, {faults.weakest[0]}, at {faults.weakest[1]:.3g} x"
    parts = [f"<p>{said(line)}.</p>"]
    if faults.ratios:
        parts.append(f"<figure>{distances(faults.ratios, _CAUGHT_BEYOND)}</figure>")
        parts.append('<p class="soft">How far each departs, as a multiple of what is allowed.</p>')
    if faults.missed:
        parts.append(f"<p>Not separable from rounding:</p>{_list(faults.missed)}")
    if faults.indistinguishable:
        parts.append(f"<p>Change nothing on these weights:</p>{_list(faults.indistinguishable)}")
    return "".join(parts)


def _ledger(ledger: LedgerReport | None) -> str:
    if ledger is None or ledger.unreadable:
        why = f": {ledger.unreadable}" if ledger else ""
        return f"<p>weights were not read back{said(why)}</p>"
    wrong = (
        *(f"differs: {line}" for line in ledger.different),
        *(f"missing: {line}" for line in ledger.missing),
        *(f"not in the source: {line}" for line in ledger.extra),
    )
    state = f"{len(wrong)} blocks wrong" if wrong else "all bit for bit the source's"
    return f"<p>{ledger.compared:,} numbers, {state}</p>{_list(wrong)}"


def _facts(verdict: Verdict) -> str:
    rows = [
        (f"<code>{said(name)}</code>", said(f.value), said(f.basis.value), said(f.where))
        for name, f in verdict.facts.items()
    ]
    return _table(("fact", "value", "basis", "where"), rows) if rows else "<p>none</p>"


def _versions(verdict: Verdict) -> str:
    found = {"lstmbridge": __version__, "Python": platform.python_version()}
    found |= {name: number for name in _PACKAGES if (number := _installed(name))}
    found["machine"] = f"{platform.system()} {platform.machine()}"
    found["seed"] = str(verdict.seed)
    return _table(("", ""), [(said(name), said(value)) for name, value in found.items()])


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
