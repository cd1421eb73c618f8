"""Stacks of cells over time: strands, put one on another by what stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.graph.findings import Construct, outer_sizes
from lstmbridge.graph.glue import Glue, Gluer
from lstmbridge.graph.masks import Clock, is_counter, mask_of
from lstmbridge.graph.strands import Strand, StrandFinder
from lstmbridge.graph.trace import Tracer


@dataclass(frozen=True, eq=False)
class Footing:
    """What a strand stands on.

    Attributes:
        below: the strand whose output, step by step, is this one's input.
        residual: that output is its cell's output plus its input.
        further: inputs of layers further below that are added to it (`Glue.further`).
        pair: the strands whose outputs are, side by side, this one's input, the second walked
            from its end: the two directions of a bidirectional layer, unrolled.
        feeders: all strands that its input depends on in the same step or an earlier one.
        between: what stands between those and its input, where it is neither of these.
        loops_back: its input depends on a loop variable that is no counter.
        turned: of a pair: it walks them from the end.
    """

    below: Strand | None = None
    residual: bool = False
    further: tuple[int, ...] = ()
    pair: tuple[Strand, Strand] | None = None
    feeders: tuple[Strand, ...] = ()
    between: tuple[Construct, ...] = ()
    loops_back: bool = False
    turned: bool = False


@dataclass(frozen=True, eq=False)
class Stack:
    """Strands from input to output, before what surrounds them is known.

    Attributes:
        strands: from input to output.
        residual: per strand: its output is h + x. The last is not known yet.
        further: per strand, what else is added (`Glue.further`); likewise.
        footing: of the lowest strand.
        feedback: its input depends on its own output.
    """

    strands: tuple[Strand, ...]
    residual: tuple[bool, ...]
    further: tuple[tuple[int, ...], ...]
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
        further: list[tuple[int, ...]] = [()]
        while (footing := footings[id(path[-1])]).below is not None:
            if footing.below in path:
                break
            path.append(footing.below)
            residual.append(footing.residual)
            further.append(footing.further)
        bottom = path[-1]
        return Stack(
            tuple(reversed(path)),
            tuple(reversed(residual)),
            tuple(reversed(further)),
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
            return Footing(below, glues[0].residual, glues[0].further, feeders=found)
        pair, turned = self._pair(strand, found)
        if pair is not None:
            return Footing(pair=pair, feeders=found, turned=turned)
        masks = (self._odd_mask(strand, k, glue) for k, glue in enumerate(glues))
        problems = dict.fromkeys(p for p in (*(g.problem for g in glues), *masks) if p is not None)
        return Footing(
            feeders=found, between=tuple(problems)[:1] or (_jump(strand),), loops_back=back
        )

    def _below(self, strand: Strand, glues: Sequence[Glue]) -> Strand | None:
        """The strand whose outputs are this one's inputs, step by step."""
        cells = [g.cell for g in glues if g.cell is not None and g.problem is None]
        if len(cells) != len(glues) or len({(g.residual, g.further) for g in glues}) != 1:
            return None
        if any(self._odd_mask(strand, k, glue) for k, glue in enumerate(glues)):
            return None
        lower = self._of[cells[0].node]
        in_step = [c.node for c in cells] == [app.node for app in lower.apps]
        if not in_step or lower is strand or lower.loop is not strand.loop:
            return None
        return lower

    def _odd_mask(self, strand: Strand, step: int, glue: Glue) -> Construct | None:
        """A choice between a layer's output and zeros that is not by the layer's lengths."""
        app = strand.apps[step]
        options = self.gluer.options(app.x)
        real = [t for t in options.tensors if not self.tracer.is_zeros(t)]
        if not glue.choices or glue.cell is None or len(real) != 1:
            return None
        width = outer_sizes(self.gluer.queries[app.layer])[0]
        made = real[0], np.random.default_rng(11).normal(size=(3, width))
        clock = Clock(app.x) if strand.loop else Clock(None, step)
        mask = mask_of(self.tracer, app.x, options, made=made, old=None, clock=clock)
        known = ("", *self._of[glue.cell.node].lengths)
        if not mask.problem and mask.lengths in known:
            return None
        detail = f"between {app.layer} and the cells around it stands a choice between tensors"
        return Construct("masking", glue.choices[0], app.layer, detail)

    def _pair(
        self, strand: Strand, feeders: Sequence[Strand]
    ) -> tuple[tuple[Strand, Strand] | None, bool]:
        """Two unrolled strands whose outputs are side by side, the second from its end.

        And whether `strand` itself walks them from the end.
        """
        count = len(strand.apps)
        if strand.loop is not None or len(feeders) != 2 or strand in feeders:
            return None, False
        if any(len(f.apps) != count for f in feeders):
            return None, False
        for forward, backward in ((feeders[0], feeders[1]), (feeders[1], feeders[0])):
            turned = backward.apps[::-1]
            for backwards, steps in enumerate((strand.apps, strand.apps[::-1])):
                rows = zip(steps, forward.apps, turned, strict=True)
                if all(self.gluer.side_by_side(app.x, (fw, bw)) for app, fw, bw in rows):
                    return (forward, backward), bool(backwards)
        return None, False


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
