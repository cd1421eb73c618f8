"""Tensors and strings in one file: ``.pt`` (`torch.save`) or ``.safetensors``. No layers in here.

All strings travel as one JSON text: in safetensors' ``__metadata__`` (one key, because the order
of several is not fixed), and in a ``.pt`` as an entry of the state dict's own ``_metadata`` for
the root module, which `torch.save` keeps, ``weights_only`` admits and `load_state_dict` ignores.
Both files load as plain state dicts, without lstmbridge.
"""

from __future__ import annotations

import json
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from lstmbridge.errors import RuntimeUnavailable, SourceUnreadable, UsageError
from lstmbridge.gates import Array

if TYPE_CHECKING:
    import torch

KEY = "lstmbridge"
SUFFIXES = (".pt", ".safetensors")
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file holds: arrays by key (their numbers, not views of the file), and strings."""

    tensors: Mapping[str, Array]
    strings: Mapping[str, str]


def suffix_of(path: Path) -> str:
    """The format that a name asks for.

    Raises:
        UsageError: its suffix is neither.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path.name} ends in {path.suffix or 'nothing'}",
            expected=f"a name that ends in {' or '.join(SUFFIXES)}",
            where=str(path),
            advice=f"call it {path.with_suffix(SUFFIXES[0]).name}",
        )
    return path.suffix


def format_of(path: Path) -> str | None:
    """``".pt"``, ``".safetensors"`` or None, judged by the first bytes, not by the name.

    Raises:
        SourceUnreadable: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise SourceUnreadable(
            f"the file cannot be opened: {error.strerror}",
            expected="a file that lstmbridge wrote",
            where=str(path),
            advice="check the name",
        ) from error
    if head.startswith(b"PK\x03\x04"):
        return ".pt"
    size = path.stat().st_size
    if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < size:
        return ".safetensors"
    return None


def import_torch(purpose: str) -> Any:
    """The module `torch`.

    Raises:
        RuntimeUnavailable: PyTorch is not installed, or does not import.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise RuntimeUnavailable(
            f"PyTorch cannot be imported: {error}",
            expected=f"PyTorch 2.2 or later, {purpose}",
            advice="pip install 'lstmbridge[torch]', or choose a name that ends in .safetensors",
        ) from error
    return torch


# --- writing ---------------------------------------------------------------------------------


def save(path: Path, content: Content) -> None:
    """Write exactly `path`. The same content gives the same bytes.

    Raises:
        UsageError: its suffix is unknown. RuntimeUnavailable: ``.pt`` without PyTorch.
        OSError: as the system says.
    """
    strings = json.dumps(dict(content.strings), sort_keys=True)
    if suffix_of(path) == ".safetensors":
        _save_safetensors(path, content.tensors, strings)
    else:
        _save_pt(path, content.tensors, strings)


def _save_safetensors(path: Path, tensors: Mapping[str, Array], strings: str) -> None:
    import safetensors
    import safetensors.numpy

    # safetensors reads the memory as it lies: an array with strides would come out as others
    dense = {key: np.ascontiguousarray(array) for key, array in tensors.items()}
    try:
        safetensors.numpy.save_file(dense, path, metadata={KEY: strings})
    except safetensors.SafetensorError as error:
        raise OSError(f"{path}: {error}") from error


def _save_pt(path: Path, tensors: Mapping[str, Array], strings: str) -> None:
    torch = import_torch("to write a .pt file")
    made: dict[Any, Any] = {}  # layers that share a cell share its storage in the file too
    state: OrderedDict[str, Any] = OrderedDict()
    for key, array in tensors.items():
        memory = (array.ctypes.data, array.shape, array.strides, array.dtype)
        if memory not in made:
            made[memory] = tensor_of(array)
        state[key] = made[memory]
    state._metadata = OrderedDict({"": {"version": 1, KEY: strings}})  # type: ignore[attr-defined]  # noqa: SLF001
    with path.open("wb") as file:  # an open file: a name would become part of the bytes
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's zip writer hides the system's own error
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise OSError(f"{path}: {error}") from error


def tensor_of(array: Array) -> torch.Tensor:
    """A tensor with its own copy of the numbers; bfloat16 by its bits, which NumPy lacks."""
    import torch

    if array.dtype == np.dtype(ml_dtypes.bfloat16):
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array, order="C"))


def array_of(tensor: torch.Tensor) -> Array:
    """The tensor's numbers as an array; bfloat16 as `ml_dtypes.bfloat16`."""
    import torch

    here = tensor.detach().cpu().contiguous()
    if here.dtype == torch.bfloat16:
        bits: Array = here.view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    numbers: Array = here.numpy()
    return numbers


# --- reading ---------------------------------------------------------------------------------


def load(path: Path) -> Content | None:
    """The content of a file that lstmbridge wrote; None for any other file.

    No code of the file is run: pickles are read with PyTorch's weights-only loader.

    Raises:
        SourceUnreadable: it has the form of such a file and is broken.
        RuntimeUnavailable: a ``.pt`` without PyTorch.
    """
    kind = format_of(path)
    if kind is None:
        if path.suffix in SUFFIXES:
            raise _broken(path, f"its first bytes are not those of a {path.suffix} file")
        return None
    found = _load_pt(path) if kind == ".pt" else _load_safetensors(path)
    if found is None:
        return None
    tensors, text = found
    try:
        strings = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise _broken(path, f"its metadata does not parse: {error}") from error
    if not isinstance(strings, dict) or not all(isinstance(v, str) for v in strings.values()):
        raise _broken(path, "its metadata is no table of strings")
    return Content(tensors, strings)


def _load_safetensors(path: Path) -> tuple[dict[str, Array], str] | None:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            strings = (file.metadata() or {}).get(KEY)
        if strings is None:
            return None
        raw = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        tensors = {
            key: np.frombuffer(view["data"], _DTYPES[view["dtype"]]).reshape(view["shape"])
            for key, view in raw
        }
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        if path.suffix in SUFFIXES:
            raise _broken(path, str(error)) from error
        return None
    return tensors, strings


def _load_pt(path: Path) -> tuple[dict[str, Array], str] | None:
    if not _is_torch_zip(path):
        return None
    torch = import_torch("to read a .pt file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever hostile bytes make the unpickler raise
        raise _broken(path, str(error).splitlines()[0] if str(error) else repr(error)) from error
    metadata = getattr(state, "_metadata", None)
    root = metadata.get("") if isinstance(metadata, dict) else None
    if not isinstance(root, dict) or KEY not in root:
        return None
    try:
        for key, tensor in state.items():
            # a few bytes with strides of 0 could claim any shape
            if not (
                isinstance(key, str)
                and isinstance(tensor, torch.Tensor)
                and tensor.is_contiguous()
            ):
                raise _broken(path, f"its entry {key!r} is no plain tensor")
        return {key: array_of(tensor) for key, tensor in state.items()}, root[KEY]
    except (AttributeError, TypeError, RuntimeError) as error:
        raise _broken(path, str(error)) from error


def _is_torch_zip(path: Path) -> bool:
    """Is it `torch.save`'s zip, with stored (not packed) members that fit into the file?"""
    ours_by_name = path.suffix in SUFFIXES
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if ours_by_name:
            raise _broken(path, str(error)) from error
        return False
    if not any(m.filename.endswith("/data.pkl") for m in members):
        if ours_by_name:
            raise _broken(path, "it is a zip file, but not one of torch.save")
        return False
    if sum(m.file_size for m in members) > path.stat().st_size:
        raise _broken(path, "its members claim more bytes than the file has")
    return True


def _broken(path: Path, reason: str) -> SourceUnreadable:
    return SourceUnreadable(
        f"the file does not read: {reason}",
        expected=f"a {' or '.join(SUFFIXES)} file that lstmbridge wrote",
        where=str(path),
        advice="fetch or convert it again",
    )
