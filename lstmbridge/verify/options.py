"""What a verification may be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Feeds
from lstmbridge.errors import UsageError


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Options of one verification; the defaults need no thought.

    Attributes:
        seed: of probes and noise. The same seed gives the same verdict.
        batch: rows of the widest seeded probe; None: 4.
        steps: length of the longest seeded probe; None: 48, or fewer for millions of weights.
        require: names of runtimes that must have run, or the verdict is inconclusive.
        data: the user's own sequences by input name, batch-major; added to the seeded probes.
        tolerance: absolute; replaces what the noise floor allows. None: the noise floor.
        timeout: seconds for a runtime to load, and for each probe; every runtime is then run in
            a process of its own. None: those that are known to need one, with ten minutes.
        replicas: least number of perturbed runs behind each noise floor.
        outputs: compare these alone, by name; empty: all that the network has.
        only_data: no seeded probes beside `data`: what was recorded elsewhere cannot be run.
    """

    seed: int = 0
    batch: int | None = None
    steps: int | None = None
    require: tuple[str, ...] = ()
    data: Feeds | None = None
    tolerance: float | None = None
    timeout: float | None = None
    replicas: int = 8
    outputs: tuple[str, ...] = ()
    only_data: bool = False

    def check(self) -> None:
        """Refuse what makes no sense. Errors: UsageError, naming the option."""
        tolerance = self.tolerance
        wrong = {
            "batch": self.batch is not None and self.batch < 1,
            "steps": self.steps is not None and self.steps < 1,
            "replicas": self.replicas < 1,
            "seed": self.seed < 0,
            "tolerance": tolerance is not None and not (np.isfinite(tolerance) and tolerance >= 0),
            "timeout": self.timeout is not None and not self.timeout > 0,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(
                    f"{name} is {getattr(self, name)}",
                    expected="a finite number, not negative"
                    if name in {"seed", "tolerance"}
                    else "more than 0"
                    if name == "timeout"
                    else "at least 1",
                    where=f"--{name}",
                )
