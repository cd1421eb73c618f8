"""The word `scan` for interpreters that know how many steps there are: one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.vocabulary import Words

Step = Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]


def stepwise(
    w: Words[Any], step: Step, states: Sequence[Any], sequences: Sequence[Any], *, backward: bool
) -> list[Any]:
    """`Words.scan`.

    Errors: ValueError where the sequences differ in length.
    """
    counts = {int(w.static(w.integer(w.numbers(w.shape(one))[0]))) for one in sequences}
    if len(counts) != 1:
        raise ValueError(f"sequences of {sorted(counts)} steps side by side")
    numbers = range(counts.pop())
    made: dict[int, Sequence[Any]] = {}
    for k in reversed(numbers) if backward else numbers:
        states, made[k] = step(states, [w.index(one, (k,)) for one in sequences])
    if not numbers:
        return _of_no_steps(w, step, states, sequences)
    columns = zip(*(made[k] for k in numbers), strict=True)
    return [w.join([w.unsqueeze(value, 0) for value in column], 0) for column in columns]


def _of_no_steps(
    w: Words[Any], step: Step, states: Sequence[Any], sequences: Sequence[Any]
) -> list[Any]:
    """No elements, of the shapes that a step on zeros gives."""
    blank = [_zeros(w, w.numbers(w.shape(one))[1:], w.kind(one)) for one in sequences]
    _, results = step(states, blank)
    return [_zeros(w, [0, *w.numbers(w.shape(one))], w.kind(one)) for one in results]


def _zeros(w: Words[Any], shape: Sequence[Any], kind: str) -> Any:
    return w.expand(w.literal(np.asarray(0), kind), shape)
