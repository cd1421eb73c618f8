"""What an artifact claims beyond its outputs, each claim a comparison of its own.

A file that takes any batch says that rows do not know each other; one that takes states, that a
sequence may come in pieces; one that takes lengths, that what lies behind them is nothing. The
numbers that must come out are the oracle's, and what may be allowed is the probe's own floor;
only the second run is held against the first, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Feeds, OutputComparison, Outputs, Session
from lstmbridge.errors import RuntimeFailed, RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.compare import broken, compare_outputs, worst_of
from lstmbridge.verify.probes import InputSpecs
from lstmbridge.verify.trials import Trial

AGAIN = "a second run gives the same bits"
ROWS = "rows are independent"
PIECES = "pieces equal the whole"
PADDING = "padding changes nothing"
SIZES = "any batch and any length"

Found = list[OutputComparison]


@dataclass(frozen=True, eq=False)
class Claims:
    """One artifact under one runtime, and the probe that its claims are tried on.

    Attributes:
        trial: of several rows and steps, which it passed.
        other: of another batch and length; None: the file fixes both.
    """

    model: Model
    session: Session
    specs: InputSpecs
    trial: Trial
    other: Trial | None


def telling(trials: tuple[Trial, ...]) -> Trial | None:
    """The trial to try claims on: many rows, several steps, as much fed as can be."""
    fit = [t for t in trials if t.probe.batch > 1 and t.probe.steps > 1 and not t.chaotic]
    if not fit:
        return None
    return max(fit, key=lambda t: (len(t.probe.feeds), t.probe.batch, -t.probe.steps))


def check_claims(claims: Claims) -> dict[str, OutputComparison]:
    """Every claim that the artifact makes, by name; those that it does not make are left out.

    Raises:
        RuntimeFailed: the runtime died, which says nothing about a claim.
    """
    checks: Mapping[str, Callable[[Claims], Found]] = {
        AGAIN: _again,
        ROWS: _rows,
        PIECES: _pieces,
        PADDING: _padding,
        SIZES: _sizes,
    }
    results = {}
    for name, check in checks.items():
        found = _declined(check, claims, name)
        if found:
            results[name] = worst_of(found)
    return results


def _declined(check: Callable[[Claims], Found], claims: Claims, name: str) -> Found:
    """The check; that a runtime declines what the file declares is an answer to it."""
    try:
        return check(claims)
    except RuntimeFailed:
        raise
    except RuntimeUnavailable as error:
        return [broken(f"declined, though the file declares it: {error.read}", name)]


def not_claimed(model: Model, specs: InputSpecs) -> tuple[str, ...]:
    """In words, which claims an artifact with these inputs does not make."""
    shape = next(spec.shape for spec in specs if spec.name == INPUTS)
    fixed = [
        f"{axis} is fixed at {size}"
        for axis, size in zip(("the batch", "the length"), shape, strict=False)
        if isinstance(size, int)
    ]
    said = [f"other sizes: {', '.join(fixed)} in the file"] if fixed else []
    if _backward(model) and _streams(model, specs):
        said.append("pieces: a backward layer needs the whole sequence")
    return tuple(said)


def _streams(model: Model, specs: InputSpecs) -> bool:
    """Whether all states can be fed."""
    names = {spec.name for spec in specs}
    wanted = {x.initial_name(s) for x in model.layers for s in x.cell.state_sizes}
    return bool(wanted) and wanted <= names


def _backward(model: Model) -> bool:
    return any(layer.direction == "bw" for layer in model.layers)


def _compared(
    actual: Outputs, expected: Outputs, allowed: Mapping[str, Array], probe: str
) -> Found:
    return list(compare_outputs(actual, expected, allowed, {}, probe).values())


def _limits(trial: Trial) -> dict[str, Array]:
    return {n: np.broadcast_to(trial.allowed[n], v.shape) for n, v in trial.expected.items()}


def _again(claims: Claims) -> Found:
    """The same feeds twice."""
    feeds = claims.trial.probe.feeds
    first, second = (_copied(claims.session.run(feeds)) for _ in range(2))
    found = []
    for name, values in first.items():
        other = np.asarray(second.get(name, np.zeros(0)))
        same = other.shape == values.shape and other.dtype == values.dtype
        bits = same and other.tobytes() == values.tobytes()
        if bits:
            found.append(OutputComparison(0.0, 0.0, 0.0, (), AGAIN, int(values.size)))
        else:
            found.append(broken(f"{name} has other bits in the second run", AGAIN))
    return found


def _copied(outputs: Outputs) -> dict[str, Array]:
    return {name: np.array(values) for name, values in outputs.items()}


def _rows(claims: Claims) -> Found:
    """One row stays; what stands in all others becomes something else."""
    trial = claims.trial
    feeds = dict(trial.probe.feeds)
    kept = int(np.argmax(feeds[SEQUENCE_LENGTH])) if SEQUENCE_LENGTH in feeds else 0
    others = np.arange(trial.probe.batch) != kept
    for name, array in feeds.items():
        if name != SEQUENCE_LENGTH:
            changed = np.array(array)
            changed[others] = -0.5 * changed[others][::-1]
            feeds[name] = changed
    given = claims.session.run(feeds)
    limits = _limits(trial)
    row = slice(kept, kept + 1)
    return _compared(
        {n: np.asarray(v)[row] for n, v in given.items()},
        {n: v[row] for n, v in trial.expected.items()},
        {n: v[row] for n, v in limits.items()},
        f"{trial.probe.name}, row {kept} among others",
    )


def _pieces(claims: Claims) -> Found:
    """The sequence in two pieces, the first one's final states fed to the second."""
    model, trial = claims.model, claims.trial
    time = next(spec.shape[1] for spec in claims.specs if spec.name == INPUTS)
    if not _streams(model, claims.specs) or _backward(model) or isinstance(time, int):
        return []
    cut = max(1, trial.probe.steps // 3)
    first = claims.session.run(_piece(trial.probe.feeds, 0, cut))
    carried = {
        x.initial_name(s): np.asarray(first[x.state_name(s)])
        for x in model.layers
        for s in x.cell.state_sizes
        if x.state_name(s) in first
    }
    second = claims.session.run({**_piece(trial.probe.feeds, cut, trial.probe.steps), **carried})
    whole = {n: np.asarray(v) for n, v in second.items()}
    if OUTPUTS in first and OUTPUTS in second:
        whole[OUTPUTS] = np.concatenate([first[OUTPUTS], second[OUTPUTS]], axis=1)
    name = f"{trial.probe.name}, in pieces of {cut} and {trial.probe.steps - cut}"
    return _compared(whole, trial.expected, trial.allowed, name)


def _piece(feeds: Feeds, start: int, stop: int) -> dict[str, Array]:
    piece = {**feeds, INPUTS: np.ascontiguousarray(feeds[INPUTS][:, start:stop])}
    if SEQUENCE_LENGTH in feeds:
        piece[SEQUENCE_LENGTH] = np.clip(feeds[SEQUENCE_LENGTH] - start, 0, stop - start)
    return piece


def _padding(claims: Claims) -> Found:
    """What lies behind a row's length becomes something else; then more of it is appended."""
    trial = claims.trial
    feeds = trial.probe.feeds
    if SEQUENCE_LENGTH not in feeds or not (feeds[SEQUENCE_LENGTH] < trial.probe.steps).any():
        return []
    x = np.array(feeds[INPUTS])
    dead = np.arange(x.shape[1])[None, :] >= np.asarray(feeds[SEQUENCE_LENGTH])[:, None]
    x[dead] = (3.0 - 2.0 * x[dead]).astype(x.dtype)
    name = f"{trial.probe.name}, other padding"
    given = claims.session.run({**feeds, INPUTS: x})
    found = _compared(given, trial.expected, trial.allowed, name)
    time = next(spec.shape[1] for spec in claims.specs if spec.name == INPUTS)
    if isinstance(time, int):
        return found
    longer = np.concatenate([x, x[:, :2] + x.dtype.type(1)], axis=1)
    given = claims.session.run({**feeds, INPUTS: longer})
    expected, limits = dict(trial.expected), _limits(trial)
    if OUTPUTS in expected:
        tail = ((0, 0), (0, 2), (0, 0))
        # past the end of every row outputs are zero, exactly
        expected[OUTPUTS] = np.pad(expected[OUTPUTS], tail)
        limits[OUTPUTS] = np.pad(limits[OUTPUTS], tail)
    return found + _compared(given, expected, limits, f"{trial.probe.name}, more padding")


def _sizes(claims: Claims) -> Found:
    """Another batch, another length."""
    other = claims.other
    if other is None:
        return []
    given = claims.session.run(other.probe.feeds)
    return _compared(given, other.expected, other.allowed, other.probe.name)
