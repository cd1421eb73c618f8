"""Lines and columns for terminals, the narrowest of them included."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 80
"""Columns of the narrowest terminal that text is laid out for."""
_HANG = 4
GLUE = "\N{NO-BREAK SPACE}"
"""Between words that stay on one line; shown as a space."""


def wrapped(text: str, indent: int = 0, hang: int = _HANG, width: int = WIDTH) -> list[str]:
    """`text` in lines of at most `width`, the later ones set in by `hang` more than the first."""
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(GLUE, " ") for line in lines]


def columns(rows: Sequence[tuple[str, ...]], indent: int = 0) -> list[str]:
    """Rows under one another; the last column wraps within itself."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)][:-1]
    lines = []
    for *first, last in rows:
        head = "".join(text.ljust(width) for text, width in zip(first, widths, strict=True))
        front = " " * indent + head
        hidden = "_" * len(front)  # holds the place of `head` whatever blanks it has
        pieces = wrapped(hidden + last, hang=len(front)) if last else [hidden]
        lines += [f"{front}{pieces[0].removeprefix(hidden)}".rstrip(), *pieces[1:]]
    return lines
