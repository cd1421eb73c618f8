"""What targets are given and what they give: artifacts and their ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from lstmbridge.contracts.verdicts import LedgerReport
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import Signature, States


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
    """How a target says one layer: ``native``, ``rewritten`` or ``stepped``, and why.

    Of a whole model also its own loops that are no recognised stack: ``scan`` or ``loop``.
    """

    layer: str
    how: str
    detail: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a target wrote, read back from disk.

    Attributes:
        precision: what the arithmetic is done in: a row of verify's table of roundings.
        metadata: everything stored beside the weights (facts, origin, gate order).
        expressions: how each layer was said, and each loop of a whole model that stayed one.
        beside: names of further files, in the same folder, that are part of it (an ONNX file's
            external data): a digest of the artifact covers `path`, then these, in this order.
        sha256: of the file `path`, where it was hashed as it was written; None where the file
            must be read for it.
    """

    path: Path
    target: str
    signature: Signature
    precision: str
    expressions: tuple[Expression, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    sha256: str | None = field(default=None, compare=False)


Ledger = Mapping[tuple[str, str, str], Array]
"""(layer, block, gate) -> numbers, as the artifact holds them, in the model's orientation.

`block` is a field of the layer's cell (``kernel`` (input, units), ``recurrent`` (output, units),
``bias`` (units,), ``projection`` (units, output), ...), or ``forget_bias`` (units,), or one that
was made by exact algebra: `model.folding.derived_blocks`. Blocks without gates have the gate
``""``. A dense layer or highway is a layer by its attachment's name, its fields are blocks.
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


@runtime_checkable
class WholeTarget(Protocol):
    """A target that can say a whole model, op by op, its stacks by native operators."""

    def write_whole(
        self,
        whole: Whole,
        path: Path,
        options: TargetOptions,
        metadata: Mapping[str, str],
    ) -> Artifact:
        """As `Target.write`, for a graph. Errors: CannotExpress, naming the operation."""
        ...

    def account_for(self, artifact: Artifact, whole: Whole) -> LedgerReport:
        """Every weight of `whole` that the file holds, compared bit for bit."""
        ...
