"""The recurrent cells of a graph's loops, found without knowing a name.

`step_found` takes a loop's step apart, `step_forms` says which cell it is, and this makes of it
what the rest of the room works with: an application of a cell, and what the cell is made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import GateBlocks, Weights
from lstmbridge.graph.affine import Affine
from lstmbridge.graph.chain_found import ChainFinder
from lstmbridge.graph.findings import (
    Application,
    Construct,
    FormFacts,
    FormQuery,
    Stated,
)
from lstmbridge.graph.found_recipes import recipes_of
from lstmbridge.graph.found_weights import Recipe, StandIns, Stored
from lstmbridge.graph.prove import shortest
from lstmbridge.graph.rows import Scalar
from lstmbridge.graph.step_forms import Form, FormFinder, holds, is_used
from lstmbridge.graph.step_found import Step, StepFinder, Unlike
from lstmbridge.graph.step_sample import sample
from lstmbridge.graph.trace import Tracer
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell, CoupledLSTM
from lstmbridge.model.facts import Fact

_SEEDS = (41, 42)
_OWN_CELL = "own cell"
_CELLS: Mapping[str, type[Cell]] = {
    "CoupledLSTM": CoupledLSTM,
    "GRU": GRU,
    "LSTM": LSTM,
    "RNN": RNN,
}
_WRAPS = frozenset({"PartitionedCall", "StatefulPartitionedCall", "body", "while", "cond"})


@dataclass(frozen=True)
class FoundQuery(FormQuery):
    """A cell that was found in a graph by what it computes.

    Attributes:
        key: what it is made of; two applications of one cell agree on it.
    """

    key: tuple[object, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundCell:
    """A cell, and where it is applied.

    Attributes:
        query: how the rest of the room knows it.
        kind: ``LSTM``, ``GRU``, ``RNN`` or ``CoupledLSTM``.
        recipes: (role, gate) -> how its tensor is made.
        facts: its constants, each with the node that shows it.
    """

    query: FoundQuery
    kind: str
    recipes: Mapping[tuple[str, str], Recipe]
    facts: FormFacts
    applications: tuple[Application, ...]
    tracer: Tracer

    @property
    def scope(self) -> str:
        """Where its variables are, or where it stands in the graph."""
        return scope_of(self.variables, self.applications[0].node)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that it is made of, by the graph's names."""
        ops = (op for recipe in self.recipes.values() for op in recipe.variables)
        return tuple(dict.fromkeys(op.name for op in ops))

    def cell(self, stored: Stored, where: str) -> Cell:
        """The cell, with the source's tensors. Errors: NotRecognised (one that is not there)."""
        blocks: dict[str, dict[str, Weights]] = {}
        for (role, gate), recipe in self.recipes.items():
            blocks.setdefault(role, {})[gate] = recipe.of(self.tracer, stored)
        fields: dict[str, Any] = {role: GateBlocks(own) for role, own in blocks.items()}
        fields.setdefault("bias", None)
        for name, one in self.facts.stated.items():
            fields[name] = Fact.read(one.value, f"{where}: {one.where}" if where else one.where)
        return _CELLS[self.kind](**fields)


@dataclass(frozen=True, eq=False)
class Findings:
    """All cells that a graph's loops compute, and the states that are none of theirs."""

    cells: tuple[FoundCell, ...]
    unlike: tuple[Construct, ...]


def cells_found(tracer: Tracer, *, unrolled: bool = True) -> Findings:
    """Look into every loop, and for unrolled steps; each is done once for a tracer.

    Errors: SourceUnreadable for a graph that is broken.
    """
    cells = tracer.findings
    if not isinstance(cells, _Cells):
        cells = tracer.findings = _Cells(tracer, Affine(tracer, StandIns()))
        cells.look_into_loops()
    if unrolled and not cells.unrolled:
        cells.look_for_chains()
    return Findings(tuple(_labelled(list(cells.found.values()))), tuple(cells.unlike))


@dataclass(eq=False)
class _Cells:
    """Cells by what they are made of, as they are found."""

    tracer: Tracer
    affine: Affine
    found: dict[tuple[object, ...], FoundCell] = field(default_factory=dict)
    unlike: dict[Construct, None] = field(default_factory=dict)
    unrolled: bool = False
    _forms: list[Form] = field(default_factory=list)

    def look_into_loops(self) -> None:
        """Every state that a loop hands on."""
        finder = StepFinder(self.tracer, self.affine)
        for loop in self.tracer.network.loops:
            for step in finder.steps(loop):
                if isinstance(step, Unlike):
                    self.unlike[_refused(step.node, step.why)] = None
                else:
                    self.add(step)

    def look_for_chains(self) -> None:
        """Unrolled steps. What is none of a known cell is nothing that anybody asks about."""
        self.unrolled = True
        told = dict(self.unlike)
        finder = StepFinder(self.tracer, self.affine)
        for step, last in ChainFinder(self.tracer, self.affine, finder).steps():
            self.add(step, known=last)
        self.unlike = told

    def add(self, step: Step, *, known: bool = False) -> None:
        """The cell that a step is, or what it is not; `known`: others are the same one."""
        try:
            form = self._form(step, known=known)
            one = (
                form
                if isinstance(form, Construct)
                else _found(self.tracer, self.affine, step, form)
            )
        except NotRecognised as err:
            one = _refused(err.where or step.h[0], err.read)
        if isinstance(one, Construct):
            self.unlike[one] = None
        elif one.query.key in self.found:
            first = self.found[one.query.key]
            both = (*first.applications, *one.applications)
            self.found[one.query.key] = replace(first, applications=both)
        elif not known:
            self.found[one.query.key] = one

    def _form(self, step: Step, *, known: bool) -> Form | Construct:
        """Which cell a step is; those that others were are tried first."""
        few = sample(self.tracer, step, _SEEDS[0]).few()
        form = next((f for k in self._forms if (f := FormFinder(step, few, k).find())), None)
        if form is None and not known:
            form = FormFinder(step, few).find()
        if form is None or not is_used(form, step.blocks):
            gates = "gate" if len(step.blocks) == 1 else "gates"
            return _refused(
                step.h[0], f"no formula of {len(step.blocks)} {gates} gives what it computes"
            )
        if not holds(form, step, sample(self.tracer, step, _SEEDS[1])):
            return _refused(step.h[0], "other numbers show that its units are not treated alike")
        plain = replace(form, c=None, inner=None)
        if plain not in self._forms:
            self._forms.append(plain)
        return form


def _labelled(cells: Sequence[FoundCell]) -> Iterator[FoundCell]:
    taken: set[str] = set()
    for cell in cells:
        label, k = cell.scope, 1
        while label in taken:
            k += 1
            label = f"{cell.scope}#{k}"
        taken.add(label)
        apps = tuple(replace(app, layer=label) for app in cell.applications)
        yield replace(cell, query=replace(cell.query, layer=label), applications=apps)


def _refused(node: str, why: str) -> Construct:
    return Construct(_OWN_CELL, node, node, f"it hands on a state that is no known cell's: {why}")


def scope_of(variables: Sequence[str], node: str) -> str:
    """A name for a cell: the scope of its variables, else where it stands."""
    paths = [name.split("/") for name in variables]
    together = [level[0] for level in zip(*paths, strict=False) if len(set(level)) == 1]
    if together and len(paths) > 1:
        return "/".join(together)
    if len(paths) == 1 and len(paths[0]) > 1:
        return "/".join(paths[0][:-1])
    parts: list[str] = []
    for part in node.split("/")[:-1]:
        if part not in _WRAPS and part not in parts:
            parts.append(part)
    return "/".join(parts) or "loop"


def _found(tracer: Tracer, affine: Affine, step: Step, form: Form) -> FoundCell | Construct:
    built = recipes_of(affine, step, form)
    if isinstance(built, str):
        return _refused(step.h[0], built)
    recipes = built.recipes
    facts = _facts(tracer, step, form, built.forget)
    inputs = recipes["kernel", _CELLS[form.kind].GATES[0]].shape[0]
    names = {op.name: (op.name,) for recipe in recipes.values() for op in recipe.variables}
    sizes = dict.fromkeys(_CELLS[form.kind].STATES, step.units)
    key = (
        form.kind,
        facts.values,
        tuple((*at, recipe.name, recipe.mark) for at, recipe in recipes.items()),
    )
    query = FoundQuery(
        layer="",
        variables=names,
        shapes={},
        small=None,
        sees={},
        build=_not_built,
        options={},
        open=frozenset(),
        input_size=inputs,
        output_size=step.units,
        state_sizes=sizes,
        key=key,
    )
    previous, states = {"h": step.h_before}, {"h": tracer.resolve(step.h)}
    if form.c is not None and step.c_before is not None:
        previous["c"], states["c"] = step.c_before, tracer.resolve(form.c)
    app = Application(
        layer="",
        node=step.h[0],
        facts=facts,
        x=step.x,
        previous=previous,
        states=states,
        output=states["h"],
    )
    return FoundCell(query, form.kind, recipes, facts, (app,), tracer)


def _not_built(_roles: Mapping[str, Weights], _facts: Mapping[str, Fact[Any]], /) -> Cell:
    raise NotRecognised("a cell that was found in a graph is built by `FoundCell`")


def _facts(tracer: Tracer, step: Step, form: Form, forget: Scalar | None) -> FormFacts:
    def reader(gate: str) -> str:
        block = step.blocks[form.gates[gate].block]
        return next((name for name, _ in tracer.uses(block.tensor)), block.tensor[0])

    candidate = "h" if form.kind == "RNN" else "c"
    stated: dict[str, Stated[Any]] = {}
    if form.kind in {"LSTM", "CoupledLSTM"}:
        bias = Stated(0.0, reader("f")) if forget is None else Stated(
            shortest(forget.number), forget.node
        )  # fmt: skip
        stated["forget_bias"] = bias
        stated["proj_clip"] = Stated(None, step.h[0])
    if form.kind == "LSTM":
        limit = form.cell_clip
        where = step.h[0] if limit is None else step.limits[limit]
        stated["cell_clip"] = Stated(None if limit is None else shortest(limit), where)
    stated["activation"] = Stated(form.activation, reader(candidate))
    if form.kind in {"LSTM", "GRU"}:
        gate = "f" if form.kind == "LSTM" else "z"
        stated["gate_activation"] = Stated(form.gate_activation, reader(gate))
    if form.kind == "GRU":
        stated["reset_after"] = Stated(form.reset_after, reader("r"))
    return FormFacts(stated)
