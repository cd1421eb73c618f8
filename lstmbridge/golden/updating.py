"""A pack is renewed when somebody says so, having seen what changes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstmbridge.contracts import Hints, Progress, States
from lstmbridge.errors import UsageError
from lstmbridge.golden import record
from lstmbridge.golden.pack import Pack, read
from lstmbridge.staging import staged
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.trials import Experiment


@dataclass(frozen=True, eq=False)
class Update:
    """What an update did.

    Attributes:
        old: the pack as it was.
        new: as the source would have it now.
        changes: in words; empty: nothing to write.
        written: whether it was accepted and written.
    """

    old: Pack
    new: Pack
    changes: tuple[str, ...]
    written: bool


def update(
    pack: str | Path,
    source: str | Path,
    *,
    hints: Hints | None = None,
    accept: bool = False,
    progress: Progress | None = None,
) -> Update:
    """Record `source` as `pack` was recorded, and say what is different.

    Args:
        pack: the pack's file.
        source: what it shall say from now on.
        hints: what the source's names do not say.
        accept: write it; without this nothing is touched.
        progress: called as the work advances.

    Raises:
        UsageError: an imported pack has no source to be recorded from.
        LstmBridgeError: as `record`; the pack stays as it was.
    """
    path, old = Path(pack), read(pack)
    if old.imported:
        raise UsageError(
            f"{path.name} was imported: no source computed it",
            expected="a pack that `golden record` wrote",
            where=str(path),
            advice="import the recorded outputs again: lstmbridge golden import FILE",
        )
    asked = old.manifest.get("asked", {})
    options = VerifyOptions(
        seed=int(old.manifest["seed"]),
        batch=asked.get("batch"),
        steps=asked.get("steps"),
        replicas=int(asked.get("replicas", VerifyOptions().replicas)),
    )
    with tempfile.TemporaryDirectory(prefix="lstmbridge-") as folder:
        fresh = Path(folder) / "pack.npz"
        new = record(
            source,
            fresh,
            hints=hints,
            options=options,
            states=States(asked.get("states", _states_of(old))),
            sequence_length=bool(asked.get("sequence_length", _takes(old, "sequence_length"))),
            stack_only=_stack_only(old, hints),
            progress=progress,
        )
        found = tuple(changes(old, new))
        if found and accept:
            with staged(path, force=True) as stage:
                stage.path.write_bytes(fresh.read_bytes())
                stage.commit()
    return Update(old, new, found, written=bool(found) and accept)


def _stack_only(old: Pack, hints: Hints | None) -> bool:
    """A stack's pack is renewed from a stack, whatever its source declares."""
    named = hints is not None and bool(hints.inputs or hints.outputs)
    return not old.of_whole and not named


def _takes(pack: Pack, name: str) -> bool:
    return any(name in t.probe.feeds for e in pack.experiments.values() for t in e.trials)


def _states_of(pack: Pack) -> str:
    fed = {n for e in pack.experiments.values() for t in e.trials for n in t.probe.feeds}
    takes = any(name.startswith("initial_") for name in fed)
    return "required" if takes else "none"


def changes(old: Pack, new: Pack) -> Iterator[str]:
    """What of one pack is different in another, in words; nothing where their digests agree."""
    if old.sha256 == new.sha256:
        return
    for what in ("lstmbridge", "numpy"):
        yield from _line(what, old.manifest.get(what), new.manifest.get(what))
    for what in ("format", "producer", "sha256", "part"):
        before, after = old.manifest["source"].get(what), new.manifest["source"].get(what)
        yield from _line(f"source {what}", before, after)
    yield from _line("whole model", old.manifest.get("whole"), new.manifest.get("whole"))
    for name in {**old.facts, **new.facts}:
        before, after = old.facts.get(name), new.facts.get(name)
        values = [None if fact is None else fact.value for fact in (before, after)]
        yield from _line(f"fact {name}", *values)
    for precision in {**old.experiments, **new.experiments}:
        yield from _experiments(
            precision, old.experiments.get(precision), new.experiments.get(precision)
        )


def _line(what: str, before: object, after: object) -> Iterator[str]:
    if before != after:
        yield f"{what}: {before} -> {after}"


def _experiments(precision: str, old: Experiment | None, new: Experiment | None) -> Iterator[str]:
    if old is None or new is None:
        yield f"{precision}: {'added' if old is None else 'gone'}"
        return
    before = {t.probe.name: t for t in old.trials}
    after = {t.probe.name: t for t in new.trials}
    for name in {**before, **after}:
        if name not in before or name not in after:
            yield f"{precision}, probe {name}: {'gone' if name in before else 'added'}"
            continue
        a, b = before[name], after[name]
        same = set(a.probe.feeds) == set(b.probe.feeds)
        if not same or any(
            not np.array_equal(x, b.probe.feeds[n]) for n, x in a.probe.feeds.items()
        ):
            yield f"{precision}, probe {name}: other inputs"
        for output in {**a.expected, **b.expected}:
            x, y = a.expected.get(output), b.expected.get(output)
            if x is None or y is None or x.shape != y.shape:
                yield f"{precision}, probe {name}: {output} has another shape, or is not there"
            elif not np.array_equal(x, y):
                off = np.abs(x - y)
                times = float(ratio_of(off, np.broadcast_to(a.allowed[output], off.shape)).max())
                yield (
                    f"{precision}, probe {name}: {output} by up to {off.max():.3g}, "
                    f"{times:.3g} times what was allowed"
                )
