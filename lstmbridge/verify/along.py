"""Outputs along time: how far a runtime strays from step to step, beside what it may stray.

Sequences are followed step by step on one probe. A final state is what a layer holds after the
last step of a row, so over all probes it is followed by the lengths of their rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lstmbridge.contracts import Outputs, Trace
from lstmbridge.gates import Array
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.trials import Trial

MOST = 200
"""Points of one trace."""
_DIGITS = 4
_WITH_TIME = 3
"""Axes of an output that has time among them: the second one, as the noise floor has it."""

Seen = tuple[Trial, Array]
"""A trial, and what was given for one output."""


def along_time(observed: Sequence[tuple[Trial, Outputs]]) -> dict[str, Trace]:
    """Every output along time; one that could not be compared on any trial is left out.

    Args:
        observed: each trial that was run, with what the runtime gave.
    """
    names = dict.fromkeys(name for trial, _ in observed for name in trial.expected)
    traces = {}
    for name in names:
        seen = [
            (trial, np.asarray(outputs[name]))
            for trial, outputs in observed
            if name in outputs and _comparable(np.asarray(outputs[name]), trial, name)
        ]
        if seen:
            sequence = seen[0][1].ndim >= _WITH_TIME
            traces[name] = _by_step(name, seen) if sequence else _by_length(name, seen)
    return traces


def _comparable(given: Array, trial: Trial, name: str) -> bool:
    expected = trial.expected.get(name)
    if expected is None or given.shape != expected.shape or not given.size or not given.ndim:
        return False
    return bool(np.isfinite(np.asarray(given, np.float64)).all() and np.isfinite(expected).all())


def _beyond(name: str, one: Seen) -> tuple[Array, Array, Array]:
    """Differences, what is allowed, and the one as a multiple of the other."""
    trial, given = one
    off = np.abs(np.asarray(given, np.float64) - np.asarray(trial.expected[name], np.float64))
    allowed = np.broadcast_to(trial.allowed[name], off.shape)
    ratios = np.where(np.isinf(allowed), 0.0, ratio_of(off, allowed))
    return off, allowed, ratios


def _by_step(name: str, seen: Sequence[Seen]) -> Trace:
    """On the longest probe that shows a departure, or else on the longest."""
    wrong = [one for one in seen if (_beyond(name, one)[2] > 1.0).any()]
    trial, given = max(wrong or seen, key=lambda one: (one[1].shape[1], one[1].shape[0]))
    off, allowed, ratios = (np.moveaxis(a, 1, 0) for a in _beyond(name, (trial, given)))
    steps = range(1, len(off) + 1)
    points = [_worst(*parts) for parts in zip(off, allowed, ratios, strict=True)]
    along = "step" if name == OUTPUTS else "place"
    return _thinned(along, trial.probe.name, list(zip(steps, points, strict=True)))


def _by_length(name: str, seen: Sequence[Seen]) -> Trace:
    """Over all probes: the worst of all rows of one length."""
    found: dict[int, tuple[float, float, float]] = {}
    for one in seen:
        off, allowed, ratios = _beyond(name, one)
        lengths = _lengths(one[0].probe.feeds, len(off))
        for row, length in enumerate(lengths):
            point = _worst(off[row], allowed[row], ratios[row])
            found[length] = max(found.get(length, point), point)
    return _thinned("length", "", sorted(found.items()))


def _lengths(feeds: Mapping[str, Array], rows: int) -> list[int]:
    """How long each row's sequence is; the longest that is fed, where nothing says."""
    stated = feeds.get(SEQUENCE_LENGTH)
    if stated is not None and len(stated) == rows:
        return [int(n) for n in stated]
    fed = [feeds[INPUTS]] if INPUTS in feeds else list(feeds.values())
    longest = max((np.shape(a)[1] for a in fed if np.ndim(a) > 1), default=1)
    return [int(longest)] * rows


def _worst(off: Array, allowed: Array, ratios: Array) -> tuple[float, float, float]:
    """(ratio, difference, allowed) where the ratio is largest."""
    k = int(np.argmax(ratios))
    return float(np.ravel(ratios)[k]), float(np.ravel(off)[k]), float(np.ravel(allowed)[k])


def _thinned(
    along: str, probe: str, points: Sequence[tuple[int, tuple[float, float, float]]]
) -> Trace:
    """At most `MOST` points: of neighbours, the one that comes nearest to what is allowed."""
    width = -(-len(points) // MOST)
    groups = [points[k : k + width] for k in range(0, len(points), width)]
    kept = [max(group, key=lambda point: point[1][0]) for group in groups]
    return Trace(
        along=along,
        probe=probe,
        at=tuple(at for at, _ in kept),
        off=tuple(_short(off) for _, (_, off, _) in kept),
        allowed=tuple(_short(allowed) for _, (_, _, allowed) in kept),
    )


def _short(x: float) -> float:
    return float(f"{x:.{_DIGITS}g}")
