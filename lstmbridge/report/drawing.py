"""The pictures of the HTML report, as inline SVG: the stack, bars, distances."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from lstmbridge.contracts import OutputComparison
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Dense,
    Highway,
    Model,
    Recurrent,
    Residual,
    Sequence,
)

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BOX_WIDTH, _BOX_HEIGHT = 190, 46
_GAP = 22
_BAR_WIDTH = 260
_FAULT_NAMES, _FAULT_AXIS, _FAULT_ROW = 400, 400, 17
_FAULTS_SHOWN = 100
_LONGEST = 62


def said(words: object) -> str:
    """Any text, safe inside HTML and SVG."""
    return escape(_CONTROLS.sub("\ufffd", str(words)))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A drawing whose top left corner is (0, 0), entered and left at the middle of its width."""

    width: float
    height: float
    svg: str


def _moved(piece: _Piece, x: float, y: float) -> str:
    return f'<g transform="translate({x:g} {y:g})">{piece.svg}</g>'


def _box(title: str, line: str) -> _Piece:
    middle = _BOX_WIDTH / 2
    svg = (
        f'<rect class="box" x=".5" y=".5" width="{_BOX_WIDTH - 1}" height="{_BOX_HEIGHT - 1}" '
        f'rx="5"/><text x="{middle}" y="19" text-anchor="middle">{said(title)}</text>'
        f'<text class="soft" x="{middle}" y="36" text-anchor="middle">{said(line)}</text>'
    )
    return _Piece(_BOX_WIDTH, _BOX_HEIGHT, svg)


def _wire(x: float, top: float, x2: float, bottom: float) -> str:
    half = (top + bottom) / 2
    return f'<path class="wire" d="M{x:g} {top:g}V{half:g}H{x2:g}V{bottom:g}"/>'


def _stacked(pieces: Iterable[_Piece]) -> _Piece:
    found = list(pieces)
    width = max(piece.width for piece in found)
    parts, y = [], 0.0
    for k, piece in enumerate(found):
        if k:
            parts.append(_wire(width / 2, y, width / 2, y + _GAP))
            y += _GAP
        parts.append(_moved(piece, (width - piece.width) / 2, y))
        y += piece.height
    return _Piece(width, y, "".join(parts))


def _beside(left: _Piece, right: _Piece) -> _Piece:
    width, inner = left.width + _GAP + right.width, max(left.height, right.height)
    parts, x = [], 0.0
    for piece in (left, right):
        parts += [
            _wire(width / 2, 0, x + piece.width / 2, _GAP),
            _moved(piece, x, _GAP),
            _wire(x + piece.width / 2, _GAP + piece.height, width / 2, inner + 2 * _GAP),
        ]
        x += piece.width + _GAP
    return _Piece(width, inner + 2 * _GAP, "".join(parts))


def _around(inner: _Piece, word: str) -> _Piece:
    """A way around `inner`, on its right; as much room on its left keeps it centred."""
    room = 84
    edge, x = room + inner.width, room + inner.width + 14
    middle = edge - inner.width / 2
    bottom = inner.height + _GAP
    svg = (
        _moved(inner, room, _GAP / 2)
        + f'<path class="wire" d="M{middle:g} 0V{_GAP / 2}M{middle:g} {bottom - _GAP / 2:g}'
        + f'V{bottom:g}M{middle:g} 3H{x:g}V{bottom - 3:g}H{middle:g}"/>'
        + f'<text class="soft" x="{x + 6:g}" y="{bottom / 2 + 4:g}">{said(word)}</text>'
    )
    return _Piece(inner.width + 2 * room, bottom, svg)


def _draw(block: Block, names: list[str], arrow: str) -> _Piece:
    """Draw `block`; `names` are those of the blocks with weights, in the order they are met."""
    if isinstance(block, Recurrent):
        cell = block.cell
        sizes = f"{cell.input_size} → {cell.output_size}"
        if cell.output_size != cell.units:
            sizes = f"{cell.input_size} → {cell.units} units → {cell.output_size}"
        return _box(f"{names.pop(0)}: {cell.KIND} {arrow}", sizes)
    if isinstance(block, Dense):
        return _box(f"{names.pop(0)}: dense", f"{block.input_size} → {block.output_size}")
    if isinstance(block, Residual):
        return _around(_draw(block.inner, names, arrow), "+ input")
    if isinstance(block, Highway):
        inner = _draw(block.inner, names, arrow)
        return _around(inner, names.pop(0))
    if isinstance(block, Bidirectional):
        forward = _draw(block.forward, names, arrow)
        return _beside(forward, _draw(block.backward, names, "←"))
    return _stacked([_draw(child, names, arrow) for child in _children(block)])


def _children(block: Sequence) -> tuple[Block, ...]:
    return block.blocks


def stack(model: Model) -> str:
    """The network from its inputs (top) to its outputs; arrows say how time runs."""
    names = [place.name for place in model.places]
    body = _stacked(
        [
            _box("inputs", f"{model.input_size} features a step"),
            _draw(model.root, names, "→"),
            _box("outputs", f"{model.output_size} features a step"),
        ]
    )
    title = f"{len(model.layers)} recurrent layers, {model.input_size} to {model.output_size}"
    return _svg(body.width + 2, body.height + 2, _moved(body, 1, 1), title)


def _svg(width: float, height: float, body: str, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img"><title>{said(title)}</title>{body}</svg>'
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis: powers of ten `low` to `high`, over `width` pixels."""

    low: int
    high: int
    width: float

    def at(self, value: float) -> float:
        """Where `value` lies; what is off the axis lies at its end."""
        if not value > 0:
            return 0.0
        if not math.isfinite(value):
            return self.width
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.width * min(max(share, 0.0), 1.0)


def scale_of(values: Iterable[float], width: float) -> Scale:
    """A scale on which every value that is positive and finite has its place."""
    logs = [math.log10(v) for v in values if v > 0 and math.isfinite(v)] or [0.0]
    low = math.floor(min(logs))
    return Scale(low, max(math.ceil(max(logs)), low + 1), width)


def error_scale(comparisons: Iterable[OutputComparison]) -> Scale:
    """One scale for all bars, so that they may be compared."""
    found = list(comparisons)
    return scale_of([x for one in found for x in (one.max_abs, one.allowed)], _BAR_WIDTH - 2)


def error_bar(one: OutputComparison, scale: Scale) -> str:
    """The largest difference as a bar, what is allowed (at the worst place) as a mark."""
    over = bool(one.problem) or not one.ratio <= 1
    length, limit = scale.at(one.max_abs), scale.at(one.allowed)
    body = (
        f'<line class="grid" x1="0" x2="{scale.width:g}" y1="9" y2="9"/>'
        f'<rect class="{"over" if over else "bar"}" y="5" width="{max(length, 1):.1f}" '
        f'height="8" rx="1"/>'
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="1" y2="17"/>'
    )
    return _svg(_BAR_WIDTH, 18, body, f"{one.max_abs:.2g} of {one.allowed:.2g} allowed")


def distances(ratios: Mapping[str, float], margin: float) -> str:
    """Each planted fault at its distance from the truth, the faintest first, on a log axis.

    Args:
        ratios: fault -> its departure as a multiple of what is allowed.
        margin: below this it counts as missed.
    """
    rows = sorted(ratios.items(), key=lambda item: item[1])[:_FAULTS_SHOWN]
    scale = scale_of([1.0, 10.0, *(ratio for _, ratio in rows)], _FAULT_AXIS)
    height = 30 + _FAULT_ROW * len(rows)
    parts = [_axis(scale, height)]
    for k, (name, ratio) in enumerate(rows):
        y, x = 34 + _FAULT_ROW * k, _FAULT_NAMES + scale.at(ratio)
        style = "" if ratio > margin else " over"
        short = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
        start = _FAULT_NAMES + scale.at(1.0)
        parts.append(
            f'<text x="{_FAULT_NAMES - 8}" y="{y + 4}" text-anchor="end">{said(short)}</text>'
            f'<line class="rod{style}" x1="{start:.1f}" x2="{x:.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="bar{style}" cx="{x:.1f}" cy="{y}" r="4">'
            f"<title>{said(name)}: {ratio:.3g} times what is allowed</title></circle>"
        )
    title = f"{len(rows)} planted faults, as multiples of what is allowed"
    return _svg(_FAULT_NAMES + _FAULT_AXIS + 30, height + 4, "".join(parts), title)


def _axis(scale: Scale, height: float) -> str:
    step = max(1, (scale.high - scale.low) // 5)
    parts = []
    for power in range(scale.low, scale.high + 1, step):
        x = _FAULT_NAMES + scale.at(10.0**power)
        label = "allowed" if power == 0 else f"10{str(power).translate(_RAISED)} x"
        parts.append(
            f'<line class="{"limit" if power == 0 else "grid"}" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="20" y2="{height}"/>'
            f'<text class="soft" x="{x:.1f}" y="13" text-anchor="middle">{label}</text>'
        )
    return "".join(parts)


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
