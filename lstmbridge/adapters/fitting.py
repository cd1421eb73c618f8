"""Do a cell's variables fit together? One check for every family, from a table of shapes.

Most TensorFlow cells store one fused kernel ``[input + output, gates * units]`` over x and h side
by side; a few keep what multiplies x apart: ``[input, gates * units]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lstmbridge.adapters.dialects import Geometry
from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError, NotRecognised

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Dtypes that a cell's weights may have."""

Shape = Callable[[Geometry], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the variables of one family lie.

    Attributes:
        gates: how many gates lie side by side in the kernel.
        others: role -> the shape that it must have, for every other role.
        kernel: the role whose shape gives the sizes.
        apart: the kernel is multiplied with x alone.
        projection: the role of a projection ``(units, output)``, where the family has one.
    """

    gates: int
    others: Mapping[str, Shape] = field(default_factory=dict)
    kernel: str = "kernel"
    apart: bool = False
    projection: str = ""

    def measure(self, roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
        """The sizes, or which variables do not fit."""
        kernel = roles[self.kernel]
        other = next((s for role, s in roles.items() if role != self.kernel), kernel)
        shape = kernel.ref.shape
        form = f"a kernel [{'input' if self.apart else 'input + output'}, {self.gates} * units]"
        if len(shape) != 2 or shape[1] % self.gates:
            return misfit(kernel, form, other)
        sizes = self._sizes(roles, kernel, other)
        if isinstance(sizes, LstmBridgeError):
            return sizes
        for role, wanted in self.others.items():
            if role in roles and roles[role].ref.shape != wanted(sizes):
                return misfit(roles[role], f"{wanted(sizes)}, as the kernel asks for", kernel)
        return misfit_of_dtypes(roles, kernel) or sizes

    def shapes(self, sizes: Geometry) -> dict[str, tuple[int, ...]]:
        """The shape of every role at these sizes."""
        rows = sizes.input_size + (0 if self.apart else sizes.output_size)
        found: dict[str, tuple[int, ...]] = {self.kernel: (rows, self.gates * sizes.units)}
        if self.projection:
            found[self.projection] = (sizes.units, sizes.output_size)
        return found | {role: shape(sizes) for role, shape in self.others.items()}

    def _sizes(
        self, roles: Mapping[str, Stored], kernel: Stored, other: Stored
    ) -> Geometry | LstmBridgeError:
        rows, columns = kernel.ref.shape
        units = output = columns // self.gates
        projection = roles.get(self.projection)
        if projection is not None:
            if len(projection.ref.shape) != 2 or projection.ref.shape[0] != units:
                return misfit(projection, f"({units}, output), as the kernel asks for", kernel)
            output = projection.ref.shape[1]
        inputs = rows if self.apart else rows - output
        if inputs < 1 or output < 1:
            what = "1 row" if self.apart else f"{output + 1} rows: {output} see h, the others x"
            return misfit(kernel, f"at least {what}", other)
        return Geometry(inputs, units, output)


def misfit_of_dtypes(roles: Mapping[str, Stored], kernel: Stored) -> NotRecognised | None:
    """The first variable that holds no floating point numbers, or others than the kernel."""
    for stored in roles.values():
        if stored.ref.dtype.name not in FLOATS:
            return misfit(stored, f"floating point numbers, not {stored.ref.dtype}", kernel)
        if stored.ref.dtype != kernel.ref.dtype:
            return misfit(
                stored, f"{kernel.ref.dtype} as the kernel, not {stored.ref.dtype}", kernel
            )
    return None


def misfit(guilty: Stored, expected: str, other: Stored) -> NotRecognised:
    """Two variables that cannot be one cell's."""
    beside = f" {other}" if other is not guilty else " a recurrent cell"
    return NotRecognised(
        f"{guilty} does not fit{beside}",
        expected=expected,
        where=guilty.sources[0],
        advice="the checkpoint may be damaged or pieced together, or these are no such cell's "
        "variables; --map FILE renames variables",
    )


def units(sizes: Geometry) -> tuple[int, ...]:
    """(units,): a vector as wide as a gate."""
    return (sizes.units,)
