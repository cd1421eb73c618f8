"""Faults of the order in which gates are read: every swap, and for a diagnosis every order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations, permutations

from lstmbridge.gates import GateBlocks
from lstmbridge.model.cells import Cell
from lstmbridge.verify.faults.cells import CellFault

_FEW_GATES = 4
"""Cells of more gates are not tried in every order."""


def swaps(cells: Iterable[Cell]) -> Iterator[CellFault]:
    """Each pair of gates exchanged: everywhere, in the kernel alone, in the recurrent alone."""
    few: dict[tuple[str, str], bool] = {}
    for cell in cells:
        for pair in combinations(cell.GATES, 2):
            few[pair] = few.get(pair, False) or len(cell.GATES) <= _FEW_GATES
    for (a, b), alone in few.items():
        pair_map = {a: b, b: a}
        places: list[tuple[str, str | None]] = [("", None)]
        if alone:
            places += [
                (" in the kernel alone", "kernel"),
                (" in the recurrent kernel alone", "recurrent"),
            ]
        for where, field in places:
            text = f"gates {a} and {b} exchanged{where}"
            yield CellFault(text, f"with {text}", partial(_renamed, pair_map, field))


def orders(cells: Iterable[Cell]) -> Iterator[CellFault]:
    """The gates read in every order that is more than a swap away."""
    known = dict.fromkeys(cell.GATES for cell in cells if len(cell.GATES) <= _FEW_GATES)
    for gates in known:
        for order in permutations(gates):
            read = {g: h for g, h in zip(gates, order, strict=True) if g != h}
            if len(read) > 2:
                words = ", ".join(f"{old} as {new}" for old, new in read.items())
                yield CellFault(
                    f"gates permuted: {words}",
                    f"with its gates permuted ({words})",
                    partial(_renamed, read, None),
                )


def _full(cell: Cell) -> dict[str, GateBlocks]:
    """The fields that have a block for each of the cell's gates."""
    return {
        name: stored
        for name, stored in cell.blocks.items()
        if isinstance(stored, GateBlocks) and set(stored) == set(cell.GATES)
    }


def _renamed(new_of_old: Mapping[str, str], field: str | None, cell: Cell) -> Cell | None:
    if not set(new_of_old) <= set(cell.GATES):
        return None
    fields = {name: b for name, b in _full(cell).items() if field in {None, name}}
    if not fields:
        return None
    return replace(cell, **{name: b.renamed(new_of_old) for name, b in fields.items()})
