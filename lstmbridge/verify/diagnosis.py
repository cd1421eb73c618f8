"""Why a runtime departs: where it begins, and which known mistake gives just these numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from lstmbridge.contracts import Outputs
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import LSTM
from lstmbridge.model.signature import OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.faults import explanations
from lstmbridge.verify.faults.combined import after_folding, pairs, single_layers
from lstmbridge.verify.noise import Runner, noise_floor, run_model
from lstmbridge.verify.trials import Trial, departure

_REPLICAS = 8
_FEW = 1_000_000
"""Weights of a network that is run as often as one likes."""
_NEARER = 0.2
"""A mistake that leaves more than this share of the difference is no lead."""
_RESEMBLANCE = 0.1
"""Of the size of an output: the coarsest precision does not blur more."""

Observed = Sequence[tuple[Trial, Outputs]]


def diagnose(model: Model, observed: Observed) -> str:
    """Where the first departure is, and what would explain all of them, in one or two sentences.

    A wrong network can grow beyond all numbers on a long probe; the others still tell it apart,
    and it is said how many of them were looked at.

    Args:
        model: the source.
        observed: each trial that was run, with what the runtime gave.
    """
    usable = [(trial, outputs) for trial, outputs in observed if _comparable(trial, outputs)]
    ordered = sorted(usable, key=lambda pair: (pair[0].probe.steps, pair[0].probe.batch))
    place = next((text for pair in ordered if (text := _place(model, *pair))), "")
    if not place:
        return ""
    said = f"{place}; {_explanation(model, ordered)}"
    if len(usable) < len(observed):
        said += f" (judged on the {len(usable)} of {len(observed)} probes that can be compared)"
    return said


def _comparable(trial: Trial, outputs: Outputs) -> bool:
    """Same names and shapes, all finite."""
    if set(outputs) != set(trial.expected):
        return False
    return all(
        np.shape(outputs[name]) == values.shape
        and bool(np.isfinite(np.asarray(outputs[name], np.float64)).all())
        for name, values in trial.expected.items()
    )


def _beyond(trial: Trial, outputs: Outputs, name: str) -> Array:
    off = np.abs(np.asarray(outputs[name], np.float64) - trial.expected[name])
    return ratio_of(off, np.broadcast_to(trial.allowed[name], off.shape))


def _place(model: Model, trial: Trial, outputs: Outputs) -> str:
    """The first layer, step, unit and rows that depart on one trial; "" if none does."""
    beyond = {name: _beyond(trial, outputs, name) for name in trial.expected}
    bad = {name for name, ratios in beyond.items() if (ratios > 1.0).any()}
    if not bad:
        return ""
    words = []
    first = next((layer for layer in model.layers if bad & set(_finals(layer))), None)
    if first is None:
        compared = any(name in trial.expected for x in model.layers for name in _finals(x))
        alone = "all final states agree, only the outputs depart"
        words.append(alone if compared else "the outputs depart; no final states were compared")
        states: list[str] = []
    else:
        states = [name for name in _finals(first) if name in bad]
        words.append(f"the first layer to depart is {first.name} ({' and '.join(states)})")
        words += _direction(model, bad)
        words += _gate(first, trial, outputs, bad)
    if OUTPUTS in bad:
        step = int(np.argmax((beyond[OUTPUTS] > 1.0).any(axis=(0, 2))))
        unit = int(np.argmax(beyond[OUTPUTS][:, step].max(axis=0)))
        words.append(f"the first step to depart is {step}, most in unit {unit}")
    words += _rows(trial, [beyond[name] for name in [*states, OUTPUTS] if name in beyond])
    return f"on probe {trial.probe.name}, {', '.join(words)}"


def _finals(layer: Layer) -> list[str]:
    return [layer.state_name(state) for state in layer.cell.state_sizes]


def _direction(model: Model, bad: set[str]) -> list[str]:
    sides = {
        layer.direction: bool(bad & set(_finals(layer)))
        for layer in reversed(model.layers)
        if layer.index == 0
    }
    if sides == {"fw": True, "bw": False}:
        return ["in the forward direction alone"]
    if sides == {"fw": False, "bw": True}:
        return ["in the backward direction alone"]
    return []


def _gate(layer: Layer, trial: Trial, outputs: Outputs, bad: set[str]) -> list[str]:
    """Which gates of an LSTM can be at fault: c is made of i, f and c, h of o and c."""
    cell = layer.cell
    if (
        not isinstance(cell, LSTM)
        or cell.projection is not None
        or cell.activation.value != "tanh"
    ):
        return []
    h, c = layer.state_name("h"), layer.state_name("c")
    if not {h, c} <= set(trial.expected):
        return []
    if c not in bad:
        return ["so in gate o"]
    if trial.probe.steps > 1:
        return []
    gates = []
    for given in (outputs, trial.expected):
        squashed = np.tanh(np.asarray(given[c], np.float64))
        gates.append(np.asarray(given[h], np.float64) / np.where(squashed == 0.0, 1.0, squashed))
    if np.allclose(gates[0], gates[1], rtol=1e-3, atol=1e-4):
        return ["in gates i, f or c, for o is right"]
    return []


def _rows(trial: Trial, ratios: Iterable[Array]) -> list[str]:
    bad = np.zeros(trial.probe.batch, bool)
    for one in ratios:
        bad |= (one > 1.0).reshape(trial.probe.batch, -1).any(axis=1)
    if bad.all():
        return []
    rows = np.flatnonzero(bad)
    text = f"in rows {', '.join(map(str, rows))} alone"
    if SEQUENCE_LENGTH in trial.probe.feeds:
        lengths = np.asarray(trial.probe.feeds[SEQUENCE_LENGTH])[rows]
        text += f" (lengths {', '.join(map(str, lengths))})"
    return [text]


def _explanation(model: Model, observed: Observed) -> str:
    """The known mistake whose outputs equal those observed on every trial; else the nearest."""
    fed = {name for trial, _ in observed for name in trial.probe.feeds}
    nearest: tuple[float, str] | None = None
    rarer = (
        (each(model, fed) for each in (after_folding, single_layers, pairs))
        if _small(model)
        else ()
    )
    for faults in (explanations(model, fed), *rarer):
        found = []
        for fault in faults:
            off, alike = _off(fault.run, observed[0])
            distance = _distance(fault.run, observed) if alike else float("inf")
            if distance <= 1.0:
                found.append((distance, fault.explains))
                continue
            if nearest is None or off < nearest[0]:
                nearest = (off, fault.explains)
        if found:
            return f"it equals the source {min(found)[1]}"
    none = "no planted fault explains it"
    bare, _ = _off(partial(run_model, model), observed[0])
    if nearest is None or not nearest[0] < _NEARER * bare:
        return none
    return (
        f"{none}; the nearest is the source {nearest[1]}, which leaves {nearest[0]:.2g} of "
        f"the {bare:.2g} that it is off"
    )


def _small(model: Model) -> bool:
    """Whether hundreds of wrong networks can be run without anybody waiting."""
    cells = [layer.cell for layer in model.layers]
    return sum(len(c.GATES) * c.units * (c.input_size + c.output_size) for c in cells) < _FEW


def _off(run: Runner, pair: tuple[Trial, Outputs]) -> tuple[float, bool]:
    """The largest difference from one trial's observed outputs; and is it worth a noise floor?"""
    trial, outputs = pair
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = run(trial.probe.feeds)
        sizes = [
            float(np.abs(np.asarray(outputs[name], np.float64) - wrong[name]).max(initial=0.0))
            for name in trial.expected
        ]
    alike = _resembles(outputs, {name: wrong[name] for name in trial.expected})
    return float(np.nan_to_num(max(sizes), nan=np.inf)), alike


def _distance(run: Runner, observed: Observed) -> float:
    """From the observed outputs to those of a wrong network, in noise floors of that network.

    Infinite as soon as one trial parts them, and where they do not even resemble each other.
    """
    nearest = 0.0
    for trial, outputs in observed:
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = {
                name: values
                for name, values in run(trial.probe.feeds).items()
                if name in trial.expected
            }
            if not _resembles(outputs, wrong):
                return float("inf")
            floor = noise_floor(
                run, trial.probe.feeds, wrong, trial.precision, seed=0, replicas=_REPLICAS
            )
        distance = departure(outputs, wrong, floor.allowed)
        if not distance <= 1.0:
            return float("inf")
        nearest = max(nearest, distance)
    return nearest


def _resembles(outputs: Outputs, wrong: Outputs) -> bool:
    """Near enough to be worth a noise floor."""
    return all(
        float(np.abs(np.asarray(outputs[name], np.float64) - values).max(initial=0.0))
        <= _RESEMBLANCE * float(np.abs(values).max(initial=0.0))
        for name, values in wrong.items()
    )
