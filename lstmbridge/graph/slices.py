"""What a tensor depends on within one step: backwards to cells, loop variables and inputs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from lstmbridge.graph.network import Tensor
from lstmbridge.graph.trace import VARIABLES, Tracer

READS = frozenset(
    {
        "TensorArrayRead",
        "TensorArrayReadV2",
        "TensorArrayReadV3",
        "TensorListGetItem",
    }
)
PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
# what only moves numbers: an input seen through these is still that input
MOVES = frozenset(
    {
        "Concat",
        "ConcatV2",
        "Const",
        "ExpandDims",
        "Pack",
        "Range",
        "Rank",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "SplitV",
        "Squeeze",
        "StridedSlice",
        "Transpose",
        "Unpack",
    }
)
# these look at a tensor's shape, not at its numbers
_SHAPES = frozenset({"Rank", "Shape", "ShapeN", "Size", "ZerosLike"})
_MOST = 20_000


@dataclass(frozen=True)
class Slice:
    """What lies between a tensor and where the search stopped.

    Attributes:
        ops: name -> kind of the operations in between, nearest first.
        cells: stops that are a cell's output.
        entries: loop variables.
        others: names of reads of a loop's input, placeholders and variables.
        complete: False where the search was given up.
    """

    ops: dict[str, str]
    cells: tuple[Tensor, ...]
    entries: tuple[Tensor, ...]
    others: tuple[str, ...]
    complete: bool

    def first(self, kinds: Container[str]) -> str | None:
        """The nearest operation of one of these kinds."""
        return next((name for name, kind in self.ops.items() if kind in kinds), None)

    @property
    def computes(self) -> str | None:
        """The nearest operation that does more than move numbers."""
        return next((name for name, kind in self.ops.items() if kind not in MOVES), None)


def slice_back(tracer: Tracer, start: Tensor, cells: Container[Tensor]) -> Slice:
    """Walk back from `start`, stopping at `cells`, loop variables, inputs and variables."""
    network = tracer.network
    ops: dict[str, str] = {}
    found: tuple[dict[Tensor, None], dict[Tensor, None], dict[str, None]] = ({}, {}, {})
    todo = [tracer.resolve(start)]
    seen: set[Tensor] = set()
    while todo and len(seen) < _MOST:
        following: list[Tensor] = []
        for tensor in todo:
            if tensor in seen:
                continue
            seen.add(tensor)
            op = network.op(tensor[0])
            if tensor in cells:
                found[0][tensor] = None
            elif tensor in network.entries:
                found[1][tensor] = None
            elif op.kind in READS or op.kind in PLACEHOLDERS or op.kind in VARIABLES:
                found[2][op.name] = None
            else:
                ops[op.name] = op.kind
                if op.kind in _SHAPES:
                    continue
                following.extend(tracer.resolve(t) for t in op.inputs)
        todo = following
    return Slice(ops, tuple(found[0]), tuple(found[1]), tuple(found[2]), not todo)


_KINDS: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
    ("attention", (frozenset({"Softmax"}),)),
    (
        "highway",
        (frozenset({"MatMul"}), frozenset({"Sigmoid"}), frozenset({"Sub"})),
    ),
    ("projection", (frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "Conv2D"}),)),
    ("embedding", (frozenset({"Gather", "GatherV2", "ResourceGather", "DynamicStitch"}),)),
    ("masking", (frozenset({"Select", "SelectV2", "Merge"}),)),
    ("elementwise", (frozenset({"Add", "AddV2", "AddN", "Mul", "Sub", "RealDiv"}),)),
    ("concatenation", (frozenset({"Concat", "ConcatV2"}),)),
)
"""What a construct is called, by the kinds of operation of which each must occur."""


PHRASES: Mapping[str, str] = {
    "attention": "an attention",
    "highway": "a highway connection",
    "projection": "a projection",
    "embedding": "an embedding lookup",
    "masking": "a choice between tensors",
    "elementwise": "elementwise arithmetic",
    "concatenation": "a concatenation",
    "computation": "a computation",
}
"""What a message calls each kind of construct that `construct_kind` knows."""


def construct_kind(kinds: Iterable[str]) -> tuple[str, frozenset[str]]:
    """(name of the construct, the kinds of operation that gave it away)."""
    present = frozenset(kinds)
    for name, needed in _KINDS:
        if all(present & one for one in needed):
            return name, needed[0]
    return "computation", present
