"""The weights of a file as the model knows them. Shares no code with what wrote them.

Layers are found by the keys alone and named by PyTorch's published convention: ``_l{k}`` counts
layers from the input, ``_reverse`` marks the backward direction, rows of a weight are the gates
i, f, g, o. So a writer that exchanged two gates or two layers is seen here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from lstmbridge.contracts import Ledger
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Layer, Model

_GATES = ("i", "f", "c", "o")
_NATIVE = re.compile(
    r"^(?P<prefix>.*?)(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"_l(?P<k>\d+)(?P<back>_reverse)?$"
)
_OWN = re.compile(r"^(?P<prefix>.*?)(?P<name>kernel|recurrent|bias|projection|peephole_[ifo])$")

Place = tuple[str, tuple[int, ...]]
"""(direction, position): sorts a direction's layers from the input up."""


def read_ledger(tensors: Mapping[str, Array], forget: Mapping[str, float], model: Model) -> Ledger:
    """Every number of `tensors`, by (layer, block, gate), in the model's orientation.

    Args:
        tensors: of the file.
        forget: the forget bias of layers whose state dict has none (those that run equations).
        model: names the layers and says which blocks it has; no number is taken from it.

    Raises:
        SourceUnreadable: a key or the number of layers is not understood.
    """
    two_way = any(layer.direction for layer in model.layers)
    found: dict[Place, dict[str, Array]] = {}
    for key, array in tensors.items():
        place, name = _place(key, two_way=two_way)
        found.setdefault(place, {})[name] = array
    layers = {layer.name: layer for layer in model.layers}
    counts: dict[str, int] = {}
    ledger: dict[tuple[str, str, str], Array] = {}
    for direction, position in sorted(found):
        index = counts.get(direction, 0)
        counts[direction] = index + 1
        name = f"layer{direction and '_' + direction}{index}"
        if name not in layers:
            raise SourceUnreadable(
                f"the file holds a layer {name}",
                expected=f"the layers {', '.join(layers)}",
            )
        blocks = found[direction, position]
        read = _native if "weight_ih" in blocks else _own
        for (block, gate), numbers in read(blocks, layers[name], forget).items():
            ledger[name, block, gate] = numbers
    return ledger


def _place(key: str, *, two_way: bool) -> tuple[Place, str]:
    match = _NATIVE.match(key) or _OWN.match(key)
    if match is None:
        raise SourceUnreadable(f"the file holds a tensor {key}", expected="weights of a layer")
    prefix, name = match["prefix"], match["name"]
    parts = match.groupdict()
    backward = bool(parts.get("back")) or "backward_layers." in prefix
    position = [int(number) for number in re.findall(r"\d+", prefix)]
    if parts.get("k"):
        position.append(int(parts["k"]))
    direction = ("bw" if backward else "fw") if two_way else ""
    return (direction, tuple(position)), name


def _rows(weight: Array) -> dict[str, Array]:
    return {g: part.T for g, part in zip(_GATES, np.split(weight, 4, axis=0), strict=True)}


def _native(
    blocks: Mapping[str, Array], layer: Layer, _forget: Mapping[str, float]
) -> dict[tuple[str, str], Array]:
    ledger = {("kernel", g): a for g, a in _rows(blocks["weight_ih"]).items()}
    ledger |= {("recurrent", g): a for g, a in _rows(blocks["weight_hh"]).items()}
    if "weight_hr" in blocks:
        ledger["projection", ""] = blocks["weight_hr"].T
    units = layer.cell.units
    none = np.zeros(4 * units, blocks["weight_ih"].dtype)
    stored = _rows(blocks.get("bias_ih", none))
    added = _rows(blocks.get("bias_hh", none))
    ledger["forget_bias", ""] = added["f"]
    for gate in _GATES:
        if gate != "f" and np.any(added[gate]):  # no writer of ours does; whoever did is shown
            stored[gate] = stored[gate] + added[gate]
    if layer.cell.bias is not None or any(np.any(a) for a in stored.values()):
        ledger |= {("bias", g): a for g, a in stored.items()}
    return ledger


def _own(
    blocks: Mapping[str, Array], layer: Layer, forget: Mapping[str, float]
) -> dict[tuple[str, str], Array]:
    ledger: dict[tuple[str, str], Array] = {}
    for block in ("kernel", "recurrent", "bias"):
        if block in blocks:
            pieces = np.split(blocks[block], 4, axis=-1)
            ledger |= {(block, g): a for g, a in zip(_GATES, pieces, strict=True)}
    for gate in "ifo":
        if f"peephole_{gate}" in blocks:
            ledger["peephole", gate] = blocks[f"peephole_{gate}"]
    if "projection" in blocks:
        ledger["projection", ""] = blocks["projection"]
    dtype = blocks["kernel"].dtype
    ledger["forget_bias", ""] = np.full(layer.cell.units, forget[layer.name]).astype(dtype)
    return ledger
