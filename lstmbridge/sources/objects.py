"""Object-based checkpoints (`tf.train.Checkpoint`, Keras' `save_weights`) as lists of layers.

A key is the path of attributes by which an object is reached, with a suffix; what the variable
was called stands in the message `_CHECKPOINTABLE_OBJECT_GRAPH`. Layers of Keras keep a kernel, a
recurrent kernel and a bias in one place, which is all that is looked for here.

Source: TensorFlow's trackable_object_graph.proto (TrackableObjectGraph.nodes = 1,
TrackableObject.attributes = 2, SerializedTensor.full_name = 2, checkpoint_key = 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lstmbridge.contracts import Described, TensorRef
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.sources.checkpoint import CheckpointSource
from lstmbridge.sources.locate import Located
from lstmbridge.sources.wire import BYTES, fields

FORMAT = "TensorFlow object-based checkpoint"

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
SINCE = "2.4 or later"
"""The Keras that gives every cell a scope of its own: its defaults are one and the same."""

_ROLES = ("kernel", "recurrent_kernel", "bias")
_NUMBER = re.compile(r"(\d+)")
_CELL = re.compile(r".*_cell(_\d+)?")
_OWN_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_v1)?(_\d+)?")
"""What Keras itself calls a cell; any layer may be called ``my_cell``."""
_HALF = re.compile(r"(forward|backward)_.*")
_COPIES = re.compile(r"(?:^|/)(?:\.OPTIMIZER_SLOT|optimizer|_optimizer|keras_api)/")
_NODES, _ATTRIBUTES, _FULL_NAME, _KEY = 1, 2, 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """A tensor of the checkpoint under the path of its object, without the suffix."""

    name: str
    stored: TensorRef

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.stored.dtype

    @property
    def location(self) -> str:
        """File and offset."""
        return self.stored.location

    def load(self) -> Array:
        """The numbers. Errors: SourceUnreadable."""
        return self.stored.load()


def is_object_based(tensors: Mapping[str, TensorRef]) -> bool:
    """Whether a checkpoint's keys are paths of objects."""
    return any(name.endswith(SUFFIX) for name in tensors)


def attributes_of(tensors: Mapping[str, TensorRef], where: str) -> dict[str, TensorRef]:
    """The variables by their paths; where a path ends in numbers, by the variables' own names.

    Copies that optimizers keep are left out.

    Errors: SourceUnreadable: the message that names the variables is damaged.
    """
    full = names_of(tensors, where)
    found: dict[str, TensorRef] = {}
    numbered: dict[str, TensorRef] = {}
    for key, ref in tensors.items():
        path = key.removesuffix(SUFFIX)
        if path == key or ".OPTIMIZER_SLOT/" in key:
            continue
        name = full.get(key, "")
        if path.rpartition("/")[2].isdigit() and name:
            numbered.setdefault(name, ref)
        elif not _COPIES.search(path):
            found[path] = ref
    # Keras 3 lists a compiled model's variables under its optimizer alone
    known = {id(ref) for ref in found.values()}
    if not any(path.endswith("/recurrent_kernel") for path in found):
        fresh = {name: ref for name, ref in numbered.items() if id(ref) not in known}
        paths = _paths(list(fresh))
        found |= {paths[name]: ref for name, ref in fresh.items()}
    return {path: Attribute(path, ref) for path, ref in found.items()}


def _paths(names: Sequence[str]) -> dict[str, str]:
    """A variable's name -> the path that it would have: where its layer keeps its cells.

    ``both/backward_lstm/lstm_cell/kernel`` lies in ``both/backward_layer/cell/kernel``.
    """
    found: dict[str, str] = {}
    cells: dict[str, list[str]] = {}
    for name in names:
        parts = [_HALF.sub(r"\1_layer", part) for part in name.split("/")]
        if len(parts) > 3 and parts[-3].startswith("stacked_rnn_cells"):
            own = cells.setdefault("/".join(parts[:-2]), [])
            if parts[-2] not in own:
                own.append(parts[-2])
            parts[-3:-1] = ["cell", "cells", str(own.index(parts[-2]))]
        elif len(parts) > 1 and _CELL.fullmatch(parts[-2]):
            parts[-2] = "cell"
        found[name] = "/".join(parts)
    return found


def described_by(
    attributes: Mapping[str, TensorRef], tensors: Mapping[str, TensorRef], where: str
) -> Described:
    """The folders of variables, Keras' kernels in their order; or layers where cells have none.

    Errors: SourceUnreadable, as `attributes_of`.
    """
    folders: dict[str, dict[str, str]] = {}
    for path in attributes:
        folder, _, role = path.rpartition("/")
        folders.setdefault(folder, {})[role] = path
    recurrent = {f: roles for f, roles in folders.items() if "recurrent_kernel" in roles}
    ordered = {
        folder: tuple(sorted(roles.values(), key=_in_order))
        for folder, roles in sorted(folders.items(), key=lambda item: _natural(item[0]))
    }
    named = {key.removesuffix(SUFFIX): name for key, name in names_of(tensors, where).items()}
    kernels = [roles["recurrent_kernel"] for roles in recurrent.values()]
    # a path that is no key was made of a name that has a cell's scope
    since = bool(kernels) and all(
        path + SUFFIX not in tensors or has_a_cell(named.get(path, "")) for path in kernels
    )
    if since:
        return Described(SINCE, None, "", ordered, tree=True)
    tops: dict[str, list[str]] = {}
    for folder, names in ordered.items():
        tops.setdefault(_top(folder), []).extend(names)
    groups = {top: tuple(names) for top, names in tops.items()}
    return Described("", None, "", groups)


def names_of(tensors: Mapping[str, TensorRef], where: str) -> dict[str, str]:
    """Key -> the variable's own name. Errors: SourceUnreadable."""
    graph = tensors.get(GRAPH)
    if graph is None or graph.shape not in {(), (1,)}:
        return {}
    data = np.asarray(graph.load()).ravel()[0]
    try:
        return dict(_named(memoryview(bytes(data))))
    except (TypeError, ValueError) as err:
        raise SourceUnreadable(
            f"{GRAPH} is no message that names a checkpoint's objects: {err}",
            where=where,
            advice="the checkpoint is damaged: copy it again",
        ) from err


def _named(message: memoryview) -> Iterator[tuple[str, str]]:
    for number, kind, node in fields(message):
        if number != _NODES or kind != BYTES:
            continue
        for inner, wire, attribute in fields(node):
            if inner != _ATTRIBUTES or wire != BYTES:
                continue
            said = {n: bytes(text) for n, w, text in fields(attribute) if w == BYTES}
            key, name = said.get(_KEY, b""), said.get(_FULL_NAME, b"")
            if key and name:
                yield key.decode("utf-8", "replace"), name.decode("utf-8", "replace")


def has_a_cell(name: str) -> bool:
    """Whether a kernel lies in a cell within a layer: ``lstm/lstm_cell/recurrent_kernel``.

    TensorFlow 1.13 to 2.1 open none: there ``my_cell/recurrent_kernel`` is a layer of that name.
    """
    parts = name.split("/")
    return len(parts) > 2 and _OWN_CELL.fullmatch(parts[-2]) is not None


def _top(folder: str) -> str:
    for end in ("/cell", "/forward_layer", "/backward_layer"):
        folder = folder.removesuffix(end)
    return folder


def _in_order(path: str) -> tuple[int, list[tuple[int, str]]]:
    role = path.rpartition("/")[2]
    return (_ROLES.index(role) if role in _ROLES else len(_ROLES), _natural(path))


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorts ``cells/10`` after ``cells/9``, and forward before backward."""
    text = text.replace("forward_layer", "0").replace("backward_layer", "1")
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(text)]


class ObjectSource(CheckpointSource):
    """An object-based checkpoint; see `lstmbridge.contracts.DescribedSource`."""

    def __init__(self, located: Located) -> None:
        super().__init__(located)
        stored = super().tensors
        where = str(located.prefix)
        found = attributes_of(stored, where)
        self._attributes: Mapping[str, TensorRef] = MappingProxyType(found)
        self._described = described_by(found, stored, where)

    @property
    def format(self) -> str:
        """``"TensorFlow object-based checkpoint"``."""
        return FORMAT

    @property
    def tensors(self) -> Mapping[str, TensorRef]:
        """The variables by the paths of their objects; no optimizer's."""
        return self._attributes

    @property
    def described(self) -> Described:
        """The folders of variables."""
        return self._described
