"""For test suites: assert that artifacts compute what their source computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome, Verdict
from lstmbridge.report import terminal
from lstmbridge.verify import VerifyOptions


def assert_equivalent(
    source: str | Path,
    *artifacts: str | Path,
    hints: Hints | None = None,
    options: VerifyOptions | None = None,
    runtimes: Sequence[str] = (),
    require: Sequence[str] = (),
) -> Verdict:
    """Prove that `artifacts` compute what the stack in `source` computes.

    Args:
        source: a checkpoint, as `lstmbridge.verify` takes it.
        artifacts: files that a target wrote.
        hints: what the source's names do not say.
        options: of the verification.
        runtimes: run these only; empty: every one that is here and fits.
        require: names of runtimes that must have run; added to those in `options`.

    Returns:
        The verdict, which is a pass.

    Raises:
        AssertionError: the verdict is fail or inconclusive; the message is the report that
            `lstmbridge verify` prints.
        LstmBridgeError: a file cannot be read or understood.
    """
    __tracebackhide__ = True  # pytest shows the test's own line
    options = options or VerifyOptions()
    options = replace(options, require=tuple(dict.fromkeys((*options.require, *require))))
    found = api.verify(source, *artifacts, hints=hints, options=options, runtimes=runtimes)
    if found.outcome is not Outcome.PASS:
        raise AssertionError("\n".join(_report(source, artifacts, found)))
    return found


def _report(source: str | Path, artifacts: Sequence[str | Path], found: Verdict) -> list[str]:
    names = ", ".join(str(path) for path in artifacts) or "no artifact"
    warnings = [f"warning: {text}" for text in terminal.assumption_warnings(found.facts)]
    return [f"{names} against {source}", terminal.verdict(found), *warnings]
