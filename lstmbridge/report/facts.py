"""Facts for a reader: layers that agree are said once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstmbridge.model.facts import Fact


@dataclass(frozen=True, slots=True)
class Grouped:
    """One fact of several layers.

    Attributes:
        value: in words.
        layers: in a few words; "" where it holds for all of them, or for the stack.
        where: the first of the places that state it.
        more: there are others.
    """

    name: str
    value: str
    basis: str
    layers: str
    where: str
    more: bool


def grouped(facts: Mapping[str, Fact[Any]]) -> tuple[Grouped, ...]:
    """The facts, those that agree in all but their layer as one.

    Places that differ in numbers only (``cell_0``, ``cell_1``) are one place, the first.
    """
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for name, f in facts.items():
        layer, _, short = name.rpartition(".")
        key = (short, in_words(f.value), f.basis.value, re.sub(r"\d+", "#", f.where))
        groups.setdefault(key, []).append((layer, f.where))
    whole = {name.rpartition(".")[0] for name in facts} - {""}
    told = []
    for (short, value, basis, _), found in groups.items():
        layers = [layer for layer, _ in found if layer]
        place = "" if set(layers) == whole or not layers else several(layers)
        more = len({where for _, where in found}) > 1
        told.append(Grouped(short, value, basis, place, found[0][1], more))
    return tuple(told)


def in_words(value: object) -> str:
    """A fact's value; None is "none"."""
    return "none" if value is None else str(value)


def several(names: Sequence[str]) -> str:
    """Names of layers in a few words: ``layer0, layer2 to layer11``."""
    runs: list[list[str]] = []
    for name in names:
        number = re.search(r"\d+$", name)
        before = f"{name[: number.start()]}{int(number[0]) - 1}" if number else ""
        if runs and runs[-1][-1] == before:
            runs[-1].append(name)
        else:
            runs.append([name])
    few = (f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)
    return ", ".join(few)
