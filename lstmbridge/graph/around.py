"""Wrappers with variables around a cell, and dense layers in front of it: found and proven.

An application of a cell becomes the application of the cell with what lies around it: its x is
what the outermost wrapper takes, its output what that gives. The states stay the cell's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array, InMemory
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, AroundQuery, Construct, Stated
from lstmbridge.graph.gates_found import ACTIVATION_OPS, ADDS
from lstmbridge.graph.glue import same
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.prove import is_sizeless
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables
from lstmbridge.model.blocks import Dense
from lstmbridge.model.equations.wrappers import dense, highway
from lstmbridge.model.facts import Fact

_BATCH = 4
# one row each so large that whatever clips what goes in, or what the cell gives, is seen
_ROWS_FED = np.array([1.0, 1e4, 1.0, 1.0])[:, None]
_ROWS_MADE = np.array([1.0, 1.0, 1e4, 1.0])[:, None]
_SMALL = (5, 7)
_NEAR = 12
_FURTHEST = 64
_STOPS = frozenset({"Concat", "ConcatV2", "Merge", "NextIteration", "Pack"})


@dataclass(frozen=True)
class _Sizes:
    """Stand-ins of one size: weights by role and by the graph's variables; what goes in."""

    weights: Mapping[str, Array]
    by_tensor: Mapping[Tensor, Array]
    x: Array
    inner: Array
    small: bool


@dataclass(eq=False)
class Surrounding:
    """One wrapper, as a graph has it."""

    tracer: Tracer
    query: AroundQuery
    variables: QueryVariables
    _drawn: dict[bool, _Sizes] = field(default_factory=dict)
    _readers: set[str] = field(default_factory=set)

    def put_around(self, app: Application) -> Application | Construct:
        """`app` with the wrapper, or what stands in its place. Errors: SourceUnreadable."""
        if self.variables.problem is not None:
            return self.variables.problem
        for small in (True, False):
            sizes = self._sizes(small=small)
            found = self._before(app, sizes) if self.query.before else self._after(app, sizes)
            if found is not None:
                return found
        first = next(iter(self.query.variables.values()))[0]
        return Construct(
            "wrapper",
            app.node,
            app.layer,
            f"the graph does not put {self.query.name} ({first}) around {app.layer} as it does",
        )

    def others(self, found: Sequence[Application | Construct]) -> list[Construct]:
        """Products with a dense layer's kernel that are no part of any application."""
        if self.variables.problem is not None or not self.query.dense:
            return []
        if not all(isinstance(one, Application) for one in found):
            return []
        detail = f"the kernel of {self.query.name} is multiplied elsewhere too"
        return [
            Construct("wrapper", op.name, self.query.layer, detail)
            for op, _ in self.variables.users("kernel")
            if op.kind == "MatMul" and op.name not in self._readers
        ]

    def _sizes(self, *, small: bool) -> _Sizes:
        if small not in self._drawn:
            shapes = dict(self.query.shapes)
            if small:
                rows, columns = _SMALL if self.query.dense else (_SMALL[0], _SMALL[0])
                shapes = {
                    role: (rows, columns) if len(shape) > 1 else (columns,)
                    for role, shape in shapes.items()
                }
            whole, by_tensor = self.variables.stand_ins(shapes)
            rows, columns = shapes[next(iter(shapes))]
            draw = np.random.default_rng(23)
            self._drawn[small] = _Sizes(
                whole,
                by_tensor,
                draw.normal(size=(_BATCH, rows)) * _ROWS_FED,
                draw.normal(size=(_BATCH, rows)) * _ROWS_MADE,
                small,
            )
        return self._drawn[small]

    # --- in front of the cell ---

    def _before(self, app: Application, sizes: _Sizes) -> Application | None:
        """The application with x before the dense layer, and a residual behind that."""
        reader, kinds = self._reader_behind(app.x)
        if reader is None:
            return None
        given = {(reader, 0): sizes.x}
        evaluation = Evaluation(self.tracer.network, self.tracer.resolve, sizes.by_tensor, given)
        value = self._evaluated(evaluation, app.x, sizes)
        if value is None:
            return None
        for name, node in kinds.items():
            if same(value, self._dense(sizes.x, sizes.weights, name)):
                x = self.tracer.resolve(self.tracer.network.op(reader).inputs[0])
                self._readers.add(reader)
                found = replace(app, x=x, around=(*app.around, Stated(name, node)))
                return found if self.query.linear else self._with_residual(found, app)
        return None

    def _with_residual(self, found: Application, app: Application) -> Application:
        """`found`, with a residual that adds what the dense layer gives to the cell's output."""
        if app.within is not None:
            return found
        for name, position in self.tracer.uses(app.output):
            op = self.tracer.network.op(name)
            if op.kind in ADDS and len(op.inputs) == 2:
                other = self.tracer.resolve(op.inputs[1 - position])
                if other == self.tracer.resolve(app.x):
                    return replace(found, output=(name, 0), within=Stated(True, name))
        return found

    def _reader_behind(self, tensor: Tensor) -> tuple[str | None, dict[str, str]]:
        """(the product with the kernel, activations on the way with their nodes)."""
        readers = {op.name for op, position in self.variables.users("kernel") if position == 1}
        kinds = {"linear": tensor[0]}
        queue, seen = deque([self.tracer.resolve(tensor)]), set[Tensor]()
        while queue and len(seen) < _NEAR:
            at = queue.popleft()
            seen.add(at)
            op = self.tracer.network.op(at[0])
            if op.name in readers:
                return op.name, kinds
            if op.kind in ACTIVATION_OPS:
                kinds.setdefault(ACTIVATION_OPS[op.kind], op.name)
            fresh = (self.tracer.resolve(t) for t in op.inputs)
            queue.extend(t for t in fresh if t not in seen)
        return None, kinds

    # --- behind the cell ---

    def _after(self, app: Application, sizes: _Sizes) -> Application | None:
        """The application with what follows from its output, and perhaps its x."""
        residuals = (False, True) if app.within is None else (False,)
        tensors = {**sizes.by_tensor, app.x: sizes.x, app.output: sizes.inner}
        evaluation = Evaluation(self.tracer.network, self.tracer.resolve, tensors)
        for tensor in self._following(app.output):
            value = self._evaluated(evaluation, tensor, sizes)
            if value is None:
                continue
            for added in residuals:
                inner = sizes.inner + sizes.x if added else sizes.inner
                stated = self._made(value, tensor, sizes, inner)
                if stated is not None:
                    reader, _ = self._reader_behind(tensor) if self.query.dense else (None, {})
                    self._readers.update([reader] if reader else [])
                    output, stated = self._activated(tensor, stated)
                    within = app.within or Stated(added, tensor[0])
                    around = (*app.around, stated)
                    return replace(app, output=output, around=around, within=within)
        return None

    def _made(
        self, value: Array, tensor: Tensor, sizes: _Sizes, inner: Array
    ) -> Stated[str] | None:
        if not self.query.dense:
            wanted = highway(Float64(), sizes.x, inner, sizes.weights)
            return Stated("", tensor[0]) if same(value, wanted) else None
        wanted = self._dense(inner, sizes.weights, "linear")
        return Stated("linear", tensor[0]) if same(value, wanted) else None

    def _activated(self, tensor: Tensor, stated: Stated[str]) -> tuple[Tensor, Stated[str]]:
        """The dense layer's own activation, where nothing else reads what comes before it."""
        uses = [name for name, _ in self.tracer.uses(tensor)] if self.query.dense else []
        if len(uses) == 1:
            op = self.tracer.network.op(uses[0])
            if op.kind in ACTIVATION_OPS and not self.query.linear:
                return (op.name, 0), Stated(ACTIVATION_OPS[op.kind], op.name)
        return self.tracer.resolve(tensor), stated

    def _following(self, tensor: Tensor) -> Iterator[Tensor]:
        """What follows from a tensor, nearest first."""
        queue, seen = deque([tensor]), set[str]()
        while queue and len(seen) < _FURTHEST:
            for name, _ in self.tracer.uses(queue.popleft()):
                if name in seen or self.tracer.network.op(name).kind in _STOPS:
                    continue
                seen.add(name)
                queue.append((name, 0))
                yield name, 0

    # --- numbers ---

    def _evaluated(self, evaluation: Evaluation, tensor: Tensor, sizes: _Sizes) -> Array | None:
        try:
            value = evaluation(tensor)
        except NotRecognised:
            return None
        ops = (self.tracer.network.op(name) for name in evaluation.computed)
        return None if sizes.small and not all(map(is_sizeless, ops)) else value

    def _dense(self, x: Array, weights: Mapping[str, Array], activation: str) -> Array:
        roles = {role: InMemory(role, array) for role, array in weights.items()}
        block = Dense(roles["kernel"], roles.get("bias"), Fact.read(activation, ""))
        return dense(Float64(), block, x, weights)


def with_surroundings(
    tracer: Tracer, queries: Sequence[AroundQuery], apps: Sequence[Application]
) -> list[Application | Construct]:
    """Applications with what lies around their cell, innermost first."""
    found: list[Application | Construct] = list(apps)
    for query in queries:
        surrounding = Surrounding(tracer, query, QueryVariables(tracer, query))
        found = [
            surrounding.put_around(app) if isinstance(app, Application) else app for app in found
        ]
        found += surrounding.others(found)
    return found
