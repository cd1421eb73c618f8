"""A GraphDef as one flat network of operations: names resolved, functions inlined, loops known.

TensorFlow says "loop" in two ways: TensorFlow 1 by five control flow operations per variable
(Enter, Merge, Switch, NextIteration, Exit), TensorFlow 2 by one `While` with functions. Both
become the same `Loop` here, and what surrounds them reads the same afterwards. Nothing is
evaluated in this module and nothing recurses, however deep the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.errors import SourceUnreadable

Tensor = tuple[str, int]
"""An operation's name and which of its outputs."""
Edge = tuple[str, int]
"""An operation's name and which of its inputs."""

ADVICE = "give --ignore-graph to go by the variables alone"

LOOP_INPUT = "_LoopInput"
"""Stands for a loop variable at the start of a step; its input is the initial value."""
LOOP_EXIT = "_LoopExit"
"""Stands for a `While`: output k is loop variable k after the last step."""
RETURN = "_Return"
"""Stands for a function call: output k is input k."""
BRANCHES = "_Branches"
"""Stands for one output of an `If`: predicate, value if true, value if false."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of the network.

    Attributes:
        inputs: the tensors it reads, in order.
        attrs: as in `graphdef.Node`.
        controls: operations that must run before it, and whose branch of a cond it shares.
    """

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    attrs: Mapping[str, Any]
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopVariable:
    """What one step hands to the next.

    Attributes:
        initial: before the first step, outside the loop.
        entry: at the start of a step, inside.
        following: at the end of a step, inside: the next step's `entry`.
        exits: after the last step, outside.
    """

    initial: Tensor
    entry: Tensor
    following: Tensor
    exits: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop. `name` is the frame's or the While operation's.

    Attributes:
        condition: what a While's own function says of another step; None in a frame, whose
            LoopCond says it.
    """

    name: str
    variables: tuple[LoopVariable, ...]
    condition: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """The flat network. Built by `lift.network_of`.

    Attributes:
        ops: by name; operations inlined from a function carry their caller's name in front.
        loops: every loop.
        where: the file, for messages.
        consumers: tensor -> the inputs that read it.
        entries: a loop variable's `entry` -> (its loop, the variable).
    """

    ops: Mapping[str, Op]
    loops: tuple[Loop, ...]
    where: str
    consumers: Mapping[Tensor, tuple[Edge, ...]] = field(init=False)
    entries: Mapping[Tensor, tuple[Loop, LoopVariable]] = field(init=False)

    def __post_init__(self) -> None:
        """Index who reads what, once."""
        consumers: dict[Tensor, list[Edge]] = {}
        for op in self.ops.values():
            for position, tensor in enumerate(op.inputs):
                consumers.setdefault(tensor, []).append((op.name, position))
        index = {tensor: tuple(edges) for tensor, edges in consumers.items()}
        object.__setattr__(self, "consumers", index)
        entries = {v.entry: (loop, v) for loop in self.loops for v in loop.variables}
        object.__setattr__(self, "entries", entries)

    def op(self, name: str) -> Op:
        """The operation called `name`. Errors: SourceUnreadable."""
        try:
            return self.ops[name]
        except KeyError:
            raise missing(name, self.where) from None

    def source(self, op: Op, position: int) -> Tensor:
        """Input `position` of `op`, counted from the end where negative.

        Errors: SourceUnreadable where the operation has fewer inputs.
        """
        try:
            return op.inputs[position]
        except IndexError:
            raise broken(op, f"has {len(op.inputs)} inputs, too few", self.where) from None


def missing(name: str, where: str) -> SourceUnreadable:
    """The error for a node that is read from and does not exist."""
    return SourceUnreadable(
        f"the graph reads from {name!r}, which is not in it", where=where, advice=ADVICE
    )


def broken(op: Op, what: str, where: str) -> SourceUnreadable:
    """The error for a node whose attributes or inputs are not what its type asks for."""
    return SourceUnreadable(
        f"the graph's {op.kind} {op.name!r} {what}", where=where, advice=ADVICE
    )
