"""A file -> the module that runs it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lstmbridge.errors import NotRecognised, SourceUnreadable
from lstmbridge.gates import Weights
from lstmbridge.targets.torch import archive
from lstmbridge.targets.torch.architecture import Architecture, root_owners
from lstmbridge.targets.torch.codec import from_json
from lstmbridge.targets.torch.files import Content, import_torch, load, tensor_of
from lstmbridge.targets.torch.harmless import refuse_harmful
from lstmbridge.targets.torch.whole.program import GRAPH, program_of

if TYPE_CHECKING:
    from torch import nn

    from lstmbridge.targets.torch.modules import BridgeModule

ARCHITECTURE = "lstmbridge.torch"
"""Under which name the architecture stands among a file's strings."""


def architecture_of(content: Content, path: Path) -> Architecture:
    """What the file says about its modules.

    Raises:
        SourceUnreadable: nothing, or nonsense.
    """
    if ARCHITECTURE not in content.strings:
        raise SourceUnreadable(
            "the file's metadata hold no architecture",
            expected=f"an entry {ARCHITECTURE}",
            where=str(path),
            advice="convert the checkpoint again",
        )
    architecture = from_json(content.strings[ARCHITECTURE], str(path))
    if sum(1 for _ in root_owners(architecture)) > len(content.tensors):
        raise SourceUnreadable(
            f"{len(content.tensors)} tensors cannot serve the architecture's modules",
            expected="the tensors of every module",
            where=str(path),
            advice="convert the checkpoint again",
        )
    return architecture


def load_module(path: Path) -> nn.Module:
    """The module that runs the artifact `path`, on the CPU, in evaluation mode.

    Raises:
        NotRecognised: a state dict or another file that lstmbridge did not write.
        SourceUnreadable: missing, broken, or its tensors do not fit its architecture.
        RuntimeUnavailable: PyTorch is not installed.
    """
    torch = import_torch("to run the artifact")
    content = load(path)
    if content is None:
        advice = "load a state dict of your own with torch.load and load_state_dict"
        raise _foreign(path, "a .pt or .safetensors file", advice)
    if GRAPH in content.strings:
        from lstmbridge.targets.torch.whole.module import module_of

        return module_of(program_of(content.strings[GRAPH], str(path)), content.tensors, path)
    architecture = architecture_of(content, path)
    from lstmbridge.targets.torch.modules import build

    try:
        with torch.device("meta"):  # nothing is allocated, and no random number is drawn
            module = build(architecture)
            module.rehearse()
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise SourceUnreadable(
            f"no module can be built from the file's architecture: {error!r}",
            expected="what lstmbridge writes",
            where=str(path),
            advice="convert the checkpoint again",
        ) from error
    wanted = {key: (tuple(p.shape), architecture.dtype) for key, p in module.state_dict().items()}
    have = {key: (tuple(a.shape), str(a.dtype)) for key, a in content.tensors.items()}
    if wanted != have:
        raise _unfit(wanted, have, path)
    return _fill(module, content.tensors)


def filled(architecture: Architecture, tensors: Mapping[str, Weights]) -> BridgeModule:
    """The module of `architecture` with `tensors` in it, on the CPU, in evaluation mode."""
    import torch

    from lstmbridge.targets.torch.modules import build

    with torch.device("meta"):
        module = build(architecture)
    return _fill(module, tensors)


def _fill(module: BridgeModule, tensors: Mapping[str, Weights]) -> BridgeModule:
    module = module.to_empty(device="cpu")
    module.load_state_dict({key: tensor_of(w.load()) for key, w in tensors.items()})
    return module.eval()


def load_program(path: Path) -> nn.Module:
    """The exported program in `path`, ready to be called.

    Raises:
        NotRecognised: lstmbridge did not write it.
        SourceUnreadable: missing, broken, or more than a network. RuntimeUnavailable: no
        PyTorch, or one that is too old.
    """
    torch = import_torch("to run the artifact", "2.9")
    if archive.read(path) is None:
        advice = "load a program that you trust with torch.export.load"
        raise _foreign(path, f"a {archive.SUFFIX} file", advice)
    refuse_harmful(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on buffers that PyTorch itself made
            program: nn.Module = torch.export.load(path).module()
    except Exception as error:  # whatever a damaged graph makes the reader raise
        raise archive.broken(path, " ".join(str(error).split())[:400]) from error
    return program


def _foreign(path: Path, expected: str, advice: str) -> NotRecognised:
    return NotRecognised(
        f"{path.name} was not written by lstmbridge",
        expected=f"{expected} with lstmbridge's metadata",
        where=str(path),
        advice=advice,
    )


def _unfit(
    wanted: dict[str, tuple[tuple[int, ...], str]],
    have: dict[str, tuple[tuple[int, ...], str]],
    path: Path,
) -> SourceUnreadable:
    key = min(k for k in wanted.keys() | have.keys() if wanted.get(k) != have.get(k))
    none = "no such tensor"
    return SourceUnreadable(
        f"tensor {key}: {have.get(key) or none}",
        expected=f"{wanted.get(key) or none}, as the file's architecture says",
        where=str(path),
        advice="fetch or convert it again",
    )
