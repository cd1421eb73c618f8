"""A layer drawn as blocks: which rows of its kernels see x and which h, which columns are whose.

It answers the question of whoever stands before ``kernel (7, 8)`` for the first time, for any
cell: what is drawn is what the cell's fields say of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstmbridge.gates import ORDERS, Cut, GateBlocks, Weights
from lstmbridge.model.blocks import Attachment
from lstmbridge.model.cells import Cell
from lstmbridge.report.layout import GLUE, WIDTH, wrapped

INDENT = 6
"""Columns that whoever prints a picture puts in front of it."""
_PLAIN = str.maketrans(
    {**dict(zip("┌┬┐├┼┤└┴┘│─", "+++++++++|-", strict=True)), "→": "->", "·": "@"}
)
_ROWS = {"kernel": "x", "recurrent": "h"}
"""Fields whose rows are what comes in, by the name of what comes in."""
_NAMED = 3
"""So many stored tensors are named above a table; more are counted."""


def plain(text: str) -> str:
    """`text` with its lines and signs in ASCII, for terminals that know no other."""
    return text.translate(_PLAIN)


def shape_of(shape: tuple[int, ...]) -> str:
    """``(7, 8)``, ``(8,)``."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of boxes: a label in front, and a text or nothing under each gate."""

    label: str
    boxes: tuple[str, ...]


def _whole(stored: Weights) -> Weights:
    """The stored tensor that `stored` is a piece of, or itself."""
    while isinstance(stored, Cut):
        stored = stored.source
    return stored


def _sources(blocks: GateBlocks, gates: Sequence[str]) -> list[Weights]:
    """The stored tensors that hold `gates`, each once."""
    found: dict[tuple[str, tuple[int, ...]], Weights] = {}
    for gate in gates:
        if gate in blocks:
            whole = _whole(blocks.cut(gate))
            found.setdefault((whole.name, whole.shape), whole)
    return list(found.values())


def _span(stored: Weights, axis: int) -> str:
    if not isinstance(stored, Cut):
        return ""
    span = stored.index[axis]
    return f"{span.start}:{span.stop}"


def _fields(cell: Cell) -> dict[str, GateBlocks]:
    """Fields with gates: those with rows first."""
    found = {name: b for name, b in cell.blocks.items() if isinstance(b, GateBlocks)}
    return dict(sorted(found.items(), key=lambda item: -len(item[1].shape)))


def _tables(cell: Cell) -> list[tuple[str, ...]]:
    """The gates that are stored side by side, table by table, in the order in which they lie.

    Gates of which each has tensors of its own share one table.
    """
    blocks = next(iter(_fields(cell).values()))
    together: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for gate in blocks.gates:
        whole = _whole(blocks.cut(gate))
        together.setdefault((whole.name, whole.shape), []).append(gate)
    if all(len(gates) == 1 for gates in together.values()):
        return [blocks.gates]
    return [tuple(gates) for gates in together.values()]


def common_scope(names: Sequence[str]) -> str:
    """The scope that all of `names` lie in; "" where there is none."""
    scopes = [name.split("/")[:-1] for name in names]
    common = []
    for segments in zip(*scopes, strict=False):
        if len(set(segments)) > 1:
            break
        common.append(segments[0])
    return "/".join(common)


def _within(name: str, scope: str) -> str:
    """`name` as it is called inside `scope`."""
    return name.removeprefix(f"{scope}/") if scope else name


def _stored_in(cell: Cell) -> str:
    """The scope of every tensor of `cell`."""
    names: list[str] = []
    for stored in cell.blocks.values():
        if isinstance(stored, GateBlocks):
            names += [source.name for source in _sources(stored, stored.gates)]
        else:
            names.append(_whole(stored).name)
    return common_scope(names)


def _letters(cell: Cell, gates: Sequence[str]) -> list[str]:
    """What TensorFlow calls the gates where it differs, "" where it does not."""
    orders = ORDERS.get(cell.KIND, {}).get("TensorFlow 1", ())
    own = {gate: order.letter(gate) for order in orders for gate in order.gates}
    return ["" if own.get(gate, gate) == gate else own[gate] for gate in gates]


def _heading(cell: Cell, gates: Sequence[str], scope: str) -> str:
    """Which stored tensors a table shows."""
    named: dict[str, None] = {}
    for field, blocks in _fields(cell).items():
        sources = _sources(blocks, gates)
        if len(sources) > 1:
            named[f"{field} in {len(sources)} tensors"] = None
        for source in sources if len(sources) == 1 else ():
            named[f"{_within(source.name, scope)}{GLUE}{shape_of(source.shape)}"] = None
    *rest, last = named
    said = f"{', '.join(rest)} and {last}" if rest else last
    columns = ", columns by gate" if len(gates) > 1 else ""
    return f"{said}; {cell.dtype}{columns}:"


def _rows(cell: Cell, gates: Sequence[str]) -> list[_Row]:
    rows = []
    for field, blocks in _fields(cell).items():
        here = [gate for gate in gates if gate in blocks]
        if not here:
            continue
        label = field
        if field in _ROWS:
            spans = {_span(blocks.cut(gate), 0) for gate in here}
            said = spans.pop() if len(spans) == 1 else ""
            label = f"{_ROWS[field]} rows {said}" if said else _ROWS[field]
        boxes = tuple(shape_of(blocks.shape) if gate in here else "" for gate in gates)
        rows.append(_Row(label, boxes))
    return rows


def _heads(cell: Cell, gates: Sequence[str]) -> list[tuple[str, ...]]:
    """What stands above the boxes: the gate, TensorFlow's letter where it differs, its columns."""
    blocks = next(iter(_fields(cell).values()))
    spans = tuple(_span(blocks.cut(gate), -1) for gate in gates)
    names = tuple(
        f"W_{gate} (TF {letter})" if letter else f"W_{gate}"
        for gate, letter in zip(gates, _letters(cell, gates), strict=True)
    )
    return [names, spans] if any(spans) else [names]


def _boxes(heads: Sequence[tuple[str, ...]], rows: Sequence[_Row]) -> list[str]:
    """Boxes under column heads, in as many tables as the width asks for."""
    margin = max(len(row.label) for row in rows) + 1
    columns = list(zip(*heads, *(row.boxes for row in rows), strict=True))
    widest = max(len(text) for column in columns for text in column)
    room = WIDTH - INDENT - margin - 1
    pad = 2 if len(columns) * (widest + 3) <= room else 0
    fit = max(room // (widest + pad + 1), 1)
    tables = -(-len(columns) // fit)
    each = -(-len(columns) // tables)
    lines: list[str] = []
    for start in range(0, len(columns), each):
        piece = slice(start, start + each)
        lines += _one_table(
            [head[piece] for head in heads],
            [_Row(row.label, row.boxes[piece]) for row in rows],
            widest + pad,
            margin,
        )
    return lines


def _one_table(
    heads: Sequence[tuple[str, ...]], rows: Sequence[_Row], width: int, margin: int
) -> list[str]:
    def rule(left: str, middle: str, right: str) -> str:
        return " " * margin + left + middle.join("─" * width for _ in heads[0]) + right

    def centred(texts: Sequence[str], between: str) -> str:
        return between.join(text.center(width) for text in texts)

    lines = [(" " * (margin + 1) + centred(head, " ")).rstrip() for head in heads]
    lines.append(rule("┌", "┬", "┐"))
    for number, row in enumerate(rows):
        if number:
            lines.append(rule("├", "┼", "┤"))
        lines.append(f"{row.label.ljust(margin)}│{centred(row.boxes, '│')}│")
    lines.append(rule("└", "┴", "┘"))
    return lines


def draw(cell: Cell) -> list[str]:
    """The blocks of `cell`, as lines of text: a table per stored kernel, columns by gate.

    The first line is a heading that may be long; the others fit beside an indent of `INDENT`.
    """
    scope = _stored_in(cell)
    lines: list[str] = []
    for gates in _tables(cell):
        heading = _heading(cell, gates, scope)
        lines += wrapped(heading, hang=0, width=WIDTH - INDENT) if lines else [heading]
        lines += _boxes(_heads(cell, gates), _rows(cell, gates))
    for field, stored in cell.blocks.items():
        if not isinstance(stored, GateBlocks):
            name = _within(_whole(stored).name, scope)
            called = "" if name == field else f"{field}: "
            lines.append(f"{called}{name} {shape_of(stored.shape)}")
    return lines


def stored_as(attachment: Attachment) -> str:
    """The tensors of a block that is no cell, in one line."""
    weights = list(attachment.block.weights.values())
    scope = common_scope([stored.name for stored in weights])
    return ", ".join(f"{_within(w.name, scope)}{GLUE}{shape_of(w.shape)}" for w in weights)
