"""Which runs feed which: a loop's inputs are other loops' outputs, side by side, or summed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.described import Described
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import CellQuery, Construct, Run
from lstmbridge.graph.glue import same
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.sequences import TimeTensor
from lstmbridge.graph.slices import construct_kind, slice_back
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.words import GraphFloat64

_STEPS, _BATCH = 5, 3
_MOST_FEEDERS = 2


@dataclass(frozen=True)
class _Given:
    """Random outputs of runs, and random lengths wherever a sequence is reversed by lengths."""

    tensors: Mapping[Tensor, Array]
    lengths: Array


def joined(
    tracer: Tracer, described: Sequence[Described], queries: Mapping[str, CellQuery]
) -> list[Run]:
    """The runs, with what feeds them."""
    makers = {tensor: d for d in described for tensor in d.outputs}
    return [_joined(tracer, d, described, makers, queries) for d in described]


def _joined(
    tracer: Tracer,
    one: Described,
    described: Sequence[Described],
    makers: Mapping[Tensor, Described],
    queries: Mapping[str, CellQuery],
) -> Run:
    run = one.run
    if one.stack.footing.pair is not None:
        feet = one.stack.footing.pair
        below = [d.run.name for foot in feet for d in described if d.stack.strands[-1] is foot]
        return replace(run, inputs_from=tuple(below))
    if one.source is None:
        return run
    behind = slice_back(tracer, one.source.tensor, makers)
    if not behind.cells:
        return run
    feeders = list({id(makers[t]): makers[t] for t in behind.cells}.values())
    for names, residual in _fitting(tracer, one.source, feeders, makers, queries):
        return replace(run, inputs_from=names, inputs_residual=residual)
    kind, signs = construct_kind(behind.ops.values())
    node = behind.first(signs) or one.source.tensor[0]
    detail = f"between {run.layers[0]} and {feeders[0].run.layers[-1]} stands a {kind}"
    return replace(run, between=(Construct(kind, node, run.layers[0], detail),))


def _fitting(
    tracer: Tracer,
    source: TimeTensor,
    feeders: Sequence[Described],
    makers: Mapping[Tensor, Described],
    queries: Mapping[str, CellQuery],
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """(names, residual) of the ways in which feeders may make the source, that are so."""
    if len(feeders) > _MOST_FEEDERS:
        return
    given = _draw(tracer, feeders, makers, queries)
    try:
        value = Evaluation(tracer.network, tracer.resolve, given.tensors)(source.tensor)
    except NotRecognised:
        return
    if value.ndim != 3:
        return
    value = value if source.time_major else value.transpose(1, 0, 2)
    for order in permutations(feeders):
        parts = [_in_time(feeder, given) for feeder in order]
        names = tuple(feeder.run.name for feeder in order)
        if same(value, np.concatenate(parts, axis=-1)):
            yield names, False
        own = order[0].source
        if len(order) == 1 and own is not None and own.tensor in given.tensors:
            fed = given.tensors[own.tensor]
            fed = fed if own.time_major else fed.transpose(1, 0, 2)
            if same(value, parts[0] + fed):
                yield names, True


def _in_time(feeder: Described, given: _Given) -> Array:
    """A run's random output in the order of its source's time."""
    value = given.tensors[feeder.outputs[0]]
    if feeder.run.reversed == "full":
        return value[::-1]
    if feeder.run.reversed == "lengths":
        return GraphFloat64().reverse_sequence(value, given.lengths, 0, 1)
    return value


def _draw(
    tracer: Tracer,
    feeders: Sequence[Described],
    makers: Mapping[Tensor, Described],
    queries: Mapping[str, CellQuery],
) -> _Given:
    draw = np.random.default_rng(9)
    tensors: dict[Tensor, Array] = {}
    for feeder in feeders:
        top, bottom = queries[feeder.run.layers[-1]], queries[feeder.run.layers[0]]
        value = draw.normal(size=(_STEPS, _BATCH, top.output_size))
        tensors.update((t, value) for t in feeder.outputs)
        source = feeder.source
        if source is not None and source.tensor not in makers and len(feeders) == 1:
            fed = draw.normal(size=(_STEPS, _BATCH, bottom.input_size))
            tensors[source.tensor] = fed if source.time_major else fed.transpose(1, 0, 2)
    lengths = np.asarray([_STEPS, 2, 4], np.int64)
    for op in tracer.network.ops.values():
        if op.kind == "ReverseSequence" and len(op.inputs) == 2:
            tensors[tracer.resolve(op.inputs[1])] = lengths
    return _Given(tensors, lengths)
