"""All models of a manifest, several at a time, and what is said and written of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lstmbridge.cli import github
from lstmbridge.cli.manifests.children import Child
from lstmbridge.cli.manifests.reading import read
from lstmbridge.cli.printing import Printer, echo
from lstmbridge.contracts.manifests import ManifestRun, ModelRun, ModelState
from lstmbridge.errors import UsageError
from lstmbridge.report import many
from lstmbridge.staging import refuse_clashes

SUMMARY = "summary.json"
"""In the folder of the results: the whole answer; also how that folder is known again."""
_WITH_A_MANIFEST = {
    "manifest", "jobs", "results", "fresh", "time_limit", "json_to", "junit", "markdown", "html",
    "quiet", "verbose", "debug",
}  # fmt: skip
"""Options that stand beside ``--manifest``; all others belong into it."""


def run(context: click.Context, commands: dict[str, click.Command]) -> int:
    """Verify every model of the manifest that `context`'s command was given; the exit code.

    Raises:
        UsageError: options that belong into the manifest; the manifest's own errors; a folder
            for the results that is somebody else's.
    """
    said = context.params
    _refuse_others(context)
    manifest, results = Path(said["manifest"]), Path(said["results"])
    printer = Printer(said["json_to"], quiet=said["quiet"])
    entries = read(manifest, commands)
    writers = _Writers(said, results)
    refuse_clashes(writers.paths, [manifest, *(p for e in entries for p in e.reads)])
    _prepare(results)
    jobs = said["jobs"] or max(1, (os.cpu_count() or 1) // 2)
    head = f"{manifest}: {len(entries)} model{'' if len(entries) == 1 else 's'}"
    printer.say(f"{head}, {min(jobs, len(entries))} at a time, results in {results}\n")
    start = time.monotonic()
    found = _all(
        [Child(entry, results) for entry in entries],
        jobs,
        lambda child: child.run(fresh=said["fresh"], seconds=said["time_limit"]),
        lambda one: printer.say(many.line(one)),
    )
    done = ManifestRun(str(manifest), found, time.monotonic() - start)
    printer.say(many.text(done))
    body = many.body(done)
    (results / SUMMARY).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    printer.json(body)
    writers.write(done)
    _tell_github(done, quiet=said["quiet"], beside=said["json_to"] == "-")
    return done.exit_code


def _refuse_others(context: click.Context) -> None:
    for param in context.command.params:
        name = param.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and context.params.get(name) and name not in _WITH_A_MANIFEST:
            shown = param.opts[0] if isinstance(param, click.Option) else name.upper()
            raise UsageError(
                f"{shown} was given beside --manifest",
                expected="what is verified, and how, in the manifest",
                where=shown,
                advice="write it into a [[model]], or into [defaults] for all of them",
            )


def _prepare(results: Path) -> None:
    """A folder that is ours: new, empty, or one that an earlier run wrote its summary into."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        ours = (results / SUMMARY).is_file() or not any(results.iterdir())
        if ours:
            # interrupted before its end, a run is still known again, and says that it has none
            (results / SUMMARY).write_text("{}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the folder of the results cannot be written: {error.strerror}",
            expected="a folder to write into",
            where=f"--results {results}",
        ) from error
    if not ours:
        raise UsageError(
            f"{results} holds other things",
            expected="a new or empty folder, or that of an earlier run",
            where=f"--results {results}",
            advice="name another; nothing was touched",
        )


def _all(
    children: Sequence[Child],
    jobs: int,
    work: Callable[[Child], ModelRun],
    tell: Callable[[ModelRun], None],
) -> tuple[ModelRun, ...]:
    """Run them, `jobs` at a time; whatever ends this ends them too."""
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = [pool.submit(work, child) for child in children]
        for future in as_completed(futures):
            tell(future.result())
        return tuple(future.result() for future in futures)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.stop()
        pool.shutdown()


class _Writers:
    """The files that a user asked for."""

    def __init__(self, said: dict[str, Any], results: Path) -> None:
        kinds = ("junit", "markdown", "html")
        self._wanted = {kind: Path(said[kind]) for kind in kinds if said[kind] is not None}
        answer = [] if said["json_to"] in {None, "-"} else [Path(said["json_to"])]
        self.paths = [*self._wanted.values(), *answer]
        for kind, path in self._wanted.items():
            folder = path.absolute().parent
            if folder != results.absolute() and not folder.is_dir():
                raise UsageError(
                    f"the folder of {path} does not exist",
                    expected="a folder to write the report into",
                    where=f"--{kind}",
                )

    def write(self, done: ManifestRun) -> None:
        """Errors: UsageError where the system refuses a file."""
        texts: dict[str, Callable[[Path], str]] = {
            "junit": lambda _path: many.junit(done),
            "markdown": lambda _path: many.markdown(done),
            "html": lambda path: many.html(done, at=path),
        }
        for kind, path in self._wanted.items():
            _write(path, texts[kind](path), f"--{kind} {path}")


def _write(path: Path, content: str, where: str) -> None:
    try:
        path.write_bytes(content.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"the report cannot be written: {error.strerror}", where=where) from error


def _tell_github(done: ManifestRun, *, quiet: bool, beside: bool) -> None:
    """An annotation for each model that does not pass; the table in the job's summary."""
    if not github.is_here():
        return
    for one in done.models:
        if one.state is not ModelState.PASS or not quiet:
            echo(github.of_model(one, done.manifest), err=beside)
    problem = github.add_words(many.markdown(done))
    if problem:
        echo(f"warning: {problem}", err=True)
