"""One step of a loop, taken apart: the affine functions in it, and what is done to their values.

From a state that a step makes the walk goes back, through operations that treat every unit
alike, to the first tensors that are products of rows with weights: the step's blocks. What lies
between is a function of the blocks' values and the old states alone, so it can be run on
random ones; what lies behind is given by `affine`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.affine import Affine
from lstmbridge.graph.evaluate import Evaluation
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
_LONGEST = 8
_ROWS = (1.0, 3.0, 0.2, 8.0, 1.0, 0.01, 2.0, 1.0, 4.0, 0.5, 1.0, 30.0)
"""Sizes of the rows of random values: where functions differ, and far from it."""


@dataclass(frozen=True)
class Frontier:
    """What a tensor is a function of, unit by unit.

    Attributes:
        products: the blocks' tensors.
        states: loop variables, or pieces of them, that are read without a product.
        others: anything else.
        limits: single numbers on the way, and their nodes.
    """

    products: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    others: tuple[Tensor, ...]
    limits: Mapping[float, str]


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
        loop: where.
        h: the new state that the next step multiplies with weights; (batch, units).
        h_before: the tensor that it multiplies.
        c_before: the other old state that has a part in it, None where there is none.
        c_choices: tensors that may be the new one.
        x: what else is multiplied.
        inner: what is multiplied and follows from the old state (a reset state).
        blocks: all products with a part in it.
        limits: single numbers on the way.
    """

    loop: Loop
    h: Tensor
    h_before: Tensor
    c_before: Tensor | None
    c_choices: tuple[Tensor, ...]
    x: Tensor
    inner: tuple[Tensor, ...]
    units: int
    blocks: tuple[Block, ...]
    limits: Mapping[float, str]


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
        for tensors in made.values():
            for tensor in tensors:
                found = self._step(loop, tensor, made)
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

    def _step(
        self, loop: Loop, h: Tensor, made: Mapping[Tensor, Sequence[Tensor]]
    ) -> Step | Unlike | None:
        entry = next(e for e, tensors in made.items() if h in tensors)
        first = self._frontier(h)
        if first is None or not first.products:
            return None
        rows = {t: self.affine.row(t) for t in first.products}
        before = {t for row in rows.values() for t in _read(row) if self.carrier(t) == entry}
        inner = self._inner(rows, made, {entry})
        for tensor in inner:
            behind = self._frontier(tensor)
            for product in () if behind is None else behind.products:
                rows.setdefault(product, self.affine.row(product))
        before |= {t for row in rows.values() for t in _read(row) if self.carrier(t) == entry}
        if not before:
            return None
        states = [t for t in first.states if t not in before]
        if len(before) != 1 or len(states) > 1 or first.others:
            return Unlike(h[0], self._odd(before, states, first.others))
        h_before = before.pop()
        seen = {h_before, *inner, *states}
        xs = {t for row in rows.values() for t in _read(row)} - seen
        c_choices = made.get(self.carrier(states[0]), ()) if states else ()
        xs -= set(c_choices)
        units = _units(rows, h_before)
        if len(xs) != 1 or not units:
            return Unlike(h[0], f"its weights are multiplied with {len(xs)} inputs")
        blocks = tuple(self._blocks(rows, units))
        if not blocks:
            return Unlike(h[0], "its products are not as wide as its state")
        return Step(
            loop, h, h_before, states[0] if states else None, tuple(c_choices), xs.pop(),
            tuple(inner), units, blocks, first.limits,
        )  # fmt: skip

    def _odd(self, before: set[Tensor], states: Sequence[Tensor], others: Sequence[Tensor]) -> str:
        if others:
            op = self.tracer.network.op(others[0][0])
            return f"the {op.kind} {op.name!r} has a part in it"
        if len(states) > 1:
            return f"it is made of {len(states) + 1} states"
        return f"it is read in {len(before)} ways"

    def _frontier(self, tensor: Tensor) -> Frontier | None:
        """What a tensor is a function of, unit by unit; None where that is too much."""
        found: tuple[dict[Tensor, None], dict[Tensor, None], dict[Tensor, None]] = ({}, {}, {})
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
            if self.carrier(at) in self.tracer.network.entries:
                found[1][at] = None
            elif self._is_product(at):
                found[0][at] = None
            elif op.kind in _PASSED and at not in self.tracer.stops:
                fresh = [t for t in map(self.tracer.resolve, op.inputs) if t not in seen]
                seen.update(fresh)
                todo.extend(fresh)
            else:
                found[2][at] = None
            if len(seen) > _MOST:
                return None
        return Frontier(tuple(found[0]), tuple(found[1]), tuple(found[2]), limits)

    def _is_product(self, tensor: Tensor) -> bool:
        """Whether it is a sum of products, with nothing added that the step has computed."""
        row = self.affine.row(tensor)
        if not all(piece.is_product for piece in row):
            return False
        added = (t for piece in row for t, matrix in piece.parts.items() if matrix is None)
        return not any(self.tracer.network.op(t[0]).kind in _PASSED for t in added)

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


def _units(rows: Mapping[Tensor, Row], h: Tensor) -> int:
    """How wide the state is, by the weights that it is multiplied with."""
    for row in rows.values():
        for piece in row:
            matrix = piece.parts.get(h)
            if matrix is not None:
                return len(matrix)
    return 0


@dataclass(frozen=True)
class Sample:
    """A step on random numbers.

    Attributes:
        h, c: the old states, (rows, units).
        blocks: per block, the same.
        new_h: what becomes of them.
        new_c: likewise, by choice.
        inner: likewise.
    """

    h: Array
    c: Array
    blocks: tuple[Array, ...]
    new_h: Array
    new_c: Mapping[Tensor, Array]
    inner: Mapping[Tensor, Array]

    def few(self, units: int = 6) -> Sample:
        """Of the first units alone."""
        return Sample(
            self.h[:, :units],
            self.c[:, :units],
            tuple(block[:, :units] for block in self.blocks),
            self.new_h[:, :units],
            {t: value[:, :units] for t, value in self.new_c.items()},
            {t: value[:, :units] for t, value in self.inner.items()},
        )


def sample(tracer: Tracer, step: Step, seed: int) -> Sample:
    """Run a step on random blocks and states. Errors: NotRecognised."""
    draw = np.random.default_rng(seed)
    sizes = np.asarray(_ROWS)[:, None]
    h = draw.normal(size=(len(sizes), step.units))
    c = draw.normal(size=h.shape) * np.minimum(sizes, 4.0)
    given: dict[Tensor, Array] = {step.h_before: h}
    if step.c_before is not None:
        given[step.c_before] = c
    drawn = [draw.normal(size=h.shape) * sizes for _ in step.blocks]
    wide: dict[Tensor, list[Array]] = {}
    for block, value in zip(step.blocks, drawn, strict=True):
        wide.setdefault(block.tensor, []).append(value)
    given.update({tensor: np.concatenate(parts, axis=1) for tensor, parts in wide.items()})
    evaluation = Evaluation(tracer.network, tracer.resolve, given)
    new = {t: evaluation(t) for t in (step.h, *step.inner)}
    new_c: dict[Tensor, Array] = {}
    for tensor in step.c_choices:
        try:
            value = evaluation(tensor)
        except NotRecognised:
            continue
        if value.shape == h.shape:
            new_c[tensor] = value
    if any(value.shape != h.shape for value in new.values()):
        raise NotRecognised("its states differ in shape", where=step.h[0])
    return Sample(h, c, tuple(drawn), new.pop(step.h), new_c, new)
