"""Protocols and plain values that cross floors.

The rooms on F4 (sources, adapters, targets, runtimes, verify) never import each other; what
they hand one another is defined here, and `api` introduces them. No room's logic in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import Self

from lstmbridge.gates import Array, Weights
from lstmbridge.model.blocks import Model
from lstmbridge.model.facts import Fact
from lstmbridge.model.signature import Signature, States, TensorSpec

if TYPE_CHECKING:
    from lstmbridge.graph.graphdef import Graph

Feeds = Mapping[str, Array]
"""Arrays by the artifact's input names, batch-major."""
Outputs = Mapping[str, Array]
"""Arrays by the artifact's output names, batch-major."""


# --- sources -> adapters ---------------------------------------------------------------------


class TensorRef(Weights, Protocol):
    """A named tensor of a source. `shape` and `dtype` are free; only `load()` touches bytes.

    `load()` returns a read-only array in native byte order, a view of the mapped file where
    the format allows it, and checks the stored CRC32C the first time. Errors:
    `SourceUnreadable`.
    """

    @property
    def location(self) -> str:
        """File (and offset) of the bytes, for messages."""
        ...


class Source(Protocol):
    """An opened source: named lazy tensors, and perhaps the graph that lies beside them."""

    @property
    def path(self) -> Path:
        """What the user named, resolved: the prefix of a checkpoint."""
        ...

    @property
    def format(self) -> str:
        """``"TensorFlow checkpoint V2"``, ``"TensorFlow checkpoint V1"``, ..."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that belongs to it and is there."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The variables by their names in the source."""
        ...

    def graph(self) -> Graph | None:
        """The GraphDef beside the weights, or None where there is none. Parsed once."""
        ...

    @property
    def producer(self) -> str | None:
        """``"TensorFlow 1.15.5"`` where the source says it."""
        ...

    def sha256(self) -> str:
        """Of all `files`, in order: what an artifact records as its origin."""
        ...

    def close(self) -> None:
        """Let go of mapped files. Arrays that were handed out stay valid."""
        ...


# --- adapters -> api -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user states about a source (the options of the command line). None: not stated.

    Attributes:
        layers: one stored cell is applied this many times (``[cell] * n``).
        residual: every layer whose input is as wide as its output is wrapped in a residual.
        select: the scope of one of several stacks.
        renames: variable name in the source -> name a dialect knows (``--map``).
        ema: True: the ExponentialMovingAverage shadows are the weights. None: raw weights,
            and a warning where shadows exist.
        ignore_graph: pretend that no graph lies beside the weights.
    """

    cell: str | None = None
    forget_bias: float | None = None
    activation: str | None = None
    cell_clip: float | None = None
    proj_clip: float | None = None
    layers: int | None = None
    residual: bool | None = None
    select: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    ema: bool | None = None
    ignore_graph: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A variable that is no part of any layer, and why."""

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """One recurrent stack found in a source.

    Attributes:
        name: the scope that holds it, ``"encoder/rnn"``; what ``--select`` takes.
        model: the network; its arrays are still in the file.
        variables: layer name -> names of its variables in the source.
        dialect: whose names these are, ``"BasicLSTMCell (TensorFlow 1.2 and later)"``.
    """

    name: str
    model: Model
    variables: Mapping[str, tuple[str, ...]]
    dialect: str


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Why a group of variables is not a recurrent layer that we know; nearest miss first."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """All that the adapters make of a source. `parts` is never empty."""

    parts: tuple[Part, ...]
    ignored: tuple[Ignored, ...]
    refusals: tuple[NoMatch, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` answers: where it was read, and what was recognised in it.

    `sha256` is None where the files are too large to be read for an inspection.
    """

    path: Path
    format: str
    producer: str | None
    files: tuple[Path, ...]
    sha256: str | None
    recognition: Recognition


class Adapter(Protocol):
    """Named tensors (+ graph) -> Model. One per dialect family."""

    @property
    def name(self) -> str:
        """Short name, for messages and entry points."""
        ...

    def recognise(self, source: Source, hints: Hints) -> Recognition | NoMatch:
        """Find the recurrent stacks. Reads no weights.

        Errors: NotRecognised, FactMissing, FactConflict, CannotExpress, SourceUnreadable.
        """
        ...


# --- targets ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Options that change an artifact. None: the target's default."""

    states: States = States.NONE
    sequence_length: bool = False
    opset: int | None = None
    ir_version: int | None = None
    dtype: str | None = None
    """"float32" or "float16" to override the source's precision."""


@dataclass(frozen=True, slots=True)
class Expression:
    """How a target says one layer: ``native``, ``rewritten`` or ``stepped``, and why."""

    layer: str
    how: str
    detail: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a target wrote, read back from disk.

    Attributes:
        precision: what the arithmetic is done in: a row of verify's table of roundings.
        metadata: everything stored beside the weights (facts, origin, gate order).
        expressions: how each layer was said; one per layer.
    """

    path: Path
    target: str
    signature: Signature
    precision: str
    expressions: tuple[Expression, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


Ledger = Mapping[tuple[str, str, str], Array]
"""(layer, block, gate) -> numbers, as the artifact holds them, in the model's orientation.

`block` is one of ``kernel`` (input, units), ``recurrent`` (output, units), ``bias`` (units,),
``forget_bias`` (units,), ``peephole`` (units,), ``projection`` (units, output). For blocks
without gates the gate is ``""``.
"""


class Target(Protocol):
    """Model -> artifact, and back again as a ledger."""

    @property
    def name(self) -> str:
        """What ``--to`` takes."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File suffixes, the default first."""
        ...

    def write(
        self,
        model: Model,
        path: Path,
        options: TargetOptions,
        metadata: Mapping[str, str],
    ) -> Artifact:
        """Write exactly the file `path` (the caller handles temporary names and renaming).

        The same model and options give the same bytes. Errors: CannotExpress.
        """
        ...

    def read(self, path: Path) -> Artifact | None:
        """Describe an artifact from its file alone; None when it is not this target's.

        Errors: SourceUnreadable when it claims to be one and is broken.
        """
        ...

    def ledger(self, artifact: Artifact, model: Model) -> Ledger:
        """The weights as the file holds them, for comparison bit for bit."""
        ...

    def annotate(self, artifact: Artifact, metadata: Mapping[str, str]) -> Artifact:
        """Add `metadata` to the file, leaving every weight and node as it was verified."""
        ...

    def usage(self, artifact: Artifact) -> str:
        """Lines of code that run the artifact without lstmbridge; "" where there are none."""
        ...


# --- runtimes --------------------------------------------------------------------------------


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

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Runtime(Protocol):
    """Runs artifacts (or the model itself, for the source's own ops and the oracle)."""

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


# --- verify ----------------------------------------------------------------------------------


class Outcome(str, Enum):
    """The three verdicts."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """One output of one runtime against the oracle, over all probes: the worst place.

    `ratio` is max |difference| / allowed at the worst place; at most 1 passes.
    """

    max_abs: float
    allowed: float
    ratio: float
    worst_index: tuple[int, ...]
    probe: str
    comparisons: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """What one runtime did. `status`: pass, fail, unavailable, error."""

    name: str
    version: str
    device: str
    status: str
    reason: str = ""
    precision: str = ""
    subject: str = ""
    outputs: Mapping[str, OutputComparison] = field(default_factory=dict)
    diagnosis: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What the probes could have caught."""

    planted: int
    caught: int
    indistinguishable: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    weakest: tuple[str, float] | None = None
    caught_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Weights read back from the artifact, compared with the source's blocks bit for bit."""

    compared: int
    different: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer of a verification."""

    outcome: Outcome
    reasons: tuple[str, ...]
    comparisons: int
    runtimes: tuple[RuntimeResult, ...]
    noise_floor: Mapping[str, float]
    faults: FaultReport
    ledger: LedgerReport | None
    facts: Mapping[str, Fact[Any]]
    not_run: tuple[str, ...]
    seconds: float
    seed: int

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive or a required runtime unavailable."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}[self.outcome]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        path: where the artifact lies now; None when the verdict did not allow it to stay.
        sha256: of the artifact; None likewise.
        verdict: None with ``--no-verify``.
        usage: lines of code that load the artifact without lstmbridge, where that is possible.
    """

    path: Path | None
    sha256: str | None
    artifact: Artifact
    part: Part
    verdict: Verdict | None
    warnings: tuple[str, ...]
    seconds: float
    usage: str = ""

    @property
    def exit_code(self) -> int:
        """That of the verdict; 0 when none was asked for."""
        return 0 if self.verdict is None else self.verdict.exit_code


Progress = Callable[[str, int, int], None]
"""Called with (what, done, of how many)."""

__all__ = [
    "Adapter",
    "Artifact",
    "Conversion",
    "Expression",
    "FaultReport",
    "Feeds",
    "Hints",
    "Ignored",
    "Inspection",
    "Ledger",
    "LedgerReport",
    "NoMatch",
    "Outcome",
    "OutputComparison",
    "Outputs",
    "Part",
    "Progress",
    "Recognition",
    "Runtime",
    "RuntimeInfo",
    "RuntimeResult",
    "Session",
    "Signature",
    "Source",
    "States",
    "Target",
    "TargetOptions",
    "TensorRef",
    "TensorSpec",
    "Verdict",
]
