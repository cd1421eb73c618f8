"""Which planted mistake gives just the numbers that a wrong artifact gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstmbridge.contracts import Outputs
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Whole
from lstmbridge.verify.trials import Trial
from lstmbridge.verify.wholes.faults import WholeFault, whole_faults
from lstmbridge.verify.wholes.feeding import widened
from lstmbridge.verify.wholes.ground import Ground
from lstmbridge.verify.wholes.trials import far

_TRIED = 2
"""Probes on which a mistake must give what was observed."""
_ROOM = 4.0
"""A wrong model strays by rounding as the right one does, not by exactly as much."""
_SHOWN = 2
Observed = tuple[Trial, Outputs]


def like(whole: Whole, observed: Sequence[Observed]) -> str:
    """The mistakes whose outputs are those observed, in words; "" where none is.

    A mistake must give them on the smallest probes that depart, and itself depart there.
    """
    departed = [
        (trial, outputs)
        for trial, outputs in observed
        if set(trial.expected) <= set(outputs) and far(outputs, trial.expected, trial.allowed) > 1
    ]
    departed.sort(key=lambda pair: sum(a.size for a in pair[0].probe.feeds.values()))
    tried = departed[:_TRIED]
    if not tried:
        return ""
    grounds = [Ground(whole, widened(trial.probe.feeds)) for trial, _ in tried]
    pairs = [(*one, ground) for one, ground in zip(tried, grounds, strict=True)]
    found = [
        fault.name
        for fault in whole_faults(whole)
        if all(_gives(fault, ground, trial, outputs) for trial, outputs, ground in pairs)
    ]
    if not found:
        return ""
    more = f", or with {len(found) - _SHOWN} more mistakes" if len(found) > _SHOWN else ""
    return f"it equals the source with this mistake: {', or '.join(found[:_SHOWN])}{more}"


def _gives(fault: WholeFault, ground: Ground, trial: Trial, outputs: Outputs) -> bool:
    try:
        wrong = fault.run(ground)
    except LstmBridgeError:
        return False
    own = far(wrong, trial.expected, trial.allowed)
    return own > _ROOM and far(outputs, wrong, _allowed(trial, wrong)) <= _ROOM


def _allowed(trial: Trial, wrong: Outputs) -> dict[str, Array]:
    """What may be allowed of a mistake's outputs, which may have other shapes; else nothing."""
    found: dict[str, Array] = {}
    for name, limit in trial.allowed.items():
        alike = np.shape(wrong[name]) == trial.expected[name].shape
        largest = np.max(limit, initial=0.0)
        found[name] = limit if alike else np.asarray(largest if np.isfinite(largest) else 0.0)
    return found
