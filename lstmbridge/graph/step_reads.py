"""One step of a sequence by slicing, and the last step of what a loop has written.

`x[:, t]` in a loop over t reads step t as a TensorArray's read does; `outputs[-1]` of what a
loop wrote is the state after its last step. Both are told by numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.masks import is_counter
from lstmbridge.graph.network import Loop, Op, Tensor
from lstmbridge.graph.sequences import written_steps
from lstmbridge.graph.slices import slice_back
from lstmbridge.graph.trace import Tracer

_SLICES = frozenset({"Gather", "GatherV2", "Reshape", "Slice", "Squeeze", "StridedSlice"})
_RESERVES = frozenset({"EmptyTensorList", "TensorArrayV3", "TensorListReserve"})
_LONGEST = 4
_BATCH, _STEPS = 3, 5
_LENGTHS = (4, 7)


def sliced_step(tracer: Tracer, tensor: Tensor, width: int) -> tuple[Tensor, bool] | None:
    """(sequence, time-major) of which `tensor` is step t at step t of a loop; else None.

    Args:
        tracer: the graph.
        tensor: inside a loop.
        width: features of the sequence.
    """
    at = tracer.resolve(tensor)
    for _ in range(_LONGEST):
        op = tracer.network.op(at[0])
        if op.kind not in _SLICES or not op.inputs or at in tracer.stops:
            return None
        at = tracer.resolve(op.inputs[0])
        counters = [
            entry
            for more in op.inputs[1:]
            for entry in slice_back(tracer, more, {at}).entries
            if is_counter(tracer, entry)
        ]
        if counters:
            major = _reads_in_order(tracer, tensor, at, counters[0], width)
            return None if major is None else (at, major)
    return None


def _reads_in_order(
    tracer: Tracer, tensor: Tensor, whole: Tensor, counter: Tensor, width: int
) -> bool | None:
    """Whether steps are rows of the first axis, else of the second; None where of neither."""
    sequence = np.random.default_rng(12).normal(size=(_BATCH, _STEPS, width))
    for major in (True, False):
        given = sequence.transpose(1, 0, 2) if major else sequence
        try:
            steps = [
                Evaluation(tracer.network, tracer.resolve, {whole: given, counter: np.asarray(t)})(
                    tensor
                )
                for t in range(_STEPS)
            ]
        except NotRecognised:
            continue
        if all(np.array_equal(step, sequence[:, t]) for t, step in enumerate(steps)):
            return major
    return None


def keeps_one(tracer: Tracer, write: Op) -> bool:
    """Whether a write overwrites the one element of a list, step after step."""
    if tracer.scalar(write.inputs[1]) != 0.0:
        return False
    for tensor in (write.inputs[0], write.inputs[-1]):
        found = tracer.network.entries.get(tracer.resolve(tensor))
        begins = None if found is None else tracer.op(found[1].initial)
        if begins is not None and begins.kind in _RESERVES:
            return any(tracer.scalar(size) == 1.0 for size in begins.inputs)
    return False


def last_steps(tracer: Tracer, loop: Loop, made: Tensor) -> Iterator[Tensor]:
    """Tensors outside of a loop that are the last of `made`, by what it has written."""
    for write, value, wholes in written_steps(tracer, loop):
        if tracer.resolve(value) != made:
            continue
        one = keeps_one(tracer, write)
        if not one and not is_counter(tracer, tracer.resolve(write.inputs[1])):
            continue
        for whole in wholes:
            for name, position in tracer.uses(whole):
                op = tracer.network.op(name)
                if op.kind == "StridedSlice" and not position:
                    lengths = (1,) if one else _LENGTHS
                    if all(_is_last(tracer, (name, 0), whole, length) for length in lengths):
                        yield name, 0


def _is_last(tracer: Tracer, tensor: Tensor, whole: Tensor, length: int) -> bool:
    given = np.random.default_rng(13).normal(size=(length, _BATCH, 2))
    try:
        value = Evaluation(tracer.network, tracer.resolve, {tracer.resolve(whole): given})(tensor)
    except NotRecognised:
        return False
    return bool(np.array_equal(value, given[-1]))
