"""A TensorFlow of another Python as a runtime of the source's side: ``python:/path/to/python``.

That Python needs a TensorFlow (0.12 to 2.x) and NumPy, not lstmbridge: `worker.py` is run in it by
its path, and is written for Python 3.6. Where the source has a graph and the stack can be found
in it, TensorFlow loads that graph and its checkpoint itself, and is fed and read at the graph's
own tensors; where not, the stack is rebuilt in that release's own cells and loops. Which of
the two it was stands in the session's `device`.

Nothing of `model.equations` takes part, nor any of our readers where TensorFlow can read itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, Part, RuntimeInfo, Source
from lstmbridge.errors import NotRecognised, RuntimeFailed, RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.runtimes.foreign.described import network_of
from lstmbridge.runtimes.parcels import pack, unpack
from lstmbridge.runtimes.process import DEFAULT_SECONDS, WorkerProcess
from lstmbridge.runtimes.source_graph import Addresses, addresses_of, file_of, joined

WORKER = Path(__file__).with_name("worker.py")
_SHAPES = ((2, 3), (5, 1))
INSTALL = "give the path of a Python 3.6 or later that has TensorFlow: python:/path/to/python"


@dataclass
class _Known:
    """What is only known once TensorFlow ran."""

    version: str = ""


@dataclass(frozen=True)
class ForeignPython:
    """TensorFlow in another Python. Implements `contracts.Runtime`, `OfSource` and `Limited`.

    Attributes:
        python: its interpreter, a path or a command.
        source, part: what it is bound to, so that it can run the source's own graph.
        seconds: for loading, and for each probe.
    """

    python: str
    source: Source | None = None
    part: Part | None = None
    seconds: float = DEFAULT_SECONDS
    known: _Known = field(default_factory=_Known, init=False)

    runs: ClassVar[str] = "model"

    @property
    def name(self) -> str:
        """As ``--runtimes`` says it."""
        return f"python:{self.python}"

    def bound(self, source: Source, part: Part) -> ForeignPython:
        """The same, for one stack of one source."""
        return replace(self, source=source, part=part)

    def within(self, seconds: float) -> ForeignPython:
        """The same, with a time limit."""
        return replace(self, seconds=seconds)

    def info(self) -> RuntimeInfo:
        """Is there such a program? What it has is only known once it ran."""
        if shutil.which(self.python) is not None:
            version = self.known.version
            return RuntimeInfo(self.name, available=True, version=version)
        reason = f"there is no program {self.python!r}" if self.python else "it names no Python"
        return RuntimeInfo(self.name, available=False, reason=reason, install=INSTALL)

    def open(self, subject: Artifact | Model) -> ForeignSession:
        """Start the other Python and build the network in its TensorFlow.

        Raises:
            RuntimeUnavailable: no such Python, no TensorFlow in it, `subject` is an artifact, or
                the network is nothing that this TensorFlow can say.
            RuntimeFailed: its process died, hung, or took too much memory.
        """
        if not isinstance(subject, Model):
            raise RuntimeUnavailable(
                "TensorFlow was given an artifact",
                expected="a model: it recomputes the source's network",
                where=self.name,
            )
        info = self.info()
        if not info.available:
            raise RuntimeUnavailable(info.reason, where=self.name, advice=info.install)
        why = ""
        if self.source is not None and self.part is not None:
            try:
                return self.in_its_graph(self.source, self.part, subject)
            except RuntimeFailed:
                raise
            except (NotRecognised, RuntimeUnavailable) as error:
                why = error.read
        try:
            return self._rebuilt(subject, why)
        except RuntimeUnavailable as error:
            if isinstance(error, RuntimeFailed) or not why:
                raise
            raise RuntimeUnavailable(
                f"{error.read}; its own graph: {why}", where=self.name
            ) from error

    def in_its_graph(self, source: Source, part: Part, model: Model) -> ForeignSession:
        """The source's own graph, and nothing else.

        Raises:
            NotRecognised: the stack cannot be found in the graph.
            RuntimeUnavailable: TensorFlow declined; RuntimeFailed: it died or hung.
        """
        at = addresses_of(source, part)
        weights = {name: ref.load() for name, ref in part.graph_weights.items()}
        named = [at.inputs, *at.fetches, *(start.tensor for start in at.starts.values())]
        request = {"graph": {**file_of(source), "tensors": named}}
        session = self._start(request, weights, model, at)
        with ExitStack() as on_error:
            on_error.callback(session.close)
            for batch, steps in _SHAPES:
                # a graph may be made for one batch or one length
                session.run({INPUTS: np.zeros((batch, steps, model.input_size))})
            on_error.pop_all()
        return session

    def _rebuilt(self, model: Model, why: str) -> ForeignSession:
        part, source = self.part, self.source
        network, weights = network_of(model, {} if part is None else part.variables, self.name)
        if source is not None and not source.declares_model:
            network["checkpoint"] = str(source.path)
        session = self._start({"network": network}, weights, model, None)
        if why:
            session.device += f", for its own graph was not run: {why}"
        return session

    def _start(
        self,
        request: Mapping[str, Any],
        weights: Mapping[str, Array],
        model: Model,
        at: Addresses | None,
    ) -> ForeignSession:
        # -E: this Python's PYTHONPATH would break another
        process = WorkerProcess(
            [self.python, "-E", str(WORKER)],
            runtime=self.name,
            seconds=self.seconds,
        )
        session = ForeignSession(process, self.name, model, at)
        with ExitStack() as on_error:
            on_error.callback(session.close)
            self.known.version = session.load(request, weights)
            on_error.pop_all()
        return session


class ForeignSession:
    """A network in another Python's TensorFlow. Implements `contracts.Session`."""

    def __init__(
        self, process: WorkerProcess, runtime: str, model: Model, at: Addresses | None
    ) -> None:
        self._process = process
        self._runtime = runtime
        self._model = model
        self._at = at
        self._folder = TemporaryDirectory(prefix="lstmbridge-")
        self.precision = str(model.dtype)
        self.device = "cpu"

    def load(self, request: Mapping[str, Any], weights: Mapping[str, Array]) -> str:
        """Build the network; the version of TensorFlow. Errors: as `ForeignPython.open`."""
        path = Path(self._folder.name) / "weights.npz"
        said = pack(path, weights)
        answer = self._process.ask(
            "build the network", {**request, "weights": str(path), "said": said}
        )
        self.device = f"cpu, {answer.get('route', '')}"
        return f"TensorFlow {answer.get('version', 'unknown')}"

    def run(self, feeds: Feeds) -> Outputs:
        """One probe.

        Raises:
            RuntimeUnavailable: TensorFlow declined, or a name that the network does not have.
            RuntimeFailed: its process died, hung, took too much memory, or gave no arrays.
        """
        full = self._complete(feeds)
        if self._at is None:
            fetches = [OUTPUTS, *(name for name, _ in self._finals())]
            return self._ask(full, fetches)
        batch, steps = full[INPUTS].shape[:2]
        pieces = [(rows, self._piece(self._at, piece)) for rows, piece in self._at.pieces(full)]
        return joined(pieces, batch, steps)

    def _piece(self, at: Addresses, feeds: Feeds) -> Outputs:
        batch, steps = np.asarray(feeds[INPUTS]).shape[:2]
        rows = np.asarray(feeds.get(SEQUENCE_LENGTH, np.full(batch, steps)), np.int64)
        if not steps:
            # a graph without lengths is not run for a row that has none: nothing happens in it
            found = {name: np.asarray(feeds[start]) for name, start in self._finals()}
            width = self._model.output_size
            return found | {OUTPUTS: np.zeros((batch, 0, width), self._model.dtype)}
        return at.read(self._ask(at.fed(feeds, rows), at.fetches), rows)

    def _ask(self, feeds: Mapping[str, Array], fetches: list[str]) -> Outputs:
        given = Path(self._folder.name) / "feeds.npz"
        gotten = Path(self._folder.name) / "outputs.npz"
        gotten.unlink(missing_ok=True)
        said = pack(given, feeds)
        request = {"feeds": str(given), "said": said, "fetches": fetches, "outputs": str(gotten)}
        answer = self._process.ask("run a probe", request)
        return unpack(gotten, answer.get("said", {}), self._runtime)

    def _finals(self) -> list[tuple[str, str]]:
        return [
            (layer.state_name(state), layer.initial_name(state))
            for layer in self._model.layers
            for state in layer.cell.state_sizes
        ]

    def _complete(self, feeds: Feeds) -> dict[str, Array]:
        """Every input, with its default where it is not fed."""
        batch, steps = np.asarray(feeds[INPUTS]).shape[:2]
        if not steps:
            raise RuntimeUnavailable("a sequence of no steps was fed", where=self._runtime)
        full: dict[str, Array] = {SEQUENCE_LENGTH: np.full(batch, steps, np.int32)}
        for layer in self._model.layers:
            for state, width in layer.cell.state_sizes.items():
                full[layer.initial_name(state)] = np.zeros((batch, width), self._model.dtype)
        unknown = feeds.keys() - full.keys() - {INPUTS}
        if unknown:
            raise RuntimeUnavailable(
                f"{min(unknown)!r} was fed",
                expected=f"one of {', '.join([INPUTS, *full])}",
                where=self._runtime,
            )
        return full | {name: np.asarray(array) for name, array in feeds.items()}

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
