"""The noise floor: what an honest runtime of a given precision may differ by, here.

The oracle is run again, several times, with each operation perturbed by a rounding error of the
runtime's precision (`arrays.Rounding`). How far those runs stray from the oracle, step by step,
is what rounding alone can do to these weights on this input: 1e-8 for tame weights, as much as
the signal itself for chaotic ones after many steps. No tolerance is chosen by hand.

Allowed at a step = `CONSTANT` x (largest straying within `WINDOW` steps, over replicas, rows
and units) + the rounding of storing the result. Both numbers are measured, not derived: over
5,000 random stacks (1 to 3 layers, 1 to 47 units, 1 to 150 steps, weights x 0.05 to 6, some
with projections, peepholes, clips or relu, states fed), 50,000 outputs of ONNX Runtime 1.32 and
torch 2.13 needed at most 0.76 of what is allowed, half of them less than 0.12. One recurrent
weight off by 0.1 % exceeded it in 2 of 3 stacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from lstmbridge.arrays import SMALLEST_NORMAL, UNIT_ROUNDING, Rounding, narrowed
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.contracts import Feeds, Outputs
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import GRU, RNN, Cell
from lstmbridge.model.equations import Step, Tap, weights_of
from lstmbridge.model.forward import Library, Wrap, forward
from lstmbridge.model.signature import INPUTS, OUTPUTS
from lstmbridge.verify.numbers import Shelf

CONSTANT = 3.0
_CONSTANTS: Mapping[str, float] = {"float16": 2.0, "bfloat16": 2.0}
"""Of precisions whose words are rounded from float32, and approximate nothing themselves."""
WINDOW = 2
CHAOS = 1 / 16
"""Where rounding alone moves results by this share of their size, they prove nothing; seeded
probes end before (see `trials`)."""
_FAR: Mapping[str, float] = {"sigmoid": 18.0, "tanh": 9.0}
"""Where a coarse kernel's words no longer change; see `_kernels`."""
_SAMPLES = 96
"""Fewest (replicas x rows x units) behind a floor: small networks get more replicas."""
_TRAJECTORIES = 16
"""Fewest (replicas x rows): units of one run stray together."""
_ELEMENTS = 1 << 21
"""Largest input product held at once; larger batches are run in pieces."""

_STORED: Mapping[str, np.dtype[Any]] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def largest(precision: str) -> float:
    """The largest finite number of `precision`."""
    return float(ml_dtypes.finfo(_STORED[precision]).max)  # type: ignore[no-untyped-call]


class StoredRounding(Rounding, Library):
    """`Rounding` as runtimes show it: what is stored is rounded, and half of the rows err alike.

    Constants are first stored in the precision's own type: the identity when the source's
    weights fit, the true loss when an artifact is narrower. And for the first half of the rows
    the errors of a layer's first step come back at every step, those of what is computed for all
    steps at once too: real rounding errs the same way wherever the numbers are the same (a state
    at rest, a gate that is shut, an input that stays), and what errors at random would cancel
    over many steps then adds up.
    """

    def __init__(self, precision: str, seed: int, shelf: Shelf | None = None) -> None:
        super().__init__(precision, seed)
        self.precision = precision
        self._stored = _STORED[precision]
        self._shelf = shelf
        self._layer = ""
        self._count = 0
        self._coarse = False
        self._most = largest(precision)
        self._constant = _CONSTANTS.get(precision, CONSTANT)
        self._first: dict[tuple[str, int], Array] = {}

    def weights(self, cell: Cell) -> Mapping[str, Array]:
        """From the shelf where storing them loses nothing."""
        if self._shelf is not None and np.can_cast(cell.dtype, self._stored):
            return self._shelf.weights(cell)
        return {name: self.constant(array) for name, array in weights_of(cell).items()}

    def step_of(self, layer: str, *, coarse: bool = False) -> None:
        """A step of `layer` begins; "": what follows belongs to no step.

        Args:
            layer: its name.
            coarse: a kernel runs it whose sigmoid and tanh err by more than others' (`_kernels`).
        """
        self._layer, self._count, self._coarse = layer, 0, coarse

    def _err_within(self, units: float, a: Array) -> Array:
        """Rounded; what the precision cannot hold is infinite, as it is in a runtime.

        So is what rounding could carry past the end: that no run did is chance.
        """
        rounded = super()._err_within(units, a)
        reach = self._constant * units * self._unit
        over = np.abs(a) * (1.0 + reach) > self._most
        return np.where(over, np.copysign(np.inf, a), rounded) if over.any() else rounded

    def mul(self, a: Array, b: Array) -> Array:
        """Product; of what is infinite and what rounding may make 0, nothing: it may be NaN."""
        result = super().mul(a, b)
        if np.isfinite(result).all():
            return result
        least = self._constant * 2.0 * self._unit
        lost = (np.isinf(a) & (np.abs(b) <= least)) | (np.isinf(b) & (np.abs(a) <= least))
        return np.where(lost, np.nan, result)

    def sigmoid(self, a: Array) -> Array:
        """To within 2 units of 1; 3 in a coarse kernel, and those far out err together."""
        value = super().sigmoid(a)
        if not self._coarse:
            return value
        value = value + self._draw(self._unit, value.shape)
        return np.asarray(value + np.sign(a) * self._together(2.0, np.abs(a) > _FAR["sigmoid"]))

    def tanh(self, a: Array) -> Array:
        """To within 3 units of its value; 5 in a coarse kernel, and those far out err together."""
        value = super().tanh(a)
        if not self._coarse:
            return value
        together = self._together(4.0, np.abs(a) > _FAR["tanh"])
        return np.asarray(self._err(value) + value * together)

    def _together(self, units: float, where: Array) -> Array:
        """One outward error for all units of a row that are at `where`: half of what was measured.

        In half of the rows it may point inward. It is never near 0: a floor that rests on few
        runs must not miss it by chance.
        """
        rows = (len(where), 1)
        size = units * self._unit * (0.75 + self._draw(0.25, rows))
        inward = np.arange(len(where))[:, None] >= len(where) // 2
        flipped = inward & (self._draw(1.0, rows) < 0.0)
        return np.where(where, np.where(flipped, -size, size), 0.0)

    def _draw(self, limit: float, shape: tuple[int, ...]) -> Array:
        errors = super()._draw(limit, shape)
        if self._layer:
            self._count += 1
            first = self._first.setdefault((self._layer, self._count), errors)
            half = len(errors) // 2
            errors[:half] = first[:half]
        elif len(shape) == 3:  # (time, rows, features)
            half = shape[1] // 2
            errors[:, :half] = errors[:1, :half]
        return errors

    def near_one(self, a: Array) -> Array:
        """Errs by 2 units of 1, whatever the value."""
        return np.asarray(a + self._draw(2.0 * self._unit, a.shape))

    def constant(self, value: Array | float) -> Array:
        """Narrowed, then widened exactly."""
        return narrowed(value, self._stored).astype(np.float64)


class Runner(Protocol):
    """Runs a network, right or wrong, in float64 or in any other interpreter."""

    def __call__(self, feeds: Feeds, ops: Float64 | None = None) -> dict[str, Array]:
        """All outputs by name."""
        ...


@dataclass(frozen=True, eq=False)
class Floor:
    """By output name: how far rounding strays, and what is therefore allowed.

    Attributes:
        straying: the largest straying over the whole output.
        allowed: broadcasts against the output.
        chaotic: names of outputs that rounding alone moves by more than `CHAOS` of their size.
    """

    straying: Mapping[str, float]
    allowed: Mapping[str, Array]
    chaotic: tuple[str, ...] = ()


def run_model(
    model: Model, feeds: Feeds, ops: Float64 | None = None, wrap: Wrap | None = None
) -> dict[str, Array]:
    """`forward` over any batch, in pieces that fit the memory. Rows are independent.

    Run with `StoredRounding`, it errs as runtimes' own kernels do, too: see `_kernels`.
    """
    if wrap is None and isinstance(ops, StoredRounding):
        wrap = partial(_kernels, ops)
    width = max(len(layer.cell.GATES) * layer.cell.units for layer in model.layers)
    batch, steps = feeds[INPUTS].shape[:2]
    per_chunk = max(1, _ELEMENTS // max(1, steps * width))
    if batch <= per_chunk:
        return forward(model, feeds, ops=ops, wrap=wrap)
    pieces = [
        forward(
            model,
            {name: a[start : start + per_chunk] for name, a in feeds.items()},
            ops=ops,
            wrap=wrap,
        )
        for start in range(0, batch, per_chunk)
    ]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _kernels(ops: StoredRounding, layer: Layer, right: Step[Array]) -> Step[Array]:
    """Steps that `ops` can tell apart, and what a kernel errs by beyond them.

    ONNX Runtime's RNN computes a float32 tanh to within 2 units of 1, however small the value:
    1.6 units off at 1e-8, in 1.32. Its LSTM and GRU do better. Its GRU's sigmoid errs by up to 5
    units of 1, its tanh by up to 10 units of its value, and far out by the same in every unit:
    the reset gate gives -4 units for 0 and 1 + 4 units for 1, the tanh 1 + 8 units for 1. What
    comes next adds these up, as no errors at random do.
    """
    single = ops.precision == "float32"
    absolute = single and isinstance(layer.cell, RNN) and layer.cell.activation.value == "tanh"
    coarse = single and isinstance(layer.cell, GRU)

    def step(z: Array, state: Mapping[str, Array], tap: Tap) -> tuple[Array, dict[str, Array]]:
        ops.step_of(layer.name, coarse=coarse)
        output, new = right.step(z, state, tap)
        if absolute:
            output = ops.near_one(output)
            new = {"h": output}
        ops.step_of("")
        return output, new

    return replace(right, step=step)


def noise_floor(
    run: Runner,
    feeds: Feeds,
    expected: Outputs,
    precision: str,
    *,
    seed: int,
    replicas: int,
    shelf: Shelf | None = None,
) -> Floor:
    """Measure the floor of `precision` for one probe.

    Args:
        run: the network, as any interpreter would run it.
        feeds: the probe.
        expected: the oracle's outputs for it.
        precision: a key of `arrays.UNIT_ROUNDING`.
        seed: of the rounding errors.
        replicas: at least so many perturbed runs.
        shelf: the weights of the network that `run` runs.
    """
    batch = feeds[INPUTS].shape[0]
    narrowest = min(values.shape[-1] for values in expected.values())
    wanted = max(-(-_SAMPLES // (batch * narrowest)), -(-_TRAJECTORIES // batch))
    replicas = max(replicas, wanted)
    tiled = {name: np.concatenate([array] * replicas) for name, array in feeds.items()}
    runs = run(tiled, StoredRounding(precision, seed, shelf))
    constant = _CONSTANTS.get(precision, CONSTANT)
    straying, allowed, chaos = {}, {}, []
    for name, values in expected.items():
        perturbed = runs[name].reshape(replicas, *values.shape)
        # a run that overflows has strayed without bound
        off = np.nan_to_num(np.abs(perturbed - values), nan=np.inf, posinf=np.inf).max(axis=0)
        straying[name] = float(off.max(initial=0.0))
        near = _near(name, off)
        lost = near > CHAOS * _near(name, np.abs(values)) + SMALLEST_NORMAL[precision]
        # trajectories that have parted go where they like, each as far as any of them goes
        anywhere = 2.0 * np.nan_to_num(np.abs(perturbed), nan=np.inf, posinf=np.inf).max(
            initial=straying[name]
        )
        # never less than elsewhere: where the right value is 0, any straying is all of its size
        rounding = np.where(lost, np.maximum(anywhere, constant * near), constant * near)
        allowed[name] = rounding + _store(values, precision)
        chaos += [name] if lost.any() else []
    return Floor(straying, allowed, tuple(chaos))


def _near(name: str, sizes: Array) -> Array:
    """The largest of `sizes` (rows, ...): near each step for the outputs, else of all."""
    if name != OUTPUTS:
        return np.asarray(sizes.max(initial=0.0))
    each = sizes.max(axis=(0, 2), initial=0.0)
    padded = np.pad(each, WINDOW)
    near = np.max([padded[k : k + len(each)] for k in range(2 * WINDOW + 1)], axis=0)
    return np.asarray(near[None, :, None])


def _store(values: Array, precision: str) -> Array:
    """Error of rounding the result itself; the second term is for results that underflow.

    Below the smallest normal number some runtimes round to 0; none does so in float16.
    """
    info = ml_dtypes.finfo(_STORED[precision])  # type: ignore[no-untyped-call]
    least = info.smallest_subnormal if precision == "float16" else info.smallest_normal
    return np.asarray(UNIT_ROUNDING[precision] * np.abs(values) + float(least))
