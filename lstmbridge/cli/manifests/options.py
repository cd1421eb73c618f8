"""The options of `verify --manifest`."""

from __future__ import annotations

from pathlib import Path

import click

from lstmbridge.cli.options import F, stacked


def manifest_options(function: F) -> F:
    """Many models at once."""
    where = click.Path(path_type=Path)
    return stacked(
        click.option(
            "--manifest",
            type=where,
            metavar="FILE",
            help="Verify every [[model]] in this TOML file, in place of SOURCE.",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            help="--manifest: models at a time; half the CPUs.",
        ),
        click.option(
            "--results",
            type=where,
            default=Path("lstmbridge-results"),
            show_default=True,
            metavar="FOLDER",
            help="--manifest: reports, answers and logs; passes are taken over from it.",
        ),
        click.option(
            "--fresh", is_flag=True, help="--manifest: verify again what has not changed."
        ),
        click.option(
            "--time-limit",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="--manifest: for each model that states none.",
        ),
    )(function)
