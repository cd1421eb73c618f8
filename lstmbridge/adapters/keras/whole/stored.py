"""Which stored arrays are which weights of which layer.

Keras 1 and 2 list the arrays of a layer of the top model in one row: what is trained first, then
the rest (moving averages, frozen layers), each in the order of the layers within. Keras 3 has a
folder for each layer. Roles are checked against the stored names where these say one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lstmbridge.adapters.keras.cells import GATES
from lstmbridge.adapters.keras.config import LayerEntry
from lstmbridge.adapters.keras.folders import folder_of
from lstmbridge.adapters.keras.layers import Leaf, leaves_of
from lstmbridge.adapters.keras.weights import Kernels, in_folders, in_group, is_parted
from lstmbridge.adapters.keras.whole.slots import Slot, recurrent_slots, slots_of
from lstmbridge.contracts import Described, TensorRef
from lstmbridge.errors import NotRecognised

_LAST = re.compile(r"(?P<word>.*?)(?:_\d+)?(?::0)?")
_ROLES = (
    *("recurrent_kernel", "depthwise_kernel", "pointwise_kernel", "moving_variance"),
    *("moving_mean", "running_mean", "running_std", "embeddings", "kernel", "bias", "gamma"),
    *("beta", "alpha", "W", "b"),
)
_OTHER_WORDS: Mapping[str, frozenset[str]] = {
    "kernel": frozenset({"W", "embeddings"}),
    "bias": frozenset({"b"}),
    "embeddings": frozenset({"W", "kernel"}),
    "moving_mean": frozenset({"running_mean"}),
    "moving_variance": frozenset({"running_std"}),
}
"""What else the names of some Keras call a role."""


@dataclass(frozen=True)
class Stored:
    """The weights of one layer.

    Attributes:
        roles: role -> its array.
        kernels: of a recurrent layer, cell by cell, forward before backward.
        leaves: its cells by the config.
    """

    roles: Mapping[str, TensorRef] = field(default_factory=dict)
    kernels: tuple[Kernels, ...] = ()
    leaves: tuple[Leaf, ...] = ()


def stored_weights(
    entries: Sequence[LayerEntry], described: Described, tensors: Mapping[str, TensorRef]
) -> dict[str, Stored]:
    """Layer -> its weights.

    Raises:
        NotRecognised: what is stored is not what the config asks for.
        CannotExpress: a recurrent layer that is made of cells of its own.
    """
    leaves = {entry.name: tuple(leaves_of(entry, alone=False)) for entry in entries}
    if described.tree:
        return {e.name: _in_tree(e, leaves[e.name], described, tensors) for e in entries}
    found: dict[str, Stored] = {}
    for top in dict.fromkeys(entry.path[0] for entry in entries):
        own = [entry for entry in entries if entry.path[0] == top]
        found |= _in_row(own, leaves, described.groups.get(top, ()), tensors)
    return found


def _in_tree(
    entry: LayerEntry,
    leaves: tuple[Leaf, ...],
    described: Described,
    tensors: Mapping[str, TensorRef],
) -> Stored:
    folder = folder_of(described, entry)
    if leaves:
        kernels = tuple(in_folders(described, tensors, folder))
        if len(kernels) != len(leaves):
            raise _unlike(entry.name, len(leaves), len(kernels))
        return Stored({}, kernels, leaves)
    slots = _slots(entry)
    refs = [tensors[name] for name in described.groups.get(folder, ())] if slots else []
    if len(refs) != len(slots):
        raise _unlike(entry.name, len(slots), len(refs))
    return Stored({slot.role: ref for slot, ref in zip(slots, refs, strict=True)})


def _unlike(name: str, asked: int, stored: int) -> NotRecognised:
    return NotRecognised(
        f"{name} has {asked} weights by its config, and {stored} are stored",
        expected="the weights of this model",
        where=name,
    )


def _slots(entry: LayerEntry) -> list[Slot]:
    # what is trained comes first
    return sorted(slots_of(entry.kind, entry.config), key=lambda slot: not slot.trained)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An array that a layer asks for: the layer, which of its cells, and the role."""

    layer: str
    cell: int
    slot: Slot


def _in_row(
    entries: Sequence[LayerEntry],
    leaves: Mapping[str, tuple[Leaf, ...]],
    names: Sequence[str],
    tensors: Mapping[str, TensorRef],
) -> dict[str, Stored]:
    """The layers of one group."""
    parted = any(is_parted(name) for name in names)
    wanted: list[tuple[bool, _Wanted]] = []
    for entry in entries:
        trains = bool(entry.config.get("trainable", True))
        cells = leaves[entry.name]
        for k, leaf in enumerate(cells):
            slots = recurrent_slots(leaf.kind, leaf.config, parted=parted)
            wanted += [(trains, _Wanted(entry.name, k, slot)) for slot in slots]
        if not cells:
            slots = slots_of(entry.kind, entry.config)
            wanted += [(trains and s.trained, _Wanted(entry.name, -1, s)) for s in slots]
    if len(wanted) != len(names):
        raise _unlike(entries[0].path[0], len(wanted), len(names))
    ordered = [one for _, one in sorted(wanted, key=lambda pair: not pair[0])]
    rows: dict[tuple[str, int], list[str]] = {}
    roles: dict[str, dict[str, TensorRef]] = {entry.name: {} for entry in entries}
    for one, name in zip(ordered, names, strict=True):
        if one.cell >= 0:
            rows.setdefault((one.layer, one.cell), []).append(name)
            continue
        _check_role(one, name)
        roles[one.layer][one.slot.role] = tensors[name]
    return {
        entry.name: Stored(
            roles[entry.name],
            tuple(
                _kernels(entry.name, leaf, rows.get((entry.name, k), []), tensors)
                for k, leaf in enumerate(leaves[entry.name])
            ),
            leaves[entry.name],
        )
        for entry in entries
    }


def _check_role(wanted: _Wanted, name: str) -> None:
    """A stored name that says another role means that the order is another. Errors."""
    found = _LAST.fullmatch(name.rpartition("/")[2])
    word = found["word"] if found else ""
    said = next((r for r in _ROLES if word == r or word.endswith(f"_{r}")), None)
    role = wanted.slot.role
    if said is not None and said != role and said not in _OTHER_WORDS.get(role, ()):
        raise NotRecognised(
            f"{name} is stored where the {role} of {wanted.layer} belongs",
            expected="weights in the order of the model's layers",
            where=name,
        )


def _kernels(
    layer: str, leaf: Leaf, names: Sequence[str], tensors: Mapping[str, TensorRef]
) -> Kernels:
    found = in_group(names, tensors)
    if len(found) != 1 or len(found[0].roles) != len(names) or found[0].gates != GATES[leaf.kind]:
        raise NotRecognised(
            f"{layer} is a {leaf.kind} layer, and stored are {', '.join(names)}",
            expected="its kernel, recurrent_kernel and bias",
            where=layer,
        )
    return found[0]
