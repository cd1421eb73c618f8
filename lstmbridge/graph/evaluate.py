"""Evaluate a piece of a network in float64, from given values to wanted tensors.

Demand-driven and without recursion: what the wanted tensors do not need is not looked at. A
value may be given for a tensor, or for a single edge (one input of one operation), which cuts
the network exactly there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.graph.network import ADVICE, BRANCHES, Edge, Network, Op, Tensor
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.words import GraphFloat64

MOST_OPS = 5_000
"""Operations in one piece. A cell has about twenty; what is larger is no piece of a cell."""

_SWITCHES = frozenset({"RefSwitch", "Switch"})
_MERGES = frozenset({"Merge", "RefMerge"})
_CONDS = _SWITCHES | _MERGES | {BRANCHES, "Identity"}
_MOST_OUTPUTS = 16

Resolve = Callable[[Tensor], Tensor]
"""Follows a tensor back through operations that hand their input on."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: what is given, and what has been computed so far.

    Attributes:
        resolve: applied to every tensor that is read.
        tensors: values by resolved tensor.
        edges: values by edge; they win.
        conds: Switch, Merge and If are evaluated by their predicates. `resolve` must then stop
            at a Switch.
    """

    network: Network
    resolve: Resolve
    tensors: Mapping[Tensor, Array] = field(default_factory=dict)
    edges: Mapping[Edge, Array] = field(default_factory=dict)
    conds: bool = False
    _done: dict[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def computed(self) -> Iterable[str]:
        """Names of the operations that have been evaluated."""
        return self._done

    def __call__(self, tensor: Tensor) -> Array:
        """The value of `tensor`.

        Errors: NotRecognised, naming the operation that is not defined here or that cannot be
        computed from what is given; SourceUnreadable for a cycle or a missing node.
        """
        wanted = self.resolve(tensor)
        if wanted in self.tensors:
            return self.tensors[wanted]
        value = self._evaluate(wanted)
        if value is None:
            raise NotRecognised(
                f"{wanted[0]!r} stands in a branch that is not taken", where=wanted[0]
            )
        result: Array = value
        return result

    def _evaluate(self, wanted: Tensor) -> Any:
        open_ops: set[str] = set()
        stack = [wanted[0]]
        while stack:
            name = stack[-1]
            if name in self._done:
                stack.pop()
                continue
            op = self.network.op(name)
            needs = [need for need in self._needs(op) if need not in self._done]
            if not needs:
                self._done[name] = self._compute(op)
                open_ops.discard(name)
                stack.pop()
                continue
            self._enter(op, open_ops)
            stack.extend(needs)
        return self._pick(wanted)

    def _enter(self, op: Op, open_ops: set[str]) -> None:
        if op.name in open_ops:
            raise SourceUnreadable(
                f"the graph's {op.kind} {op.name!r} depends on itself outside a loop",
                where=self.network.where,
                advice=ADVICE,
            )
        open_ops.add(op.name)
        if len(open_ops) + len(self._done) > MOST_OPS:
            raise NotRecognised(
                f"{op.name!r} and what it depends on are more than {MOST_OPS} operations",
                where=op.name,
            )

    def _needs(self, op: Op) -> list[str]:
        if op.kind not in OPS and not (self.conds and op.kind in _CONDS):
            raise NotRecognised(f"it depends on the {op.kind} {op.name!r}", where=op.name)
        names = [name for name in op.controls if self._is_branch(name)] if self.conds else []
        for position, tensor in enumerate(op.inputs):
            if (op.name, position) in self.edges:
                continue
            source = self.resolve(tensor)
            if source not in self.tensors:
                names.append(source[0])
        return names

    def _compute(self, op: Op) -> Sequence[Any]:
        args = [
            self.edges[op.name, position]
            if (op.name, position) in self.edges
            else self._pick(self.resolve(tensor))
            for position, tensor in enumerate(op.inputs)
        ]
        try:
            with np.errstate(all="ignore"):
                if self.conds and op.kind in _CONDS:
                    return self._branch(op, args)
                if self.conds and self._is_dead(op, args):
                    return [None] * _MOST_OUTPUTS
                return OPS[op.kind](GraphFloat64(), op, args)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            TypeError,
            ValueError,
        ) as err:
            raise NotRecognised(
                f"the {op.kind} {op.name!r} cannot be computed: {err}", where=op.name
            ) from err

    def _is_dead(self, op: Op, args: Sequence[Any]) -> bool:
        """Whether it stands in a branch that is not taken, or reads from one."""
        around = [self._done[name][0] for name in op.controls if name in self._done]
        return any(value is None for value in (*around, *args))

    def _is_branch(self, control: str) -> bool:
        """Whether a control input says in which branch of a cond an operation stands."""
        op = self.network.ops.get(control)
        if op is None or op.kind != "Identity" or not op.inputs:
            return False
        switch = self.network.ops.get(op.inputs[0][0])
        return switch is not None and switch.kind in _SWITCHES

    def _branch(self, op: Op, args: Sequence[Any]) -> Sequence[Any]:
        """Switch, Merge and If: what is not taken is None."""
        if op.kind == "Identity":
            return args
        if op.kind in _MERGES:
            alive = [(value, k) for k, value in enumerate(args) if value is not None]
            return [alive[0][0], np.asarray(alive[0][1])] if alive else [None, None]
        predicate = args[1] if op.kind in _SWITCHES else args[0]
        if predicate is None:
            return [None] * _MOST_OUTPUTS
        taken = bool(np.ravel(predicate)[0])
        if op.kind in _SWITCHES:
            return [None, args[0]] if taken else [args[0], None]
        return [args[1] if taken else args[2]]

    def _pick(self, tensor: Tensor) -> Any:
        if tensor in self.tensors:
            return self.tensors[tensor]
        outputs = self._done[tensor[0]]
        if tensor[1] >= len(outputs):
            raise NotRecognised(
                f"{tensor[0]!r} has {len(outputs)} outputs, number {tensor[1]} is read",
                where=tensor[0],
            )
        value = outputs[tensor[1]]
        return value if value is None else np.asarray(value)
