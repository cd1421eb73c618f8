"""The cell behind a module that runs the equations: structure and constants, no numbers.

Every kind of cell is described in the same words, taken from its dataclass: which fields hold
numbers, for which gates, of which shape, and what the constants are. So a new kind of cell needs
nothing here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.arrays import ACTIVATIONS
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model import cells
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import arrays_of
from lstmbridge.model.facts import Fact

KINDS: Mapping[str, type[Cell]] = {
    kind.KIND: kind
    for kind in vars(cells).values()
    if isinstance(kind, type) and issubclass(kind, Cell) and kind is not Cell
}
"""Every kind of cell by its name."""

Constant = float | bool | str | None


@dataclass(frozen=True, slots=True)
class Block:
    """A field of numbers: its gates, in the cell's order (none: it has no gates), and a shape.

    Attributes:
        shape: of one gate's block.
    """

    gates: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A cell without its numbers.

    Attributes:
        kind: a name of `KINDS`.
        blocks: by field, in the cell's order.
        constants: by the name of the fact.
    """

    kind: str
    blocks: Mapping[str, Block]
    constants: Mapping[str, Constant]

    def cell(self) -> Cell:
        """The cell that the equations want; its numbers cannot be loaded.

        Raises:
            ValueError: there is no such kind, or the blocks and constants are not its own.
        """
        if self.kind not in KINDS:
            raise ValueError(f"no cell is called {self.kind!r}")
        kind = KINDS[self.kind]
        values = {field.name: self._value(field, kind) for field in dataclasses.fields(kind)}
        unknown = (self.blocks.keys() | self.constants.keys()) - values.keys()
        if unknown:
            raise ValueError(f"a {self.kind} has no {min(unknown)}")
        return kind(**values)

    def _value(self, field: dataclasses.Field[Any], kind: type[Cell]) -> Any:
        name, annotation = field.name, str(field.type)
        if name in self.constants:
            return Fact.read(_CHECKS[annotation](self.constants[name]), "artifact")
        if name not in self.blocks:
            if annotation.endswith("| None"):
                return None
            raise ValueError(f"a {self.kind} needs {name}")
        block = self.blocks[name]
        wanted = annotation.removesuffix(" | None")
        if wanted == "Weights" and not block.gates:
            return _Shape(name, block.shape)
        known = [gate for gate in kind.GATES if gate in block.gates]
        if wanted != "GateBlocks" or not known or tuple(known) != block.gates:
            raise ValueError(f"{name} of a {self.kind} has the gates {list(block.gates)}")
        return GateBlocks({gate: _Shape(gate, block.shape) for gate in known})


def skeleton_of(cell: Cell) -> Skeleton:
    """What `cell` is beside its numbers. Loads nothing."""
    return Skeleton(
        kind=cell.KIND,
        blocks={
            name: Block(
                tuple(gate for gate in cell.GATES if gate in stored)
                if isinstance(stored, GateBlocks)
                else (),
                stored.shape,
            )
            for name, stored in cell.blocks.items()
        },
        constants={name: _plain(fact.value) for name, fact in cell.facts.items()},
    )


def shapes_of(cell: Cell) -> dict[str, tuple[int, ...]]:
    """Shape of each array of the equations, by the names of `equations.weights_of`."""
    shapes = {}
    for name, (field, gates) in arrays_of(cell).items():
        *lead, last = cell.blocks[field].shape
        shapes[name] = (*lead, last * max(1, len(gates)))
    return shapes


@dataclass(frozen=True, slots=True)
class _Shape:
    """`Weights` without numbers: the module's parameters take their place."""

    name: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of no consequence: the parameters' own counts."""
        return np.dtype(np.float64)

    def load(self) -> Array:
        """Never called."""
        raise NotImplementedError(f"{self.name} is a parameter of the module")


def _plain(value: Any) -> Constant:
    """The constant as JSON has it; NumPy's scalars become Python's."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return value if value is None or isinstance(value, str) else float(value)


def activation_name(value: Any) -> str:
    """An activation that the equations know, or ValueError."""
    if type(value) is not str or value not in ACTIVATIONS:
        raise ValueError(f"activation {value!r}")
    return value


def _finite(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _limit(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


_CHECKS: Mapping[str, Callable[[Any], Constant]] = {
    "Fact[str]": activation_name,
    "Fact[float]": _finite,
    "Fact[float | None]": _limit,
    "Fact[bool]": _flag,
}
"""A fact's annotation -> the check that its value must pass."""
