"""The cell behind a module that runs the equations: structure and constants, no numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.targets.torch.architecture import Equations


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


def shapes_of(node: Equations) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter, by the names of `equations.weights_of`."""
    inputs, units, outputs = node.input_size, node.units, node.output_size
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (inputs, 4 * units),
        "recurrent": (outputs, 4 * units),
    }
    if node.bias:
        shapes["bias"] = (4 * units,)
    if node.peephole:
        shapes |= {f"peephole_{gate}": (units,) for gate in "ifo"}
    if node.projection:
        shapes["projection"] = (units, outputs)
    return shapes


def cell_of(node: Equations) -> LSTM:
    """The structure and the constants of the layer, as the equations want them."""
    units = node.units

    def blocks(gates: str, *shape: int) -> GateBlocks:
        return GateBlocks({gate: _Shape(gate, shape) for gate in gates})

    return LSTM(
        kernel=blocks("ifco", node.input_size, units),
        recurrent=blocks("ifco", node.output_size, units),
        bias=blocks("ifco", units) if node.bias else None,
        peephole=blocks("ifo", units) if node.peephole else None,
        projection=_Shape("projection", (units, node.output_size)) if node.projection else None,
        forget_bias=Fact.read(node.forget_bias, "artifact"),
        activation=Fact.read(node.activation, "artifact"),
        gate_activation=Fact.read(node.gate_activation, "artifact"),
        cell_clip=Fact.read(node.cell_clip, "artifact"),
        proj_clip=Fact.read(node.proj_clip, "artifact"),
    )
