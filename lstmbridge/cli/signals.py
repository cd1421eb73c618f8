"""What a signal that ends the process does first: the way out is walked, not jumped.

Killed by its default action, a process leaves its staging folder behind. Here the signal becomes
an exit, so that every `finally` is passed, and the exit code is the one a shell expects.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_SHELL = 128
"""A shell reports a process that a signal ended as this, plus the signal's number."""
INTERRUPTED = _SHELL + signal.SIGINT
"""Of a process that was stopped by Ctrl-C."""


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_SHELL + number)


@contextmanager
def orderly_exit() -> Iterator[None]:
    """Within it, signals that would end the process raise SystemExit instead.

    One that is ignored (under nohup, say) or handled already stays so. Outside the main thread,
    where Python allows no handlers, nothing is changed.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        taken = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


__all__ = ["INTERRUPTED", "orderly_exit"]
