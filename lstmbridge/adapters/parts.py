"""Drafts -> parts: the model of each stack, with its facts, its variables and its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.adapters.beginnings import StoredRow, facts_begun, rows_of, sources_of_states
from lstmbridge.adapters.facts import Resolved, confront, resolve
from lstmbridge.adapters.sharing import repeatable, stored_alone
from lstmbridge.adapters.sites import Site
from lstmbridge.adapters.stored import Stored
from lstmbridge.adapters.testimony import Testimony, questions, wraps_beside
from lstmbridge.adapters.topology import Draft
from lstmbridge.adapters.wrappers import in_sequence
from lstmbridge.contracts import Hints, Part, TensorRef
from lstmbridge.errors import FactConflict, FactMissing
from lstmbridge.gates import Weights
from lstmbridge.graph.findings import Query, State
from lstmbridge.model.blocks import Bidirectional, Block, Dense, Model, Recurrent, Residual
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beyond names and shapes.

    Attributes:
        hints: what the user states.
        room: the given options that are meant for some cell (`facts.open_to`).
        averaged: the variables that are averages.
        told: what a graph says, by the drafts' scopes.
        in_graph: the source's variables by the names that a graph has for them.
    """

    hints: Hints
    room: frozenset[str]
    averaged: frozenset[str]
    told: Mapping[str, Testimony]
    in_graph: Mapping[str, Stored] = field(default_factory=dict)


@dataclass(slots=True)
class _Workshop:
    """One part under construction."""

    hints: Hints
    room: frozenset[str]
    averaged: frozenset[str]
    told: Testimony | None
    in_graph: Mapping[str, Stored] = field(default_factory=dict)
    resolved: dict[str, Resolved] = field(default_factory=dict)
    cells: dict[str, Cell] = field(default_factory=dict)
    sites: dict[int, Site] = field(default_factory=dict)
    residual: int = 0
    could_be_residual: bool = False
    doubts: list[str] = field(default_factory=list)

    def block(self, draft: Draft, *, repeat: bool = True) -> Block:
        """The model's block of a draft; `repeat`: ``--layers`` may repeat its one cell."""
        if draft.pair is not None:
            forward, backward = (self.block(half, repeat=repeat) for half in draft.pair)
            return Bidirectional(forward, backward)
        if draft.stack and draft.stack[0].pair is not None:
            self._agree(len(draft.stack), draft)
            return in_sequence(*(self.block(inner, repeat=False) for inner in draft.stack))
        told = self._told(draft)
        if told is not None:
            layers = [self._layer(*layer) for layer in told]
            block = _with_spans(layers, self._spans(draft))
            return block if draft.cell is not None else self._wrapped(block, draft)
        leaves = list(draft.leaves())
        if not repeat or self.hints.layers in (None, len(leaves)):
            return self._put_together(draft)
        return self._repeated(draft, leaves)

    def _put_together(self, draft: Draft) -> Block:
        """A stack as its scopes have it."""
        if draft.cell is not None:
            return self._layer(draft, None)
        block = in_sequence(*(self._put_together(part) for part in draft.stack))
        return self._wrapped(block, draft)

    def _repeated(self, draft: Draft, leaves: list[Draft]) -> Block:
        """``[cell] * n``: one stored cell in every layer."""
        if len(leaves) > 1:
            self._agree(len(leaves), draft)
        [leaf] = leaves
        asked = self.hints.layers or 1
        block = self._layer(leaf, None)
        if block.input_size != block.output_size:
            raise FactConflict(
                f"--layers {asked}, and the stored cell takes {block.input_size} features and "
                f"gives {block.output_size}",
                expected="a cell that can follow itself",
                where=draft.scope,
                advice="leave --layers out",
            )
        above = (self._layer(leaf, None) for _ in range(asked - 1))
        whole = in_sequence(block, *above)
        return whole if draft is leaf else self._wrapped(whole, draft)

    def _told(self, draft: Draft) -> list[tuple[Draft, bool, Mapping[str, State]]] | None:
        """The layers as a graph has them: order, sharing, residuals, how states begin."""
        if self.told is None:
            return None
        leaves = {leaf.cell.scope: leaf for leaf in draft.leaves() if leaf.cell is not None}
        chain = self.told.chains[next(iter(leaves))]
        if self.hints.layers not in (None, len(chain.layers)):
            raise FactConflict(
                f"--layers {self.hints.layers}, and the graph has {len(chain.layers)} layers",
                expected="a statement that agrees with what was read",
                where=draft.scope,
                advice="leave --layers out",
            )
        layers = zip(chain.layers, chain.residual, chain.initial, strict=True)
        return [(leaves[scope], added, begins) for scope, added, begins in layers]

    def _spans(self, draft: Draft) -> Sequence[tuple[int, int]]:
        """Residuals around several layers, as a graph has them."""
        first = next(draft.sites()).scope
        return () if self.told is None else self.told.chains[first].spans

    def _layer(
        self, leaf: Draft, added: bool | None, begins: Mapping[str, State] | None = None
    ) -> Block:
        """A layer; a graph says whether it adds its input, and what its states begin with."""
        site = leaf.cell
        if site is None:
            raise ValueError(f"{leaf.scope} is no cell")
        cell = self._cell(site)
        rows: dict[str, StoredRow] = {}
        if begins and self.told is not None:
            rows, doubts = rows_of(begins, site.scope, cell, self.in_graph, self.told.where)
            self.doubts += doubts
        block: Block = Recurrent(cell, rows)
        front = site.front
        if front is not None:
            block = in_sequence(front, block)
        if self.told is not None:
            within = self.told.within.get(site.scope, False)
            block = self._wrapped(Residual(block) if within else block, leaf)
            return Residual(block) if added else block
        if block.input_size == block.output_size:
            self.could_be_residual = True
            self.residual += bool(self.hints.residual)
            if self.hints.residual and leaf.wraps:
                raise _residual_where(leaf)
            block = Residual(block) if self.hints.residual else block
        return self._wrapped(block, leaf)

    def _wrapped(self, block: Block, draft: Draft) -> Block:
        for wrap in draft.wraps:
            activation = None if self.told is None else self.told.activations.get(wrap.key)
            block = wrap.around(block, activation)
        return block

    def _cell(self, site: Site) -> Cell:
        if site.scope not in self.cells:
            if site.family is None or site.stored is None:
                raise ValueError(f"{site.scope} is no cell that we build")
            self._demand_averages(site)
            self.resolved[site.scope] = self._resolved(site)
            cell = site.family.build(site.tensors, self.resolved[site.scope].options)
            self.cells[site.scope] = cell
            self.sites[id(cell)] = site
        return self.cells[site.scope]

    def _resolved(self, site: Site) -> Resolved:
        if self.told is None:
            return resolve(site, self.hints, self.room)
        return confront(site, self.hints, self.told.options[site.scope])

    def _demand_averages(self, site: Site) -> None:
        raw = sorted(str(s) for s in (site.stored or {}).values() if s.name not in self.averaged)
        if self.hints.ema and raw:
            raise FactMissing(
                f"--ema, and there is no moving average of {', '.join(raw)}",
                expected="an average of every variable of a layer",
                where=site.scope,
                advice="leave --ema out to take the raw weights",
            )

    def _agree(self, stored: int, draft: Draft) -> None:
        if self.hints.layers not in (None, stored):
            raise FactConflict(
                f"--layers {self.hints.layers}, and {draft.scope} stores {stored} layers",
                expected="one stored cell that all layers share",
                where="--layers",
                advice="leave --layers out: the names say how many there are",
            )


def _with_spans(layers: Sequence[Block], spans: Sequence[tuple[int, int]]) -> Block:
    """Layers one on another, with residuals around spans of them, innermost first."""
    pieces = [(k, k, layer) for k, layer in enumerate(layers)]
    for first, last in spans:
        inside = [piece for piece in pieces if first <= piece[0] and piece[1] <= last]
        place = pieces.index(inside[0])
        whole = Residual(in_sequence(*(block for _, _, block in inside)))
        pieces[place : place + len(inside)] = [(first, last, whole)]
    return in_sequence(*(block for _, _, block in pieces))


def _residual_where(leaf: Draft) -> FactMissing:
    names = ", ".join(wrap.wrapper.name for wrap in leaf.wraps)
    return FactMissing(
        f"--residual, and {leaf.scope} is wrapped by {names} too: names do not say which of "
        "the two is the inner one",
        expected="a graph, which shows it",
        where=leaf.scope,
        advice="put the .meta beside the checkpoint",
    )


@dataclass(frozen=True, slots=True)
class Built:
    """A part, and what its user should know."""

    part: Part
    warnings: tuple[str, ...]


def build_part(draft: Draft, name: str, known: Known) -> Built:
    """The part of a draft without problems.

    Args:
        draft: what the names suggest.
        name: the part's.
        known: what user and graph state.

    Raises:
        FactConflict: a hint contradicts names, shapes or the graph. FactMissing: ``--ema``.
    """
    told, hints = known.told.get(draft.scope), known.hints
    shop = _Workshop(hints, known.room, known.averaged, told, known.in_graph)
    root = shop.block(draft)
    facts = _network_facts(shop, draft)
    model = Model(name, root, facts)
    model = Model(name, root, {**facts, **_facts_around(model), **facts_begun(model)})
    doubts = [] if told and told.chained else [*draft.all_remarks(of_pairs=told is None)]
    doubts += [*(told.remarks if told else ()), *shop.doubts]
    for resolved in shop.resolved.values():
        doubts += resolved.doubts
    for site in shop.sites.values():
        if site.family is not None and site.family.remark is not None:
            doubts.append(site.family.remark(site.tensors))
    if told is None and hints.layers is None and stored_alone(draft) is not None:
        doubts.append(
            f"{draft.scope} stores one cell as wide as its input: it may be [cell] * n, several "
            "layers on one set of variables, which TensorFlow 1.2 and later store the same; one "
            "layer is assumed, --layers N states it"
        )
    in_graph = {} if told is None else _in_graph(model, shop, draft)
    part = Part(
        name,
        model,
        _variables(model, shop, draft),
        _dialect(shop),
        {layer: query for layer, (query, _) in in_graph.items()},
        {node: ref for _, weights in in_graph.values() for node, ref in weights.items()},
    )
    return Built(part, tuple(dict.fromkeys(filter(None, doubts))))


def _in_graph(
    model: Model, shop: _Workshop, draft: Draft
) -> dict[str, tuple[Query, Mapping[str, TensorRef]]]:
    """Layer name -> what a graph was asked, and the tensors of the variables it was asked by."""
    found: dict[str, tuple[Query, Mapping[str, TensorRef]]] = {}
    around = wraps_beside(draft)
    for layer in model.layers:
        site = shop.sites[id(layer.cell)]
        if site.family is None or not (site.stored and site.sizes):
            continue
        (query,) = questions({site.scope: site}, around)
        stored = [*site.stored.values()]
        stored += [s for wrap in around.get(site.scope, ()) for s in wrap.stored.values()]
        weights = {s.in_graph[0]: s.ref for s in stored if len(s.in_graph) == 1}
        found[layer.name] = (query, weights)
    return found


def _network_facts(shop: _Workshop, draft: Draft) -> dict[str, Fact[Any]]:
    facts: dict[str, Fact[Any]] = {}
    cells = list(dict.fromkeys(r.cell for r in shop.resolved.values()))
    for k, cell in enumerate(cells):
        facts["cell" if k == 0 else f"cell_{k + 1}"] = cell
    hints = shop.hints
    if hints.ema is not None:
        facts["moving_average"] = Fact.given(hints.ema, "--ema" if hints.ema else "--no-ema")
    if shop.told is not None:
        _confront_residual(hints, shop.told)
        return {**facts, **shop.told.network}
    if hints.layers is not None:
        facts["shared_cell"] = Fact.given(
            hints.layers > 1 and _stored(draft) < hints.layers, f"--layers {hints.layers}"
        )
    elif (last := repeatable(draft)) is not None:
        why = f"another layer on the variables of {last.scope} would store nothing"
        facts["shared_cell"] = Fact.assumed(False, f"{why}; --layers states it")
    if hints.residual is not None:
        if hints.residual and not shop.residual:
            raise FactConflict(
                "--residual, and no layer is as wide as its input",
                expected="a layer whose output can be added to its input",
                where=draft.scope,
                advice="leave --residual out",
            )
        where = "--residual" if hints.residual else "--no-residual"
        facts["residual"] = Fact.given(hints.residual, where)
    elif shop.could_be_residual:
        facts["residual"] = Fact.assumed(False, "a ResidualWrapper leaves no variables")
    return facts


def _confront_residual(hints: Hints, told: Testimony) -> None:
    read = told.network["residual"]
    if hints.residual is not None and hints.residual != read.value:
        raise FactConflict(
            f"{'--residual' if hints.residual else '--no-residual'}, and the graph shows "
            f"{'residual layers' if read.value else 'none'}",
            expected="a statement that agrees with what was read",
            where=read.where,
            advice="leave it out; --ignore-graph if the graph is not the checkpoint's",
        )


def _stored(draft: Draft) -> int:
    half = draft.pair[0] if draft.pair is not None else draft
    return len(list(half.sites()))


def _facts_around(model: Model) -> dict[str, Fact[Any]]:
    """Facts of what lies around the cells."""
    return {
        f"{around.name}.activation": around.block.activation
        for around in model.attachments
        if isinstance(around.block, Dense)
    }


def _variables(model: Model, shop: _Workshop, draft: Draft) -> dict[str, tuple[str, ...]]:
    """The source's variables by layer, and by what lies around layers."""
    stored: list[Stored] = [s for wrap in draft.all_wraps() for s in wrap.stored.values()]
    for site in shop.sites.values():
        stored += (site.stored or {}).values()
    of_tensor: dict[int, tuple[str, ...]] = {id(s.ref): s.sources for s in stored}
    around = {a.name: _sources(a.block.weights, of_tensor) for a in model.attachments}
    taken = {name for names in around.values() for name in names}
    layers = {
        layer.name: tuple(
            name
            for name in _sources(shop.sites[id(layer.cell)].tensors, of_tensor)
            if name not in taken
        )
        + sources_of_states(layer)
        for layer in model.layers
    }
    return {**layers, **around}


def _sources(
    tensors: Mapping[str, Weights], of_tensor: Mapping[int, tuple[str, ...]]
) -> tuple[str, ...]:
    return tuple(name for tensor in tensors.values() for name in of_tensor[id(tensor)])


def _dialect(shop: _Workshop) -> str:
    said = dict.fromkeys(
        f"{shop.resolved[site.scope].row.name} ({site.spelling.era if site.spelling else ''})"
        for site in shop.sites.values()
    )
    return ", ".join(said)
