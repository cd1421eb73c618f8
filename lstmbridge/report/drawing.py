"""The pictures of the HTML report, as inline SVG: the stack, bars, distances."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from html import escape
from typing import TypeGuard

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
from lstmbridge.report.summary import off

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BOX_WIDTH, _BOX_HEIGHT = 190, 46
_GAP = 22
_BAR_WIDTH = 260
_ALIKE = 4
"""From so many layers on that are alike and follow one another, one box stands for them."""
_LETTERS = 27
"""Of a title in a box."""


def said(words: object) -> str:
    """Any text, safe inside HTML and SVG."""
    return escape(_CONTROLS.sub("\ufffd", str(words)))


def cut(words: str, letters: int = _LETTERS) -> str:
    """As much of a name as there is room for: its end tells it from others."""
    return words if len(words) <= letters else f"…{words[1 - letters :]}"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A drawing whose top left corner is (0, 0), entered and left at the middle of its width."""

    width: float
    height: float
    svg: str


def _moved(piece: _Piece, x: float, y: float) -> str:
    return f'<g transform="translate({x:g} {y:g})">{piece.svg}</g>'


def _box(title: str, line: str, kind: str = "") -> _Piece:
    middle = _BOX_WIDTH / 2
    svg = (
        f'<rect class="box {kind}" x=".5" y=".5" width="{_BOX_WIDTH - 1}" '
        f'height="{_BOX_HEIGHT - 1}" rx="5"><title>{said(title)}: {said(line)}</title></rect>'
        f'<text x="{middle}" y="19" text-anchor="middle">{said(cut(title))}</text>'
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


@dataclass(frozen=True, slots=True)
class _Pen:
    """What is still to be drawn, and how.

    Attributes:
        names: of the blocks with weights, in the order they are met.
        wrong: the layers that departed.
    """

    names: list[str]
    wrong: Collection[str]

    def draw(self, block: Block, arrow: str) -> _Piece:
        """Draw `block`, whose time runs as `arrow` says."""
        if isinstance(block, Recurrent):
            return self._recurrent([block], arrow)
        if isinstance(block, Dense):
            name = self.names.pop(0)
            return _box(f"{name}: dense", f"{block.input_size} → {block.output_size}")
        if isinstance(block, Residual):
            return _around(self.draw(block.inner, arrow), "+ input")
        if isinstance(block, Highway):
            inner = self.draw(block.inner, arrow)
            return _around(inner, self.names.pop(0))
        if isinstance(block, Bidirectional):
            forward = self.draw(block.forward, arrow)
            return _beside(forward, self.draw(block.backward, "←"))
        return _stacked([self._recurrent(run, arrow) if _is_row(run) else self.draw(run[0], arrow)
                         for run in _runs(_children(block))])  # fmt: skip

    def _recurrent(self, run: list[Recurrent], arrow: str) -> _Piece:
        """One layer, or many that are alike and follow one another."""
        cell = run[0].cell
        sizes = f"{cell.input_size} → {cell.output_size}"
        if cell.output_size != cell.units:
            sizes = f"{cell.input_size} → {cell.units} units → {cell.output_size}"
        names = [self.names.pop(0) for _ in run]
        kind = "over" if any(name in self.wrong for name in names) else "native"
        if len(run) == 1:
            return _box(f"{names[0]}: {cell.KIND} {arrow}", sizes, kind)
        title = f"{names[0]} to {names[-1]}: {cell.KIND} {arrow}"
        return _box(title, f"{len(run)} layers, each {sizes}", kind)


def _children(block: Sequence) -> tuple[Block, ...]:
    return block.blocks


def _is_row(run: list[Block]) -> TypeGuard[list[Recurrent]]:
    return isinstance(run[0], Recurrent)


def _runs(blocks: Iterable[Block]) -> list[list[Block]]:
    """The blocks in order, those together that one box can stand for."""
    runs: list[list[Block]] = []
    for block in blocks:
        if runs and _look(block) is not None and _look(runs[-1][-1]) == _look(block):
            runs[-1].append(block)
        else:
            runs.append([block])
    return [part for run in runs for part in ([run] if len(run) >= _ALIKE else [[x] for x in run])]


def _look(block: Block) -> tuple[object, ...] | None:
    """What a layer's box says of it but its name; None for what is no layer."""
    if not isinstance(block, Recurrent):
        return None
    cell = block.cell
    return (cell.KIND, cell.input_size, cell.units, cell.output_size)


def stack(model: Model, wrong: Collection[str] = ()) -> str:
    """The network from its inputs (top) to its outputs; arrows say how time runs.

    Args:
        model: no weight of it is read.
        wrong: names of layers to be marked.
    """
    pen = _Pen([place.name for place in model.places], wrong)
    body = _stacked(
        [
            _box("inputs", f"{model.input_size} features a step"),
            pen.draw(model.root, "→"),
            _box("outputs", f"{model.output_size} features a step"),
        ]
    )
    title = f"{len(model.layers)} recurrent layers, {model.input_size} to {model.output_size}"
    return svg(body.width + 2, body.height + 2, _moved(body, 1, 1), title)


def svg(width: float, height: float, body: str, title: str) -> str:
    """A picture, with words for those who do not see it."""
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
    return scale_of([x for one in found for x in (off(one), one.allowed)], _BAR_WIDTH - 2)


def error_bar(one: OutputComparison, scale: Scale) -> str:
    """The difference at the worst place as a bar, what is allowed there as a mark."""
    over = bool(one.problem) or not one.ratio <= 1
    length, limit = scale.at(off(one)), scale.at(one.allowed)
    body = (
        f'<line class="grid" x1="0" x2="{scale.width:g}" y1="9" y2="9"/>'
        f'<rect class="{"over" if over else "bar"}" y="5" width="{max(length, 1):.1f}" '
        f'height="8" rx="1"/>'
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="1" y2="17"/>'
    )
    return svg(_BAR_WIDTH, 18, body, f"{off(one):.2g} of {one.allowed:.2g} allowed")
