"""Where a tensor belongs, told by its key alone. Shares no code with what wrote the file.

PyTorch's published convention: ``_l{k}`` counts layers from the input, ``_reverse`` marks the
backward direction; ours: numbers count from the input, ``inner`` stands for what a highway goes
around. So a writer that exchanged two layers is seen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_NATIVE = re.compile(r"^(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(_reverse)?$")
_LAST = math.inf


@dataclass(frozen=True, slots=True)
class Place:
    """A block's place in a network.

    Attributes:
        what: ``"native"`` or ``"equations"``, both layers; ``"dense"``; ``"highway"``.
        direction: ``""``, ``"fw"`` or ``"bw"``.
        position: sorts the blocks of one direction as data meet them.
    """

    what: str
    direction: str
    position: tuple[float, ...]

    @property
    def tag(self) -> str:
        """What the block's name begins with: ``layer``, ``layer_fw``, ``dense``, ..."""
        noun = self.what if self.what in {"dense", "highway"} else "layer"
        return noun + (f"_{self.direction}" if self.direction else "")


def places_of(keys: Iterable[str]) -> dict[str, tuple[Place, str]]:
    """The place of each key's block, and what the tensor is called in it."""
    parts = {key: key.rpartition(".")[::2] for key in keys}
    names: dict[str, set[str]] = {}
    for prefix, name in parts.values():
        names.setdefault(prefix, set()).add(name)
    return {key: _place(prefix, name, names[prefix]) for key, (prefix, name) in parts.items()}


def block_names(places: Iterable[Place]) -> dict[Place, str]:
    """The name that each place has in a model: ``layer0``, ``highway_bw0``, ..."""
    counts: dict[str, int] = {}
    found: dict[Place, str] = {}
    for place in sorted(set(places), key=lambda one: one.position):
        count = counts.get(place.tag, 0)
        counts[place.tag] = count + 1
        found[place] = f"{place.tag}{count}"
    return found


def _place(prefix: str, name: str, beside: set[str]) -> tuple[Place, str]:
    steps = prefix.split(".")
    position: list[float] = [
        0 if step == "inner" else int(step) for step in steps if _counts(step)
    ]
    direction = ""
    if "forward_layers" in steps or "backward_layers" in steps:
        direction = "bw" if "backward_layers" in steps else "fw"
    native = _NATIVE.match(name)
    if native is not None:
        if any(one.endswith("_reverse") for one in beside):
            direction = "bw" if native[3] else "fw"
        return Place("native", direction, (*position, int(native[2]))), native[1]
    if "weight" in beside:
        return Place("dense", direction, tuple(position)), name
    if "carry_kernel" in beside:
        # data meet a highway after all that is inside
        return Place("highway", direction, (*position, _LAST)), name
    return Place("equations", direction, tuple(position)), name


def _counts(step: str) -> bool:
    return step == "inner" or step.isdigit()
