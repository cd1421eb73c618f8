"""What a whole model's outputs need and nothing else, every tensor seen through to its source.

The network that is left can be stored and run by itself: predicates that inference decides are
decided, what only hands its input on is gone, and nothing in it has to be looked through again.
Each place of the model is one operation, of the kind `STACK`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.graph.needed import Walker, is_defined
from lstmbridge.graph.network import ADVICE, BRANCHES, Loop, LoopVariable, Network, Op, Tensor
from lstmbridge.graph.scopes import SWITCHES
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Whole

STACK = "_Stack"
"""Stands for a place: its inputs are what the place takes, its outputs what it gives, in order."""
_MERGES = frozenset({"Merge", "RefMerge"})


class Resolved(Tracer):
    """A tracer of a network in which every tensor is its own source."""

    def guarded(self, tensor: Tensor) -> Tensor:
        """Itself."""
        return tensor


@dataclass(frozen=True, eq=False)
class Pruned:
    """The network that is left, and where it is fed and read.

    Attributes:
        fixed: tensors that inference fixes -> which setting says so.
        stacks: an operation of the kind `STACK` -> its place. Those that nothing needs are not
            there.
    """

    network: Network
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    fixed: dict[Tensor, int]
    stacks: dict[str, Place] = field(default_factory=dict)


def pruned(whole: Whole) -> Pruned:
    """The part of a model's graph that its outputs need.

    Errors: NotRecognised for an operation that is not defined here, or that stands in a branch
    that is never taken; SourceUnreadable for a graph that is broken.
    """
    pruner = _Pruner(whole)
    inputs = tuple(pruner.tracer.guarded(port.tensor) for port in whole.inputs)
    outputs = tuple(pruner.at(port.tensor) for port in whole.outputs)
    pruner.walk(outputs)
    network = Network(pruner.ops, pruner.finished(), whole.program.tracer.network.where)
    stacks = {name: place for name, place in pruner.stacks.items() if name in pruner.ops}
    return Pruned(network, inputs, outputs, pruner.reached, stacks)


@dataclass(eq=False)
class _Pruner:
    whole: Whole
    ops: dict[str, Op] = field(default_factory=dict)
    reached: dict[Tensor, int] = field(default_factory=dict)
    stacks: dict[str, Place] = field(default_factory=dict)
    _given: dict[Tensor, Tensor] = field(default_factory=dict)
    _loops: dict[str, tuple[Loop, dict[Tensor, LoopVariable]]] = field(default_factory=dict)
    _exits: dict[Tensor, list[Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        whole = self.whole
        self.tracer = whole.program.tracer
        self.scopes = whole.program.scopes
        self._walker = Walker(whole.program, {s.tensor: s.value for s in whole.settings})
        guarded = self.tracer.guarded
        self._settings = {guarded(s.tensor): k for k, s in enumerate(whole.settings)}
        self._fed = {guarded(port.tensor) for port in whole.inputs}
        for place in whole.places:
            name = f"{place.name}/{STACK}"
            while name in self.tracer.network.ops or name in self.stacks:
                name += "_"
            self.stacks[name] = place
            for k, tensor in enumerate(place.gives):
                self._given.setdefault(guarded(tensor), (name, k))

    def at(self, tensor: Tensor) -> Tensor:
        """Where a tensor's value comes from, through conds that are decided."""
        passed: set[Tensor] = set()
        while True:
            at = self.tracer.guarded(tensor)
            if at in passed:
                raise SourceUnreadable(
                    f"the graph's node {at[0]!r} depends on itself outside a loop",
                    where=self.tracer.network.where,
                    advice=ADVICE,
                )
            passed.add(at)
            end = self._end(at)
            if end is not None:
                return end
            op = self.tracer.network.op(at[0])
            if op.kind in _MERGES | {BRANCHES} and at[1] == 0:
                taken = self._walker.chosen(op)
                if taken is None:
                    return at
                tensor = taken
            elif op.kind in SWITCHES and len(op.inputs) == 2:
                truth = self._walker.truth(op.inputs[1])
                if truth is None:
                    return at
                if at[1] != int(truth):
                    raise NotRecognised(
                        f"{op.name!r} stands in a branch that is not taken", where=op.name
                    )
                tensor = op.inputs[0]
            else:
                return at

    def _end(self, at: Tensor) -> Tensor | None:
        """What is not looked behind: fed, fixed, a loop's variable, or what a place gives."""
        if at in self._fed or at in self._settings:
            return at
        if at in self._given:
            return self._given[at]
        return None if self._variable(at) is None else at

    def walk(self, wanted: tuple[Tensor, ...]) -> None:
        """Collect all operations."""
        todo, seen = list(wanted), set[Tensor]()
        while todo:
            at = todo.pop()
            if at in seen or at in self._fed:
                continue
            seen.add(at)
            if at in self._settings:
                self.reached[at] = self._settings[at]
                continue
            if at[0] in self.stacks:
                todo += self._stack(at[0])
                continue
            found = self._variable(at)
            todo += self._collect(at) if found is None else self._loop(at, *found)

    def _stack(self, name: str) -> list[Tensor]:
        inputs = tuple(self.at(tensor) for tensor in self.stacks[name].takes)
        self.ops[name] = Op(name, STACK, inputs, {})
        return list(inputs)

    def _variable(self, at: Tensor) -> tuple[Loop, LoopVariable] | None:
        return self.tracer.network.entries.get(at) or self.scopes.exits.get(at)

    def _loop(self, at: Tensor, loop: Loop, variable: LoopVariable) -> list[Tensor]:
        initial, following = self.at(variable.initial), self.at(variable.following)
        condition = self.at(self.scopes.condition(loop))
        kept = Loop(loop.name, (), condition)
        entry = variable.entry
        self._loops.setdefault(loop.name, (kept, {}))[1][entry] = LoopVariable(
            initial, entry, following, ()
        )
        self.ops[entry[0]] = Op(entry[0], self.tracer.network.op(entry[0]).kind, (initial,), {})
        if at != entry:
            self._exits.setdefault(entry, []).append(at)
            old = self.ops.get(at[0])
            inputs = (*(() if old is None else old.inputs), entry)
            self.ops[at[0]] = Op(at[0], self.tracer.network.op(at[0]).kind, inputs, {})
        return [initial, following, condition]

    def _collect(self, at: Tensor) -> list[Tensor]:
        op = self.tracer.network.op(at[0])
        if op.name in self.ops:
            return []
        if not (is_defined(op) or op.kind in _MERGES | SWITCHES | {BRANCHES}):
            raise NotRecognised(
                f"lstmbridge does not know the {op.kind} {op.name!r}", where=op.name
            )
        inputs = tuple(self.at(tensor) for tensor in op.inputs)
        controls, pivots = [], []
        for control in op.controls:
            pivot = self.scopes.pivot(control)
            if pivot is None or self.at(pivot) != pivot:
                continue
            controls.append(control)
            pivots.append(pivot)
            self.ops[control] = Op(control, "Identity", (pivot,), {})
        self.ops[op.name] = Op(op.name, op.kind, inputs, op.attrs, tuple(controls))
        return [*inputs, *pivots]

    def finished(self) -> tuple[Loop, ...]:
        """The loops with the variables that are needed."""
        return tuple(
            Loop(
                name,
                tuple(
                    LoopVariable(v.initial, v.entry, v.following, tuple(self._exits.get(e, ())))
                    for e, v in variables.items()
                ),
                kept.condition,
            )
            for name, (kept, variables) in self._loops.items()
        )
