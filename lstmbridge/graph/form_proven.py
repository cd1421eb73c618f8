"""Is a cell of any kind computed at a place, and with which constants? Asked by numbers.

The graph's own operations are evaluated in float64 from random x and states and random weights.
Of all tensors that follow from the cell's kernels, one must be the output that
`model.equations` gives, and one each new state, for one set of the constants that stand around.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array, InMemory
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, Construct, FormFacts, FormQuery, Stated
from lstmbridge.graph.form_found import Outside, Place
from lstmbridge.graph.gates_found import ACTIVATION_OPS
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.prove import TOLERANCE, is_sizeless, shortest
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import bind, no_tap
from lstmbridge.model.facts import Fact

_ROWS = (1e-6, 0.05, 0.3, 1.0, 1.0, 4.0)
"""Sizes of the rows: near zero for what is added to a variance, large for saturation."""
_MOST_VALUES = 8
_MOST_SETS = 512
_CLIPS = frozenset({"ClipByValue", "Maximum", "Minimum", "Relu6"})
_USES = frozenset({"BatchMatMul", "BatchMatMulV2", "GRUBlockCell", "MatMul"})
_ACTIVATIONS = frozenset({"activation", "gate_activation"})
_NUMBERS = frozenset({"epsilon", "forget_bias"})
_LIMITS = frozenset({"cell_clip", "proj_clip"})
_OUTPUT = ""

Constants = Mapping[str, Stated[Any]]


@dataclass(eq=False)
class _Trial:
    """One size of stand-ins: given numbers, and what the equations make of them.

    Attributes:
        given: ``"x"`` and the states by name.
        weights: by the graph's variables.
    """

    query: FormQuery
    roles: Mapping[str, InMemory]
    weights: Mapping[Tensor, Array]
    given: dict[str, Array] = field(default_factory=dict)
    _made: dict[tuple[Any, ...], dict[str, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw x and states."""
        options = {name: Fact.assumed(value, "") for name, value in self.query.options.items()}
        cell = self.query.build(self.roles, options)
        draw = np.random.default_rng(22)
        rows = np.asarray(_ROWS)[:, None]
        self.given["x"] = draw.normal(size=(len(rows), cell.input_size)) * rows
        for state, width in cell.state_sizes.items():
            self.given[state] = draw.normal(size=(len(rows), width)) * np.minimum(rows, 2.0)

    def made(self, constants: Constants) -> dict[str, Array]:
        """Output and new states by the equations, with these constants."""
        key = tuple(s.value for s in constants.values())
        if key not in self._made:
            facts = {name: Fact.read(s.value, s.where) for name, s in constants.items()}
            self._made[key] = _by_equations(self.query.build(self.roles, facts), self.given)
        return self._made[key]


def _by_equations(cell: Cell, given: Mapping[str, Array]) -> dict[str, Array]:
    bound = bind(Float64(), cell)
    states = {state: given[state] for state in cell.state_sizes}
    with np.errstate(all="ignore"):
        output, new = bound.step(bound.input_product(given["x"]), states, no_tap)
    return {**new, _OUTPUT: output}


@dataclass(frozen=True)
class _Value:
    """A tensor that follows from a cell's kernels, its numbers, and what it reads as what."""

    tensor: Tensor
    numbers: Array
    edges: Mapping[Edge, str]


@dataclass(eq=False)
class _Values:
    """Tensors that may be a state or the output, each evaluated when it is first asked for."""

    tracer: Tracer
    query: FormQuery
    place: Place
    trial: _Trial
    evaluation: Evaluation = field(init=False)
    _given: dict[Edge, Array] = field(default_factory=dict)
    _known: list[_Value] = field(default_factory=list)
    _rest: Iterator[_Value] = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        network, resolve = self.tracer.network, self.tracer.resolve
        self.evaluation = Evaluation(network, resolve, self.trial.weights, self._given)
        self._rest = self._evaluated()

    def __iter__(self) -> Iterator[_Value]:
        yield from self._known
        for value in self._rest:
            self._known.append(value)
            yield value

    def _evaluated(self) -> Iterator[_Value]:
        for tensor, outside in self.place.candidates():
            edges = self._named(outside)
            if edges is None:
                continue
            self._given.update({edge: self.trial.given[name] for edge, name in edges.items()})
            try:
                numbers = self.evaluation(tensor)
            except NotRecognised:
                continue
            yield _Value(tensor, numbers, edges)

    def acts(self, name: str) -> bool:
        """Whether a clipping operation clips anything, of what was given."""
        op = self.tracer.network.op(name)
        value = self.evaluation((name, 0))
        for position, tensor in enumerate(op.inputs):
            edge = (name, position)
            at = self._given[edge] if edge in self._given else self.evaluation(tensor)
            if at.shape == value.shape:
                return not np.array_equal(at, value)
        return True

    def read(self, edge: Edge) -> Tensor:
        """The tensor that an input reads."""
        return self.tracer.resolve(self.tracer.network.op(edge[0]).inputs[edge[1]])

    def _named(self, outside: Outside) -> dict[Edge, str] | None:
        """Each input from outside as x or a state; None where it may be none of them."""
        edges = dict(outside.edges)
        known: dict[Tensor, str] = {}
        for edge, name in edges.items():
            if name and known.setdefault(self.read(edge), name) != name:
                known.pop(self.read(edge))
        if len(set(known.values())) < len(known):
            return None
        others = [state for state in self.query.state_sizes if state != "h"]
        for edge, name in edges.items():
            tensor = self.read(edge)
            if name:
                continue
            if tensor not in known and others:
                known[tensor] = others.pop(0)
            if tensor not in known:
                return None
            edges[edge] = known[tensor]
        return edges


class FormProver:
    """Proves or refutes the uses of one query's first kernel."""

    def __init__(self, tracer: Tracer, query: FormQuery, variables: QueryVariables) -> None:
        self._tracer = tracer
        self._query = query
        self._variables = variables
        self._trials: dict[tuple[bool, float], _Trial] = {}
        self._proven: tuple[object, ...] = ()

    def uses(self) -> Iterator[Application | Construct]:
        """Each place that multiplies by the first kernel, as a cell or as a refusal.

        Errors: SourceUnreadable (a broken graph).
        """
        first = next(iter(self._query.sees))
        for op, position in self._variables.users(first):
            if position and op.kind in _USES:
                yield self._prove(op)

    def _prove(self, op: Op) -> Application | Construct:
        place = Place(self._tracer, self._query, self._variables, op.name)
        sets = list(islice(_constant_sets(self._tracer, self._query, place), _MOST_SETS))
        # what was proven at one place is likely at the others
        sets.sort(key=lambda constants: _values_of(constants) != self._proven)
        limits = [s.value for c in sets for n, s in c.items() if n in _LIMITS and s.value]
        problem = ""
        for small in (True, False):
            trial = self._trial(small=small, limit=max(limits, default=0.0))
            if trial is None:
                continue
            answer = self._attempt(place, trial, sets, small=small)
            if isinstance(answer, Application):
                self._proven = answer.facts.values
                return answer
            problem = answer
        return Construct("own cell", op.name, self._query.layer, problem)

    def _trial(self, *, small: bool, limit: float) -> _Trial | None:
        shapes = self._query.small if small else self._query.shapes
        if shapes is None:
            return None
        if (small, limit) not in self._trials:
            whole, by_tensor = self._variables.stand_ins(shapes)
            for role in self._query.last if limit else ():
                # so that a clip of what comes last is seen at work, and at rest
                if role in whole:
                    whole[role][:, ::2] *= 3.0 * limit
            roles = {role: InMemory(role, array) for role, array in whole.items()}
            self._trials[small, limit] = _Trial(self._query, roles, by_tensor)
        return self._trials[small, limit]

    def _attempt(
        self, place: Place, trial: _Trial, sets: Sequence[Constants], *, small: bool
    ) -> Application | str:
        """The application, or what departs."""
        values = _Values(self._tracer, self._query, place, trial)
        sought = [*self._query.state_sizes, _OUTPUT]
        best: dict[str, _Value] = {}
        for constants in sets:
            found = _matching(values, trial.made(constants), sought)
            if len(found) == len(sought):
                ops = (self._tracer.network.op(n) for n in values.evaluation.computed)
                if small and not all(map(is_sizeless, ops)):
                    return "its operations know sizes"
                return self._application(place, constants, values, found)
            best = max(best, found, key=len)
        missing = [name or "output" for name in sought if name not in best]
        kinds = [self._tracer.network.op(name).kind for name in list(place.reached)[1:13]]
        return (
            f"nothing that follows from its kernel is the new {' or '.join(missing)} of such a "
            f"cell, with any constants that stand around; what follows is "
            f"{', '.join(kinds) or 'nothing'}"
        )

    def _application(
        self, place: Place, constants: Constants, values: _Values, found: Mapping[str, _Value]
    ) -> Application | str:
        read: dict[str, set[Tensor]] = {}
        for one in found.values():
            for edge, name in one.edges.items():
                read.setdefault(name, set()).add(values.read(edge))
        if any(len(tensors) != 1 for tensors in read.values()):
            return "its parts see different inputs or states"
        for one in found.values():
            for name in place.parts(one.tensor):
                op = self._tracer.network.op(name)
                if op.kind in _CLIPS and not values.acts(name):
                    return f"the {op.kind} {name!r} is no part of such a cell"
        resolve = self._tracer.resolve
        return Application(
            layer=self._query.layer,
            node=place.node,
            facts=FormFacts({n: _shortest(s) for n, s in constants.items()}),
            x=read["x"].pop(),
            previous={state: read[state].pop() for state in self._query.state_sizes},
            states={state: resolve(found[state].tensor) for state in self._query.state_sizes},
            output=resolve(found[_OUTPUT].tensor),
        )


def _matching(
    values: Iterable[_Value], made: Mapping[str, Array], sought: Sequence[str]
) -> dict[str, _Value]:
    """For each name sought, the first tensor that is what was made of it."""
    found: dict[str, _Value] = {}
    for value in values:
        for name in sought:
            if name not in found and _same(value.numbers, made[name]):
                found[name] = value
        if len(found) == len(sought):
            break
    return found


def _values_of(constants: Constants) -> tuple[object, ...]:
    return tuple(_shortest(s).value for s in constants.values())


def _same(value: Array, wanted: Array) -> bool:
    if value.shape != wanted.shape:
        return False
    worst = np.max(np.abs(value - wanted), axis=-1)
    # row by row, since rows differ in size; a NaN must not pass
    return bool(np.all(worst <= TOLERANCE * np.max(np.abs(wanted), axis=-1)))


def _shortest(stated: Stated[Any]) -> Stated[Any]:
    value = stated.value
    return Stated(shortest(value), stated.where) if type(value) is float else stated


def _constant_sets(tracer: Tracer, query: FormQuery, place: Place) -> Iterator[Constants]:
    """Every set of constants that the operations around suggest, the likeliest first."""
    ops = [tracer.network.op(name) for name in place.reached]
    choices = [
        _suggested(tracer, ops, name, value, place.node)
        if name in query.open
        else [Stated(value, place.node)]
        for name, value in query.options.items()
    ]
    for values in product(*choices):
        yield dict(zip(query.options, values, strict=True))


def _suggested(
    tracer: Tracer, ops: Sequence[Op], option: str, default: Any, node: str
) -> list[Stated[Any]]:
    """The values of one option that are seen around, the one that is tried first in front."""
    seen: dict[Any, str] = {}
    if option in _ACTIVATIONS:
        seen = _activations(ops) | {"linear": node}
    elif option in _LIMITS:
        clips = _numbers(tracer, [op for op in ops if op.kind in _CLIPS])
        seen = {abs(number): where for number, where in clips.items()}
    elif option in _NUMBERS:
        seen = _numbers(tracer, ops) | {0.0: node}
    # an operation that is a whole cell shows nothing of what is inside
    seen.setdefault(default, node)
    values = sorted(seen, key=lambda value: value != default)
    return [Stated(value, seen[value]) for value in values[:_MOST_VALUES]]


def _activations(ops: Sequence[Op]) -> dict[Any, str]:
    seen: dict[Any, str] = {}
    for op in ops:
        if op.kind in ACTIVATION_OPS:
            seen.setdefault(ACTIVATION_OPS[op.kind], op.name)
    return seen


def _numbers(tracer: Tracer, ops: Sequence[Op]) -> dict[Any, str]:
    seen: dict[Any, str] = {}
    for op in ops:
        for tensor in op.inputs:
            number = tracer.scalar(tensor)
            if number is not None:
                seen.setdefault(number, tracer.op(tensor).name)
    return seen
