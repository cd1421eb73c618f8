"""`lstmbridge golden`: record what a source computes, replay it on an artifact."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lstmbridge import golden as packs
from lstmbridge.cli import options as opt
from lstmbridge.cli.printing import Printer
from lstmbridge.cli.reports import Reports
from lstmbridge.contracts import States
from lstmbridge.report import jsonable, terminal
from lstmbridge.verify.options import VerifyOptions


@click.group()
def golden() -> None:
    """Keep what SOURCE computes, and check artifacts against it with no source at hand."""


@golden.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The pack, an .npz."
)
@click.option(
    "--states",
    type=click.Choice([s.value for s in States]),
    default=States.NONE.value,
    show_default=True,
    help="Initial states, as the artifacts take them.",
)
@click.option("--sequence-length", is_flag=True, help="The artifacts take sequence_length.")
@click.option("--batch", type=click.IntRange(min=1), help="Largest batch of the probes.")
@click.option("--steps", type=click.IntRange(min=1), help="Longest probe.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--strict", is_flag=True, help="A fact that is only assumed is an error.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@opt.source_options
@opt.output_options
def record(source: Path, output: Path, **rest: Any) -> None:
    """Store probes, what SOURCE computes on them, and what rounding may change."""
    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    pack = packs.record(
        source,
        output,
        hints=opt.hints_from(rest),
        options=VerifyOptions(seed=rest["seed"], batch=rest["batch"], steps=rest["steps"]),
        states=States(rest["states"]),
        sequence_length=rest["sequence_length"],
        strict=rest["strict"],
        force=rest["force"],
        progress=printer.progress,
    )
    held = [f"{len(one.trials)} probes in {name}" for name, one in pack.experiments.items()]
    size = output.stat().st_size
    printer.say(f"wrote {output}  ({size:,} bytes): {', '.join(held)}\n  digest {pack.sha256}")
    printer.warn(terminal.assumption_warnings(pack.facts))
    printer.json({"pack": {**jsonable.file(output), "digest": pack.sha256}, **pack.manifest})


@golden.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--runtimes", metavar="A,B", default="", help="Run these only.")
@click.option("--require", metavar="A,B", default="", help="Fail when one of these is absent.")
@opt.timeout_option
@opt.report_options
@opt.output_options
def replay(artifact: Path, pack: Path, **rest: Any) -> None:
    """Check ARTIFACT against PACK, or show where it departs. Exit codes are those of verify."""
    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    reports = Reports(rest)
    found = packs.replay(
        artifact,
        pack,
        runtimes=opt.names(rest["runtimes"]),
        require=opt.names(rest["require"]),
        timeout=rest["timeout"],
        progress=printer.progress,
    )
    printer.say(terminal.verdict(found))
    body = jsonable.verdict(found)
    body["artifact"] = [jsonable.file(artifact)]
    printer.json(body)
    reports.write(found, pack, (artifact,))
    sys.exit(found.exit_code)
