"""The oracle: a model's own equations in float64 NumPy, the centre of every comparison."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import forward


class OracleSession:
    """A model, ready to run. Implements `contracts.Session`; holds nothing to let go of."""

    precision = "float64"
    device = "cpu"

    def __init__(self, model: Model) -> None:
        self._model = model

    def run(self, feeds: Feeds) -> Outputs:
        """All outputs in float64, by artifact name."""
        return forward(self._model, feeds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Oracle:
    """Runs a model, not a file. Implements `contracts.Runtime`."""

    name = "oracle"
    runs = "model"

    def info(self) -> RuntimeInfo:
        """Always here: it needs NumPy only."""
        return RuntimeInfo(self.name, available=True, version=f"NumPy {np.__version__}")

    def open(self, subject: Artifact | Model) -> OracleSession:
        """Take the model.

        Raises:
            RuntimeUnavailable: `subject` is an artifact, which has no equations.
        """
        if isinstance(subject, Artifact):
            raise RuntimeUnavailable(
                f"the oracle was given {subject.path.name}",
                expected="a model: its equations are what the oracle runs",
                where="oracle",
            )
        return OracleSession(model=subject)
