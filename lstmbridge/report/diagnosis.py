"""A diagnosis for a person, and for a program. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lstmbridge.contracts import Account, Diagnosis, Outcome, WeightFinding
from lstmbridge.report import jsonable
from lstmbridge.report.schema import headed
from lstmbridge.report.terminal import difference, fitted

_WORDS = {
    Outcome.PASS: "EQUAL",
    Outcome.FAIL: "DIFFERENT",
    Outcome.INCONCLUSIVE: "INCONCLUSIVE",
}
_SHOWN = 6


def text(d: Diagnosis) -> str:
    """What `diagnose` prints."""
    return "\n".join(fitted(list(_lines(d))))


def _lines(d: Diagnosis) -> Iterator[str]:
    yield f"{_WORDS[d.outcome]}  {d.comparisons:,} numbers compared in {d.seconds:.2f} s"
    for letter, account in zip("AB", d.accounts, strict=True):
        yield from _account(letter, account)
    if d.matched:
        yield "  how B's names and axes were matched"
        yield from (f"    {one}" for one in d.matched)
    if d.outcome is not Outcome.PASS:
        yield from (f"  because {reason}" for reason in d.reasons)
    if d.explanation:
        yield "  what its outputs say (the source is A)"
        yield from (f"    {part}" for part in d.explanation.split("; "))
    yield from _weights(d)
    shown = sorted(d.outputs.items(), key=lambda item: -item[1].ratio)
    if d.outcome is Outcome.PASS and shown:
        yield f"  at worst, {difference(*shown[0])}"
    if d.faults.planted:
        yield f"  planted faults: {d.faults.caught} of {d.faults.planted} would have been caught"
    elif d.not_run:
        yield "  this does not cover"
        yield from (f"    {one}" for one in d.not_run)


def _account(letter: str, account: Account) -> Iterator[str]:
    size = "" if account.accounted is None else f", {account.accounted:,} stored numbers read"
    yield f"  {letter}: {account.path} ({account.kind}{size})"
    yield from (f"    {layer}" for layer in account.layers)
    yield from (f"    not accounted for: {one}" for one in account.left[:_SHOWN])
    if len(account.left) > _SHOWN:
        yield f"    and {len(account.left) - _SHOWN} more"


def _weights(d: Diagnosis) -> Iterator[str]:
    if d.weights is None:
        yield "  weights were not compared: one side's could not be read"
        return
    if not d.weights.findings:
        yield f"  weights: all {d.weights.compared:,} numbers are A's"
        return
    yield "  what its weights say"
    found = d.weights.findings
    yield from (f"    {finding(one)}" for one in found[:_SHOWN])
    if len(found) > _SHOWN:
        yield f"    and {len(found) - _SHOWN} more"


def finding(one: WeightFinding) -> str:
    """``"layer0, layer1: kernel and bias: has ..."``."""
    who = ", ".join(one.layers)
    if not one.blocks:
        return f"{who}: B {one.words}"
    *others, last = one.blocks
    blocks = f"{', '.join(others)} and {last}" if others else last
    return f"{who}: {blocks} of B: {one.words}"


def body(d: Diagnosis) -> dict[str, Any]:
    """What `diagnose --json` prints."""
    said = {
        "verdict": {
            Outcome.PASS: "equal",
            Outcome.FAIL: "different",
            Outcome.INCONCLUSIVE: "inconclusive",
        }[d.outcome],
        "reasons": list(d.reasons),
        "explanation": d.explanation,
        "matched": list(d.matched),
        "comparisons": d.comparisons,
        "outputs": {name: jsonable.comparison(one) for name, one in d.outputs.items()},
        "weights": d.weights
        and {
            "compared": d.weights.compared,
            "findings": [
                {
                    "layers": list(one.layers),
                    "blocks": list(one.blocks),
                    "words": one.words,
                    "mistake": one.mistake,
                }
                for one in d.weights.findings
            ],
        },
        "sides": {
            letter: {
                "path": account.path,
                "kind": account.kind,
                "layers": list(account.layers),
                "accounted": account.accounted,
                "not_accounted": list(account.left),
            }
            for letter, account in zip("ab", d.accounts, strict=True)
        },
        "faults": {"planted": d.faults.planted, "caught": d.faults.caught},
        "not_run": list(d.not_run),
        "seed": d.seed,
        "seconds": d.seconds,
    }
    return headed("diagnosis", said)
