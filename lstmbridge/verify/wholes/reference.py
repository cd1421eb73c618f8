"""What is right: the source's graph in float64, and how far rounding alone moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.arrays import UNIT_ROUNDING
from lstmbridge.gates import Array
from lstmbridge.graph.spoken import spoken
from lstmbridge.graph.whole import Whole
from lstmbridge.graph.words_rounding import GraphRounding
from lstmbridge.verify.noise import CHAOS, CONSTANT, WINDOW
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import Probe
from lstmbridge.verify.trials import Trial
from lstmbridge.verify.wholes.feeding import widened

_LEAST_REPLICAS = 16
_STORED: Mapping[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "tf32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}


@dataclass(frozen=True, eq=False)
class Answer:
    """One probe with the reference's answer and what may be allowed.

    Attributes:
        trial: as `sessions.judge` takes it.
        undecided: outputs of whole numbers that rounding alone changes everywhere.
    """

    trial: Trial
    undecided: tuple[str, ...] = ()


def answer(whole: Whole, probe: Probe, precision: str, options: VerifyOptions) -> Answer:
    """Run the graph, and run it again with a rounding error after each operation.

    Errors: as `Whole.run`.
    """
    feeds = widened(probe.feeds)
    with np.errstate(all="ignore"):
        expected = whole.run(feeds)
        runs = [
            rounded(whole, precision, options.seed + k).run(feeds)
            for k in range(max(options.replicas, _LEAST_REPLICAS))
        ]
    straying: dict[str, float] = {}
    floor: dict[str, Array] = {}
    chaotic, undecided = False, []
    for name, values in expected.items():
        others = [np.asarray(run[name]) for run in runs]
        if any(other.shape != values.shape for other in others):
            # how long it is is itself decided by rounding: nothing can be compared
            floor[name], straying[name] = np.asarray(np.inf), float("inf")
            undecided.append(name)
        elif values.dtype.kind == "f":
            off = np.max([np.abs(other - values) for other in others], axis=0)
            straying[name] = float(off.max(initial=0.0))
            floor[name], lost = _allowed(off, values, others, precision)
            chaotic = chaotic or lost
        else:
            changed = np.any([other != values for other in others], axis=0)
            straying[name] = 0.0
            floor[name] = np.where(changed, np.inf, 0.0)
            chaotic = chaotic or bool(changed.any())
            undecided += [name] if values.size and changed.all() else []
    allowed: dict[str, Array] = dict(floor)
    if options.tolerance is not None:
        for name, values in expected.items():
            if values.dtype.kind == "f":
                allowed[name] = np.asarray(options.tolerance)
    trial = Trial(probe, expected, allowed, floor, straying, chaotic, precision)
    return Answer(trial, tuple(undecided))


def rounded(whole: Whole, precision: str, seed: int) -> Whole:
    """The model computed with a rounding error of `precision` after each operation."""
    words = GraphRounding(precision, seed)
    return replace(whole, program=spoken(whole.program, words, precision))


def _allowed(off: Array, values: Array, others: list[Array], precision: str) -> tuple[Array, bool]:
    """What an honest runtime may differ by, and whether rounding decides what comes out."""
    near, size = _near(off), _near(np.abs(values))
    lost = near > CHAOS * size
    anywhere = 2.0 * float(np.max([np.abs(o).max(initial=0.0) for o in others], initial=0.0))
    info = ml_dtypes.finfo(_STORED[precision])  # type: ignore[no-untyped-call]
    stored = UNIT_ROUNDING[precision] * np.abs(values) + float(info.smallest_subnormal)
    return np.where(lost, anywhere, CONSTANT * near) + stored, bool(np.any(lost & (near > 0)))


def _near(sizes: Array) -> Array:
    """The largest nearby: of everything at the same place of the middle axes, or next to it.

    The first axis and the last are pooled (rows and units); between them time may stand.
    """
    if sizes.ndim < 3 or not sizes.size:
        return np.asarray(sizes.max(initial=0.0))
    each = sizes.max(axis=(0, *range(2, sizes.ndim)), initial=0.0)
    padded = np.pad(each, WINDOW)
    near = np.max([padded[k : k + len(each)] for k in range(2 * WINDOW + 1)], axis=0)
    return np.asarray(near.reshape(1, -1, *[1] * (sizes.ndim - 2)))
