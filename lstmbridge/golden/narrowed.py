"""A session that is asked for some of its outputs only: those that a pack recorded."""

from __future__ import annotations

from types import TracebackType

from typing_extensions import Self

from lstmbridge.contracts import Feeds, Outputs, Session
from lstmbridge.verify.trials import Experiment


class Narrowed:
    """Implements `contracts.Session`; outputs that nobody recorded are left out."""

    def __init__(self, inner: Session, experiment: Experiment) -> None:
        self._inner = inner
        self._names = {name for trial in experiment.trials for name in trial.expected}
        self.precision = inner.precision
        self.device = inner.device

    def run(self, feeds: Feeds) -> Outputs:
        """One probe; see `Session`."""
        return {n: v for n, v in self._inner.run(feeds).items() if n in self._names}

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)
