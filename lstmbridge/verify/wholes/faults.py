"""Mistakes that a conversion of a whole model could make, each planted in the reference.

Those of every recognised stack are the stack's own (`verify.faults`): the stack's wrong outputs
take the place of the right ones, and the graph goes on from there. Around the stacks, operations
are left out, given their operands in the other order or exchanged for their neighbours, and
weights are dropped, transposed or exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.found_weights import exactly
from lstmbridge.graph.network import Op
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.trace import VARIABLES
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.faults import Fault, planted_faults
from lstmbridge.verify.wholes.ground import Ground
from lstmbridge.verify.wholes.paths import operations_around

MOST_OF_A_KIND = 3
"""Mistakes of one kind that are planted: the first, the last and the middle one of the path."""


@dataclass(frozen=True, eq=False)
class WholeFault:
    """One wrong model: its name, and how it is run where the right one was."""

    name: str
    run: Callable[[Ground], Mapping[str, Array]]


Meaning = Callable[[Any, Op, Sequence[Any]], Sequence[Any]]


def _left_out(_w: Any, _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return [args[0]]


def _swapped(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return OPS[op.kind](w, op, [args[1], args[0], *args[2:]])


def _branches_swapped(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return OPS[op.kind](w, op, [args[0], args[2], args[1]])


def _parts_reversed(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    *parts, axis = args
    if len({np.shape(part) for part in parts}) != 1 or len(parts) < 2:
        raise ValueError("parts of different widths cannot be exchanged unseen")
    return OPS[op.kind](w, op, [*reversed(parts), axis])


def _next_row(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
    rows = np.shape(args[0])[0]
    return OPS[op.kind](w, op, [args[0], (np.asarray(args[1]) + 1) % rows, *args[2:]])


def _as(kind: str) -> Meaning:
    def define(w: Any, op: Op, args: Sequence[Any]) -> Sequence[Any]:
        return OPS[kind](w, replace(op, kind=kind), args)

    return define


_LEFT_OUT = (
    *("Add", "AddV2", "BiasAdd", "Elu", "Exp", "LeakyRelu", "Log", "LogSoftmax", "Mul", "Relu"),
    *("Relu6", "ReverseSequence", "ReverseV2", "Rsqrt", "Selu", "Sigmoid", "Softmax"),
    *("Softplus", "Softsign", "Sqrt", "Square", "Tanh", "Transpose"),
)
_NEIGHBOURS = (
    *(("ArgMax", "ArgMin"), ("Greater", "GreaterEqual"), ("Less", "LessEqual")),
    *(("Max", "Min"), ("Maximum", "Minimum"), ("Mean", "Sum")),
)
_MISTAKES: Mapping[str, tuple[str, Meaning]] = {
    **dict.fromkeys(_LEFT_OUT, ("left out", _left_out)),
    **dict.fromkeys(("FloorDiv", "RealDiv", "Sub"), ("operands exchanged", _swapped)),
    **dict.fromkeys(("Select", "SelectV2"), ("branches exchanged", _branches_swapped)),
    **dict.fromkeys(("Gather", "GatherV2"), ("indices off by one", _next_row)),
    **{one: (f"taken for {other}", _as(other)) for one, other in _NEIGHBOURS},
    **{other: (f"taken for {one}", _as(one)) for one, other in _NEIGHBOURS},
    "ConcatV2": ("parts reversed", _parts_reversed),
}
"""Operation -> how it may be converted wrongly."""


def whole_faults(whole: Whole) -> list[WholeFault]:
    """The mistakes to plant in `whole`, those of its stacks first."""
    around = operations_around(whole)
    return [
        *(fault for place in whole.places for fault in _of_place(place)),
        *_of_weights(whole, [op for op in around if op.kind in VARIABLES]),
        *_of_operations([op for op in around if op.kind in _MISTAKES]),
    ]


def _few(found: Sequence[Op]) -> list[Op]:
    """The first, the middle and the last."""
    if len(found) <= MOST_OF_A_KIND:
        return list(found)
    return [found[0], found[len(found) // 2], found[-1]]


def _of_operations(found: Sequence[Op]) -> Iterator[WholeFault]:
    kinds: dict[str, list[Op]] = {}
    for op in found:
        kinds.setdefault(op.kind, []).append(op)
    for kind, ops in kinds.items():
        for op in _few(ops):
            what, meaning = _MISTAKES[kind]
            yield WholeFault(f"{kind} {op.name} {what}", _misread(op, meaning))


def _misread(op: Op, meaning: Meaning) -> Callable[[Ground], Mapping[str, Array]]:
    def run(ground: Ground) -> Mapping[str, Array]:
        return ground.changed(replace(ground.program, defines={op.name: meaning}), [op.name])

    return run


def _of_weights(whole: Whole, variables: Sequence[Op]) -> Iterator[WholeFault]:
    for op in variables:
        numbers = whole.program.weights(op)
        if numbers.ndim == 2 and numbers.shape[0] == numbers.shape[1] > 1:
            yield _with_weight(op, np.transpose, "transposed")
        if numbers.size > 1:
            yield _with_weight(op, np.zeros_like, "dropped")


def _with_weight(op: Op, wrong: Callable[[Array], Array], what: str) -> WholeFault:
    def run(ground: Ground) -> Mapping[str, Array]:
        right = ground.program.weights

        def weights(asked: Op) -> Array:
            return wrong(right(asked)) if asked.name == op.name else right(asked)

        return ground.changed(replace(ground.program, weights=weights), [op.name])

    return WholeFault(f"weight {op.name} {what}", run)


def _of_place(place: Place) -> Iterator[WholeFault]:
    fed = [INPUTS, *(layer.initial_name(s) for layer in place.model.layers
                     for s in layer.cell.state_sizes)]  # fmt: skip
    fed += [SEQUENCE_LENGTH] if place.lengths is not None else []
    # numbers that were worked out are not rounded in the graph, which is the reference
    for fault in planted_faults(exactly(place.model), fed):
        if not fault.idle:
            yield WholeFault(f"{place.name}: {fault.name}", _wrong_stack(place, fault))


def _wrong_stack(place: Place, fault: Fault) -> Callable[[Ground], Mapping[str, Array]]:
    """The model whose stack is run by a fault in place of the graph."""

    def run(ground: Ground) -> Mapping[str, Array]:
        got = {tensor: ground.value(tensor) for tensor in place.takes}
        if place.step_sources:
            x = np.stack([got[tensor] for tensor in place.step_sources], axis=1)
        else:
            x = got[place.source]
            x = x.transpose(1, 0, 2) if place.time_major else x
        stack = {INPUTS: x}
        if place.lengths is not None:
            stack[SEQUENCE_LENGTH] = got[place.lengths]
        for layer in place.model.layers:
            for state in layer.cell.state_sizes:
                if (layer.name, state) in place.initial:
                    value = got[place.initial[layer.name, state]]
                    stack[layer.initial_name(state)] = value
        wrong = fault.run(stack)
        return ground.changed(replace(ground.program), given=dict(place.handed_on(wrong)))

    return run
