"""Boxes and wires from top to bottom, as inline SVG: what is fed above, what comes of it below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lstmbridge.report.drawing import cut, said, svg

_WIDE, _TALL, _BESIDE, _BETWEEN = 214, 46, 16, 30
_ACROSS = 4
"""Boxes beside each other; more go into a row of their own."""
_TITLE, _LINE = 29, 32
"""Letters that a box has room for."""
_PASSING = 26
"""Room for a wire that goes past a row of boxes."""
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Box:
    """What stands in a box. `kind`: input, output, native, loop, or "" for plain operations."""

    title: str
    line: str
    kind: str


@dataclass(frozen=True, slots=True)
class Flow:
    """Boxes by their keys, and pairs of keys: what feeds what. There is no way in a circle."""

    boxes: Mapping[str, Box]
    wires: tuple[tuple[str, str], ...]


Point = tuple[str, int]
"""A box: (its key, -1), or its wires where they pass row k: (its key, k)."""


def picture(flow: Flow, title: str) -> str:
    """The whole drawing.

    Args:
        flow: what to draw.
        title: in words, for those who do not see it.
    """
    rows = _rows(flow)
    last = max(rows.values(), default=0)
    table: list[list[Point]] = [[] for _ in range(last + 1)]
    for key, row in rows.items():
        table[row].append((key, -1))
    links: dict[tuple[Point, Point], None] = {}
    for start, end in flow.wires:
        at: Point = (start, -1)
        for row in range(rows[start] + 1, rows[end]):
            passing: Point = (start, row)  # wires of one giver go past together
            if passing not in table[row]:
                table[row].append(passing)
            links[at, passing] = None
            at = passing
        links[at, (end, -1)] = None
    _sort(table, list(links))
    return _drawn(flow, table, list(links), title)


def _rows(flow: Flow) -> dict[str, int]:
    """Each box below all that feed it; an input right above what it feeds."""
    before: dict[str, list[str]] = {key: [] for key in flow.boxes}
    behind: dict[str, list[str]] = {key: [] for key in flow.boxes}
    for start, end in flow.wires:
        before[end].append(start)
        behind[start].append(end)
    rows: dict[str, int] = {}
    waiting = {key: len(found) for key, found in before.items()}
    ready = [key for key, count in waiting.items() if not count]
    for key in ready:  # grows while it is walked
        rows[key] = max((rows[one] + 1 for one in before[key]), default=0)
        for one in behind[key]:
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    for key, found in before.items():
        if not found and behind[key]:
            rows[key] = min(rows[one] for one in behind[key]) - 1
    return _narrowed(rows, behind)


def _narrowed(rows: Mapping[str, int], behind: Mapping[str, list[str]]) -> dict[str, int]:
    """Rows of few boxes each, those that end there last; nothing in a row feeds another."""
    table: dict[int, list[str]] = {}
    for key, row in rows.items():
        table.setdefault(row, []).append(key)
    found, at = {}, 0
    for row in sorted(table):
        keys = sorted(table[row], key=lambda key: not behind[key])
        for k, key in enumerate(keys):
            found[key] = at + k // _ACROSS
        at += (len(keys) - 1) // _ACROSS + 1
    return found


def _sort(table: list[list[Point]], links: list[tuple[Point, Point]]) -> None:
    """Put neighbours above each other: each point near the middle of what it is linked to."""
    linked: dict[Point, list[Point]] = {}
    for a, b in links:
        linked.setdefault(a, []).append(b)
        linked.setdefault(b, []).append(a)
    for _ in range(_SWEEPS):
        spots = {point: (k + 0.5) / len(row) for row in table for k, point in enumerate(row)}

        def middle(point: Point, spots: Mapping[Point, float] = spots) -> float:
            near = [spots[one] for one in linked.get(point, ())]
            return sum(near) / len(near) if near else spots[point]

        for row in table:
            row.sort(key=middle)


def _drawn(
    flow: Flow, table: list[list[Point]], links: list[tuple[Point, Point]], title: str
) -> str:
    widths = [
        sum(_WIDE if k < 0 else _PASSING for _, k in row) + _BESIDE * (len(row) - 1)
        for row in table
    ]
    width = max(widths, default=0)
    spots: dict[Point, tuple[float, float]] = {}
    for k, row in enumerate(table):
        x, y = (width - widths[k]) / 2, k * (_TALL + _BETWEEN)
        for point in row:
            room = _WIDE if point[1] < 0 else _PASSING
            spots[point] = (x + room / 2, y)
            x += room + _BESIDE
    wires = "".join(_wire(spots[a], spots[b]) for a, b in links)
    passing = "".join(
        f'<path class="wire" d="M{x:.1f} {y}v{_TALL}"/>'
        for (_, row), (x, y) in spots.items()
        if row >= 0
    )
    boxes = "".join(_box(box, *spots[key, -1]) for key, box in flow.boxes.items())
    height = len(table) * (_TALL + _BETWEEN) - _BETWEEN
    body = f'<g transform="translate(1 1)">{wires}{passing}{boxes}</g>'
    return svg(width + 2, max(height, 0) + 2, body, title)


def _wire(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, top), (x2, bottom) = start, end
    y, half = top + _TALL, _BETWEEN / 2
    return (
        f'<path class="wire" d="M{x:.1f} {y}C{x:.1f} {y + half} {x2:.1f} {bottom - half} '
        f'{x2:.1f} {bottom}"/>'
    )


def _box(box: Box, x: float, y: float) -> str:
    kind = {"input": "port", "output": "port"}.get(box.kind, box.kind)
    title = _short(box.title, _TITLE) if ", " in box.title else cut(box.title, _TITLE)
    round_by = _TALL / 2 if kind == "port" else 5
    return (
        f'<rect class="box {kind}" x="{x - _WIDE / 2 + 0.5:.1f}" y="{y + 0.5}" '
        f'width="{_WIDE - 1}" height="{_TALL - 1}" rx="{round_by}">'
        f"<title>{said(box.title)}: {said(box.line)}</title></rect>"
        f'<text x="{x:.1f}" y="{y + 19}" text-anchor="middle">'
        f"{said(title)}</text>"
        f'<text class="soft" x="{x:.1f}" y="{y + 36}" text-anchor="middle">'
        f"{said(_short(box.line, _LINE))}</text>"
    )


def _short(line: str, letters: int) -> str:
    return line if len(line) <= letters else f"{line[: letters - 1]}…"
