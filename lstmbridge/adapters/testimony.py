"""What the graph beside a checkpoint says about the stacks that the names suggest.

The graph is the truth where there is one: it proves the constants of each cell by numbers, and
shows order, sharing, residuals and directions. What it shows and the names do not is taken, or
refused by name and node; never overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from lstmbridge.adapters import disputes
from lstmbridge.adapters.beginnings import Beginnings, common_beginnings
from lstmbridge.adapters.dialects import BIDIRECTIONAL_SCOPES, Path
from lstmbridge.adapters.sites import Site
from lstmbridge.adapters.topology import Draft
from lstmbridge.adapters.wrapped import Wrap
from lstmbridge.errors import LstmBridgeError
from lstmbridge.graph.evidence import gather
from lstmbridge.graph.findings import (
    Application,
    AroundQuery,
    CellFacts,
    Construct,
    Evidence,
    Query,
    Run,
)
from lstmbridge.graph.graphdef import Graph
from lstmbridge.model.facts import Fact

# In a second copy of a net (a decoder that feeds itself, say) these do not speak against a
# first copy that is a plain stack.
_OF_ANOTHER_COPY = frozenset({"feedback", "embedding", "attention", "computation"})
_OTHER_GRAPH = "other graph"


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers of one direction, as a run has them.

    Attributes:
        layers: the cells' scopes from input to output; one that is shared occurs again.
        residual: per layer.
        spans: residuals around several layers, or around one that has one (`Run.spans`).
        where: the run that shows it.
        initial: per layer, state -> what it begins with, where that is one row for all.
    """

    layers: tuple[str, ...]
    residual: tuple[bool, ...]
    where: str
    initial: Beginnings
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Testimony:
    """What the graph says about one stack.

    Attributes:
        where: the graph's file.
        options: cell's scope -> its constants.
        chains: a chain's first scope -> the chain.
        within: cell's scope -> a residual lies inside of the wrappers that left variables.
        activations: of the dense layers around cells, by the wrappers' keys.
        network: facts of the network as a whole.
        chained: that each bidirectional layer reads the one below is shown, not only named.
        remarks: what the user should know.
    """

    where: str = ""
    options: dict[str, Mapping[str, Fact[Any]]] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)
    within: dict[str, bool] = field(default_factory=dict)
    activations: dict[tuple[str, Path], Fact[str]] = field(default_factory=dict)
    network: dict[str, Fact[Any]] = field(default_factory=dict)
    chained: bool = False
    remarks: list[str] = field(default_factory=list)


def examine(graph: Graph, drafts: Sequence[Draft]) -> Mapping[str, Testimony | LstmBridgeError]:
    """Ask `graph` about drafts without problems: a testimony by scope, or why it is refused.

    Errors returned: FactConflict (the graph belongs to another checkpoint), CannotExpress (it
    computes something that this version does not convert, with its node).
    """
    around = {scope: wraps for draft in drafts for scope, wraps in wraps_beside(draft).items()}
    sites = {site.scope: site for draft in drafts for site in draft.sites()}
    evidence = gather(graph, questions(sites, around))
    return {draft.scope: _Examination(evidence).of(draft) for draft in drafts}


def proven(graph: Graph, sites: Sequence[Site]) -> list[Site]:
    """Those of `sites` that `graph` computes as the cells they might be, and as nothing else.

    `sites` may say several things of one scope; at most one of them is so.
    """
    numbered = {f"{site.scope}#{k}": site for k, site in enumerate(sites)}
    evidence = gather(graph, questions(numbered, {}))
    found: list[Site] = []
    taken: set[str] = set()
    for label, site in numbered.items():
        cell = evidence.cells[label]
        if cell.applications and not cell.failures and not site.owned & taken:
            found.append(site)
            taken |= site.owned
    return found


def questions(sites: Mapping[str, Site], around: Mapping[str, Sequence[Wrap]]) -> list[Query]:
    """What the graph is asked, by the labels under which it is to answer, as `around` is."""
    return [
        replace(
            site.family.ask(label, site.stored, site.sizes),
            around=(*_front(label, site), *(w.question(label) for w in around.get(label, ()))),
        )
        for label, site in sites.items()
        if site.family and site.stored and site.sizes
    ]


def _front(label: str, site: Site) -> Iterator[AroundQuery]:
    """The dense layer that a cell applies to its input itself."""
    if site.front is not None:
        roles = {"kernel": site.front.kernel, "bias": site.front.bias}
        stored = {id(s.ref): s for s in (site.stored or {}).values()}
        own = {role: stored[id(ref)] for role, ref in roles.items() if ref is not None}
        yield AroundQuery(
            name="the projection of its input",
            layer=label,
            variables={role: s.in_graph for role, s in own.items()},
            shapes={role: s.ref.shape for role, s in own.items()},
            before=True,
            linear=True,
        )


def _unasked(draft: Draft) -> Wrap | None:
    """A wrapper that is at the side of no single cell: a graph is not asked about such a one."""
    known = {w.key for wraps in wraps_beside(draft).values() for w in wraps}
    return next((wrap for wrap in draft.all_wraps() if wrap.key not in known), None)


def wraps_beside(draft: Draft) -> dict[str, list[Wrap]]:
    """Cell's scope -> the wrappers at its side, innermost first.

    A projection around a stack is one at the side of its first or last cell; a highway around
    more than one cell is at the side of none.
    """
    found: dict[str, list[Wrap]] = {}
    for chain in _chains(draft):
        leaves = list(chain.leaves())
        scopes = [leaf.cell.scope for leaf in leaves if leaf.cell is not None]
        found.update({s: list(leaf.wraps) for s, leaf in zip(scopes, leaves, strict=True)})
        for wrap in () if chain.cell is not None else chain.wraps:
            if wrap.wrapper.dense:
                found[scopes[0 if wrap.wrapper.before else -1]].append(wrap)
    return found


def _chains(draft: Draft) -> Iterator[Draft]:
    """The layers of one direction, wherever they are in `draft`."""
    if draft.pair is not None or any(part.pair is not None for part in draft.parts):
        for part in draft.parts:
            yield from _chains(part)
    else:
        yield draft


class _Examination:
    """One draft's."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._where = PurePath(evidence.where).name or "the graph"
        self._said = Testimony(self._where)
        self._around: Mapping[str, Sequence[Wrap]] = {}

    def of(self, draft: Draft) -> Testimony | LstmBridgeError:
        try:
            unasked = _unasked(draft)
            if unasked is not None:
                raise disputes.around_a_stack(self._where, draft, unasked)
            self._around = wraps_beside(draft)
            for site in draft.sites():
                self._said.options[site.scope] = self._constants(site)
            below = self._block(draft)
            self._agree(draft, below)
        except LstmBridgeError as refused:
            return refused
        return self._said

    # --- cells ---

    def _constants(self, site: Site) -> Mapping[str, Fact[Any]]:
        cell = self._evidence.cells[site.scope]
        others = [f for f in cell.failures if f.kind == _OTHER_GRAPH]
        if not cell.known or others:
            raise disputes.of_another(self._where, site, others)
        if cell.failures:
            raise disputes.refusal(self._where, site.scope, cell.failures[0])
        if not cell.applications:
            raise disputes.unused(self._where, site)
        if cell.facts is None:
            raise disputes.differing(self._where, cell)
        facts = cell.facts
        peeping = "peephole_i" in (site.stored or {})
        if isinstance(facts, CellFacts) and facts.peephole.value != peeping:
            raise disputes.refusal(
                self._where,
                site.scope,
                Construct(
                    "own cell",
                    facts.peephole.where,
                    site.scope,
                    "peepholes that the names do not show, or the reverse",
                ),
            )
        self._surroundings(site, cell.applications[0])
        return {n: Fact.read(s.value, self._at(s.where)) for n, s in facts.stated.items()}

    def _surroundings(self, site: Site, app: Application) -> None:
        """What is proven to lie around a cell."""
        if app.within is not None:
            self._said.within[site.scope] = app.within.value
        stated = app.around[1 if site.front is not None else 0 :]
        for wrap, one in zip(self._around.get(site.scope, ()), stated, strict=True):
            if wrap.wrapper.dense:
                self._said.activations[wrap.key] = Fact.read(one.value, self._at(one.where))

    def _at(self, node: str) -> str:
        return f"{self._where}: {node}"

    # --- how they are put together ---

    def _block(self, draft: Draft) -> list[Run]:
        """The runs that are the draft's; directions checked."""
        if draft.pair is not None:
            return self._pair(draft)
        if draft.stack and draft.stack[0].pair is not None:
            return self._stacked(draft)
        runs = self._chain(draft)
        turned = [run for run in runs if run.reversed in {"full", "lengths"}]
        self._said.remarks += [
            f"the graph runs {draft.scope} over the sequence, and over the reversed one as well "
            f"({run.name}): the converted stack gives either, by the inputs that you give it"
            if len(turned) < len(runs)
            else f"the graph feeds {draft.scope} the reversed sequence ({run.name}): the "
            "converted stack takes what the loop takes, so reverse its inputs too"
            for run in turned
        ]
        return runs

    def _stacked(self, draft: Draft) -> list[Run]:
        """Bidirectional layers, each fed by both directions of the one below."""
        layers = [self._pair(layer) for layer in draft.stack]
        for below, above in pairwise(layers):
            names = {run.name for run in below}
            for run in above:
                if run.between:
                    raise disputes.refusal(self._where, draft.scope, run.between[0])
                if run.inputs_from and not set(run.inputs_from) <= names:
                    raise disputes.other_order(self._where, draft, [*below, run])
        self._said.chained = all(run.inputs_from for layer in layers[1:] for run in layer)
        return [run for layer in layers for run in layer]

    def _pair(self, draft: Draft) -> list[Run]:
        if draft.pair is None:
            return []
        forward, backward = (self._chain(half) for half in draft.pair)
        own = not BIDIRECTIONAL_SCOPES.fullmatch(draft.path[-1] if draft.path else "")
        for run in forward:
            if run.reversed in {"full", "lengths"}:
                raise disputes.wrong_way(self._where, draft, run, "the forward direction reversed")
        for run in backward:
            if run.reversed == "no" and run.steps != 1:
                raise disputes.wrong_way(
                    self._where, draft, run, "the backward direction unreversed"
                )
            if run.reversed == "unknown" and own:
                raise disputes.wrong_way(self._where, draft, run, "the backward direction unclear")
        return [*forward, *backward]

    def _chain(self, draft: Draft) -> list[Run]:
        """The runs of one direction's layers, all of one form."""
        labels = [site.scope for site in draft.sites()]
        runs = [r for r in self._evidence.runs if set(r.layers) & set(labels)]
        plain: list[Run] = []
        troubled: list[Run] = []
        for run in runs:
            kinds = {c.kind for c in run.constructs}
            (troubled if kinds - {"embedding"} else plain).append(run)
        grave = [r for r in troubled if not plain or not _is_of_another_copy(r)]
        if grave:
            found = next(c for c in grave[0].constructs if c.kind != "embedding")
            raise disputes.refusal(self._where, draft.scope, found)
        if not plain:
            raise disputes.in_no_run(self._where, draft)
        forms = {(_mine(r, labels), tuple(_residual(r, labels)), _spans(r, labels)) for r in plain}
        layers, residual, spans = next(iter(forms))
        if len(forms) > 1 or list(dict.fromkeys(layers)) != labels:
            torn = next((c for r in plain for c in r.between if c.layer in labels), None)
            if torn is not None and not any(set(labels) <= set(r.layers) for r in plain):
                raise disputes.refusal(self._where, draft.scope, torn)
            raise disputes.other_order(self._where, draft, plain)
        initial, doubts = common_beginnings(plain, labels)
        self._said.remarks += [f"in the graph {draft.scope} {doubt}" for doubt in doubts]
        where = self._at(plain[0].name)
        self._said.chains[labels[0]] = Chain(layers, residual, where, initial, spans)
        self._remember(draft, plain, troubled, labels)
        return plain

    def _remember(
        self, draft: Draft, plain: Sequence[Run], troubled: Sequence[Run], labels: Sequence[str]
    ) -> None:
        for run in plain:
            if any(c.kind == "embedding" for c in run.constructs):
                self._said.remarks.append(
                    f"the graph looks up an embedding in front of {draft.scope}, in each step: "
                    "the stack is converted without it, so its inputs are the embedded ones"
                )
            if set(run.layers) - set(labels):
                more = ", ".join(sorted(set(run.layers) - set(labels)))
                self._said.remarks.append(
                    f"in the graph {draft.scope} and {more} are layers of one stack; the names do "
                    "not say so, and they are converted apart"
                )
            self._said.remarks += [f"{draft.scope}: {note}" for note in run.notes]
            if {r.name for r in plain if r is not run} & set(run.inputs_from):
                self._said.remarks.append(
                    f"in the graph {draft.scope} runs again over its own outputs ({run.name}): "
                    "the converted stack is one such run"
                )
        self._said.remarks += [
            f"another copy of {draft.scope} in the graph is more than a plain stack "
            f"({run.constructs[0]}); the plain one is converted"
            for run in troubled
        ]

    # --- the network as a whole ---

    def _agree(self, draft: Draft, runs: Sequence[Run]) -> None:
        network = self._said.network
        first = runs[0]
        network["sequence_length"] = Fact.read(
            any(r.lengths for r in runs),
            self._at(next((r.lengths for r in runs if r.lengths), first.name)),
        )
        known = [r for r in runs if r.time_major is not None]
        if known:
            network["time_major"] = Fact.read(known[0].time_major, self._at(known[0].name))
        states = [(s.kind, s.node) for r in runs for layer in r.initial for s in layer.values()]
        begins = sorted({kind for kind, _ in states} - {"zeros"})
        if begins:
            node = next(node for kind, node in states if kind == begins[0])
            network["initial_state"] = Fact.read(", ".join(begins), self._at(node))
        chains = self._said.chains.values()
        shared = [c for c in chains if len(set(c.layers)) < len(c.layers)]
        if shared:
            network["shared_cell"] = Fact.read(True, shared[0].where)
        residual = [c for c in chains if any(c.residual) or c.spans]
        where = residual[0].where if residual else self._at(first.name)
        network["residual"] = Fact.read(bool(residual), where)
        for rounded in dict.fromkeys(one for run in runs for one in run.rounded):
            network["rounding"] = Fact.read(rounded.value, self._at(rounded.where))
            self._said.remarks.append(
                f"the graph rounds numbers of {draft.scope} to {rounded.value} "
                f"({rounded.where}); the converted one does not, and differs by that much"
            )
        if self._evidence.dropouts:
            where = self._at(self._evidence.dropouts[0])
            network["dropout"] = Fact.read("left out, as at inference", where)


def _spans(run: Run, labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """A run's residuals around several layers, by the positions among those of `labels`."""
    mine = [k for k, layer in enumerate(run.layers) if layer in labels]
    return tuple(
        (mine.index(first), mine.index(last))
        for first, last in run.spans
        if first in mine and last in mine
    )


def _is_of_another_copy(run: Run) -> bool:
    return all(c.kind in _OF_ANOTHER_COPY for c in run.constructs)


def _mine(run: Run, labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(layer for layer in run.layers if layer in labels)


def _residual(run: Run, labels: Sequence[str]) -> list[bool]:
    pairs = zip(run.layers, run.residual, strict=True)
    return [added for layer, added in pairs if layer in labels]
