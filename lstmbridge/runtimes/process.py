"""A process of its own for a runtime: started, asked, watched, ended.

A runtime may crash, hang, eat the machine's memory, print to standard output or answer nonsense.
In a process of its own it takes nothing down with it: each of these becomes `RuntimeFailed`.

The protocol is one JSON object per line each way; arrays travel as `.npz` in a private folder.
Answers come by a copy of the standard output that the process made before anything else ran;
what a runtime prints goes to its standard error, whose last line a failure quotes. Both kinds of
process speak it: our own (`child`) and the one for another Python (`foreign/worker.py`).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from typing_extensions import Self

from lstmbridge.errors import RuntimeFailed, RuntimeUnavailable

DEFAULT_SECONDS = 600.0
"""For loading, and for each probe, where the user states no limit."""
_GLANCE = 0.1
"""Seconds between two looks at the process's memory."""
_GRACE = 5.0
"""Seconds that a process may take to end by itself once it is asked to."""
_SHARE = 0.9
"""Of the memory that is free when the process starts, what it may take."""
_LONGEST = 1 << 22
"""Characters of one answer: arrays are in files, so an answer is short."""
_MEMINFO = Path("/proc/meminfo")


def spare_memory() -> int | None:
    """Bytes that a process may take here; None where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(int(line.split()[1]) * 1024 * _SHARE)
    return None


def _resident(pid: int) -> int:
    """Bytes that a process holds; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


class WorkerProcess:
    """A process that answers requests, until it fails or is closed.

    Args:
        command: what to start.
        runtime: its name, for messages.
        seconds: for one answer.
        memory: bytes it may hold; None: what the machine can spare.
        environment: added to this process's own.

    Raises:
        RuntimeUnavailable: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        runtime: str,
        seconds: float = DEFAULT_SECONDS,
        memory: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._runtime = runtime
        self._seconds = seconds
        self._memory = spare_memory() if memory is None else memory
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={**os.environ, **(environment or {})},
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            self._stderr.close()
            raise RuntimeUnavailable(
                f"{command[0]} cannot be started: {error.strerror or error}", where=runtime
            ) from error
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        assert self._process.stdout is not None
        listener = threading.Thread(
            target=_listen, args=(self._process.stdout, self._answers.put), daemon=True
        )
        listener.start()
        self._listener = listener

    def ask(self, what: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send `request` and wait for the answer.

        Args:
            what: what is asked for, in words: "load the model".
            request: anything JSON can say.

        Raises:
            RuntimeUnavailable: the runtime declined.
            RuntimeFailed: it died, hung, ran out of memory, or what it said is no answer.
        """
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is dead, which the wait for its answer finds
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        line = self._wait(what)
        if line is None:
            self._answers.put(None)  # the end stays the end
            raise self._failed(f"{self._end()} when it was to {what}")
        answer = _parsed(line)
        if answer is None:
            shown = line[:80].decode("utf-8", "replace").strip()
            self.close(at_once=True)
            raise self._failed(f"it was to {what}, and answered with no answer: {shown!r}")
        problem = answer.get("error")
        if problem is not None:
            self.close()
            raise self._declined(what, problem)
        return answer

    def _wait(self, what: str) -> bytes | None:
        deadline = time.monotonic() + self._seconds
        while True:
            left = deadline - time.monotonic()
            try:
                return self._answers.get(timeout=max(0.0, min(_GLANCE, left)))
            except queue.Empty:
                if left <= 0:
                    self.close(at_once=True)
                    raise self._failed(
                        f"it was to {what}, and had not done so after {self._seconds:g} seconds",
                        advice="allow more: --timeout SECONDS",
                    ) from None
            held = _resident(self._process.pid)
            if self._memory is not None and held > self._memory:
                self.close(at_once=True)
                raise self._failed(
                    f"it was to {what}, and took {held / 2**30:.2f} GiB of memory; "
                    f"this machine had {self._memory / 2**30:.2f} GiB to spare"
                )

    def _failed(self, read: str, advice: str = "") -> RuntimeFailed:
        words = self._last_words()
        return RuntimeFailed(
            f"{read}{words}", expected="an answer", where=self._runtime, advice=advice
        )

    def _declined(self, what: str, problem: Any) -> RuntimeUnavailable:
        if not isinstance(problem, dict):
            return self._failed(f"it was to {what}, and answered with no answer: {problem!r}")
        parts = {key: str(problem.get(key, ""))[:1000] for key in ("expected", "where", "advice")}
        kind = RuntimeFailed if problem.get("failed") else RuntimeUnavailable
        read = str(problem.get("read", ""))[:1000] or "it declined without a reason"
        return kind(
            read,
            expected=parts["expected"],
            where=parts["where"] or self._runtime,
            advice=parts["advice"],
        )

    def _end(self) -> str:
        """How the process ended, as the subject and verb of a sentence."""
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return "the runtime's process closed its answers"
        if code < 0:
            names = {int(s): s.name for s in signal.Signals}
            by = names.get(-code, f"signal {-code}")
            guess = " (the system's way to end what takes too much memory)"
            return f"the runtime's process was killed by {by}{guess if -code == 9 else ''}"
        return f"the runtime's process ended with exit code {code}"

    def _last_words(self) -> str:
        if self._stderr.closed:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4096))
        lines = self._stderr.read().decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; the last it said: {said[:200]}" if said else ""

    def close(self, *, at_once: bool = False) -> None:
        """End the process, by force where it does not end by itself."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        if not at_once:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        if self._process.poll() is None:
            self._kill()
        self._process.wait()
        self._listener.join(_GRACE)

    def _kill(self) -> None:
        with suppress(OSError):
            if os.name == "posix":
                # it leads a session of its own: its children go with it
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._stderr.close()


def _listen(stream: IO[bytes], tell: Callable[[bytes | None], None]) -> None:
    """Hand on each line of `stream`, and None at its end."""
    with stream:
        while line := stream.readline(_LONGEST):
            tell(line)
    tell(None)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
