"""A step that is a known cell -> the cell's tensors, gate by gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.affine import Affine
from lstmbridge.graph.found_weights import Recipe, recipe_of
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.rows import Piece, Scalar
from lstmbridge.graph.step_forms import Form, Gate
from lstmbridge.graph.step_found import Step

Recipes = Mapping[tuple[str, str], Recipe]
"""(field of the cell, gate) -> how that tensor is made."""


@dataclass(frozen=True, eq=False)
class Built:
    """A cell's tensors.

    Attributes:
        forget: the number that is added to the forget gate and is no part of its bias.
    """

    recipes: Recipes
    forget: Scalar | None


def recipes_of(affine: Affine, step: Step, form: Form) -> Built | str:
    """The tensors of the cell that a step is; or what keeps it from being that cell."""
    builder = _Builder(affine, step, form)
    problem = builder.problem()
    if problem:
        return problem
    recipes: dict[tuple[str, str], Recipe] = {}
    for role, letter, gate, tensor in builder.wanted():
        recipes[role, letter] = builder.recipe(letter, gate, tensor)
    return Built(recipes, builder.forget)


@dataclass(eq=False)
class _Builder:
    affine: Affine
    step: Step
    form: Form

    @property
    def forget(self) -> Scalar | None:
        """One number that is added to the forget gate alone."""
        gate = self.form.gates.get("f")
        if gate is None or self.form.kind == "GRU":
            return None
        scalars = gate.scalars
        alone = len(scalars) == 1 and scalars[0].how == "add" and gate.factor == 1.0
        return scalars[0] if alone else None

    @property
    def inputs(self) -> int:
        """How wide x is."""
        for block in self.step.blocks:
            if self.step.x in block.piece.parts:
                matrix = block.piece.parts[self.step.x]
                return self.step.units if matrix is None else len(matrix)
        return 0

    def problem(self) -> str:
        """What a block is multiplied with, or added to, that its gate is not."""
        if not self.inputs:
            return "nothing is multiplied with its input"
        x, h = self.step.x, self.step.h_before
        for letter, gate in self.form.gates.items():
            allowed = {x, h}
            if self.form.kind == "GRU" and self.form.reset_after and letter in {"c", "hc"}:
                allowed = {x} if letter == "c" else {h}
            elif self.form.kind == "GRU" and letter == "c":
                allowed = {x, self.form.inner or h}
            peep = self._peephole(letter)
            parts = self.step.blocks[gate.block].piece.parts
            if set(parts) - {peep} - allowed:
                return f"its gate {letter} sees more than such a cell's"
            if peep is not None and getattr(parts.get(peep), "ndim", 1) != 1:
                return f"its gate {letter} sees the cell state by more than a peephole"
        return ""

    def _peephole(self, letter: str) -> Tensor | None:
        """The cell state that a gate may see unit by unit."""
        if self.form.kind not in {"LSTM", "CoupledLSTM"} or letter == "c":
            return None
        seen = self.form.c if letter == "o" else self.step.c_before
        # where both states begin with the same zeros, the matrices tell of one of them
        return None if seen == self.step.h_before else seen

    def wanted(self) -> Iterator[tuple[str, str, Gate, Tensor | None]]:
        """(field, gate, block, what it is multiplied with or None) of every tensor."""
        gates = {k: g for k, g in self.form.gates.items() if k != "hc"}
        inner = self.form.inner
        for letter, gate in gates.items():
            yield "kernel", letter, gate, self.step.x
        for letter, gate in gates.items():
            own = self.form.gates["hc"] if letter == "c" and "hc" in self.form.gates else gate
            seen = inner if letter == "c" and inner is not None else self.step.h_before
            yield "recurrent", letter, own, seen
        if any(self._has_base(letter, gate) for letter, gate in gates.items()):
            for letter, gate in gates.items():
                yield "bias", letter, gate, None
        after = self.form.gates.get("hc")
        if after is not None and self._has_base("hc", after):
            yield "recurrent_bias", "c", after, None
        seeing = {k: self._peephole(k) for k in gates}
        peeping = {
            k: t for k, t in seeing.items()
            if t is not None and t in self.step.blocks[gates[k].block].piece.parts
        }  # fmt: skip
        if peeping:
            for letter, tensor in seeing.items():
                if tensor is not None:
                    yield "peephole", letter, gates[letter], tensor

    def _has_base(self, letter: str, gate: Gate) -> bool:
        return self._piece(self.affine, letter, gate).base is not None

    def _piece(self, affine: Affine, letter: str, gate: Gate) -> Piece:
        """A gate's weights: its columns, with what was done to them; a forget bias is apart."""
        block = self.step.blocks[gate.block]
        at = 0
        for one in affine.row(block.tensor):
            width = one.width or 0
            if at <= block.start < at + width:
                own = one.columns(block.start - at, block.start - at + self.step.units)
                apart = letter == "f" and self.forget is not None
                scalars = () if apart else own.scalars[: len(gate.scalars)]
                by = () if gate.factor == 1.0 else (Scalar("mul", gate.factor, ""),)
                return replace(own, scalars=(*scalars, *by)).settled()
            at += width
        raise NotRecognised("a block is not where it was", where=block.tensor[0])

    def recipe(self, letter: str, gate: Gate, tensor: Tensor | None) -> Recipe:
        """How the tensor that multiplies `tensor`, or is added where that is None, is made."""
        units, inputs, x, h = self.step.units, self.inputs, self.step.x, self.step.h_before
        rows = inputs if tensor == x else units
        flat = tensor is not None and tensor in {self.form.c, self.step.c_before} - {x, h, None}

        def make(affine: Affine) -> Array:
            own = self._piece(affine, letter, gate)
            if tensor is None:
                return np.zeros(units) if own.base is None else own.base
            if tensor not in own.parts:
                return np.zeros(units if flat else (rows, units))
            matrix = own.parts[tensor]
            if flat:
                return np.ones(units) if matrix is None else matrix
            if matrix is None:
                return np.eye(units)
            return matrix if matrix.ndim == 2 else np.diag(matrix)

        return recipe_of(self.affine, make)
