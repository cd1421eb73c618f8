"""The variables of one queried cell in a graph: where they are, who reads them, stand-ins.

No weights are read: a proof on random numbers of the right shape holds for any weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.findings import AroundQuery, Construct, Query
from lstmbridge.graph.network import Network, Op, Tensor
from lstmbridge.graph.trace import VARIABLES, Tracer

_MOST_PARTS = 4096
_JOINS = frozenset({"Concat", "ConcatV2"})
# what reads a variable and takes no part in what the network computes
_BOOKKEEPING = (
    "Apply",
    "Assign",
    "IsVariableInitialized",
    "L2Loss",
    "ResourceApply",
    "Save",
    "ScatterUpdate",
    "SparseApply",
    "VarIsInitializedOp",
    "VariableShape",
)


@dataclass(frozen=True, slots=True)
class Role:
    """One of a cell's tensors, as variables of the graph.

    Attributes:
        nodes: the variables, in the order in which they are put together (axis 0).
        shape: what they must be together.
    """

    nodes: tuple[Op, ...]
    shape: tuple[int, ...]


class QueryVariables:
    """The variables of one query, of a cell or of a wrapper.

    Attributes:
        problem: why they cannot be used: absent, or of another shape than the checkpoint's.
        absent: the graph has no variable of the first role's name (the kernel's).
    """

    def __init__(self, tracer: Tracer, query: Query | AroundQuery) -> None:
        self._tracer = tracer
        self._query = query
        self.problem: Construct | None = None
        self.absent = False
        self._roles: dict[str, Role] = {}
        self._first = next(iter(query.variables))
        for role, variables in query.variables.items():
            self._find(role, variables, query.shapes[role])

    def _find(self, role: str, names: Sequence[str], shape: tuple[int, ...]) -> None:
        nodes = [op for name in names for op in nodes_of(self._tracer.network, name)]
        if len(nodes) < len(names):
            self.absent |= role == self._first
            self._fail(names[0], f"the graph has no variable {names[0]!r}")
            return
        shapes = [shape_of(op) for op in nodes]
        total: tuple[int, ...] | None = None
        if all(s is not None and len(s) == len(shape) for s in shapes):
            known = [s for s in shapes if s is not None]
            total = (sum(s[0] for s in known), *known[0][1:])
        if total != shape and not (len(nodes) == 1 and shapes[0] is None):
            self._fail(
                names[0],
                f"the graph's {names[0]!r} is {total or shapes[0]}, the checkpoint's is {shape}: "
                "the graph belongs to another checkpoint",
            )
        self._roles[role] = Role(tuple(nodes), shape)

    def _fail(self, node: str, detail: str) -> None:
        if self.problem is None:
            self.problem = Construct("other graph", node, self._query.layer, detail)

    def stand_ins(
        self, shapes: Mapping[str, tuple[int, ...]]
    ) -> tuple[dict[str, Array], dict[Tensor, Array]]:
        """Random numbers: whole by role, and by the graph's variables.

        Args:
            shapes: the query's, or others. The parts of a partitioned variable then have other
                sizes too.
        """
        draw = np.random.default_rng(20)
        whole: dict[str, Array] = {}
        by_tensor: dict[Tensor, Array] = {}
        for name, role in self._roles.items():
            whole[name] = draw.normal(size=shapes[name])
            rows = [(shape_of(op) or role.shape)[0] for op in role.nodes]
            if shapes[name] != role.shape:
                rows = [len(part) for part in np.array_split(whole[name], len(role.nodes))]
            start = 0
            for op, count in zip(role.nodes, rows, strict=True):
                by_tensor[op.name, 0] = whole[name][start : start + count]
                start += count
        return whole, by_tensor

    def nodes(self, role: str) -> tuple[str, ...]:
        """The names of the variables that hold a role's numbers."""
        return tuple(op.name for op in self._roles[role].nodes)

    def users(self, role: str) -> Iterator[tuple[Op, int]]:
        """Operations that read the whole of it, and by which input; shards put together."""
        found: dict[tuple[str, int], None] = {}
        queue = deque((op.name, 0) for op in self._roles[role].nodes)
        seen: set[Tensor] = set(queue)
        while queue:
            for name, position in self._tracer.uses(queue.popleft()):
                op = self._tracer.network.op(name)
                if op.kind in _JOINS and (name, 0) not in seen:
                    seen.add((name, 0))
                    queue.append((name, 0))
                elif op.kind not in _JOINS and not op.kind.startswith(_BOOKKEEPING):
                    found[name, position] = None
        for name, position in found:
            yield self._tracer.network.op(name), position


def nodes_of(network: Network, name: str) -> list[Op]:
    """The variable called `name`, or its parts ``name/part_0``, ... in order; else nothing."""
    op = network.ops.get(name)
    if op is not None and _holds_numbers(op):
        return [op]
    parts = []
    for k in range(_MOST_PARTS):
        part = network.ops.get(f"{name}/part_{k}")
        if part is None or not _holds_numbers(part):
            break
        parts.append(part)
    return parts


def _holds_numbers(op: Op) -> bool:
    # a frozen graph has constants where variables were
    return op.kind in VARIABLES or op.kind == "Const"


def shape_of(op: Op) -> tuple[int, ...] | None:
    """The shape of a variable or a constant; None where the graph does not say it."""
    if op.kind == "Const":
        shape = getattr(op.attrs.get("value"), "shape", None)
    else:
        shape = op.attrs.get("shape")
    if not isinstance(shape, tuple) or any(not isinstance(n, int) or n < 0 for n in shape):
        return None
    return shape
