"""Ask a graph about the cells that variables' names suggest: `gather` is what adapters call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lstmbridge.graph.around import with_surroundings
from lstmbridge.graph.described import Described, Describer
from lstmbridge.graph.findings import (
    Application,
    CellEvidence,
    Construct,
    Evidence,
    FormQuery,
    Query,
)
from lstmbridge.graph.form_proven import FormProver
from lstmbridge.graph.found import FoundQuery, cells_found
from lstmbridge.graph.glue import Gluer
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.joined import joined
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.lstm_found import LstmFinder
from lstmbridge.graph.prove import Prover
from lstmbridge.graph.rounding import RoundingFinder
from lstmbridge.graph.runs import RunFinder
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables

# what looks at a variable and computes nothing with it that a network would use
_LOOKS = frozenset({"HistogramSummary", "Identity", "NoOp", "Shape"})


def gather(graph: Graph, cells: Sequence[Query]) -> Evidence:
    """What `graph` shows about `cells`: constants, order, and what stands between and around.

    Each place where a cell's kernel is used is evaluated in float64 on random numbers, and is
    an application of the cell only where it computes what `model.equations` says; the
    checkpoint's weights are not read. Answers name nodes of the graph.

    Args:
        graph: as `sources` parses it; training operations and all.
        cells: what the variables' names suggest.

    Returns:
        Evidence about every cell of `cells`. To take a run for a plain stack, its `layers` must
        be the layers expected, its `constructs` empty, and each cell without `failures`.

    Errors: SourceUnreadable for a graph that is broken: nodes, functions or inputs that are
    missing, cycles outside loops.
    """
    survey = survey_of(graph, cells)
    runs = tuple(one.run for one in survey.described)
    return Evidence(graph.where, survey.cells, runs, tuple(sorted(survey.tracer.dropouts)))


@dataclass(frozen=True, eq=False)
class Survey:
    """What `gather` found, with the tensors behind it.

    Attributes:
        cells: evidence by label.
        described: every stack, its run joined with those that feed it.
    """

    tracer: Tracer
    gluer: Gluer
    cells: Mapping[str, CellEvidence]
    described: tuple[Described, ...]


def survey_of(graph: Graph, cells: Sequence[Query]) -> Survey:
    """Look for `cells` and their stacks in `graph`. Errors: as `gather`."""
    return survey_by(Tracer(network_of(graph)), cells)


def survey_by(tracer: Tracer, cells: Sequence[Query]) -> Survey:
    """As `survey_of`; nothing is seen through tensors at which `tracer` stops."""
    named = [query for query in cells if not isinstance(query, FoundQuery)]
    evidence = {query.layer: _cell(tracer, query) for query in named}
    evidence |= _found(tracer, cells, list(evidence.values()))
    applications = [a for cell in evidence.values() for a in cell.applications]
    by_label = {query.layer: query for query in cells}
    gluer = Gluer(tracer, applications, by_label)
    describer = Describer(tracer, gluer)
    described = [describer.describe(stack) for stack in RunFinder(tracer, gluer).stacks()]
    runs = joined(tracer, described, by_label)
    rounding = RoundingFinder(tracer)
    both = tuple(
        replace(d, run=replace(run, rounded=rounding.of(d.stack)))
        for d, run in zip(described, runs, strict=True)
    )
    return Survey(tracer, gluer, evidence, both)


def _found(
    tracer: Tracer, cells: Sequence[Query], named: Sequence[CellEvidence]
) -> dict[str, CellEvidence]:
    """Cells that were found by what they compute, where no name has led to them."""
    queries = [query for query in cells if isinstance(query, FoundQuery)]
    if not queries:
        return {}
    taken = {t for cell in named for app in cell.applications for t in app.states.values()}
    by_key = {found.query.key: found for found in cells_found(tracer).cells}
    evidence: dict[str, CellEvidence] = {}
    for query in queries:
        found = by_key.get(query.key)
        apps = () if found is None else found.applications
        own = tuple(
            replace(app, layer=query.layer)
            for app in apps
            if not taken.intersection(app.states.values())
        )
        facts = own[0].facts if own else None
        evidence[query.layer] = CellEvidence(query.layer, facts, own, (), found is not None)
    return evidence


def _cell(tracer: Tracer, query: Query) -> CellEvidence:
    variables = QueryVariables(tracer, query)
    if variables.problem is not None:
        return CellEvidence(query.layer, None, (), (variables.problem,), not variables.absent)
    applications: list[Application] = []
    failures: list[Construct] = []
    bare = list(_uses(tracer, query, variables))
    failures += [one for one in bare if isinstance(one, Construct)]
    proven = [one for one in bare if isinstance(one, Application)]
    for one in with_surroundings(tracer, query.around, proven):
        if isinstance(one, Construct):
            failures.append(one)
        else:
            applications.append(one)
    if not applications and not failures:
        failures += _other_uses(variables, query)
    values = {a.values for a in applications}
    facts = applications[0].facts if len(values) == 1 and not failures else None
    return CellEvidence(query.layer, facts, tuple(applications), tuple(failures), known=True)


def _uses(
    tracer: Tracer, query: Query, variables: QueryVariables
) -> Iterator[Application | Construct]:
    """Each place where a cell's kernel is used, proven or refused."""
    if isinstance(query, FormQuery):
        yield from FormProver(tracer, query, variables).uses()
        return
    prover = Prover(tracer, query, variables)
    for found in LstmFinder(tracer, query, variables).uses():
        yield found if isinstance(found, Construct) else prover.prove(found)


def _other_uses(variables: QueryVariables, query: Query) -> list[Construct]:
    """What reads the kernel where nothing multiplies by it as it is (weight norm, say)."""
    users = [op for op, _ in variables.users(next(iter(query.variables))) if op.kind not in _LOOKS]
    detail = "the kernel is not multiplied with x and h, but goes through a {}"
    return [
        Construct("own cell", op.name, query.layer, detail.format(op.kind)) for op in users[:1]
    ]
