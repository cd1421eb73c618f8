"""A layer over time: its state, handed from step to step by a loop or by unrolled steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, Construct, State
from lstmbridge.graph.glue import Gluer, same
from lstmbridge.graph.masks import is_counter, length_mask
from lstmbridge.graph.network import Loop, Tensor
from lstmbridge.graph.slices import PLACEHOLDERS, slice_back
from lstmbridge.graph.trace import VARIABLES, Alternative, Tracer


@dataclass(frozen=True)
class Link:
    """Where one state of one application comes from.

    Attributes:
        before: the application that made it, one unrolled step earlier.
        loop: the loop that hands it on.
        initial: the tensor that it begins with, where this is the first step.
        lengths: nodes of the lengths past which it is held.
        problem: what else happens to it.
    """

    before: Application | None = None
    loop: Loop | None = None
    initial: Tensor | None = None
    lengths: tuple[str, ...] = ()
    problem: Construct | None = None


@dataclass(frozen=True)
class Strand:
    """One layer over time.

    Attributes:
        apps: its applications in the order of steps; one where a loop repeats it.
        loop: the loop, None where unrolled or whole.
        initial: "h", "c" -> the tensor that the state begins with.
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
    steps: dict[str, int] = field(default_factory=dict)

    def strands(self) -> list[Strand]:
        """All strands, in the order of their first applications."""
        links = {
            app.node: {state: self._link(app, state) for state in ("h", "c")}
            for app in self.gluer.applications
        }
        successor: dict[str, Application] = {}
        starts: list[Application] = []
        for app in self.gluer.applications:
            before = self._before(links[app.node])
            if before is None or before.layer != app.layer or before.node in successor:
                starts.append(app)
            else:
                successor[before.node] = app
        return [self._strand(start, successor, links) for start in starts]

    def _before(self, links: Mapping[str, Link]) -> Application | None:
        h, c = links["h"].before, links["c"].before
        return h if h is not None and h is c else None

    def _strand(
        self,
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
        loop = first["h"].loop
        if first["c"].loop is not loop:
            problems.append(self._problem(start, start.h_prev, "c and h are not in one loop"))
        if (first["h"].before is None) != (first["c"].before is None):
            problems.append(
                self._problem(start, start.h_prev, "c and h do not come from the same step")
            )
        initial = {
            state: link.before.h
            if link.before is not None and state == "h"
            else link.before.c
            if link.before is not None
            else link.initial
            for state, link in first.items()
        }
        lengths = dict.fromkeys(name for link in own for name in link.lengths)
        return Strand(tuple(apps), loop, initial, tuple(lengths), tuple(problems))

    def _problem(self, app: Application, tensor: Tensor, detail: str) -> Construct:
        return Construct("state", tensor[0], app.layer, f"the state of {app.layer}: {detail}")

    def _link(self, app: Application, state: str) -> Link:
        tensor = app.h_prev if state == "h" else app.c_prev
        if app.whole:
            return Link(initial=tensor)
        if tensor in self.tracer.network.entries:
            return self._looped(app, state, tensor)
        return self._unrolled(app, state, tensor)

    def _looped(self, app: Application, state: str, entry: Tensor) -> Link:
        loop, variable = self.tracer.network.entries[entry]
        made = app.h if state == "h" else app.c
        options = self.gluer.options(variable.following)
        lengths, problem = self._held(options, made, entry, lambda t: is_counter(self.tracer, t))
        if problem:
            return Link(
                loop=loop, initial=variable.initial, problem=self._problem(app, entry, problem)
            )
        return Link(loop=loop, initial=variable.initial, lengths=lengths)

    def _held(self, options, made, old, is_time) -> tuple[tuple[str, ...], str]:  # type: ignore
        """Lengths past which `old` is kept instead of `made`, or what else happens."""
        tensors = {o.tensor for o in options}
        if made not in tensors:
            return (), f"what is handed on is not the cell's new state but {sorted(tensors)[0][0]!r}"
        if not tensors <= {made, old}:
            rest = sorted(tensors - {made, old})
            return (), f"it may be replaced by {rest[0][0]!r}"
        return self.lengths(options, made, is_time)

    def lengths(self, options: tuple[Alternative, ...], made: Tensor, is_time) -> tuple[tuple[str, ...], str]:  # type: ignore
        """The lengths by which `made` is chosen, or a choice that is no matter of length."""
        found: dict[str, None] = {}
        selects = 0
        names = dict.fromkeys(name for o in options for name in o.choices)
        for name in names:
            op = self.tracer.network.op(name)
            if op.kind in {"Merge", "RefMerge"}:
                continue
            mask = length_mask(self.tracer, op, is_time)
            if mask is None:
                return (), f"it is chosen by {name!r}, which does not compare steps with lengths"
            alive = {o.tensor for o in self.gluer.options(mask.alive)}
            past = {o.tensor for o in self.gluer.options(mask.past)}
            if made in past or made not in alive:
                return (), f"{name!r} chooses the other way round"
            found[mask.lengths] = None
            selects += 1
        if names and not selects:
            return (), f"it depends on the condition of {next(iter(names))!r}"
        return tuple(found), ""

    def _unrolled(self, app: Application, state: str, tensor: Tensor) -> Link:
        options = self.gluer.options(tensor)
        for option in options:
            known = self.gluer.outputs.get(option.tensor)
            if known is None or known[1] != state:
                continue
            before = known[0]
            old = before.h_prev if state == "h" else before.c_prev
            number = self._step_number(before)
            lengths, problem = self._held(
                options, option.tensor, old, lambda t: self.tracer.scalar(t) == number
            )
            found = self._problem(app, tensor, problem) if problem else None
            return Link(before=before, lengths=lengths, problem=found)
        return self._moved(app, state, tensor)

    def _step_number(self, app: Application) -> int:
        """How many unrolled steps lie before `app`."""
        path: list[str] = []
        at: Application | None = app
        while at is not None and at.node not in self.steps and at.node not in path:
            path.append(at.node)
            at = next(
                (
                    self.gluer.outputs[o.tensor][0]
                    for o in self.gluer.options(at.h_prev)
                    if o.tensor in self.gluer.outputs and self.gluer.outputs[o.tensor][1] == "h"
                ),
                None,
            )
        base = self.steps[at.node] + 1 if at is not None and at.node in self.steps else 0
        for k, node in enumerate(reversed(path)):
            self.steps[node] = base + k
        return self.steps[app.node]

    def _moved(self, app: Application, state: str, tensor: Tensor) -> Link:
        """States that were put side by side and taken apart again (`state_is_tuple=False`)."""
        behind = slice_back(self.tracer, tensor, self.gluer.outputs)
        given = self.gluer.random_outputs(np.random.default_rng(3))
        if behind.cells and not behind.entries:
            value = self._value(tensor, given)
            for cell in behind.cells:
                if value is not None and same(value, given[cell]):
                    return self._adopt(app, state, tensor, cell)
        if len(behind.entries) == 1:
            return self._moved_in_loop(app, state, tensor, behind.entries[0], given)
        if behind.cells:
            return Link(
                initial=tensor,
                problem=self._problem(
                    app, tensor, f"it is computed by {behind.computes or tensor[0]!r} in between"
                ),
            )
        return Link(initial=tensor)

    def _adopt(self, app: Application, state: str, tensor: Tensor, cell: Tensor) -> Link:
        before, made = self.gluer.outputs[cell]
        if made != state:
            return Link(problem=self._problem(app, tensor, f"its {state} is a cell's {made}"))
        return Link(before=before)

    def _moved_in_loop(self, app, state, tensor, entry, given) -> Link:  # type: ignore
        loop, variable = self.tracer.network.entries[entry]
        made = app.h if state == "h" else app.c
        options = [o for o in self.gluer.options(variable.following) if o.tensor != entry]
        problem = "what is handed on is not the cell's new state"
        if len(options) == 1:
            following = self._value(options[0].tensor, given)
            if following is not None:
                value = self._value(tensor, {entry: following})
                if value is not None and same(value, given[made]):
                    problem = ""
        lengths: tuple[str, ...] = ()
        if not problem:
            all_options = self.gluer.options(variable.following)
            lengths, problem = self.lengths(
                all_options, options[0].tensor, lambda t: is_counter(self.tracer, t)
            )
        found = self._problem(app, tensor, problem) if problem else None
        return Link(loop=loop, initial=variable.initial, lengths=lengths, problem=found)

    def _value(self, tensor, given):  # type: ignore
        try:
            return Evaluation(self.tracer.network, self.tracer.resolve, given)(tensor)
        except NotRecognised:
            return None


def state_of(tracer: Tracer, tensor: Tensor | None) -> State:
    """How a state that begins with `tensor` begins."""
    if tensor is None:
        return State("computed", "")
    if tracer.is_zeros(tensor):
        return State("zeros", tracer.resolve(tensor)[0])
    behind = slice_back(tracer, tensor, frozenset())
    kinds = {tracer.network.op(name).kind for name in behind.others}
    moved = behind.computes is None or all(
        kind in _STATE_MOVES for kind in behind.ops.values()
    )
    node = tracer.resolve(tensor)[0]
    if moved and kinds and kinds <= VARIABLES and not behind.entries:
        return State("variable", behind.others[0])
    if moved and kinds & PLACEHOLDERS and not kinds & VARIABLES and not behind.entries:
        return State("fed", node)
    return State("computed", node)


# between a fed or learned state and the first step: moved about, or repeated for each row
_STATE_MOVES = frozenset({
    "Concat",
    "ConcatV2",
    "Const",
    "ExpandDims",
    "Gather",
    "GatherV2",
    "Pack",
    "Prod",
    "Range",
    "Reshape",
    "Shape",
    "Slice",
    "Split",
    "SplitV",
    "Squeeze",
    "StridedSlice",
    "Tile",
    "Transpose",
    "Unpack",
})
