"""Probes for a whole model: numbers that fit its ports, found by asking the graph itself.

A graph says the dtype of an input and, where it was written down, its shape; it does not say
which axis is time, how many words a vocabulary has, or that a vector holds lengths. What fits is
what the graph can be run on: guesses are tried on the reference, smallest first, until one runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lstmbridge.contracts import Feeds, TensorSpec
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.verify.amplitude import lively_amplitude
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.probes import Probe, frozen

_TRIED = (2, 3)
"""Batch and steps on which guesses are tried: small, and different."""
_OTHER_AXIS = 4
"""Length of an unknown axis that is neither batch nor time."""
_MOST_IDS = 1 << 16
_MOST_PARTED = 4
"""Of the lengths that sequences are taken apart into, so many are tried."""
_SCALES = (1, 6, 24)
_FADED = -8.0
"""Decimal logarithm of what is left at the end of a fading probe."""
_USUAL_BATCHES = (1, 3, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128)
"""What graphs are built for that declare any batch and take one."""
_LAYOUTS = ("batch", "time"), ("time", "batch")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a probe is, and how loud.

    Attributes:
        strength: multiplies floating-point inputs.
        course: how they go along time: as they come (""), ``"constant"``, or ``"fading"`` to a
            hundred-millionth.
    """

    batch: int
    steps: int
    strength: float = 1.0
    course: str = ""

    @property
    def name(self) -> str:
        """For reports: ``"4 x 10"``."""
        loud = "" if self.strength == 1.0 else f", inputs x {self.strength:g}"
        return f"{self.batch} x {self.steps}{loud}"


@dataclass(frozen=True)
class Recipe:
    """How the ports of one model are fed.

    Attributes:
        layout: what the first two axes of unknown length are.
        bounds: integer port -> its numbers are below this.
        amplitudes: floating-point port -> half-width of its numbers.
        fixed: batch and steps that a port's declared shape demands.
        scale: unknown lengths other than the batch are this many times as long: images must be
            larger than the windows that slide over them.
    """

    layout: tuple[str, str]
    bounds: Mapping[str, int]
    amplitudes: Mapping[str, float]
    fixed: Mapping[str, int]
    scale: int = 1

    def feeds(self, whole: Whole, sizes: Sizes, random: np.random.Generator) -> Feeds:
        """One probe's numbers, in the ports' dtypes. Errors: ValueError for an unknown rank."""
        return {port.name: self._values(port, sizes, random) for port in whole.inputs}

    def shape(self, port: Port, sizes: Sizes) -> tuple[int, ...]:
        """The shape of a port at these sizes. Errors: ValueError where its rank is unknown."""
        if port.shape is None:
            raise ValueError(f"the graph does not say which shape {port.name!r} has")
        lengths = {"batch": sizes.batch, "time": sizes.steps * self.scale, **self.fixed}
        shape = []
        for axis, length in enumerate(port.shape):
            if length is not None:
                shape.append(length)
            elif len(port.shape) == 1:
                shape.append(lengths["batch"])
            else:
                shape.append(lengths[self.layout[axis]] if axis < 2 else _OTHER_AXIS * self.scale)
        return tuple(shape)

    def _values(self, port: Port, sizes: Sizes, random: np.random.Generator) -> Array:
        shape = self.shape(port, sizes)
        steps = self.fixed.get("time", sizes.steps * self.scale)
        kind = kind_of(port)
        values: Array
        if kind == "bool":
            values = np.asarray(random.random(shape) < 0.5)
        elif kind == "int" and len(shape) < 2:
            # lengths, most likely: full for one row, anything for the others
            values = random.integers(1, steps + 1, shape)
            values = np.asarray(
                np.where(np.arange(values.size).reshape(shape) == 0, steps, values)
            )
        elif kind == "int":
            values = random.integers(0, self.bounds.get(port.name, 2), shape)
            values = self._along(values, "constant") if sizes.course == "constant" else values
        else:
            half = self.amplitudes.get(port.name, 1.0) * sizes.strength
            values = self._along(random.uniform(-half, half, shape), sizes.course)
        return frozen(np.asarray(values).astype(port.dtype))

    def _along(self, values: Array, course: str) -> Array:
        axis = self.layout.index("time")
        if not course or values.ndim < 2:
            return values
        if course == "constant":
            return np.repeat(np.take(values, [0], axis), values.shape[axis], axis)
        fading = np.logspace(0.0, _FADED, values.shape[axis])
        return values * fading.reshape(-1, *[1] * (values.ndim - 1 - axis))


def kind_of(port: Port) -> str:
    """``float``, ``int`` or ``bool``."""
    if port.dtype.kind in "iu":
        return "int"
    return "bool" if port.dtype.kind == "b" else "float"


def recipe_of(whole: Whole, seed: int) -> Recipe:
    """How `whole` can be fed.

    Raises:
        ValueError: no guess could be run; the text says what the graph answered to the last.
    """
    why, amplitudes = "", _amplitudes(whole, seed)
    guesses = [
        *(Recipe(layout, {}, amplitudes, fixed, scale)
          for scale in _SCALES for free in (True, False) for layout in _LAYOUTS
          for fixed in _declared(whole, layout) if free == (not fixed)),
        *(Recipe(layout, {}, amplitudes, {"batch": batch})
          for layout in _LAYOUTS for batch in _USUAL_BATCHES),
    ]  # fmt: skip
    for guess in guesses:
        objection = _objection(whole, guess, seed)
        if not objection:
            held = _held(whole, guess, seed)
            return replace(held, bounds=_bounds(whole, held, seed))
        why = why or objection
    raise ValueError(why)


def _held(whole: Whole, recipe: Recipe, seed: int) -> Recipe:
    """The recipe, with batch or steps fixed where the graph was built for just these."""
    batch, steps = _TRIED
    others = {"batch": Sizes(batch + 1, steps), "time": Sizes(batch, steps + 2)}
    built = {"batch": batch, "time": steps * recipe.scale}
    fixed = {
        word: built[word]
        for word, sizes in others.items()
        if word not in recipe.fixed and _objection(whole, recipe, seed, sizes)
    }
    return replace(recipe, fixed={**recipe.fixed, **fixed})


def _declared(whole: Whole, layout: tuple[str, str]) -> Iterator[dict[str, int]]:
    """Sizes that declared shapes, or unrolled steps, may demand of the ports; none first."""
    yield {}
    found: dict[str, int] = {}
    for port in whole.inputs:
        shape = port.shape or ()
        words = ("batch",) if len(shape) == 1 else layout
        for word, length in zip(words, shape, strict=False):
            if length is not None and len(shape) > len(words) - 1:
                found.setdefault(word, length)
    for word, length in found.items():
        yield {word: length}
    if len(found) > 1:
        yield found
    parted = Counter(
        int(op.attrs["num"])
        for op in whole.program.tracer.network.ops.values()
        if op.kind == "Unpack" and isinstance(op.attrs.get("num"), int)
    )
    for length, _ in parted.most_common(_MOST_PARTED):
        if found.get("time") != length:
            yield {**found, "time": length}


def _objection(whole: Whole, recipe: Recipe, seed: int, sizes: Sizes = Sizes(*_TRIED)) -> str:
    """Why the model cannot be run on such feeds; "" if it can."""
    try:
        feeds = recipe.feeds(whole, sizes, np.random.default_rng([seed, 7]))
        whole.run(widened(feeds))
    except ValueError as error:
        return str(error)
    except LstmBridgeError as error:
        return error.read
    return ""


def _bounds(whole: Whole, recipe: Recipe, seed: int) -> dict[str, int]:
    """For ports of numbers, how large they may be: the largest power of two that runs."""
    bounds: dict[str, int] = {}
    for port in whole.inputs:
        if kind_of(port) != "int" or len(port.shape or ()) < 2:
            continue
        bound = 2
        while bound < _MOST_IDS and _runs_with(whole, recipe, port, 2 * bound - 1, seed):
            bound *= 2
        bounds[port.name] = bound
    return bounds


def _runs_with(whole: Whole, recipe: Recipe, port: Port, number: int, seed: int) -> bool:
    random = np.random.default_rng([seed, 7])
    feeds = dict(recipe.feeds(whole, Sizes(*_TRIED), random))
    feeds[port.name] = np.full_like(feeds[port.name], number)
    try:
        whole.run(widened(feeds))
    except LstmBridgeError:
        return False
    return True


def _amplitudes(whole: Whole, seed: int) -> dict[str, float]:
    """A port that a recognised stack reads directly is fed what makes its gates work."""
    guarded = whole.program.tracer.guarded
    ports = {guarded(port.tensor): port.name for port in whole.inputs}
    found = {}
    for place in whole.places:
        name = ports.get(guarded(place.source))
        if name is not None:
            found[name] = lively_amplitude(place.model, seed)
    return found


def widened(feeds: Feeds) -> dict[str, Array]:
    """The same numbers as the reference takes them: float64, int64, bool."""
    wide = {"i": np.int64, "u": np.int64, "b": np.bool_}
    return {
        name: np.asarray(a).astype(wide.get(a.dtype.kind, np.float64)) for name, a in feeds.items()
    }


def seeded(whole: Whole, recipe: Recipe, options: VerifyOptions) -> list[tuple[Sizes, Probe]]:
    """The probes that every verification begins with, small ones first."""
    batch = 4 if options.batch is None else options.batch
    steps = 24 if options.steps is None else options.steps
    wanted = [
        Sizes(min(3, batch), min(2, steps)),
        Sizes(batch, min(7, steps)),
        Sizes(1, 1),
        Sizes(min(2, batch), steps),
    ]
    return _made(whole, recipe, options.seed, wanted, 0)


def stronger(whole: Whole, recipe: Recipe, options: VerifyOptions) -> list[tuple[Sizes, Probe]]:
    """Louder and softer, for what the first ones could not tell apart: one after the other."""
    batch = 4 if options.batch is None else options.batch
    wanted = [
        Sizes(batch, 9, 1.0, "fading"),
        Sizes(batch, 5, 4.0),
        Sizes(batch, 5, 0.25),
        Sizes(2 * batch, 9),
        Sizes(4 * batch, 12, 16.0, "constant"),
    ]
    return _made(whole, recipe, options.seed, wanted, 100)


def _made(
    whole: Whole, recipe: Recipe, seed: int, wanted: list[Sizes], first: int
) -> list[tuple[Sizes, Probe]]:
    made: dict[tuple[object, ...], tuple[Sizes, Probe]] = {}
    for number, sizes in enumerate(dict.fromkeys(wanted), start=first):
        feeds = recipe.feeds(whole, sizes, np.random.default_rng([seed, number]))
        name = ", ".join(f"{n} {shape_text(a)}" for n, a in feeds.items())
        loud = "" if sizes.strength == 1.0 else f", x {sizes.strength:g}"
        loud += f", {sizes.course}" if sizes.course else ""
        made.setdefault((name, loud), (sizes, Probe(f"{name}{loud}" or "no inputs", feeds)))
    return list(made.values())


def shape_text(array: Array) -> str:
    """``4 x 10 x 3``; ``scalar``."""
    return " x ".join(map(str, array.shape)) or "scalar"


def own_probe(whole: Whole, specs: tuple[TensorSpec, ...], data: Feeds) -> Probe:
    """The user's own feeds. Errors: ValueError where one is missing, or of another kind."""
    dtypes = {spec.name: spec.dtype for spec in specs}
    feeds = {}
    for port in whole.inputs:
        if port.name not in data:
            raise ValueError(f"the data has no {port.name!r}; it has {', '.join(sorted(data))}")
        feeds[port.name] = frozen(
            np.asarray(data[port.name]).astype(dtypes.get(port.name, port.dtype))
        )
    return Probe("your data", feeds, own=True)
