"""Is a cell of any kind computed at a place, and with which constants? Asked by numbers.

The graph's own operations are evaluated in float64 from random x and states and random weights.
Of all tensors that follow from the cell's kernels, one must be the output that
`model.equations` gives, and one each new state, for one set of the constants that stand around.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array, InMemory
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, Construct, FormFacts, FormQuery, Stated
from lstmbridge.graph.form_constants import CLIPS, LIMITS, Constants, constant_sets
from lstmbridge.graph.form_found import Outside, Place
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.prove import TOLERANCE, SingleConstants, is_sizeless, shortest
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import bind, no_tap
from lstmbridge.model.facts import Fact

_ROWS = (1.0, 4.0, 0.3, 1.0, 0.05, 1e-6)
"""Sizes of the rows: near zero for what is added to a variance, large for saturation."""
_COLUMNS = (0.02, 1.0, 30.0)
"""Sizes of columns of weights, where a proof is made again: a unit's gates are then half open
while its candidate is large, which a gate that is shut would hide."""
_AGAIN = (24, 25, 26)
"""Seeds of the sizes of columns; 0 stands for columns of one size."""
_MOST_SETS = 512
_USES = frozenset({"BatchMatMul", "BatchMatMulV2", "GRUBlockCell", "MatMul"})
_OUTPUT = ""


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
    batch: int
    given: dict[str, Array] = field(default_factory=dict)
    _made: dict[tuple[Any, ...], dict[str, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw x and states."""
        options = {name: Fact.assumed(value, "") for name, value in self.query.options.items()}
        cell = self.query.build(self.roles, options)
        draw = np.random.default_rng(22)
        rows = np.resize(_ROWS, self.batch)[:, None]
        self.given["x"] = draw.normal(size=(self.batch, cell.input_size)) * rows
        for state, width in cell.state_sizes.items():
            self.given[state] = draw.normal(size=(self.batch, width)) * np.minimum(rows, 2.0)

    def made(self, constants: Constants) -> dict[str, Array]:
        """Output and new states by the equations, with these constants."""
        key = tuple(s.value for s in constants.values())
        if key not in self._made:
            facts = {name: Fact.read(s.value, s.where) for name, s in constants.items()}
            self._made[key] = _by_equations(self.query.build(self.roles, facts), self.given)
        return self._made[key]


def _by_equations(cell: Cell, given: Mapping[str, Array]) -> dict[str, Array]:
    named = {fact.value for fact in cell.facts.values() if isinstance(fact.value, str)}
    bound = bind(SingleConstants() if "hard_sigmoid" in named else Float64(), cell)
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

    def acts(self, name: str, on: Tensor) -> bool:
        """Whether a clipping operation clips anything, of what was given, that tells on `on`."""
        op = self.tracer.network.op(name)
        value, told = self.evaluation((name, 0)), self.evaluation(on)
        for position, tensor in enumerate(op.inputs):
            edge = (name, position)
            at = self._given[edge] if edge in self._given else self.evaluation(tensor)
            if at.shape == value.shape:
                network, resolve = self.tracer.network, self.tracer.resolve
                open_ = {**self.trial.weights, (name, 0): at}
                if _same(Evaluation(network, resolve, open_, self._given)(on), told):
                    return False
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
        self._trials: dict[tuple[bool, float, int, int], _Trial] = {}
        self._proven: tuple[object, ...] = ()

    def uses(self) -> Iterator[Application | Construct]:
        """Each place that multiplies by the first kernel, as a cell or as a refusal.

        Errors: SourceUnreadable (a broken graph).
        """
        first = next(iter(self._query.sees))
        seen: set[Tensor] = set()
        for op, position in self._variables.users(first):
            if position and op.kind in _USES:
                proven = self._prove(op)
                # several products with one kernel (groups that share it) are one cell
                if isinstance(proven, Construct) or proven.output not in seen:
                    yield proven
                if isinstance(proven, Application):
                    seen.add(proven.output)

    def _prove(self, op: Op) -> Application | Construct:
        place = Place(self._tracer, self._query, self._variables, op.name)
        if place.hopeless:
            detail = "its first kernel is not multiplied with x and h side by side"
            return Construct("own cell", op.name, self._query.layer, detail)
        sets = list(islice(constant_sets(self._tracer, self._query, place), _MOST_SETS))
        # what was proven at one place is likely at the others
        sets.sort(key=lambda constants: _values_of(constants) != self._proven)
        limits = [s.value for c in sets for n, s in c.items() if n in LIMITS and s.value]
        problem = ""
        for small in (True, False):
            limit = max(limits, default=0.0)
            trial = self._trial(place, small=small, limit=limit)
            if trial is None:
                continue
            again = [self._trial(place, small=small, limit=limit, seed=seed) for seed in _AGAIN]
            answer = self._attempt(place, (trial, *again), sets, small=small)
            if isinstance(answer, Application):
                self._proven = answer.facts.values
                return answer
            problem = answer
        return Construct("own cell", op.name, self._query.layer, problem)

    def _trial(self, place: Place, *, small: bool, limit: float, seed: int = 0) -> _Trial | None:
        batch = len(_ROWS) if small else place.batch() or len(_ROWS)
        shapes = self._query.small if small else self._query.shapes
        if shapes is None:
            return None
        if (small, limit, batch, seed) not in self._trials:
            whole, by_tensor = self._variables.stand_ins(shapes)
            draw = np.random.default_rng(seed)
            for role in whole if seed else ():
                whole[role][...] *= draw.choice(_COLUMNS, size=whole[role].shape[-1])
            for role in self._query.last if limit else ():
                # so that a clip of what comes last is seen at work, and at rest
                if role in whole:
                    whole[role][:, ::2] *= 3.0 * limit
            roles = {role: InMemory(role, array) for role, array in whole.items()}
            made = _Trial(self._query, roles, by_tensor, batch)
            self._trials[small, limit, batch, seed] = made
        return self._trials[small, limit, batch, seed]

    def _attempt(
        self,
        place: Place,
        trials: Sequence[_Trial | None],
        sets: Sequence[Constants],
        *,
        small: bool,
    ) -> Application | str:
        """The application, found on the first trial and proven on all; or what departs."""
        trial, *others = (one for one in trials if one is not None)
        values = _Values(self._tracer, self._query, place, trial)
        sought = [*self._query.state_sizes, _OUTPUT]
        best: dict[str, _Value] = {}
        of_best: Constants = {}
        for constants in sets:
            found = _matching(values, trial.made(constants), sought)
            if len(found) > len(best):
                best, of_best = found, constants
            if len(found) == len(sought):
                break
        if _OUTPUT in best:
            # a state may be missing where nobody asks for it: after the last unrolled step
            ops = (self._tracer.network.op(n) for n in values.evaluation.computed)
            if small and not all(map(is_sizeless, ops)):
                return "its operations know sizes"
            odd = next(filter(None, (self._departs(t, of_best, best) for t in others)), "")
            if odd:
                return f"its new {odd} departs from the cell it looks like, for large numbers"
            return self._application(place, of_best, values, best)
        missing = [name or "output" for name in sought if name not in best]
        kinds = [self._tracer.network.op(name).kind for name in list(place.reached)[1:13]]
        return (
            f"nothing that follows from its kernel is the new {' or '.join(missing)} of such a "
            f"cell, with any constants that stand around; what follows is "
            f"{', '.join(kinds) or 'nothing'}"
        )

    def _departs(self, again: _Trial, constants: Constants, found: Mapping[str, _Value]) -> str:
        """What is not the same on other weights; "" where all is."""
        wanted = again.made(constants)
        for name, one in found.items():
            given = {edge: again.given[what] for edge, what in one.edges.items()}
            network, resolve = self._tracer.network, self._tracer.resolve
            try:
                value = Evaluation(network, resolve, again.weights, given)(one.tensor)
            except NotRecognised:
                return name or "output"
            if not _same(value, wanted[name]):
                return name or "output"
        return ""

    def _application(
        self, place: Place, constants: Constants, values: _Values, found: Mapping[str, _Value]
    ) -> Application | str:
        read: dict[str, set[Tensor]] = {}
        for one in found.values():
            for edge, name in one.edges.items():
                read.setdefault(name, set()).add(values.read(edge))
        wanted = {"x", *self._query.state_sizes}
        if set(read) != wanted or any(len(tensors) != 1 for tensors in read.values()):
            return "its parts see different inputs or states"
        for one in found.values():
            for name in place.parts(one.tensor):
                op = self._tracer.network.op(name)
                if op.kind in CLIPS and not values.acts(name, one.tensor):
                    return f"the {op.kind} {name!r} is no part of such a cell"
        resolve = self._tracer.resolve
        return Application(
            layer=self._query.layer,
            node=place.node,
            facts=FormFacts({n: _shortest(s) for n, s in constants.items()}),
            x=read["x"].pop(),
            previous={state: read[state].pop() for state in self._query.state_sizes},
            states={state: resolve(one.tensor) for state, one in found.items() if state},
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
