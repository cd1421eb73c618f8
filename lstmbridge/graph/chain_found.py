"""Unrolled steps, found without knowing a name: states that are multiplied by the same weights.

A loop that somebody wrote in Python leaves a chain: each new state is multiplied, by the weights
that its own step used, in the next step. Nothing marks where a step ends; what the state before
was made of is what it began with.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.graph.affine import Affine
from lstmbridge.graph.functions import ELEMENTWISE
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.step_found import Frontier, Step, StepFinder, Unlike, multiplied
from lstmbridge.graph.trace import Tracer, is_training

_PRODUCTS = frozenset({"BatchMatMul", "BatchMatMulV2", "MatMul"})
_MOST_PRODUCTS = 2_000
_BEHIND = 60
"""Tensors of one step, at most."""
_AHEAD = 60


@dataclass(frozen=True, eq=False)
class Chain:
    """Tensors that are multiplied by one matrix, and the products.

    Attributes:
        products: the tensor -> its products.
    """

    products: dict[Tensor, list[Tensor]] = field(default_factory=dict)


@dataclass(eq=False)
class ChainFinder:
    """Finds the unrolled steps of one network."""

    tracer: Tracer
    affine: Affine
    finder: StepFinder
    _behind: dict[Tensor, frozenset[Tensor]] = field(default_factory=dict)

    def steps(self) -> Iterator[tuple[Step, bool]]:
        """Every step that hands its state to another; and, True, what may be a last one."""
        seen: set[Tensor] = set()
        for chain in self._chains():
            begun: set[Tensor] = set()
            for h in chain.products:
                for step in () if h in seen else self._steps(h, chain):
                    begun.add(step.h_before)
                    yield step, False
                seen.add(h)
            for h_before in [t for t in chain.products if t not in begun] if begun else ():
                for h in self._ahead(chain.products[h_before]):
                    for step in () if h in seen else self._steps(h, chain):
                        if step.h_before == h_before:
                            yield step, True

    def _chains(self) -> list[Chain]:
        """Matrices that several tensors are multiplied by, outside of loops."""
        home = Scopes(self.tracer).home
        ops = [
            op
            for op in self.tracer.network.ops.values()
            if op.kind in _PRODUCTS and not is_training(op.name) and home(op.name) is None
        ]
        found: dict[int, Chain] = {}
        for op in ops if len(ops) <= _MOST_PRODUCTS else ():
            self._add(op, found)
        return [chain for chain in found.values() if len(chain.products) > 1]

    def _add(self, op: Op, found: dict[int, Chain]) -> None:
        product = self.tracer.resolve((op.name, 0))
        if product != (op.name, 0):
            return
        for piece in self.affine.row(product):
            for tensor, matrix in piece.parts.items():
                if matrix is not None and matrix.ndim == 2:
                    mark = zlib.crc32(np.ascontiguousarray(matrix).tobytes())
                    chain = found.setdefault(mark, Chain())
                    chain.products.setdefault(tensor, []).append(product)

    def _steps(self, h: Tensor, chain: Chain) -> list[Step]:
        """The step that may make `h`, as a cell with one state or with two."""
        h_before = self._before(h, chain)
        if h_before is None:
            return []
        history = self._history(h_before)
        first = self.finder.frontier(h, history, _BEHIND)
        if first is None or not first.products:
            return []
        rows, plus = self.finder.products(first)
        inner: list[Tensor] = []
        for tensor in dict.fromkeys(t for row in rows.values() for t in multiplied(row)):
            behind = None if tensor in history else self.finder.frontier(tensor, history, _BEHIND)
            if behind is not None and behind.products and h_before in behind.states:
                inner.append(tensor)
                more, added = self.finder.products(behind)
                rows, plus = {**more, **rows}, {**added, **plus}
        others = [t for t in (*first.states, *first.others) if t != h_before]
        if len(others) > 1:
            return []
        # both states may begin with the same zeros
        both = not others and not inner and h_before in first.states
        found: list[Step] = []
        for c_before in (None, h_before) if both else (others[0] if others else None,):
            choices = () if c_before is None else self._made_of(first, c_before, h)
            step = self.finder.assembled(
                h, (h_before, c_before), choices, inner, (rows, plus, first.limits)
            )
            found += () if isinstance(step, Unlike) else (step,)
        return found

    def _before(self, h: Tensor, chain: Chain) -> Tensor | None:
        """The state before: what the nearest product behind `h` multiplies."""
        todo, seen = [h], {h}
        while todo and len(seen) < _BEHIND:
            at = todo.pop(0)
            own = {t for piece in self.affine.row(at) for t in piece.parts} - {at, h}
            found = [t for t in own if t in chain.products] if at != h else []
            if found:
                return found[0] if len(found) == 1 else None
            op = self.tracer.network.op(at[0])
            inputs: Sequence[Tensor] = op.inputs if self._is_passed(op) else ()
            fresh = [t for t in map(self.tracer.resolve, inputs) if t not in seen]
            seen.update(fresh)
            todo.extend(fresh)
        return None

    def _is_passed(self, op: Op) -> bool:
        joins = {"AddN", "BiasAdd", "Concat", "ConcatV2", "Slice", "Split", "SplitV"}
        return op.kind in ELEMENTWISE or op.kind in joins or op.kind == "StridedSlice"

    def _history(self, h_before: Tensor) -> frozenset[Tensor]:
        """A state, and what it was made of, unit by unit."""
        if h_before not in self._behind:
            todo, seen = [h_before], {h_before}
            while todo and len(seen) < _BEHIND:
                op = self.tracer.network.op(todo.pop(0)[0])
                inputs = op.inputs if self._is_passed(op) else ()
                fresh = [t for t in map(self.tracer.resolve, inputs) if t not in seen]
                fresh = [t for t in fresh if self.affine.fixed(t) is None]
                seen.update(fresh)
                todo.extend(fresh)
            self._behind[h_before] = frozenset(seen)
        return self._behind[h_before]

    def _made_of(self, first: Frontier, state: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Tensors between an old state and the new one: one of them is the other new state."""
        reached = {state}
        for at in reversed(first.passed):
            inputs = self.tracer.network.op(at[0]).inputs
            if reached.intersection(map(self.tracer.resolve, inputs)):
                reached.add(at)
        return tuple(at for at in first.passed if at in reached and at != h)

    def _ahead(self, products: Sequence[Tensor]) -> list[Tensor]:
        """What follows from products unit by unit, nearest first."""
        found: dict[Tensor, None] = {}
        todo, seen = list(products), set(products)
        while todo and len(seen) < _AHEAD:
            for name, _ in self.tracer.uses(todo.pop(0)):
                op = self.tracer.network.op(name)
                count = int(op.attrs.get("num_split", 1)) if op.kind == "Split" else 1
                for output in range(count) if self._is_passed(op) else ():
                    tensor = self.tracer.resolve((name, output))
                    if tensor not in seen:
                        seen.add(tensor)
                        todo.append(tensor)
                        found[tensor] = None
        return list(found)
