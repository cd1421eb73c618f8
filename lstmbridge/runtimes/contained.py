"""Any runtime in a process of its own: what it does to that process it does to nobody else."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, Runtime, RuntimeInfo
from lstmbridge.errors import RuntimeFailed
from lstmbridge.model.blocks import Model
from lstmbridge.runtimes.child import BOOT
from lstmbridge.runtimes.parcels import pack, pickled, unpack
from lstmbridge.runtimes.process import DEFAULT_SECONDS, WorkerProcess


class Contained:
    """A runtime whose sessions live in a process of their own. Implements `contracts.Runtime`.

    Args:
        runtime: the runtime; here it is only asked what it is.
        value: "module:attribute" of its class, for the process.
        seconds: for loading a subject, and for each probe.
        memory: bytes it may hold; None: what the machine can spare.
    """

    def __init__(
        self,
        runtime: Runtime,
        value: str,
        *,
        seconds: float = DEFAULT_SECONDS,
        memory: int | None = None,
    ) -> None:
        self._runtime = runtime
        self._value = value
        self._seconds = seconds
        self._memory = memory

    @property
    def name(self) -> str:
        """The runtime's own."""
        return self._runtime.name

    @property
    def runs(self) -> str:
        """The runtime's own."""
        return self._runtime.runs

    def info(self) -> RuntimeInfo:
        """The runtime's own."""
        return self._runtime.info()

    def open(self, subject: Artifact | Model) -> ContainedSession:
        """Start the process and load `subject` there.

        Raises:
            RuntimeUnavailable: the runtime declines.
            RuntimeFailed: its process died, hung, or took too much memory.
        """
        environment: Mapping[str, str] = getattr(self._runtime, "environment", {})
        process = WorkerProcess(
            [sys.executable, "-c", BOOT, json.dumps(sys.path)],
            runtime=self.name,
            seconds=self._seconds,
            memory=self._memory,
            environment=environment,
        )
        return ContainedSession(process, self.name, self._value, subject)


class ContainedSession:
    """A subject loaded in another process. Implements `contracts.Session`."""

    def __init__(
        self, process: WorkerProcess, runtime: str, value: str, subject: Artifact | Model
    ) -> None:
        self._process = process
        self._runtime = runtime
        self._folder = TemporaryDirectory(prefix="lstmbridge-")
        self._count = 0
        with ExitStack() as on_error:
            on_error.callback(self.close)
            parcel = Path(self._folder.name) / "subject"
            parcel.write_bytes(pickled(subject))
            request = {"runtime": value, "subject": str(parcel)}
            answer = process.ask("load what it is to run", request)
            self.precision = _text(answer, "precision", runtime)
            self.device = _text(answer, "device", runtime)
            on_error.pop_all()

    def run(self, feeds: Feeds) -> Outputs:
        """One probe.

        Raises:
            RuntimeUnavailable: the runtime declined.
            RuntimeFailed: its process died, hung, took too much memory, or gave no arrays.
        """
        self._count += 1
        given = Path(self._folder.name) / f"feeds{self._count}.npz"
        gotten = Path(self._folder.name) / f"outputs{self._count}.npz"
        said = pack(given, feeds)
        request = {"feeds": str(given), "said": said, "outputs": str(gotten)}
        answer = self._process.ask("run a probe", request)
        outputs = unpack(gotten, answer.get("said", {}), self._runtime)
        given.unlink(missing_ok=True)
        gotten.unlink(missing_ok=True)
        return outputs

    def close(self) -> None:
        """End the process, and remove what was written for it."""
        self._process.__exit__()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _text(answer: Mapping[str, object], key: str, runtime: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise RuntimeFailed(
            f"it says no {key}, but {value!r}",
            expected=f"a session with a {key}",
            where=runtime,
        )
    return value
