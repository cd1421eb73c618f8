"""The files that ``--junit``, ``--markdown`` and ``--html`` ask for, and what GitHub is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstmbridge import api
from lstmbridge.cli import github
from lstmbridge.cli.printing import echo
from lstmbridge.contracts import Hints, Outcome, Verdict
from lstmbridge.errors import UsageError
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model
from lstmbridge.report import html, junit, markdown
from lstmbridge.whole_models import is_asked_for, whole_from

KINDS = ("junit", "markdown", "html")


def network_of(path: Path, hints: Hints, *, stack_only: bool) -> Model | Whole:
    """What is drawn: the network that `convert` would convert. No weight of a stack is read.

    Raises:
        As `api.load`, and `whole_models.whole_from` for a whole model.
    """
    with api.opened(path) as source:
        if is_asked_for(source, hints, stack_only=stack_only):
            return whole_from(source, hints)[0]
    return api.load(path, hints)


class Reports:
    """Takes the report options out of `arguments`; writes when the verdict is known.

    Raises:
        UsageError: a folder is missing; or a report is asked for and nothing will be verified.
    """

    def __init__(self, arguments: dict[str, Any], *, verified: bool = True) -> None:
        found = {kind: arguments.pop(kind) for kind in KINDS}
        self._quiet = bool(arguments.get("quiet"))
        self._json_on_stdout = arguments.get("json_to") == "-"
        self._wanted: dict[str, Path] = {k: path for k, path in found.items() if path is not None}
        for kind, path in self._wanted.items():
            if not verified:
                raise UsageError(
                    f"--{kind} asks for the report of a verification, --no-verify for none",
                    expected="one of the two",
                    where=f"--{kind} {path}",
                )
            if not path.absolute().parent.is_dir():
                raise UsageError(
                    f"the folder of {path} does not exist",
                    expected="a folder to write the report into",
                    where=f"--{kind}",
                )

    def write(
        self,
        verdict: Verdict | None,
        source: Path,
        artifacts: tuple[Path, ...],
        model: Callable[[], Model | Whole] | None = None,
    ) -> None:
        """Write what was asked for, whatever the verdict.

        Args:
            verdict: None: there is none, nothing is written.
            source: as the user called it.
            artifacts: likewise.
            model: gives the network; asked only where it is drawn.

        Raises:
            UsageError: the system refuses a file.
        """
        if verdict is None:
            return
        named = tuple(str(path) for path in artifacts)
        writers: dict[str, Callable[[], str]] = {
            "junit": lambda: junit.text(verdict, source=str(source), artifacts=named),
            "markdown": lambda: markdown.text(verdict, source=str(source), artifacts=named),
            "html": lambda: html.text(
                verdict,
                source=str(source),
                artifacts=named,
                model=None if model is None else model(),
            ),
        }
        for kind, path in self._wanted.items():
            content = writers[kind]().encode("utf-8", "replace")
            try:
                path.write_bytes(content)
            except OSError as error:
                raise UsageError(
                    f"the report cannot be written: {error.strerror}", where=f"--{kind} {path}"
                ) from error
        if github.is_here():
            self._tell_github(verdict, source, artifacts)

    def _tell_github(self, verdict: Verdict, source: Path, artifacts: tuple[Path, ...]) -> None:
        """Standard output is left to the JSON where that goes there; GitHub reads both."""
        if not (self._quiet and verdict.outcome is Outcome.PASS):
            echo(github.of_verdict(verdict, source, artifacts), err=self._json_on_stdout)
        problem = github.add_to_summary(verdict, source, artifacts)
        if problem:
            echo(f"warning: {problem}", err=True)
