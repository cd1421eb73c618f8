"""A verdict as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstmbridge.contracts import LedgerReport, OutputComparison, RuntimeResult, Verdict
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model
from lstmbridge.model.facts import Fact
from lstmbridge.report import page as pages
from lstmbridge.report.along import shared_scale, trace_panel
from lstmbridge.report.drawing import Scale, error_bar, error_scale, said, stack
from lstmbridge.report.facts import grouped
from lstmbridge.report.flow import drawn
from lstmbridge.report.planted import planted
from lstmbridge.report.summary import findings, off, sentences, times

_MARK = (
    '<p class="soft">Each output at its worst place: a bar is the difference there, the mark what '
    "rounding may do there on these weights (the noise floor). What passes it is red.</p>"
)
_ALONG = (
    "Along time: the line (or dot) is the difference, the shaded ground what rounding may do. "
    "Final states are followed by the length of their sequences, over all probes."
)
_FLOW = (
    "Blue: recurrent layers that were recognised, each a native operator. Grey: what was "
    "converted operation by operation, dashed where it is a loop. Numbers flow downwards; "
    "weights and what only computes shapes are left out."
)
_ROWS, _PANELS, _RUNTIMES = 14, 6, 2
"""More outputs, curves and runtimes than these are folded, but for the worst."""
_SPELLED = ("probe", "allowed", "of allowed", "planted fault", "weights read back",
            "read, given, assumed", "graph")  # fmt: skip


def text(
    verdict: Verdict,
    *,
    source: str,
    artifacts: tuple[str, ...],
    model: Model | Whole | None = None,
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
    about = f"{named} against <code>{said(source)}</code>"
    figures = f"{verdict.comparisons:,} numbers compared in {verdict.seconds:.2f} s"
    sections = [
        pages.headline(word, word.upper(), about, figures),
        pages.finding_items(findings(verdict)),
        pages.tiles(_tiles(verdict)),
        pages.section("The network", network(model, verdict.runtimes)),
        pages.section("Runtimes", _runtimes(verdict)),
        pages.section("Planted faults", planted(verdict.faults)),
        pages.section("Weights read back", _ledger(verdict.ledger)),
        pages.section("Facts", facts(verdict.facts)),
        pages.section("Not run", pages.items(verdict.not_run)),
        pages.words(_SPELLED),
        pages.versions(verdict.seed),
    ]
    return pages.page(word, f"{word}: {', '.join(artifacts)}", sections)


def network(model: Model | Whole | None, runs: Sequence[RuntimeResult]) -> str:
    """The network drawn, layers that departed marked; "" where it is not known."""
    if model is None:
        return ""
    if isinstance(model, Model):
        return f"<figure>{stack(model, _departed(runs, model))}</figure>"
    return f'<figure class="flow">{drawn(model)}</figure><p class="soft">{_FLOW}</p>'


def _departed(runs: Sequence[RuntimeResult], model: Model) -> set[str]:
    """The layers whose final states some runtime gave wrongly."""
    wrong = {
        name for r in runs for name, one in r.outputs.items() if one.problem or not one.ratio <= 1
    }
    return {
        layer.name
        for layer in model.layers
        if any(layer.state_name(state) in wrong for state in layer.cell.state_sizes)
    }


def _tiles(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """The figures at a glance."""
    found: dict[str, tuple[str, str]] = {}
    ran = [r for r in verdict.runtimes if r.outputs]
    compared = [one for r in ran for one in r.outputs.values()]
    if compared:
        broken = sum(bool(one.problem) for one in compared)
        worst = max((one.ratio for one in compared if not one.problem), default=0.0)
        figure = f"{worst:.2g} of allowed" if worst < 10 else times(worst)
        told = "the largest difference" if worst <= 1 else "what is allowed, at worst"
        found["numbers"] = (figure, told)
        if broken:
            found["numbers"] = (f"{broken} outputs", "could not be compared")
    faults = verdict.faults
    found["planted faults"] = (
        f"{faults.caught:,} of {faults.planted:,}",
        "would have been caught",
    )
    ledger = verdict.ledger
    if ledger is not None and not ledger.unreadable:
        wrong = len(ledger.different) + len(ledger.missing) + len(ledger.extra)
        told = "blocks of weights differ" if wrong else "weights, bit for bit"
        found["weights"] = (f"{wrong:,}" if wrong else f"{ledger.compared:,}", told)
    fine = sum(r.status == "pass" for r in verdict.runtimes)
    found["runtimes"] = (f"{fine} of {len(verdict.runtimes)}", "agree with the source")
    return found


def _runtimes(verdict: Verdict) -> str:
    runs = verdict.runtimes
    if not runs:
        return "<p>None ran: nothing was compared.</p>"
    scale = error_scale([c for r in runs for c in (*r.outputs.values(), *r.checks.values())])
    told = _MARK
    if verdict.tolerance is not None:
        told = f"<p>a tolerance of {verdict.tolerance:g} stood in place of the noise floor</p>"
    parts = [told, _overview(runs, scale) if len(runs) > 1 else ""]
    for r in runs:
        body = comparisons("output", r.outputs, scale)
        body += comparisons("what the file claims besides", r.checks, scale)
        body += along(r, runs)
        if body and len(runs) > _RUNTIMES:
            shown = r.status == "fail"
            body = pages.folded(f"Every output of {r.name}", body, shown=shown)
        parts.append(_runtime(r, runs) + body)
    return "".join(parts)


def _overview(runs: Sequence[RuntimeResult], scale: Scale) -> str:
    """Each runtime by its worst output."""
    rows: list[tuple[str, ...]] = []
    for r in runs:
        name = f"{said(r.name)} {said(_several(r, runs))}"
        status = f'<span class="{said(r.status)}">{said(r.status)}</span>'
        if not r.outputs:
            rows.append((name, status, said(r.reason.partition("\n")[0]), "", "", "", ""))
            continue
        worst, one = max(
            r.outputs.items(), key=lambda item: (bool(item[1].problem), item[1].ratio)
        )
        rows.append((name, status, *_cells(f"<code>{said(worst)}</code>", one, scale)))
    heads = ("runtime", "", "worst output", "differs by", "allowed", "of allowed", _axis(scale))
    return pages.table(heads, rows, numbers=(3, 4, 5))


def _cells(name: str, one: OutputComparison, scale: Scale) -> tuple[str, ...]:
    """Name, difference, allowance, share and bar of a comparison."""
    if one.problem:
        return (f'{name} <span class="fail">{said(one.problem)}</span>', "", "", "", "")
    share = f"{one.ratio:.2g}"
    if not one.ratio <= 1:
        share = f'<span class="fail">{said(times(one.ratio))}</span>'
    bar = error_bar(one, scale)
    return (name, f"{off(one):.2g}", f"{one.allowed:.2g}", share, bar)


def _axis(scale: Scale) -> str:
    return f"1e{scale.low} to 1e{scale.high}, logarithmic"


def comparisons(what: str, found: Mapping[str, OutputComparison], scale: Scale) -> str:
    """Comparisons by name, a row for each, the worst first where they are many; "": none."""
    if not found:
        return ""
    plain = what != "output"
    named = list(found.items())
    if len(named) > _ROWS:
        named.sort(key=lambda item: (not item[1].problem, -item[1].ratio))
    rows = []
    for name, one in named:
        cells = _cells(said(name) if plain else f"<code>{said(name)}</code>", one, scale)
        rows.append((cells[0], f"{one.comparisons:,}", *cells[1:]))
    heads = (what, "numbers", "differs by", "allowed", "of allowed", _axis(scale))
    first = pages.table(heads, rows[:_ROWS], numbers=(1, 2, 3, 4))
    if len(rows) <= _ROWS:
        return first
    rest = pages.table(heads, rows[_ROWS:], numbers=(1, 2, 3, 4))
    return first + pages.folded(f"{len(rows) - _ROWS} more, none worse", rest)


def along(r: RuntimeResult, every: Sequence[RuntimeResult]) -> str:
    """Outputs along time, all of them on one scale; of many, the worst first."""
    if not r.traces:
        return ""
    scale = shared_scale(t for x in every for t in x.traces.values())
    named = list(r.traces.items())
    if len(named) > _PANELS:
        none = OutputComparison(0.0, 0.0, 0.0, (), "", 0)
        named.sort(key=lambda item: -r.outputs.get(item[0], none).ratio)
    panels = [trace_panel(name, one, scale) for name, one in named]
    told = f'<p class="soft">{_ALONG}</p>'
    first = f'<figure class="along">{"".join(panels[:_PANELS])}</figure>'
    if len(panels) <= _PANELS:
        return told + first
    rest = f'<figure class="along">{"".join(panels[_PANELS:])}</figure>'
    return told + first + pages.folded(f"{len(panels) - _PANELS} more along time", rest)


def _several(r: RuntimeResult, every: Sequence[RuntimeResult]) -> str:
    return r.subject if len({x.subject for x in every}) > 1 else ""


def _runtime(r: RuntimeResult, every: Sequence[RuntimeResult]) -> str:
    what = ", ".join(filter(None, (r.device, r.precision, _several(r, every))))
    place = f' <span class="soft">({said(what)})</span>' if what else ""
    head = (
        f"<h3><b>{said(r.name)}</b> {said(r.version)}{place} "
        f'<span class="{said(r.status)}">{said(r.status)}</span></h3>'
    )
    told = "" if r.status == "fail" else r.diagnosis or r.reason  # why it failed stands above
    return head + pages.items(sentences(told))


def _ledger(ledger: LedgerReport | None) -> str:
    if ledger is None or ledger.unreadable:
        why = f": {ledger.unreadable}" if ledger else ""
        return f"<p>Weights were not read back{said(why)}.</p>"
    wrong = (
        *(f"differs: {line}" for line in ledger.different),
        *(f"missing: {line}" for line in ledger.missing),
        *(f"not in the source: {line}" for line in ledger.extra),
    )
    state = f"{len(wrong)} blocks wrong" if wrong else "all bit for bit the source's"
    return f"<p>{ledger.compared:,} numbers, {state}</p>{pages.items(wrong)}"


def facts(found: Mapping[str, Fact[Any]]) -> str:
    """What the source says besides its weights, and on what ground."""
    rows = [
        (
            f"<code>{said(one.name)}</code>",
            said(one.value),
            said(one.layers),
            f'<span class="is-{said(one.basis)}">{said(one.basis)}</span>',
            said(one.where).replace("/", "/<wbr>") + (", ..." if one.more else ""),
        )
        for one in grouped(found)
    ]
    if not rows:
        return ""
    return pages.table(("fact", "value", "layers", "basis", "where"), rows, kind="facts")
