"""Packs of whole models: what the source's own graph computes, under its own names."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmbridge import __version__
from lstmbridge.contracts import Artifact, Hints, Progress, Source, States, TensorSpec
from lstmbridge.errors import NotRecognised, UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.metadata import fact_as_json
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.probes import Probe, frozen
from lstmbridge.verify.trials import Experiment
from lstmbridge.verify.wholes import facts_of
from lstmbridge.verify.wholes.trials import Trials, design
from lstmbridge.whole_models import whole_from

Recorded = tuple[dict[str, Any], dict[str, Experiment]]
"""What stands in a manifest, and the experiments by precision."""


def record_whole(
    source: Source, hints: Hints, options: VerifyOptions, progress: Progress
) -> Recorded:
    """What a whole model computes, in the precisions of its artifacts.

    Raises:
        NotRecognised: no probe can be made that the graph runs on.
        LstmBridgeError: as `whole_models.whole_from`.
    """
    whole, _ = whole_from(source, hints)
    specs = tuple(_spec(port) for port in whole.inputs)
    wide = any(port.dtype == np.float64 for port in (*whole.inputs, *whole.outputs))
    experiments: dict[str, Experiment] = {}
    doubts: dict[str, None] = {}
    for precision in ("float32", *(("float64",) if wide else ())):
        trials = design(whole, specs, precision, options, progress)
        if not trials.answers:
            raise _nothing(trials, source)
        experiments[precision] = Experiment(tuple(a.trial for a in trials.answers), trials.faults)
        doubts.update(dict.fromkeys(trials.doubts))
    return _manifest(source, whole, options, list(doubts)), experiments


def _nothing(trials: Trials, source: Source) -> NotRecognised:
    return NotRecognised(
        f"nothing can be recorded: {'; '.join(trials.doubts) or 'no probe fits the graph'}",
        expected="a graph that runs on sequences made from its inputs' shapes",
        where=str(source.path),
        advice="name other inputs and outputs with --inputs and --outputs",
    )


def _spec(port: Port) -> TensorSpec:
    axes = enumerate(port.shape or ())
    return TensorSpec(port.name, tuple(n or f"axis{k}" for k, n in axes), port.dtype)


def _manifest(
    source: Source, whole: Whole, options: VerifyOptions, doubts: list[str]
) -> dict[str, Any]:
    return {
        "lstmbridge": __version__,
        "numpy": np.__version__,
        "source": {
            "format": source.format,
            "producer": source.producer,
            "sha256": source.sha256(),
            "part": "",
        },
        "whole": {
            "inputs": [port.name for port in whole.inputs],
            "outputs": [port.name for port in whole.outputs],
            "stacks": [place.name for place in whole.places],
            "doubts": doubts,
        },
        "facts": {name: fact_as_json(fact) for name, fact in facts_of(whole).items()},
        "seed": options.seed,
        "asked": {
            "states": States.NONE.value,
            "sequence_length": False,
            "batch": options.batch,
            "steps": options.steps,
            "replicas": options.replicas,
        },
    }


def fitted(probe: Probe, artifact: Artifact) -> Probe:
    """A probe in an artifact's dtypes; names are matched both ways.

    Raises:
        UsageError: the artifact takes other tensors.
    """
    specs = {spec.name: spec for spec in artifact.signature.inputs}
    needed = {name for name, spec in specs.items() if not spec.optional}
    given = set(probe.feeds)
    if not needed <= given <= set(specs):
        raise _unfit(probe, artifact, f"it feeds {', '.join(sorted(given))}")
    feeds: dict[str, Array] = {}
    for name, values in probe.feeds.items():
        spec = specs[name]
        fixed = [isinstance(n, int) and n != m for n, m in zip(spec.shape, values.shape)]  # noqa: B905
        if len(spec.shape) != values.ndim or any(fixed):
            raise _unfit(probe, artifact, f"{name} has the shape {values.shape}")
        feeds[name] = frozen(np.asarray(values).astype(spec.dtype))
    return Probe(probe.name, feeds, own=probe.own)


def _unfit(probe: Probe, artifact: Artifact, why: str) -> UsageError:
    takes = ", ".join(
        f"{s.name} ({', '.join(map(str, s.shape))})" for s in artifact.signature.inputs
    )
    return UsageError(
        f"the pack does not fit the artifact: {why}",
        expected=takes,
        where=f"probe {probe.name} of the pack, {artifact.path}",
        advice="record the pack with the --inputs, --outputs and --set of the artifact",
    )
