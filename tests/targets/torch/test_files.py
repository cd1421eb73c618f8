"""Files that are broken, foreign or hostile: one of our errors, and no code is run."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstmbridge.torch
from lstmbridge.contracts import TargetOptions
from lstmbridge.errors import LstmBridgeError, NotRecognised, SourceUnreadable
from lstmbridge.gates import InMemory
from lstmbridge.targets.torch import TorchTarget
from lstmbridge.targets.torch.files import Content, load, save

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
TARGET = TorchTarget()
SUFFIXES = (".pt", ".safetensors")


@pytest.fixture(params=SUFFIXES)
def good(request: pytest.FixtureRequest, lab: Any) -> Path:
    path = lab.folder / f"good{request.param}"
    TARGET.write(lab.model("one node of each sort"), path, TargetOptions(), {})
    return path


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="No such file"):
        lstmbridge.torch.load(tmp_path / "none.pt")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(tmp_path)


def test_a_truncated_file_is_unreadable_wherever_it_ends(good: Path) -> None:
    whole = good.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 23)):
        good.write_bytes(whole[:size])
        with pytest.raises(SourceUnreadable):
            lstmbridge.torch.load(good)
        with pytest.raises(SourceUnreadable):
            TARGET.read(good)


def test_random_bytes_under_our_suffix_are_unreadable(good: Path) -> None:
    rng = np.random.default_rng(0)
    head = {".pt": b"PK\x03\x04", ".safetensors": (60).to_bytes(8, "little") + b"{"}
    for start in (b"", head[good.suffix]):
        good.write_bytes(start + rng.bytes(5000))
        with pytest.raises(SourceUnreadable):
            lstmbridge.torch.load(good)


def test_flipped_bytes_give_a_module_or_one_of_our_errors(good: Path) -> None:
    whole = good.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), size=int(rng.integers(1, 4))):
            broken[at] ^= int(rng.integers(1, 256))
        good.write_bytes(bytes(broken))
        with contextlib.suppress(LstmBridgeError):
            assert isinstance(lstmbridge.torch.load(good), torch.nn.Module)


@pytest.mark.parametrize("name", ["other.onnx", "weights.bin", "model.keras"])
def test_a_file_of_another_kind_is_none_of_ours(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".keras"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
    else:
        path.write_bytes(b"\x08\x09" + bytes(100))
    assert TARGET.read(path) is None
    with pytest.raises(NotRecognised):
        lstmbridge.torch.load(path)


def test_a_state_dict_that_we_did_not_write_is_none_of_ours(tmp_path: Path) -> None:
    torch.save(torch.nn.LSTM(2, 3).state_dict(), tmp_path / "a.pt")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "b.pt")
    torch.save([1, 2], tmp_path / "c.pt")
    for name in ("a.pt", "b.pt", "c.pt"):
        assert TARGET.read(tmp_path / name) is None
        with pytest.raises(NotRecognised, match="not written by lstmbridge"):
            lstmbridge.torch.load(tmp_path / name)


def test_safetensors_that_we_did_not_write_are_none_of_ours(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    assert TARGET.read(tmp_path / "a.safetensors") is None
    with pytest.raises(NotRecognised):
        lstmbridge.torch.load(tmp_path / "a.safetensors")


class Exploit:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.where,)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    zipped, bare = tmp_path / "zipped.pt", tmp_path / "bare.pt"
    torch.save({"a": Exploit(str(mark))}, zipped)
    bare.write_bytes(pickle.dumps(Exploit(str(mark))))
    for path in (zipped, bare):
        with pytest.raises(SourceUnreadable):
            lstmbridge.torch.load(path)
        with pytest.raises(SourceUnreadable):
            TARGET.read(path)
    assert not mark.exists()


def test_a_packed_zip_that_swells_is_refused(good: Path) -> None:
    if good.suffix != ".pt":
        good = good.rename(good.with_suffix(".pt"))
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(SourceUnreadable, match="more bytes than the file has"):
        lstmbridge.torch.load(good)


def test_a_tensor_that_claims_more_than_its_storage_is_refused(good: Path) -> None:
    content = load(good)
    assert content is not None
    path = good.with_suffix(".pt")
    save(path, content)
    state = torch.load(path)
    metadata = state._metadata
    state["layers.0.kernel"] = torch.zeros(1).expand(2**40)
    state._metadata = metadata
    torch.save(state, path)
    with pytest.raises(SourceUnreadable, match="no plain tensor"):
        lstmbridge.torch.load(path)


def tampered(good: Path, change: Any) -> Path:
    content = load(good)
    assert content is not None
    architecture = json.loads(content.strings["lstmbridge.torch"])
    tensors = {name: np.array(w.load()) for name, w in content.tensors.items()}
    change(architecture, tensors)
    stored = {name: InMemory(name, a) for name, a in tensors.items()}
    save(good, Content(stored, {"lstmbridge.torch": json.dumps(architecture)}))
    return good


def _set(*path: Any, value: Any) -> Any:
    def change(architecture: Any, _tensors: Any) -> None:
        for step in path[:-1]:
            architecture = architecture[step]
        architecture[path[-1]] = value

    return change


def _nest(architecture: Any, _tensors: Any) -> None:
    for _ in range(70):
        architecture["root"] = {"node": "Series", "residuals": 0, "nodes": [architecture["root"]]}


FIRST = ("root", "nodes", 0)
CELL = (*FIRST, "cell")
KERNEL = ("blocks", "kernel", "shape")
SECOND = ("root", "nodes", 1)
THIRD = ("root", "nodes", 2)
FOURTH = ("root", "nodes", 3)


def _cell(architecture: Any) -> Any:
    return architecture["root"]["nodes"][0]["cell"]


CHANGES = {
    "no version": lambda a, _t: a.pop("version"),
    "another version": _set("version", value=1),
    "no root": lambda a, _t: a.pop("root"),
    "an unknown node": _set(*FIRST, "node", value="Conv"),
    "an unknown kind": _set(*CELL, "kind", value="Transformer"),
    "another kind": _set(*CELL, "kind", value="NAS"),
    "a kind with other constants": _set(*CELL, "kind", value="IndyLSTM"),
    "no nodes": _set("root", "nodes", value=[]),
    "too deep": _nest,
    "an unknown dtype": _set("dtype", value="int64"),
    "another dtype": _set("dtype", value="float32"),
    "an unknown activation": _set(*CELL, "constants", "activation", value="__class__"),
    "a constant too many": _set(*CELL, "constants", "shape", value=1.0),
    "a constant for a block": _set(*CELL, "constants", "kernel", value=1.0),
    "a missing constant": lambda a, _t: _cell(a)["constants"].pop("forget_bias"),
    "a size that is no number": _set(*CELL, *KERNEL, 1, value="4"),
    "a size of true": _set(*CELL, *KERNEL, 0, value=True),
    "a huge size": _set(*CELL, *KERNEL, 0, value=2**40),
    "a large size": _set(*CELL, *KERNEL, 0, value=2**20),
    "a size of 0": _set(*CELL, *KERNEL, 0, value=0),
    "a negative size": _set(*CELL, *KERNEL, 0, value=-1),
    "a shape of one axis": _set(*CELL, *KERNEL, value=[4]),
    "a shape of three axes": _set(*CELL, *KERNEL, value=[3, 4, 4]),
    "a gate too few": _set(*CELL, "blocks", "kernel", "gates", value=["i", "f", "c"]),
    "an unknown gate": _set(*CELL, "blocks", "bias", "gates", value=["i", "f", "c", "o", "r"]),
    "gates in disorder": _set(*CELL, "blocks", "bias", "gates", value=["f", "i", "c", "o"]),
    "a block without gates": _set(*CELL, "blocks", "bias", "gates", value=[]),
    "no kernel": lambda a, _t: _cell(a)["blocks"].pop("kernel"),
    "a block too many": lambda a, _t: _cell(a)["blocks"].update(b=_cell(a)["blocks"]["bias"]),
    "a clip that is not finite": _set(*CELL, "constants", "cell_clip", value=float("nan")),
    "countless layers": _set(*SECOND, "num_layers", value=10**9),
    "more layers than names": _set(*SECOND, "num_layers", value=2),
    "a projection as wide as the units": _set(*SECOND, "proj_size", value=4),
    "a projection of a GRU": _set(*THIRD, "proj_size", value=2),
    "another mode": _set(*THIRD, "mode", value="RNN_TANH"),
    "an unknown mode": _set(*THIRD, "mode", value="__init__"),
    "a highway that is not coupled": _set(*FOURTH, "coupled", value=False),
    "a highway without an inner node": lambda a, _t: a["root"]["nodes"][3].pop("inner"),
    "a dense layer without its bias": _set(*FOURTH, "inner", "bias", value=False),
    "a dense layer of another size": _set(*FOURTH, "inner", "input_size", value=5),
    "a dense layer's unknown activation": _set(*FOURTH, "inner", "activation", value="gelu"),
    "a name that is no text": _set(*FIRST, "name", value=[1]),
    "an expression without detail": lambda a, _t: a["expressions"][0].pop("detail"),
    "a missing tensor": lambda _a, t: t.pop("layers.0.bias"),
    "no tensor at all": lambda _a, t: t.clear(),
    "a tensor too many": lambda _a, t: t.update(extra=np.zeros(3)),
    "a tensor of another shape": lambda _a, t: t.update({"layers.0.bias": np.zeros(15)}),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_an_architecture_that_does_not_fit_is_refused(good: Path, name: str) -> None:
    path = tampered(good, CHANGES[name])
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(path)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"lstmbridge.torch": 3}', "{}"])
def test_metadata_that_are_no_table_of_strings_are_refused(tmp_path: Path, text: str) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    numpy.save_file({"a": np.zeros(3)}, path, metadata={"lstmbridge": text})
    with pytest.raises(SourceUnreadable):
        TARGET.read(path)
