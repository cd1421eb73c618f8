"""How strong a probe's inputs must be for the gates to work, on these weights."""

from __future__ import annotations

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import Trace, forward
from lstmbridge.model.signature import INPUTS

_RELATIVE = (0.25, 1.0, 4.0)
_ROWS, _STEPS = 4, 3
_WANTED = 1.2
"""Root mean square of a pre-activation that bends a sigmoid without flattening it."""


def lively_amplitude(model: Model, seed: int) -> float:
    """Half-width of uniform inputs under which most gates neither saturate nor stay linear.

    A first guess comes from the kernels of the layers that see the input; of it, and of a
    quarter and four times of it, the one under which the most gate values lie where the
    sigmoid bends is taken.
    """
    guess = _first_guess(model)
    scales = guess * np.repeat(_RELATIVE, _ROWS)
    random = np.random.default_rng([seed, 999])
    x = random.uniform(-1.0, 1.0, (len(scales), _STEPS, model.input_size))
    trace: Trace = {}
    with np.errstate(over="ignore", invalid="ignore"):
        forward(model, {INPUTS: x * scales[:, None, None]}, trace=trace)
    gates = [np.stack(steps) for (_, gate), steps in trace.items() if gate != "c"]
    scores = np.mean([_working(values) for values in gates], axis=0) if gates else np.ones(3)
    # the middle one wins a draw
    best = max((1, 0, 2), key=lambda k: float(scores[k]))
    return float(guess * _RELATIVE[best])


def _first_guess(model: Model) -> float:
    sums, columns = 0.0, 0
    for layer in model.layers:
        if layer.index == 0:
            kernel = layer.cell.kernel
            sums += sum(float(np.sum(np.square(kernel[g], dtype=np.float64))) for g in kernel)
            columns += len(kernel) * kernel.shape[1]
    norm = np.sqrt(sums / max(columns, 1))
    if not np.isfinite(norm) or norm == 0.0:
        return 1.0
    # uniform in [-a, a] has a root mean square of a / sqrt(3)
    return float(np.clip(_WANTED * np.sqrt(3.0) / norm, 1e-4, 1e4))


def _working(values: Array) -> Array:
    """Share of the gate values (steps, rows, units) that bend, for each amplitude."""
    off = np.abs(values - 0.5)
    bends = (off > 0.05) & (off < 0.49)
    return np.asarray(bends.reshape(_STEPS, len(_RELATIVE), -1).mean(axis=(0, 2)))
