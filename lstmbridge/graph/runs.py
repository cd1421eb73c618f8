"""Stacks of cells over time: strands, put one on another by what stands between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lstmbridge.graph.findings import Construct
from lstmbridge.graph.glue import Glue, Gluer
from lstmbridge.graph.strands import Strand, StrandFinder
from lstmbridge.graph.trace import Tracer


@dataclass(frozen=True)
class Stack:
    """Strands from input to output, before what surrounds them is known.

    Attributes:
        residual: per strand: its output is h + x.
        choices: per strand but the lowest: choices on the way to it.
    """

    strands: tuple[Strand, ...]
    residual: tuple[bool, ...]
    constructs: tuple[Construct, ...]


@dataclass(eq=False)
class RunFinder:
    """Finds all runs."""

    tracer: Tracer
    gluer: Gluer
    strands: list[Strand] = field(init=False)
    _of: dict[str, Strand] = field(init=False)

    def __post_init__(self) -> None:
        """Link the applications over time."""
        self.strands = StrandFinder(self.tracer, self.gluer).strands()
        self._of = {app.node: strand for strand in self.strands for app in strand.apps}

    def stacks(self) -> list[Stack]:
        """Every path from a strand that no other feeds up to one that feeds no other."""
        below: dict[int, tuple[Strand, bool]] = {}
        constructs: dict[int, list[Construct]] = {}
        for strand in self.strands:
            found, problems = self._below(strand)
            constructs[id(strand)] = problems
            if found is not None:
                below[id(strand)] = found
        feeding = {id(lower): True for lower, _ in below.values()}
        tops = [strand for strand in self.strands if id(strand) not in feeding]
        return [self._stack(top, below, constructs) for top in tops]

    def _stack(
        self,
        top: Strand,
        below: Mapping[int, tuple[Strand, bool]],
        constructs: Mapping[int, list[Construct]],
    ) -> Stack:
        path, residual = [top], [False]
        while id(path[-1]) in below and below[id(path[-1])][0] not in path:
            lower, added = below[id(path[-1])]
            path.append(lower)
            residual.append(added)
        problems = [c for s in path for c in (*s.problems, *constructs[id(s)])]
        return Stack(
            tuple(reversed(path)), tuple(reversed(residual)), tuple(dict.fromkeys(problems))
        )

    def _below(self, strand: Strand) -> tuple[tuple[Strand, bool] | None, list[Construct]]:
        """The strand whose output is this one's input; and what else stands between."""
        if strand.apps[0].whole:
            return None, []
        glues = [self.gluer.explain(app.x, app.layer) for app in strand.apps]
        problems = list(dict.fromkeys(g.problem for g in glues if g.problem is not None))
        if problems:
            return None, problems[:1]
        lower = {id(self._of[g.cell.node]): self._of[g.cell.node] for g in glues if g.cell}
        if not lower:
            return None, []
        found = next(iter(lower.values()))
        if len(lower) > 1 or not self._in_step(strand, found, glues):
            return None, [self._jumps(strand)]
        if strand is found or len({g.residual for g in glues}) > 1:
            return None, [self._jumps(strand)]
        return (found, glues[0].residual), []

    def _in_step(self, strand: Strand, lower: Strand, glues: list[Glue]) -> bool:
        cells = [g.cell.node for g in glues if g.cell is not None]
        return strand.loop is lower.loop and cells == [app.node for app in lower.apps]

    def _jumps(self, strand: Strand) -> Construct:
        app = strand.apps[0]
        return Construct(
            "feedback",
            app.node,
            app.layer,
            f"the inputs of {app.layer} are not the outputs of one layer at the same step",
        )
