"""Trials of a whole model: probes, the graph's answers, and the mistakes they would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lstmbridge.arrays import UNIT_ROUNDING
from lstmbridge.contracts import FaultReport, Outputs, Progress, TensorSpec
from lstmbridge.errors import LstmBridgeError, UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Whole
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import Probe
from lstmbridge.verify.sightings import DROWNED, MARGIN
from lstmbridge.verify.trials import Trial
from lstmbridge.verify.wholes.faults import WholeFault, whole_faults
from lstmbridge.verify.wholes.feeding import (
    Recipe,
    own_probe,
    recipe_of,
    seeded,
    stronger,
    widened,
)
from lstmbridge.verify.wholes.ground import Ground
from lstmbridge.verify.wholes.reference import Answer, answer


@dataclass(frozen=True, eq=False)
class Trials:
    """What one precision is judged by.

    Attributes:
        doubts: why some of it proves nothing.
    """

    answers: tuple[Answer, ...]
    faults: FaultReport
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def design(
    whole: Whole,
    specs: tuple[TensorSpec, ...],
    precision: str,
    options: VerifyOptions,
    report: Progress,
) -> Trials:
    """Probes that the graph can be run on, its answers, and the mistakes they would show."""
    nothing = FaultReport(0, 0)
    answers: list[Answer] = []
    remarks: list[str] = []
    recipe, doubt = _recipe(whole, options)
    recipe = None if options.only_data else recipe
    probes = [] if recipe is None else [p for _, p in seeded(whole, recipe, options)]
    if options.data is not None:
        probes.append(_own(whole, specs, options))
    for k, probe in enumerate(probes):
        report("oracle", k, len(probes))
        try:
            answers.append(answer(whole, probe, precision, options))
        except LstmBridgeError as error:
            remarks.append(
                f"probe {probe.name}: the source itself cannot be run on it: {error.read}"
            )
    report("oracle", len(probes), len(probes))
    finite = [a for a in answers if _finite(a.trial)]
    if not finite:
        reason = doubt or "the source itself does not stay finite on any probe"
        return Trials((), nothing, (f"nothing could be fed: {reason}; give --data FILE",), ())
    louder = [] if recipe is None else [p for _, p in stronger(whole, recipe, options)]
    patient = replace(whole, most=_patience(whole, [a.trial.probe for a in finite]))
    faults = _seen(patient, finite, precision, options, louder, report)
    undecided = {name for one in finite for name in one.undecided}
    decided = {n for one in finite for n in one.trial.expected if n not in one.undecided}
    doubts = [
        f"output {name}: rounding alone decides what comes out, nothing was proved"
        for name in sorted(undecided - decided)
    ]
    if doubt:
        doubts.append(f"no probe of our own could be fed: {doubt}")
    remarks += [
        f"{a.trial.probe.name}: rounding alone decides part of what comes out; there, only "
        "what it leaves was compared"
        for a in finite
        if a.trial.chaotic
    ]
    return Trials(tuple(finite), faults, tuple(doubts), tuple(remarks))


def _recipe(whole: Whole, options: VerifyOptions) -> tuple[Recipe | None, str]:
    try:
        return recipe_of(whole, options.seed), ""
    except ValueError as error:
        return None, "" if options.data is not None else str(error)


def _own(whole: Whole, specs: tuple[TensorSpec, ...], options: VerifyOptions) -> Probe:
    try:
        return own_probe(whole, specs, options.data or {})
    except (ValueError, TypeError) as error:
        raise UsageError(
            str(error), expected="every input of the model, by its name", where="--data"
        ) from error


def _finite(trial: Trial) -> bool:
    return all(bool(np.isfinite(v).all()) for v in trial.expected.values() if v.dtype.kind == "f")


def _seen(  # noqa: PLR0917
    whole: Whole,
    answers: Sequence[Answer],
    precision: str,
    options: VerifyOptions,
    louder: Sequence[Probe],
    report: Progress,
) -> FaultReport:
    """Run every mistake on one probe after the other until it stands out."""
    trials = sorted((a.trial for a in answers), key=_cost)
    faults = whole_faults(whole)
    found = _departures(whole, faults, trials, report)
    for probe in louder:
        missed = [f for f in faults if f.name in found and found[f.name][0] <= MARGIN]
        missed = [f for f in missed if found[f.name][1] > _still(precision)]
        if not missed:
            break
        try:
            extra = answer(whole, probe, precision, options).trial
        except LstmBridgeError:
            # the graph may not take this size
            continue
        for name, more in _departures(whole, missed, [extra][: _finite(extra)], _silent).items():
            old = found[name]
            found[name] = (max(old[0], more[0]), max(old[1], more[1]))
    report("faults", len(faults), len(faults))
    return _reported(found, precision)


def _patience(whole: Whole, probes: Sequence[Probe]) -> int:
    """Steps that a loop may take before it counts as one that a mistake made endless."""
    most = 64
    while most < whole.most:
        bounded = replace(whole, most=most)
        try:
            for probe in probes:
                bounded.run(widened(probe.feeds))
        except LstmBridgeError:
            most *= 4
        else:
            break
    return most


def _cost(trial: Trial) -> int:
    return sum(int(a.size) for a in trial.probe.feeds.values())


def _departures(
    whole: Whole, faults: Sequence[WholeFault], trials: Sequence[Trial], report: Progress
) -> dict[str, tuple[float, float]]:
    """(times what is allowed, times the noise floor) of each that can be run at all.

    Probe by probe, so that only one right run is held at a time; what stands out is not run on
    the next one.
    """
    found: dict[str, tuple[float, float]] = {}
    left = list(faults)
    for trial in trials:
        ground = Ground(whole, widened(trial.probe.feeds))
        still: list[WholeFault] = []
        for k, fault in enumerate(left):
            report("faults", len(faults) - len(left) + k - len(still), len(faults))
            try:
                wrong = fault.run(ground)
            except LstmBridgeError:
                still.append(fault)
                continue
            ratio = far(wrong, trial.expected, trial.allowed)
            floor = far(wrong, trial.expected, trial.floor)
            old = found.get(fault.name, (0.0, 0.0))
            found[fault.name] = (max(old[0], ratio), max(old[1], floor))
            if found[fault.name][0] <= 5 * MARGIN:
                still.append(fault)
        left = still
    return found


def _silent(_what: str, _done: int, _of: int) -> None:
    """Nobody watches."""


def far(wrong: Outputs, right: Outputs, allowed: Mapping[str, Array]) -> float:
    """How many times what is allowed the worst number is off; infinite for another shape."""
    worst = 0.0
    for name, values in right.items():
        other = np.asarray(wrong[name])
        if other.shape != values.shape:
            return float("inf")
        if not values.size:
            continue
        off = np.abs(other.astype(np.float64) - values.astype(np.float64))
        worst = max(worst, float(ratio_of(off, np.broadcast_to(allowed[name], off.shape)).max()))
    return worst


def _still(precision: str) -> float:
    """A mistake that moves nothing by more than float64's rounding is none on these weights."""
    return 16.0 * UNIT_ROUNDING["float64"] / UNIT_ROUNDING[precision]


def _reported(found: Mapping[str, tuple[float, float]], precision: str) -> FaultReport:
    still = _still(precision)
    drowned = [name for name, (_, floor) in found.items() if still < floor <= DROWNED]
    same = [name for name, (_, floor) in found.items() if floor <= still] + drowned
    ratios = {name: ratio for name, (ratio, _) in found.items() if name not in same}
    caught = {name: ratio for name, ratio in ratios.items() if ratio > MARGIN}
    missed = tuple(name for name in ratios if name not in caught)
    return FaultReport(
        planted=len(ratios),
        caught=len(caught),
        indistinguishable=tuple(same),
        missed=missed,
        weakest=min(caught.items(), key=lambda item: item[1]) if caught else None,
        caught_names=tuple(caught),
        ratios=ratios,
        drowned=tuple(drowned),
    )
