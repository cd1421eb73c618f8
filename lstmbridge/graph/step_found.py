"""One step of a loop, taken apart: the affine functions in it, and what is done to their values.

From a state that a step makes the walk goes back, through operations that treat every unit
alike, to the first tensors that are products of rows with weights: the step's blocks. What lies
between is a function of the blocks' values and the old states alone, so it can be run on
random ones; what lies behind is given by `affine`.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lstmbridge.graph.affine import Affine
from lstmbridge.graph.functions import ELEMENTWISE
from lstmbridge.graph.network import Loop, LoopVariable, Tensor
from lstmbridge.graph.rows import Piece, Row
from lstmbridge.graph.trace import Tracer

_PASSED = ELEMENTWISE | frozenset(
    {
        *("AddN", "BiasAdd", "Concat", "ConcatV2", "Div", "Inv", "Reciprocal", "Slice", "Split"),
        *("SplitV", "StridedSlice"),
    }
)
_CUTS: Mapping[str, int] = {"Slice": 0, "Split": 1, "SplitV": 0, "StridedSlice": 0, "Unpack": 0}
_JOINS: Mapping[str, slice] = {
    "Concat": slice(1, None),
    "ConcatV2": slice(0, -1),
    "Pack": slice(0, None),
}
_MOST = 400

Rows = Mapping[Tensor, Row]
"""Products by their tensors."""
Added = Mapping[Tensor, tuple[Tensor, ...]]
"""What is added to products."""
_LONGEST = 8


@dataclass(frozen=True)
class Frontier:
    """What a tensor is a function of, unit by unit.

    Attributes:
        products: the blocks' tensors, each with what the step itself adds to it.
        states: loop variables, or pieces of them, that are read without a product.
        others: anything else.
        limits: single numbers on the way, and their nodes.
        passed: the tensors on the way, nearest first.
    """

    products: Mapping[Tensor, tuple[Tensor, ...]]
    states: tuple[Tensor, ...]
    others: tuple[Tensor, ...]
    limits: Mapping[float, str]
    passed: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """As many columns of a product as there are units.

    Attributes:
        start: its first column in `tensor`.
        piece: its weights.
    """

    tensor: Tensor
    start: int
    piece: Piece


@dataclass(frozen=True, eq=False)
class Step:
    """What makes one new state of a loop, and perhaps a second one with it.

    Attributes:
        h: the new state that the next step multiplies with weights; (batch, units).
        h_before: the tensor that it multiplies.
        c_before: the other old state that has a part in it, None where there is none.
        c_choices: tensors that may be the new one.
        x: what else is multiplied.
        inner: what is multiplied and follows from the old state (a reset state).
        blocks: all products with a part in it.
        limits: single numbers on the way.
        plus: what the step itself adds to a block's product before it is that tensor.
    """

    h: Tensor
    h_before: Tensor
    c_before: Tensor | None
    c_choices: tuple[Tensor, ...]
    x: Tensor
    inner: tuple[Tensor, ...]
    units: int
    blocks: tuple[Block, ...]
    limits: Mapping[float, str]
    plus: Mapping[Tensor, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Unlike:
    """Why a state that a loop multiplies with weights belongs to no cell that is known.

    Attributes:
        node: what makes it.
    """

    node: str
    why: str


@dataclass(eq=False)
class StepFinder:
    """Finds the steps of one network's loops."""

    tracer: Tracer
    affine: Affine

    def steps(self, loop: Loop) -> Iterator[Step | Unlike]:
        """Every state of a loop that might be a cell's."""
        made = {v.entry: self._made(v) for v in loop.variables}
        made = {entry: tensors for entry, tensors in made.items() if tensors}
        for entry, tensors in made.items():
            # what carries several states side by side stays in pieces
            width = self.affine.width_of(tensors[0]) if len(tensors) == 1 else None
            if width is not None:
                self.affine.widths.setdefault(entry, width)
        for tensor in dict.fromkeys(t for tensors in made.values() for t in tensors):
            found = self._step(tensor, made)
            if found is not None:
                yield found

    def _made(self, variable: LoopVariable) -> tuple[Tensor, ...]:
        """The tensors that a step makes of a loop variable: one, or several side by side."""
        entry = variable.entry
        if self.tracer.resolve(variable.following) == self.tracer.resolve(entry):
            return ()
        options = self.tracer.options(variable.following, {entry}).tensors
        new = [t for t in options if t != entry and not self.tracer.is_zeros(t)]
        if len(new) != 1:
            return ()
        op = self.tracer.network.op(new[0][0])
        if op.kind in _JOINS:
            return tuple(self.tracer.resolve(t) for t in op.inputs[_JOINS[op.kind]])
        return (new[0],)

    def carrier(self, tensor: Tensor) -> Tensor:
        """The tensor that a piece was cut from."""
        at = self.tracer.resolve(tensor)
        for _ in range(_LONGEST):
            op = self.tracer.network.op(at[0])
            position = _CUTS.get(op.kind)
            if at in self.tracer.network.entries or position is None:
                break
            at = self.tracer.resolve(op.inputs[position])
        return at

    def _step(self, h: Tensor, made: Mapping[Tensor, Sequence[Tensor]]) -> Step | Unlike | None:
        entries = {entry for entry, tensors in made.items() if h in tensors}
        first = self.frontier(h)
        if first is None or not first.products:
            return None
        rows, plus = self.products(first)
        inner = self._inner(rows, made, entries)
        for tensor in inner:
            behind = self.frontier(tensor)
            if behind is not None:
                more, added = self.products(behind)
                rows, plus = {**more, **rows}, {**added, **plus}
        read = {t for row in rows.values() for t in multiplied(row)}
        before = {t for t in read if self.carrier(t) in entries}
        if not before:
            return None
        states = [t for t in first.states if t not in before]
        if len(before) != 1 or len(states) > 1 or first.others:
            return Unlike(h[0], self._odd(before, states, first.others))
        c_choices = made.get(self.carrier(states[0]), ()) if states else ()
        old = (before.pop(), states[0] if states else None)
        return self.assembled(h, old, c_choices, inner, (rows, plus, first.limits))

    def products(self, first: Frontier) -> tuple[Rows, Added]:
        """The products of a frontier, and what the step adds to each."""
        plus = dict(first.products)
        return {t: self._product(t, plus[t]) for t in plus}, plus

    def assembled(
        self,
        h: Tensor,
        old: tuple[Tensor, Tensor | None],
        c_choices: Sequence[Tensor],
        inner: Sequence[Tensor],
        made_of: tuple[Rows, Added, Mapping[float, str]],
    ) -> Step | Unlike:
        """A step of its parts, with what is left of them as its input.

        Args:
            h: the new state.
            old: what it was before, and the other state.
            c_choices: as `Step` has them.
            inner: likewise.
            made_of: products, what is added to them, single numbers.
        """
        rows, plus, limits = made_of
        h_before, c_before = old
        xs = {t for row in rows.values() for t in _read(row)}
        xs -= {h_before, *inner, *c_choices}
        xs.discard(c_before or h_before)
        units = _units(rows, h_before)
        if len(xs) != 1 or not units:
            return Unlike(h[0], f"its weights are multiplied with {len(xs)} inputs")
        blocks = tuple(self._blocks(rows, units))
        if not blocks:
            return Unlike(h[0], "its products are not as wide as its state")
        return Step(
            h, h_before, c_before, tuple(c_choices), xs.pop(), tuple(inner), units, blocks,
            limits, plus,
        )  # fmt: skip

    def _odd(self, before: set[Tensor], states: Sequence[Tensor], others: Sequence[Tensor]) -> str:
        if others:
            op = self.tracer.network.op(others[0][0])
            return f"the {op.kind} {op.name!r} has a part in it"
        if len(states) > 1:
            return f"it is made of {len(states) + 1} states"
        return f"it is read in {len(before)} ways"

    def frontier(
        self, tensor: Tensor, history: Container[Tensor] = (), most: int = _MOST
    ) -> Frontier | None:
        """What a tensor is a function of, unit by unit; None where that is too much.

        Args:
            tensor: where to begin.
            history: what was there before the step.
            most: tensors that may lie on the way.
        """
        products: dict[Tensor, tuple[Tensor, ...]] = {}
        passed: list[Tensor] = []
        found: tuple[dict[Tensor, None], dict[Tensor, None]] = ({}, {})
        limits: dict[float, str] = {}
        start = self.tracer.resolve(tensor)
        todo, seen = [start], {start}
        while todo:
            at = todo.pop(0)
            op = self.tracer.network.op(at[0])
            number = self.tracer.scalar(at) if op.kind == "Const" else None
            if number is not None:
                limits[abs(number)] = at[0]
            if op.kind == "Const" or self.affine.fixed(at) is not None:
                continue
            following: Sequence[Tensor] = ()
            if at in history or self.carrier(at) in self.tracer.network.entries:
                found[0][at] = None
                continue
            added = self._added(at)
            if added is not None:
                products[at] = following = added
            elif op.kind in _PASSED and at not in self.tracer.stops:
                following = op.inputs
                passed.append(at)
            else:
                found[1][at] = None
            fresh = [t for t in map(self.tracer.resolve, following) if t not in seen]
            seen.update(fresh)
            todo.extend(fresh)
            if len(seen) > most:
                return None
        return Frontier(products, tuple(found[0]), tuple(found[1]), limits, tuple(passed))

    def _added(self, tensor: Tensor) -> tuple[Tensor, ...] | None:
        """Of a sum of products: what the step has computed and adds to it; None of others."""
        row = self.affine.row(tensor)
        if not all(piece.is_product for piece in row):
            return None
        alone = (t for piece in row for t, matrix in piece.parts.items() if matrix is None)
        added = [t for t in alone if self.tracer.network.op(t[0]).kind in _PASSED]
        plain = [t for t in added if self.carrier(t) not in self.tracer.network.entries]
        if plain and (len(row) > 1 or row[0].scalars):
            return None
        return tuple(plain)

    def _product(self, tensor: Tensor, added: Sequence[Tensor]) -> Row:
        """A sum of products without what the step adds to it."""
        return tuple(
            replace(piece, parts={t: m for t, m in piece.parts.items() if t not in added})
            for piece in self.affine.row(tensor)
        )

    def _inner(
        self,
        rows: Mapping[Tensor, Row],
        made: Mapping[Tensor, Sequence[Tensor]],
        entries: set[Tensor],
    ) -> tuple[Tensor, ...]:
        """Tensors with a product that follow from the state itself, unit by unit."""
        found: dict[Tensor, None] = {}
        for row in rows.values():
            for tensor in _read(row):
                if self.carrier(tensor) in self.tracer.network.entries:
                    continue
                if any(tensor in tensors for tensors in made.values()):
                    # a new state: of this cell (a peephole), or of another one that feeds it
                    continue
                if self._depends(tensor, entries):
                    found[tensor] = None
        return tuple(found)

    def _depends(self, tensor: Tensor, entries: set[Tensor]) -> bool:
        todo, seen = [self.tracer.resolve(tensor)], set[Tensor]()
        while todo and len(seen) < _MOST:
            at = todo.pop()
            if at in entries:
                return True
            if at in seen or at in self.tracer.network.entries:
                continue
            seen.add(at)
            todo.extend(map(self.tracer.resolve, self.tracer.network.op(at[0]).inputs))
        return bool(todo)

    def _blocks(self, rows: Mapping[Tensor, Row], units: int) -> Iterator[Block]:
        for tensor, row in rows.items():
            start = 0
            for piece in row:
                width = piece.width or 0
                if width % units:
                    return
                for at in range(0, width, units):
                    yield Block(tensor, start + at, piece.columns(at, at + units))
                start += width


def _read(row: Row) -> Iterator[Tensor]:
    for piece in row:
        yield from piece.parts


def multiplied(row: Row) -> Iterator[Tensor]:
    """The tensors of a row that a matrix is multiplied with."""
    for piece in row:
        yield from (t for t, m in piece.parts.items() if m is not None and m.ndim == 2)


def _units(rows: Mapping[Tensor, Row], h: Tensor) -> int:
    """How wide the state is, by the weights that it is multiplied with."""
    for row in rows.values():
        for piece in row:
            matrix = piece.parts.get(h)
            if matrix is not None:
                return len(matrix)
    return 0
