"""Which loop an operation runs in, and what one step of a loop needs from outside.

An operation runs in a loop when it depends on one of its variables; in the innermost such loop.
A constant that the file puts inside a loop depends on nothing and is computed once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.graph.network import ADVICE, Loop, LoopVariable, Network, Op, Tensor
from lstmbridge.graph.trace import Tracer

MOST_LOOPS = 2_000
SWITCHES = frozenset({"RefSwitch", "Switch"})


@dataclass(eq=False)
class Scopes:
    """Answers for one network.

    Attributes:
        exits: a tensor that leaves a loop -> the loop, its variable.
    """

    tracer: Tracer
    exits: Mapping[Tensor, tuple[Loop, LoopVariable]] = field(init=False)
    _home: dict[str, Loop] = field(init=False)
    _conditions: dict[str, Tensor] = field(init=False)
    _controlled: dict[str, list[str]] = field(init=False)
    _open: set[Tensor] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Walk forward from each loop's variables once."""
        network = self.tracer.network
        if len(network.loops) > MOST_LOOPS:
            raise NotRecognised(
                f"the graph has {len(network.loops)} loops, more than {MOST_LOOPS}",
                where=network.where,
            )
        self.exits = {
            left: (loop, v) for loop in network.loops for v in loop.variables for left in v.exits
        }
        self._home = {}
        self._controlled = {}
        for op in network.ops.values():
            for control in op.controls:
                self._controlled.setdefault(control, []).append(op.name)
        sizes: dict[str, int] = {}
        self._conditions = {
            loop.name: loop.condition for loop in network.loops if loop.condition is not None
        }
        for loop in network.loops:
            inside = self._inside(network, loop)
            for name in inside:
                if name not in sizes or len(inside) < sizes[name]:
                    self._home[name], sizes[name] = loop, len(inside)

    def _inside(self, network: Network, loop: Loop) -> set[str]:
        left = {name for v in loop.variables for name, _ in v.exits}
        queue = deque(v.entry for v in loop.variables)
        inside = {name for name, _ in queue}
        while queue:
            tensor = queue.popleft()
            for name in self._readers(network, tensor):
                op = network.op(name)
                if op.kind == "LoopCond":
                    self._conditions.setdefault(loop.name, op.inputs[0])
                if name in inside or name in left:
                    continue
                inside.add(name)
                queue.extend((name, k) for k in range(_outputs_read(network, op)))
        return inside

    def _readers(self, network: Network, tensor: Tensor) -> list[str]:
        """Who reads a tensor, or stands in the branch of a cond that it opens."""
        readers = [name for name, _ in network.consumers.get(tensor, ())]
        if tensor[1] == 0 and tensor[0] in self._controlled and self.pivot(tensor[0]) is not None:
            readers += self._controlled[tensor[0]]
        return readers

    def home(self, name: str) -> Loop | None:
        """The innermost loop that an operation runs in."""
        return self._home.get(name)

    def condition(self, loop: Loop) -> Tensor:
        """What says whether there is another step. Errors: NotRecognised where nothing does."""
        found = self._conditions.get(loop.name)
        if found is None:
            raise NotRecognised(
                f"the condition of the loop {loop.name!r} is not known", where=loop.name
            )
        return found

    def needed(self, loop: Loop, wanted: Iterable[LoopVariable]) -> tuple[LoopVariable, ...]:
        """The variables that have to be computed to know `wanted` after the last step."""
        todo = [self.condition(loop), *(v.following for v in wanted)]
        found = {v.entry: None for v in wanted}
        seen: set[Tensor] = set()
        while todo:
            at = self.tracer.guarded(todo.pop())
            if at in seen or at in self.tracer.stops:
                continue
            seen.add(at)
            entry = self.tracer.network.entries.get(at)
            if entry is not None and entry[0] is loop:
                if at not in found:
                    found[at] = None
                    todo.append(entry[1].following)
                continue
            if entry is None and self.home(at[0]) is loop:
                inner = self.exits.get(at)
                op = self.tracer.network.op(at[0])
                todo += self.reads(op) if inner is None else self.outside(*inner)
        return tuple(v for v in loop.variables if v.entry in found)

    def outside(self, loop: Loop, variable: LoopVariable) -> list[Tensor]:
        """What a loop reads from where it stands, to compute one of its variables."""
        if variable.entry in self._open:
            raise SourceUnreadable(
                f"the graph's loop {loop.name!r} depends on itself outside of its steps",
                where=self.tracer.network.where,
                advice=ADVICE,
            )
        self._open.add(variable.entry)
        try:
            return self._outside(loop, variable)
        finally:
            self._open.discard(variable.entry)

    def _outside(self, loop: Loop, variable: LoopVariable) -> list[Tensor]:
        wanted = self.needed(loop, [variable])
        todo = [self.condition(loop), *(v.following for v in wanted)]
        found: dict[Tensor, None] = dict.fromkeys(v.initial for v in wanted)
        seen: set[Tensor] = set()
        while todo:
            at = self.tracer.guarded(todo.pop())
            if at in seen or at in self.tracer.network.entries or at in self.tracer.stops:
                continue
            seen.add(at)
            if self.home(at[0]) is not loop:
                found[at] = None
                continue
            inner = self.exits.get(at)
            op = self.tracer.network.op(at[0])
            todo += self.reads(op) if inner is None else self.outside(*inner)
        return list(found)

    def reads(self, op: Op) -> list[Tensor]:
        """The tensors that an operation reads, and the conds in whose branches it stands."""
        pivots = [p for name in op.controls if (p := self.pivot(name)) is not None]
        return [*op.inputs, *pivots]

    def pivot(self, control: str) -> Tensor | None:
        """What is alive only where a control input's branch of a cond is taken."""
        op = self.tracer.network.ops.get(control)
        if op is None or op.kind != "Identity" or not op.inputs:
            return None
        switch = self.tracer.network.ops.get(op.inputs[0][0])
        if switch is None or switch.kind not in SWITCHES or len(switch.inputs) != 2:
            return None
        guarded = self.tracer.guarded(op.inputs[0])
        return guarded if guarded[0] == switch.name else None


def _outputs_read(network: Network, op: Op) -> int:
    """How many outputs of an operation may be read by others."""
    count = 1
    while (op.name, count) in network.consumers:
        count += 1
    return max(count, _MOST_GAPS)


_MOST_GAPS = 16
"""Outputs that nobody reads may lie between others that are read."""
