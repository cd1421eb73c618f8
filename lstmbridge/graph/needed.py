"""What outputs need, from them back to what is fed: branches that are never taken left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.execute import HAND_ON, Program
from lstmbridge.graph.network import BRANCHES, LOOP_INPUT, RETURN, Op, Tensor
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.ops_lists import CONTAINERS
from lstmbridge.graph.scopes import SWITCHES
from lstmbridge.graph.slices import PLACEHOLDERS
from lstmbridge.graph.trace import VARIABLES

_MERGES = frozenset({"Merge", "RefMerge"})
_LOOPS = frozenset({LOOP_INPUT, RETURN, "Enter", "RefEnter"})
_MOST_OPEN = 100_000


@dataclass
class Needed:
    """What was found.

    Attributes:
        ops: every operation that computes something.
        fed: stops that were reached.
        placeholders: tensors that nobody computes, each with one operation that reads it.
        unknown: outputs of operations that are not defined here, likewise.
        choices: Merges and Ifs whose predicate is not known: (predicate, the branches' tensors).
    """

    ops: dict[str, Op] = field(default_factory=dict)
    fed: dict[Tensor, None] = field(default_factory=dict)
    placeholders: dict[Tensor, str] = field(default_factory=dict)
    unknown: dict[Tensor, str] = field(default_factory=dict)
    choices: dict[Tensor, tuple[Tensor, tuple[Tensor, ...]]] = field(default_factory=dict)


def is_defined(op: Op) -> bool:
    """Whether the interpreter knows what an operation computes."""
    known = op.kind in OPS or op.kind in CONTAINERS or op.kind in VARIABLES
    return known or op.kind in HAND_ON or op.kind in _LOOPS


@dataclass(eq=False)
class Walker:
    """Walks back through one program.

    Attributes:
        settings: tensors whose values are known; predicates made of them choose a branch.
    """

    program: Program
    settings: dict[Tensor, Array]
    _fixed: dict[str, bool] = field(default_factory=dict)
    _predicates: dict[Tensor, bool | None] = field(default_factory=dict)

    def walk(self, wanted: list[Tensor]) -> Needed:
        """All that `wanted` needs. Errors: SourceUnreadable for a missing node."""
        found = Needed()
        todo = [(tensor, "") for tensor in reversed(wanted)]
        seen: set[Tensor] = set()
        tracer = self.program.tracer
        while todo:
            tensor, reader = todo.pop()
            at = tracer.guarded(tensor)
            if at in seen:
                continue
            seen.add(at)
            if at in tracer.stops:
                found.fed[at] = None
                continue
            op = tracer.network.op(at[0])
            todo += [(t, op.name) for t in reversed(self._behind(at, op, reader, found))]
        return found

    def _behind(self, at: Tensor, op: Op, reader: str, found: Needed) -> list[Tensor]:
        """What one tensor is computed from."""
        scopes, network = self.program.scopes, self.program.tracer.network
        loop = network.entries.get(at) or scopes.exits.get(at)
        if loop is not None:
            return [loop[1].initial, loop[1].following, scopes.condition(loop[0])]
        if op.kind in PLACEHOLDERS and not (op.inputs and op.kind in HAND_ON):
            found.placeholders.setdefault(at, reader)
            return []
        if op.kind in _MERGES or op.kind == BRANCHES:
            return self._chosen(at, op, found)
        if op.kind in SWITCHES:
            return [t for k, t in enumerate(op.inputs) if k == 0 or self.truth(t) is None]
        if not is_defined(op):
            found.unknown.setdefault(at, reader)
            return []
        found.ops[op.name] = op
        pivots = [p for c in op.controls if (p := scopes.pivot(c)) is not None]
        return [*op.inputs, *pivots]

    def _chosen(self, at: Tensor, op: Op, found: Needed) -> list[Tensor]:
        """The branch that is taken, or both and what decides."""
        branches = op.inputs[1:] if op.kind == BRANCHES else op.inputs[::-1]
        predicate = op.inputs[0] if op.kind == BRANCHES else self._predicate(op)
        if predicate is None or len(branches) != 2:
            return list(op.inputs)
        truth = self.truth(predicate)
        if truth is not None:
            return [branches[0] if truth else branches[1]]
        found.choices[at] = (predicate, tuple(branches))
        return [predicate, *branches]

    def chosen(self, op: Op) -> Tensor | None:
        """The branch that a Merge or an If takes in every run; None where a run decides."""
        branches = op.inputs[1:] if op.kind == BRANCHES else op.inputs[::-1]
        predicate = op.inputs[0] if op.kind == BRANCHES else self._predicate(op)
        truth = None if predicate is None or len(branches) != 2 else self.truth(predicate)
        return None if truth is None else branches[0 if truth else 1]

    def _predicate(self, op: Op) -> Tensor | None:
        """What a cond's Merge goes by; `tf.cond` puts it beside it."""
        network = self.program.tracer.network
        scope = op.name.rpartition("/")[0]
        beside = network.ops.get(f"{scope}/pred_id")
        if beside is not None and beside.kind == "Identity":
            return (beside.name, 0)
        for tensor in op.inputs:
            switch = network.op(self.program.tracer.guarded(tensor)[0])
            if switch.kind in SWITCHES and len(switch.inputs) == 2:
                return switch.inputs[1]
        return None

    def truth(self, predicate: Tensor) -> bool | None:
        """A predicate's value where settings and constants decide it."""
        at = self.program.tracer.guarded(predicate)
        if at not in self._predicates:
            self._predicates[at] = self._decide(at)
        return self._predicates[at]

    def _decide(self, at: Tensor) -> bool | None:
        value = self.value(at)
        return None if value is None or value.size != 1 else bool(np.ravel(value)[0])

    def value(self, tensor: Tensor) -> Array | None:
        """The numbers of what settings and constants decide, None for anything else."""
        at = self.program.tracer.guarded(tensor)
        if not self._is_fixed(at):
            return None
        try:
            return self.program.run(self.settings, [at])[at]
        except NotRecognised:
            return None

    def _is_fixed(self, wanted: Tensor) -> bool:
        """Whether a tensor depends on constants and settings alone."""
        tracer, fixed = self.program.tracer, self._fixed
        stack, opened = [wanted], set[str]()
        while stack:
            at = tracer.guarded(stack[-1])
            name = at[0]
            if name in fixed or at in self.settings:
                stack.pop()
                continue
            op = tracer.network.op(name)
            leaf = op.kind in VARIABLES or at in tracer.stops or at in tracer.network.entries
            known = (
                op.kind in OPS or op.kind in HAND_ON or op.kind in SWITCHES or op.kind in _MERGES
            )
            if leaf or not known or len(opened) > _MOST_OPEN:
                fixed[name] = False
                stack.pop()
                continue
            reads = [tracer.guarded(t) for t in self.program.scopes.reads(op)]
            reads = [t for t in reads if t not in self.settings]
            todo = [t for t in reads if t[0] not in fixed]
            if not todo or name in opened:
                fixed[name] = all(fixed.get(t[0], False) for t in reads)
                stack.pop()
                continue
            opened.add(name)
            stack.extend(todo[:1] if any(fixed.get(t[0]) is False for t in reads) else todo)
        return wanted in self.settings or fixed.get(wanted[0], False)
