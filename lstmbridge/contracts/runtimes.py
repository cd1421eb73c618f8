"""What runtimes are given and what they give: feeds and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

from lstmbridge.contracts.recognition import Part
from lstmbridge.contracts.sources import Source
from lstmbridge.contracts.targets import Artifact
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model

Feeds = Mapping[str, Array]
"""Arrays by the artifact's input names, batch-major."""
Outputs = Mapping[str, Array]
"""Arrays by the artifact's output names, batch-major."""


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What `lstmbridge runtimes` prints.

    Attributes:
        available: False when it cannot run here; `reason` and `install` then say why and how.
    """

    name: str
    available: bool
    version: str = ""
    device: str = "cpu"
    reason: str = ""
    install: str = ""


class Session(Protocol):
    """A runtime with one subject loaded. A context manager."""

    @property
    def precision(self) -> str:
        """``float64``, ``float32``, ``tf32``, ``float16``, ``bfloat16``."""
        ...

    @property
    def device(self) -> str:
        """Where it really ran, from the runtime's own account."""
        ...

    def run(self, feeds: Feeds) -> Outputs:
        """One probe. Errors: RuntimeUnavailable when the runtime declines or dies."""
        ...

    def __enter__(self) -> Session: ...  # noqa: PYI034 - Self is newer than Python 3.10

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Runtime(Protocol):
    """Runs artifacts (or the model itself, for the source's own ops and the oracle).

    Two further attributes may be there and true: `contained`, for a runtime that is to run in a
    process of its own, and `on_request`, for one that only runs when it is named.
    """

    @property
    def name(self) -> str:
        """``oracle``, ``onnxruntime-cpu``, ``torch``, ..."""
        ...

    @property
    def runs(self) -> str:
        """``"model"`` for runtimes of the source side, else the target's name."""
        ...

    def info(self) -> RuntimeInfo:
        """Is it here? Never raises, never prints."""
        ...

    def open(self, subject: Artifact | Model) -> Session:
        """Load the subject. Errors: RuntimeUnavailable."""
        ...


@runtime_checkable
class OfSource(Protocol):
    """A runtime that can run the source's own graph, once it knows the source."""

    def bound(self, source: Source, part: Part) -> Runtime:
        """The same runtime, for one stack of one source."""
        ...


@runtime_checkable
class Limited(Protocol):
    """A runtime that starts a process itself, and so keeps a time limit itself."""

    def within(self, seconds: float) -> Runtime:
        """The same runtime, with so many seconds for loading and for each probe."""
        ...
