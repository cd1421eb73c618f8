"""In which order the operations of one scope are computed, each after what it reads."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.held import JOINS
from lstmbridge.graph.network import ADVICE, Loop, LoopVariable, Op, Tensor
from lstmbridge.graph.ops import OPS, Definition
from lstmbridge.graph.trace import VARIABLES

if TYPE_CHECKING:
    from lstmbridge.graph.execute import Program

_HELD = JOINS | {*VARIABLES, "Const"}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation in order: from whose scope each input comes.

    Attributes:
        leaves: the loop variable that it is after the last step, where it is one.
        output: which of its outputs that is.
        define: what it does, where that is all there is to do: no cond decides whether it runs,
            and it does not only put constants together.
        computed: all that it reads is computed: nothing is fed, nothing is a loop's variable.
    """

    op: Op
    args: tuple[tuple[str, Tensor], ...]
    pivots: tuple[tuple[str, Tensor], ...]
    leaves: tuple[Loop, LoopVariable] | None = None
    output: int = 0
    define: Definition | None = None
    computed: bool = False


@dataclass
class Sorter:
    """Sorts the operations of one scope; without recursion, however deep the graph."""

    program: Program
    scope: str
    given: Container[Tensor]
    steps: list[Step] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)

    def sort(self, wanted: Iterable[Tensor]) -> list[Step]:
        """All operations needed for `wanted`, in order."""
        for tensor in sorted(wanted):
            self._visit(tensor)
        return self.steps

    def _mine(self, tensor: Tensor) -> bool:
        scope, at = self.program.place(tensor)
        entries = self.program.tracer.network.entries
        return scope == self.scope and at not in entries and at not in self.given

    def _visit(self, wanted: Tensor) -> None:
        stack = [self.program.place(wanted)[1]] if self._mine(wanted) else []
        while stack:
            at = stack[-1]
            op, leaves = self._operation(at)
            # a While has an output for each of its variables
            key = self._key(at)
            if key in self._done:
                stack.pop()
                continue
            reads = self._reads(op, leaves)
            todo = [
                self.program.place(t)[1]
                for t in reads
                if self._mine(t) and self._key(self.program.place(t)[1]) not in self._done
            ]
            if todo:
                self._enter(op, key)
                stack.extend(todo)
                continue
            self._done.add(key)
            self._open.discard(key)
            stack.pop()
            place = self.program.place
            pivots = [p for c in op.controls if (p := self.program.scopes.pivot(c)) is not None]
            args = () if leaves is not None else tuple(place(t) for t in op.inputs)
            where = tuple(place(p) for p in pivots)
            define = None if leaves is not None or where else self._definition(op, args)
            self.steps.append(Step(op, args, where, leaves, at[1], define, self._computed(args)))

    def _definition(self, op: Op, args: Sequence[tuple[str, Tensor]]) -> Definition | None:
        ops = self.program.tracer.network.ops
        held = op.kind in JOINS and all(
            at[0] in ops and ops[at[0]].kind in _HELD for _, at in args
        )
        return None if held or op.kind == "Const" else OPS.get(op.kind)

    def _computed(self, args: Sequence[tuple[str, Tensor]]) -> bool:
        entries = self.program.tracer.network.entries
        return all(at not in entries and at not in self.given for _, at in args)

    def _key(self, at: Tensor) -> str:
        return f"{at[0]}:{at[1]}" if at in self.program.scopes.exits else at[0]

    def _operation(self, at: Tensor) -> tuple[Op, tuple[Loop, LoopVariable] | None]:
        op = self.program.tracer.network.op(at[0])
        leaves = self.program.scopes.exits.get(at)
        return op, leaves

    def _reads(self, op: Op, leaves: tuple[Loop, LoopVariable] | None) -> Sequence[Tensor]:
        if leaves is not None:
            return self.program.scopes.outside(*leaves)
        return () if op.kind in VARIABLES else self.program.scopes.reads(op)

    def _enter(self, op: Op, key: str) -> None:
        if key in self._open:
            raise SourceUnreadable(
                f"the graph's {op.kind} {op.name!r} depends on itself outside a loop",
                where=self.program.tracer.network.where,
                advice=ADVICE,
            )
        self._open.add(key)
