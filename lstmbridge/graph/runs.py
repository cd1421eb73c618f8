"""Stacks of cells over time: strands, put one on another by what stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lstmbridge.graph.findings import Construct
from lstmbridge.graph.glue import Glue, Gluer
from lstmbridge.graph.masks import is_counter
from lstmbridge.graph.strands import Strand, StrandFinder
from lstmbridge.graph.trace import Tracer


@dataclass(frozen=True, eq=False)
class Footing:
    """What a strand stands on.

    Attributes:
        below: the strand whose output, step by step, is this one's input.
        residual: that output is its cell's output plus its input.
        pair: the strands whose outputs are, side by side, this one's input, the second walked
            from its end: the two directions of a bidirectional layer, unrolled.
        feeders: all strands that its input depends on in the same step or an earlier one.
        between: what stands between those and its input, where it is neither of these.
        loops_back: its input depends on a loop variable that is no counter.
    """

    below: Strand | None = None
    residual: bool = False
    pair: tuple[Strand, Strand] | None = None
    feeders: tuple[Strand, ...] = ()
    between: tuple[Construct, ...] = ()
    loops_back: bool = False


@dataclass(frozen=True, eq=False)
class Stack:
    """Strands from input to output, before what surrounds them is known.

    Attributes:
        strands: from input to output.
        residual: per strand: its output is h + x. The last is not known yet.
        footing: of the lowest strand.
        feedback: its input depends on its own output.
    """

    strands: tuple[Strand, ...]
    residual: tuple[bool, ...]
    footing: Footing
    feedback: bool


@dataclass(eq=False)
class RunFinder:
    """Finds all stacks."""

    tracer: Tracer
    gluer: Gluer
    strands: list[Strand] = field(init=False)
    _of: dict[str, Strand] = field(init=False)

    def __post_init__(self) -> None:
        """Link the applications over time."""
        self.strands = StrandFinder(self.tracer, self.gluer).strands()
        self._of = {app.node: strand for strand in self.strands for app in strand.apps}

    def stacks(self) -> list[Stack]:
        """Every path from a strand that no other carries up to one that carries no other."""
        footings = {id(strand): self._footing(strand) for strand in self.strands}
        carried = {id(f.below) for f in footings.values() if f.below is not None}
        tops = [strand for strand in self.strands if id(strand) not in carried]
        return [self._stack(top, footings) for top in tops]

    def _stack(self, top: Strand, footings: Mapping[int, Footing]) -> Stack:
        path, residual = [top], [False]
        while (footing := footings[id(path[-1])]).below is not None:
            if footing.below in path:
                break
            path.append(footing.below)
            residual.append(footing.residual)
        bottom = path[-1]
        return Stack(
            tuple(reversed(path)),
            tuple(reversed(residual)),
            footings[id(bottom)],
            footings[id(bottom)].loops_back or _depends_on_itself(bottom, footings),
        )

    def _footing(self, strand: Strand) -> Footing:
        if strand.apps[0].whole:
            return Footing()
        glues = [self.gluer.explain(app.x, app.layer) for app in strand.apps]
        feeders: dict[int, Strand] = {}
        back = False
        for glue in glues:
            cells = [] if glue.cell is None else [glue.cell]
            if glue.behind is not None:
                cells += [self.gluer.outputs[c][0] for c in glue.behind.cells]
                back |= any(not is_counter(self.tracer, e) for e in glue.behind.entries)
            feeders.update((id(self._of[c.node]), self._of[c.node]) for c in cells)
        found = tuple(feeders.values())
        if not found:
            return Footing(loops_back=back)
        below = self._below(strand, glues)
        if below is not None:
            return Footing(below, glues[0].residual, feeders=found)
        pair = self._pair(strand, found)
        if pair is not None:
            return Footing(pair=pair, feeders=found)
        problems = dict.fromkeys(g.problem for g in glues if g.problem is not None)
        return Footing(
            feeders=found, between=tuple(problems)[:1] or (_jump(strand),), loops_back=back
        )

    def _below(self, strand: Strand, glues: Sequence[Glue]) -> Strand | None:
        """The strand whose outputs are this one's inputs, step by step."""
        cells = [g.cell for g in glues if g.cell is not None and g.problem is None]
        if len(cells) != len(glues) or len({g.residual for g in glues}) != 1:
            return None
        lower = self._of[cells[0].node]
        in_step = [c.node for c in cells] == [app.node for app in lower.apps]
        if not in_step or lower is strand or lower.loop is not strand.loop:
            return None
        return lower

    def _pair(self, strand: Strand, feeders: Sequence[Strand]) -> tuple[Strand, Strand] | None:
        """Two unrolled strands whose outputs are side by side, the second from its end."""
        count = len(strand.apps)
        if strand.loop is not None or len(feeders) != 2 or strand in feeders:
            return None
        if any(len(f.apps) != count for f in feeders):
            return None
        for forward, backward in ((feeders[0], feeders[1]), (feeders[1], feeders[0])):
            turned = backward.apps[::-1]
            for steps in (strand.apps, strand.apps[::-1]):
                rows = zip(steps, forward.apps, turned, strict=True)
                if all(self.gluer.side_by_side(app.x, (fw, bw)) for app, fw, bw in rows):
                    return forward, backward
        return None


def _depends_on_itself(strand: Strand, footings: Mapping[int, Footing]) -> bool:
    todo, seen = list(footings[id(strand)].feeders), {id(strand)}
    while todo:
        at = todo.pop()
        if at is strand:
            return True
        if id(at) not in seen:
            seen.add(id(at))
            todo.extend(footings[id(at)].feeders)
    return False


def _jump(strand: Strand) -> Construct:
    app = strand.apps[0]
    return Construct(
        "computation",
        app.node,
        app.layer,
        f"the inputs of {app.layer} are not the outputs of one layer at the same steps",
    )
