"""Trials: probes with the oracle's answer and what may be allowed; and what they could catch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lstmbridge.contracts import FaultReport, Outputs, Progress
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.data import data_probe
from lstmbridge.verify.faults import Fault, planted_faults
from lstmbridge.verify.noise import largest, noise_floor, run_model
from lstmbridge.verify.numbers import WORTH_A_SKETCH, Oracle, Shelf, Sketch, size_of
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import (
    DEFAULT_STEPS,
    InputSpecs,
    Probe,
    blind_probes,
    long_probe,
    seeded_probes,
    shortened,
    stronger_probes,
)
from lstmbridge.verify.sightings import DROWNED, Sighting, margin_of, report_of
from lstmbridge.verify.sought import Search

EXPLOSION = 1e4
"""Seeded probes end before outputs are so many times as large as inputs: past that, gates switch
between exact 0 and 1, and single roundings decide which."""
_MEASURED = 50.0
"""Faults caught by less than this are measured on every probe, so that the weakest is true."""
_PLAIN = 1000.0
"""What float32 shows to depart by more than this many times the floor needs no second look: its
own errors are about one floor."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One probe, ready to judge a runtime.

    Attributes:
        probe: what to feed.
        expected: the oracle's outputs, float64.
        allowed: by output name, broadcasting against the output.
        floor: the noise floor as an allowance, even where the user's tolerance replaced it.
        straying: by output name, the largest straying of the perturbed runs.
        chaotic: rounding alone decides what comes out, somewhere.
        precision: that of the floor.
    """

    probe: Probe
    expected: Outputs
    allowed: Mapping[str, Array]
    floor: Mapping[str, Array]
    straying: Mapping[str, float]
    chaotic: bool
    precision: str


@dataclass(frozen=True, eq=False)
class Experiment:
    """All trials of one precision and set of inputs, and the faults they were tried on."""

    trials: tuple[Trial, ...]
    faults: FaultReport
    infinite: str = ""


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all trials of an experiment share."""

    model: Model
    specs: InputSpecs
    precision: str
    options: VerifyOptions
    shelf: Shelf

    def sketch(self) -> Sketch | None:
        """For a first look at faults, where it is worth it and the precision leaves room."""
        fine = self.precision == "float64" or size_of(self.model) < WORTH_A_SKETCH
        return None if fine else Sketch()


def design(
    model: Model,
    specs: InputSpecs,
    precision: str,
    options: VerifyOptions,
    progress: Progress,
) -> Experiment:
    """Make the trials and find out what they could catch, before any runtime is run.

    Args:
        model: the network.
        specs: what the artifact can be fed.
        precision: of the runtime's arithmetic, a key of `arrays.UNIT_ROUNDING`.
        options: see `VerifyOptions`.
        progress: called with ``"oracle"`` and ``"faults"``.

    Raises:
        UsageError: the user's data do not fit the artifact's inputs.
    """
    probes = [] if options.only_data else seeded_probes(model, specs, options)
    if options.data is not None:
        probes.append(data_probe(specs, options.data))
    setting = _Setting(model, specs, precision, options, Shelf(model))
    trials = []
    for k, probe in enumerate(probes):
        progress("oracle", k, len(probes))
        trials.append(_calm_trial(setting, probe))
    progress("oracle", len(probes), len(probes))
    finite = [trial for trial in trials if _finite(trial, precision)]
    if len(finite) < len(trials):
        bad = next(trial.probe.name for trial in trials if trial not in finite)
        return Experiment(tuple(finite), FaultReport(0, 0), infinite=bad)
    return _with_faults(setting, finite, progress)


def outlasted(
    experiment: Experiment, model: Model, specs: InputSpecs, precision: str, options: VerifyOptions
) -> Experiment:
    """The experiment with a trial of many more steps, for what begins late in an artifact.

    Its length is halved until rounding does not decide it; no longer than others, it is left out.
    """
    longest = max((trial.probe.steps for trial in experiment.trials), default=0)
    if options.only_data or longest < DEFAULT_STEPS:
        return experiment  # others were shortened already, or given
    setting = _Setting(model, specs, precision, options, Shelf(model))
    probe = long_probe(model, specs, options)
    while probe is not None and probe.steps > longest:
        trial = _trial(setting, probe)
        if _calm(trial, precision):
            return replace(experiment, trials=(*experiment.trials, trial))
        probe = shortened(probe, probe.steps // 2)
    return experiment


def _finite(trial: Trial, precision: str) -> bool:
    limit = largest(precision)
    sizes = [np.abs(values).max(initial=0.0) for values in trial.expected.values()]
    return all(bool(size <= limit) for size in [*sizes, *trial.straying.values()])


def _calm(trial: Trial, precision: str) -> bool:
    """Not chaotic, and of a size that trained networks have: a relu may grow without bound."""
    bound = EXPLOSION * (1.0 + float(np.abs(trial.probe.feeds[INPUTS]).max()))
    size = max(float(np.abs(values).max()) for values in trial.expected.values())
    return not trial.chaotic and size <= bound and _finite(trial, precision)


def _trial(setting: _Setting, probe: Probe) -> Trial:
    precision, options = setting.precision, setting.options
    run = partial(run_model, setting.model)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = _asked_for(run(probe.feeds, Oracle(setting.shelf)), options)
        floor = noise_floor(
            run,
            probe.feeds,
            expected,
            precision,
            seed=options.seed,
            replicas=options.replicas,
            shelf=setting.shelf,
        )
    allowed = floor.allowed
    if options.tolerance is not None:
        allowed = {name: np.asarray(options.tolerance) for name in expected}
    return Trial(
        probe, expected, allowed, floor.allowed, floor.straying, bool(floor.chaotic), precision
    )


def _asked_for(outputs: dict[str, Array], options: VerifyOptions) -> dict[str, Array]:
    wanted = options.outputs or tuple(outputs)
    return {name: values for name, values in outputs.items() if name in wanted}


def trial_of(
    model: Model, specs: InputSpecs, probe: Probe, precision: str, options: VerifyOptions
) -> Trial | None:
    """One more trial, of any probe; None where the oracle itself does not stay finite."""
    trial = _trial(_Setting(model, specs, precision, options, Shelf(model)), probe)
    return trial if _finite(trial, precision) else None


def calm_trial_of(
    model: Model, specs: InputSpecs, probe: Probe, precision: str, options: VerifyOptions
) -> Trial | None:
    """Likewise, shortened until it neither explodes nor is decided by rounding."""
    trial = _calm_trial(_Setting(model, specs, precision, options, Shelf(model)), probe)
    return trial if _finite(trial, precision) else None


def _calm_trial(setting: _Setting, probe: Probe) -> Trial:
    """The trial of a probe, halved until it neither explodes nor is decided by rounding.

    The user's own sequences, and those of an artifact with a fixed time axis, stay whole.
    """
    trial = _trial(setting, probe)
    time = next(spec.shape[1] for spec in setting.specs if spec.name == INPUTS)
    while not _calm(trial, setting.precision) and trial.probe.steps > 1:
        if probe.own or isinstance(time, int):
            break
        trial = _trial(setting, shortened(trial.probe, trial.probe.steps // 2))
    return trial


_MOST_SOUGHT = 16
"""Faults that probes are sought for; where more are open, the weights or the bits are to blame."""
_LOUD = frozenset({"gates clipped"})
"""Faults that loud inputs alone show: what was recorded elsewhere need not hold any."""


def _with_faults(setting: _Setting, trials: list[Trial], progress: Progress) -> Experiment:
    faults = planted_faults(setting.model, [spec.name for spec in setting.specs])
    if setting.options.only_data:
        faults = [fault for fault in faults if fault.name not in _LOUD]
    look = partial(_look, oracle=Oracle(setting.shelf), sketch=setting.sketch())
    seen = {fault.name: Sighting() for fault in faults}
    for k, fault in enumerate(faults):
        progress("faults", k, len(faults))
        look(fault, seen[fault.name], [] if fault.idle else _by_cost(trials), until=_MEASURED)
    progress("faults", len(faults), len(faults))
    margin = margin_of(setting.precision)
    open_ = [f for f in faults if not f.idle and seen[f.name].ratio <= margin]
    if open_ and setting.options.only_data:
        _could_be_seen(setting, {f: seen[f.name] for f in open_}, look)
    elif open_:
        given = (setting.model, setting.specs, setting.options)
        stronger = (_calm_trial(setting, probe) for probe in stronger_probes(*given))
        trials.extend(_catching(stronger, open_, seen, look, setting.precision))
        hidden = [fault for fault in open_ if seen[fault.name].floor_ratio <= DROWNED]
        blind = (_trial(setting, probe) for probe in blind_probes(*given))
        trials.extend(_catching(blind, hidden, seen, look, setting.precision))
        left = [fault for fault in open_ if seen[fault.name].ratio <= margin]
        sought = _sought(setting, left, seen)
        trials.extend(_catching(sought, left, seen, look, setting.precision))
    return Experiment(tuple(trials), report_of(seen, setting.precision))


def _catching(
    trials: Iterable[Trial],
    open_: Sequence[Fault],
    seen: Mapping[str, Sighting],
    look: Callable[..., None],
    precision: str,
) -> Iterator[Trial]:
    """Those of `trials` that catch a fault of `open_`; the last that is made catches the last.

    What a trial could catch counts only if the runtimes are run on it, too.
    """
    margin = margin_of(precision)
    makers = iter(trials)
    while open_ and (trial := next(makers, None)) is not None:
        if not _finite(trial, precision):
            continue
        for fault in open_:
            look(fault, seen[fault.name], [trial], until=margin)
        left = [fault for fault in open_ if seen[fault.name].ratio <= margin]
        if len(left) < len(open_):
            yield trial
        open_ = left


def _sought(
    setting: _Setting, open_: Sequence[Fault], seen: Mapping[str, Sighting]
) -> Iterator[Trial]:
    """Trials on rows that were bred to show the faults still open, the hidden ones first."""
    given = (setting.model, setting.specs, setting.options.seed, setting.precision)
    search, margin = Search(*given, explosion=EXPLOSION), margin_of(setting.precision)
    for fault in sorted(open_, key=lambda f: seen[f.name].floor_ratio)[:_MOST_SOUGHT]:
        probes = search.probes(fault)
        while seen[fault.name].ratio <= margin and (probe := next(probes, None)) is not None:
            yield _trial(setting, probe)


def _could_be_seen(
    setting: _Setting, open_: Mapping[Fault, Sighting], look: Callable[..., None]
) -> None:
    """Whether other data than the user's would show these faults: then they are missed here."""
    given = (setting.model, setting.specs, setting.options)
    calm = (_calm_trial(setting, probe) for probe in seeded_probes(*given))
    blind = (_trial(setting, probe) for probe in blind_probes(*given))
    bred = _sought(setting, list(open_), {f.name: s for f, s in open_.items()})
    for trials, sought in ((calm, np.inf), (blind, DROWNED), (bred, DROWNED)):
        hidden = [s for s in open_.items() if s[1].floor_ratio <= sought]
        for trial in trials if hidden else ():
            for fault, sighting in hidden if _finite(trial, setting.precision) else ():
                elsewhere = Sighting()
                look(fault, elsewhere, [trial], until=margin_of(setting.precision))
                sighting.floor_ratio = max(sighting.floor_ratio, elsewhere.floor_ratio)


def _by_cost(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda t: (t.probe.steps < 2, t.probe.steps * t.probe.batch))


def _look(
    fault: Fault,
    sighting: Sighting,
    trials: Sequence[Trial],
    *,
    until: float,
    oracle: Oracle,
    sketch: Sketch | None,
) -> None:
    """Run the fault on one trial after the other until it stands out by more than `until`.

    Where a sketch in float32 shows it so far out that float32's own errors are nothing beside
    it, that is its distance; else it is run in float64.
    """
    for trial in trials:
        ratio, floor_ratio = 0.0, 0.0
        if sketch is not None:
            ratio, floor_ratio = _distances(fault, trial, sketch)
        if not (_PLAIN < ratio < np.inf and _PLAIN < floor_ratio < np.inf):
            ratio, floor_ratio = _distances(fault, trial, oracle)
        sighting.ratio = max(sighting.ratio, ratio)
        sighting.floor_ratio = max(sighting.floor_ratio, floor_ratio)
        if sighting.ratio > until:
            return


def _distances(fault: Fault, trial: Trial, ops: Oracle | Sketch) -> tuple[float, float]:
    """How far the fault departs, as multiples of what is allowed and of the noise floor."""
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = fault.run(trial.probe.feeds, ops)
    return (
        departure(wrong, trial.expected, trial.allowed),
        departure(wrong, trial.expected, trial.floor),
    )


def departure(actual: Outputs, expected: Outputs, allowed: Mapping[str, Array]) -> float:
    """Largest difference over all outputs, as a multiple of what is allowed."""
    return max(
        float(ratio_of(np.abs(np.asarray(actual[name], np.float64) - values), allowed[name]).max())
        for name, values in expected.items()
    )
