"""What a stack is refused with, when the graph beside it says something else than its names."""

from __future__ import annotations

from collections.abc import Sequence

from lstmbridge.adapters.sites import Site
from lstmbridge.adapters.topology import Draft
from lstmbridge.adapters.wrapped import Wrap
from lstmbridge.errors import CannotExpress, FactConflict
from lstmbridge.graph.findings import CellEvidence, Construct, Run

_ADVICE = (
    "--outputs NAME converts the graph up to there as it is, whatever its cells are; "
    "--ignore-graph converts what the names alone suggest, which is then not what this graph "
    "computes"
)


def _at(where: str, node: str) -> str:
    return f"{where}: {node}"


def of_another(where: str, site: Site, others: Sequence[Construct]) -> FactConflict:
    """The graph is not that of the checkpoint."""
    detail = others[0].detail if others else f"it has no variable of {site.scope}"
    return FactConflict(
        f"the graph does not belong to this checkpoint: {detail}",
        expected="a graph that has the checkpoint's variables, in their shapes",
        where=where,
        advice="put the right .meta beside the checkpoint, or pass --ignore-graph",
    )


def refusal(where: str, scope: str, found: Construct) -> CannotExpress:
    """The graph shows something that the names do not, and that is not converted."""
    return CannotExpress(
        f"the graph shows more than a plain stack at {scope}: {found}",
        expected="cells of TensorFlow's own classes, one on another, nothing between them",
        where=_at(where, found.node),
        advice=_ADVICE,
    )


def unused(where: str, site: Site) -> CannotExpress:
    """The graph has the variables and never computes the cell."""
    return CannotExpress(
        f"the graph never applies the cell {site.scope}",
        expected="an operation that reads its kernel and computes such a cell",
        where=where,
        advice="--ignore-graph converts what the names alone suggest",
    )


def differing(where: str, cell: CellEvidence) -> FactConflict:
    """One cell is applied with two sets of constants."""
    first = cell.applications[0]
    other = next(a for a in cell.applications if a.values != first.values)
    return FactConflict(
        f"the graph applies {cell.layer} with different constants: {first.facts.values} at "
        f"{first.node}, {other.facts.values} at {other.node}",
        expected="one set of constants",
        where=where,
        advice="give the ones you mean (--forget-bias, --activation, ...) and --ignore-graph",
    )


def wrong_way(where: str, draft: Draft, run: Run, what: str) -> CannotExpress:
    """A direction does not read the sequence as its name says."""
    return CannotExpress(
        f"the graph feeds {what} sequences at {draft.scope}",
        expected="a backward direction that reads the reversed sequence, and a forward one",
        where=_at(where, run.name),
        advice=_ADVICE,
    )


def around_a_stack(where: str, draft: Draft, wrap: Wrap) -> CannotExpress:
    """A wrapper that no graph is asked about."""
    return CannotExpress(
        f"{wrap} are a {wrap.wrapper.name} around the whole of {draft.scope}, which this version "
        "does not prove from a graph",
        expected="wrappers around single cells, or no graph",
        where=where,
        advice="--ignore-graph converts what the names say; then give the constants that the "
        "graph shows (--forget-bias, --activation, ...)",
    )


def in_no_run(where: str, draft: Draft) -> CannotExpress:
    """A cell is applied, and not stepped."""
    return CannotExpress(
        f"the graph applies the cells of {draft.scope}, but does not step them over time",
        expected="a loop, or unrolled steps",
        where=where,
        advice="--ignore-graph converts what the names alone suggest",
    )


def other_order(where: str, draft: Draft, runs: Sequence[Run]) -> CannotExpress:
    """The layers are put together otherwise."""
    shown = "; ".join(dict.fromkeys(f"{r.name}: {' -> '.join(r.layers)}" for r in runs))
    return CannotExpress(
        f"the graph puts the layers of {draft.scope} together otherwise than their names say",
        expected=" -> ".join(site.scope for site in draft.sites()),
        where=_at(where, shown),
        advice="--ignore-graph converts what the names alone suggest",
    )
