"""`lstmbridge diagnose`: why B differs from A."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lstmbridge.cli import options as opt
from lstmbridge.cli.printing import Printer
from lstmbridge.contracts import BATCH_MAJOR, TIME_MAJOR
from lstmbridge.report import diagnosis as report
from lstmbridge.verify.options import VerifyOptions


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", required=False, type=click.Path(path_type=Path))
@click.option(
    "--expected",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="In place of B: outputs recorded elsewhere, .npz with inputs and what came of them.",
)
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="THEIRS=OURS",
    help="B's name for inputs, outputs, layer0_h, initial_layer0_c, ...; PyTorch's h_n is "
    "final_h, its h_0 initial_h.",
)
@click.option(
    "--layout", type=click.Choice([BATCH_MAJOR, TIME_MAJOR]), help="How B's sequences lie."
)
@click.option("--batch", type=click.IntRange(min=1), help="Largest batch of the probes.")
@click.option("--steps", type=click.IntRange(min=1), help="Longest probe.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--runtimes", metavar="A,B", default="", help="Run B on the first that is here.")
@click.option("--tolerance", type=float, help="Absolute difference to allow.")
@click.option(
    "--stack-only", is_flag=True, help="Of a SavedModel or frozen graph, the stack alone."
)
@opt.source_options
@opt.output_options
def diagnose(a: Path, b: Path | None, **rest: Any) -> None:
    """Say why B differs from A: what its outputs and its weights give away.

    A is what is right: a source, or an artifact. B is an artifact of any tool: an ONNX file, or
    a PyTorch state dict. Where A declares a whole model and B has its names, all of it is
    compared. Exit codes: 0 equal, 1 different, 3 inconclusive.
    """
    # what this reads and runs, no other command needs at the door
    from lstmbridge.diagnose import diagnose as asked

    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    found = asked(
        a,
        b,
        expected=rest["expected"],
        renames=opt.pairs(rest["renames"]),
        layout=rest["layout"],
        hints=opt.hints_from(rest),
        options=VerifyOptions(
            seed=rest["seed"],
            batch=rest["batch"],
            steps=rest["steps"],
            tolerance=rest["tolerance"],
        ),
        runtimes=opt.names(rest["runtimes"]),
        stack_only=rest["stack_only"],
        progress=printer.progress,
    )
    printer.say(report.text(found))
    printer.json(report.body(found))
    sys.exit(found.exit_code)
