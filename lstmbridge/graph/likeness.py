"""Are two pieces of a graph the same computation? Asked of their structure, exactly.

Unrolled steps repeat one computation. Two pieces have the same key only where they have the same
operations with the same attributes and constants, wired alike, over the same variables and the
same given inputs: then whatever is computed of the one is computed of the other.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from typing import NamedTuple

from lstmbridge.graph.network import Edge, Op, Tensor
from lstmbridge.graph.trace import Tracer

# where an operation was made or runs; nothing of what it computes
_REMARKS = frozenset({"_class", "_output_shapes"})
_MOST = 2_000


def key_of(
    tracer: Tracer,
    wanted: Sequence[Tensor],
    tensors: Container[Tensor],
    edges: Mapping[Edge, str],
) -> Hashable | None:
    """A key of what `Evaluation` computes of these; None where that cannot be told.

    Args:
        tracer: the graph.
        wanted: the tensors that are computed.
        tensors: those whose values are given; they are part of the key.
        edges: the inputs whose values are given, by what each is given.
    """
    numbers: dict[str, int] = {}
    read: list[list[Hashable]] = []
    kinds: list[Hashable] = []
    ends = [tracer.resolve(tensor) for tensor in wanted]
    todo = [name for name, _ in reversed(ends)]
    while todo:
        name = todo.pop()
        if name in numbers:
            continue
        numbers[name] = len(numbers)
        op = tracer.network.op(name)
        kinds.append(_kind(tracer, op))
        if kinds[-1] is None or len(numbers) > _MOST:
            return None
        sources: list[Hashable] = []
        for position, tensor in enumerate(op.inputs):
            source = tracer.resolve(tensor)
            if (name, position) in edges:
                sources.append(edges[name, position])
            elif source in tensors:
                sources.append(("given", *source))
            else:
                sources.append(_Output(*source))
                todo.append(source[0])
        read.append(sources)
    rows: list[list[Hashable]] = [[_Output(*end) for end in ends], *read]
    return tuple(kinds), tuple(tuple(_numbered(one, numbers) for one in row) for row in rows)


class _Output(NamedTuple):
    """An output of an operation of the piece."""

    name: str
    output: int


def _numbered(source: Hashable, numbers: Mapping[str, int]) -> Hashable:
    """What an input reads, with an operation's number instead of its name."""
    return (numbers[source.name], source.output) if isinstance(source, _Output) else source


def _kind(tracer: Tracer, op: Op) -> Hashable | None:
    """What an operation does to its inputs; None where that cannot be compared."""
    attrs = {name: op.attrs[name] for name in op.attrs if name not in _REMARKS}
    if op.kind == "Const":
        value = tracer.constant((op.name, 0))
        if value is None:
            return None
        attrs["value"] = (value.shape, value.tobytes())
    key = (op.kind, tuple(sorted(attrs.items(), key=lambda item: item[0])))
    try:
        hash(key)
    except TypeError:
        return None
    return key
