"""What sources hand to adapters: named lazy tensors, and the graph beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lstmbridge.gates import Weights
from lstmbridge.graph.graphdef import Graph


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


@dataclass(frozen=True, slots=True)
class SourceSignature:
    """What a source declares of a whole model's inputs and outputs.

    Attributes:
        name: ``"serving_default"``, or what the source calls it.
        inputs: key -> tensor of the graph, ``"frames:0"``.
        outputs: the same.
    """

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


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

    @property
    def declares_model(self) -> bool:
        """Whether it declares a whole model (a SavedModel, a frozen graph), not weights."""
        ...

    @property
    def signature(self) -> SourceSignature | None:
        """The inputs and outputs of a whole model, where the file declares them."""
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
