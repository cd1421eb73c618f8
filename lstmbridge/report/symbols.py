"""The array namespace in which numbers are words: equations run in it and come out as text.

The same lines of `model.equations` that compute are run here, so that what is shown is what is
run. A value is a row of pieces, because a fused array is one block per gate side by side: what
is done to it is done to each piece, and a split gives the pieces back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from lstmbridge.gates import Array

_SUM, _MATMUL, _PRODUCT, _ATOM = range(1, 5)
_BINARY: Mapping[str, tuple[str, int, int, int]] = {
    "add": (" + ", _SUM, _SUM, _SUM),
    "sub": (" - ", _SUM, _SUM, _MATMUL),
    "mul": (" * ", _PRODUCT, _PRODUCT, _PRODUCT),
    "div": (" / ", _PRODUCT, _PRODUCT, _ATOM),
    "matmul": ("·", _MATMUL, _ATOM, _ATOM),
}
"""Word -> its sign, how tightly it binds, and how tightly its left and right side must.

A matrix product stands in parentheses beside an elementwise one, for the reader's sake.
"""
_CALLED: Mapping[str, str] = {"minimum": "min", "maximum": "max"}


class Named(float):
    """A constant that keeps its name while equations look at its value."""

    name: str

    def __new__(cls, value: float, name: str) -> Named:  # noqa: PYI034 - Self is newer than Python 3.10
        """`value`, to be shown as `name`."""
        constant = super().__new__(cls, value)
        constant.name = name
        return constant

    def __neg__(self) -> Named:
        """Equations clamp to [-limit, limit]."""
        return Named(-float(self), f"-{self.name}")


@dataclass(frozen=True, eq=False)
class Term:
    """One operation on one piece, or a name. `number` counts them as they were made."""

    number: int
    operation: str
    parts: tuple[Term, ...] = ()
    text: str = ""


@dataclass(frozen=True, eq=False)
class Row:
    """A value of the namespace: pieces side by side, with their widths."""

    pieces: tuple[Term, ...]
    widths: tuple[int, ...]


class Recorder:
    """Implements `Namespace` for `Row`. It counts the terms that it makes, and nothing else."""

    def __init__(self) -> None:
        self._numbers = count()

    def name(self, *texts: str, width: int) -> Row:
        """Arrays by their names, side by side, each `width` wide."""
        pieces = tuple(Term(next(self._numbers), "name", text=text) for text in texts)
        return Row(pieces, (width,) * len(pieces))

    def constant(self, value: Array | float) -> Row:
        """A number: by its name where it has one."""
        text = value.name if isinstance(value, Named) else f"{float(value):g}"
        return self.name(text, width=1)

    def _each(self, operation: str, *rows: Row) -> Row:
        """Piece by piece; a row of one piece stands beside every piece of the others."""
        longest = max(rows, key=lambda row: len(row.pieces))
        n = len(longest.pieces)
        spread = [row.pieces * n if len(row.pieces) == 1 else row.pieces for row in rows]
        pieces = tuple(
            Term(next(self._numbers), operation, parts) for parts in zip(*spread, strict=True)
        )
        widths = tuple(
            max(row.widths[k if len(row.widths) > 1 else 0] for row in rows) for k in range(n)
        )
        return Row(pieces, widths)

    def matmul(self, a: Row, b: Row) -> Row:
        """The product with each block of columns; likewise below, see `Namespace`."""
        pieces = tuple(
            Term(next(self._numbers), "matmul", (*a.pieces, block)) for block in b.pieces
        )
        return Row(pieces, b.widths)

    def add(self, a: Row, b: Row) -> Row:
        """Sum."""
        return self._each("add", a, b)

    def sub(self, a: Row, b: Row) -> Row:
        """Difference."""
        return self._each("sub", a, b)

    def mul(self, a: Row, b: Row) -> Row:
        """Product."""
        return self._each("mul", a, b)

    def div(self, a: Row, b: Row) -> Row:
        """Quotient."""
        return self._each("div", a, b)

    def minimum(self, a: Row, b: Row) -> Row:
        """Minimum."""
        return self._each("minimum", a, b)

    def maximum(self, a: Row, b: Row) -> Row:
        """Maximum."""
        return self._each("maximum", a, b)

    def exp(self, a: Row) -> Row:
        """Exponential."""
        return self._each("exp", a)

    def sqrt(self, a: Row) -> Row:
        """Square root."""
        return self._each("sqrt", a)

    def sigmoid(self, a: Row) -> Row:
        """Logistic function."""
        return self._each("sigmoid", a)

    def tanh(self, a: Row) -> Row:
        """Hyperbolic tangent."""
        return self._each("tanh", a)

    def relu(self, a: Row) -> Row:
        """Rectifier."""
        return self._each("relu", a)

    def elu(self, a: Row) -> Row:
        """Exponential linear unit."""
        return self._each("elu", a)

    def selu(self, a: Row) -> Row:
        """Scaled exponential linear unit."""
        return self._each("selu", a)

    def softplus(self, a: Row) -> Row:
        """Smooth rectifier."""
        return self._each("softplus", a)

    def softsign(self, a: Row) -> Row:
        """a / (1 + |a|)."""
        return self._each("softsign", a)

    def mean(self, a: Row) -> Row:
        """Mean over the last axis."""
        return Row(self._each("mean", a).pieces, (1,) * len(a.pieces))

    def split(self, a: Row, sizes: Sequence[int]) -> Sequence[Row]:
        """The pieces that make up each size.

        Raises:
            ValueError: a size ends within a piece.
        """
        found, start = [], 0
        for size in sizes:
            end, width = start, 0
            while width < size and end < len(a.pieces):
                width += a.widths[end]
                end += 1
            if width != size:
                raise ValueError(
                    f"a split into {sizes} of blocks {a.widths} wide cuts through one"
                )
            found.append(Row(a.pieces[start:end], a.widths[start:end]))
            start = end
        return found

    def concat(self, parts: Sequence[Row]) -> Row:
        """Side by side."""
        return Row(
            tuple(piece for part in parts for piece in part.pieces),
            tuple(width for part in parts for width in part.widths),
        )


def equations(named: Mapping[str, Term], last: Mapping[str, Term]) -> dict[str, str]:
    """Left side -> right side, in the order in which the terms were made.

    Args:
        named: what has a name of its own (gates, new states).
        last: what is said at the end, under its name, by the names above.

    What is used more than once gets a name too: ``t1``, ``t2``.
    """
    roots = {term: name for name, term in named.items()}
    repeated = _repeated([*named.values(), *last.values()], roots)
    ordered = sorted({**roots, **dict.fromkeys(repeated, "")}, key=lambda term: term.number)
    fresh = count(1)
    names = {term: roots.get(term) or f"t{next(fresh)}" for term in ordered}
    lines = {name: _text(term, names, own=True)[0] for term, name in names.items()}
    return lines | {name: _text(term, names)[0] for name, term in last.items()}


def _repeated(terms: Iterable[Term], named: Mapping[Term, str]) -> set[Term]:
    """Operations without a name that are used more than once."""
    uses: Counter[Term] = Counter()
    seen: set[Term] = set()
    waiting = list(terms)
    while waiting:
        term = waiting.pop()
        if term not in seen:
            seen.add(term)
            uses.update(term.parts)
            waiting += term.parts
    return {t for t, n in uses.items() if n > 1 and t.parts and t not in named}


def _text(term: Term, names: Mapping[Term, str], *, own: bool = False) -> tuple[str, int]:
    """A term in words, and how tightly its outermost sign binds."""
    if not own and term in names:
        return names[term], _ATOM
    if term.operation == "name":
        return term.text, _ATOM
    if term.operation not in _BINARY:
        called = _CALLED.get(term.operation, term.operation)
        return f"{called}({', '.join(_text(part, names)[0] for part in term.parts)})", _ATOM
    sign, binds, *asked = _BINARY[term.operation]
    sides = []
    for part, tightly in zip(term.parts, asked, strict=True):
        text, has = _text(part, names)
        sides.append(text if has >= tightly else f"({text})")
    return sign.join(sides), binds
