"""What a manifest may hold: options of `verify` and `convert`, under their own names.

The commands themselves say which options there are and what they take; nothing is listed twice.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lstmbridge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME, SOURCE, ARTIFACT, TARGET, LIMIT = "name", "source", "artifact", "to", "time-limit"
_OURS = (NAME, SOURCE, ARTIFACT, LIMIT)
"""Keys that are no options of a command."""
_KEPT_FROM_IT = {
    "json", "junit", "markdown", "html", "save-failure", "output", "force", "no-verify",
    "quiet", "verbose", "debug", "manifest", "jobs", "results", "fresh", LIMIT,
}  # fmt: skip
"""Options that the run over a manifest decides itself, or that would verify nothing."""
_HEADER = re.compile(r"^\s*\[\[\s*(?:model|\"model\"|'model')\s*\]\]")
_LONGEST_NAME = 100
_MOST_BYTES = 2**24

Commands = Mapping[str, click.Command]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a manifest.

    Attributes:
        name: also its folder's.
        line: where the manifest begins it; 1 where that cannot be told.
        command: ``verify``, or ``convert``, which verifies what it writes.
        words: options of `command`, as a shell would give them.
        source: as the manifest writes it; `reads` has its path.
        artifacts: likewise; empty for ``convert``.
        reads: every path among the words: the source, the artifacts, then files of options.
        seconds: it may take; None: as long as it needs.
    """

    name: str
    line: int
    command: str
    words: tuple[str, ...]
    source: str
    artifacts: tuple[str, ...]
    reads: tuple[Path, ...]
    seconds: float | None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The paths that the command is given: the source, then the artifacts."""
        return tuple(str(path) for path in self.reads[: 1 + len(self.artifacts)])


class _Text:
    """Where things stand in a manifest, which its parser does not tell."""

    def __init__(self, path: Path, text: str, models: int) -> None:
        self._path = path
        self._lines = text.splitlines()
        heads = [k for k, line in enumerate(self._lines, 1) if _HEADER.match(line)]
        self._heads = heads if len(heads) == models else [1] * models

    def line(self, model: int, key: str = "") -> int:
        """Of a model, or of a key in it; the model's own where the key is not found."""
        start = self._heads[model]
        after = [*self._heads, len(self._lines) + 1][model + 1]
        stated = re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*[.=]") if key else _HEADER
        found = (k for k in range(start, after) if stated.match(self._lines[k - 1]))
        return next(found, start)

    def where(self, model: int, key: str = "") -> str:
        """For a message."""
        return f"{self._path}, line {self.line(model, key)}"


def read(path: Path, commands: Commands) -> tuple[Entry, ...]:
    """The models in the manifest at `path`, in its order.

    Args:
        path: a TOML file; paths in it are relative to its folder.
        commands: ``verify`` and ``convert``.

    Raises:
        UsageError: it cannot be read, names no model, or says what no command understands.
    """
    text = _text(path)
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"the manifest is no TOML: {error}",
            expected='[[model]] with name = "...", source = "...", artifact = "..."',
            where=str(path),
        ) from error
    _refuse_unknown(found, ("defaults", "model"), str(path), "table")
    models, defaults = found.get("model", []), found.get("defaults", {})
    tables = isinstance(models, list) and all(isinstance(one, dict) for one in models)
    if not tables or not models:
        raise UsageError(
            "the manifest names no model" if tables else "`model` is no list of tables",
            expected='at least one [[model]] with name = "..." and source = "..."',
            where=str(path),
            advice="without a model nothing would be verified, which is no pass",
        )
    if not isinstance(defaults, dict):
        raise UsageError("`defaults` is no table", expected="[defaults]", where=str(path))
    options = {name: _options(command) for name, command in commands.items()}
    every = {key for known in options.values() for key in known}
    _refuse_unknown(defaults, (*every, LIMIT), f"{path}, [defaults]", "key")
    where = _Text(path, text, len(models))
    entries = [
        _Reader(path.parent, where, k, options, commands).entry(defaults, model)
        for k, model in enumerate(models)
    ]
    _refuse_twins(entries, path)
    return tuple(entries)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is no manifest: it has more than 16 MiB", where="--manifest")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(
            f"{path} cannot be read: {why}", expected="a TOML file", where="--manifest"
        ) from error


def _options(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that a manifest may use, by key."""
    return {
        opt.removeprefix("--"): param
        for param in command.params
        if isinstance(param, click.Option)
        for opt in param.opts
        if opt.startswith("--") and opt.removeprefix("--") not in _KEPT_FROM_IT
    }


def _refuse_unknown(
    given: Mapping[str, Any], known: tuple[str, ...], where: str, what: str
) -> None:
    for key in given:
        if key in known:
            continue
        near = difflib.get_close_matches(key.replace("_", "-"), known, n=3)
        advice = f"perhaps {' or '.join(near)}" if near else "the options' names are the keys"
        if key in _KEPT_FROM_IT:
            advice = "the run decides this itself: every model is verified, and reports lie in "
            advice += "the folder of the results"
        raise UsageError(
            f"no {what} is called {key!r}",
            expected=", ".join(sorted(known)),
            where=where,
            advice=advice,
        )


def _refuse_twins(entries: list[Entry], path: Path) -> None:
    """Two models of one name would write over each other; so would names that differ in case."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.name.casefold(), entry)
        if other is not entry:
            raise UsageError(
                f"two models are called {entry.name!r}",
                expected="a name of its own for every model",
                where=f"{path}, lines {other.line} and {entry.line}",
            )


class _Reader:
    """Reads one model."""

    def __init__(
        self,
        folder: Path,
        text: _Text,
        model: int,
        options: Mapping[str, Mapping[str, click.Option]],
        commands: Commands,
    ) -> None:
        self._folder = folder
        self._text = text
        self._model = model
        self._options = options
        self._commands = commands

    def entry(self, defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Entry:
        """The model that `own` describes; what it leaves out is in `defaults`."""
        artifacts = own.get(ARTIFACT, [])
        artifacts = [artifacts] if isinstance(artifacts, str) else artifacts
        command = "verify" if artifacts else "convert"
        known = self._options[command]
        every = {key for options in self._options.values() for key in options}
        both = (set(own) & every) - set(known)
        _refuse_unknown(
            {key: own[key] for key in own if key not in both},
            (*_OURS, *known),
            self._text.where(self._model, next((k for k in own if k not in every), "")),
            "key of a model",
        )
        if both:
            raise self._refusal(
                min(both), f"`{min(both)}` is no option of {command}", "artifact, or to, not both"
            )
        inherited = {key: value for key, value in defaults.items() if key in (*known, LIMIT)}
        said = {**inherited, **own}
        name, source = self._string(said, NAME), self._string(said, SOURCE)
        self._check_name(name)
        if command == "convert" and TARGET not in said:
            raise self._refusal(
                NAME,
                f"{name} has neither an artifact nor a target",
                'artifact = "model.onnx" to verify a file, to = "onnx" to convert and verify',
            )
        if not all(isinstance(one, str) and one for one in artifacts):
            raise self._refusal(ARTIFACT, "artifact is no path", "a path, or a list of paths")
        words: list[str] = []
        files: list[Path] = []
        for key, value in said.items():
            if key in known:
                words += self._words(key, known[key], value, files)
        paths = [self._folder / one for one in (source, *artifacts)]
        entry = Entry(
            name=name,
            line=self._text.line(self._model),
            command=command,
            words=tuple(words),
            source=source,
            artifacts=tuple(artifacts),
            reads=(*paths, *files),
            seconds=self._seconds(said),
        )
        self._try(entry)
        return entry

    def _refusal(self, key: str, read: str, expected: str, advice: str = "") -> UsageError:
        where = self._text.where(self._model, key)
        return UsageError(read, expected=expected, where=where, advice=advice)

    def _string(self, said: Mapping[str, Any], key: str) -> str:
        value = said.get(key)
        if not (isinstance(value, str) and value):
            what = "has no" if key not in said else "has no usable"
            raise self._refusal(key, f"a model {what} {key}", f'{key} = "..."')
        return value

    def _check_name(self, name: str) -> None:
        """It becomes a folder."""
        odd = [c for c in name if not c.isprintable() or c in '/\\:*?"<>|']
        if odd or name.startswith(".") or name.endswith((".", " ")) or len(name) > _LONGEST_NAME:
            raise self._refusal(
                NAME, f"{name!r} cannot be a folder's name", "letters, digits, dashes, dots"
            )

    def _seconds(self, said: Mapping[str, Any]) -> float | None:
        value = said.get(LIMIT)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self._refusal(LIMIT, f"{LIMIT} is {value!r}", "seconds, more than 0")
        return float(value)

    def _words(self, key: str, option: click.Option, value: Any, files: list[Path]) -> list[str]:
        """An option as a shell would give it; the files it names are added to `files`."""
        if option.is_flag:
            if not isinstance(value, bool):
                raise self._refusal(key, f"{key} is {value!r}", "true or false")
            off = option.secondary_opts[:1]
            return [f"--{key}"] if value else list(off)
        if isinstance(value, dict) and option.multiple:
            value = [f"{name}={_said(one)}" for name, one in value.items()]
        if isinstance(value, list):
            parts = [_said(one) for one in value]
            if option.multiple:
                return [word for part in parts for word in (f"--{key}", part)]
            if option.metavar == "A,B":
                return [f"--{key}", ",".join(parts)]
        if isinstance(value, bool | dict | list) or not isinstance(value, str | int | float):
            raise self._refusal(key, f"{key} is {value!r}", f"what --{key} takes: {option.help}")
        if isinstance(option.type, click.Path):
            files.append(self._folder / str(value))
            return [f"--{key}", str(files[-1])]
        return [f"--{key}", str(value)]

    def _try(self, entry: Entry) -> None:
        """Let the command itself look at its words; it does not run."""
        command = self._commands[entry.command]
        try:
            command.make_context(entry.command, [*entry.words, "--", *entry.subjects]).close()
        except click.ClickException as error:
            named = [w.removeprefix("--") for w in entry.words if w in error.format_message()]
            raise self._refusal(
                named[0] if named else "",
                f"{entry.command} does not understand {entry.name}: {error.format_message()}",
                f"options as `lstmbridge {entry.command} --help` lists them",
            ) from error


def _said(value: Any) -> str:
    """A value as the command line writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
