"""Where a tensor really comes from, and who really uses it.

Operations that hand their input on (Identity, Enter, reads of variables, casts between floats)
are seen through; so is dropout, which at inference hands its input on: its random mask is
recognised by structure and the claim is checked by numbers, with the keep probability at 1.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.errors import LstmBridgeError, SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.graph.dropout import dropout_source
from lstmbridge.graph.network import (
    ADVICE,
    BRANCHES,
    LOOP_INPUT,
    RETURN,
    Edge,
    Network,
    Op,
    Tensor,
)
from lstmbridge.graph.ops_elementwise import kind_of

_HAND_ON = frozenset(
    {
        "CheckNumerics",
        "EnsureShape",
        "Enter",
        "Identity",
        "PreventGradient",
        "Print",
        "ReadVariableOp",
        "RefEnter",
        "RefIdentity",
        "RefSwitch",
        "Snapshot",
        "StopGradient",
        "Switch",
    }
)
VARIABLES = frozenset({"AutoReloadVariable", "VarHandleOp", "Variable", "VariableV2"})
SELECTS = frozenset({"Select", "SelectV2"})
_MERGES = frozenset({"Merge", "RefMerge"})
_SWITCHES = frozenset({"RefSwitch", "Switch"})
# tf.gradients puts its operations under `gradients/` or `<operation>_grad/`
_TRAINING = re.compile(r"(?:^|/)gradients(?:_\d+)?/|_grad/")
_MOST_ALTERNATIVES = 64
# how a dropout begins, and how it ends
_SCALES = frozenset({"Div", "Mul", "RealDiv"})
_DROPS = frozenset({"Mul", "Select", "SelectV2"})


@dataclass(frozen=True, slots=True)
class Options:
    """The tensors that a choice may hand on.

    Attributes:
        tensors: resolved.
        choices: names of all Merges, Selects and Ifs on the way.
    """

    tensors: tuple[Tensor, ...]
    choices: tuple[str, ...]


@dataclass(eq=False)
class Tracer:
    """Answers questions about one network; remembers the answers.

    Attributes:
        stops: tensors that are fed: nothing is seen through them.
        dropouts: names of the dropouts that were seen through.
        findings: the cells that `found` has found, once it was asked.
    """

    network: Network
    stops: frozenset[Tensor] = frozenset()
    dropouts: set[str] = field(default_factory=set)
    findings: object = None
    _resolved: dict[Tensor, Tensor] = field(default_factory=dict)
    _plain: dict[Tensor, Tensor] = field(default_factory=dict)
    _guarded: dict[Tensor, Tensor] = field(default_factory=dict)
    _constants: dict[str, Array | None] = field(default_factory=dict)

    def resolve(self, tensor: Tensor) -> Tensor:
        """The tensor whose value `tensor` has, at inference. Errors: SourceUnreadable."""
        return self._follow(tensor, self._resolved, dropout=True)

    def plain(self, tensor: Tensor) -> Tensor:
        """As `resolve`, without seeing through dropout."""
        return self._follow(tensor, self._plain, dropout=False)

    def guarded(self, tensor: Tensor) -> Tensor:
        """As `resolve`, stopping at a Switch: for evaluation by predicates."""
        return self._follow(tensor, self._guarded, dropout=True, switch=False)

    def op(self, tensor: Tensor) -> Op:
        """The operation behind `tensor`."""
        return self.network.op(self.resolve(tensor)[0])

    def _follow(
        self,
        tensor: Tensor,
        memo: dict[Tensor, Tensor],
        *,
        dropout: bool,
        switch: bool = True,
    ) -> Tensor:
        path: dict[Tensor, None] = {}
        while tensor not in memo:
            if tensor in path:
                raise SourceUnreadable(
                    f"the graph's node {tensor[0]!r} depends on itself outside a loop",
                    where=self.network.where,
                    advice=ADVICE,
                )
            path[tensor] = None
            stopped = tensor in self.stops or (
                not switch and self._chooses(self.network.op(tensor[0]))
            )
            before = None if stopped else self._before(tensor, dropout=dropout)
            if before is None:
                memo[tensor] = tensor
                break
            tensor = before
        end = memo[tensor]
        memo.update(dict.fromkeys(path, end))
        return end

    def _chooses(self, op: Op) -> bool:
        """Whether a Switch is a cond's, not a loop's."""
        return op.kind in _SWITCHES and self.network.source(op, 0) not in self.network.entries

    def _before(self, tensor: Tensor, *, dropout: bool) -> Tensor | None:
        """One step back, or None where `tensor` is computed."""
        op = self.network.op(tensor[0])
        if op.kind in _HAND_ON:
            return self.network.source(op, 0)
        if op.kind in {"IdentityN", RETURN}:
            return self.network.source(op, tensor[1])
        if op.kind == "Cast":
            return op.inputs[0] if _between_floats(op) else None
        if op.kind in _MERGES or op.kind == LOOP_INPUT:
            return self._invariant(tensor)
        if dropout:
            source = dropout_source(self.network, op, self.plain)
            if source is not None:
                self.dropouts.add(op.name)
            return source
        return None

    def _invariant(self, entry: Tensor) -> Tensor | None:
        """The initial value of a loop variable that no step changes."""
        if entry not in self.network.entries:
            return None
        _, variable = self.network.entries[entry]
        at, seen = variable.following, {variable.following}
        while at != entry:
            op = self.network.op(at[0])
            if op.kind in _HAND_ON:
                at = self.network.source(op, 0)
            elif op.kind in {"IdentityN", RETURN}:
                at = self.network.source(op, at[1])
            else:
                return None
            if at in seen:
                return None
            seen.add(at)
        return variable.initial

    def uses(self, tensor: Tensor) -> Iterator[Edge]:
        """The inputs that read `tensor`, seen through what hands it on; training left out."""
        target = self.resolve(tensor)
        queue, seen = deque([tensor]), {tensor}
        if target not in seen:
            queue.append(target)
            seen.add(target)
        while queue:
            for name, position in self.network.consumers.get(queue.popleft(), ()):
                if is_training(name):
                    continue
                passed = False
                for output in (*self._outputs(name, position), *self._dropped(name)):
                    if self.resolve(output) == target:
                        passed = True
                        if output not in seen:
                            seen.add(output)
                            queue.append(output)
                if not passed:
                    yield name, position

    def _dropped(self, name: str) -> Iterator[Tensor]:
        """The ends of a dropout that begins by scaling, in operation `name`."""
        if self.network.op(name).kind in _SCALES:
            for reader, _ in self.network.consumers.get((name, 0), ()):
                if self.network.op(reader).kind in _DROPS:
                    yield reader, 0

    def _outputs(self, name: str, position: int) -> tuple[Tensor, ...]:
        kind = self.network.op(name).kind
        if kind in {"Switch", "RefSwitch"}:
            return ((name, 0), (name, 1))
        return ((name, position if kind in {"IdentityN", RETURN} else 0),)

    def options(self, tensor: Tensor, stops: Container[Tensor] = ()) -> Options:
        """All tensors that `tensor` may be, by conds, Ifs and Selects; `stops` stay whole.

        A choice between equal things is no choice.
        """
        start = self.resolve(tensor)
        found: dict[Tensor, None] = {}
        choices: dict[str, None] = {}
        queue, seen = deque([start]), {start}
        while queue and len(seen) < _MOST_ALTERNATIVES:
            at = queue.popleft()
            branches = () if at != start and at in stops else self._branches(at)
            if branches:
                choices[at[0]] = None
            else:
                found[at] = None
            for branch in map(self.resolve, branches):
                if branch not in seen:
                    seen.add(branch)
                    queue.append(branch)
        found.update(dict.fromkeys(queue))
        return Options(tuple(found), tuple(choices) if len(found) > 1 else ())

    def _branches(self, tensor: Tensor) -> tuple[Tensor, ...]:
        op = self.network.op(tensor[0])
        if op.kind in _MERGES and tensor not in self.network.entries:
            return op.inputs
        if op.kind in SELECTS and len(op.inputs) == 3:
            return op.inputs[1:]
        if op.kind == BRANCHES:
            return op.inputs[1:]
        return ()

    def constant(self, tensor: Tensor) -> Array | None:
        """The numbers of a Const, in float64; None for anything else."""
        op = self.op(tensor)
        if op.kind != "Const":
            return None
        if op.name not in self._constants:
            self._constants[op.name] = const_value(op)
        return self._constants[op.name]

    def scalar(self, tensor: Tensor) -> float | None:
        """The number of a Const that holds one."""
        value = self.constant(tensor)
        return float(value.ravel()[0]) if value is not None and value.size == 1 else None

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether it is a variable's value, or a constant of many numbers (a frozen graph's)."""
        op = self.op(tensor)
        if op.kind == "Const":
            return len(getattr(op.attrs.get("value"), "shape", ())) > 0
        return op.kind in VARIABLES

    def is_zeros(self, tensor: Tensor) -> bool:
        """Whether all its numbers are zero, whatever its shape."""
        todo, seen = [self.resolve(tensor)], set()
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            op = self.network.op(at[0])
            if op.kind == "Const":
                value = const_value(op)
                if value is None or value.any():
                    return False
            elif op.kind == "ZerosLike":
                continue
            elif op.kind in _ZEROS_OF:
                first, last = _ZEROS_OF[op.kind]
                todo.extend(self.resolve(t) for t in op.inputs[first:last])
            else:
                return False
        return bool(seen)


# operations that give zeros for zeros: which of their inputs must be zeros
_ZEROS_OF: dict[str, tuple[int, int | None]] = {
    "Concat": (1, None),
    "ConcatV2": (0, -1),
    "ExpandDims": (0, 1),
    "Fill": (1, 2),
    "Pack": (0, None),
    "Reshape": (0, 1),
    "Slice": (0, 1),
    "Split": (1, 2),
    "StridedSlice": (0, 1),
    "Tile": (0, 1),
    "Transpose": (0, 1),
    "Unpack": (0, 1),
}


def is_training(name: str) -> bool:
    """Whether an operation's name is one that `tf.gradients` gives."""
    return _TRAINING.search(name) is not None


def const_value(op: Op) -> Array | None:
    """A Const's numbers in float64, None where it holds no numbers."""
    tensor = op.attrs.get("value")
    size = 1
    for length in getattr(tensor, "shape", ()):
        size *= int(length)
    if size > 1 << 24:
        return None
    try:
        return np.asarray(tensor.load()).astype(np.float64)  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError, LstmBridgeError):
        return None


def _between_floats(op: Op) -> bool:
    try:
        kinds = {kind_of(op.attrs.get("SrcT")), kind_of(op.attrs.get("DstT"))}
    except (TypeError, ValueError):
        return False
    return kinds == {"float"} and bool(op.inputs)
