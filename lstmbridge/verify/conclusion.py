"""What follows from all the evidence: pass, fail or inconclusive, each with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Artifact, FaultReport, LedgerReport, Outcome, RuntimeResult
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import Stored
from lstmbridge.verify.sessions import ERROR, FAIL, PASS, UNAVAILABLE, Subject


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known when the runs are over.

    Attributes:
        model: the source; None where it is a whole graph.
        ran: each subject with its result.
        artifacts: paths of artifacts that were announced by their ledgers.
        require: names of runtimes that must have run.
        infinite: probes on which the oracle itself is not finite.
        faults: what would have been caught.
        ledger: what reading the weights back gave; None: not done.
        doubts: what else was not proved, in words.
    """

    model: Model | None
    ran: tuple[tuple[Subject, RuntimeResult], ...]
    artifacts: tuple[str, ...]
    require: tuple[str, ...]
    infinite: tuple[str, ...]
    faults: FaultReport
    ledger: LedgerReport | None
    doubts: tuple[str, ...] = ()


def conclude(evidence: Evidence) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome and why: any disagreement fails; whatever is not proved is inconclusive."""
    failures = [_failure(result) for _, result in evidence.ran if result.status == FAIL]
    failures += _ledger_failures(evidence.ledger)
    doubts = [*_run_doubts(evidence), *_fault_doubts(evidence), *evidence.doubts]
    if failures:
        return Outcome.FAIL, (*failures, *doubts)
    return (Outcome.INCONCLUSIVE if doubts else Outcome.PASS), tuple(doubts)


def _failure(result: RuntimeResult) -> str:
    diagnosis = f"; {result.diagnosis}" if result.diagnosis else ""
    return f"{result.name}: {result.reason}{diagnosis}"


def _ledger_failures(ledger: LedgerReport | None) -> list[str]:
    if ledger is None:
        return []
    return [
        *(f"a weight differs: {line}" for line in ledger.different),
        *(f"not in the artifact: {line}" for line in ledger.missing),
        *(f"in the artifact, not in the source: {line}" for line in ledger.extra),
    ]


def _run_doubts(evidence: Evidence) -> list[str]:
    results = [result for _, result in evidence.ran]
    doubts = [f"{r.name}: {r.reason}" for r in results if r.status == ERROR]
    for name in evidence.require:
        absent = [r.reason for r in results if r.name == name and r.status == UNAVAILABLE]
        if absent or name not in {r.name for r in results}:
            why = "; ".join(absent) or "it was given nothing to run"
            doubts.append(f"{name} is required and did not run: {why}")
    announced = dict.fromkeys(evidence.artifacts)
    announced.update((s.label, None) for s, _ in evidence.ran if isinstance(s.thing, Artifact))
    proved = {s.label for s, r in evidence.ran if r.status in {PASS, FAIL}}
    doubts += [f"no runtime ran {path}" for path in announced if path not in proved]
    if not announced:
        doubts.append("there was no artifact to run")
    if not any(one.comparisons for r in results for one in r.outputs.values()):
        doubts.append("nothing was compared")
    return doubts


def _fault_doubts(evidence: Evidence) -> list[str]:
    faults = evidence.faults
    if evidence.infinite:
        probe, blame = evidence.infinite[0], _not_finite(evidence.model)
        return [f"the source itself does not stay finite on probe {probe}{blame}: no proof there"]
    if faults.missed:
        count = f"{len(faults.missed)} of {faults.planted} planted faults"
        names = ", ".join(faults.missed)
        return [f"{count} would pass unseen on these weights: {names}{_drowning(evidence)}"]
    if not faults.planted:
        return ["no planted fault changes anything on these weights, so agreement proves nothing"]
    return []


_SHORT = frozenset({"float16", "bfloat16", "tf32"})


def _drowning(evidence: Evidence) -> str:
    """What hides faults where numbers are short: rounding, not the conversion."""
    short = {r.precision for _, r in evidence.ran if r.precision in _SHORT and r.comparisons}
    if not short:
        return ""
    said = " and ".join(sorted(short))
    return f"; rounding to {said} does more than they do, float32 would show more"


def _not_finite(model: Model | None) -> str:
    if model is None:
        return ""
    owners: dict[str, Mapping[str, Stored]] = {x.name: x.cell.blocks for x in model.layers}
    owners |= {x.name: x.block.weights for x in model.attachments}
    bad = [
        f"{owner} {name}"
        for owner, fields in owners.items()
        for name, stored in fields.items()
        if not _finite(stored)
    ]
    return f" (not finite: {', '.join(bad)})" if bad else ""


def _finite(stored: Stored) -> bool:
    arrays = stored.values() if isinstance(stored, GateBlocks) else [stored.load()]
    return all(bool(np.isfinite(np.asarray(array, np.float64)).all()) for array in arrays)


def drowned_remarks(faults: FaultReport) -> list[str]:
    """What no probe can show on these weights, in words."""
    return [
        f"{name}: on these weights it would change less than rounding does, on every probe"
        for name in faults.drowned
    ]
