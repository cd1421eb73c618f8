"""One side of a diagnosis: whatever the user has, as a network, or as something that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lstmbridge import api
from lstmbridge.contracts import Account, Artifact, Hints, Port, Understanding
from lstmbridge.errors import LstmBridgeError, NotRecognised, SourceUnreadable, UsageError
from lstmbridge.model.blocks import Model

_SUFFIXES = (".onnx", ".pt", ".pth", ".bin", ".safetensors", ".pt2")
"""What artifacts are called: such a file is never taken for a source."""


def is_artifact_file(path: Path) -> bool:
    """Whether it is called as artifacts are."""
    return path.is_file() and path.suffix in _SUFFIXES


@dataclass(frozen=True, eq=False)
class Side:
    """A or B.

    Attributes:
        path: as the user named it.
        model: its network; None where it could not be read.
        artifact: what a runtime can run; None: a source, or tensors without code.
        ports: what the artifact's inputs and outputs carry, where that was read.
        account: what was read of it.
    """

    path: Path
    model: Model | None
    artifact: Artifact | None
    ports: tuple[Port, ...]
    account: Account


def open_side(path: str | Path, hints: Hints | None = None) -> Side:
    """Open an artifact of any tool, or a source.

    Raises:
        UsageError: there is no such file. SourceUnreadable: it is broken.
        NotRecognised: nothing recurrent is in it. LstmBridgeError: as `api.load`.
    """
    path = Path(path)
    understood = _understood(path) if path.is_file() else None
    if understood is not None:
        artifact = _artifact(path)
        if understood.model is None and artifact is None:
            raise NotRecognised(
                f"no recurrent network was read from {path.name}: {'; '.join(understood.left)}",
                expected="LSTM, GRU or RNN nodes, or keys of torch.nn's modules",
                where=str(path),
                advice="record what it computes, and diagnose that: --expected data.npz",
            )
        return Side(path, understood.model, artifact, understood.ports, _account(path, understood))
    artifact = _artifact(path)
    if artifact is not None:
        account = Account(str(path), f"artifact for {artifact.target}", left=(_UNREAD,))
        return Side(path, None, artifact, (), account)
    if path.is_file() and path.suffix in _SUFFIXES:
        raise SourceUnreadable(
            f"{path.name} is no file that is understood, in spite of its name",
            expected="an ONNX file, or a state dict as torch.save or safetensors write it",
            where=str(path),
        )
    model = api.load(path, hints)
    return Side(path, model, None, (), Account(str(path), "source", _layers(model)))


_UNREAD = "its weights are not read: only what it computes is compared"


def _understood(path: Path) -> Understanding | None:
    from lstmbridge.targets.torch.understanding import understand as of_torch

    readers: tuple[Callable[[Path], Understanding | None], ...] = (_of_onnx, of_torch)
    for read in readers:
        found = read(path)
        if found is not None:
            return found
    return None


def _of_onnx(path: Path) -> Understanding | None:
    from lstmbridge.targets.onnx.understanding import understand

    # every file could be a protobuf message; those with another's first bytes are not asked
    with path.open("rb") as file:
        head = file.read(9)
    if path.suffix != ".onnx" and (head.startswith(b"PK") or head[8:] == b"{"):
        return None
    return understand(path)


def _artifact(path: Path) -> Artifact | None:
    if not path.is_file():
        return None
    try:
        return api.read_artifact(path)
    except UsageError:
        return None
    except LstmBridgeError:
        if path.suffix in _SUFFIXES:
            raise
        return None


def _account(path: Path, found: Understanding) -> Account:
    named: Mapping[str, str] = dict(found.layers)
    layers = () if found.model is None else _layers(found.model, named)
    return Account(str(path), found.kind, layers, found.accounted, found.left)


def _layers(model: Model, where: Mapping[str, str] | None = None) -> tuple[str, ...]:
    said = []
    for layer in model.layers:
        cell = layer.cell
        text = f"{layer.name}: {type(cell).KIND} {cell.input_size} -> {cell.output_size}"
        place = (where or {}).get(layer.name)
        said.append(f"{text}, {place}" if place else text)
    return tuple(said)
