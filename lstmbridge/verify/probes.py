"""Probes: the sequences on which source and artifact are compared.

Seeded, so that a verdict can be repeated; of several batch sizes and lengths (1, 2, a dozen,
long), ragged where lengths can be fed, with states that differ from each other where states can
be fed; as strong as makes the gates work, neither all saturated nor all linear. Every number is
rounded to the artifact's own input type first, so that oracle and runtime see the same.

NaN and infinite inputs are never used: runtimes differ in what they make of them by design
(ONNX Runtime's LSTM hides NaN, TensorFlow passes it on), so they prove nothing about a
conversion. Nor are empty batches and empty sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.contracts import Feeds, TensorSpec
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.amplitude import lively_amplitude
from lstmbridge.verify.numbers import size_of
from lstmbridge.verify.options import VerifyOptions

NOT_PROBED = "empty batches, empty sequences, NaN and infinite inputs (runtimes differ by design)"
"""What no probe covers; every verdict says it."""

DEFAULT_BATCH = 4
DEFAULT_STEPS = 48
LONG_STEPS = 260
"""Of the one probe that looks for what begins late: a traced length, a counter of 8 bits."""
MIDDLE_STEPS = 10
_LEAST_STEPS = 12
_LOUD = 64.0
"""Times the lively amplitude: past every clip that changes what a sigmoid gives in float32."""
_WINDABLE = 101.0
"""A clip beyond this is not wound up to."""
_CHEAP = 4_000_000
"""Weights of a network whose steps cost nothing worth saving."""
_CHEAP_LONG = 100_000
"""Likewise, where there are many steps."""

InputSpecs = tuple[TensorSpec, ...]


@dataclass(frozen=True, eq=False)
class Probe:
    """One set of feeds.

    Attributes:
        name: for reports: ``"4 x 10, ragged, states fed"``.
        feeds: arrays by input name, batch-major, in the artifact's dtypes.
        own: the user's own sequences.
    """

    name: str
    feeds: Feeds

    own: bool = False

    @property
    def batch(self) -> int:
        """Rows."""
        return int(self.feeds[INPUTS].shape[0])

    @property
    def steps(self) -> int:
        """Padded length."""
        return int(self.feeds[INPUTS].shape[1])


def shortened(probe: Probe, steps: int) -> Probe:
    """The probe's first so many steps."""
    feeds = {**probe.feeds, INPUTS: frozen(probe.feeds[INPUTS][:, :steps])}
    if SEQUENCE_LENGTH in feeds:
        feeds[SEQUENCE_LENGTH] = frozen(np.minimum(feeds[SEQUENCE_LENGTH], steps))
    _, _, rest = probe.name.partition(",")
    return Probe(f"{probe.batch} x {steps}" + (f",{rest}" if rest else ""), feeds, probe.own)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a seeded probe is made.

    Attributes:
        strength: times the lively amplitude.
        ragged: lengths from full to 0, where lengths can be fed; else all full.
        optional: feed what may be left out.
        constant: the same input at every step, so that cells can wind up.
        state_strength: times the usual size of initial states.
        amplitude: in place of the lively one, whatever the weights.
    """

    batch: int
    steps: int
    strength: float = 1.0
    ragged: bool = False
    optional: bool = True
    constant: bool = False
    state_strength: float = 1.0
    amplitude: float | None = None


def seeded_probes(model: Model, specs: InputSpecs, options: VerifyOptions) -> list[Probe]:
    """The probes that every verification starts with, the most telling first."""
    batch = DEFAULT_BATCH if options.batch is None else options.batch
    steps = _long(model) if options.steps is None else options.steps
    recipes = [
        Recipe(min(3, batch), min(2, steps), ragged=True),
        Recipe(batch, min(MIDDLE_STEPS, steps), ragged=True),
        Recipe(1, 1),
        Recipe(min(2, batch), steps, optional=False),
    ]
    if any(spec.optional for spec in specs):
        recipes.append(Recipe(batch, min(MIDDLE_STEPS, steps), optional=False))
    return _make(model, specs, options.seed, recipes, first=0)


def _long(model: Model) -> int:
    """Steps of the long probe: fewer where each step costs much."""
    weights = max(size_of(model), 1)
    return int(np.clip(DEFAULT_STEPS * _CHEAP // weights, _LEAST_STEPS, DEFAULT_STEPS))


def long_probe(model: Model, specs: InputSpecs, options: VerifyOptions) -> Probe | None:
    """One row that outlasts all others; None where the length is fixed, given, or costly."""
    time = next(spec.shape[1] for spec in specs if spec.name == INPUTS)
    steps = min(LONG_STEPS, LONG_STEPS * _CHEAP_LONG // max(size_of(model), 1))
    if isinstance(time, int) or options.steps is not None or steps <= DEFAULT_STEPS:
        return None
    return _make(model, specs, options.seed, [Recipe(1, steps, optional=False)], first=500)[0]


def stronger_probes(model: Model, specs: InputSpecs, options: VerifyOptions) -> list[Probe]:
    """Probes for what the first ones could not tell apart: louder, softer, wound up, longer."""
    batch = DEFAULT_BATCH if options.batch is None else options.batch
    recipes = [
        Recipe(batch, MIDDLE_STEPS, strength=8.0, constant=True, state_strength=8.0),
        Recipe(batch, MIDDLE_STEPS, strength=0.125, ragged=True, state_strength=0.25),
        Recipe(2 * batch, 2, strength=4.0, ragged=True, state_strength=4.0),
        Recipe(batch, 3 * MIDDLE_STEPS, strength=2.0, constant=True),
        Recipe(2 * batch, 4, strength=_LOUD, ragged=True, state_strength=_LOUD),
        Recipe(batch, MIDDLE_STEPS, strength=1 / _LOUD, ragged=True),
        *_winding(model, batch),
    ]
    return _make(model, specs, options.seed, recipes, first=100)


def blind_probes(model: Model, specs: InputSpecs, options: VerifyOptions) -> list[Probe]:
    """Probes that do not look at the weights, the shortest first: for what no other shows.

    They are run at full length: where a network explodes, or an output is rounding and nothing
    else, all other probes may end after one step, and one step shows nothing of time.
    """
    batch = DEFAULT_BATCH if options.batch is None else options.batch
    recipes = [
        Recipe(batch, steps, ragged=steps > 2, amplitude=amplitude)
        for steps in (2, MIDDLE_STEPS)
        for amplitude in (1.0, 0.1, 10.0)
    ]
    recipes.append(Recipe(min(2, batch), 3 * MIDDLE_STEPS, optional=False, amplitude=1.0))
    return _make(model, specs, options.seed, recipes, first=300)


def other_size(
    model: Model, specs: InputSpecs, options: VerifyOptions, batch: int, steps: int
) -> Probe | None:
    """A probe of a size that no other has; None where the artifact fixes both axes."""
    axes = next(spec.shape for spec in specs if spec.name == INPUTS)[:2]
    if all(isinstance(size, int) for size in axes):
        return None
    recipe = Recipe(batch, steps, ragged=True)
    return _make(model, specs, options.seed, [recipe], first=200)[0]


def _winding(model: Model, batch: int) -> list[Recipe]:
    """A probe long enough to wind a cell up to its clip, by less than 1 at each step."""
    clips = [layer.cell.facts["cell_clip"].value for layer in model.layers
             if "cell_clip" in layer.cell.facts]  # fmt: skip
    steps = [int(2.0 * clip) for clip in clips if clip is not None and clip < _WINDABLE]
    if not steps:
        return []
    # by chance: few of the units have both gates open under one constant input
    return [Recipe(max(batch, 24), max(*steps, MIDDLE_STEPS), strength=16.0, constant=True)]


def _make(
    model: Model, specs: InputSpecs, seed: int, recipes: Sequence[Recipe], first: int
) -> list[Probe]:
    lively = lively_amplitude(model, seed)
    made: dict[str, Probe] = {}
    for number, recipe in enumerate(recipes, start=first):
        random = np.random.default_rng([seed, number])
        amplitude = lively if recipe.amplitude is None else recipe.amplitude
        probe = _cook(_fixed_axes(recipe, specs), specs, amplitude, random)
        made.setdefault(probe.name, probe)
    return list(made.values())


def _fixed_axes(recipe: Recipe, specs: InputSpecs) -> Recipe:
    """An artifact with a fixed batch or time is probed with just that."""
    batch, steps = next(spec.shape for spec in specs if spec.name == INPUTS)[:2]
    return replace(
        recipe,
        batch=batch if isinstance(batch, int) else recipe.batch,
        steps=steps if isinstance(steps, int) else recipe.steps,
    )


def _cook(
    recipe: Recipe, specs: InputSpecs, amplitude: float, random: np.random.Generator
) -> Probe:
    feeds: dict[str, Array] = {}
    for spec in specs:
        if spec.optional and not recipe.optional:
            continue
        if spec.name == INPUTS:
            values = _sequence(recipe, int(spec.shape[2]), amplitude * recipe.strength, random)
        elif spec.name == SEQUENCE_LENGTH:
            values = _lengths(recipe)
        else:
            size = (0.8 if spec.name.endswith("_h") else 1.6) * recipe.state_strength
            values = random.uniform(-size, size, (recipe.batch, int(spec.shape[1])))
        feeds[spec.name] = frozen(within(values, spec.dtype).astype(spec.dtype))
    return Probe(_name(recipe, feeds), feeds)


def within(values: Array, dtype: np.dtype[Any]) -> Array:
    """The values, none too large for a quarter of what `dtype` holds: sums must fit as well."""
    if np.issubdtype(dtype, np.integer):
        return values
    most = float(ml_dtypes.finfo(dtype).max) / 4.0  # type: ignore[no-untyped-call]
    return np.clip(values, -most, most)


def _sequence(
    recipe: Recipe, features: int, amplitude: float, random: np.random.Generator
) -> Array:
    steps = 1 if recipe.constant else recipe.steps
    x = random.uniform(-amplitude, amplitude, (recipe.batch, steps, features))
    return np.repeat(x, recipe.steps, axis=1) if recipe.constant else x


def _lengths(recipe: Recipe) -> Array:
    """Full, 0, 1 and what lies between, in an order that no sorting would leave alone."""
    if not recipe.ragged:
        return np.full(recipe.batch, recipe.steps)
    wanted = [recipe.steps, 0, 1, max(recipe.steps // 2, 1)]
    spread = [1 + (7 * k) % recipe.steps for k in range(recipe.batch)]
    lengths = np.asarray((wanted + spread)[: recipe.batch])
    return np.roll(lengths, 1) if recipe.batch > 2 else lengths


def _name(recipe: Recipe, feeds: Feeds) -> str:
    words = [f"{recipe.batch} x {recipe.steps}"]
    words += ["ragged"] if recipe.ragged and SEQUENCE_LENGTH in feeds else []
    words += ["states fed"] if any(name.startswith("initial_") for name in feeds) else []
    words += [f"inputs x {recipe.strength:g}"] if recipe.strength != 1.0 else []
    words += [] if recipe.amplitude is None else [f"inputs within {recipe.amplitude:g}"]
    words += ["constant in time"] if recipe.constant else []
    return ", ".join(words)


def frozen(values: Array) -> Array:
    """The values, contiguous and read-only."""
    # np.ascontiguousarray makes a vector of a scalar
    values = np.asarray(values, order="C")
    values.flags.writeable = False
    return values
