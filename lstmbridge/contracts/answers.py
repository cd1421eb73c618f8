"""What the public verbs answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmbridge.contracts.recognition import Part, Recognition
from lstmbridge.contracts.targets import Artifact
from lstmbridge.contracts.verdicts import Verdict
from lstmbridge.errors import UsageError
from lstmbridge.graph.overview import Overview
from lstmbridge.graph.whole import Whole
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` answers: where it was read, and what was recognised in it.

    `sha256` is None where the files are too large to be read for an inspection. `whole` is there
    where `convert` would convert a whole model; then `recognition` may have no parts.
    """

    path: Path
    format: str
    producer: str | None
    files: tuple[Path, ...]
    sha256: str | None
    recognition: Recognition
    whole: Overview | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        path: where the artifact lies now; None when the verdict did not allow it to stay.
        sha256: of the artifact; None likewise.
        verdict: None with ``--no-verify``.
        part: the stack that was converted; None where it was a whole model.
        whole: the whole model that was converted; None where it was a stack.
        usage: lines of code that load the artifact without lstmbridge, where that is possible.
    """

    path: Path | None
    sha256: str | None
    artifact: Artifact
    part: Part | None
    verdict: Verdict | None
    warnings: tuple[str, ...]
    seconds: float
    usage: str = ""
    whole: Whole | None = None

    @property
    def stack(self) -> Part:
        """The stack that was converted.

        Raises:
            UsageError: it was a whole model.
        """
        if self.part is None:
            raise UsageError("a whole model was converted, not a stack", where=str(self.path))
        return self.part

    @property
    def facts(self) -> Mapping[str, Fact[Any]]:
        """What the conversion rests on."""
        if self.part is not None:
            return self.part.model.all_facts
        return {} if self.verdict is None else self.verdict.facts

    @property
    def exit_code(self) -> int:
        """That of the verdict; 0 when none was asked for."""
        return 0 if self.verdict is None else self.verdict.exit_code
