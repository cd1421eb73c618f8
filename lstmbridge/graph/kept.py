"""A run whose values are kept: of a changed program, only what the change reaches is computed.

What a verification plants are hundreds of small changes in one graph. Most of the graph gives
what it gave before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.gates import Array
from lstmbridge.graph.execute import OUTSIDE, Program, Run
from lstmbridge.graph.network import Loop, Tensor
from lstmbridge.graph.ordered import Step

_SAME = ("_orders", "_loops")
"""What a program knows of its network, whatever its operations do."""


@dataclass(eq=False)
class Kept:
    """One run of `program`.

    Attributes:
        values: of `wanted`.

    Errors of the constructor: as `Program.run`.
    """

    program: Program
    fed: Mapping[Tensor, Array]
    wanted: Sequence[Tensor]
    most: int
    values: dict[Tensor, Array] = field(init=False)
    _run: Run = field(init=False)
    _readers: _Readers = field(init=False)

    def __post_init__(self) -> None:
        """Run it once."""
        self._run = Run(self.program, self.program.guarded(self.fed), most=self.most)
        self.values = self._run.values(self.wanted)
        self._readers = _Readers(self.program, self._run.cut)

    def value(self, tensor: Tensor) -> Array:
        """Of a tensor outside of loops. Errors: as `Program.run`."""
        return self._run.values([tensor])[tensor]

    def changed(
        self,
        program: Program,
        ops: Collection[str] = (),
        given: Mapping[Tensor, Array] | None = None,
    ) -> dict[Tensor, Array]:
        """The values of `wanted` in a program that differs.

        Args:
            program: the same network, whose definitions or weights differ.
            ops: the operations in which it does.
            given: values in place of tensors that were computed.

        Errors: as `Program.run`.
        """
        instead = program.guarded(given or {})
        self._readers.extend(self._run.trail)
        steps, loops = self._readers.reached(ops, instead)
        names = {step.op.name for step in steps} | set(ops)
        for cache in _SAME:
            object.__setattr__(program, cache, getattr(self.program, cache))
        constants = self.program._constants  # noqa: SLF001 - its own cache
        program._constants.update(  # noqa: SLF001
            (name, value) for name, value in constants.items() if name not in names
        )
        run = Run(program, {**self._run.given, **instead}, most=self.most, cut=self._run.cut)
        entries = program.tracer.network.entries
        run.finals = {e: v for e, v in self._run.finals.items() if entries[e][0].name not in loops}
        left = {(step.op.name, step.output) for step in steps if step.leaves is not None}
        for name, outputs in self._run.scopes[OUTSIDE].items():
            if isinstance(outputs, dict):
                kept: Any = {k: v for k, v in outputs.items() if (name, k) not in left}
                run.scopes[OUTSIDE][name] = kept
            elif name not in names:
                run.scopes[OUTSIDE][name] = outputs
        return run.values(self.wanted)


@dataclass(eq=False)
class _Readers:
    """Who reads what, of the operations outside of loops that a run computed."""

    program: Program
    cut: frozenset[Tensor]
    _steps: list[Step] = field(default_factory=list)
    _of_name: dict[str, list[int]] = field(default_factory=dict)
    _of_tensor: dict[Tensor, list[int]] = field(default_factory=dict)
    _computing: dict[str, list[int]] = field(default_factory=dict)
    _leaving: dict[str, list[int]] = field(default_factory=dict)

    def extend(self, trail: Sequence[Step]) -> None:
        """Take in what a run has computed since."""
        place = self.program.place
        for number in range(len(self._steps), len(trail)):
            step = trail[number]
            self._steps.append(step)
            if step.leaves is not None:
                loop, variable = step.leaves
                self._leaving.setdefault(loop.name, []).append(number)
                outside = self.program.loop_reads(loop, variable).outside.values()
                read: Iterable[Tensor] = (place(t)[1] for tensors in outside for t in tensors)
            else:
                self._computing.setdefault(step.op.name, []).append(number)
                read = (at for _, at in (*step.args, *step.pivots))
            for at in read:
                self._of_tensor.setdefault(at, []).append(number)
                if at not in self.cut:
                    self._of_name.setdefault(at[0], []).append(number)

    def reached(
        self, ops: Collection[str], given: Collection[Tensor]
    ) -> tuple[list[Step], set[str]]:
        """The operations, and the loops, that a change reaches."""
        home = self.program.scopes.home
        within = [loop for name in (*ops, *(t[0] for t in given)) if (loop := home(name))]
        loops = self._around(within)
        todo = deque(n for name in ops for n in self._computing.get(name, ()))
        todo.extend(n for tensor in given for n in self._of_tensor.get(tensor, ()))
        todo.extend(n for name in loops for n in self._leaving.get(name, ()))
        seen: set[int] = set()
        while todo:
            number = todo.popleft()
            if number in seen:
                continue
            seen.add(number)
            step = self._steps[number]
            if step.leaves is None:
                todo.extend(self._of_name.get(step.op.name, ()))
            else:
                loops.add(step.leaves[0].name)
                todo.extend(self._of_tensor.get((step.op.name, step.output), ()))
        return [self._steps[n] for n in sorted(seen)], loops

    def _around(self, loops: Iterable[Loop]) -> set[str]:
        """The loops and those that they run in."""
        todo, found = list(loops), set[str]()
        while todo:
            loop = todo.pop()
            if loop.name not in found:
                found.add(loop.name)
                left = (name for v in loop.variables for name, _ in v.exits)
                todo += [one for name in left if (one := self.program.scopes.home(name))]
        return found
