"""What `--save-failure` asks for: the smallest input that shows a departure, and its replay."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lstmbridge.contracts import Verdict
from lstmbridge.errors import UsageError
from lstmbridge.report import failure


def failure_from(arguments: dict[str, Any]) -> SavedFailure:
    """Take ``--save-failure`` out of `arguments`, as something that keeps a failure.

    Raises:
        UsageError: its folder is missing.
    """
    path = arguments.pop("save_failure")
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(
            f"the folder of {path} does not exist",
            expected="a folder to write the failing input into",
            where="--save-failure",
        )
    return SavedFailure(path)


@dataclass(frozen=True, slots=True)
class SavedFailure:
    """Where the smallest failing input goes; None: nowhere."""

    path: Path | None

    def keep(self, verdict: Verdict | None) -> str:
        """Write what failed first, with the command that runs it again; what to say of it.

        Raises:
            UsageError: the system refuses the file.
        """
        runs = () if verdict is None else verdict.runtimes
        found = next((r.counterexample for r in runs if r.counterexample is not None), None)
        if self.path is None or found is None:
            return ""
        command = replay_command(self.path)
        failure.write(self.path, found, command)
        return (
            f"kept the smallest failing input, {found.size}, in {self.path}; again:\n  {command}"
        )


_NOT_AGAIN = frozenset({
    "save_failure", "data", "json_to", "junit", "markdown", "html", "quiet", "verbose", "debug",
})  # fmt: skip
"""Options of the command that failed that its repetition does without."""


def replay_command(data: Path) -> str:
    """The command line that is running, on `data`, with none of its reports."""
    context = click.get_current_context()
    words = ["lstmbridge", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        value = context.params.get(name)
        if isinstance(parameter, click.Argument):
            words += [str(one) for one in (value if isinstance(value, tuple) else (value,))]
        elif _said(context, name) and name not in _NOT_AGAIN:
            spelled = parameter.opts if value is not False else parameter.secondary_opts
            words += spelled[:1] if isinstance(value, bool) else [spelled[0], str(value)]
    return shlex.join([*words, "--data", str(data)])


def _said(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
