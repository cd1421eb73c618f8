"""Inspections, verdicts and conversions as text for a person at a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Many
from typing import Any

from lstmbridge.contracts import (
    Conversion,
    Ignored,
    Inspection,
    LedgerReport,
    Outcome,
    OutputComparison,
    Part,
    RuntimeInfo,
    RuntimeResult,
    Verdict,
)
from lstmbridge.model.blocks import (
    Attachment,
    Bidirectional,
    Block,
    Highway,
    Layer,
    Residual,
    Sequence,
)
from lstmbridge.model.facts import Basis, Fact
from lstmbridge.report import overview
from lstmbridge.report.facts import grouped, several
from lstmbridge.report.layout import columns, wrapped
from lstmbridge.report.picture import INDENT, common_scope, draw, shape_of, stored_as
from lstmbridge.report.summary import off, times

Row = tuple[str, str, str, str]
"""Name, kind, sizes, and where it is stored or what it does."""

_IGNORED_SHOWN = 12
_DEPARTED_SHOWN = 4
_LEAST = 0.01
"""A smaller share is not told from another."""
_NEAR = 10
"""From this ratio on, "times what is allowed" is easier to read than a fraction."""


def plural(n: int, noun: str) -> str:
    """``"1 layer"``, ``"2 layers"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def grouped_facts(facts: Mapping[str, Fact[Any]]) -> list[str]:
    """``name = value (basis: where)``, layers that agree said once."""
    lines = []
    for one in grouped(facts):
        place = f" in {one.layers}" if one.layers else ""
        where = f": {one.where}" if one.where else ""
        more = ", ..." if one.more else ""
        lines.append(f"{one.name} = {one.value}{place}  ({one.basis}{where}{more})")
    return lines


def _row(place: Layer | Attachment, part: Part) -> Row:
    """Name, kind, sizes and where it is stored."""
    if isinstance(place, Attachment):
        block = place.block
        sizes = f"{block.input_size} → {block.output_size}"
        return place.name, type(block).__name__, sizes, stored_as(place)
    cell = place.cell
    sizes = f"{cell.input_size} → {cell.output_size}"
    if cell.output_size != cell.units:
        sizes = f"{cell.input_size} → {cell.units} units → {cell.output_size}"
    scope = common_scope(part.variables.get(place.name, ()))
    return place.name, cell.KIND, sizes, scope.removeprefix(f"{part.name}/")


def _rows(block: Block, places: Iterator[Layer | Attachment], part: Part) -> list[Row]:
    """A row for each place in `block`, and one for each residual, after what it goes around."""
    if isinstance(block, Bidirectional):
        children: tuple[Block, ...] = (block.forward, block.backward)
        return [row for child in children for row in _rows(child, places, part)]
    if isinstance(block, Sequence):
        return [row for child in block.blocks for row in _rows(child, places, part)]
    inner = _rows(block.inner, places, part) if isinstance(block, Highway | Residual) else []
    if isinstance(block, Residual):
        size = block.output_size
        return [*inner, ("", "residual", f"{size} → {size}", f"adds the input of {inner[0][0]}")]
    return [*inner, _row(next(places), part)]


def _part(part: Part) -> list[str]:
    layers = part.model.layers
    title = f"{part.name or '(no scope)'}: {plural(len(layers), 'layer')}, {part.dialect}"
    rows = _rows(part.model.root, iter(part.model.places), part)
    lines = ["", *wrapped(title), *columns(rows, indent=4)]
    lines += ["", "    facts"]
    for line in grouped_facts(part.model.all_facts):
        lines += wrapped(line, INDENT)
    drawn: dict[tuple[str, ...], list[str]] = {}
    for layer in layers:
        drawn.setdefault(tuple(draw(layer.cell)), []).append(layer.name)
    for picture, names in drawn.items():
        lines += ["", *wrapped(f"{several(names)}: {picture[0]}", 4)]
        lines += [" " * INDENT + line for line in picture[1:]]
    return lines


def _left_aside(ignored: Many[Ignored], *, verbose: bool) -> list[str]:
    """Variables that are no part of a layer, those with one reason together."""
    groups: dict[str, list[Ignored]] = {}
    for x in ignored:
        whose = re.search(r" of ([^\s;,]+)", x.reason)
        said = whose is not None and x.name.startswith(whose[1])  # by the name itself
        reason = x.reason.replace(whose[0], "") if whose and said else x.reason
        groups.setdefault(reason, []).append(x)
    lines = ["", f"not part of a layer: {plural(len(ignored), 'variable')}"]
    left = len(ignored) if verbose else _IGNORED_SHOWN
    for reason, found in groups.items():
        shown = found[:left]
        left -= len(shown)
        if shown:
            width = max(len(x.name) for x in shown)
            lines += wrapped(reason, 4)
            lines += [f"      {x.name:<{width}}  {shape_of(x.shape)}" for x in shown]
    hidden = 0 if verbose else len(ignored) - _IGNORED_SHOWN
    return [*lines, f"    ... {hidden:,} more with --verbose"] if hidden > 0 else lines


def inspection(i: Inspection, *, verbose: bool = False) -> str:
    """What `inspect` prints."""
    found = i.recognition
    producer = f", written by {i.producer}" if i.producer else ""
    files = plural(len(i.files), "file")
    lines = [f"{i.path}", f"{i.format}{producer}, {files}"]
    for part in found.parts:
        lines += _part(part)
    if i.whole is not None:
        lines += overview.lines(i.whole)
    if found.ignored:
        lines += _left_aside(found.ignored, verbose=verbose)
    if found.refusals:
        lines += ["", "not recognised"]
        for x in found.refusals:
            lines += wrapped(f"{x.where}: {x.reason}", 4)
    return "\n".join(lines)


def assumption_warnings(facts: Mapping[str, Fact[Any]]) -> tuple[str, ...]:
    """One warning that names what rests on a class's default only; none when nothing does."""
    assumed = {name: f for name, f in facts.items() if f.basis is Basis.ASSUMED}
    if not assumed:
        return ()
    said = "".join(f"\n  {line}" for line in grouped_facts(assumed))
    return (f"assumed, because nothing states it (--strict makes this an error):{said}",)


def difference(name: str, c: OutputComparison) -> str:
    """How far one output is off at its worst place, and on which probe."""
    if c.problem:
        return f"{name}: {c.problem}, on probe {c.probe}"
    place = ", ".join(map(str, c.worst_index))
    ratio = f"{c.ratio:.2f} of" if c.ratio < _NEAR else f"{times(c.ratio)}"
    if 0 < c.ratio < _LEAST:
        ratio = f"less than {_LEAST} of"
    return (
        f"{name}[{place}] differs by {off(c):.2g}, {ratio} the {c.allowed:.2g} allowed, "
        f"on probe {c.probe}"
    )


def _flat(message: str) -> str:
    """A message of several lines (what was read, where, what to do) as one sentence."""
    return re.sub(r"\s*\n\s*", "; ", message)


def _runtime(r: RuntimeResult) -> list[str]:
    head = f"  {r.name} {r.version}".rstrip()
    if r.status in {"unavailable", "error"}:
        return [f"{head}: {r.status}: {_flat(r.reason)}"]
    place = ", ".join(x for x in (r.device, r.precision) if x)
    numbers = sum(c.comparisons for c in r.outputs.values())
    lines = [
        f"{head} ({place}): {plural(numbers, 'number')} of {plural(len(r.outputs), 'output')}"
    ]
    worst = sorted(r.outputs.items(), key=lambda item: item[1].ratio, reverse=True)
    departed = [(name, c) for name, c in worst if c.problem or not c.ratio <= 1]
    if departed:
        lines += [f"    {line}" for line in r.diagnosis.splitlines()]
        lines += [f"    {difference(name, c)}" for name, c in departed[:_DEPARTED_SHOWN]]
        more = len(departed) - _DEPARTED_SHOWN
        if more > 0:
            lines.append(f"    and {plural(more, 'output')} more")
    elif worst:
        lines.append(f"    at worst, {difference(*worst[0])}")
    if r.counterexample is not None:
        lines.append(
            f"    the smallest input that shows it is {r.counterexample.size} (rows x steps); "
            "--save-failure PATH keeps it"
        )
    return lines + _claims(r)


def _claims(r: RuntimeResult) -> list[str]:
    """What the file claims beyond its outputs: those that hold in one line, others each."""
    held = [name for name, c in r.checks.items() if not c.problem and c.ratio <= 1]
    wrong = [f"    not so: {difference(n, c)}" for n, c in r.checks.items() if n not in held]
    if not held:
        return wrong
    numbers = sum(r.checks[name].comparisons for name in held)
    return [*wrong, f"    held, on {plural(numbers, 'number')}: {'; '.join(held)}"]


def _ledger(ledger: LedgerReport) -> list[str]:
    if ledger.unreadable:
        return [f"  weights were not read back: {ledger.unreadable}"]
    wrong = [
        *ledger.different,
        *(f"missing: {name}" for name in ledger.missing),
        *(f"not in the source: {name}" for name in ledger.extra),
    ]
    state = f"{plural(len(wrong), 'block')} wrong" if wrong else "all bit for bit the source's"
    line = f"  weights read back from the file: {plural(ledger.compared, 'number')}, {state}"
    shown = [f"    {text}" for text in wrong[:_DEPARTED_SHOWN]]
    if len(wrong) > _DEPARTED_SHOWN:
        shown.append(f"    and {plural(len(wrong) - _DEPARTED_SHOWN, 'block')} more")
    return [line, *shown]


def fitted(lines: Many[str]) -> list[str]:
    """The lines, each within a narrow terminal at its own indent."""
    return [
        piece
        for line in lines
        for piece in wrapped(line.lstrip(), len(line) - len(line.lstrip()), hang=2)
    ]


def verdict(v: Verdict) -> str:
    """What `verify` prints."""
    word = {
        Outcome.PASS: "PASS",
        Outcome.FAIL: "FAIL",
        Outcome.INCONCLUSIVE: "INCONCLUSIVE",
    }[v.outcome]
    lines = [f"{word}  {plural(v.comparisons, 'number')} compared in {v.seconds:.2f} s"]
    if v.outcome is not Outcome.FAIL:
        lines += [f"  because {_flat(reason)}" for reason in v.reasons]
    for r in v.runtimes:
        lines += _runtime(r)
    if v.ledger is not None:
        lines += _ledger(v.ledger)
    faults = v.faults
    line = f"  planted faults: {faults.caught} of {faults.planted} would have been caught"
    if faults.weakest is not None:
        line += (
            f"; the faintest, {faults.weakest[0]}, at {times(faults.weakest[1])} what is allowed"
        )
    lines.append(line)
    if faults.missed:
        lines.append(f"    not separable from rounding: {', '.join(faults.missed)}")
    if faults.indistinguishable:
        lines.append(f"    change nothing on these weights: {', '.join(faults.indistinguishable)}")
    if v.tolerance is not None:
        lines.append(f"  --tolerance {v.tolerance:g} was allowed, in place of the noise floor")
    if v.not_run:
        lines.append("  not run")
        lines += [f"    {text}" for text in v.not_run]
    return "\n".join(fitted(lines))


def _stack(part: Part) -> str:
    layers = plural(len(part.model.layers), "layer")
    return f"{part.name or '(no scope)'}: {layers}, {part.dialect}"


def _whole(c: Conversion) -> list[str]:
    """Inputs, outputs, what inference fixes and the stacks of a whole model."""
    if c.whole is None:
        return []
    whole = c.whole
    stacks = [
        f"{place.name} ({plural(len(place.model.layers), 'layer')})" for place in whole.places
    ]
    lines = ["whole model", *overview.ports(whole.inputs, whole.outputs, whole.settings)]
    return [*lines, *([f"  recurrent stacks: {', '.join(stacks)}"] if stacks else [])]


def conversion(c: Conversion, *, verbose: bool = False) -> str:
    """What `convert` prints."""
    lines = _whole(c) if c.part is None else [_stack(c.part)]
    hows: dict[tuple[str, str], list[str]] = {}
    for e in c.artifact.expressions:
        hows.setdefault((e.how, e.detail), []).append(e.layer)
    for (how, detail), who in hows.items():
        lines.append(f"  {several(who)}: {how}{', ' * bool(detail)}{detail}")
    lines = fitted(lines)
    if c.verdict is not None:
        lines.append(verdict(c.verdict))
    else:
        lines.append("NOT VERIFIED  (--no-verify)")
    if c.path is None:
        lines.append("nothing was written")
    else:
        lines.append(f"wrote {c.path}  ({c.path.stat().st_size:,} bytes) in {c.seconds:.2f} s")
        if verbose:
            lines.append(f"  sha256 {c.sha256}")
        if c.usage:
            lines += ["", *(f"    {line}" for line in c.usage.splitlines())]
    return "\n".join(lines)


def runtimes(found: tuple[RuntimeInfo, ...]) -> str:
    """What `runtimes` prints: what is here, then what is not, and how to get it."""
    here = [(r.name, r.version, r.device) for r in found if r.available]
    lines = ["here", *columns(here, indent=4)]
    absent: dict[str, list[RuntimeInfo]] = {}
    for r in found:
        if not r.available:
            absent.setdefault(r.reason, []).append(r)
    for reason, group in absent.items():
        lines += ["", *wrapped(f"not here: {reason}", 0)]
        lines += columns([(r.name, r.install) for r in group], indent=4)
    return "\n".join(lines)
