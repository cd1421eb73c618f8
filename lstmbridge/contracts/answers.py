"""What the public verbs answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lstmbridge.contracts.recognition import Part, Recognition
from lstmbridge.contracts.targets import Artifact
from lstmbridge.contracts.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` answers: where it was read, and what was recognised in it.

    `sha256` is None where the files are too large to be read for an inspection.
    """

    path: Path
    format: str
    producer: str | None
    files: tuple[Path, ...]
    sha256: str | None
    recognition: Recognition


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        path: where the artifact lies now; None when the verdict did not allow it to stay.
        sha256: of the artifact; None likewise.
        verdict: None with ``--no-verify``.
        usage: lines of code that load the artifact without lstmbridge, where that is possible.
    """

    path: Path | None
    sha256: str | None
    artifact: Artifact
    part: Part
    verdict: Verdict | None
    warnings: tuple[str, ...]
    seconds: float
    usage: str = ""

    @property
    def exit_code(self) -> int:
        """That of the verdict; 0 when none was asked for."""
        return 0 if self.verdict is None else self.verdict.exit_code
