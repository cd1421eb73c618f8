"""How a state begins: zeros, fed, or one row for all sequences, learned or constant.

That all sequences begin alike is proven by numbers: what the state begins with is evaluated for
two sizes of the batch on random variables, and must be one row, the same in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Row, State
from lstmbridge.graph.glue import Gluer
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.slices import PLACEHOLDERS, Slice, slice_back
from lstmbridge.graph.strands import Strand
from lstmbridge.graph.trace import VARIABLES, Tracer
from lstmbridge.graph.variables import shape_of

_BATCHES = (2, 3)
_MOST_AXES = 8
_LARGEST = 1 << 22


def beginning_of(gluer: Gluer, strand: Strand, state: str) -> State:
    """How `state` of a strand begins."""
    tracer, tensor = gluer.tracer, strand.initial[state]
    if tensor is None:
        return State("computed", "")
    node = tracer.resolve(tensor)[0]
    if tracer.is_zeros(tensor):
        return State("zeros", node)
    behind = slice_back(tracer, tensor, gluer.outputs)
    kinds = {tracer.network.op(name).kind for name in behind.others}
    row = _row(gluer, strand, state, behind)
    if row is not None:
        learned = next(iter(row.shapes), "")
        kind = "variable" if learned else "constant" if row({}).any() else "zeros"
        return State(kind, learned or node, row)
    if all(kind in _STATE_MOVES for kind in behind.ops.values()) and not behind.entries:
        if kinds and kinds <= VARIABLES:
            return State("variable", behind.others[0])
        if kinds and kinds <= PLACEHOLDERS:
            return State("fed", node)
    return State("computed", node)


@dataclass(frozen=True, eq=False)
class _Beginning:
    """What a state begins with, for any batch and any numbers of the variables.

    Attributes:
        initial: the tensor that it, or what carries it, begins with.
        carrier: what carries it from step to step, itself or states side by side; None where
            it is not taken out of a loop's variable.
        previous: the state as the cell reads it.
        sizes: operations that give the size of the batch; True where they give a whole shape.
    """

    tracer: Tracer
    initial: Tensor
    carrier: Tensor | None
    previous: Tensor
    sizes: Mapping[str, bool]

    def rows(self, batch: int, numbers: Mapping[str, Array]) -> Array:
        """The state before the first step, (rows, width). Errors: NotRecognised."""
        network = self.tracer.network
        given: dict[Tensor, Array] = {(name, 0): array for name, array in numbers.items()}
        for name, whole in self.sizes.items():
            # whichever axis is asked for, it is as long as the batch
            given[name, 0] = np.full(_MOST_AXES, batch) if whole else np.asarray(batch)
        if self.carrier is None:
            return Evaluation(network, self.tracer.resolve, given)(self.previous)
        begins = Evaluation(network, self.tracer.resolve, given)(self.initial)
        given[self.carrier] = begins
        return Evaluation(network, self.tracer.resolve, given)(self.previous)


def _row(gluer: Gluer, strand: Strand, state: str, behind: Slice) -> Row | None:
    """The one row, None where there is no such one or where that is not proven."""
    tracer, initial = gluer.tracer, strand.initial[state]
    if initial is None or behind.cells or behind.entries or not behind.complete:
        return None
    shapes = _variables(tracer, behind)
    sizes = None if shapes is None else _sizes(tracer, behind)
    if shapes is None or sizes is None:
        return None
    previous = strand.apps[0].previous[state]
    carrier: Tensor | None = gluer.carrier(previous)
    carrier = carrier if carrier in tracer.network.entries else None
    begins = _Beginning(tracer, initial, carrier, previous, sizes)
    width = gluer.queries[strand.layer].state_sizes[state]
    draw = np.random.default_rng(31)
    numbers = {name: draw.normal(size=shape) for name, shape in shapes.items()}
    try:
        values = [begins.rows(batch, numbers) for batch in _BATCHES]
    except LstmBridgeError:
        return None
    if any(v.ndim != 2 or v.shape[1] != width or not len(v) for v in values):
        return None
    if any((v != values[0][0]).any() for v in values):
        return None
    constants = tuple(name for name, kind in behind.ops.items() if kind == "Const")
    return Row(shapes, constants, lambda given: begins.rows(1, given)[0])


def _variables(tracer: Tracer, behind: Slice) -> dict[str, tuple[int, ...]] | None:
    """The variables' shapes; None where one is not known or huge."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in behind.others:
        op = tracer.network.op(name)
        shape = shape_of(op)
        if op.kind in PLACEHOLDERS:
            continue
        if op.kind not in VARIABLES or shape is None or prod(shape) > _LARGEST:
            return None
        shapes[name] = shape
    return shapes


def _sizes(tracer: Tracer, behind: Slice) -> dict[str, bool] | None:
    """Operations that give the size of the batch: True where they give a whole shape.

    None where a placeholder is more than a size.
    """
    sizes: dict[str, bool] = {}
    for name in behind.others:
        op = tracer.network.op(name)
        if op.kind in PLACEHOLDERS:
            if not _is_count(op):
                return None
            sizes[name] = False
    for name, kind in behind.ops.items():
        if kind == "Shape" and not _is_known(tracer, tracer.network.op(name)):
            sizes[name] = True
    return sizes


def _is_count(op: Op) -> bool:
    """Whether a placeholder is for a single whole number."""
    try:
        whole = np.dtype(op.attrs["dtype"]).kind in "iu"
    except (KeyError, TypeError):
        return False
    return whole and op.attrs.get("shape") in ((), None)


def _is_known(tracer: Tracer, op: Op) -> bool:
    """Whether a shape is one of variables and constants, which are all given."""
    behind = slice_back(tracer, op.inputs[0], frozenset())
    kinds = {tracer.network.op(name).kind for name in behind.others}
    return not behind.entries and kinds <= VARIABLES


# between a fed or learned state and the first step: moved about, or repeated for each row
_STATE_MOVES = frozenset(
    {
        "Concat",
        "ConcatV2",
        "Const",
        "ExpandDims",
        "Gather",
        "GatherV2",
        "Pack",
        "Prod",
        "Range",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "SplitV",
        "Squeeze",
        "StridedSlice",
        "Tile",
        "Transpose",
        "Unpack",
    }
)
