"""Does a place in a graph compute what its model says? Asked by numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.execute import Program
from lstmbridge.graph.found_weights import exactly
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.ports import Shape, shape_of
from lstmbridge.graph.prove import shortest
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.graph.words import GraphFloat64
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH

TOLERANCE = 1e-9
"""Of the largest number in a tensor; float64 leaves about 1e-13 of room for honest rounding."""
_BATCH, _STEPS = 3, 6
_TURNS = 4
_BATCHES = (3, 1, 2, 4, 5, 8, 16, 32, 64, 128)
_LENGTHS = (6, 5, 7, 8, 9, 10, 1, 2, 3, 4, 20, 28, 30, 50, 100)


@dataclass(frozen=True, slots=True)
class _Size:
    batch: int
    steps: int


class _Plainly(GraphFloat64):
    """Takes a graph's single numbers for what they are meant to be: 0.30000001192 for 0.3."""

    def constant(self, value: Array | float) -> Array:
        """Exactly, where it is more than one number."""
        wide = super().constant(value)
        return wide if wide.ndim else np.asarray(shortest(float(wide)))

    def literal(self, array: Array, kind: str) -> Array:
        """Likewise."""
        return self.constant(array) if kind == "float" else super().literal(array, kind)


def departure(whole: Whole, place: Place) -> str:
    """Where a place's graph and its model part, in words; "" where nothing does.

    A graph may be made for one batch size or one length: sizes that it declares are taken, else
    small ones are tried until it can be run.
    """
    tracer = Tracer(whole.program.tracer.network, whole.program.tracer.stops | set(place.takes))
    own = whole.program
    program = Program(Scopes(tracer), own.weights, _Plainly(), own.defines)
    fixed = {s.tensor: s.value for s in whole.settings if s.tensor not in place.takes}
    problem = "it cannot be run on any size"
    for size in _sizes(tracer, place):
        given = _drawn(place, size)
        fed = {**fixed, **_turned(tracer, place, given.tensors), **given.tensors}
        wanted = place.gives
        try:
            got = program.run(fed, wanted, most=size.steps + 1)
        except NotRecognised as err:
            problem = err.read
            continue
        return _compare(place, got, forward(exactly(place.model), given.feeds))
    return problem


@dataclass(frozen=True)
class _Drawn:
    tensors: Mapping[Tensor, Array]
    feeds: Mapping[str, Array]


def _drawn(place: Place, size: _Size) -> _Drawn:
    """Random numbers, as the graph takes them and as the model does."""
    draw = np.random.default_rng(17)
    x = draw.normal(size=(size.batch, size.steps, place.model.input_size))
    feeds: dict[str, Array] = {INPUTS: x}
    tensors: dict[Tensor, Array] = {}
    if place.step_sources:
        for k, tensor in enumerate(place.step_sources):
            tensors[tensor] = x[:, k]
    else:
        tensors[place.source] = x.transpose(1, 0, 2) if place.time_major else x
    if place.lengths is not None:
        rows = draw.integers(0, size.steps + 1, size=size.batch)
        # a loop may end with the longest row, and a row may be empty
        rows[0], rows[-1] = size.steps, 0 if size.batch > 1 else size.steps
        tensors[place.lengths] = feeds[SEQUENCE_LENGTH] = rows
    widths = {(la.name, s): n for la in place.model.layers for s, n in la.cell.state_sizes.items()}
    names = {
        (la.name, s): la.initial_name(s)
        for la in place.model.layers
        for s, _ in [*la.cell.state_sizes.items()]
    }
    for key, tensor in place.initial.items():
        tensors.setdefault(tensor, draw.normal(size=(size.batch, widths[key])))
        feeds[names[key]] = tensors[tensor]
    return _Drawn(tensors, feeds)


def _turned(tracer: Tracer, place: Place, given: Mapping[Tensor, Array]) -> dict[Tensor, Array]:
    """What a reversed sequence was before: how long it is may be asked of that."""
    found: dict[Tensor, Array] = {}
    at = place.source
    if place.step_sources:
        return found
    plain = Tracer(tracer.network)
    value = given[at]
    for _ in range(_TURNS):
        op = tracer.network.op(at[0])
        if op.kind not in {"ReverseV2", "Transpose"}:
            break
        before = plain.resolve(op.inputs[0])
        # both undo themselves, where two axes are exchanged
        try:
            back = Evaluation(tracer.network, plain.resolve, {before: value})(at)
            again = Evaluation(tracer.network, plain.resolve, {before: back})(at)
        except NotRecognised:
            break
        if not np.array_equal(again, value):
            break
        found[before] = value = back
        at = before
    return found


def _sizes(tracer: Tracer, place: Place) -> Iterator[_Size]:
    """The sizes that the graph declares, or those to be tried."""
    batch, steps = _declared(tracer, place)
    tried = set()
    batches = [batch] if batch else list(_BATCHES)
    lengths = [steps] if steps else list(_LENGTHS)
    pairs = [(b, lengths[0]) for b in batches] + [(batches[0], n) for n in lengths]
    pairs += [(b, n) for b in batches[:6] for n in lengths[:6]]
    for pair in pairs:
        if pair not in tried:
            tried.add(pair)
            yield _Size(*pair)


def _declared(tracer: Tracer, place: Place) -> tuple[int | None, int | None]:
    plain = Tracer(tracer.network)
    shape: Shape = shape_of(plain, place.source)
    unrolled = len(place.step_outputs) // len(place.widths) or len(place.step_sources)
    if place.step_sources:
        return shape[0] if shape is not None and len(shape) == 2 else None, unrolled
    if shape is None or len(shape) != 3:
        return None, unrolled or None
    batch, steps = shape[:2] if not place.time_major else shape[1::-1]
    return batch, unrolled or steps


def _compare(place: Place, got: Mapping[Tensor, Array], made: Mapping[str, Array]) -> str:
    finals = {t: f"{key[0]}'s {key[1]}" for key, ts in place.finals.items() for t in ts}
    for tensor, right in place.handed_on(made):
        value, name = got[tensor], finals.get(tensor, "outputs")
        if value.shape != right.shape:
            return f"its {name} have the shape {value.shape}, the model's are {right.shape}"
        worst = float(np.max(np.abs(value - right), initial=0.0))
        # a NaN must not pass
        if not worst <= TOLERANCE * max(1.0, float(np.max(np.abs(right), initial=0.0))):
            return f"its {name} depart from the model's by {worst:.2g}"
    return "" if place.gives else "nothing reads its outputs"
