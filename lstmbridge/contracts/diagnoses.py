"""What a diagnosis answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lstmbridge.contracts.verdicts import EXIT_CODES, FaultReport, Outcome, OutputComparison


@dataclass(frozen=True, slots=True)
class WeightFinding:
    """One way in which stored weights of two networks differ.

    Attributes:
        layers: names of the layers that it holds for.
        blocks: their blocks: ``"kernel"``, ``"bias"``, ...; empty: the layers as a whole.
        words: what is different, as the end of a sentence about B's blocks.
        mistake: whether it is a mistake that has a name (gates permuted, a bias doubled).
    """

    layers: tuple[str, ...]
    blocks: tuple[str, ...]
    words: str
    mistake: bool


@dataclass(frozen=True, slots=True)
class WeightReport:
    """Two networks' weights, block by block, after what an exact conversion folds is folded."""

    compared: int
    findings: tuple[WeightFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What was read of one side.

    Attributes:
        path: as the user named it.
        kind: what it is, in words.
        layers: its layers, in words; empty where no network could be put together.
        accounted: stored numbers that are part of them; None: a source, all of it.
        left: what was not understood.
    """

    path: str
    kind: str
    layers: tuple[str, ...] = ()
    accounted: int | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why B differs from A, or that it does not.

    Attributes:
        outcome: pass: equal; fail: they differ; inconclusive: neither was shown.
        reasons: what decided it.
        explanation: where B departs and which known mistake gives its numbers; "".
        matched: how names and axes were matched, in words.
        outputs: each output that was compared, at its worst place.
        faults: what the comparison could have seen.
        weights: None where one side's weights could not be read.
        accounts: what was read of A, and of B.
        not_run: what this does not cover.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    explanation: str
    matched: tuple[str, ...]
    outputs: Mapping[str, OutputComparison]
    faults: FaultReport
    weights: WeightReport | None
    accounts: tuple[Account, ...]
    not_run: tuple[str, ...] = ()
    seconds: float = 0.0
    seed: int = 0

    @property
    def exit_code(self) -> int:
        """0 equal, 1 they differ, 3 inconclusive."""
        return EXIT_CODES[self.outcome]

    @property
    def comparisons(self) -> int:
        """How many numbers were compared: of outputs, and of weights."""
        weights = 0 if self.weights is None else self.weights.compared
        return weights + sum(one.comparisons for one in self.outputs.values())
