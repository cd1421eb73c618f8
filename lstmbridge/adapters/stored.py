"""Variables as the dialects see them: a tensor, or several put together, still lazy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from lstmbridge.contracts import TensorRef
from lstmbridge.gates import Array, Weights


@dataclass(frozen=True, slots=True, eq=False)
class RowShards:
    """Tensors laid under one another (axis 0), as one lazy tensor.

    TensorFlow up to 0.12 stored a kernel with `num_unit_shards` as ``W_0``, ``W_1``, ...
    All pieces have one dtype and agree in every axis but the first.
    """

    name: str
    pieces: tuple[Weights, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows added up."""
        return (sum(p.shape[0] for p in self.pieces), *self.pieces[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.pieces[0].dtype

    @property
    def location(self) -> str:
        """Where the pieces lie."""
        return "; ".join(getattr(p, "location", p.name) for p in self.pieces)

    def load(self) -> Array:
        """The whole, read-only. Errors: SourceUnreadable."""
        whole = np.concatenate([p.load() for p in self.pieces], axis=0)
        whole.flags.writeable = False
        return whole


@dataclass(frozen=True, slots=True, eq=False)
class BlockDiagonal:
    """Matrices on the diagonal of one, zeros around them, as one lazy matrix.

    A GLSTMCell's groups see their own part of x and h only: that is an LSTM whose kernel has
    zeros wherever one group would see another's part.
    """

    name: str
    pieces: tuple[Weights, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns added up."""
        return (sum(p.shape[0] for p in self.pieces), sum(p.shape[1] for p in self.pieces))

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.pieces[0].dtype

    def load(self) -> Array:
        """The whole, read-only. Errors: SourceUnreadable."""
        whole = np.zeros(self.shape, self.dtype)
        rows = [0, *accumulate(p.shape[0] for p in self.pieces)]
        columns = [0, *accumulate(p.shape[1] for p in self.pieces)]
        for piece, row, column in zip(self.pieces, rows, columns, strict=False):
            whole[row : row + piece.shape[0], column : column + piece.shape[1]] = piece.load()
        whole.flags.writeable = False
        return whole


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A variable under the name the dialects know.

    Attributes:
        name: that name (after ``--map``; without the suffix of an average).
        ref: its tensor.
        sources: the names it has in the source, several where shards were put together.
        in_graph: the names that a graph has for it: an average is the variable it averages.
    """

    name: str
    ref: TensorRef
    sources: tuple[str, ...]
    in_graph: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.sources[0] if len(self.sources) == 1 else self.name} {self.ref.shape}"


def under_one_another(name: str, shards: Sequence[Stored]) -> Stored | None:
    """Row shards as one variable; None where they do not fit under one another."""
    if len(shards) == 1:
        return shards[0]
    if len({(s.ref.shape[1:], s.ref.dtype, len(s.ref.shape)) for s in shards}) != 1:
        return None
    if not shards[0].ref.shape:
        return None
    sources = tuple(name for s in shards for name in s.sources)
    in_graph = tuple(name for s in shards for name in s.in_graph)
    return Stored(name, RowShards(name, tuple(s.ref for s in shards)), sources, in_graph)


def pieces_of(tensor: Weights) -> tuple[Weights, ...]:
    """What lies under one another in `tensor`: itself, where nothing was put together."""
    return tensor.pieces if isinstance(tensor, RowShards) else (tensor,)
