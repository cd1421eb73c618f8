"""What goes into a loop over time and what comes out of it: TensorArrays, layout, direction.

Semantics: `dynamic_rnn` reads step t of a time-major tensor from one TensorArray and writes
step t of its output to another; TensorLists are the same thing in TensorFlow 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.masks import is_counter, is_next
from lstmbridge.graph.network import Loop, Op, Tensor
from lstmbridge.graph.slices import READS
from lstmbridge.graph.trace import Tracer

# which input of the operation that fills an array is the whole tensor
_FILLS: Mapping[str, int] = {
    "TensorArrayScatter": 2,
    "TensorArrayScatterV2": 2,
    "TensorArrayScatterV3": 2,
    "TensorArrayUnpack": 1,
    "TensorListFromTensor": 0,
}
# which input of the operation that writes one step is the step's value
_WRITES: Mapping[str, int] = {
    "TensorArrayWrite": 2,
    "TensorArrayWriteV2": 2,
    "TensorArrayWriteV3": 2,
    "TensorListSetItem": 2,
}
_COLLECTS = frozenset(
    {
        "TensorArrayGather",
        "TensorArrayGatherV2",
        "TensorArrayGatherV3",
        "TensorArrayPack",
        "TensorListStack",
    }
)
_LONGEST = 8


@dataclass(frozen=True, slots=True)
class TimeTensor:
    """A tensor over time, as it stands before it is transposed and reversed for a loop.

    Attributes:
        tensor: resolved.
        time_major: time is its first axis.
        reversed: ``no``, ``full`` or ``lengths``.
        lengths: the node that gives the lengths of a reversal by lengths.
    """

    tensor: Tensor
    time_major: bool
    reversed: str
    lengths: str | None = None


def read_sequence(
    tracer: Tracer, read: Op, ahead: Tensor | None = None
) -> tuple[Tensor | None, str]:
    """The time-major tensor of which `read` takes one step per step.

    Args:
        tracer: the graph.
        read: an operation of `READS`.
        ahead: the loop variable that hands the value on to the next step, where one does: then
            the read is of step t + 1, and step 0 is read before the loop.

    Returns:
        The tensor, and ""; or None and why it is not read in order.
    """
    if read.kind not in READS or len(read.inputs) != 3:
        return None, f"does not read a step of a sequence (by {read.name!r})"
    if not _in_order(tracer, read, ahead):
        return None, f"does not read step t at step t (by {read.name!r})"
    carrier = read.inputs[0] if read.kind == "TensorListGetItem" else read.inputs[2]
    fill = tracer.op(carrier)
    position = _FILLS.get(fill.kind)
    if position is None or position >= len(fill.inputs):
        return None, f"reads from a {fill.kind} ({fill.name!r})"
    return fill.inputs[position], ""


def _in_order(tracer: Tracer, read: Op, ahead: Tensor | None) -> bool:
    index = tracer.resolve(read.inputs[1])
    if ahead is None:
        return is_counter(tracer, index)
    if not any(
        is_counter(tracer, tracer.resolve(t)) and is_next(tracer, index, tracer.resolve(t))
        for t in tracer.network.op(index[0]).inputs
    ):
        return False
    _, variable = tracer.network.entries[ahead]
    first = [
        tracer.network.op(t[0])
        for t in tracer.options(variable.initial).tensors
        if not tracer.is_zeros(t)
    ]
    return len(first) == 1 and (
        first[0].kind == read.kind
        and tracer.scalar(first[0].inputs[1]) == 0.0
        and tracer.resolve(first[0].inputs[0]) == tracer.resolve(read.inputs[0])
        and tracer.resolve(first[0].inputs[-1]) == tracer.resolve(read.inputs[-1])
    )


def written_steps(tracer: Tracer, loop: Loop) -> list[tuple[Op, Tensor, tuple[Tensor, ...]]]:
    """(the write, the value of one step, the whole tensors outside) of each output of a loop."""
    found = []
    for variable in loop.variables:
        for tensor in tracer.options(variable.following).tensors:
            write = tracer.network.op(tensor[0])
            position = _WRITES.get(write.kind)
            if position is None or position >= len(write.inputs):
                continue
            wholes = tuple(
                (name, 0)
                for left in variable.exits
                for name, _ in tracer.uses(left)
                if tracer.network.op(name).kind in _COLLECTS
            )
            found.append((write, write.inputs[position], wholes))
    return found


def unwound(tracer: Tracer, tensor: Tensor) -> TimeTensor:
    """See through the transposes and reversals in front of a time-major tensor."""
    axis, reverse, lengths = 0, "no", None
    at = tracer.resolve(tensor)
    for _ in range(_LONGEST):
        op = tracer.network.op(at[0])
        if op.kind == "Transpose" and swaps_time(tracer, op):
            axis = 1 - axis
        elif reverse == "no" and (how := reversal(tracer, op, axis)) is not None:
            reverse = how
            if how == "lengths":
                lengths = tracer.op(op.inputs[1]).name
        else:
            break
        at = tracer.resolve(op.inputs[0])
    return TimeTensor(at, axis == 0, reverse, lengths)


def reversal(tracer: Tracer, op: Op, axis: int) -> str | None:
    """How an operation reverses time, the first or second axis: ``full``, ``lengths`` or None."""
    if op.kind == "ReverseV2" and _axes(tracer, op) == [axis]:
        return "full"
    if op.kind == "Reverse" and _flags(tracer, op) == [axis]:
        return "full"
    by_rows = op.kind == "ReverseSequence" and len(op.inputs) == 2
    if by_rows and (op.attrs.get("seq_dim"), op.attrs.get("batch_dim", 0)) == (axis, 1 - axis):
        return "lengths"
    return None


def swaps_time(tracer: Tracer, op: Op) -> bool:
    """Whether a Transpose exchanges the first two axes and leaves the rest."""
    try:
        order = Evaluation(tracer.network, tracer.resolve)(op.inputs[1])
    except (NotRecognised, IndexError):
        return _made_for_time(tracer, op)
    numbers = [int(k) for k in np.ravel(order)]
    return numbers[:2] == [1, 0] and numbers[2:] == list(range(2, len(numbers)))


def _made_for_time(tracer: Tracer, op: Op) -> bool:
    """``concat([1, 0], range(2, rank))``, with a rank that is known only at run time."""
    if len(op.inputs) != 2:
        return False
    joined = tracer.op(op.inputs[1])
    if joined.kind != "ConcatV2" or len(joined.inputs) != 3:
        return False
    front = tracer.constant(joined.inputs[0])
    rest = tracer.op(joined.inputs[1])
    return (
        front is not None
        and list(front.ravel()) == [1, 0]
        and rest.kind == "Range"
        and len(rest.inputs) == 3
        and tracer.scalar(rest.inputs[0]) == 2
        and tracer.op(rest.inputs[1]).kind == "Rank"
        and tracer.scalar(rest.inputs[2]) == 1
    )


def _axes(tracer: Tracer, op: Op) -> list[int] | None:
    value = tracer.constant(op.inputs[1]) if len(op.inputs) == 2 else None
    return None if value is None else [int(k) for k in value.ravel()]


def _flags(tracer: Tracer, op: Op) -> list[int] | None:
    value = tracer.constant(op.inputs[1]) if len(op.inputs) == 2 else None
    return None if value is None else [k for k, on in enumerate(value.ravel()) if on]
