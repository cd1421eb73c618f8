"""The command line: parse, call `api`, print, exit. Decides nothing.

Exit codes: 0 done and verified; 1 mismatch; 2 usage; 3 inconclusive, or a required runtime is
absent; 4 the source cannot be read; 5 not recognised; 6 a fact is missing or contradicted; 7 the
target cannot express it; 70 a defect of lstmbridge itself; 130 and 143 interrupted, terminated.
"""

from __future__ import annotations

import gc
import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from lstmbridge import __version__, api
from lstmbridge.cli import options as opt
from lstmbridge.cli.failures import failure_from
from lstmbridge.cli.manifests.options import manifest_options
from lstmbridge.cli.printing import Printer, echo, printer_of
from lstmbridge.cli.signals import INTERRUPTED, orderly_exit
from lstmbridge.contracts import ArtifactInspection, States, TargetOptions
from lstmbridge.errors import LstmBridgeError
from lstmbridge.report import jsonable, terminal
from lstmbridge.targets.capability import CAPABILITIES

_SOURCE = click.argument("source", type=click.Path(path_type=Path))
_INTERNAL_ERROR = 70
_ALLOCATIONS = 200_000


_OTHERS = ("diagnose", "golden")
"""Commands in modules of their own, called as they are; imported when they are asked for."""


class _Door(click.Group):
    """Turns every error into a message and an exit code; a traceback only with --debug."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command. A process that ends soon need not look for cycles of garbage often."""
        gc.set_threshold(_ALLOCATIONS)
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted([*super().list_commands(ctx), *_OTHERS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called so."""
        if cmd_name not in _OTHERS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"lstmbridge.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with orderly_exit():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            echo("interrupted", err=True)
            raise SystemExit(INTERRUPTED) from stop
        except LstmBridgeError as error:
            if ctx.meta.get(opt.DEBUG):
                traceback.print_exc()
            echo(f"error: {error}", err=True)
            from lstmbridge.cli import github

            if github.is_here():
                echo(github.of_error(error), err=True)
            printer = printer_of(ctx)
            if printer is not None:
                printer.error(error)
            raise SystemExit(error.exit_code) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError as error:
            raise SystemExit(0) from error
        except Exception as error:
            if ctx.meta.get(opt.DEBUG):
                traceback.print_exc()
            echo(
                f"error: lstmbridge itself failed: {type(error).__name__}: {error}\n"
                "  what to do: this is a defect; please report it with the output of --debug",
                err=True,
            )
            raise SystemExit(_INTERNAL_ERROR) from error


@click.group(cls=_Door, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lstmbridge")
def main() -> None:
    """Recurrent networks that TensorFlow trained, in ONNX Runtime and PyTorch, proved equal.

    No TensorFlow is needed. SOURCE is what you have: a checkpoint's prefix (model.ckpt), any one
    of its files, its folder, or a "checkpoint" file.

    \b
    Exit codes:
      0  done and verified          4  the source cannot be read
      1  numbers differ             5  no recurrent layer recognised
      2  usage                      6  a fact is missing or contradicted
      3  inconclusive, or a         7  the target cannot express it
         required runtime absent
    """


@main.command()
@_SOURCE
@opt.source_options
@opt.output_options
def inspect(source: Path, json_to: str | None, **rest: Any) -> None:
    """Show the layers in SOURCE: gates with shapes, facts, variables left aside and why.

    Of an artifact (an ONNX file, a .pt, .safetensors or .pt2 of lstmbridge): what it holds.
    """
    printer = Printer(json_to, quiet=rest["quiet"])
    found = api.inspect_any(source, opt.hints_from(rest))
    if isinstance(found, ArtifactInspection):
        from lstmbridge.report import held

        printer.say(held.text(found, verbose=rest["verbose"]))
        printer.json(held.body(found))
        return
    printer.say(terminal.inspection(found, verbose=rest["verbose"]))
    printer.warn(found.recognition.warnings)
    printer.json(jsonable.inspection(found))


@main.command()
@_SOURCE
@click.option(
    "--to", "target", required=True, metavar="TARGET", help=f"One of {', '.join(CAPABILITIES)}."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Default: SOURCE's name, here."
)
@click.option(
    "--states",
    type=click.Choice([s.value for s in States]),
    default=States.NONE.value,
    show_default=True,
    help="Initial states as inputs: for streaming.",
)
@click.option("--sequence-length", is_flag=True, help="Add the input sequence_length.")
@click.option("--opset", type=int, help="ONNX opset; default 17.")
@click.option("--ir-version", type=int, help="ONNX IR version; default 8.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "float64"]),
    help="Precision of the artifact; default: the source's.",
)
@click.option("--strict", is_flag=True, help="A fact that is only assumed is an error.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--no-verify", is_flag=True, help="Write without proof.")
@click.option(
    "--stack-only",
    is_flag=True,
    help="Of a whole model (SavedModel, frozen graph, Keras), the stack alone.",
)
@opt.source_options
@opt.verify_options
@opt.report_options
@opt.output_options
def convert(source: Path, target: str, output: Path | None, **rest: Any) -> None:
    """Convert SOURCE and prove that the file computes the same.

    Of a checkpoint its recurrent stack is converted, or, with --outputs, the graph in its .meta
    up to these tensors; of a SavedModel or a frozen graph the whole model. Nothing is written
    unless every number agrees as closely as rounding allows.
    """
    from lstmbridge.cli.reports import Reports

    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    beside = opt.report_paths(rest)
    reports = Reports(rest, verified=not rest["no_verify"])
    saved = failure_from(rest)
    done = api.convert(
        source,
        to=target,
        output=output,
        hints=opt.hints_from(rest),
        options=TargetOptions(
            states=States(rest["states"]),
            sequence_length=rest["sequence_length"],
            opset=rest["opset"],
            ir_version=rest["ir_version"],
            dtype=rest["dtype"],
        ),
        verification=None if rest["no_verify"] else opt.verify_options_from(rest),
        runtimes=opt.names(rest["runtimes"]),
        strict=rest["strict"],
        force=rest["force"],
        reports=beside,
        stack_only=rest["stack_only"],
        progress=printer.progress,
    )
    printer.say(terminal.conversion(done, verbose=rest["verbose"]))
    printer.warn([*done.warnings, *terminal.assumption_warnings(done.facts)])
    printer.warn(filter(None, [saved.keep(done.verdict)]))
    printer.json(jsonable.conversion(done))
    draw = done.whole or done.stack.model
    reports.write(done.verdict, source, (done.artifact.path,), lambda: draw)
    sys.exit(done.exit_code)


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="A fact that is only assumed is an error.")
@click.option(
    "--stack-only",
    is_flag=True,
    help="Of a whole model (SavedModel, frozen graph, Keras), the stack alone.",
)
@opt.source_options
@opt.verify_options
@manifest_options
@opt.report_options
@opt.output_options
@click.pass_context
def verify(
    ctx: click.Context, /, source: Path | None, artifacts: tuple[Path, ...], **rest: Any
) -> None:
    """Prove that ARTIFACTS compute what SOURCE computes, or show where they part."""
    from lstmbridge.cli.reports import Reports, network_of

    if rest["manifest"] is not None:
        from lstmbridge.cli.manifests import running

        sys.exit(running.run(ctx, {"verify": verify, "convert": convert}))
    if source is None or not artifacts:
        missing = "SOURCE" if source is None else "ARTIFACTS..."
        raise click.MissingParameter(ctx=ctx, param_hint=f"'{missing}'", param_type="argument")
    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    beside = opt.report_paths(rest)
    reports = Reports(rest)
    saved = failure_from(rest)
    hints = opt.hints_from(rest)
    found = api.verify(
        source,
        *artifacts,
        hints=hints,
        options=opt.verify_options_from(rest),
        runtimes=opt.names(rest["runtimes"]),
        strict=rest["strict"],
        reports=beside,
        stack_only=rest["stack_only"],
        progress=printer.progress,
    )
    printer.say(terminal.verdict(found))
    printer.warn(terminal.assumption_warnings(found.facts))
    printer.warn(filter(None, [saved.keep(found)]))
    body = jsonable.verdict(found)
    body["artifact"] = [jsonable.file(path) for path in artifacts]
    printer.json(body)
    only = rest["stack_only"]
    reports.write(found, source, artifacts, lambda: network_of(source, hints, stack_only=only))
    sys.exit(found.exit_code)


@main.command()
@opt.output_options
def runtimes(json_to: str | None, quiet: bool, **_rest: Any) -> None:
    """Show which runtimes this machine has, and how to get the others."""
    printer = Printer(json_to, quiet=quiet)
    found = api.runtimes()
    printer.say(terminal.runtimes(found))
    printer.json(jsonable.runtimes(found))


@main.command()
@click.argument("cell", required=False)
@opt.output_options
def explain(cell: str | None, json_to: str | None, quiet: bool, **_rest: Any) -> None:
    """Show what CELL computes, how its gates lie in each framework, what targets do with it.

    CELL is a kind of cell or one of TensorFlow's classes, GRUCell say; without it, all are listed.
    """
    # every dialect's tables are loaded by this, which no other command needs at the door
    from lstmbridge.report import explain as explaining
    from lstmbridge.report import explained
    from lstmbridge.report.schema import headed

    printer = Printer(json_to, quiet=quiet)
    if cell is None:
        kinds, left_out = explaining.kinds(), explaining.not_converted()
        classes = {kind: explaining.classes_of(kind) for kind in kinds}
        printer.say(explained.listing(kinds, classes, left_out))
        known = {"cells": kinds, "classes": classes, "not_converted": left_out}
        printer.json(headed("cells", known))
        return
    found = explaining.explain(cell)
    printer.say(explained.text(found))
    printer.json(explained.body(found))


@main.command()
def schema() -> None:
    """Print the JSON Schema of what --json answers."""
    from lstmbridge.report import schema as published

    click.echo(published.text(), nl=False)
