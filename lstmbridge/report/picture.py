"""A layer drawn as blocks: which rows of its kernel see x and which h, which columns are whose.

It answers the question of whoever stands before ``kernel (7, 8)`` for the first time.
"""

from __future__ import annotations

from collections.abc import Sequence

from lstmbridge.gates import Cut, GateBlocks
from lstmbridge.model.cells import Cell

_PLAIN = str.maketrans("┌┬┐├┼┤└┴┘│─→", "+++++++++|->")


def plain(text: str) -> str:
    """`text` with its lines drawn in ASCII, for terminals that know no other."""
    return text.translate(_PLAIN)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _span(blocks: GateBlocks, gate: str, axis: int) -> str:
    cut = blocks.cut(gate)
    if not isinstance(cut, Cut):
        return ""
    span = cut.index[axis]
    return f"{span.start}:{span.stop}"


def _table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Boxes under column heads; a row is (label in front, cells)."""
    columns = list(zip(header, *(cells for _, cells in rows), strict=True))
    widths = [max(len(text) for text in column) + 2 for column in columns]
    margin = max(len(label) for label, _ in rows) + 2

    def rule(left: str, middle: str, right: str) -> str:
        return " " * margin + left + middle.join("─" * w for w in widths) + right

    lines = [
        " " * (margin + 1) + " ".join(h.center(w) for h, w in zip(header, widths, strict=True))
    ]
    lines.append(rule("┌", "┬", "┐"))
    for number, (label, cells) in enumerate(rows):
        if number:
            lines.append(rule("├", "┼", "┤"))
        body = "│".join(c.center(w) for c, w in zip(cells, widths, strict=True))
        lines.append(f"{label.ljust(margin)}│{body}│")
    lines.append(rule("└", "┴", "┘"))
    return lines


def _stored_as(blocks: GateBlocks) -> str:
    cut = blocks.cut(blocks.gates[0])
    source = cut.source if isinstance(cut, Cut) else cut
    return f"{source.name.rsplit('/', 1)[-1]} {_shape(source.shape)}"


def draw(cell: Cell) -> list[str]:
    """The blocks of `cell`, as lines of text: rows of the stored kernel, columns by gate."""
    gates = cell.kernel.gates
    header = [f"W_{g} {_span(cell.kernel, g, -1)}".strip() for g in gates]
    rows = [
        (
            f"{label} rows {_span(blocks, gates[0], 0)}",
            [_shape(blocks.cut(g).shape) for g in gates],
        )
        for label, blocks in (("x", cell.kernel), ("h", cell.recurrent))
    ]
    stored = [f"{_stored_as(cell.kernel)} {cell.dtype}"]
    if cell.bias is not None:
        rows.append(("bias", [_shape(cell.bias.cut(g).shape) for g in gates]))
        stored.append(_stored_as(cell.bias))
    if cell.peephole is not None:
        peephole = cell.peephole
        rows.append(
            ("peephole", [_shape(peephole.cut(g).shape) if g in peephole else "" for g in gates])
        )
    lines = [f"{' and '.join(stored)}, columns by gate:", *_table(header, rows)]
    if cell.projection is not None:
        lines.append(f"projection {_shape(cell.projection.shape)}: {cell.units} units → h")
    return lines
