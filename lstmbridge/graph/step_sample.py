"""A step of a loop on random numbers: what becomes of its states, whatever its weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.errors import NotRecognised
from lstmbridge.gates import Array
from lstmbridge.graph.evaluate import Evaluation
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.step_found import Step
from lstmbridge.graph.trace import Tracer

_ROWS = (1.0, 3.0, 0.2, 8.0, 1.0, 0.01, 2.0, 1.0, 4.0, 0.5, 1.0, 30.0)
"""Sizes of the rows of random values: where functions differ, and far from it."""


@dataclass(frozen=True)
class Sample:
    """A step on random numbers.

    Attributes:
        h, c: the old states, (rows, units).
        blocks: per block, the same.
        new_h: what becomes of them.
        new_c: likewise, by choice.
        inner: likewise.
    """

    h: Array
    c: Array
    blocks: tuple[Array, ...]
    new_h: Array
    new_c: Mapping[Tensor, Array]
    inner: Mapping[Tensor, Array]

    def few(self, units: int = 6) -> Sample:
        """Of the first units alone."""
        return Sample(
            self.h[:, :units],
            self.c[:, :units],
            tuple(block[:, :units] for block in self.blocks),
            self.new_h[:, :units],
            {t: value[:, :units] for t, value in self.new_c.items()},
            {t: value[:, :units] for t, value in self.inner.items()},
        )


def sample(tracer: Tracer, step: Step, seed: int) -> Sample:
    """Run a step on random blocks and states. Errors: NotRecognised."""
    draw = np.random.default_rng(seed)
    sizes = np.asarray(_ROWS)[:, None]
    h = draw.normal(size=(len(sizes), step.units))
    c = draw.normal(size=h.shape) * np.minimum(sizes, 4.0)
    given: dict[Tensor, Array] = {step.h_before: h}
    if step.c_before == step.h_before:
        c = h
    elif step.c_before is not None:
        given[step.c_before] = c
    drawn = [draw.normal(size=h.shape) * sizes for _ in step.blocks]
    wide: dict[Tensor, list[Array]] = {}
    for block, value in zip(step.blocks, drawn, strict=True):
        wide.setdefault(block.tensor, []).append(value)
    given.update(
        {t: np.concatenate(parts, axis=1) for t, parts in wide.items() if not step.plus[t]}
    )
    for tensor in reversed([t for t in wide if step.plus[t]]):
        value = Evaluation(tracer.network, tracer.resolve, given)
        given[tensor] = np.concatenate(wide[tensor], axis=1) + sum(map(value, step.plus[tensor]))
    evaluation = Evaluation(tracer.network, tracer.resolve, given)
    new = {t: evaluation(t) for t in (step.h, *step.inner)}
    new_c: dict[Tensor, Array] = {}
    for tensor in step.c_choices:
        try:
            value = evaluation(tensor)
        except NotRecognised:
            continue
        if value.shape == h.shape:
            new_c[tensor] = value
    if any(value.shape != h.shape for value in new.values()):
        raise NotRecognised("its states differ in shape", where=step.h[0])
    return Sample(h, c, tuple(drawn), new.pop(step.h), new_c, new)
