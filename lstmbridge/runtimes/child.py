"""What runs in a process of its own: any runtime of this Python, for `contained`.

Standard output is taken away before anything else happens: what a runtime prints cannot be
taken for an answer. An error ends the process, after it was reported.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lstmbridge.contracts import Session
from lstmbridge.errors import LstmBridgeError, RuntimeFailed
from lstmbridge.runtimes.parcels import feeds_of, pack

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from lstmbridge.runtimes.child import main; main()"
)
"""Starts `main` in a fresh Python that finds the same packages as this one."""
_FIRST_TO_GO = "1000"
"""To the system: where memory is short, end this process and not the one that watches it."""


def main() -> None:
    """Answer requests until there are no more."""
    channel = _private_channel()

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        _say(channel, {"error": described(error)})
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = report
    _be_modest()
    session: Session | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if session is None:
            session = _opened(request)
            _say(channel, {"precision": session.precision, "device": session.device})
        else:
            feeds = feeds_of(Path(request["feeds"]), request["said"])
            outputs = session.run(feeds)
            _say(channel, {"said": pack(Path(request["outputs"]), outputs)})


def described(error: BaseException) -> dict[str, Any]:
    """An error as the other side raises it again."""
    if isinstance(error, LstmBridgeError):
        return {
            "read": error.read,
            "expected": error.expected,
            "where": error.where,
            "advice": error.advice,
            "failed": isinstance(error, RuntimeFailed),
        }
    text = " ".join(str(error).split())[:400]
    return {"read": f"it raised {type(error).__name__}: {text}", "failed": True}


def _opened(request: dict[str, Any]) -> Session:
    module, attribute = request["runtime"].split(":")
    runtime = getattr(importlib.import_module(module), attribute)()
    # written a moment ago by the process that started this one, in a folder of its own
    subject = pickle.loads(Path(request["subject"]).read_bytes())  # noqa: S301
    session: Session = runtime.open(subject)
    return session


def _private_channel() -> IO[str]:
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _say(channel: IO[str], answer: dict[str, Any]) -> None:
    channel.write(json.dumps(answer) + "\n")
    channel.flush()


def _be_modest() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
