"""What a state dict computes: its keys name modules of `torch.nn`, whose equations are ours."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import ml_dtypes
import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo, States
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import signature_of
from lstmbridge.verify.noise import run_model

_COMPUTED = {"float16": "float16", "bfloat16": "bfloat16", "float64": "float64"}


def keys_artifact(path: Path, model: Model) -> Artifact:
    """The tensors as something that runs, with states and lengths as PyTorch's modules have."""
    dtype = np.dtype(model.dtype)
    signature = signature_of(model, dtype, states=States.OPTIONAL, sequence_length=False)
    return Artifact(path, "keys", signature, _COMPUTED.get(dtype.name, "float32"))


class KeysRuntime:
    """A runtime and its session: a network that was read from keys. Runs ``"keys"``."""

    name = "torch.nn, by its equations"
    runs = "keys"
    device = "cpu"

    def __init__(self, model: Model, precision: str) -> None:
        self._model = model
        self.precision = precision

    def info(self) -> RuntimeInfo:
        """Always here: it needs NumPy only."""
        return RuntimeInfo(self.name, available=True)

    def open(self, _subject: Any) -> KeysRuntime:
        """Nothing to load."""
        return self

    def run(self, feeds: Feeds) -> Outputs:
        """All outputs, in the type of the tensors."""
        dtype = np.dtype(ml_dtypes.bfloat16 if self.precision == "bfloat16" else self.precision)
        with np.errstate(over="ignore", invalid="ignore"):
            return {n: x.astype(dtype) for n, x in run_model(self._model, feeds).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None
