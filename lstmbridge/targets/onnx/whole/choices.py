"""A cond that gives several values is one `If`, where its branches do what may fail.

A cond's values are said one by one, each as an `If` of its own. What two of them need of a
branch belongs to neither alone, and would be computed whether the branch is taken or not: which
is no harm for a product or a sum, but a `Squeeze` of an axis that is longer, or a loop that never
ends, fails there. Such choices are joined, so that what they share can move inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import onnx
from onnx import helper

from lstmbridge.targets.onnx.whole.emitter import captured

_MAY_FAIL = frozenset(
    {
        *("Gather", "GatherElements", "GatherND", "Loop", "Reshape", "ReverseSequence", "Scan"),
        *("ScatterElements", "ScatterND", "Split", "Squeeze", "TopK"),
    }
)
_MOST_READERS = 32
_BRANCHES = ("then_branch", "else_branch")
Reader = tuple[int, str]


def joined(nodes: Sequence[onnx.NodeProto], outside: AbstractSet[str]) -> Sequence[onnx.NodeProto]:
    """The nodes, with choices by one predicate joined where they share what may fail.

    Args:
        nodes: of one graph, in order; every `If` still has one `Identity` in each branch.
        outside: names that are used outside.
    """
    kept = list(nodes)
    while True:
        pair = _sharing(kept, outside)
        if pair is None:
            return kept
        kept = _together(kept, *pair)


def _sharing(nodes: Sequence[onnx.NodeProto], outside: AbstractSet[str]) -> tuple[int, int] | None:
    """Two choices by one predicate that can be joined and share what may fail."""
    choices = {at for at, node in enumerate(nodes) if node.op_type == "If"}
    if len(choices) < 2:
        return None
    users = _users(nodes, outside)
    # by which branches of which choices a node is needed, where by nothing else
    needed: dict[int, frozenset[Reader]] = {-1: frozenset()}
    for at in reversed(range(len(nodes))):
        readers = {user for name in nodes[at].output for user in users.get(name, ())}
        beyond = [
            frozenset({user}) if user[0] in choices and user[1] else needed[user[0]]
            for user in readers
        ]
        found = frozenset().union(*beyond) if all(beyond) else frozenset()
        needed[at] = found if len(found) <= _MOST_READERS else frozenset()
        if nodes[at].op_type not in _MAY_FAIL:
            continue
        places = sorted({place for place, _ in needed[at]})
        ways = {(nodes[place].input[0], branch) for place, branch in needed[at]}
        if len(ways) == 1 and len(places) > 1 and _movable(nodes, places[0], places[1]):
            return places[0], places[1]
    return None


def _users(
    nodes: Sequence[onnx.NodeProto], outside: AbstractSet[str]
) -> Mapping[str, set[Reader]]:
    users: dict[str, set[Reader]] = {name: {(-1, "")} for name in outside}
    for at, node in enumerate(nodes):
        for name in node.input:
            users.setdefault(name, set()).add((at, ""))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                branch = attribute.name if node.op_type == "If" else ""
                for name in captured(attribute.g):
                    users.setdefault(name, set()).add((at, branch))
    return users


def _reads(node: onnx.NodeProto) -> set[str]:
    """Every name that a node takes, its subgraphs' too."""
    found = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found |= captured(attribute.g)
    return found


def _after(nodes: Sequence[onnx.NodeProto], first: int, last: int) -> set[int]:
    """Nodes from `first` to `last` that depend on the first."""
    names, found = set(nodes[first].output), {first}
    for at in range(first + 1, last + 1):
        if not names.isdisjoint(_reads(nodes[at])):
            found.add(at)
            names.update(nodes[at].output)
    return found


def _movable(nodes: Sequence[onnx.NodeProto], first: int, last: int) -> bool:
    return last not in _after(nodes, first, last)


def _together(nodes: Sequence[onnx.NodeProto], first: int, last: int) -> list[onnx.NodeProto]:
    """The nodes with two choices as one, where the second stands; what follows them behind."""
    behind = _after(nodes, first, last)
    one, other = nodes[first], nodes[last]
    both = helper.make_node("If", one.input, [*one.output, *other.output], name=other.name)
    for branch in _BRANCHES:
        a, b = (next(x.g for x in n.attribute if x.name == branch) for n in (one, other))
        graph = helper.make_graph([*a.node, *b.node], b.name, [], [*a.output, *b.output])
        both.attribute.append(helper.make_attribute(branch, graph))
    early = [nodes[at] for at in range(first, last) if at not in behind]
    late = [nodes[at] for at in range(first + 1, last) if at in behind]
    return [*nodes[:first], *early, both, *late, *nodes[last + 1 :]]
