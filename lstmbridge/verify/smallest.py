"""The smallest input that still shows a failure: fewer rows, fewer steps, less that is fed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Artifact, Counterexample, Feeds, Outputs
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.compare import compare_outputs, passes
from lstmbridge.verify.numbers import size_of
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import InputSpecs, Probe, frozen
from lstmbridge.verify.sessions import Subject
from lstmbridge.verify.trials import Trial, trial_of

_LARGE = 4_000_000
"""Weights of a network whose runs somebody waits for: the search is cut short."""
_MOST_RUNS, _FEWER_RUNS = 48, 6
"""Of the runtime: a search for comfort must not take longer than the verification."""


def smallest(model: Model, subject: Subject, options: VerifyOptions) -> Counterexample | None:
    """Shrink the smallest trial that failed; None where no trial's outputs were compared."""
    failed = [(t, outputs) for t, outputs in subject.observed if _fails(t, outputs)]
    if not failed or subject.session is None:
        return None
    trial, observed = min(failed, key=lambda pair: pair[0].probe.batch * pair[0].probe.steps)
    specs = subject.thing.signature.inputs if isinstance(subject.thing, Artifact) else ()
    search = _Search(model, subject, options, specs, trial, observed)
    if specs and not options.only_data:
        search.shrink()
    probe = search.trial.probe
    return Counterexample(
        size=f"{probe.batch} x {probe.steps}",
        feeds=dict(probe.feeds),
        expected=dict(search.trial.expected),
        observed={n: np.asarray(v) for n, v in search.observed.items()},
    )


def _fails(trial: Trial, outputs: Outputs) -> bool:
    found = compare_outputs(outputs, trial.expected, trial.allowed, {}, trial.probe.name)
    return not all(passes(one) for one in found.values())


@dataclass
class _Search:
    """The smallest failing trial so far, and what the runtime gave for it."""

    model: Model
    subject: Subject
    options: VerifyOptions
    specs: InputSpecs
    trial: Trial
    observed: Outputs
    runs: int = 0

    def shrink(self) -> None:
        """Try less and less, along every axis that the artifact leaves open."""
        specs = self.specs
        batch, time = next(spec.shape for spec in specs if spec.name == INPUTS)[:2]
        if not isinstance(batch, int):
            any(self._try(_rows(self.trial.probe, [k])) for k in range(self.trial.probe.batch))
        if not isinstance(time, int):
            self._fewer_steps()
        optional = {spec.name for spec in specs if spec.optional}
        for name in [n for n in self.trial.probe.feeds if n in optional]:
            self._try({n: a for n, a in self.trial.probe.feeds.items() if n != name})
        for name in [n for n in self.trial.probe.feeds if n.startswith("initial_")]:
            zeros = np.zeros_like(self.trial.probe.feeds[name])
            self._try({**self.trial.probe.feeds, name: zeros})

    def _fewer_steps(self) -> None:
        steps = self.trial.probe.steps
        wanted = [1, 2, 3, *(2**k for k in range(2, steps.bit_length()))]
        any(self._try(_steps(self.trial.probe.feeds, 0, k)) for k in wanted if k < steps)
        # a fault that needs time to show may need its last steps only
        while self.trial.probe.steps > 1:
            have = self.trial.probe.steps
            if not self._try(_steps(self.trial.probe.feeds, have // 2, have)):
                break

    def _try(self, feeds: Feeds) -> bool:
        """Keep `feeds` in place of what there is, if they fail too."""
        most = _MOST_RUNS if size_of(self.model) < _LARGE else _FEWER_RUNS
        if self.runs >= most or self.subject.session is None:
            return False
        self.runs += 1
        kept = {name: frozen(array) for name, array in feeds.items()}
        probe = Probe(f"{kept[INPUTS].shape[0]} x {kept[INPUTS].shape[1]}", kept)
        trial = trial_of(self.model, self.specs, probe, self.trial.precision, self.options)
        if trial is None:
            return False
        try:
            observed = self.subject.session.run(kept)
        except RuntimeUnavailable:
            return False
        if not _fails(trial, observed):
            return False
        self.trial, self.observed = trial, observed
        return True


def _rows(probe: Probe, rows: list[int]) -> dict[str, Array]:
    return {name: array[rows] for name, array in probe.feeds.items()}


def _steps(feeds: Feeds, start: int, stop: int) -> dict[str, Array]:
    piece = {**feeds, INPUTS: feeds[INPUTS][:, start:stop]}
    if SEQUENCE_LENGTH in feeds:
        lengths = np.clip(feeds[SEQUENCE_LENGTH] - start, 0, stop - start)
        piece[SEQUENCE_LENGTH] = lengths.astype(feeds[SEQUENCE_LENGTH].dtype)
    return piece
