"""The user's own sequences as a probe: checked, then fed like any other."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.contracts import Feeds, TensorSpec
from lstmbridge.errors import UsageError
from lstmbridge.gates import Array
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.probes import InputSpecs, Probe, frozen

_WHERE = "the sequences given with --data"


def data_probe(specs: InputSpecs, data: Feeds) -> Probe:
    """The user's arrays as one probe, in the artifact's dtypes.

    Raises:
        UsageError: a name, shape or dtype does not fit, a number is not finite, or a length
            lies outside the sequence.
    """
    by_name = {spec.name: spec for spec in specs}
    unknown = sorted(set(data) - set(by_name))
    required = [spec.name for spec in specs if not spec.optional]
    missing = [name for name in required if name not in data]
    if unknown or missing:
        raise UsageError(
            f"arrays named {', '.join(sorted(data)) or '(none)'}",
            expected=f"arrays named {', '.join(by_name)}"
            + ("" if len(required) == len(by_name) else f" (of which {', '.join(required)})"),
            where=_WHERE,
            advice="name the arrays in the .npz like the artifact's inputs",
        )
    axes: dict[str, tuple[int, str]] = {}
    feeds = {name: _checked(np.asarray(data[name]), by_name[name], axes) for name in data}
    if SEQUENCE_LENGTH in feeds:
        _check_lengths(feeds[SEQUENCE_LENGTH], feeds[INPUTS].shape[1])
    batch, steps = feeds[INPUTS].shape[:2]
    return Probe(f"your data, {batch} x {steps}", feeds, own=True)


def _checked(array: Array, spec: TensorSpec, axes: dict[str, tuple[int, str]]) -> Array:
    fits = array.ndim == len(spec.shape)
    for size, wanted in zip(array.shape, spec.shape, strict=False):
        if isinstance(wanted, str):
            fits = fits and size > 0 and axes.setdefault(wanted, (size, spec.name))[0] == size
        else:
            fits = fits and size == wanted
    if not fits:
        sizes = [f"{axis} = {n} as in {name}" for axis, (n, name) in axes.items()]
        raise UsageError(
            f"{spec.name} has shape {array.shape}",
            expected=f"({', '.join(str(n) for n in spec.shape)}), no axis empty"
            + (f", with {', '.join(sizes)}" if sizes else ""),
            where=_WHERE,
            advice="arrays are batch-major: (batch, time, features)",
        )
    _check_kind(array, spec.name, spec.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        narrowed = array.astype(spec.dtype)
    if not np.isfinite(np.asarray(narrowed, np.float64)).all():
        raise UsageError(
            f"{spec.name} holds numbers that are NaN, infinite, or too large for {spec.dtype}",
            expected="finite numbers",
            where=_WHERE,
            advice="leave them out: runtimes differ by design in what they make of NaN",
        )
    return frozen(narrowed)


def _check_kind(array: Array, name: str, dtype: np.dtype[Any]) -> None:
    integral = np.issubdtype(dtype, np.integer)
    # NumPy counts bfloat16 among the voids
    bfloat16 = array.dtype == np.dtype(ml_dtypes.bfloat16) and not integral
    if not bfloat16 and array.dtype.kind not in ("iu" if integral else "iuf"):
        raise UsageError(
            f"{name} has dtype {array.dtype}",
            expected=f"{dtype}, or what converts to it without loss of meaning",
            where=_WHERE,
            advice=f"store it as {dtype}",
        )


def _check_lengths(lengths: Array, steps: int) -> None:
    if lengths.min() < 0 or lengths.max() > steps:
        raise UsageError(
            f"{SEQUENCE_LENGTH} runs from {lengths.min()} to {lengths.max()}",
            expected=f"lengths from 0 to {steps}, the padded length of {INPUTS}",
            where=_WHERE,
            advice="lengths count steps, and never exceed the padded time axis",
        )
