"""Which runs feed which: a loop's inputs are other loops' outputs, side by side, or summed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.described import Described
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.findings import Construct, Query, Run
from lstmbridge.graph.glue import same
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.sequences import TimeTensor
from lstmbridge.graph.slices import PHRASES, construct_kind, slice_back
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.words import GraphFloat64

_STEPS, _BATCH = 5, 3
_MOST_FEEDERS = 8


def joined(
    tracer: Tracer, described: Sequence[Described], queries: Mapping[str, Query]
) -> list[Run]:
    """The runs, with what feeds them."""
    joiner = _Joiner(tracer, described, queries)
    return [joiner.join(one) for one in described]


class _Joiner:
    """Compares what runs are fed with what other runs give, by numbers."""

    def __init__(
        self, tracer: Tracer, described: Sequence[Described], queries: Mapping[str, Query]
    ) -> None:
        self._tracer = tracer
        self._described = described
        self._queries = queries
        self._makers = {tensor: d for d in described for tensor in d.outputs}
        self._lengths = np.asarray([_STEPS, 2, 4], np.int64)
        self._turned_by = {
            tracer.resolve(op.inputs[1])
            for op in (tracer.network.ops.values() if self._makers else ())
            if op.kind == "ReverseSequence" and len(op.inputs) == 2
        }

    def join(self, one: Described) -> Run:
        """The run, with what feeds it."""
        run, pair = one.run, one.stack.footing.pair
        if pair is not None:
            tops = {id(d.stack.strands[-1]): d.run.name for d in self._described}
            return replace(run, inputs_from=tuple(tops[id(s)] for s in pair if id(s) in tops))
        if one.source is None:
            return run
        behind = slice_back(self._tracer, one.source.tensor, self._makers)
        if not behind.cells:
            return run
        feeders = list({id(d): d for d in (self._makers[t] for t in behind.cells)}.values())
        for names, residual in self._fitting(one.source, feeders):
            return replace(run, inputs_from=names, inputs_residual=residual)
        kind, signs = construct_kind(behind.ops.values())
        node = behind.first(signs) or one.source.tensor[0]
        detail = f"between {run.layers[0]} and {feeders[0].run.layers[-1]} stands {PHRASES[kind]}"
        return replace(run, between=(Construct(kind, node, run.layers[0], detail),))

    def _fitting(
        self, source: TimeTensor, feeders: Sequence[Described]
    ) -> Iterator[tuple[tuple[str, ...], bool]]:
        """(names, residual) of the ways in which feeders may make the source, that are so."""
        if len(feeders) > _MOST_FEEDERS:
            return
        given = self._draw(feeders)
        value = self._time_major(source, given)
        if value is None:
            return
        for count in (1, 2):
            for order in permutations(feeders, count):
                parts = [self._in_time(feeder, given) for feeder in order]
                if same(value, np.concatenate(parts, axis=-1)):
                    yield tuple(feeder.run.name for feeder in order), False
        for feeder in feeders:
            fed = None if feeder.source is None else self._time_major(feeder.source, given)
            made = self._in_time(feeder, given)
            if fed is not None and fed.shape == made.shape and same(value, made + fed):
                yield (feeder.run.name,), True

    def _time_major(self, source: TimeTensor, given: Mapping[Tensor, Array]) -> Array | None:
        tracer = self._tracer
        try:
            value = Evaluation(tracer.network, tracer.resolve, given)(source.tensor)
        except NotRecognised:
            return None
        if value.ndim != 3:
            return None
        return value if source.time_major else value.transpose(1, 0, 2)

    def _in_time(self, feeder: Described, given: Mapping[Tensor, Array]) -> Array:
        """A run's random output in the order of its source's time."""
        value = given[feeder.outputs[0]]
        if feeder.run.reversed == "full":
            return value[::-1]
        if feeder.run.reversed == "lengths":
            return GraphFloat64().reverse_sequence(value, self._lengths, 0, 1)
        return value

    def _draw(self, feeders: Sequence[Described]) -> dict[Tensor, Array]:
        """Random outputs, random inputs from outside, and lengths to reverse by."""
        draw = np.random.default_rng(9)
        tensors: dict[Tensor, Array] = dict.fromkeys(self._turned_by, self._lengths)
        for feeder in feeders:
            top, bottom = (self._queries[feeder.run.layers[k]] for k in (-1, 0))
            value = draw.normal(size=(_STEPS, _BATCH, top.output_size))
            tensors.update(dict.fromkeys(feeder.outputs, value))
            source = feeder.source
            fed = draw.normal(size=(_STEPS, _BATCH, bottom.input_size))
            if source is None or slice_back(self._tracer, source.tensor, self._makers).cells:
                continue
            tensors[source.tensor] = fed if source.time_major else fed.transpose(1, 0, 2)
        return tensors
