"""Places where a cell of any kind may be computed: what follows from its kernel, and from what.

Hypotheses only: `form_proven` decides by numbers. From one use of the cell's first kernel the
search goes forward. Whatever is reached is a function of what it reads from outside: x and h,
told by what kernels multiply them, and perhaps one more tensor, the old c.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lstmbridge.graph.findings import FormQuery
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables

_FURTHEST = 400
_OUTPUTS: Mapping[str, int] = {"Split": 8, "SplitV": 8, "Unpack": 8, "GRUBlockCell": 4}
_STOPS = frozenset(
    {
        "Enter",
        "Exit",
        "Merge",
        "NextIteration",
        "TensorArrayWrite",
        "TensorArrayWriteV2",
        "TensorArrayWriteV3",
        "TensorListSetItem",
    }
)
# operations that join tensors: their first input that is one
_JOINS: Mapping[str, int] = {"ConcatV2": 0, "Concat": 1}
# pieces of a tensor, or copies of it side by side: which input is the tensor
_PIECES: Mapping[str, int] = {
    "Slice": 0,
    "Split": 1,
    "SplitV": 0,
    "StridedSlice": 0,
    "Tile": 0,
    "Unpack": 0,
}
_BLOCKS: Mapping[str, tuple[str, ...]] = {"GRUBlockCell": ("x", "h")}
"""Operations that are a whole cell: what their first inputs are."""
_SHAPES = frozenset({"Rank", "Shape", "ShapeN", "Size"})
_MOST_PARTS = 64
_MOST_ROWS = 4096
_MULTIPLIES = frozenset({"BatchMatMul", "BatchMatMulV2", "MatMul", "Mul"})


@dataclass(frozen=True)
class Outside:
    """What a tensor is a function of, beside the cell's own variables and constants.

    Attributes:
        edges: the inputs by which it is read -> ``"x"``, ``"h"``, or ``""`` where only the tensor
            tells.
    """

    edges: Mapping[Edge, str]


@dataclass(eq=False)
class Place:
    """One use of a cell's first kernel, and what follows from it.

    Attributes:
        node: the operation that uses it.
        reached: the operations that follow, nearest first.
    """

    tracer: Tracer
    query: FormQuery
    variables: QueryVariables
    node: str
    reached: dict[str, None] = field(default_factory=dict)
    _outside: dict[str, dict[Edge, str] | None] = field(default_factory=dict)
    _roles: dict[str, str] = field(default_factory=dict)
    _sizes: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)
    _labels: dict[Edge, str] = field(default_factory=dict)
    _seen: set[Tensor] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Go forward."""
        for role in self.query.variables:
            self._roles.update(dict.fromkeys(self.variables.nodes(role), role))
        if self.hopeless:
            return
        queue, self.reached[self.node] = deque([self.node]), None
        while queue and len(self.reached) < _FURTHEST:
            name = queue.popleft()
            for tensor in self._outputs(name):
                for reader, _ in self.tracer.uses(tensor):
                    if (
                        reader not in self.reached
                        and self.tracer.network.op(reader).kind not in _STOPS
                    ):
                        self.reached[reader] = None
                        queue.append(reader)

    def _outputs(self, name: str) -> list[Tensor]:
        kind = self.tracer.network.op(name).kind
        return [(name, k) for k in range(_OUTPUTS.get(kind, 1))]

    @property
    def hopeless(self) -> bool:
        """Whether the first kernel is not even multiplied with what it sees."""
        op = self.tracer.network.op(self.node)
        if op.kind in _BLOCKS or self.query.sees[next(iter(self.query.sees))] != "xh":
            return False
        joined = self.tracer.op(op.inputs[0])
        return joined.kind not in _JOINS or len(joined.inputs) != 3

    def candidates(self) -> Iterator[tuple[Tensor, Outside]]:
        """Every tensor that follows and is a function of both x and h."""
        for name in self.reached:
            outside = self._reads(name)
            if outside is None or not {"x", "h"} <= set(outside.values()):
                continue
            for tensor in self._outputs(name):
                yield tensor, Outside(outside)

    def batch(self) -> int | None:
        """The number of rows that the cell's own cuts ask for; None where they ask for none."""
        self._reads(self.node)
        for name in self._own:
            op = self.tracer.network.op(name)
            if op.kind == "Slice" and len(op.inputs) == 3:
                size = self.tracer.op(op.inputs[2])
                first = size.inputs[0] if size.kind == "Pack" and size.inputs else op.inputs[2]
                number = self.tracer.constant(first)
                if number is not None and number.size and 0 < number.ravel()[0] < _MOST_ROWS:
                    return int(number.ravel()[0])
        return None

    def parts(self, tensor: Tensor) -> list[str]:
        """The operations by which `tensor` follows from what is outside of the cell."""
        found: dict[str, None] = {tensor[0]: None}
        todo = [tensor[0]]
        while todo:
            _, inner = self._split(self.tracer.network.op(todo.pop()))
            fresh = [name for name in inner if name not in found]
            found.update(dict.fromkeys(fresh))
            todo.extend(fresh)
        return list(found)

    def _reads(self, name: str) -> dict[Edge, str] | None:
        """What operation `name` depends on; None where that is more than a cell does."""
        stack, under_way = [name], set[str]()
        while stack:
            at = stack[-1]
            if at in self._outside:
                stack.pop()
                continue
            edges, inner = self._split(self.tracer.network.op(at))
            waiting = [n for n in inner if n not in self._outside]
            if not waiting:
                self._outside[at] = self._joined(edges, inner)
                stack.pop()
            elif under_way & set(waiting):
                self._outside[at] = None
                stack.pop()
            else:
                under_way.add(at)
                stack.extend(waiting)
        return self._outside[name]

    def _joined(self, edges: dict[Edge, str], inner: list[str]) -> dict[Edge, str] | None:
        found = dict(edges)
        for name in inner:
            more = self._outside[name]
            if more is None:
                return None
            found.update(more)
        return found

    def _split(self, op: Op) -> tuple[dict[Edge, str], list[str]]:
        """(inputs from outside, operations that are part of the cell) of one operation."""
        edges: dict[Edge, str] = {}
        inner: list[str] = []
        seen = self._multiplied(op)
        block = _BLOCKS.get(op.kind, ())
        for position, tensor in enumerate(op.inputs):
            source = self.tracer.op(tensor)
            if seen is not None and position == seen[1]:
                self._label((op.name, position), seen[0])
            if (op.name, position) in self._labels:
                edges[op.name, position] = self._labels[op.name, position]
            elif self._is_given(tensor) and self.tracer.resolve(tensor) not in self._seen:
                continue
            elif position < len(block):
                edges[op.name, position] = block[position]
            elif source.name in self.reached or source.name in self._own or self._is_own(source):
                inner.append(source.name)
            elif self._is_size(op, position):
                self._sizes.add(source.name)
                inner.append(source.name)
            else:
                edges[op.name, position] = ""
        return edges, inner

    def _is_given(self, tensor: Tensor) -> bool:
        """Whether a tensor is made of the cell's variables and of constants alone."""
        todo, seen = [self.tracer.resolve(tensor)], 0
        while todo and seen < _MOST_PARTS:
            at = todo.pop()
            op = self.tracer.network.op(at[0])
            seen += 1
            if op.name in self._roles or (op.kind == "Const" and not _is_state(op)):
                continue
            if not op.inputs or op.name in self.reached or at in self.tracer.network.entries:
                return False
            todo.extend(self.tracer.resolve(t) for t in op.inputs)
        return not todo

    def _multiplied(self, op: Op) -> tuple[str, int] | None:
        """(what the kernel sees, which input that is) where `op` multiplies by a kernel."""
        if op.kind not in _MULTIPLIES or len(op.inputs) != 2:
            return None
        for position in (1, 0):
            role = self._role(op.inputs[position])
            if role is not None and role in self.query.sees:
                return self.query.sees[role], 1 - position
        return None

    def _role(self, tensor: Tensor) -> str | None:
        """Which of the cell's roles a tensor is, perhaps put together from shards."""
        op = self.tracer.op(tensor)
        if op.kind in _JOINS and op.inputs:
            op = self.tracer.op(op.inputs[_JOINS[op.kind]])
        return self._roles.get(op.name)

    def _label(self, edge: Edge, sees: str) -> None:
        """Say which inputs read x and h, where `edge` reads what a kernel is multiplied with."""
        at = self.tracer.op(self.tracer.network.op(edge[0]).inputs[edge[1]])
        if at.name in self.reached:
            return
        if sees != "xh":
            self._mark(edge, sees)
        elif at.kind in _JOINS and len(at.inputs) == 3:
            first = _JOINS[at.kind]
            self._own.add(at.name)
            self._mark((at.name, first), "x")
            self._mark((at.name, first + 1), "h")

    def _mark(self, edge: Edge, name: str) -> None:
        """Label an input, or the one by which the whole is read of which it reads a piece."""
        op = self.tracer.op(self.tracer.network.op(edge[0]).inputs[edge[1]])
        if op.kind in self.query.pieces:
            self._own.add(op.name)
            edge = op.name, _PIECES[op.kind]
        self._labels[edge] = name
        # a state may be a constant: zeros of a batch that the graph fixes
        read = self.tracer.network.op(edge[0]).inputs[edge[1]]
        self._seen.add(self.tracer.resolve(read))

    def _is_own(self, op: Op) -> bool:
        """Whether an operation belongs to the cell though it does not follow from its start.

        Either another kernel's product, or a variable times the old state (a peephole).
        """
        if len(self.query.sees) < 2 and not self.query.pieces and op.kind != "Mul":
            return False
        at = op
        while at.kind in _PIECES and at.inputs:
            at = self.tracer.op(at.inputs[_PIECES[at.kind]])
        roles = (self._role(tensor) for tensor in at.inputs)
        return any(role is not None and role not in self.query.last for role in roles)

    def _is_size(self, op: Op, position: int) -> bool:
        """Whether an input says where to cut, not what."""
        if op.name in self._sizes:
            return op.kind not in _SHAPES
        return op.kind in _PIECES and position != _PIECES[op.kind]


def _is_state(op: Op) -> bool:
    """Whether a constant may be a batch of states: unrolled steps begin with zeros."""
    return len(getattr(op.attrs.get("value"), "shape", ())) > 1
