"""Compare what a runtime gave with what the oracle computed: one output of one probe.

Shape and dtype come first and non-finite numbers are a failure before anything is subtracted;
then ``ok = |difference| <= allowed``, written so that whatever cannot be compared is not ok.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from lstmbridge.contracts import OutputComparison, Outputs
from lstmbridge.gates import Array


def compare_outputs(
    actual: Outputs,
    expected: Outputs,
    allowed: Mapping[str, Array],
    dtypes: Mapping[str, np.dtype[Any]],
    probe: str,
) -> dict[str, OutputComparison]:
    """Compare all outputs of one probe; names are matched both ways.

    Args:
        actual: what the runtime gave.
        expected: the oracle's.
        allowed: by output name, broadcasting against the output.
        dtypes: what the artifact's signature promises; outputs not named may be any float.
        probe: its name.
    """
    results = {}
    for name, values in expected.items():
        if name in actual:
            results[name] = compare(
                np.asarray(actual[name]), values, allowed[name], dtypes.get(name), probe
            )
        else:
            given = ", ".join(sorted(actual)) or "nothing"
            results[name] = broken(f"missing: the runtime gave {given}", probe)
    for name in actual:
        if name not in expected:
            results[name] = broken("the source has no such output", probe)
    return results


def compare(
    actual: Array, expected: Array, allowed: Array, dtype: np.dtype[Any] | None, probe: str
) -> OutputComparison:
    """Compare one output; see the module's text for the order of checks."""
    problem = _incomparable(actual, expected, dtype)
    if problem:
        return broken(problem, probe)
    if actual.size == 0:
        return OutputComparison(0.0, 0.0, 0.0, (), probe, 0)
    off = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    limit = np.broadcast_to(allowed, off.shape)
    ratios = ratio_of(off, limit)
    worst = np.unravel_index(int(np.argmax(ratios)), off.shape)
    return OutputComparison(
        max_abs=float(off.max()),
        allowed=float(limit[worst]),
        ratio=float(ratios[worst]),
        worst_index=tuple(int(k) for k in worst),
        probe=probe,
        comparisons=int(off.size),
    )


def ratio_of(off: Array, allowed: Array) -> Array:
    """off / allowed; 0 where `off` is 0, infinite where nothing is allowed, or where NaN."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.asarray(off / allowed)
    ratios = np.where(off == 0.0, 0.0, ratios)
    return np.where(np.isfinite(ratios), ratios, np.inf)


def _incomparable(actual: Array, expected: Array, dtype: np.dtype[Any] | None) -> str:
    if actual.shape != expected.shape:
        return f"shape {actual.shape}, expected {expected.shape}"
    if dtype is not None and actual.dtype != dtype:
        return f"dtype {actual.dtype}, expected {dtype}"
    kind = expected.dtype.kind
    if kind in "iub":
        same = actual.dtype.kind in ("b" if kind == "b" else "iu")
        return "" if same else f"dtype {actual.dtype}, expected whole numbers or booleans"
    # NumPy counts bfloat16 among the voids
    if actual.dtype.kind != "f" and actual.dtype != np.dtype(ml_dtypes.bfloat16):
        return f"dtype {actual.dtype}, expected floating point"
    return _not_finite(actual, expected)


def _not_finite(actual: Array, expected: Array) -> str:
    if not np.isfinite(expected).all():
        return "the oracle itself is not finite here"
    bad = ~np.isfinite(actual.astype(np.float64))
    if bad.any():
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        return f"{int(bad.sum())} of {bad.size} values are NaN or infinite, the first at {place}"
    return ""


def broken(problem: str, probe: str) -> OutputComparison:
    """An output that cannot be compared: never a pass."""
    return OutputComparison(float("inf"), 0.0, float("inf"), (), probe, 0, problem)


def passes(comparison: OutputComparison) -> bool:
    """Compared, and within what is allowed."""
    return not comparison.problem and comparison.comparisons > 0 and comparison.ratio <= 1.0


def worst_of(comparisons: Iterable[OutputComparison]) -> OutputComparison:
    """One output over all probes: the worst place, and the number of all comparisons.

    Raises:
        ValueError: there is none.
    """
    found = list(comparisons)
    if not found:
        raise ValueError("no comparison to choose from")
    worst = max(found, key=lambda c: (bool(c.problem), c.ratio))
    return OutputComparison(
        max_abs=max(c.max_abs for c in found),
        allowed=worst.allowed,
        ratio=worst.ratio,
        worst_index=worst.worst_index,
        probe=worst.probe,
        comparisons=sum(c.comparisons for c in found),
        problem=worst.problem,
    )
