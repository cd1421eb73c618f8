"""Which cell a step is: formulas of known cells, held against the step's own numbers.

Each block of a step may be any gate, and go through any activation; the new states that a
formula gives for random blocks and old states must be the step's, to float64's rounding. What
is found so holds for any weights, since the blocks' values were free.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from lstmbridge.arrays import ACTIVATIONS, Float64, activation
from lstmbridge.gates import Array
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.prove import SingleConstants
from lstmbridge.graph.rows import Scalar
from lstmbridge.graph.step_found import Block, Step
from lstmbridge.graph.step_sample import Sample

TOLERANCE = 1e-9
_GATES = (
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "relu",
    "softsign",
    "relu6",
    "elu",
    "selu",
    "softplus",
)
_COMPLEMENTED = frozenset({"sigmoid", "hard_sigmoid"})
"""Activations with 1 - f(x) = f(-x)."""
_SIXTH = 5.0 / 6.0
"""Keras 3's hard_sigmoid, clip(x / 6 + 0.5, 0, 1), is that of 5/6 of its input."""
_MOST_LIMITS = 6
_LSTM_BLOCKS = (3, 4)


@dataclass(frozen=True)
class Gate:
    """One block as a gate.

    Attributes:
        block: which of the step's.
        scalars: what is done to the product before the activation (the first of its scalars).
        factor: what it is multiplied by after that: -1 where 1 - gate is meant.
    """

    block: int
    scalars: tuple[Scalar, ...] = ()
    factor: float = 1.0


@dataclass(frozen=True)
class Form:
    """A cell that a step is.

    Attributes:
        kind: ``LSTM``, ``CoupledLSTM``, ``GRU`` or ``RNN``.
        gates: by the model's letters. Of a GRU whose reset comes after, ``c`` is the input's part
            of the candidate and ``hc`` the state's.
        activation, gate_activation: their names.
        cell_clip: of an LSTM.
        reset_after: of a GRU.
        c: the new second state.
        inner: the reset state, where the reset comes before.
    """

    kind: str
    gates: Mapping[str, Gate]
    activation: str
    gate_activation: str = "sigmoid"
    cell_clip: float | None = None
    reset_after: bool = False
    c: Tensor | None = None
    inner: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Value:
    """What one activation makes of one block."""

    gate: Gate
    name: str
    numbers: Array


@dataclass(eq=False)
class FormFinder:
    """Tries the known cells on one step; the numbers of a few units tell them apart.

    Attributes:
        sample: of those units.
        only: no other cell is tried.
    """

    step: Step
    sample: Sample
    only: Form | None = None
    _values: dict[int, list[_Value]] = field(default_factory=dict)
    _stacked: dict[int, Array] = field(default_factory=dict)

    def find(self) -> Form | None:
        """The first cell that the step is; None where it is none."""
        forms = self._lstms() if self.step.c_before is not None else self._others()
        return next(forms, None)

    def _others(self) -> Iterator[Form]:
        if len(self.step.blocks) == 1:
            for value in self._matching(0, 1.0, 0.0, self.sample.new_h):
                yield Form("RNN", {"h": value.gate}, value.name)
        else:
            yield from self._grus()

    def _lstms(self) -> Iterator[Form]:
        blocks = range(len(self.step.blocks))
        if len(blocks) not in _LSTM_BLOCKS:
            return
        limits = [n for n in sorted(self.step.limits) if n][:_MOST_LIMITS]
        for limit in (None, *limits):
            for tensor in self.sample.new_c:
                for f in (v for k in blocks for v in self._of(k) if v.name in _GATES):
                    yield from self._with_forget(tensor, f, limit)

    def _with_forget(self, tensor: Tensor, f: _Value, limit: float | None) -> Iterator[Form]:
        kept, new_c = f.numbers * self.sample.c, self.sample.new_c[tensor]
        rest = [k for k in range(len(self.step.blocks)) if k != f.gate.block]
        for i, g in permutations(rest, 2):
            for one in self._alike(i, f):
                for j in self._matching(g, one.numbers, kept, new_c, limit):
                    gates = {"i": one.gate, "f": f.gate, "c": j.gate}
                    yield from self._with_output(("LSTM", tensor, limit), gates, f, j)
        for g in rest if f.name == "sigmoid" and limit is None else ():
            for j in self._matching(g, 1.0 - f.numbers, kept, new_c):
                gates = {"f": f.gate, "c": j.gate}
                yield from self._with_output(("CoupledLSTM", tensor, None), gates, f, j)

    def _with_output(
        self,
        begun: tuple[str, Tensor, float | None],
        gates: Mapping[str, Gate],
        f: _Value,
        j: _Value,
    ) -> Iterator[Form]:
        kind, tensor, limit = begun
        used = {gate.block for gate in gates.values()}
        rest = [k for k in range(len(self.step.blocks)) if k not in used]
        if len(rest) != 1:
            return
        for ops in (Float64(), SingleConstants()):
            out = activation(ops, j.name, self.sample.new_c[tensor])
            for o in self._alike(rest[0], f):
                if _same(o.numbers * out, self.sample.new_h):
                    full = {**gates, "o": o.gate}
                    yield Form(kind, full, j.name, f.name, cell_clip=limit, c=tensor)
                    return

    def _grus(self) -> Iterator[Form]:
        blocks = range(len(self.step.blocks))
        if len(blocks) != (3 if self.step.inner else 4):
            return
        for z in (v for k in blocks for v in self._of(k) if v.name in _COMPLEMENTED):
            rest = [k for k in blocks if k != z.gate.block]
            for sign in (1.0, -1.0):
                keep = z.numbers if sign > 0 else 1.0 - z.numbers
                gate = Gate(z.gate.block, z.gate.scalars, sign * z.gate.factor)
                if len(rest) == 2 and self.step.inner:
                    yield from self._reset_before(z, gate, keep, rest)
                if len(rest) == 3 and not self.step.inner:
                    yield from self._reset_after(z, gate, keep, rest)

    def _reset_before(
        self, z: _Value, gate: Gate, keep: Array, rest: Sequence[int]
    ) -> Iterator[Form]:
        h, new = self.sample.h, self.sample.new_h
        for k, c in permutations(rest):
            for candidate in self._matching(c, 1.0 - keep, keep * h, new):
                for r in self._alike(k, z):
                    for tensor, value in self.sample.inner.items():
                        if _same(r.numbers * h, value):
                            gates = {"z": gate, "r": r.gate, "c": candidate.gate}
                            yield Form("GRU", gates, candidate.name, z.name, inner=tensor)

    def _reset_after(
        self, z: _Value, gate: Gate, keep: Array, rest: Sequence[int]
    ) -> Iterator[Form]:
        h, new, blocks = self.sample.h, self.sample.new_h, self.sample.blocks
        for k, c, hc in permutations(rest):
            if self.step.h_before in self._seen(c) or self.step.x in self._seen(hc):
                continue
            for r in self._alike(k, z):
                for name, value in _activated(blocks[c] + r.numbers * blocks[hc]):
                    if _same(keep * h + (1.0 - keep) * value, new):
                        gates = {
                            "z": gate,
                            "r": r.gate,
                            "c": self._plain(c),
                            "hc": self._plain(hc),
                        }
                        yield Form("GRU", gates, name, z.name, reset_after=True)

    def _seen(self, block: int) -> Container[Tensor]:
        """What a block is the product of."""
        return self.step.blocks[block].piece.parts

    def _plain(self, block: int) -> Gate:
        """A block as it stands, with all that was done to it."""
        return Gate(block, self.step.blocks[block].piece.scalars)

    def _alike(self, block: int, gate: _Value) -> list[_Value]:
        """A block as a gate of the same activation as another."""
        return [v for v in self._of(block) if v.name == gate.name]

    def _matching(
        self, block: int, by: Array | float, plus: Array | float, wanted: Array,
        limit: float | None = None,
    ) -> list[_Value]:  # fmt: skip
        """What activation makes `by * block + plus`, clipped, what is wanted."""
        values = self._of(block)
        if not values:
            return []
        if block not in self._stacked:
            self._stacked[block] = np.stack([v.numbers for v in values])
        with np.errstate(all="ignore"):
            made = self._stacked[block] * by + plus
            made = made if limit is None else np.clip(made, -limit, limit)
            close = np.abs(made - wanted) <= TOLERANCE * (1.0 + np.abs(wanted))
        hits = np.flatnonzero(close.all(axis=(1, 2)))
        return [values[int(k)] for k in hits]

    def _of(self, block: int) -> list[_Value]:
        """What every activation makes of a block, before or after what was done to it."""
        if block not in self._values:
            found: list[_Value] = []
            scalars = self.step.blocks[block].piece.scalars
            for count in range(len(scalars) + 1):
                value = _undone(self.sample.blocks[block], scalars[count:])
                if value is None:
                    continue
                gate = Gate(block, scalars[:count])
                found += [_Value(gate, name, made) for name, made in _activated(value)]
                steep = Gate(block, scalars[:count], _SIXTH)
                found.append(_Value(steep, "hard_sigmoid", np.clip(value / 6 + 0.5, 0, 1)))
            self._values[block] = [v for v in found if self._is_tried(v)]
        return self._values[block]

    def _is_tried(self, value: _Value) -> bool:
        if self.only is None:
            return True
        gates = [g for g in self.only.gates.values() if g.block == value.gate.block]
        names = {self.only.activation, self.only.gate_activation}
        return value.name in names and any(
            (g.scalars, abs(g.factor)) == (value.gate.scalars, abs(value.gate.factor))
            for g in gates
        )


def holds(form: Form, step: Step, whole: Sample) -> bool:
    """Whether a step is a cell on other numbers, of all units."""
    return FormFinder(step, whole, form).find() == form


def _activated(value: Array) -> Iterator[tuple[str, Array]]:
    with np.errstate(all="ignore"):
        for name in ACTIVATIONS:
            yield name, activation(Float64(), name, value)
            if name in {"hard_sigmoid", "leaky_relu"}:
                yield name, activation(SingleConstants(), name, value)


def _undone(value: Array, scalars: Sequence[Scalar]) -> Array | None:
    """The value before these."""
    for one in reversed(scalars):
        if one.how == "mul" and not one.number:
            return None
        value = value / one.number if one.how == "mul" else value - one.number
    return value


def _clipped(value: Array, limit: float | None) -> Array:
    return value if limit is None else np.clip(value, -limit, limit)


def _same(value: Array, wanted: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(value - wanted) <= TOLERANCE * (1.0 + np.abs(wanted))))


def is_used(form: Form, blocks: Sequence[Block]) -> bool:
    """Whether every block of a step is one of the gates."""
    return {gate.block for gate in form.gates.values()} == set(range(len(blocks)))
