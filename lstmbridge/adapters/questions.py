"""What a graph is asked about a cell of any kind: its variables, their shapes, what builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lstmbridge.adapters.dialects import Geometry, Option
from lstmbridge.adapters.stored import Stored
from lstmbridge.gates import Weights
from lstmbridge.graph.findings import FormQuery
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

Shapes = Callable[[Geometry], Mapping[str, tuple[int, ...]]]
Build = Callable[[Mapping[str, Weights], Mapping[str, Fact[Any]]], Cell]

# unlike each other and unlike 1
_INPUTS, _UNITS, _OUTPUTS = 5, 7, 3


@dataclass(frozen=True, slots=True)
class Question:
    """How the cells of one family are asked about.

    Attributes:
        sees: role -> what its kernel is multiplied with (`FormQuery.sees`).
        shapes: the shape of each role, by sizes.
        build: the family's.
        options: the family's constants; those that are no definition are searched for.
        square: the input is as wide as the state.
        last: roles that are applied to what the cell has computed.
        pieces: kernels see pieces of x and h, or copies of h side by side.
    """

    sees: Mapping[str, str]
    shapes: Shapes
    build: Build
    options: Mapping[str, Option]
    square: bool = False
    last: frozenset[str] = frozenset()
    pieces: bool = False

    def __call__(self, label: str, roles: Mapping[str, Stored], sizes: Geometry) -> FormQuery:
        """The question about the cell of `roles`, which fit together."""
        shapes = self.shapes(sizes)
        own = {role: stored for role, stored in roles.items() if role in shapes}
        output = _OUTPUTS if self.last & set(own) else _UNITS
        small = Geometry(_UNITS if self.square else _INPUTS, _UNITS, output)
        cell = self.build({role: s.ref for role, s in own.items()}, assumed(self.options))
        return FormQuery(
            layer=label,
            variables={role: stored.in_graph for role, stored in own.items()},
            shapes={role: stored.ref.shape for role, stored in own.items()},
            small={role: shape for role, shape in self.shapes(small).items() if role in own},
            sees={role: what for role, what in self.sees.items() if role in own},
            build=self.build,
            options={name: option.default for name, option in self.options.items()},
            open=frozenset(
                name
                for name, option in self.options.items()
                if not option.fixed or name == "activation"
            ),
            input_size=cell.input_size,
            output_size=cell.output_size,
            state_sizes=cell.state_sizes,
            last=self.last,
            pieces=self.pieces,
        )


def assumed(options: Mapping[str, Option]) -> dict[str, Fact[Any]]:
    """Every option at its default, for a cell of which only the structure matters."""
    return {name: Fact.assumed(option.default, "") for name, option in options.items()}
