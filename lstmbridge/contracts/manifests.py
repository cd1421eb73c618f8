"""What a run over many models answers, one line for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class ModelState(str, Enum):
    """What became of one model: a verdict, or the reason why there is none."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


WORST_FIRST = (1, 70, 4, 5, 6, 7, 2, 3, 0)
"""Exit codes, that of a mismatch before all others: where models end differently, the first of
these that any ended with is that of the run."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One model of a manifest, verified or not.

    Attributes:
        name: as the manifest calls it.
        line: where the manifest does.
        source: what was verified, as the manifest writes it.
        artifacts: files that were held against it; empty where it was converted.
        state: what became of it.
        exit_code: that of the same command by hand.
        reasons: why it is no pass; empty for a pass.
        comparisons: numbers compared.
        planted: faults that were planted, and `caught` of them.
        caught: likewise.
        assumed: how many facts rest on nothing but a default.
        seconds: of the process; of the earlier one where the answer was taken over.
        taken_over: when the answer was made (ISO 8601), where nothing has changed since;
            "" where it was made now.
        folder: where its report, answer and log lie.
    """

    name: str
    line: int
    source: str
    artifacts: tuple[str, ...]
    state: ModelState
    exit_code: int
    reasons: tuple[str, ...]
    comparisons: int
    planted: int
    caught: int
    assumed: int
    seconds: float
    taken_over: str
    folder: str


@dataclass(frozen=True, slots=True)
class ManifestRun:
    """A whole manifest. `seconds` are those that the user waited."""

    manifest: str
    models: tuple[ModelRun, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """The worst of all, by `WORST_FIRST`."""
        return worst(one.exit_code for one in self.models)

    def count(self, state: ModelState) -> int:
        """How many models ended so."""
        return sum(one.state is state for one in self.models)


def worst(codes: Iterable[int]) -> int:
    """The exit code of several; one that nobody knows counts as a defect of ours (70)."""
    found = {code if code in WORST_FIRST else 70 for code in codes}
    return next((code for code in WORST_FIRST if code in found), 70)
