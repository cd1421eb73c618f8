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
from lstmbridge.contracts import BATCH_MAJOR, TIME_MAJOR, States
from lstmbridge.report import jsonable, terminal
from lstmbridge.report.schema import headed
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
@click.option(
    "--stack-only", is_flag=True, help="Of a SavedModel or frozen graph, the stack alone."
)
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
        stack_only=rest["stack_only"],
        strict=rest["strict"],
        force=rest["force"],
        progress=printer.progress,
    )
    held = [f"{len(one.trials)} probes in {name}" for name, one in pack.experiments.items()]
    size = output.stat().st_size
    printer.say(f"wrote {output}  ({size:,} bytes): {', '.join(held)}\n  digest {pack.sha256}")
    printer.warn(terminal.assumption_warnings(pack.facts))
    printer.json(jsonable.pack(output, pack.sha256, pack.manifest))


@golden.command("import")
@click.argument("recorded", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The pack, an .npz."
)
@click.option("--producer", required=True, metavar="NAME", help='"TensorFlow 0.12.1", say.')
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="What it was recorded from: proves the recording, and gives the noise floor.",
)
@click.option("--tolerance", type=float, help="What an artifact may differ by, without a source.")
@click.option("--rename", "renames", multiple=True, metavar="THEIRS=OURS", help="An array's name.")
@click.option("--layout", type=click.Choice([BATCH_MAJOR, TIME_MAJOR]), help="How sequences lie.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@opt.source_options
@opt.output_options
def import_(recorded: Path, output: Path, **rest: Any) -> None:
    """Make a pack of outputs that some TensorFlow computed once: RECORDED, an .npz."""
    from lstmbridge.golden.importing import import_recorded

    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    pack = import_recorded(
        recorded,
        output,
        producer=rest["producer"],
        source=rest["source"],
        hints=opt.hints_from(rest),
        renames=opt.pairs(rest["renames"]),
        layout=rest["layout"],
        tolerance=rest["tolerance"],
        force=rest["force"],
    )
    _say(printer, output, pack, "wrote")


@golden.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--accept", is_flag=True, help="Write it; without this, changes are only shown.")
@opt.source_options
@opt.output_options
def update(pack: Path, source: Path, accept: bool, **rest: Any) -> None:
    """Show what PACK would say if SOURCE were recorded now; write it with --accept.

    Exit codes: 0 nothing changed, or written; 1 changed and not written.
    """
    from lstmbridge.golden.updating import update as renewed

    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    done = renewed(
        pack, source, hints=opt.hints_from(rest), accept=accept, progress=printer.progress
    )
    if not done.changes:
        printer.say(f"{pack} says what {source} computes; nothing to write")
    else:
        end = "written" if done.written else "nothing was written: --accept writes it"
        printer.say("\n".join([f"{pack} would change", *(f"  {x}" for x in done.changes), end]))
    told = {
        "changes": list(done.changes),
        "written": done.written,
        "digest": {"old": done.old.sha256, "new": done.new.sha256},
    }
    printer.json(headed("pack update", told))
    sys.exit(1 if done.changes and not done.written else 0)


@golden.command()
@click.argument("pack", type=click.Path(path_type=Path))
@opt.output_options
def show(pack: Path, **rest: Any) -> None:
    """Say what PACK holds: who computed it, of what, on which sequences."""
    printer = Printer(rest["json_to"], quiet=rest["quiet"])
    _say(printer, pack, packs.read(pack), "read")


def _say(printer: Printer, path: Path, pack: packs.Pack, done: str) -> None:
    source = pack.manifest["source"]
    lines = [
        f"{done} {path}  ({path.stat().st_size:,} bytes)",
        f"  computed by {source['producer'] or 'a producer that is not stated'}"
        + (f", {source['format']}" if source["format"] else ""),
    ]
    if pack.imported:
        lines.append(f"  imported from {pack.manifest['imported']['from']}")
        lines += [f"    {one}" for one in pack.manifest["imported"]["matched"]]
    if pack.of_whole:
        whole = pack.manifest["whole"]
        lines.append(f"  a whole model: {', '.join(whole['inputs'])} -> "
                     f"{', '.join(whole['outputs'])}")  # fmt: skip
    for name, one in pack.experiments.items():
        probes = "; ".join(t.probe.name for t in one.trials)
        outputs = sorted({n for t in one.trials for n in t.expected})
        lines.append(f"  {name}: {probes}: {', '.join(outputs)}")
        faults = one.faults
        lines.append(
            f"    {faults.caught} of {faults.planted} planted faults would be caught"
            if faults.planted
            else "    no planted faults: there was no source"
        )
    if pack.by_tolerance is not None:
        lines.append(f"  judged by a tolerance of {pack.by_tolerance:g}")
    lines.append(f"  digest {pack.sha256}")
    printer.say("\n".join(lines))
    printer.json(jsonable.pack(path, pack.sha256, pack.manifest))


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
