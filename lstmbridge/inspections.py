"""What `inspect` tells beyond recurrent stacks: what an artifact holds, what a graph declares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmbridge import registry
from lstmbridge.contracts import (
    Artifact,
    ArtifactInspection,
    Describing,
    Hints,
    Recognition,
    Source,
)
from lstmbridge.errors import LstmBridgeError, UsageError
from lstmbridge.graph.overview import Overview, overview_of, unsettled
from lstmbridge.metadata import PREFIX, recorded_facts
from lstmbridge.model.facts import Basis, Fact
from lstmbridge.staging import sha256_of
from lstmbridge.whole_models import whole_from

MOST_HASHED = 64 * 2**20
"""Bytes of files that are read to be hashed for an inspection."""


def inspect_artifact(path: Path) -> ArtifactInspection | None:
    """What the artifact `path` holds; None when no target knows the file. Reads no weights.

    Raises:
        SourceUnreadable: it claims to be an artifact and is broken.
        RuntimeUnavailable: it takes a package to read it that is not installed.
    """
    if not path.is_file():
        return None
    for target in registry.targets():
        found = target.read(path)
        if found is not None:
            held = target.holdings(found) if isinstance(target, Describing) else None
            size = sum(file.stat().st_size for file in _files(found))
            return ArtifactInspection(
                artifact=found,
                size=size,
                sha256=sha256_of(path) if path.stat().st_size <= MOST_HASHED else None,
                holdings=held,
                facts=_facts(found.metadata),
                ours=f"{PREFIX}version" in found.metadata,
                verdict=_verdict(found.metadata),
            )
    return None


def _files(artifact: Artifact) -> list[Path]:
    files = [artifact.path, *(artifact.path.with_name(name) for name in artifact.beside)]
    return [file for file in files if file.is_file()]


def _facts(metadata: Mapping[str, str]) -> dict[str, Fact[Any]]:
    """The facts that are recorded; none where what is recorded is none."""
    try:
        return {
            str(name): Fact(said["value"], Basis(said["basis"]), str(said["where"]))
            for name, said in recorded_facts(metadata).items()
        }
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return {}


def _verdict(metadata: Mapping[str, str]) -> str:
    try:
        said = json.loads(metadata.get(f"{PREFIX}verdict", "{}"))
        return str(said.get("verdict", ""))
    except (AttributeError, RecursionError, ValueError):
        return ""


def overview(source: Source, hints: Hints, recognition: Recognition) -> Overview:
    """The whole model in a source, or as much of it as can be said.

    Raises:
        UsageError: a name that the graph does not have, or no graph.
    """
    try:
        return overview_of(whole_from(source, hints, recognition)[0])
    except UsageError:
        raise
    except LstmBridgeError as error:
        return _unsettled(source, hints, error)


def _unsettled(source: Source, hints: Hints, error: LstmBridgeError) -> Overview:
    graph, declared = source.graph(), source.signature
    if graph is None:
        return Overview((), (), problem=error.read, advice=error.advice)
    try:
        return unsettled(
            graph,
            declared_inputs={} if declared is None else declared.inputs,
            declared_outputs={} if declared is None else declared.outputs,
            inputs=hints.inputs,
            outputs=hints.outputs,
            problem=error.read,
            advice=error.advice,
        )
    except LstmBridgeError:  # what was said first is why
        return Overview((), (), problem=error.read, advice=error.advice)
