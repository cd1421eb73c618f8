"""TensorFlow 2 as a runtime of the source side: the stack in TensorFlow's own cells.

TensorFlow is imported when a session is opened (four seconds, half a gigabyte), without its
chatter on stderr, and only computes on the CPU. What it runs stands in `tensorflow_stack`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, Part, RuntimeInfo, Session, Source
from lstmbridge.errors import NotRecognised, RuntimeFailed, RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.runtimes.foreign import ForeignPython
from lstmbridge.runtimes.tensorflow_stack import Stack, build_stack, check_expressible

NAME = "tensorflow"
INSTALL = "pip install 'lstmbridge[tensorflow]'"
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


def installed_version() -> str:
    """Version of the installed TensorFlow, without importing it; "" where absent."""
    if importlib.util.find_spec("tensorflow") is None:
        return ""
    found = [d for name in _DISTRIBUTIONS for d in importlib.metadata.distributions(name=name)]
    return found[0].version if found else "unknown"


class TensorFlow:
    """The source's own graph, or TensorFlow 2's own cells. Implements `contracts.Runtime`.

    Bound to a source whose graph holds the stack, it loads that graph and its checkpoint in a
    process of its own, as `foreign` does in another Python. Else it rebuilds the cells here.
    """

    name = NAME
    runs = "model"

    def __init__(self, source: Source | None = None, part: Part | None = None) -> None:
        self._source = source
        self._part = part

    def bound(self, source: Source, part: Part) -> TensorFlow:
        """The same, for one stack of one source."""
        return TensorFlow(source, part)

    def info(self) -> RuntimeInfo:
        """Is it installed? Imports nothing."""
        version = installed_version()
        if version:
            return RuntimeInfo(self.name, available=True, version=version)
        reason = "TensorFlow is not installed"
        return RuntimeInfo(self.name, available=False, reason=reason, install=INSTALL)

    def open(self, subject: Artifact | Model) -> Session:
        """Load the source's graph, or build the stack with the model's weights in its variables.

        Raises:
            RuntimeUnavailable: no TensorFlow, `subject` is an artifact, or the model has
                something that TensorFlow's cells do not (it says what).
        """
        if not isinstance(subject, Model):
            raise RuntimeUnavailable(
                "TensorFlow was given an artifact",
                expected="a model: it recomputes the source's network",
                where=NAME,
            )
        own = self._in_its_graph(subject)
        if own is not None:
            return own
        check_expressible(subject)
        tf = import_tensorflow()
        with _translated("build the network"), _quiet_logger():
            return TensorFlowSession(build_stack(tf, subject), subject)

    def _in_its_graph(self, model: Model) -> Session | None:
        """The source's own graph; None where there is none, or the stack cannot be run in it."""
        if self._source is None or self._part is None or not installed_version():
            return None
        here = ForeignPython(sys.executable)
        try:
            return here.in_its_graph(self._source, self._part, model)
        except RuntimeFailed:
            raise
        except (NotRecognised, RuntimeUnavailable):
            return None  # its cells are the next best


class TensorFlowSession:
    """A stack in a TensorFlow graph of its own. Implements `contracts.Session`."""

    device = "cpu"

    def __init__(self, stack: Stack, model: Model) -> None:
        self._stack = stack
        self._model = model
        self._dtype = model.dtype
        self.precision = str(model.dtype)

    def run(self, feeds: Feeds) -> Outputs:
        """One probe: feeds cast to the model's dtype, outputs as they come.

        Raises:
            RuntimeUnavailable: TensorFlow declined; a name that the network does not have.
        """
        with _translated("run the network"):
            outputs: Outputs = self._stack.run(self._complete(feeds))
        return outputs

    def _complete(self, feeds: Feeds) -> dict[str, Array]:
        """Every input, with its default where it is not fed."""
        batch, time = np.asarray(feeds[INPUTS]).shape[:2]
        full: dict[str, Array] = {SEQUENCE_LENGTH: np.full(batch, time, np.int32)}
        for layer in self._model.layers:
            for state in layer.cell.state_sizes:
                row = layer.start(state).astype(self._dtype)
                full[layer.initial_name(state)] = np.tile(row, (batch, 1))
        unknown = feeds.keys() - full.keys() - {INPUTS}
        if unknown:
            raise RuntimeUnavailable(
                f"{min(unknown)!r} was fed",
                expected=f"one of {', '.join([INPUTS, *full])}",
                where=NAME,
            )
        for name, array in feeds.items():
            dtype = np.dtype(np.int32) if name == SEQUENCE_LENGTH else self._dtype
            full[name] = np.asarray(array).astype(dtype)
        _check_steps(full[SEQUENCE_LENGTH], time)
        return full

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def _check_steps(lengths: Array, time: int) -> None:
    """TensorFlow takes lengths beyond the last step without a word, and no steps not at all."""
    if not time:
        raise RuntimeUnavailable(
            "a sequence of no steps was fed",
            expected="at least one step: dynamic_rnn has no output to stack otherwise",
            where=NAME,
        )
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= time:
        raise RuntimeUnavailable(
            f"{SEQUENCE_LENGTH} runs from {lengths.min()} to {lengths.max()}",
            expected=f"lengths from 0 to {time}",
            where=NAME,
        )


def import_tensorflow() -> Any:
    """The module `tensorflow`, imported silently.

    Raises:
        RuntimeUnavailable: it is not installed, or does not import.
    """
    if not installed_version():
        raise RuntimeUnavailable("TensorFlow is not installed", where=NAME, advice=INSTALL)
    try:
        with _silent_start():
            import tensorflow as tf
    except Exception as error:  # a broken installation raises anything
        raise RuntimeUnavailable(
            f"TensorFlow cannot be imported: {' '.join(str(error).split())[:400]}",
            where=NAME,
            advice=INSTALL,
        ) from error
    return tf


@contextmanager
def _silent_start() -> Iterator[None]:
    """The first import writes to stderr from C++, before any level can be set: to nowhere."""
    if "tensorflow" in sys.modules:
        yield
        return
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _quiet_logger() -> Iterator[None]:
    """Deprecation notes of the cells, which are what is wanted here, are not shown."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """TensorFlow's own exceptions, whatever their class, become `RuntimeUnavailable`."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except Exception as error:  # its errors and Keras's share no base
        raise RuntimeUnavailable(
            f"TensorFlow declined to {what}: {type(error).__name__}: {_gist(error)}", where=NAME
        ) from error


def _gist(error: Exception) -> str:
    """The message without the stack traces that TensorFlow writes into it."""
    noise = ("File ", "Graph execution error", "Detected at", "Original stack trace", "Node: ")
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(noise))[:400]
