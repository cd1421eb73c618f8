"""Places where a kernel is used, and the LSTM that each place looks like.

Hypotheses only: `prove` decides. The search goes forward from the kernel's product to the sum
``f * c + i * j``, and from there to the new h; each gate is then followed back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from lstmbridge.graph.findings import CellQuery, Construct
from lstmbridge.graph.functions import ELEMENTWISE, source_of, steps_of
from lstmbridge.graph.gates_found import ADDS, Gate, GateFinder, Product
from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.ops_cells import (
    BLOCK_CS,
    BLOCK_H,
    BLOCK_OPS,
    block_cell_clip,
    block_forget_bias,
    block_peephole,
)
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.variables import QueryVariables

_FURTHEST = 96
_MOST_OF_ONE = 24
_SPLITS = frozenset({"Split", "SplitV", "Unpack"})
_STOPS = frozenset(
    {
        "Concat",
        "ConcatV2",
        "Enter",
        "Exit",
        "MatMul",
        "Merge",
        "NextIteration",
        "Pack",
        "TensorArrayWrite",
        "TensorArrayWriteV2",
        "TensorArrayWriteV3",
        "TensorListSetItem",
    }
)
# clipping operations and how many inputs they have
_CLIPS = {"ClipByValue": 3, "Maximum": 2, "Minimum": 2}
_TF_ORDER = ("i", "c", "f", "o")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What one use of a kernel looks like.

    Attributes:
        node: the operation that reads the kernel.
        x, h_prev: the inputs by which it reads x and h.
        c_prev: every input by which the old c is read.
        c, h: the new states.
        forget_bias, activation, gate_activation, cell_clip, proj_clip: value and node.
        peephole: value and node.
        whole: all steps at once.
    """

    node: str
    x: Edge
    h_prev: Edge
    c_prev: tuple[Edge, ...]
    c: Tensor
    h: Tensor
    forget_bias: tuple[float, str]
    activation: tuple[str, str]
    gate_activation: tuple[str, str]
    cell_clip: tuple[float | None, str]
    proj_clip: tuple[float | None, str]
    peephole: tuple[bool, str]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class _Core:
    """The sum ``f * c + i * j``: its gates, and the edge by which c is read."""

    name: str
    forget: Gate
    inputs: tuple[Gate, Gate]
    c_prev: Edge


class LstmFinder:
    """Looks at the uses of one query's kernel."""

    def __init__(self, tracer: Tracer, query: CellQuery, variables: QueryVariables) -> None:
        self._tracer = tracer
        self._network = tracer.network
        self._query = query
        self._variables = variables

    def uses(self) -> Iterator[Hypothesis | Construct]:
        """Each place that multiplies by the kernel, as an LSTM or as a refusal."""
        for op, position in self._variables.users("kernel"):
            if op.kind in BLOCK_OPS and position == BLOCK_OPS[op.kind].first + 3:
                yield self._block(op)
            elif op.kind == "MatMul" and position == 1 and not _transposed(op):
                yield self._cell(op)
            elif op.kind in {"MatMul", *BLOCK_OPS, "GRUBlockCell"}:
                yield self._refuse(op.name, f"the kernel is input {position} of a {op.kind}")

    def _refuse(self, node: str, detail: str) -> Construct:
        return Construct("own cell", node, self._query.layer, detail)

    def _block(self, op: Op) -> Hypothesis | Construct:
        spec = BLOCK_OPS[op.kind]
        first = spec.first
        if len(op.inputs) != first + 8:
            return self._refuse(op.name, f"the {op.kind} has {len(op.inputs)} inputs")
        if tuple(spec.order) != _TF_ORDER:
            return self._refuse(
                op.name, f"the {op.kind}'s gates stand in the order {', '.join(spec.order)}"
            )
        where = op.name
        try:
            forget_bias, cell_clip = block_forget_bias(op), block_cell_clip(op)
        except (TypeError, ValueError) as err:
            return self._refuse(where, f"the {op.kind}'s attributes make no sense: {err}")
        return Hypothesis(
            node=op.name,
            x=(op.name, first),
            h_prev=(op.name, first + 2),
            c_prev=((op.name, first + 1),),
            c=(op.name, BLOCK_CS),
            h=(op.name, BLOCK_H),
            forget_bias=(forget_bias, where),
            activation=("tanh", where),
            gate_activation=("sigmoid", where),
            cell_clip=(cell_clip, where),
            proj_clip=(None, where),
            peephole=(block_peephole(op), where),
            whole=op.kind != "LSTMBlockCell",
        )

    def _cell(self, op: Op) -> Hypothesis | Construct:
        joined = self._tracer.op(op.inputs[0])
        data = {"ConcatV2": slice(0, -1), "Concat": slice(1, None)}.get(joined.kind)
        if data is None or len(joined.inputs) != 3:
            return self._refuse(
                op.name,
                f"the kernel multiplies a {joined.kind} ({joined.name!r}), not x and h side by "
                "side",
            )
        first = data.start
        product = Product((op.name, 0), self._query.units)
        gates = GateFinder(self._tracer, product)
        core, reached = self._core(product, gates)
        if core is None:
            strange = self._strange(product, gates)
            if strange is not None:
                return strange
            return self._refuse(
                op.name,
                "no sum of f * c and i * j follows from the kernel's product; what follows is "
                + reached,
            )
        return self._outputs(op, (joined.name, first), (joined.name, first + 1), core, gates)

    def _core(self, product: Product, gates: GateFinder) -> tuple[_Core | None, str]:
        queue, seen, kinds = deque([product.tensor]), {product.tensor[0]}, []
        while queue and len(seen) < _FURTHEST:
            for name, _ in self._tracer.uses(queue.popleft()):
                if name in seen:
                    continue
                seen.add(name)
                op = self._network.op(name)
                kinds.append(f"{op.kind} {name!r}")
                if op.kind in ADDS and len(op.inputs) == 2:
                    core = self._as_core(op, gates)
                    if core is not None:
                        return core, ""
                if op.kind not in _STOPS:
                    queue.extend((name, k) for k in range(4 if op.kind in _SPLITS else 1))
        return None, ", ".join(kinds[:6]) or "nothing"

    def _strange(self, product: Product, gates: GateFinder) -> Construct | None:
        """The function of a gate that is no activation that is known."""
        queue, seen = deque([product.tensor]), {product.tensor}
        while queue and len(seen) < _FURTHEST:
            for name, _ in self._tracer.uses(queue.popleft()):
                op = self._network.op(name)
                for at in map(self._tracer.resolve, op.inputs if op.kind == "Mul" else ()):
                    if at in seen and at not in gates and gates.find(at) is None:
                        kinds = steps_of(self._tracer, at, gates)
                        if kinds and source_of(self._tracer, at, gates) in gates:
                            detail = f"one of its activations is none that is known: {kinds}"
                            return self._refuse(at[0], detail)
                if op.kind in ELEMENTWISE or op.kind in _SPLITS or op.kind == "BiasAdd":
                    outputs = [(name, k) for k in range(4 if op.kind in _SPLITS else 1)]
                    queue.extend(t for t in outputs if t not in seen)
                    seen.update(outputs)
        return None

    def _as_core(self, op: Op, gates: GateFinder) -> _Core | None:
        forgets: list[tuple[Gate, Edge]] = []
        inputs: list[tuple[Gate, Gate]] = []
        for tensor in op.inputs:
            mul = self._tracer.op(tensor)
            if mul.kind != "Mul" or len(mul.inputs) != 2:
                return None
            first, second = (gates.find(t) for t in mul.inputs)
            if first and second:
                inputs.append((first, second))
            elif first:
                forgets.append((first, (mul.name, 1)))
            elif second:
                forgets.append((second, (mul.name, 0)))
        if len(forgets) != 1 or len(inputs) != 1:
            return None
        return _Core(op.name, forgets[0][0], inputs[0], forgets[0][1])

    def _outputs(
        self, op: Op, x: Edge, h_prev: Edge, core: _Core, gates: GateFinder
    ) -> Hypothesis | Construct:
        c, cell_clip = self._clipped((core.name, 0))
        out = self._output_gate(c, gates)
        if out is None:
            return self._refuse(c[0], "no o * activation(c) follows from the new cell state")
        h, proj_clip = self._projected(out.product)
        if h is None:
            return self._refuse(
                out.product[0], "the projection's variable is not applied to the output"
            )
        i, j = _input_and_candidate(core, out)
        problem = self._departure(core, i, j, out)
        if problem:
            return self._refuse(core.name, problem)
        peepholes = (*i.peephole, *core.forget.peephole)
        return Hypothesis(
            node=op.name,
            x=x,
            h_prev=h_prev,
            c_prev=(core.c_prev, *peepholes),
            c=c,
            h=h,
            forget_bias=(core.forget.offset, core.forget.offset_node or core.forget.node),
            activation=(out.activation, out.node),
            gate_activation=(core.forget.activation, core.forget.node),
            cell_clip=cell_clip,
            proj_clip=proj_clip,
            peephole=(bool(peepholes), peepholes[0][0] if peepholes else core.name),
        )

    def _clipped(self, tensor: Tensor) -> tuple[Tensor, tuple[float | None, str]]:
        """The tensor after the clip that follows it; the limit and the node that shows it.

        Where the two limits differ the proof will fail, as it should.
        """
        limit: tuple[float | None, str] = (None, tensor[0])
        for _ in range(2):
            for name, _position in self._tracer.uses(tensor):
                op = self._network.op(name)
                value = self._limit(op, tensor)
                if value is not None:
                    tensor, limit = (name, 0), (value, name)
                    break
            else:
                break
        return tensor, limit

    def _limit(self, op: Op, tensor: Tensor) -> float | None:
        if op.kind not in _CLIPS or len(op.inputs) != _CLIPS[op.kind]:
            return None
        values = [self._tracer.scalar(t) for t in op.inputs if self._tracer.resolve(t) != tensor]
        numbers = [abs(v) for v in values if v is not None]
        return numbers[0] if len(numbers) == len(op.inputs) - 1 else None

    def _output_gate(self, c: Tensor, gates: GateFinder) -> _Output | None:
        direct = [(c, "linear", c[0])]
        gates.state = self._tracer.resolve(c)
        for name in self._elementwise_after(c):
            kind, node, source = gates.activation((name, 0))
            if kind != "linear" and self._tracer.resolve(source) == gates.state:
                direct.insert(0, ((name, 0), kind, node))
        for tensor, kind, node in direct:
            for name, position in self._tracer.uses(tensor):
                op = self._network.op(name)
                if op.kind != "Mul" or len(op.inputs) != 2:
                    continue
                gate = gates.find(op.inputs[1 - position])
                if gate is not None:
                    return _Output(gate, kind, node, (name, 0))
        return None

    def _elementwise_after(self, c: Tensor) -> list[str]:
        """The operations that may be part of an activation of c, nearest first."""
        queue, seen = deque([c]), dict[str, None]()
        while queue and len(seen) < _MOST_OF_ONE:
            for name, _ in self._tracer.uses(queue.popleft()):
                if name not in seen and self._network.op(name).kind in ELEMENTWISE:
                    seen[name] = None
                    queue.append((name, 0))
        return list(seen)

    def _projected(self, h: Tensor) -> tuple[Tensor | None, tuple[float | None, str]]:
        """What comes of h multiplied by the projection's variable, and its clip."""
        if not self._query.projection:
            return h, (None, h[0])
        readers = {
            op.name for op, position in self._variables.users("projection") if position == 1
        }
        for name, position in self._tracer.uses(h):
            if position == 0 and name in readers and self._network.op(name).kind == "MatMul":
                return self._clipped((name, 0))
        return None, (None, h[0])

    def _departure(self, core: _Core, i: Gate, j: Gate, out: _Output) -> str:
        """Why this is no LSTM of TensorFlow's, "" where it may be one."""
        letters = {i.index: "i", j.index: "c", core.forget.index: "f", out.gate.index: "o"}
        order = tuple(letters.get(k, "?") for k in range(4))
        if order != _TF_ORDER:
            return f"its gates stand in the order {', '.join(order)}, not {', '.join(_TF_ORDER)}"
        kinds = {core.forget.activation, i.activation, out.gate.activation}
        if len(kinds) != 1:
            return f"its three gates have different activations: {', '.join(sorted(kinds))}"
        if j.activation != out.activation:
            return f"the candidate's activation is {j.activation}, the output's {out.activation}"
        if i.offset or j.offset or out.gate.offset:
            return "a constant is added to a gate other than the forget gate"
        return ""


@dataclass(frozen=True, slots=True)
class _Output:
    """The product ``o * activation(c)``."""

    gate: Gate
    activation: str
    node: str
    product: Tensor


def _input_and_candidate(core: _Core, out: _Output) -> tuple[Gate, Gate]:
    """Which factor of ``i * j`` is which. Two equal activations: by TensorFlow's order."""
    first, second = sorted(core.inputs, key=lambda gate: gate.index)
    if first.activation != second.activation and second.activation == out.gate.activation:
        return second, first
    return first, second


def _transposed(op: Op) -> bool:
    return bool(op.attrs.get("transpose_a", False) or op.attrs.get("transpose_b", False))
