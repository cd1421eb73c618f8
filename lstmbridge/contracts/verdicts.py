"""What a verification answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lstmbridge.gates import Array
from lstmbridge.model.facts import Fact


class Outcome(str, Enum):
    """The three verdicts."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


EXIT_CODES: Mapping[Outcome, int] = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """One output of one runtime against the oracle, over all probes: the worst place.

    `ratio` is max |difference| / allowed at the worst place; at most 1 passes. `max_abs` is the
    largest difference anywhere. With a `problem` (missing, shape, dtype, NaN) nothing could be
    compared there, and `ratio` is infinite.
    """

    max_abs: float
    allowed: float
    ratio: float
    worst_index: tuple[int, ...]
    probe: str
    comparisons: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One output along time: at each point the place that came nearest to what is allowed.

    Attributes:
        along: what `at` counts: ``"step"`` of one probe, ``"length"`` of the sequences that a
            final state was computed on, ``"place"`` on the second axis of a graph's output.
        probe: the one that a curve was taken from; "" where points are of all probes.
        at: rising; the first step is 1. Long curves are thinned out, what stands out is kept.
        off: |difference| there.
        allowed: what may differ there.
    """

    along: str
    probe: str
    at: tuple[int, ...]
    off: tuple[float, ...]
    allowed: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """The smallest input found that still shows a failure.

    Attributes:
        size: in words: ``"1 x 2"``, rows and steps.
        feeds: by the artifact's input names; what ``--data`` takes.
        expected: the oracle's outputs for it.
        observed: the runtime's; empty where it gave nothing that could be compared.
    """

    size: str
    feeds: Mapping[str, Array]
    expected: Mapping[str, Array]
    observed: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """What one runtime did. `status`: pass, fail, unavailable, error.

    `outputs` has each output's worst place, `probes` that of each probe, in the order they ran.
    `checks` are what the artifact claims beyond its outputs (rows are independent, pieces equal
    the whole, ...), each a comparison by name. `counterexample` is there when outputs differ.
    `traces` are outputs along time, those that could be compared.
    """

    name: str
    version: str
    device: str
    status: str
    reason: str = ""
    precision: str = ""
    subject: str = ""
    outputs: Mapping[str, OutputComparison] = field(default_factory=dict)
    diagnosis: str = ""
    seconds: float = 0.0
    checks: Mapping[str, OutputComparison] = field(default_factory=dict)
    counterexample: Counterexample | None = None
    traces: Mapping[str, Trace] = field(default_factory=dict)
    probes: Mapping[str, tuple[OutputComparison, ...]] = field(default_factory=dict)

    @property
    def comparisons(self) -> int:
        """How many numbers were compared, of outputs and of claims."""
        found = (*self.outputs.values(), *self.checks.values())
        return sum(one.comparisons for one in found)


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What the probes could have caught.

    `planted` = `caught` + `missed`; a fault that moves nothing on these weights (a zero bias
    dropped) is `indistinguishable` and not among the planted. `weakest` is the fault that was
    caught by least: its name, and its departure as a multiple of what is allowed. `ratios` has
    that multiple for each planted fault; where it is large, "at least". `drowned` names those of
    the indistinguishable that do change something, by less than rounding does.
    """

    planted: int
    caught: int
    indistinguishable: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    weakest: tuple[str, float] | None = None
    caught_names: tuple[str, ...] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
    drowned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Weights read back from the artifact, compared with the source's blocks bit for bit.

    `missing` names blocks of the source that the artifact lacks, `extra` those that it has and
    the source has not; `unreadable` says why nothing could be read back.
    """

    compared: int
    different: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unreadable: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer of a verification.

    `tolerance` is the user's, in place of the noise floor; None: the noise floor judged.
    `not_run` says what this verdict does not cover.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    comparisons: int
    runtimes: tuple[RuntimeResult, ...]
    noise_floor: Mapping[str, float]
    faults: FaultReport
    ledger: LedgerReport | None
    facts: Mapping[str, Fact[Any]]
    not_run: tuple[str, ...]
    seconds: float
    seed: int
    tolerance: float | None = None

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive or a required runtime unavailable."""
        return EXIT_CODES[self.outcome]


Progress = Callable[[str, int, int], None]
"""Called with (what, done, of how many)."""
