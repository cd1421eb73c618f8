"""Keras files as a `Source`: HDF5 of every Keras, with or without a config, and ``.keras``.

An HDF5 file of Keras 1 and 2 has one group for each layer and lists its weights in order; that
of Keras 3 (``.weights.h5``) has a tree of objects. A whole model has its config in it; weights
alone may have one in a JSON file beside them (``model.to_json()``).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lstmbridge.contracts import Described, SourceSignature, TensorRef
from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.graphdef import Graph
from lstmbridge.sources.files import MappedFile, read_start, sha256_of
from lstmbridge.sources.hdf5 import MAGIC, Container, names_in, tensor_of, text, walk

WHOLE = "Keras HDF5 file, model and weights"
WEIGHTS = "Keras HDF5 file, weights only"
BESIDE = "Keras HDF5 file, weights only, with a model in a JSON file beside it"
ARCHIVE = "Keras file (.keras)"
LARGEST_CONFIG = 64 << 20
LARGEST_BESIDE = 4 << 20
MOST_BESIDE = 64
_ZIP = b"PK\x03\x04"
_OF_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)


class KerasSource:
    """A Keras file; see `lstmbridge.contracts.Source` and `DescribedSource`."""

    def __init__(
        self,
        files: Sequence[Path],
        kind: str,
        tensors: Mapping[str, TensorRef],
        described: Described,
        mapped: MappedFile,
    ) -> None:
        self._files = tuple(files)
        self._format = kind
        self._tensors = MappingProxyType(dict(tensors))
        self._described = described
        self._mapped = mapped

    @property
    def path(self) -> Path:
        """The file."""
        return self._files[0]

    @property
    def format(self) -> str:
        """`WHOLE`, `WEIGHTS`, `BESIDE` or `ARCHIVE`."""
        return self._format

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and the JSON file beside it that was taken for its model."""
        return self._files

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The layers' weights, by their places in the file; no optimizer's."""
        return self._tensors

    @property
    def described(self) -> Described:
        """The layers."""
        return self._described

    def graph(self) -> Graph | None:
        """None: a Keras file has a config, not a graph."""
        return None

    @property
    def declares_model(self) -> bool:
        """Whether the model is there too, in the file or beside it, and not weights alone."""
        return self._described.config is not None

    @property
    def signature(self) -> SourceSignature | None:
        """None: there is no graph."""
        return None

    @property
    def producer(self) -> str | None:
        """``"Keras 2.2.4-tf"`` where the file says it."""
        return f"Keras {self._described.version}" if self._described.version else None

    def sha256(self) -> str:
        """Of all `files`, in order."""
        return sha256_of(self.files)

    def close(self) -> None:
        """Let go of the mapped file; arrays that were handed out stay valid."""
        self._mapped.release()


def open_keras(path: Path) -> KerasSource | None:
    """The Keras file at `path`; None where it is something else.

    Errors: SourceUnreadable where it is damaged, or an HDF5 file that no Keras wrote.
    """
    if not path.is_file():
        return None
    start = read_start(path, len(MAGIC))
    if start == MAGIC:
        return _hdf5(path)
    return _archive(path) if start.startswith(_ZIP) else None


def _hdf5(path: Path) -> KerasSource:
    mapped = MappedFile(path)
    container = Container(path, mapped.view, mapped.size)
    tensors, described = _contents(container)
    kind, files = WHOLE if described.config is not None else WEIGHTS, [path]
    if described.config is None and not described.tree:
        beside = _beside(path, described)
        if beside is not None:
            file, config = beside
            kind, files = BESIDE, [path, file]
            described = _with_config(described, config, file.name)
    return KerasSource(files, kind, tensors, described, mapped)


def _with_config(described: Described, config: Mapping[str, Any], where: str) -> Described:
    version = described.version or str(config.get("keras_version", ""))
    return Described(version, config, where, described.groups, described.tree, described.titles)


def _contents(container: Container) -> tuple[dict[str, TensorRef], Described]:
    with container.opened() as file:
        root = file.get("model_weights", file)
        layers = names_in(root.attrs, "layer_names")
        version = text(file.attrs.get("keras_version", root.attrs.get("keras_version", "")))
        if layers is not None:
            tensors, groups = _listed(container, root, layers)
            config = _json(container, file.attrs.get("model_config"))
            if not version and config is not None:
                version = str(config.get("keras_version", ""))
            return tensors, Described(version, config, "model_config", groups)
        return _tree(container, file, version)


def _listed(
    container: Container, root: Any, layers: Sequence[str]
) -> tuple[dict[str, TensorRef], dict[str, tuple[str, ...]]]:
    """Keras 1 and 2: a group for each layer, its weights listed in order."""
    import h5py

    tensors: dict[str, TensorRef] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        found: list[str] = []
        for weight in names_in(root[layer].attrs, "weight_names") or ():
            dataset, name = root[layer][weight], f"{layer}/{weight}"
            if not isinstance(dataset, h5py.Dataset):
                raise container.damaged(f"{layer} lists {weight}, which is no array")
            tensors[name] = tensor_of(container, dataset, name, root.file.filename)
            found.append(name)
        groups[layer] = tuple(found)
    return tensors, groups


def _tree(container: Container, file: Any, version: str) -> tuple[dict[str, TensorRef], Described]:
    """Keras 3: folders of objects, each with its variables in ``vars/0``, ``vars/1``, ..."""
    import h5py

    tensors: dict[str, TensorRef] = {}
    folders: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for place, child in walk(container, file):
        folder, _, last = place.rpartition("/")
        if folder.split("/", 1)[0] in {"optimizer", "metrics"}:
            continue
        if isinstance(child, h5py.Group) and last == "vars" and "name" in child.attrs:
            titles[folder] = text(child.attrs["name"])
        if isinstance(child, h5py.Dataset) and folder.rpartition("/")[2] == "vars":
            tensors[place] = tensor_of(container, child, place, file.filename)
            folders.setdefault(folder.removesuffix("vars").rstrip("/"), []).append(place)
    if not tensors:
        raise SourceUnreadable(
            f"{container.path.name} is an HDF5 file without the weights of a Keras model",
            expected="groups that layer_names lists (Keras 1 and 2), or vars (Keras 3)",
            where=str(container.path),
            advice="name a file that model.save or model.save_weights wrote",
        )
    groups = {
        folder: tuple(sorted(names, key=lambda n: (len(n), n)))
        for folder, names in folders.items()
    }
    return tensors, Described(version, None, "", groups, tree=True, titles=titles)


def _json(container: Container, stored: Any) -> Mapping[str, Any] | None:
    if stored is None:
        return None
    try:
        config = json.loads(text(stored))
    except (ValueError, RecursionError) as err:
        raise container.damaged(f"its model_config is no JSON: {err}") from err
    return config if isinstance(config, dict) else None


def _beside(path: Path, described: Described) -> tuple[Path, Mapping[str, Any]] | None:
    """The one JSON file beside weights whose model has just these layers."""
    weighted = {layer for layer, names in described.groups.items() if names}
    found = []
    candidates = sorted(path.parent.glob("*.json"))[:MOST_BESIDE]
    for file in sorted(candidates, key=lambda f: not path.name.startswith(f.stem)):
        config = _model_in(file)
        if config is not None and weighted <= set(layer_names(config)):
            found.append((file, config))
            if path.name.startswith(file.stem):
                break
    same = [pair for pair in found if path.name.startswith(pair[0].stem)] or found
    return same[0] if len(same) == 1 else None


def _model_in(file: Path) -> Mapping[str, Any] | None:
    try:
        if file.stat().st_size > LARGEST_BESIDE:
            return None
        config = json.loads(file.read_text("utf-8"))
        if isinstance(config, str):  # json.dump of what to_json had made
            config = json.loads(config)
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(config, dict) and isinstance(config.get("class_name"), str)
    return config if known and "config" in config else None


def layer_names(config: Mapping[str, Any]) -> list[str]:
    """The names of the layers of a model's config, those of the top alone."""
    inner = config.get("config")
    layers = inner.get("layers", ()) if isinstance(inner, dict) else inner
    found = []
    for layer in layers if isinstance(layers, list) else ():
        own = layer.get("config") if isinstance(layer, dict) else None
        name = own.get("name") if isinstance(own, dict) else None
        found.append(str(name or (layer.get("name", "") if isinstance(layer, dict) else "")))
    return found


def _archive(path: Path) -> KerasSource | None:
    """A ``.keras`` file; None where a zip archive is no such thing."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if not {"config.json", "model.weights.h5"} <= names:
                return None
            config = json.loads(_member(archive, "config.json", path, LARGEST_CONFIG))
            stated: Any = {}
            if "metadata.json" in names:
                stated = json.loads(_member(archive, "metadata.json", path, LARGEST_CONFIG))
            weights = _member(archive, "model.weights.h5", path, None)
    except (*_OF_ZIP, RecursionError, OSError) as err:
        raise SourceUnreadable(
            f"{path.name} is a Keras file (.keras) that cannot be used: {err}",
            where=str(path),
            advice="fetch it again",
        ) from err
    view = memoryview(weights)
    tensors, described = _contents(
        Container(path, lambda: view, len(weights), "a Keras file (.keras)")
    )
    version = str(stated.get("keras_version", "")) if isinstance(stated, dict) else ""
    described = Described(
        version or described.version,
        config if isinstance(config, dict) else None,
        "config.json",
        described.groups,
        described.tree,
        described.titles,
    )
    return KerasSource([path], ARCHIVE, tensors, described, MappedFile(path))


def _member(archive: zipfile.ZipFile, name: str, path: Path, limit: int | None) -> bytes:
    """A member's bytes, of which an archive cannot claim more than its size allows."""
    most = limit or 64 * path.stat().st_size
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is larger than it can be")
    return data
