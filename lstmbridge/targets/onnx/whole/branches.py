"""What only one branch of a choice needs is computed in that branch only.

A cond's branch may do what cannot be done where it is not taken: read past the end of a
sequence, run a loop that never ends. So a choice is an `If`, and what leads to one of its values
and to nothing else moves into it. Where both branches are a few operations that always succeed,
and give the same shape, one `Where` says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import onnx
from onnx import helper

from lstmbridge.targets.onnx.whole.choices import joined
from lstmbridge.targets.onnx.whole.emitter import captured

MOST_IN_A_WHERE = 6
"""Operations in both branches together, of those that are then always computed."""
_HARMLESS = frozenset(
    {
        *("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Div", "Equal", "Exp", "Expand", "Floor"),
        *("Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Min"),
        *("Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round", "Shape", "Sigmoid"),
        *("Sign", "Softmax", "Softplus", "Sqrt", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
    }
)
_THEN, _ELSE = "then_branch", "else_branch"
Reader = tuple[int, str]
"""A node's place, and the branch of it that reads."""


def with_branches(
    nodes: Sequence[onnx.NodeProto], results: Iterable[str], alike: AbstractSet[str]
) -> list[onnx.NodeProto]:
    """The nodes, with what belongs to a branch moved into it.

    Args:
        nodes: of one graph, in order.
        results: names that are used outside.
        alike: results of choices between values of one shape, by a single predicate.
    """
    outside = set(results)
    kept: list[onnx.NodeProto | None] = list(joined(nodes, outside))
    for at in reversed(range(len(kept))):
        node = kept[at]
        if node is None or node.op_type != "If" or _is_whole(node):
            continue
        readers = _readers(kept, outside)
        moved = {branch: _only_for(kept, at, branch, readers) for branch in (_THEN, _ELSE)}
        inside = [kept[k] for k in (*moved[_THEN], *moved[_ELSE])]
        harmless = all(one is not None and one.op_type in _HARMLESS for one in inside)
        one = len(node.output) == 1
        if one and node.output[0] in alike and harmless and len(inside) <= MOST_IN_A_WHERE:
            kept[at] = _where(node)
            continue
        kept[at] = _filled(node, {b: [kept[k] for k in ks] for b, ks in moved.items()}, alike)
        for k in (*moved[_THEN], *moved[_ELSE]):
            kept[k] = None
    return [node for node in kept if node is not None]


def _is_whole(node: onnx.NodeProto) -> bool:
    """Whether a choice asks if there is a step at all: what a loop reads stays outside of it."""
    return any(one.op_type == "Scan" for one in _branch_of(node, _THEN).node)


def _readers(
    nodes: Sequence[onnx.NodeProto | None], outside: AbstractSet[str]
) -> dict[str, set[Reader]]:
    """Who reads each name."""
    readers: dict[str, set[Reader]] = {name: {(-1, "")} for name in outside}
    for at, node in enumerate(nodes):
        if node is None:
            continue
        for name in node.input:
            readers.setdefault(name, set()).add((at, ""))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                branch = attribute.name if node.op_type == "If" else ""
                for name in captured(attribute.g):
                    readers.setdefault(name, set()).add((at, branch))
    return readers


def _only_for(
    nodes: Sequence[onnx.NodeProto | None],
    at: int,
    branch: str,
    readers: dict[str, set[Reader]],
) -> list[int]:
    """The places of nodes before `at` that only this branch of it needs, in order."""
    found: list[int] = []
    within: set[int] = set()
    for k in reversed(range(at)):
        node = nodes[k]
        if node is None:
            continue
        users = {user for name in node.output for user in readers.get(name, ())}
        if users and all(user == (at, branch) or user[0] in within for user in users):
            found.append(k)
            within.add(k)
    return found[::-1]


def _branch_of(node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    return next(one.g for one in node.attribute if one.name == name)


def _where(node: onnx.NodeProto) -> onnx.NodeProto:
    """The choice as one node."""
    values = [_branch_of(node, branch).node[-1].input[0] for branch in (_THEN, _ELSE)]
    return helper.make_node("Where", [node.input[0], *values], node.output, name=node.name)


def _filled(
    node: onnx.NodeProto,
    moved: dict[str, list[onnx.NodeProto | None]],
    alike: AbstractSet[str],
) -> onnx.NodeProto:
    """The choice with its branches' nodes, in which there may be choices in turn."""
    filled = helper.make_node("If", node.input, node.output, name=node.name)
    for branch, nodes in moved.items():
        old = _branch_of(node, branch)
        own = [one for one in nodes if one is not None]
        results = [info.name for info in old.output]
        inner = with_branches([*own, *old.node], results, alike)
        graph = helper.make_graph(inner, old.name, [], old.output)
        filled.attribute.append(helper.make_attribute(branch, graph))
    return filled
