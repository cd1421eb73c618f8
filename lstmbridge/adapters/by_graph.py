"""Recurrent layers that no name shows: found in a source's graph, by what its loops compute.

Keras layers of a SavedModel, cells that somebody wrote by hand, variables called `Variable_3`:
the graph says what they are, and proves it. This comes after the adapters that go by names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lstmbridge.contracts import Hints, Ignored, NoMatch, Part, Recognition, Source
from lstmbridge.errors import CannotExpress, NotRecognised, UsageError
from lstmbridge.graph.evidence import Survey, survey_by
from lstmbridge.graph.findings import Run
from lstmbridge.graph.found import Findings, FoundCell, cells_found
from lstmbridge.graph.found_weights import Stored, stored_by
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.trace import Tracer
from lstmbridge.model.blocks import Bidirectional, Block, Model, Recurrent, Residual
from lstmbridge.model.blocks import Sequence as Blocks
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact

_SHOWN = 8
_TURNED = frozenset({"full", "lengths"})


class GraphAdapter:
    """Recurrent stacks of a graph whose variables have names that say nothing."""

    @property
    def name(self) -> str:
        """Short name, for messages and entry points."""
        return "graph"

    def recognise(self, source: Source, hints: Hints) -> Recognition | NoMatch:
        """Find the recurrent stacks of `source` in its graph. Reads no weights.

        Raises:
            SourceUnreadable: a graph that is broken.
            CannotExpress: every stack is more than layers, one on another.
            UsageError: `--select` names none of them.
        """
        graph = None if hints.ignore_graph else source.graph()
        if graph is None:
            return NoMatch(str(source.path), "it has no graph to find cells in")
        tracer = Tracer(network_of(graph))
        findings = cells_found(tracer)
        if not findings.cells:
            return NoMatch(str(source.path), _nothing(findings, tracer))
        survey = survey_by(tracer, [cell.query for cell in findings.cells])
        builder = _Builder(source, findings, survey)
        return builder.recognition(hints)


def lone_cells(source: Source, hints: Hints, *, unrolled: bool = True) -> tuple[Part, ...]:
    """Every cell that the graph's loops compute, as a stack of its own: parts of whole models.

    Args:
        source: with a graph or without.
        hints: the user's.
        unrolled: look for unrolled steps too.

    Errors: SourceUnreadable for a graph that is broken.
    """
    graph = None if hints.ignore_graph else source.graph()
    if graph is None:
        return ()
    where = PurePath(graph.where).name
    stored = stored_by(source.tensors)
    parts: list[Part] = []
    for found in cells_found(Tracer(network_of(graph)), unrolled=unrolled).cells:
        try:
            model = Model(found.query.layer, Recurrent(found.cell(stored, where)))
        except NotRecognised:
            # its weights are not in the source: the loop stays what it is
            continue
        name = model.layers[0].name
        parts.append(
            Part(
                found.query.layer,
                model,
                {name: found.variables},
                f"{found.kind} (found in the graph)",
                graph_cells={name: found.query},
            )
        )
    return tuple(parts)


def _nothing(findings: Findings, tracer: Tracer) -> str:
    if findings.unlike:
        return findings.unlike[0].detail + f" (node {findings.unlike[0].node!r})"
    count = len(tracer.network.loops)
    return f"no loop of its graph computes a cell that is known ({count} loops)"


@dataclass(frozen=True, eq=False)
class _Chain:
    """Runs that make one stack: each stage one run, or a pair of both directions."""

    stages: tuple[tuple[Run, ...], ...]


@dataclass(frozen=True, eq=False)
class _Builder:
    source: Source
    findings: Findings
    survey: Survey

    def recognition(self, hints: Hints) -> Recognition:
        """The stacks, whole ones first. Errors: as `GraphAdapter.recognise`."""
        cells = {cell.query.layer: cell for cell in self.findings.cells}
        plain = [one.run for one in self.survey.described if not one.run.constructs]
        chains = _chains(self._pairs(_unlike(plain)))
        refusals = [
            NoMatch(one.run.name, one.run.constructs[0].detail)
            for one in self.survey.described
            if one.run.constructs and not _is_told(one.run, plain)
        ]
        refusals += [NoMatch(one.node, one.detail) for one in self.findings.unlike]
        parts: list[Part] = []
        warnings: list[str] = []
        for chain in chains:
            part, said = self._part(chain, cells, {part.name for part in parts})
            parts.append(part)
            warnings += said
        if not parts:
            raise CannotExpress(
                f"the graph's recurrent layers are no stacks: {refusals[0].reason}"
                if refusals
                else "the graph's recurrent layers are no stacks",
                expected="layers that read a sequence, or one another",
                where=str(self.source.path),
                advice="convert the whole model: its loops go along as they are",
            )
        chosen = [p for p in parts if p.name == hints.select] if hints.select else parts
        if not chosen:
            raise UsageError(
                f"--select {hints.select}: no recurrent stack lies there",
                expected=f"one of {', '.join(part.name for part in parts[:_SHOWN])}",
                where="--select",
            )
        taken = {name for part in parts for names in part.variables.values() for name in names}
        ignored = tuple(
            Ignored(name, ref.shape, "it is no part of a recurrent layer that was found")
            for name, ref in self.source.tensors.items()
            if name not in taken
        )
        return Recognition(tuple(chosen), ignored, tuple(refusals), tuple(dict.fromkeys(warnings)))

    def _pairs(self, runs: Sequence[Run]) -> list[tuple[Run, ...]]:
        """Runs over one sequence in both directions, side by side; the rest alone."""
        sources = {
            d.run.name: d.source.tensor for d in self.survey.described if d.source is not None
        }
        found: list[tuple[Run, ...]] = []
        taken: set[str] = set()
        for run in runs:
            if run.name in taken or run.reversed in _TURNED:
                continue
            others = [
                other
                for other in runs
                if other.reversed in _TURNED
                and other.name not in taken
                and len(other.layers) == len(run.layers)
                and sources.get(other.name) == sources.get(run.name, ("", -1))
            ]
            stage = (run, others[0]) if len(others) == 1 else (run,)
            taken |= {one.name for one in stage}
            found.append(stage)
        return [*found, *((run,) for run in runs if run.name not in taken)]

    def _part(
        self, chain: _Chain, cells: Mapping[str, FoundCell], taken: set[str]
    ) -> tuple[Part, list[str]]:
        where = PurePath(self.survey.tracer.network.where).name
        stored = stored_by(self.source.tensors)
        labels: list[str] = []
        blocks = [self._stage(stage, cells, labels, stored, where) for stage in chain.stages]
        root = blocks[0] if len(blocks) == 1 else Blocks(tuple(blocks))
        name = _unused(_common(labels), taken)
        runs = [run for stage in chain.stages for run in stage]
        model = Model(name, root, _facts(runs, where))
        layers = [layer.name for layer in model.layers]
        used = {name: cells[label] for name, label in zip(layers, labels, strict=True)}
        variables = {name: cell.variables for name, cell in used.items()}
        kinds = ", ".join(dict.fromkeys(cell.kind for cell in used.values()))
        part = Part(
            name,
            model,
            variables,
            f"{kinds} (found in the graph)",
            graph_cells={name: cell.query for name, cell in used.items()},
        )
        alone = [stage[0] for stage in chain.stages if len(stage) == 1]
        said = [
            f"the graph feeds {name} the reversed sequence ({run.name}): the converted stack "
            "takes what the loop takes, so reverse its inputs too"
            for run in alone
            if run.reversed in _TURNED
        ]
        return part, said + [f"{name}: {note}" for run in runs for note in run.notes]

    def _stage(
        self,
        stage: Sequence[Run],
        cells: Mapping[str, FoundCell],
        labels: list[str],
        stored: Stored,
        where: str,
    ) -> Block:
        halves: list[Block] = []
        for run in stage:
            blocks: list[Block] = []
            for label, residual in zip(run.layers, run.residual, strict=True):
                labels.append(label)
                block: Block = Recurrent(_cell(cells[label], stored, where))
                blocks.append(Residual(block) if residual else block)
            halves.append(blocks[0] if len(blocks) == 1 else Blocks(tuple(blocks)))
        return halves[0] if len(halves) == 1 else Bidirectional(halves[0], halves[1])


def _cell(found: FoundCell, stored: Stored, where: str) -> Cell:
    return found.cell(stored, where)


def _unlike(runs: Sequence[Run]) -> list[Run]:
    """One run of each form: a graph may hold a net several times (signatures, say)."""
    found: dict[tuple[object, ...], Run] = {}
    for run in runs:
        found.setdefault((run.layers, run.residual, run.reversed in _TURNED), run)
    return list(found.values())


def _is_told(run: Run, plain: Sequence[Run]) -> bool:
    return any(run.layers == other.layers for other in plain)


def _chains(stages: Sequence[tuple[Run, ...]]) -> list[_Chain]:
    """Stages of which each is fed by the one before."""
    by_name = {run.name: stage for stage in stages for run in stage}
    below: dict[int, tuple[Run, ...]] = {}
    for stage in stages:
        feeds = {name for run in stage for name in run.inputs_from}
        feeders = {id(by_name[name]): by_name[name] for name in feeds if name in by_name}
        if len(feeders) != 1 or any(run.inputs_residual or run.between for run in stage):
            continue
        feeder = next(iter(feeders.values()))
        if {run.name for run in feeder} == feeds and feeder is not stage:
            below[id(stage)] = feeder
    carried = {id(stage) for stage in below.values()}
    chains = []
    for stage in stages:
        if id(stage) in carried:
            continue
        path = [stage]
        while id(path[-1]) in below and len(path) <= len(stages):
            path.append(below[id(path[-1])])
        chains.append(_Chain(tuple(reversed(path))))
    return chains


def _facts(runs: Sequence[Run], where: str) -> dict[str, Fact[object]]:
    first = runs[0]
    at = next((run.lengths for run in runs if run.lengths), first.name)
    facts: dict[str, Fact[object]] = {
        "sequence_length": Fact.read(any(run.lengths for run in runs), f"{where}: {at}")
    }
    if first.time_major is not None:
        facts["time_major"] = Fact.read(first.time_major, f"{where}: {first.name}")
    states = [(s.kind, s.node) for run in runs for layer in run.initial for s in layer.values()]
    begins = sorted({kind for kind, _ in states} - {"zeros"})
    if begins:
        node = next(node for kind, node in states if kind == begins[0])
        facts["initial_state"] = Fact.read(", ".join(begins), f"{where}: {node}")
    return facts


def _common(labels: Sequence[str]) -> str:
    """A name for layers together: the scope that they share, or the first's."""
    paths = [label.split("/") for label in labels]
    together = [level[0] for level in zip(*paths, strict=False) if len(set(level)) == 1]
    return "/".join(together) or labels[0]


def _unused(name: str, taken: set[str]) -> str:
    k, found = 1, name
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    return found
