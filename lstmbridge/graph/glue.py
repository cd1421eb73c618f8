"""What stands between cells: is a tensor a cell's output, a residual sum, or something else?

Asked by structure first, and by numbers where structure does not say it at once: the cells'
outputs are given random values, and what lies between is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Application, Construct, Query, outer_sizes
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.slices import PHRASES, Slice, construct_kind, slice_back
from lstmbridge.graph.trace import Options, Tracer

TOLERANCE = 1e-12
"""Of numbers of size 1 that are moved, or added once."""
_BATCH = 3
# one row so large that whatever clips or squashes it is seen
_ROWS = np.array([1.0, 1.0, 1e4])[:, None]
_LONGEST = 8
_MOST_RESIDUALS, _MOST_LAYERS, _DEEPEST = 8, 32, 16
# operations that take a piece of one input: which input
_CUTS: Mapping[str, int] = {
    "Slice": 0,
    "Split": 1,
    "SplitV": 0,
    "StridedSlice": 0,
    "Unpack": 0,
}


@dataclass(frozen=True)
class Glue:
    """How a tensor follows from cells.

    Attributes:
        cell: the application that it follows from, None where none.
        residual: it is that application's output plus its x; else it is its output.
        further: the inputs that are added beyond that, each as how many layers below: a residual
            around several layers, or one around another.
        problem: what it is instead.
        behind: what it depends on where no cell is on the way.
        choices: Merges and Selects on the way.
    """

    cell: Application | None = None
    residual: bool = False
    further: tuple[int, ...] = ()
    problem: Construct | None = None
    behind: Slice | None = None
    choices: tuple[str, ...] = ()


@dataclass(eq=False)
class Gluer:
    """Answers for one set of applications (not those of whole sequences)."""

    tracer: Tracer
    applications: Sequence[Application]
    queries: Mapping[str, Query]
    outputs: dict[Tensor, tuple[Application, str]] = field(init=False)
    _stops: set[Tensor] = field(init=False)
    _explained: dict[tuple[Tensor, str], Glue] = field(default_factory=dict)
    _depth: int = 0

    def __post_init__(self) -> None:
        """Index outputs and states."""
        self.outputs = {}
        self._stops = set()
        for app in self.applications:
            self.outputs[app.output] = (app, "output")
            self.outputs.update({t: (app, state) for state, t in app.states.items()})
            self._stops |= {app.output, *app.states.values()}
            self._stops |= {self.carrier(t) for t in app.previous.values()}

    def options(self, tensor: Tensor) -> Options:
        """The tensors that `tensor` may be; earlier steps' states are not looked into."""
        return self.tracer.options(tensor, self._stops)

    def carrier(self, tensor: Tensor) -> Tensor:
        """The tensor that holds a state: itself, or several states side by side."""
        at = self.tracer.resolve(tensor)
        for _ in range(_LONGEST):
            op = self.tracer.network.op(at[0])
            position = _CUTS.get(op.kind)
            if position is None or position >= len(op.inputs):
                break
            at = self.tracer.resolve(op.inputs[position])
        return at

    def explain(self, tensor: Tensor, layer: str) -> Glue:
        """What `tensor` is, apart from zeros past a row's end.

        Args:
            tensor: an input of a cell, or what leaves a loop.
            layer: for messages.
        """
        if (tensor, layer) not in self._explained:
            self._explained[tensor, layer] = self._explain(tensor, layer)
        return self._explained[tensor, layer]

    def _explain(self, tensor: Tensor, layer: str) -> Glue:
        options = self.options(tensor)
        choices = options.choices
        real = [t for t in options.tensors if not self.tracer.is_zeros(t)]
        if len(real) != 1:
            node = choices[0] if choices else tensor[0]
            seen = [self._one(t, layer) for t in real]
            if all(glue.cell is None and glue.problem is None for glue in seen):
                return Glue(behind=slice_back(self.tracer, tensor, self.outputs), choices=choices)
            detail = f"the input of {layer} is chosen among {len(real)} tensors"
            return Glue(problem=Construct("masking", node, layer, detail), choices=choices)
        return replace(self._one(real[0], layer), choices=choices)

    def _one(self, tensor: Tensor, layer: str) -> Glue:
        known = self.outputs.get(tensor)
        if known is not None and known[0].output == tensor:
            return Glue(known[0])
        behind = slice_back(self.tracer, tensor, self.outputs)
        if not behind.cells:
            return Glue(behind=behind)
        apps = [self.outputs[cell][0] for cell in behind.cells]
        below = [a for a, cell in zip(apps, behind.cells, strict=True) if a.output == cell]
        for app in below:
            if self.equals(tensor, [app], [app.output]):
                return Glue(app, behind=behind)
        for app in below:
            if self.equals(tensor, [app], [app.output, app.x]):
                return Glue(app, residual=True, behind=behind)
        for app in below:
            added = self._added(tensor, app)
            if added:
                more = added[1:] if added[0] == 0 else added
                return Glue(app, residual=added[0] == 0, further=more, behind=behind)
        return Glue(problem=self.construct(behind, tensor, layer), behind=behind)

    def _added(self, tensor: Tensor, app: Application) -> tuple[int, ...]:
        """The inputs that `tensor` adds to an output, as how many layers below; () where none.

        A residual around several layers adds the input of the lowest of them.
        """
        apps = self._layers_below(app)
        draw = np.random.default_rng(10)
        given: dict[Tensor, Array] = {}
        for one in apps:
            given.update(self._random(one, draw))
        for one in apps:
            width = outer_sizes(self.queries[one.layer])[0]
            given.setdefault(one.x, draw.normal(size=(_BATCH, width)) * _ROWS)
        if tensor in given:
            return ()
        try:
            value = Evaluation(self.tracer.network, self.tracer.resolve, given)(tensor)
        except NotRecognised:
            return ()
        output = given[app.output]
        terms = {k: given[a.x] for k, a in enumerate(apps) if given[a.x].shape == output.shape}
        if not terms or np.shape(value) != output.shape or not np.all(np.isfinite(value)):
            return ()
        columns = np.stack([term.ravel() for term in terms.values()], axis=-1)
        fitted = np.rint(np.linalg.lstsq(columns, (value - output).ravel(), rcond=None)[0])
        counts = np.clip(fitted, 0, _MOST_RESIDUALS).astype(int)
        wanted = output + sum(n * term for n, term in zip(counts, terms.values(), strict=True))
        found = [k for k, n in zip(terms, counts, strict=True) for _ in range(n)]
        return tuple(found) if found and same(value, wanted) else ()

    def _layers_below(self, app: Application) -> list[Application]:
        """`app`, and the applications that it stands on, from above."""
        found = [app]
        if self._depth >= _DEEPEST:
            return found
        self._depth += 1
        try:
            while len(found) < _MOST_LAYERS:
                below = self.explain(found[-1].x, found[-1].layer).cell
                if below is None or below in found:
                    break
                found.append(below)
        finally:
            self._depth -= 1
        return found

    def construct(self, behind: Slice, tensor: Tensor, layer: str) -> Construct:
        """The name of what stands between cells and `tensor`."""
        kind, signs = construct_kind(behind.ops.values())
        node = behind.first(signs) or tensor[0]
        between = ", ".join(dict.fromkeys(list(behind.ops.values())[:8]))
        detail = f"between {layer} and the cells around it stands {PHRASES[kind]}"
        detail += f" ({between})" if between else ""
        return Construct(kind, node, layer, detail)

    def random_outputs(self, draw: np.random.Generator) -> dict[Tensor, Array]:
        """Random values of every cell's new states and output."""
        values: dict[Tensor, Array] = {}
        for app in self.applications:
            values.update(self._random(app, draw))
        return values

    def _random(self, app: Application, draw: np.random.Generator) -> dict[Tensor, Array]:
        query = self.queries[app.layer]
        values = {
            app.states[state]: draw.normal(size=(_BATCH, width)) * _ROWS
            for state, width in query.state_sizes.items()
            if state in app.states
        }
        if app.output not in values:
            values[app.output] = draw.normal(size=(_BATCH, outer_sizes(query)[1])) * _ROWS
        return values

    def side_by_side(self, tensor: Tensor, apps: Sequence[Application]) -> bool:
        """Whether `tensor` is the applications' outputs, joined on the last axis."""
        draw = np.random.default_rng(8)
        widths = [outer_sizes(self.queries[app.layer])[1] for app in apps]
        parts = [draw.normal(size=(_BATCH, width)) for width in widths]
        given = {app.output: part for app, part in zip(apps, parts, strict=True)}
        try:
            value = Evaluation(self.tracer.network, self.tracer.resolve, given)(tensor)
        except NotRecognised:
            return False
        return same(value, np.concatenate(parts, axis=-1))

    def equals(self, tensor: Tensor, apps: Sequence[Application], terms: Sequence[Tensor]) -> bool:
        """Whether `tensor` is the sum of `terms`, by numbers."""
        draw = np.random.default_rng(7)
        given: dict[Tensor, Array] = {}
        for app in apps:
            query = self.queries[app.layer]
            given.update(self._random(app, draw))
            given.setdefault(app.x, draw.normal(size=(_BATCH, outer_sizes(query)[0])))
        if tensor in given and set(terms) != {tensor}:
            return False
        try:
            value = Evaluation(self.tracer.network, self.tracer.resolve, given)(tensor)
            wanted = np.sum([given[t] for t in terms], axis=0)
        except (NotRecognised, ValueError):
            return False
        return same(value, wanted)


def same(value: Array, wanted: Array) -> bool:
    """Whether two arrays agree to float64's rounding, shape and all."""
    return np.shape(value) == np.shape(wanted) and bool(
        np.all(np.abs(value - wanted) <= TOLERANCE * (1.0 + np.abs(wanted)))
    )
