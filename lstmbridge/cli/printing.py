"""Where text goes: answers to standard output, or to standard error beside ``--json -``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from lstmbridge.errors import LstmBridgeError, UsageError
from lstmbridge.report import jsonable
from lstmbridge.report.picture import plain

_PRINTER = "lstmbridge.printer"
"""Where a context's meta keeps the printer of the command that runs."""
_PATIENCE = 1.0
"""Seconds of work before a terminal is shown progress."""


def echo(text: str, *, err: bool) -> None:
    """Print `text`, whatever names a file put into it and whatever the terminal can show.

    Control characters are shown, not sent: a variable's name does not steer a terminal.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    utf8 = encoding.replace("-", "").startswith("utf")
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    if not utf8:
        shown = plain(shown).encode("ascii", "backslashreplace").decode()
    click.echo(shown, err=err)


class Printer:
    """Prints one command's answer.

    Args:
        json_to: where the JSON goes; ``-`` is standard output, which then holds nothing else.
        quiet: only warnings and errors are said.
    """

    def __init__(self, json_to: str | None, *, quiet: bool) -> None:
        self._json_to = json_to
        self._quiet = quiet
        self._human_to_stderr = json_to == "-"
        self._start = time.monotonic()
        self._progress_shown = False
        if json_to not in {None, "-"} and not Path(str(json_to)).absolute().parent.is_dir():
            raise UsageError(
                f"the folder of {json_to} does not exist",
                expected="a folder to write the JSON into",
                where="--json",
            )
        context = click.get_current_context(silent=True)
        if context is not None:
            context.meta[_PRINTER] = self

    def say(self, text: str) -> None:
        """The answer, for a person."""
        self._end_progress()
        if not self._quiet:
            echo(text, err=self._human_to_stderr)

    def warn(self, texts: Iterable[str]) -> None:
        """What should not be overlooked: always said, on standard error."""
        for text in texts:
            echo(f"warning: {text}", err=True)

    def json(self, body: Any) -> None:
        """The answer, for a program."""
        if self._json_to is None:
            return
        # names may hold what the terminal's encoding lacks, or what no encoding has
        text = json.dumps(body, indent=2, ensure_ascii=True, allow_nan=False)
        if self._json_to == "-":
            click.echo(text)
            return
        try:
            Path(self._json_to).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"the JSON cannot be written: {error.strerror}", where=f"--json {self._json_to}"
            ) from error

    def error(self, error: LstmBridgeError) -> None:
        """In place of the answer, for a program: why there is none.

        A file is written only where none is, or where an answer of ours stands, and not for a
        usage that is refused: what is refused may be that very file.
        """
        self._end_progress()
        file = None if self._json_to in {None, "-"} else Path(str(self._json_to))
        if file is None or (not isinstance(error, UsageError) and _is_free(file)):
            self.json(jsonable.error(error))

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far the work is, on a terminal, when it takes longer than a second."""
        if self._quiet or not sys.stderr.isatty():
            return
        if time.monotonic() - self._start < _PATIENCE:
            return
        self._progress_shown = True
        width = 30
        filled = width * done // max(total, 1)
        bar = "#" * filled + "." * (width - filled)
        click.echo(f"\r{bar} {done}/{total} {what:<40.40}", nl=False, err=True)

    def _end_progress(self) -> None:
        if self._progress_shown:
            click.echo("\r" + " " * 90 + "\r", nl=False, err=True)
            self._progress_shown = False


def printer_of(context: click.Context) -> Printer | None:
    """The printer of the command that runs in `context`, once it has one."""
    found: Printer | None = context.meta.get(_PRINTER)
    return found


def _is_free(path: Path) -> bool:
    """Whether nothing is lost when an answer is written there."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"kind", "schema"} <= found.keys()
