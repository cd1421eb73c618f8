"""What was written, as its file says it: read back, annotated, and what it leaves unsaid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from lstmbridge.contracts import Artifact, Ledger, Target, Verdict
from lstmbridge.errors import CannotExpress
from lstmbridge.metadata import verdict_metadata
from lstmbridge.model.blocks import Model
from lstmbridge.staging import Staged


def read_back(target: Target, artifact: Artifact) -> Artifact:
    """The artifact as its file describes it; how its layers were said is the writer's word."""
    found = target.read(artifact.path)
    if found is None or found.signature != artifact.signature:
        raise CannotExpress(
            f"the {target.name} file that was written does not read back as what was meant",
            expected=str(artifact.signature),
            where=str(artifact.path),
            advice="this is a defect of lstmbridge; please report it",
        )
    return replace(found, expressions=artifact.expressions)


def annotated(target: Target, artifact: Artifact, model: Model, verdict: Verdict) -> Artifact:
    """The artifact with its verdict written into it, its weights provably untouched."""
    before = _digests(target.ledger(artifact, model))
    noted = target.annotate(artifact, verdict_metadata(verdict))
    if _digests(target.ledger(noted, model)) != before:
        raise CannotExpress(
            "writing the verdict into the artifact changed its weights",
            where=str(artifact.path),
            advice="this is a defect of lstmbridge; please report it",
        )
    return replace(noted, expressions=artifact.expressions)


def taken_over(verdict: Verdict, stage: Staged) -> Verdict:
    """The verdict on a staged file, as one on the path that the user gave: in all of its words."""
    told: Verdict = _retold(verdict, stage.told)
    return told


def _retold(value: Any, told: Callable[[str], str]) -> Any:
    """`value` with `told` done to every text in it; what has none of them is left as it is."""
    if type(value) is str:
        return told(value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: getattr(value, f.name) for f in fields(value)}
        new = {name: _retold(one, told) for name, one in own.items()}
        changed = {name: one for name, one in new.items() if one is not own[name]}
        return replace(value, **changed) if changed else value
    if type(value) is tuple:
        return tuple(_retold(one, told) for one in value)
    if isinstance(value, Mapping):
        return {name: _retold(one, told) for name, one in value.items()}
    return value


def left_to_say(model: Model, artifact: Artifact) -> tuple[str, ...]:
    """What the source does that this artifact was not asked to do."""
    lengths = model.facts.get("sequence_length")
    if lengths is None or not lengths.value:
        return ()
    if "sequence_length" in artifact.signature.input_names():
        return ()
    said = (
        f"the source stops each row at its length ({lengths.where}); this artifact runs every "
        "row to the end: --sequence-length adds that input"
    )
    return (said,)


def _digests(ledger: Ledger) -> dict[tuple[str, str, str], str]:
    """A digest of every block: the ledger's arrays may be views of a file that changes."""
    return {
        key: hashlib.sha256(np.ascontiguousarray(block).tobytes()).hexdigest()
        for key, block in ledger.items()
    }
