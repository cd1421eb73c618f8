"""A layer over time: its state, handed from step to step by a loop or by unrolled steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, Construct
from lstmbridge.graph.glue import Gluer, same
from lstmbridge.graph.masks import Clock, mask_of
from lstmbridge.graph.network import Loop, Tensor
from lstmbridge.graph.slices import slice_back
from lstmbridge.graph.trace import Options, Tracer
from lstmbridge.graph.variables import nodes_of


@dataclass(frozen=True)
class Link:
    """Where one state of one application comes from.

    Attributes:
        before: the application that made it, one unrolled step earlier.
        loop: the loop that hands it on.
        initial: the tensor that it begins with, where this is the first step.
        lengths: the node of the lengths past which it is held, or "".
        problem: what else happens to it.
    """

    before: Application | None = None
    loop: Loop | None = None
    initial: Tensor | None = None
    lengths: str = ""
    problem: Construct | None = None


@dataclass(frozen=True)
class Strand:
    """One layer over time.

    Attributes:
        apps: its applications in the order of steps; one where a loop repeats it.
        loop: the loop, None where unrolled or whole.
        initial: state -> the tensor that the state begins with.
        lengths: nodes of the lengths past which states are held.
        problems: what else happens to its states.
    """

    apps: tuple[Application, ...]
    loop: Loop | None
    initial: Mapping[str, Tensor | None]
    lengths: tuple[str, ...]
    problems: tuple[Construct, ...]

    @property
    def layer(self) -> str:
        """The label."""
        return self.apps[0].layer


@dataclass(eq=False)
class StrandFinder:
    """Links applications over time."""

    tracer: Tracer
    gluer: Gluer
    _numbers: dict[str, int] = field(default_factory=dict)
    _variables: dict[str, frozenset[str]] = field(default_factory=dict)
    _given: dict[Tensor, Array] = field(init=False)

    def __post_init__(self) -> None:
        """Draw the cells' outputs."""
        self._given = self.gluer.random_outputs(np.random.default_rng(3))

    def strands(self) -> list[Strand]:
        """All strands, in the order of their first applications."""
        links = {
            app.node: {state: self._link(app, state) for state in app.previous}
            for app in self.gluer.applications
        }
        successor: dict[str, Application] = {}
        starts: list[Application] = []
        for app in self.gluer.applications:
            before = _before(links[app.node])
            if before is None or before.layer != app.layer or before.node in successor:
                starts.append(app)
            else:
                successor[before.node] = app
        strands = [_strand(start, successor, links) for start in starts]
        linked = {app.node for strand in strands for app in strand.apps}
        rest = [app for app in self.gluer.applications if app.node not in linked]
        return [*strands, *map(_endless, rest)]

    def _link(self, app: Application, state: str) -> Link:
        tensor = app.previous[state]
        if app.whole:
            return Link(initial=tensor)
        carrier = self.gluer.carrier(tensor)
        found = self.tracer.network.entries.get(carrier)
        if found is None:
            return self._unrolled(app, state, tensor, carrier)
        loop, variable = found
        options = self.gluer.options(variable.following)
        made = [t for t in options.tensors if t != carrier]
        problem = "more than one thing is handed on"
        lengths = ""
        if len(made) == 1:
            value = self._value(made[0], self._given)
            problem = "what is handed on is not the cell's new state"
            if value is not None and self._comes_back(tensor, carrier, made[0], value) == (
                app,
                state,
            ):
                kept = np.random.default_rng(5).normal(size=value.shape)
                mask = mask_of(
                    self.tracer,
                    variable.following,
                    options,
                    made=(made[0], value),
                    old=(carrier, kept),
                    clock=Clock(carrier),
                )
                lengths, problem = mask.lengths, mask.problem
        return Link(
            loop=loop,
            initial=variable.initial,
            lengths=lengths,
            problem=_problem(app, made[0] if made else carrier, problem) if problem else None,
        )

    def _comes_back(
        self, tensor: Tensor, carrier: Tensor, made: Tensor, value: Array
    ) -> tuple[Application, str] | None:
        """Which cell's output a state is when `made`, of that value, is what carries it."""
        if tensor == carrier and made in self.gluer.outputs:
            return self.gluer.outputs[made]
        back = self._value(tensor, {carrier: value})
        if back is None:
            return None
        for output in slice_back(self.tracer, made, self.gluer.outputs).cells:
            if same(back, self._given[output]):
                return self.gluer.outputs[output]
        return None

    def _value(self, tensor: Tensor, given: Mapping[Tensor, Array]) -> Array | None:
        try:
            return Evaluation(self.tracer.network, self.tracer.resolve, given)(tensor)
        except NotRecognised:
            return None

    def _unrolled(self, app: Application, state: str, tensor: Tensor, carrier: Tensor) -> Link:
        options = self.gluer.options(carrier)
        for option in options.tensors:
            value = self._value(option, self._given) if self._is_made(option) else None
            if value is None:
                continue
            found = self._comes_back(tensor, carrier, option, value)
            if found is None:
                continue
            before, made = found
            if made != state:
                problem = _problem(app, tensor, f"its {state} is another's {made}")
                return Link(initial=tensor, problem=problem)
            return self._held(app, state, before, (carrier, options, option, value))
        behind = slice_back(self.tracer, tensor, self.gluer.outputs)
        if not behind.cells:
            own = self._own(app.layer).intersection(behind.others)
            detail = f"it is computed from {', '.join(sorted(own))}, and not as the cell's is"
            other = _problem(app, tensor, detail) if own else None
            return Link(initial=tensor, problem=other)
        node = behind.computes or tensor[0]
        return Link(
            initial=tensor, problem=_problem(app, tensor, f"{node!r} computes it from cells")
        )

    def _own(self, layer: str) -> frozenset[str]:
        """The variables of a cell: no initial state is made of them."""
        if layer not in self._variables:
            names = (n for role in self.gluer.queries[layer].variables.values() for n in role)
            nodes = (op.name for name in names for op in nodes_of(self.tracer.network, name))
            self._variables[layer] = frozenset(nodes)
        return self._variables[layer]

    def _is_made(self, option: Tensor) -> bool:
        """Whether a tensor follows from cells' outputs at once."""
        if option in self.gluer.outputs:
            return True
        return self.tracer.network.op(option[0]).kind in {"Concat", "ConcatV2", "Pack"}

    def _held(
        self,
        app: Application,
        state: str,
        before: Application,
        choice: tuple[Tensor, Options, Tensor, Array],
    ) -> Link:
        """A state made by the step before, perhaps held past a row's end."""
        carrier, options, made, value = choice
        old = self.gluer.carrier(before.previous[state])
        others = [
            t
            for t in options.tensors
            if t not in {made, old} and not (self.tracer.is_zeros(t) and self.tracer.is_zeros(old))
        ]
        if others:
            problem = _problem(app, others[0], f"{others[0][0]!r} may take its place")
            return Link(before=before, problem=problem)
        kept = np.random.default_rng(5).normal(size=value.shape)
        if self.tracer.is_zeros(old):
            kept = np.zeros_like(kept)
        mask = mask_of(
            self.tracer,
            carrier,
            options,
            made=(made, value),
            old=(old, kept),
            clock=Clock(None, self.number(before)),
        )
        found = _problem(app, carrier, mask.problem) if mask.problem else None
        return Link(before=before, lengths=mask.lengths, problem=found)

    def number(self, app: Application) -> int:
        """How many unrolled steps lie before `app`."""
        path: list[Application] = []
        at: Application | None = app
        while at is not None and at.node not in self._numbers and at not in path:
            path.append(at)
            at = self._maker(at)
        base = 0 if at is None else self._numbers.get(at.node, -1) + 1
        for k, step in enumerate(reversed(path)):
            self._numbers[step.node] = base + k
        return self._numbers[app.node]

    def _maker(self, app: Application) -> Application | None:
        """The application, of the same layer, from which `app` has its last state (c, of two)."""
        carrier = self.gluer.carrier(list(app.previous.values())[-1])
        for option in self.gluer.options(carrier).tensors:
            for made in slice_back(self.tracer, option, self.gluer.outputs).cells:
                maker = self.gluer.outputs[made][0]
                if maker.layer == app.layer and self._is_made(option):
                    return maker
        return None


def _before(links: Mapping[str, Link]) -> Application | None:
    """The application that made all states, None where there is no such one."""
    first, *others = (link.before for link in links.values())
    return first if all(before is first for before in others) else None


def _problem(app: Application, tensor: Tensor, detail: str) -> Construct:
    return Construct("state", tensor[0], app.layer, f"the state of {app.layer}: {detail}")


def _endless(app: Application) -> Strand:
    """An application of unrolled steps that come from one another in a circle."""
    tensor = next(iter(app.previous.values()))
    problem = _problem(app, tensor, "its steps have no first")
    return Strand((app,), None, dict.fromkeys(app.previous), (), (problem,))


def _strand(
    start: Application,
    successor: Mapping[str, Application],
    links: Mapping[str, Mapping[str, Link]],
) -> Strand:
    apps = [start]
    while apps[-1].node in successor:
        apps.append(successor[apps[-1].node])
    own = [link for app in apps for link in links[app.node].values()]
    problems = [link.problem for link in own if link.problem is not None]
    first = links[start.node]
    one = next(iter(first.values()))
    if any(link.loop is not one.loop or link.before is not one.before for link in first.values()):
        tensor = next(iter(start.previous.values()))
        detail = f"{' and '.join(first)} do not come from the same step"
        problems.append(_problem(start, tensor, detail))
    initial: dict[str, Tensor | None] = {}
    for state, link in first.items():
        made = None if link.before is None else link.before.states.get(state)
        initial[state] = made or link.initial
    lengths = dict.fromkeys(link.lengths for link in own if link.lengths)
    return Strand(tuple(apps), one.loop, initial, tuple(lengths), tuple(problems))
