"""What a file of a whole model holds, against what the source says it must hold.

The source's model is laid out again; every weight of that layout must be in the file under its
name, bit for bit, and no other; every node must be there with the attributes that it was given.
So a number, an attribute or a connection that was changed after writing is found and named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from lstmbridge.contracts import LedgerReport
from lstmbridge.targets.onnx.network import Plan
from lstmbridge.targets.onnx.reading import OnnxFile


def accounts(file: OnnxFile, plan: Plan) -> LedgerReport:
    """Compare a file with the layout that it should have. Errors: SourceUnreadable."""
    graph = file.proto.graph
    stored = {one.name for one in graph.initializer}
    wanted = {weight.name: weight for weight in plan.weights}
    different, compared = [], 0
    for name in sorted(stored & set(wanted)):
        right = np.asarray(wanted[name].build())
        compared += right.size
        problem = _difference(file.tensor(name), right)
        different += [f"{name}: {problem}"] if problem else []
    different += _nodes(graph.node, plan.nodes)
    return LedgerReport(
        compared=compared,
        different=tuple(different),
        missing=tuple(sorted(set(wanted) - stored)),
        extra=tuple(sorted(stored - set(wanted))),
    )


def _difference(found: np.ndarray, right: np.ndarray) -> str:
    if found.shape != right.shape or found.dtype != right.dtype:
        return f"{found.dtype} {found.shape} in place of {right.dtype} {right.shape}"
    if found.tobytes() == right.tobytes():
        return ""
    bits = f"V{right.dtype.itemsize}"
    other = np.ascontiguousarray(found).view(bits) != np.ascontiguousarray(right).view(bits)
    first = tuple(int(k) for k in np.argwhere(other)[0])
    return f"{int(other.sum())} of {right.size} numbers, the first at {first}"


def _nodes(found: Sequence[onnx.NodeProto], right: Sequence[onnx.NodeProto]) -> list[str]:
    """How the nodes differ; subgraphs of loops and conds are attributes like others."""
    if len(found) != len(right):
        return [f"{len(found)} nodes in place of {len(right)}"]
    return [
        f"node {two.name or two.op_type}: not as it was written"
        for one, two in zip(found, right, strict=True)
        if one.SerializeToString(deterministic=True) != two.SerializeToString(deterministic=True)
    ]
