"""What an artifact's file holds, told from the file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from lstmbridge.contracts.targets import Artifact
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, slots=True)
class HeldLayer:
    """A recurrent layer of an artifact.

    Attributes:
        name: of its node, or its place and layer among the modules.
        cell: ``"LSTM"``, ``"GRU"``, ... as `model.cells` calls them.
        said_by: what runs it: ``"torch.nn.LSTM"``, ``"ONNX GRU"``, ``"its equations"``.
        direction: ``"forward"``, ``"backward"`` or ``"both"``.
        input_size: features of what it reads; None where the file does not show it.
        units: likewise.
        output_size: of one direction.
        facts: what else the file says: activations, clips, whether it reads lengths, ...
    """

    name: str
    cell: str
    said_by: str
    direction: str
    input_size: int | None
    units: int | None
    output_size: int | None
    facts: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Layers, other operations by type and how often, and how much is stored.

    Attributes:
        operations: those of loops' and conds' bodies too; none of `layers` among them.
        tensors: how many are stored.
        numbers: in all of them.
    """

    layers: tuple[HeldLayer, ...]
    operations: Mapping[str, int]
    tensors: int
    numbers: int


@runtime_checkable
class Describing(Protocol):
    """A target that can say what a file of its kind holds."""

    def holdings(self, artifact: Artifact) -> Holdings:
        """Told from the file alone; no weights are computed with. Errors: SourceUnreadable."""
        ...


@dataclass(frozen=True, slots=True)
class ArtifactInspection:
    """What `inspect` answers for an artifact.

    Attributes:
        size: of its files, in bytes.
        sha256: of the file; None where it is too large to be read for an inspection.
        holdings: None where its target cannot tell.
        facts: as the file records them.
        ours: whether lstmbridge wrote it.
        verdict: what the file records of its verification; "" where it records nothing.
    """

    artifact: Artifact
    size: int
    sha256: str | None
    holdings: Holdings | None
    facts: Mapping[str, Fact[object]]
    ours: bool
    verdict: str
