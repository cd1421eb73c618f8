"""How strong a probe's inputs must be for the gates to work, on these weights."""

from __future__ import annotations

import numpy as np

from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import Trace, forward
from lstmbridge.model.signature import INPUTS

_RELATIVE = (1 / 16, 1 / 4, 1.0, 4.0, 16.0)
_ROWS, _STEPS = 3, 3
_WANTED = 1.2
"""Root mean square of a pre-activation that bends a sigmoid without flattening it."""


def lively_amplitude(model: Model, seed: int) -> float:
    """Half-width of uniform inputs under which most gates neither saturate nor stay linear.

    A first guess comes from the kernels that see the input; of it and some multiples, the one
    under which the most gate values lie where sigmoid and tanh bend is taken.
    """
    guess = _first_guess(model)
    scales = guess * np.repeat(_RELATIVE, _ROWS)
    random = np.random.default_rng([seed, 999])
    x = random.uniform(-1.0, 1.0, (len(scales), _STEPS, model.input_size))
    trace: Trace = {}
    with np.errstate(over="ignore", invalid="ignore"):
        forward(model, {INPUTS: x * scales[:, None, None]}, trace=trace)
    scores = np.mean([_working(np.stack(steps)) for steps in trace.values()], axis=0)
    # the first guess wins a draw
    order = sorted(range(len(_RELATIVE)), key=lambda k: abs(np.log(_RELATIVE[k])))
    best = max(order, key=lambda k: float(np.nan_to_num(scores[k])))
    return float(guess * _RELATIVE[best])


def _first_guess(model: Model) -> float:
    """From the kernels of each direction's first cell; what stands before it is not asked."""
    sums, columns = 0.0, 0
    for layer in model.layers:
        kernel = layer.cell.blocks.get("kernel")
        if layer.index == 0 and isinstance(kernel, GateBlocks):
            sums += sum(float(np.sum(np.square(kernel[g], dtype=np.float64))) for g in kernel)
            columns += len(kernel) * kernel.shape[1]
    norm = np.sqrt(sums / max(columns, 1))
    if not np.isfinite(norm) or norm == 0.0:
        return 1.0
    # uniform in [-a, a] has a root mean square of a / sqrt(3)
    return float(np.clip(_WANTED * np.sqrt(3.0) / norm, 1e-4, 1e4))


def _working(values: Array) -> Array:
    """Share of one gate's values (steps, rows, units) that bend, for each amplitude."""
    # within [0, 1] it is a sigmoid, or near enough; else a tanh, or something without bends
    sigmoid = bool(np.all((values >= 0.0) & (values <= 1.0)))
    off = np.abs(2.0 * values - 1.0) if sigmoid else np.abs(values)
    bends = (off > 0.1) & (off < 0.98)
    return np.asarray(bends.reshape(_STEPS, len(_RELATIVE), -1).mean(axis=(0, 2)))
