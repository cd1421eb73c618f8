"""A step's weights as tensors of the source: which piece of which variable each block is.

A block that a step multiplies with is most often a piece of one variable, moved about. Which
piece, stand-ins tell: random numbers are found again where they came from. What is no such piece
(a product of two variables, say) is worked out by the graph's own operations when it is asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array, Cut, GateBlocks, Weights
from lstmbridge.graph.affine import Affine
from lstmbridge.graph.network import Op
from lstmbridge.graph.trace import VARIABLES, Tracer, const_value
from lstmbridge.graph.variables import shape_of
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Highway,
    Model,
    Recurrent,
    Residual,
    Sequence,
)
from lstmbridge.model.cells import Cell

_MOST_HITS = 4
_LARGEST = 1 << 26

Stored = Callable[[Op], Weights]
"""A variable, or a constant that holds one's numbers -> the tensor in the source."""


@dataclass(frozen=True, eq=False)
class Worked:
    """Numbers made of stored ones when they are asked for. A `Weights`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[], Array]

    def load(self) -> Array:
        """The numbers, read-only, in the dtype of what they are made of."""
        array = self.exact().astype(self.dtype)
        array.flags.writeable = False
        return array

    def exact(self) -> Array:
        """The numbers before they are rounded to that dtype."""
        array = np.array(self.make())
        if array.shape != self.shape:
            raise NotRecognised(f"{self.name} has the shape {array.shape}, not {self.shape}")
        return array


@dataclass(eq=False)
class StandIns:
    """Random numbers in place of variables, and where they are found again."""

    drawn: dict[str, tuple[Op, Array]] = field(default_factory=dict)

    def __call__(self, op: Op) -> Array:
        """The same numbers whenever it is asked. Errors: NotRecognised (no shape, too large)."""
        if op.name not in self.drawn:
            shape = shape_of(op)
            if shape is None or int(np.prod(shape)) > _LARGEST:
                raise NotRecognised(f"{op.name!r} has no shape to draw for", where=op.name)
            draw = np.random.default_rng(zlib.crc32(op.name.encode()))
            self.drawn[op.name] = op, draw.normal(size=shape)
        return self.drawn[op.name][1]

    def where(self, numbers: Array) -> Origin | None:
        """The variable that `numbers` are a piece of, one column or row at least."""
        for op, whole in self.drawn.values():
            found = _piece_of(whole, numbers)
            if found is not None:
                return Origin(op, *found)
        return None


@dataclass(frozen=True, eq=False)
class Origin:
    """A piece of a variable.

    Attributes:
        op: the variable.
        index: the piece, in NumPy's way; a number takes one row of a matrix.
        turned: it is transposed afterwards.
        negative: its sign is changed.
    """

    op: Op
    index: tuple[slice | int, ...]
    turned: bool = False
    negative: bool = False

    def name(self, stored: str) -> str:
        """For a person: ``kernel[0:3, 4:8]``."""
        spans = (f"{at.start}:{at.stop}" if isinstance(at, slice) else str(at)
                 for at in self.index)  # fmt: skip
        text = f"{stored}[{', '.join(spans)}]"
        text += ".T" if self.turned else ""
        return f"-{text}" if self.negative else text

    def of(self, stored: Weights, shape: tuple[int, ...]) -> Weights:
        """That piece of a stored tensor."""
        plain = [at for at in self.index if isinstance(at, slice)]
        if len(plain) == len(self.index) and not self.turned and not self.negative:
            return Cut(stored, tuple(plain))

        def make() -> Array:
            piece: Array = stored.load()[self.index]
            piece = piece.T if self.turned else piece
            return -piece if self.negative else piece

        return Worked(self.name(stored.name), shape, stored.dtype, make)


def _piece_of(whole: Array, numbers: Array) -> tuple[tuple[slice | int, ...], bool, bool] | None:
    if not numbers.size or not 0 < whole.ndim <= 2 or numbers.ndim > whole.ndim:
        return None
    for negative in (False, True):
        wanted = -numbers if negative else numbers
        for turned in (False, True) if whole.ndim == 2 else (False,):
            source = whole.T if turned and numbers.ndim == 1 else whole
            piece = wanted.T if turned and numbers.ndim == 2 else wanted
            for hit in np.argwhere(source == piece.ravel()[0])[:_MOST_HITS]:
                index = _at(hit, piece.shape)
                part = source[index]
                if part.shape == piece.shape and np.array_equal(part, piece):
                    if turned and numbers.ndim == 1:
                        index = (index[1], index[0])
                    return index, turned and numbers.ndim == 2, negative
    return None


def _at(hit: Array, shape: tuple[int, ...]) -> tuple[slice | int, ...]:
    begins = [int(k) for k in hit]
    alone = begins[: len(begins) - len(shape)]
    spans = zip(begins[len(alone) :], shape, strict=True)
    return (*alone, *(slice(k, k + n) for k, n in spans))


@dataclass(frozen=True, eq=False)
class Recipe:
    """One tensor of a cell, as its graph makes it.

    Attributes:
        make: its numbers, by an `Affine` of any weights.
        shape: its shape.
        origin: the piece of a variable that it is, where it is one.
        variables: what it is made of.
        mark: of its numbers on stand-ins.
    """

    make: Callable[[Affine], Array]
    shape: tuple[int, ...]
    origin: Origin | None
    variables: tuple[Op, ...]
    mark: int

    @property
    def name(self) -> str:
        """For a person."""
        if self.origin is not None:
            return self.origin.name(self.origin.op.name)
        names = ", ".join(op.name for op in self.variables)
        return f"computed from {names}" if names else "zeros"

    def of(self, tracer: Tracer, stored: Stored) -> Weights:
        """The tensor in a source."""
        if self.origin is not None:
            return self.origin.of(stored(self.origin.op), self.shape)
        refs = [stored(op) for op in self.variables]

        def make() -> Array:
            if not refs:
                return np.zeros(self.shape)
            return self.make(Affine(tracer, lambda op: stored(op).load().astype(np.float64)))

        dtype = refs[0].dtype if refs else np.dtype(np.float32)

        return Worked(self.name, self.shape, dtype, make)


def recipe_of(affine: Affine, make: Callable[[Affine], Array]) -> Recipe:
    """How a tensor is made. `affine` is of `StandIns`."""
    stand_ins = affine.numbers
    if not isinstance(stand_ins, StandIns):
        raise TypeError("a recipe is found by stand-ins")
    numbers = make(affine)
    mark = zlib.crc32(np.ascontiguousarray(numbers).tobytes())
    origin = stand_ins.where(numbers)
    if origin is not None:
        return Recipe(make, numbers.shape, origin, (origin.op,), mark)
    read: dict[str, Op] = {}

    def remember(op: Op) -> Array:
        read[op.name] = op
        return stand_ins(op)

    if numbers.any():
        make(Affine(affine.tracer, remember))
    return Recipe(make, numbers.shape, None, tuple(read.values()), mark)


def exactly(model: Model) -> Model:
    """A model with float64 numbers where its own were rounded after they had been worked out."""
    return replace(model, root=_exact_block(model.root))


def _exact_block(block: Block) -> Block:
    if isinstance(block, Recurrent):
        return replace(block, cell=_exact_cell(block.cell))
    if isinstance(block, Residual | Highway):
        return replace(block, inner=_exact_block(block.inner))
    if isinstance(block, Bidirectional):
        forward, backward = _exact_block(block.forward), _exact_block(block.backward)
        return Bidirectional(forward, backward)
    if isinstance(block, Sequence):
        return Sequence(tuple(map(_exact_block, block.blocks)))
    return block


def _exact_cell(cell: Cell) -> Cell:
    wide: dict[str, GateBlocks] = {}
    for name, blocks in cell.blocks.items():
        if not isinstance(blocks, GateBlocks):
            continue
        cuts = {gate: blocks.cut(gate) for gate in blocks}
        if any(isinstance(cut, Worked) for cut in cuts.values()):
            wide[name] = GateBlocks.of(
                {
                    gate: (cut.exact() if isinstance(cut, Worked) else cut.load()).astype(
                        np.float64
                    )
                    for gate, cut in cuts.items()
                }
            )
    return replace(cell, **wide) if wide else cell


def stored_by(tensors: Mapping[str, Weights]) -> Stored:
    """Variables by the graph's names; constants are their own."""

    def stored(op: Op) -> Weights:
        if op.kind in VARIABLES and op.name in tensors:
            return tensors[op.name]
        if op.kind == "Const" and const_value(op) is not None:
            held: Weights = op.attrs["value"]
            return held
        raise NotRecognised(f"the source has no variable {op.name!r}", where=op.name)

    return stored
