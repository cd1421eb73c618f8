"""Tensors and strings in one file: ``.pt`` (`torch.save`) or ``.safetensors``. No layers in here.

All strings travel as one JSON text: in safetensors' ``__metadata__`` (one key, because the order
of several is not fixed), and in a ``.pt`` as an entry of the state dict's own ``_metadata`` for
the root module, which `torch.save` keeps, ``weights_only`` admits and `load_state_dict` ignores.
Both files load as plain state dicts, without lstmbridge.
"""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from lstmbridge.errors import RuntimeUnavailable, SourceUnreadable, UsageError
from lstmbridge.gates import Array, InMemory, Weights

if TYPE_CHECKING:
    import torch

KEY = "lstmbridge"
SUFFIXES = (".pt", ".safetensors")
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file holds: tensors by key, whose numbers may still lie in the file, and strings."""

    tensors: Mapping[str, Weights]
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


def import_torch(purpose: str, least: str = "2.2") -> Any:
    """The module `torch`, of release `least` or later.

    Raises:
        RuntimeUnavailable: PyTorch is not installed, does not import, or is too old.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise RuntimeUnavailable(
            f"PyTorch cannot be imported: {error}",
            expected=f"PyTorch {least} or later, {purpose}",
            advice="pip install 'lstmbridge[torch]', or choose a name that ends in .safetensors",
        ) from error
    version = str(torch.__version__)
    if _release(version) < _release(least):
        raise RuntimeUnavailable(
            f"PyTorch {version} is too old",
            expected=f"PyTorch {least} or later, {purpose}",
            advice="pip install --upgrade torch, or convert --to torch",
        )
    return torch


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


# --- writing ---------------------------------------------------------------------------------


def save(path: Path, content: Content) -> None:
    """Write exactly `path`, or nothing. The same content gives the same bytes.

    Tensors are loaded one after another, so that safetensors of any size need little memory.

    Raises:
        UsageError: its suffix is unknown. RuntimeUnavailable: ``.pt`` without PyTorch.
        OSError: as the system says.
    """
    write = {".pt": _save_pt, ".safetensors": _save_safetensors}[suffix_of(path)]
    strings = json.dumps(dict(content.strings), sort_keys=True)
    # a new file, never the old one's bytes: somebody may have those mapped
    path.unlink(missing_ok=True)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(path.unlink, missing_ok=True)
        write(path, content.tensors, strings)
        on_failure.pop_all()


def replace(path: Path, content: Content) -> None:
    """`save`, where `content` may still be read from the file that is replaced."""
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    save(aside, content)
    aside.replace(path)


def _save_safetensors(path: Path, tensors: Mapping[str, Weights], strings: str) -> None:
    """The published format: length of the header, header, tensors without gaps."""
    names = {dtype: name for name, dtype in _DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {KEY: strings}}
    end = 0
    for key, weights in tensors.items():
        start, end = end, end + math.prod(weights.shape) * weights.dtype.itemsize
        header[key] = {
            "dtype": names[weights.dtype],
            "shape": list(weights.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for weights in tensors.values():
            array = weights.load()
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            file.write(np.ascontiguousarray(little).view(np.uint8).data)


def _save_pt(path: Path, tensors: Mapping[str, Weights], strings: str) -> None:
    torch = import_torch("to write a .pt file")
    made: dict[int, Any] = {}  # layers that share a cell share its storage in the file too
    state: OrderedDict[str, Any] = OrderedDict()
    for key, weights in tensors.items():
        if id(weights) not in made:
            made[id(weights)] = tensor_of(weights.load())
        state[key] = made[id(weights)]
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


def _load_safetensors(path: Path) -> tuple[dict[str, Weights], str] | None:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:  # it checks every offset
            strings = (file.metadata() or {}).get(KEY)
        if strings is None:
            return None
        return _mapped(path), strings
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        if path.suffix in SUFFIXES:
            raise _broken(path, str(error)) from error
        return None


def _mapped(path: Path) -> dict[str, Weights]:
    """The tensors of a safetensors file that has been checked, as views of the mapped file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    if len(header) == 1:
        return {}
    data = np.memmap(path, np.uint8, "r", offset=8 + size)
    tensors: dict[str, Weights] = {}
    for key, entry in header.items():
        if key != "__metadata__":
            start, end = entry["data_offsets"]
            piece = np.asarray(data[start:end]).view(_DTYPES[entry["dtype"]])
            tensors[key] = InMemory(key, piece.reshape(entry["shape"]))
    return tensors


def _load_pt(path: Path) -> tuple[dict[str, Weights], str] | None:
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
        return _shared(state), root[KEY]
    except (AttributeError, TypeError, RuntimeError) as error:
        raise _broken(path, str(error)) from error


def _shared(state: Mapping[str, torch.Tensor]) -> dict[str, Weights]:
    """Tensors on one storage become one object, so that `save` keeps them together."""
    made: dict[tuple[int, tuple[int, ...], Any], Weights] = {}
    tensors: dict[str, Weights] = {}
    for key, tensor in state.items():
        memory = (tensor.data_ptr(), tuple(tensor.shape), tensor.dtype)
        if memory not in made:
            made[memory] = InMemory(key, array_of(tensor))
        tensors[key] = made[memory]
    return tensors


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
