"""Every error that lstmbridge raises on purpose. This module imports nothing of ours.

LstmBridgeError
├─ UsageError          what was asked for makes no sense, or the output may not be written (exit 2)
├─ RuntimeUnavailable  an optional package or device is absent (exit 3)
│  └─ RuntimeFailed    a runtime was there and died, hung, ran out of memory or gave no answer
├─ SourceUnreadable    the bytes are missing, truncated, corrupt, or not what they claim (exit 4)
├─ NotRecognised       the bytes are fine, but no dialect knows a recurrent layer in them (exit 5)
├─ FactMissing         the source does not say it; the user must (exit 6)
├─ FactConflict        two statements about one fact contradict each other (exit 6)
└─ CannotExpress       the target (or this version) has no way to say this (exit 7)

A verification that disagrees is not an exception: it is a `Verdict` (exit 1 or 3).
"""

from __future__ import annotations

from typing import ClassVar


class LstmBridgeError(Exception):
    """The root. A message has four parts; only the first is obligatory.

    Args:
        read: what we read, as a sentence ("the index block at offset 512 has CRC 0x1234").
        expected: what we expected instead.
        where: file, offset, variable, node or option.
        advice: what the user can do next.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self, read: str, *, expected: str = "", where: str = "", advice: str = ""
    ) -> None:
        super().__init__(read)
        self.read = read
        self.expected = expected
        self.where = where
        self.advice = advice

    def __str__(self) -> str:
        labelled = (
            ("", self.read),
            ("expected: ", self.expected),
            ("where: ", self.where),
            ("what to do: ", self.advice),
        )
        return "\n  ".join(label + text for label, text in labelled if text)


class UsageError(LstmBridgeError):
    """What was asked for makes no sense, or the output may not be written there."""

    exit_code = 2


class RuntimeUnavailable(LstmBridgeError):
    """An optional package or device is absent, or declined the work."""

    exit_code = 3


class RuntimeFailed(RuntimeUnavailable):
    """A runtime was there, and died, hung, ran out of memory, or answered with no answer."""


class SourceUnreadable(LstmBridgeError):
    """The bytes are missing, truncated, corrupt, or not what they claim to be."""

    exit_code = 4


class NotRecognised(LstmBridgeError):
    """The bytes are fine, but no dialect recognises a recurrent layer in them."""

    exit_code = 5


class FactMissing(LstmBridgeError):
    """The source does not say something that changes the numbers; the user must."""

    exit_code = 6


class FactConflict(LstmBridgeError):
    """Two statements about one fact contradict each other (a flag and the graph, say)."""

    exit_code = 6


class CannotExpress(LstmBridgeError):
    """The target (or this version of lstmbridge) has no exact way to say this."""

    exit_code = 7
