"""What was written, as its file says it: read back, annotated, and what it leaves unsaid."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from lstmbridge.contracts import Artifact, Ledger, Target, Verdict
from lstmbridge.errors import CannotExpress
from lstmbridge.metadata import verdict_metadata
from lstmbridge.model.blocks import Model


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
