"""Recognised stacks at their places in a whole model, each proved there by numbers.

A place is one run of cells: a loop, a fused operation, a chain of unrolled steps. It goes
forwards; where a graph reverses a sequence before and after, it does so around the place, unless
two places are the directions of one (`place_pairs`). What runs between a place's tensors is the
graph's own, fed with random numbers, and must be what the model's equations give; a run for which
it is not is left as it is, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.described import Described
from lstmbridge.graph.evidence import survey_by
from lstmbridge.graph.execute import Program
from lstmbridge.graph.findings import Query
from lstmbridge.graph.found import cells_found
from lstmbridge.graph.needed import Needed, Walker
from lstmbridge.graph.place_pairs import paired
from lstmbridge.graph.place_pieces import pieces_of
from lstmbridge.graph.place_proved import departure
from lstmbridge.graph.place_tensors import fed_to, starts_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.model.blocks import Block, Layer, Model, Recurrent, Residual
from lstmbridge.model.blocks import Sequence as Blocks


class Recognised(Protocol):
    """A stack that names and the graph have shown; what `contracts.Part` is."""

    @property
    def name(self) -> str:
        """Its scope."""
        ...

    @property
    def model(self) -> Model:
        """Its layers."""
        ...

    @property
    def graph_cells(self) -> Mapping[str, Query]:
        """Layer name -> its cell as a graph is asked about it."""
        ...


def places_of(whole: Whole, parts: Sequence[Recognised]) -> Whole:
    """The model with its recurrent stacks at their places.

    Args:
        whole: as `asked.whole_of` gives it.
        parts: stacks of the same source; a cell of theirs may be run at several places.

    Returns:
        The model with `places`, and `notes` on runs that are none. A run that the outputs do
        not need is not mentioned.

    Errors: SourceUnreadable for a graph that is broken.
    """
    cells, models = _known(parts)
    if not cells:
        said = _unlike(whole)
        return replace(whole, notes=(*whole.notes, *said)) if said else whole
    survey = survey_by(whole.program.tracer, list(cells.values()))
    needed = _walk(whole, whole.program)
    places: list[Place] = []
    runs: dict[str, Described] = {}
    notes: list[str] = []
    for one in survey.described:
        if not any(node in needed.ops for node in one.run.nodes):
            continue
        placer = _Placer(whole, one, models, parts)
        try:
            place = placer.place(_unused(one, places))
        except NotRecognised as err:
            notes.append(f"{one.run.name!r} is converted operation by operation: {err.read}")
        else:
            places.append(place)
            runs[place.name] = one
    placed, halves = paired(whole, places, runs)

    def apart(place: Place, beside: Sequence[Place]) -> Sequence[Place]:
        if place.name in halves or place.name not in runs:
            return halves.get(place.name, ())
        pieces = pieces_of(whole, place, runs[place.name], beside)
        found: list[Place] = []
        for piece in pieces:
            placer = _Placer(whole, piece, models, parts)
            try:
                found.append(placer.place(_unused(piece, [*beside, *found])))
            except NotRecognised:
                return ()
        return found

    kept, dropped = _alone(whole, placed, apart)
    notes += dropped
    notes += _unlike(whole, [node for place in kept for node in place.nodes])
    return replace(whole, places=tuple(kept), notes=(*whole.notes, *notes))


def _unlike(whole: Whole, placed: Sequence[str] = ()) -> list[str]:
    """What is said of loops that hand on a state that is no known cell's."""
    found = cells_found(whole.program.tracer, unrolled=False).unlike
    if not found:
        return []
    needed = _walk(whole, whole.program).ops
    loops = {loop.name for loop in whole.program.tracer.network.loops}
    loops -= {whole.program.place((node, 0))[0] for node in placed}
    notes: dict[str, str] = {}
    for one in found:
        home = whole.program.place((one.node, 0))[0]
        if one.node in needed and home in loops:
            notes.setdefault(home, f"{home!r} is converted operation by operation: {one.detail}")
    return list(notes.values())


def _known(parts: Sequence[Recognised]) -> tuple[dict[str, Query], dict[str, Layer]]:
    """By label: what the graph is asked, and the layer that answers to it."""
    cells: dict[str, Query] = {}
    layers: dict[str, Layer] = {}
    for part in parts:
        own = {layer.name: layer for layer in part.model.layers}
        for name, query in part.graph_cells.items():
            if name in own and query.layer not in cells:
                cells[query.layer], layers[query.layer] = query, own[name]
    return cells, layers


def _walk(whole: Whole, program: Program) -> Needed:
    walker = Walker(program, {s.tensor: s.value for s in whole.settings})
    return walker.walk([port.tensor for port in whole.outputs])


def _unused(one: Described, places: Sequence[Place]) -> str:
    """A name for a place, unlike the others'."""
    scopes = [node.split("/")[:-1] for node in one.run.nodes]
    together = [level[0] for level in zip(*scopes, strict=False) if len(set(level)) == 1]
    ends = [k for k, part in enumerate(together) if part in {"while", "cond"}]
    kept = [part for part in (together[: ends[0]] if ends else together) if not _is_call(part)]
    base = "/".join(kept) or one.run.layers[0]
    taken, name, k = {place.name for place in places}, base, 0
    while name in taken:
        k += 1
        name = f"{base}_{k}"
    return name


def _is_call(part: str) -> bool:
    """Whether a part of a name is a call's that TensorFlow 2 puts around everything."""
    return part.rstrip("_0123456789") in {"PartitionedCall", "StatefulPartitionedCall"}


def _alone(
    whole: Whole,
    places: Sequence[Place],
    apart: Callable[[Place, Sequence[Place]], Sequence[Place]],
) -> tuple[list[Place], list[str]]:
    """The places without which nothing of their runs is computed, and what of the others is.

    One of which more is used is taken `apart`, given those beside it.
    """
    kept: list[Place] = list(places)
    notes: list[str] = []
    while True:
        walked = _beside(whole, kept)
        bad = next((p for p in kept if p.nodes & walked), None)
        if bad is None:
            return kept, notes
        at = kept.index(bad)
        pieces = apart(bad, [*kept[:at], *kept[at + 1 :]])
        kept[at : at + 1] = pieces
        if pieces:
            continue
        node = min(bad.nodes & walked)
        notes.append(
            f"{bad.name!r} is converted operation by operation: more of it is used than its "
            f"outputs and last states ({node!r})"
        )


def _beside(whole: Whole, places: Sequence[Place]) -> set[str]:
    """The operations that are needed when places give what they give."""
    old = whole.program.tracer
    given = {t for place in places for t in place.gives}
    tracer = Tracer(old.network, old.stops | {old.guarded(t) for t in given})
    walker = Walker(
        Program(Scopes(tracer), whole.program.weights),
        {s.tensor: s.value for s in whole.settings},
    )
    wanted = [port.tensor for port in whole.outputs]
    wanted += [t for place in places for t in place.takes]
    return set(walker.walk(wanted).ops)


@dataclass(frozen=True, eq=False)
class _Placer:
    """Places one run."""

    whole: Whole
    one: Described
    layers: Mapping[str, Layer]
    parts: Sequence[Recognised]

    def place(self, name: str) -> Place:
        """The place, proved. Errors: NotRecognised, saying why there is none."""
        run = self.one.run
        if run.constructs:
            raise NotRecognised(run.constructs[0].detail, where=run.constructs[0].node)
        if run.rounded:
            raise NotRecognised("it rounds on its way", where=run.rounded[0].where)
        model = self._model(name)
        fed = fed_to(self.whole.program, self.one)
        labels = [layer.name for layer in model.layers]
        initial = starts_of(self.whole.program, self.one, labels)
        pairs = zip(labels, fed.finals, strict=False)
        finals = {(label, s): made for label, own in pairs for s, made in own.items()}
        place = Place(
            name=name,
            model=model,
            source=fed.source,
            time_major=fed.time_major,
            lengths=None,
            initial=initial,
            outputs=fed.outputs[:1],
            outputs_time_major=True,
            finals=finals,
            step_sources=fed.step_sources,
            step_outputs=fed.step_outputs,
            nodes=frozenset(run.nodes),
        )
        problem = ""
        for lengths in fed.lengths:
            tried = replace(place, lengths=lengths)
            problem = departure(self.whole, tried)
            if not problem:
                return tried
        raise NotRecognised(problem, where=run.name)

    def _model(self, name: str) -> Model:
        """The run's layers, as the parts have them."""
        run = self.one.run
        for part in self.parts:
            labels = (
                [part.graph_cells[la.name].layer for la in part.model.layers]
                if all(la.name in part.graph_cells for la in part.model.layers)
                else []
            )
            plain = all(not layer.direction for layer in part.model.layers)
            if plain and tuple(labels) == run.layers and any(run.layers):
                return replace(part.model, name=name)
        if run.spans or any(self._around(label) for label in run.layers):
            raise NotRecognised("more than cells and residuals is in it", where=run.name)
        blocks: list[Block] = []
        for label, residual in zip(run.layers, run.residual, strict=True):
            block: Block = Recurrent(self.layers[label].cell)
            blocks.append(Residual(block) if residual else block)
        return Model(name, Blocks(tuple(blocks)))

    def _around(self, label: str) -> bool:
        return any(
            query.layer == label and query.around
            for part in self.parts
            for query in part.graph_cells.values()
        )
