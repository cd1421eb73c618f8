"""From a GraphDef to a `Network`: inputs resolved, functions inlined, TensorFlow 1 frames lifted.

Semantics of frames: "Implementation of Control Flow in TensorFlow" (Yu et al. 2017) and
control_flow_ops.py; of functions: function.proto, functional_ops.cc.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.graphdef import Function, FunctionRef, Graph, Node
from lstmbridge.graph.network import (
    ADVICE,
    BRANCHES,
    LOOP_EXIT,
    LOOP_INPUT,
    RETURN,
    Loop,
    LoopVariable,
    Network,
    Op,
    Tensor,
    broken,
    missing,
)

MOST_OPS = 2_000_000
"""Calls may multiply: a few functions that call each other twice make any number of nodes."""
DEEPEST_CALLS = 64

_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "BlockLSTM": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTMV2": ("i", "cs", "f", "o", "ci", "co", "h"),
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
        ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    ),
    "CTCGreedyDecoder": (
        *("decoded_indices", "decoded_values", "decoded_shape"),
        "log_probability",
    ),
    "ListDiff": ("out", "idx"),
    "SoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "SparseSoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "TopK": ("values", "indices"),
    "GRUBlockCell": ("r", "u", "c", "h"),
    "LSTMBlockCell": ("i", "cs", "f", "o", "ci", "co", "h"),
    "Merge": ("output", "value_index"),
    "Switch": ("output_false", "output_true"),
    "TensorArrayV3": ("handle", "flow"),
    "TensorListPopBack": ("output_handle", "tensor"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
}
"""Output names (`op:name:index` inside functions) of operations with several; op_def registry."""

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_WHILES = frozenset({"While", "StatelessWhile"})
_IFS = frozenset({"If", "StatelessIf"})
_MERGES = frozenset({"Merge", "RefMerge"})
_ENTERS = frozenset({"Enter", "RefEnter"})
_NEXTS = frozenset({"NextIteration", "RefNextIteration"})
_SWITCHES = frozenset({"Switch", "RefSwitch"})
_EXITS = frozenset({"Exit", "RefExit"})


def network_of(graph: Graph) -> Network:
    """Lift a graph. Errors: SourceUnreadable, naming the node that makes no sense."""
    inliner = _Inliner(graph)
    inliner.run()
    ops = inliner.ops
    return Network(ops, (*inliner.loops, *_frames(ops, graph.where)), graph.where)


@dataclass(frozen=True)
class _Body:
    """A function body that waits to be inlined.

    `then` gets the returned tensors; `calls` are the functions around it.
    """

    function: Function
    prefix: str
    arguments: Sequence[Tensor]
    returns: list[Tensor]
    calls: tuple[str, ...]


@dataclass
class _Inliner:
    """Adds nodes to `ops`, and bodies of functions to a queue."""

    graph: Graph
    ops: dict[str, Op] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    _queue: deque[_Body] = field(default_factory=deque)
    _unfinished: list[tuple[str, list[Tensor]]] = field(default_factory=list)
    _whiles: list[tuple[str, list[Tensor], list[Tensor], list[Tensor]]] = field(
        default_factory=list
    )
    _ifs: list[tuple[str, tuple[Tensor, ...], list[Tensor], list[Tensor]]] = field(
        default_factory=list
    )

    def run(self) -> None:
        """Inline everything."""
        for node in self.graph.nodes.values():
            inputs = tuple(_reference(text) for text in node.inputs if text[:1] != "^")
            controls = tuple(text[1:] for text in node.inputs if text[:1] == "^")
            self._add(node, node.name, inputs, (), controls)
        while self._queue:
            self._inline(self._queue.popleft())
        for name, returns in self._unfinished:
            op = self.ops[name]
            self.ops[name] = Op(name, op.kind, (*op.inputs, *returns), op.attrs)
        for name, predicate, then, other in self._ifs:
            self._finish_if(name, predicate, then, other)
        for loop, entries, returns, condition in self._whiles:
            built = _while_loop(self.ops, loop, entries, returns, self.graph.where)
            self.loops.append(replace(built, condition=next(iter(condition), None)))

    def _add(
        self,
        node: Node,
        name: str,
        inputs: tuple[Tensor, ...],
        calls: tuple[str, ...],
        controls: tuple[str, ...] = (),
    ) -> None:
        if len(self.ops) >= MOST_OPS:
            raise SourceUnreadable(
                f"the graph's functions unfold to more than {MOST_OPS} nodes",
                where=self.graph.where,
                advice=ADVICE,
            )
        kind = node.op
        if kind in _CALLS:
            self.ops[name] = Op(name, RETURN, (), node.attrs)
            self._unfinished.append((name, self._call(node, "f", name, inputs, calls)))
        elif kind in _WHILES:
            self._add_while(node, name, inputs, calls)
        elif kind in _IFS:
            self.ops[name] = Op(name, RETURN, (), node.attrs)
            branches = [
                self._call(node, branch, f"{name}/{branch}", inputs[1:], calls)
                for branch in ("then_branch", "else_branch")
            ]
            self._ifs.append((name, inputs[:1], branches[0], branches[1]))
        else:
            self.ops[name] = Op(name, kind, inputs, node.attrs, controls)

    def _finish_if(
        self, name: str, predicate: tuple[Tensor, ...], then: list[Tensor], other: list[Tensor]
    ) -> None:
        """One choice per output, so that asking for one does not ask for all."""
        if len(then) != len(other) or not predicate:
            raise broken(self.ops[name], "has branches that do not fit", self.graph.where)
        outputs = []
        for k, pair in enumerate(zip(then, other, strict=True)):
            choice = f"{name}/output_{k}"
            self.ops[choice] = Op(choice, BRANCHES, (*predicate, *pair), {})
            outputs.append((choice, 0))
        self.ops[name] = Op(name, RETURN, tuple(outputs), self.ops[name].attrs)

    def _add_while(
        self, node: Node, name: str, inputs: tuple[Tensor, ...], calls: tuple[str, ...]
    ) -> None:
        entries: list[Tensor] = []
        for k, tensor in enumerate(inputs):
            variable = f"{name}/variable_{k}"
            self.ops[variable] = Op(variable, LOOP_INPUT, (tensor,), {})
            entries.append((variable, 0))
        returns = self._call(node, "body", f"{name}/body", entries, calls)
        known = "cond" in node.attrs
        condition = self._call(node, "cond", f"{name}/cond", entries, calls) if known else []
        self.ops[name] = Op(name, LOOP_EXIT, inputs, node.attrs)
        self._whiles.append((name, entries, returns, condition))

    def _call(
        self,
        node: Node,
        attribute: str,
        prefix: str,
        arguments: Sequence[Tensor],
        calls: tuple[str, ...],
    ) -> list[Tensor]:
        ref = node.attrs.get(attribute)
        function = self.graph.functions.get(ref.name) if isinstance(ref, FunctionRef) else None
        if function is None:
            called = ref.name if isinstance(ref, FunctionRef) else None
            raise SourceUnreadable(
                f"node {node.name!r} calls the function {called!r}, which is not in the graph",
                where=self.graph.where,
                advice=ADVICE,
            )
        if function.name in calls or len(calls) >= DEEPEST_CALLS:
            raise SourceUnreadable(
                f"the graph's functions call themselves: {function.name!r} by {node.name!r}",
                where=self.graph.where,
                advice=ADVICE,
            )
        returns: list[Tensor] = []
        body = _Body(function, prefix, arguments, returns, (*calls, function.name))
        self._queue.append(body)
        return returns

    def _inline(self, body: _Body) -> None:
        if len(body.arguments) != len(body.function.arguments):
            raise SourceUnreadable(
                f"function {body.function.name!r} takes {len(body.function.arguments)} "
                f"arguments and is given {len(body.arguments)}",
                where=self.graph.where,
                advice=ADVICE,
            )
        arguments = dict(zip(body.function.arguments, body.arguments, strict=True))
        for node in body.function.nodes.values():
            inputs = tuple(
                self._inner(text, body, arguments) for text in node.inputs if text[:1] != "^"
            )
            self._add(node, f"{body.prefix}/{node.name}", inputs, body.calls)
        for _, text in body.function.returns:
            body.returns.append(self._inner(text, body, arguments))

    def _inner(self, text: str, body: _Body, arguments: Mapping[str, Tensor]) -> Tensor:
        """A tensor named inside a function: an argument, or `node:output:index`."""
        if text in arguments:
            return arguments[text]
        name, _, rest = text.partition(":")
        output, _, number = rest.partition(":")
        node = body.function.nodes.get(name)
        if node is None:
            raise missing(text, f"{self.graph.where}, function {body.function.name!r}")
        first = 0
        if node.op in _OUTPUTS and output in _OUTPUTS[node.op]:
            first = _OUTPUTS[node.op].index(output)
        index = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0
        return (f"{body.prefix}/{name}", first + index)


def _while_loop(
    ops: Mapping[str, Op],
    name: str,
    entries: Sequence[Tensor],
    returns: Sequence[Tensor],
    where: str,
) -> Loop:
    if len(entries) != len(returns):
        raise broken(
            ops[name],
            f"has {len(entries)} variables and a body that returns {len(returns)}",
            where,
        )
    return Loop(
        name,
        tuple(
            LoopVariable(ops[entry[0]].inputs[0], entry, following, ((name, k),))
            for k, (entry, following) in enumerate(zip(entries, returns, strict=True))
        ),
    )


def _reference(text: str) -> Tensor:
    """`a` or `a:1`, as written at the top level."""
    name, colon, number = text.rpartition(":")
    if colon and number.isascii() and number.isdigit() and len(number) < 9:
        return (name, int(number))
    return (text, 0)


def _frames(ops: dict[str, Op], where: str) -> list[Loop]:
    """TensorFlow 1 loops. Each Merge of an Enter and a NextIteration is a loop variable."""
    switches: dict[Tensor, list[str]] = {}
    exits: dict[Tensor, list[Tensor]] = {}
    for op in ops.values():
        if op.kind in _SWITCHES and op.inputs:
            switches.setdefault(op.inputs[0], []).append(op.name)
        elif op.kind in _EXITS and op.inputs:
            exits.setdefault(op.inputs[0], []).append((op.name, 0))
    frames: dict[str, list[LoopVariable]] = {}
    for op in ops.values():
        if op.kind not in _MERGES:
            continue
        by_kind = {ops[n].kind: ops[n] for n, _ in op.inputs if n in ops}
        enter = next((by_kind[kind] for kind in _ENTERS if kind in by_kind), None)
        following = next((by_kind[kind] for kind in _NEXTS if kind in by_kind), None)
        if enter is None or following is None:
            continue
        frame = enter.attrs.get("frame_name")
        if not isinstance(frame, str) or not enter.inputs or not following.inputs:
            raise broken(enter, "does not say which loop it enters", where)
        entry = (op.name, 0)
        left = [out for s in switches.get(entry, ()) for out in exits.get((s, 0), ())]
        frames.setdefault(frame, []).append(
            LoopVariable(enter.inputs[0], entry, following.inputs[0], tuple(left))
        )
    return [Loop(name, tuple(variables)) for name, variables in frames.items()]
