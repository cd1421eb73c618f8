"""What GitHub Actions is told while a command runs there; nothing anywhere else.

Annotations are lines that its runner takes out of what a step prints; the job's summary is a
file that each step may add Markdown to. Both are documented as "workflow commands".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lstmbridge.contracts import Outcome, Verdict
from lstmbridge.contracts.manifests import ModelRun, ModelState
from lstmbridge.errors import LstmBridgeError
from lstmbridge.report import markdown

ERROR, WARNING, NOTICE = "error", "warning", "notice"
_LEVELS = {Outcome.PASS: NOTICE, Outcome.FAIL: ERROR, Outcome.INCONCLUSIVE: WARNING}
_LONGEST = 4000
"""Characters of one message, of which GitHub shows a few lines."""


def is_here() -> bool:
    """Whether this process is a step of a workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation(
    level: str, message: str, *, title: str, file: str | Path = "", line: int = 0
) -> str:
    """What makes an annotation; GitHub shows it at `file`, and its `line`, where there is one."""
    place = _in_workspace(file) if str(file) else ""
    named = {"file": place, "line": str(line) if line else "", "title": title}
    said = ",".join(f"{name}={_property(value)}" for name, value in named.items() if value)
    return f"::{level} {said}::{_data(message[:_LONGEST])}"


def _data(text: str) -> str:
    """A percent sign would begin an escape, a line's end would end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_workspace(file: str | Path) -> str:
    """Relative to the checkout, as GitHub names files; others as they are called."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    path = Path(file).absolute()
    if workspace and path.is_relative_to(workspace):
        return path.relative_to(workspace).as_posix()
    return str(file)


def of_verdict(verdict: Verdict, source: str | Path, artifacts: Sequence[str | Path]) -> str:
    """One annotation: what came of a verification."""
    word = verdict.outcome.value.upper()
    faults = verdict.faults
    held = (
        f"{verdict.comparisons:,} numbers compared with {source}; "
        f"{faults.caught} of {faults.planted} planted faults would have been caught"
    )
    return annotation(
        _LEVELS[verdict.outcome],
        "\n".join(verdict.reasons) or held,
        title=f"lstmbridge: {word}",
        file=artifacts[0] if artifacts else source,
    )


_OF_STATE = {
    ModelState.PASS: NOTICE,
    ModelState.FAIL: ERROR,
    ModelState.INCONCLUSIVE: WARNING,
    ModelState.ERROR: ERROR,
}


def of_model(one: ModelRun, manifest: str | Path) -> str:
    """One annotation, where the manifest names the model."""
    title = f"lstmbridge: {one.name}: {one.state.value.upper()}"
    told = "\n".join(one.reasons) or f"{one.comparisons:,} numbers compared"
    return annotation(_OF_STATE[one.state], told, title=title, file=manifest, line=one.line)


def of_error(error: LstmBridgeError) -> str:
    """One annotation: why a command could not do its work."""
    return annotation(ERROR, str(error), title=f"lstmbridge: {type(error).__name__}")


def add_to_summary(verdict: Verdict, source: str | Path, artifacts: Sequence[str | Path]) -> str:
    """Add the verdict to the job's summary; in words why that failed, "" where it did not.

    A summary that cannot be written is no reason to lose a verdict.
    """
    return add_words(
        markdown.text(verdict, source=str(source), artifacts=tuple(map(str, artifacts)))
    )


def add_words(told: str) -> str:
    """Add Markdown to the job's summary; in words why that failed, "" where it did not."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    try:
        with Path(path).open("ab") as file:
            file.write(f"{told}\n".encode("utf-8", "replace"))
    except OSError as error:
        return f"the job's summary was not written: {error.strerror} ({path})"
    return ""
