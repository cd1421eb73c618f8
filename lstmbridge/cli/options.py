"""The options that several commands share, and what they become."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import click
import numpy as np

from lstmbridge.contracts import Feeds, Hints
from lstmbridge.errors import UsageError
from lstmbridge.verify.options import VerifyOptions

_NO_ARRAYS = (
    OSError, EOFError, ValueError, AttributeError, TypeError, RuntimeError, BadZipFile, zlib.error
)  # fmt: skip
"""What NumPy and zipfile raise for a file that is no .npz, or a damaged one."""

F = TypeVar("F", bound=Callable[..., Any])


DEBUG = "lstmbridge.debug"
"""Where a context's meta, which commands share with their group, keeps --debug."""


class Limit(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A clip: a number, or ``none``, which is a limit of infinity."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """See `click.ParamType.convert`."""
        if value == "none":
            return math.inf
        return float(click.FLOAT.convert(value, param, context))


def _remember_debug(context: click.Context, _option: click.Parameter, value: bool) -> bool:
    context.meta[DEBUG] = value
    return value


def stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order that `--help` shows them."""

    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


_KERAS = (
    click.option(
        "--gate-activation",
        metavar="NAME",
        help="Keras weights without their model: sigmoid or hard_sigmoid.",
    ),
    click.option(
        "--merge-mode",
        type=click.Choice(["concat", "sum", "ave", "mul", "none"]),
        help="Keras weights without their model: of Bidirectional layers.",
    ),
    click.option(
        "--go-backwards/--no-go-backwards",
        default=None,
        help="Keras weights without their model: of lone recurrent layers.",
    ),
    click.option(
        "--masking/--no-masking",
        default=None,
        help="Keras weights without their model: whether it masks padded steps.",
    ),
    click.option(
        "--reset-after/--no-reset-after",
        default=None,
        help="Keras weights without their model: of GRU layers without a bias.",
    ),
)


def source_options(function: F) -> F:
    """What a user may know about a source that its names do not say."""
    return stacked(
        click.option(
            "--cell",
            metavar="CLASS",
            help="The cell's class, where names leave it open; `explain` lists them.",
        ),
        click.option(
            "--forget-bias",
            type=float,
            help="Added to the forget gate (UGRNN, Intersection: the update gates) at run time; "
            "not stored.",
        ),
        click.option(
            "--activation",
            metavar="NAME",
            help="In place of the cell's tanh: relu, sigmoid, softsign, ...",
        ),
        *_KERAS,
        click.option(
            "--cell-clip", type=Limit(), help="LSTM: c is clamped to [-X, X]; none: it is not."
        ),
        click.option(
            "--proj-clip", type=Limit(), help="LSTM: the projected h is clamped to [-X, X]; none."
        ),
        click.option(
            "--layers", type=click.IntRange(min=1), help="[cell] * N: one stored cell, N layers."
        ),
        click.option(
            "--residual/--no-residual",
            default=None,
            help="Layers as wide as their input add it to their output, or do not.",
        ),
        click.option("--select", metavar="SCOPE", help="One of several stacks, by its scope."),
        click.option(
            "--map",
            "map_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help='Variable names: JSON {"old": "new"}, or lines "old new".',
        ),
        click.option(
            "--ema/--no-ema", default=None, help="Take ExponentialMovingAverage shadows, or not."
        ),
        click.option("--ignore-graph", is_flag=True, help="Do not read the .meta beside it."),
        click.option(
            "--outputs",
            metavar="A,B",
            default="",
            help="The whole graph up to these tensors; a SavedModel says its own.",
        ),
        click.option("--inputs", metavar="A,B", default="", help="Where the whole graph is fed."),
        click.option(
            "--set",
            "settings",
            metavar="NAME=VALUE",
            multiple=True,
            help="A placeholder's value at inference: keep_prob=1, is_training=false.",
        ),
    )(function)


_TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For each runtime to load, and for each probe; each then runs in its own process.",
)


def timeout_option(function: F) -> F:
    """How long a runtime may take."""
    return _TIMEOUT(function)


def verify_options(function: F) -> F:
    """How the comparison is run."""
    return stacked(
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Your own sequences: .npz with the artifact's input names.",
        ),
        click.option("--batch", type=click.IntRange(min=1), help="Largest batch of the probes."),
        click.option("--steps", type=click.IntRange(min=1), help="Longest probe."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--runtimes", metavar="A,B", default="", help="Run these only."),
        click.option(
            "--require", metavar="A,B", default="", help="Fail when one of these is absent."
        ),
        _TIMEOUT,
        click.option(
            "--tolerance",
            type=float,
            help="Absolute difference to allow, instead of the noise floor.",
        ),
        click.option(
            "--save-failure",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="On a mismatch, the smallest input that shows it: .npz, as --data takes it.",
        ),
    )(function)


def report_options(function: F) -> F:
    """Files that report a verdict, whatever it is."""
    where = click.Path(path_type=Path)
    return stacked(
        click.option("--junit", type=where, metavar="PATH", help="Report as JUnit XML, for CI."),
        click.option(
            "--markdown", type=where, metavar="PATH", help="Report for a pull request's comment."
        ),
        click.option("--html", type=where, metavar="PATH", help="Report as one page."),
    )(function)


def output_options(function: F) -> F:
    """How the answer is given."""
    return stacked(
        click.option(
            "--json",
            "json_to",
            metavar="PATH",
            help="Write the answer as JSON; - for standard output.",
        ),
        click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
        click.option("--verbose", is_flag=True, help="Say more."),
        click.option(
            "--debug",
            is_flag=True,
            callback=_remember_debug,
            help="Show the traceback of an error.",
        ),
    )(function)


def names(text: str) -> tuple[str, ...]:
    """``"a, b"`` as ("a", "b")."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """``("a=b", "c=d")`` as {"a": "b", "c": "d"}.

    Raises:
        UsageError: one of them is not two names.
    """
    found = {}
    for text in texts:
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals and ours):
            raise UsageError(
                f"--rename {text} is not two names", expected="theirs=ours", where="--rename"
            )
        found[theirs] = ours
    return found


def read_map(path: Path) -> dict[str, str]:
    """The renames in a ``--map`` file.

    Raises:
        UsageError: the file is missing, or a line is not two names.
    """
    text = _text(path)
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(
                f"the JSON is broken: {error.msg}",
                expected='{"name in the checkpoint": "name a dialect knows"}',
                where=f"{path}, line {error.lineno}",
            ) from error
        return {str(old): str(new) for old, new in found.items()}
    renames = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].replace("->", " ").split()
        if words and len(words) != 2:
            raise UsageError(
                f"{line!r} is not two names",
                expected="name-in-the-checkpoint name-a-dialect-knows",
                where=f"{path}, line {number}",
            )
        if words:
            renames[words[0]] = words[1]
    return renames


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", expected="a text file", where="--map"
        ) from error


def read_data(path: Path) -> Feeds:
    """The arrays in a ``--data`` file.

    Raises:
        UsageError: the file is missing or is no .npz of plain arrays.
    """
    try:
        # NumPy leaves a path that it cannot understand open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            # what a saved failure says beside its inputs has a folder in its name
            return {name: archive[name] for name in archive.files if "/" not in name}
    except _NO_ARRAYS as error:
        raise UsageError(
            f"{path} cannot be read as arrays: {error}",
            expected='an .npz, as np.savez("mine.npz", inputs=x) writes it',
            where="--data",
        ) from error


def hints_from(arguments: dict[str, Any]) -> Hints:
    """Take the source options out of `arguments`."""
    map_file = arguments.pop("map_file")
    return Hints(
        cell=arguments.pop("cell"),
        forget_bias=arguments.pop("forget_bias"),
        activation=arguments.pop("activation"),
        gate_activation=arguments.pop("gate_activation"),
        go_backwards=arguments.pop("go_backwards"),
        merge_mode=arguments.pop("merge_mode"),
        masking=arguments.pop("masking"),
        reset_after=arguments.pop("reset_after"),
        cell_clip=arguments.pop("cell_clip"),
        proj_clip=arguments.pop("proj_clip"),
        layers=arguments.pop("layers"),
        residual=arguments.pop("residual"),
        select=arguments.pop("select"),
        renames={} if map_file is None else read_map(map_file),
        ema=arguments.pop("ema"),
        ignore_graph=arguments.pop("ignore_graph"),
        inputs=names(arguments.pop("inputs")),
        outputs=names(arguments.pop("outputs")),
        settings=_settings(arguments.pop("settings")),
    )


def _settings(lines: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` as a mapping. Errors: UsageError."""
    found: dict[str, str] = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if not (name and sign and value) or found.get(name, value) != value:
            raise UsageError(
                f"--set {line}",
                expected="NAME=VALUE, each name once",
                where="--set",
                advice="for instance --set keep_prob=1",
            )
        found[name] = value
    return found


def verify_options_from(arguments: dict[str, Any]) -> VerifyOptions:
    """Take the verify options out of `arguments`."""
    data = arguments.pop("data")
    return VerifyOptions(
        require=names(arguments.pop("require")),
        batch=arguments.pop("batch"),
        steps=arguments.pop("steps"),
        seed=arguments.pop("seed"),
        data=None if data is None else read_data(data),
        tolerance=arguments.pop("tolerance"),
        timeout=arguments.pop("timeout"),
    )


def report_paths(arguments: dict[str, Any]) -> list[str]:
    """Every file that a command was asked to write its answer to."""
    kinds = ("json_to", "junit", "markdown", "html", "save_failure")
    named = (arguments.get(name) for name in kinds)
    return [str(path) for path in named if path is not None and str(path) != "-"]
