"""An output along time, as inline SVG: its differences on the ground of what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lstmbridge.contracts import Trace
from lstmbridge.report.drawing import Scale, cut, said, scale_of

_WIDTH, _HEIGHT = 440, 150
_LEFT, _TOP, _RIGHT, _BOTTOM = 42, 22, 10, 24
_TICKS = 4
_NAME, _LEAST = 62, 24
"""Letters above a panel, and of them the name's."""


def shared_scale(traces: Iterable[Trace]) -> Scale:
    """One scale upwards for all panels, so that they may be compared."""
    values = [x for t in traces for x in (*t.off, *t.allowed)]
    return scale_of(values, _HEIGHT - _TOP - _BOTTOM)


def trace_panel(name: str, trace: Trace, scale: Scale) -> str:
    """One output: a curve by steps, dots by lengths; what passes the allowance is red."""
    where = f", probe {trace.probe}" if trace.probe else ""
    short = cut(name, max(_NAME - len(where), _LEAST))
    shown = where if len(where) <= _NAME - _LEAST else f"{where[: _NAME - _LEAST]}…"
    xs = _across(trace)
    body = [
        f'<text x="{_LEFT}" y="13">{said(short)}<tspan class="soft">{said(shown)}</tspan></text>',
        *_grid(scale),
        _ground(xs, trace, scale),
        *_marks(xs, trace, scale),
        *_ends(xs, trace),
    ]
    title = f"{name} along time{where}: difference and what is allowed"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{said(title)}</title>{''.join(body)}</svg>"
    )


def _across(trace: Trace) -> list[float]:
    """Where each point lies from left to right; one alone lies in the middle."""
    room = _WIDTH - _LEFT - _RIGHT
    first, last = trace.at[0], trace.at[-1]
    if first == last:
        return [_LEFT + room / 2] * len(trace.at)
    return [_LEFT + 6 + (room - 12) * (at - first) / (last - first) for at in trace.at]


def _up(value: float, scale: Scale) -> float:
    return _HEIGHT - _BOTTOM - scale.at(value)


def _grid(scale: Scale) -> list[str]:
    step = max(1, math.ceil((scale.high - scale.low) / _TICKS))
    parts = []
    for power in range(scale.low, scale.high + 1, step):
        y = _up(10.0**power, scale)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="soft" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"1e{power}</text>"
        )
    return parts


def _ground(xs: list[float], trace: Trace, scale: Scale) -> str:
    """What is allowed, shaded from the bottom up."""
    bottom = _HEIGHT - _BOTTOM
    tops = [_up(one, scale) for one in trace.allowed]
    left, right = xs[0] - 6, xs[-1] + 6
    line = "".join(f"L{x:.1f} {y:.1f}" for x, y in zip(xs, tops, strict=True))
    return (
        f'<path class="floor" d="M{left:.1f} {bottom}V{tops[0]:.1f}{line}H{right:.1f}V{bottom}Z"/>'
    )


def _marks(xs: list[float], trace: Trace, scale: Scale) -> list[str]:
    tops = [_up(one, scale) for one in trace.off]
    curve = trace.along != "length" and len(xs) > 1
    parts = []
    if curve:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, tops, strict=True))
        parts.append(f'<path class="line" d="M{line}"/>')
    points = zip(xs, tops, trace.at, trace.off, trace.allowed, strict=True)
    for x, y, at, off, allowed in points:
        over = not off <= allowed
        if over or not curve:
            parts.append(
                f'<circle class="{"over" if over else "bar"}" cx="{x:.1f}" cy="{y:.1f}" '
                f'r="{2.5 if curve else 4}"><title>{said(trace.along)} {at}: {off:.2g} of '
                f"{allowed:.2g} allowed</title></circle>"
            )
    return parts


def _ends(xs: list[float], trace: Trace) -> list[str]:
    y = _HEIGHT - 8
    parts = [
        f'<text class="soft" x="{xs[0]:.1f}" y="{y}">{said(trace.along)} {trace.at[0]}</text>'
    ]
    if xs[-1] > xs[0]:
        parts.append(
            f'<text class="soft" x="{xs[-1]:.1f}" y="{y}" text-anchor="end">{trace.at[-1]}</text>'
        )
    return parts
