"""Under which key a SavedModel's checkpoint holds each variable of its graph.

TensorFlow 2 stores variables under the path of the object that owns them
(``variables/0/.ATTRIBUTES/VARIABLE_VALUE``), not under the names that its graph has. Which is
which stands in the graph: its function that restores assigns what it reads under a key to the
variable that is handed to it.
A saver of TensorFlow 1 that was given a mapping does the same.

Source: `tf.raw_ops.RestoreV2`, `tf.raw_ops.AssignVariableOp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lstmbridge.graph.graphdef import FunctionRef, Graph, Node
from lstmbridge.sources.metagraph import ConstTensor

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})
_FARTHEST = 8
"""Operations between what is read and what it is assigned to."""


def keys_of_variables(graph: Graph) -> dict[str, str]:
    """Variable of the graph -> key in the checkpoint, where the graph says one and only one.

    A graph may hold several savers (of the weights, of their averages) that call one variable
    by different keys: such a variable is left out; so is one that is a part of what a key holds.
    """
    found: dict[str, set[str]] = {}
    for variable, key in _assigned(graph.nodes):
        found.setdefault(variable.partition(":")[0], set()).add(key)
    for node in graph.nodes.values():
        called = node.attrs.get("f") if node.op in _CALLS else None
        function = graph.functions.get(called.name) if isinstance(called, FunctionRef) else None
        if function is None:
            continue
        inputs = [text for text in node.inputs if text[:1] != "^"]
        given = dict(zip(function.arguments, inputs, strict=False))
        for argument, key in _assigned(function.nodes):
            variable = given.get(argument, "").partition(":")[0]
            if variable:
                found.setdefault(variable, set()).add(key)
    return {variable: keys.pop() for variable, keys in found.items() if len(keys) == 1}


def _assigned(nodes: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """(variable, or argument that is one; the key it is restored from)."""
    for node in nodes.values():
        if node.op not in _ASSIGNS or len(node.inputs) < 2:
            continue
        key = _key(nodes, node.inputs[1])
        if key:
            yield node.inputs[0], key


def _key(nodes: Mapping[str, Node], text: str) -> str:
    """The key that a value was restored from; "" where it was not."""
    for _ in range(_FARTHEST):
        name, _, output = text.partition(":")
        node = nodes.get(name)
        if node is None or not node.inputs:
            return ""
        if node.op == "RestoreV2":
            names, slices = [*node.inputs[1:3], "", ""][:2]
            # a part of a partitioned variable is restored from a slice: the key holds all of it
            whole = not _named(nodes, slices, output or "0")
            return _named(nodes, names, output or "0") if whole else ""
        if node.op != "Identity":
            return ""
        text = node.inputs[0]
    return ""


def _named(nodes: Mapping[str, Node], names: str, output: str) -> str:
    """Entry ``tensors:k`` of the constant that lists the keys."""
    node = nodes.get(names.partition(":")[0])
    value = None if node is None else node.attrs.get("value")
    number = output.rpartition(":")[2]
    if not isinstance(value, ConstTensor) or not number.isdigit() or len(number) > 8:
        return ""
    listed = value.proto.string_val
    which = int(number)
    return str(listed[which].decode("utf-8", "replace")) if which < len(listed) else ""
