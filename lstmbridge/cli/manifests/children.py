"""One model, as a user would verify it by hand: a process of its own, its answer read back.

The process may crash, hang or be killed; what it leaves is believed only where it is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lstmbridge import registry
from lstmbridge.cli.manifests import kept
from lstmbridge.cli.manifests.reading import Entry
from lstmbridge.contracts.manifests import ModelRun, ModelState
from lstmbridge.errors import LstmBridgeError

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); sys.argv[1:2] = []; "
    "from lstmbridge.cli import main; main(prog_name='lstmbridge')"
)
"""Starts the command line in a fresh Python that finds the same packages as this one."""
ANSWER, REPORT, LOG, FAILURE, CONVERTED = (
    "answer.json", "report.html", "log.txt", "failure.npz", "model",
)  # fmt: skip
"""What lies in a model's folder; the last is an artifact's name without its suffix."""
_DEFECT, _UNDECIDED = 70, 3
_GRACE = 5.0
"""Seconds that a process has to clean up after it was told to stop."""
_TAIL = 5
_ERROR = "error: "
"""How a command begins the error that ended it."""
_STATES = {
    "pass": (ModelState.PASS, 0),
    "fail": (ModelState.FAIL, 1),
    "inconclusive": (ModelState.INCONCLUSIVE, _UNDECIDED),
}


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a process ended. `code` is None where its time was over."""

    code: int | None
    seconds: float


class Child:
    """Verifies one model; may be stopped from another thread."""

    def __init__(self, entry: Entry, results: Path) -> None:
        self._entry = entry
        self._folder = results / entry.name
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, *, fresh: bool, seconds: float | None) -> ModelRun:
        """The model's answer: an earlier one that still holds, else a new one.

        Args:
            fresh: take no earlier one over.
            seconds: it may take, where the manifest says nothing.
        """
        self._folder.mkdir(exist_ok=True)
        answer = self._folder / ANSWER
        of_all = kept.digest(self._entry)
        earlier = None if fresh else kept.remembered(self._folder, of_all, answer)
        if earlier is not None:
            ended = _Ended(0, float(earlier["seconds"]))
            return self._read(ended, taken_over=str(earlier["finished"]))
        kept.forget(self._folder)
        for name in (ANSWER, REPORT, LOG, FAILURE):
            (self._folder / name).unlink(missing_ok=True)
        ended = self._ended(self._entry.seconds or seconds)
        found = self._read(ended, taken_over="")
        if found.state is ModelState.PASS and of_all:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            kept.note(self._folder, of_all, answer, {"finished": now, "seconds": found.seconds})
        return found

    def stop(self) -> None:
        """End the process, and everything that it started; it cleans up, if it can."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            _end(process)

    def _words(self) -> list[str]:
        entry, folder = self._entry, self._folder
        files = [("--json", ANSWER), ("--html", REPORT), ("--save-failure", FAILURE)]
        outputs = [word for option, name in files for word in (option, str(folder / name))]
        if entry.command == "convert":
            outputs += ["--output", str(folder / _artifact_name(entry)), "--force"]
        return [entry.command, *entry.words, *outputs, "--", *entry.subjects]

    def _ended(self, seconds: float | None) -> _Ended:
        start = time.monotonic()
        # what it says to GitHub is for the whole run to say, with the manifest's lines
        quiet = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        with (self._folder / LOG).open("wb") as log:
            with self._lock:
                if self._stopped:
                    return _Ended(-signal.SIGTERM, 0.0)
                process = subprocess.Popen(
                    [sys.executable, "-c", BOOT, json.dumps(sys.path), *self._words()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=quiet,
                    start_new_session=os.name == "posix",
                )
                self._process = process
            try:
                code: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                code = None
        return _Ended(code, time.monotonic() - start)

    def _read(self, ended: _Ended, *, taken_over: str) -> ModelRun:
        """What the process left, in one line."""
        try:
            body = json.loads((self._folder / ANSWER).read_bytes())
        except (OSError, ValueError):
            body = {}
        state, code, reasons = self._outcome(ended, body)
        faults = body.get("faults") or {}
        return ModelRun(
            name=self._entry.name,
            line=self._entry.line,
            source=self._entry.source,
            artifacts=self._entry.artifacts,
            state=state,
            exit_code=code,
            reasons=reasons,
            comparisons=int(body.get("comparisons", 0)),
            planted=int(faults.get("planted", 0)),
            caught=int(faults.get("caught", 0)),
            assumed=sum(f["basis"] == "assumed" for f in body.get("facts", {}).values()),
            seconds=ended.seconds,
            taken_over=taken_over,
            folder=str(self._folder),
        )

    def _outcome(
        self, ended: _Ended, body: Mapping[str, Any]
    ) -> tuple[ModelState, int, tuple[str, ...]]:
        if ended.code is None:
            why = f"no answer in {ended.seconds:.3g} s: its time was over, and it was stopped"
            return ModelState.ERROR, _UNDECIDED, (why,)
        verdict = body.get("verdict")
        if verdict in _STATES and _STATES[verdict][1] == ended.code:
            if verdict == "pass" and not body.get("comparisons"):
                return ModelState.ERROR, _UNDECIDED, ("no number was compared",)
            return (*_STATES[verdict], tuple(body.get("reasons", ())))
        if body.get("kind") == "error" and body.get("exit_code") == ended.code:
            error = LstmBridgeError(**{k: v for k, v in body["error"].items() if k != "type"})
            return ModelState.ERROR, ended.code, tuple(_lines(str(error)))
        return ModelState.ERROR, *self._unexplained(ended.code)

    def _unexplained(self, code: int) -> tuple[int, tuple[str, ...]]:
        """A process that left no answer that fits how it ended."""
        if code < 0:
            named = {s.value: s.name for s in signal.Signals}.get(-code, f"signal {-code}")
            first = f"its process was ended by {named}"
            first += ", as a system does that is short of memory" if named == "SIGKILL" else ""
            return _DEFECT, (first, *self._last_words())
        known = code if code in {2, 3, 4, 5, 6, 7} else _DEFECT
        told = self._last_words()
        if told[:1] and told[0].startswith(_ERROR):
            return known, (told[0].removeprefix(_ERROR), *told[1:])
        return known, (f"it ended with {code} and left no answer", *told)

    def _last_words(self) -> tuple[str, ...]:
        """The log's last error, else its last lines."""
        try:
            text = (self._folder / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
        _, found, error = text.rpartition(f"\n{_ERROR}")
        if found or text.startswith(_ERROR):
            return tuple(_lines(found.lstrip() + error if found else text))
        return tuple(_lines(text)[-_TAIL:])


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _artifact_name(entry: Entry) -> str:
    """Its suffix is the target's; a target that nobody knows is for the command to refuse."""
    name = entry.words[entry.words.index("--to") + 1]
    known = {target.name: target for target in registry.targets()}
    return CONVERTED + (known[name].suffixes[0] if name in known else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """First so that it can clean up, then so that it cannot refuse."""
    for number in ("SIGTERM", "SIGKILL"):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(process.pid, getattr(signal, number))
            else:
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
