"""Recorded outputs of a TensorFlow that cannot run any more become a golden pack.

With the source at hand, what was recorded is first proved to be what the source computes, and
the noise floor says what an artifact may differ by: twice, for the recording has rounded too.
Without it, the importer says what may differ.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmbridge import __version__, api
from lstmbridge.contracts import BATCH_MAJOR, TIME_MAJOR, FaultReport, Hints, Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.diagnose.ports import turned
from lstmbridge.diagnose.recorded import Recorded, as_artifact, precision_of, read_arrays, take
from lstmbridge.errors import FactConflict, FactMissing, UsageError
from lstmbridge.gates import Array
from lstmbridge.golden.pack import Pack, read, write
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.probes import Probe
from lstmbridge.verify.sightings import MARGIN
from lstmbridge.verify.trials import Experiment, Trial, design

_TWICE = 2.0
"""Recording and artifact may each be off by what rounding allows, to either side."""
_OURS = re.compile(r"inputs|outputs|sequence_length|(initial_)?layer(_fw|_bw)?\d+_\w+")
_PRECISIONS = ("float32", "float16", "float64")


def import_recorded(
    recorded: str | Path,
    output: str | Path,
    *,
    producer: str,
    source: str | Path | None = None,
    hints: Hints | None = None,
    renames: Mapping[str, str] | None = None,
    layout: str | None = None,
    tolerance: float | None = None,
    force: bool = False,
) -> Pack:
    """Make a pack of arrays that were recorded elsewhere.

    Args:
        recorded: an .npz with inputs and what came of them.
        output: the pack's file.
        producer: who computed it: ``"TensorFlow 0.12.1"``.
        source: the checkpoint that it was computed from, if it is still there.
        hints: what the source's names do not say.
        renames: their names -> ours.
        layout: how sequences lie, where shapes do not show it.
        tolerance: absolute; what an artifact may differ by, in place of the noise floor.
        force: replace an existing file.

    Raises:
        FactMissing: neither a source nor a tolerance, or a layout that nothing shows.
        FactConflict: what was recorded is not what the source computes.
        LstmBridgeError: any of `lstmbridge.errors`; nothing was written.
    """
    arrays = read_arrays(recorded)
    where = str(recorded)
    _refuse_odd(producer, tolerance)
    if source is not None:
        model = api.load(source, hints)
        found = take(arrays, model, renames or {}, layout, where)
        _prove(source, arrays, renames, layout, hints)
        experiments = _floors(model, found, Path(recorded), tolerance)
        facts, origin = model.all_facts, api.inspect(source, hints)
    elif tolerance is None:
        raise FactMissing(
            "nothing says by how much an artifact may differ from what was recorded",
            expected="the source that it was recorded from, for its noise floor; or a tolerance",
            where=where,
            advice="add --source model.ckpt, or --tolerance 1e-5",
        )
    else:
        found = _named(arrays, renames or {}, layout, where)
        experiments = {p: _judged_by(tolerance, found, p) for p in _PRECISIONS}
        facts, origin = {}, None
    manifest = {
        "lstmbridge": __version__,
        "numpy": np.__version__,
        "source": {
            "format": "recorded arrays" if origin is None else origin.format,
            "producer": producer,
            "sha256": None if origin is None else origin.sha256,
            "part": "",
        },
        "facts": {
            name: {"value": f.value, "basis": f.basis.value, "where": f.where}
            for name, f in facts.items()
        },
        "seed": 0,
        "imported": {
            "from": Path(recorded).name,
            "sha256": hashlib.sha256(Path(recorded).read_bytes()).hexdigest(),
            "matched": list(found.said),
            "tolerance": tolerance,
        },
    }
    write(Path(output), manifest, experiments, force=force)
    return read(output)


def _refuse_odd(producer: str, tolerance: float | None) -> None:
    if not producer.strip():
        raise UsageError(
            "nobody is named who recorded it",
            expected='a producer, "TensorFlow 0.12.1" say',
            where="--producer",
        )
    if tolerance is not None and not (np.isfinite(tolerance) and tolerance > 0):
        raise UsageError(
            f"tolerance is {tolerance}", expected="a number above 0", where="--tolerance"
        )


def _prove(
    source: str | Path,
    arrays: Mapping[str, Array],
    renames: Mapping[str, str] | None,
    layout: str | None,
    hints: Hints | None,
) -> None:
    """Refuse recordings that the source contradicts."""
    said = diagnose(source, expected=arrays, renames=renames, layout=layout, hints=hints)
    if said.outcome is Outcome.FAIL:
        raise FactConflict(
            f"what was recorded is not what {Path(source).name} computes: {said.reasons[0]}",
            expected="outputs of this source",
            where=said.explanation or str(source),
            advice="lstmbridge diagnose SOURCE --expected FILE says more",
        )


def _floors(
    model: Model, found: Recorded, path: Path, tolerance: float | None
) -> dict[str, Experiment]:
    """The recording as one trial of each precision, with what the source's floor allows."""
    options = VerifyOptions(
        data=found.feeds,
        only_data=True,
        outputs=tuple(found.outputs),
        tolerance=tolerance,
    )
    wide = ("float64",) if model.dtype == np.float64 else ()
    experiments = {}
    for precision in ("float32", "float16", *wide):
        specs = as_artifact(path, found, precision_of(found, model)).signature.inputs
        made = design(model, specs, precision, options, lambda _what, _done, _total: None)
        trials = tuple(_as_recorded(trial, found) for trial in made.trials)
        experiments[precision] = Experiment(trials, _halved(made.faults), made.infinite)
    return experiments


def _as_recorded(trial: Trial, found: Recorded) -> Trial:
    expected = {n: np.asarray(found.outputs[n], np.float64) for n in trial.expected}
    allowed = {n: _TWICE * np.asarray(x) for n, x in trial.allowed.items()}
    probe = replace(trial.probe, name=f"recorded, {trial.probe.batch} x {trial.probe.steps}")
    return replace(trial, probe=probe, expected=expected, allowed=allowed, floor=allowed)


def _halved(faults: FaultReport) -> FaultReport:
    """The report for allowances that are twice as wide."""
    ratios = {name: ratio / _TWICE for name, ratio in faults.ratios.items()}
    caught = tuple(name for name in faults.caught_names if ratios[name] > MARGIN)
    missed = (*faults.missed, *(n for n in faults.caught_names if n not in caught))
    weakest = min(((n, ratios[n]) for n in caught), key=lambda one: one[1], default=None)
    return replace(
        faults,
        caught=len(caught),
        missed=missed,
        weakest=weakest,
        caught_names=caught,
        ratios=ratios,
    )


def _named(
    arrays: Mapping[str, Array], renames: Mapping[str, str], layout: str | None, where: str
) -> Recorded:
    """The arrays by our names, with no network to hold them against."""
    for old, new in renames.items():
        if old not in arrays or not _OURS.fullmatch(new):
            raise UsageError(
                f"--rename {old}={new}: there is no {old if old not in arrays else new}",
                expected=", ".join(arrays) if old not in arrays else "inputs, outputs, layer0_h",
                where=where,
                advice="the name in the file comes first: --rename theirs=ours",
            )
    named = {renames.get(n, n): a for n, a in arrays.items()}
    aside = [n for n in named if not _OURS.fullmatch(n)]
    named = {n: a for n, a in named.items() if n not in aside}
    feeds = {n: a for n, a in named.items() if _fed(n)}
    outputs = {n: a for n, a in named.items() if not _fed(n)}
    if INPUTS not in feeds or not outputs or feeds[INPUTS].ndim != 3:
        raise UsageError(
            f"arrays named {', '.join(arrays) or '(none)'}",
            expected="inputs of three axes, and outputs, layer0_h, ...",
            where=where,
            advice="map the names: --rename theirs=ours",
        )
    found = layout or _layout(named, where)
    for part in (feeds, outputs):
        for name in {INPUTS, OUTPUTS} & set(part):
            part[name] = turned(part[name], found)
    _refuse_unfit({**feeds, **outputs}, where)
    said = [f"sequences are {found}", *([f"left aside: {', '.join(aside)}"] if aside else [])]
    return Recorded(feeds, outputs, tuple(said))


def _fed(name: str) -> bool:
    return name in {INPUTS, SEQUENCE_LENGTH} or name.startswith("initial_")


def _layout(named: Mapping[str, Array], where: str) -> str:
    first, second = named[INPUTS].shape[:2]
    rows = {a.shape[0] for n, a in named.items() if n not in {INPUTS, OUTPUTS} and a.ndim}
    if len(rows) == 1 and first != second and rows <= {first, second}:
        return BATCH_MAJOR if rows == {first} else TIME_MAJOR
    raise FactMissing(
        f"the sequences have the axes {first} x {second}; which of the two is time is not plain",
        expected="final states whose rows show it",
        where=where,
        advice=f"say it: --layout {BATCH_MAJOR}, or --layout {TIME_MAJOR}",
    )


def _refuse_unfit(named: Mapping[str, Array], where: str) -> None:
    rows = {n: a.shape[0] if a.ndim else 0 for n, a in named.items()}
    finite = all(np.isfinite(np.asarray(a, np.float64)).all() for a in named.values())
    if len(set(rows.values())) > 1 or not all(rows.values()) or not finite:
        raise UsageError(
            f"rows: {', '.join(f'{n} {count}' for n, count in rows.items())}"
            + ("" if finite else "; and numbers that are not finite"),
            expected="as many rows in each array, all of it finite",
            where=where,
        )


def _judged_by(tolerance: float, found: Recorded, precision: str) -> Experiment:
    expected = {n: np.asarray(a, np.float64) for n, a in found.outputs.items()}
    allowed: dict[str, Any] = {n: np.asarray(float(tolerance)) for n in expected}
    batch, steps = found.feeds[INPUTS].shape[:2]
    probe = Probe(f"recorded, {batch} x {steps}", found.feeds)
    trial = Trial(probe, expected, allowed, allowed, {}, chaotic=False, precision=precision)
    return Experiment((trial,), FaultReport(0, 0))
