"""The ledger: the artifact's weights, read back, against the source's blocks, bit for bit.

Numbers sampled through a network cannot see a weight that is off in its last bit; reading can.
Each block of the source must be there once, in the artifact's dtype, and nothing else may be.
What the artifact need not store, because it is zero (a bias, a forget bias), may be left out,
or be there as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Ledger, LedgerReport
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import LSTM, Cell
from lstmbridge.model.folding import projected_gate

Key = tuple[str, str, str]

FOLDED = "recurrent_folded"
"""Recurrent weights with the projection multiplied in, (units, units): float64, rounded once."""


_ADDED = frozenset({"bias", "recurrent_bias", "forget_bias"})
"""Blocks that are added to something."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One block that the source has.

    Attributes:
        layer: ``"layer0"``, or the name of an attachment: ``"dense0"``.
        block: the field of the cell (``"kernel"``, ``"recurrent"``, ``"bias"``, ...), or
            ``"forget_bias"``.
        gate: its gate, or ``""``.
        values: the numbers, in the source's dtype.
        folded: what stands for `values` under `FOLDED`, in float64; None: nothing does.
    """

    layer: str
    block: str
    gate: str
    values: Array
    folded: Array | None = None

    @property
    def may_be_absent(self) -> bool:
        """Adding +0 is adding nothing, so a bias of +0 throughout need not be stored."""
        zero = not self.values.tobytes().strip(b"\0")
        return zero and self.block in _ADDED


def check_ledger(model: Model, ledger: Ledger) -> LedgerReport:
    """Compare every block.

    Args:
        model: the source.
        ledger: see `contracts.Ledger`. `FOLDED` blocks may stand for the recurrent ones of a
            projected cell, or beside them: then both are compared.
    """
    left = dict(ledger)
    compared = 0
    different: list[str] = []
    missing: list[str] = []
    for entry in _entries(model):
        found = list(_counterparts(entry, left))
        if not found and not entry.may_be_absent:
            missing.append(_words((entry.layer, entry.block, entry.gate)))
        for key, actual, wanted, ulps in found:
            problem = _difference(actual, wanted, ulps)
            different += [f"{_words(key)}: {problem}"] if problem else []
        compared += entry.values.size if found else 0
    extra = tuple(_words(key) for key in left)
    return LedgerReport(compared, tuple(different), tuple(missing), extra=extra)


def _entries(model: Model) -> Iterator[Entry]:
    for layer in model.layers:
        yield from _cell_entries(layer.name, layer.cell)
    for attachment in model.attachments:
        for field, stored in attachment.block.weights.items():
            yield Entry(attachment.name, field, "", stored.load())


def _cell_entries(name: str, cell: Cell) -> Iterator[Entry]:
    for field, stored in cell.blocks.items():
        if isinstance(stored, GateBlocks):
            for gate in stored:
                folded = None
                if field == "recurrent" and isinstance(cell, LSTM) and cell.projection is not None:
                    folded = projected_gate(cell, gate)
                yield Entry(name, field, gate, stored[gate], folded)
        else:
            yield Entry(name, field, "", stored.load())
    zeros = np.zeros(cell.units, cell.dtype)
    for field in _ADDED.intersection(cell.shapes()):
        there = cell.blocks.get(field)
        for gate in cell.GATES:
            if not (isinstance(there, GateBlocks) and gate in there):
                yield Entry(name, field, gate, zeros)
    if "forget_bias" in cell.facts:
        yield Entry(name, "forget_bias", "", np.full(cell.units, cell.facts["forget_bias"].value))


def _counterparts(entry: Entry, left: dict[Key, Array]) -> Iterator[tuple[Key, Array, Array, int]]:
    """Take the block out of `left`: its key, it, what it must be, within how many ulps."""
    keys = [(entry.layer, entry.block, entry.gate)]
    if entry.block == "forget_bias":
        # under the gate that it is added to, or under none
        keys = [key for key in left if key[:2] == keys[0][:2]]
    for key in keys:
        if key in left:
            yield key, np.asarray(left.pop(key)), entry.values, 0
    folded = (entry.layer, FOLDED, entry.gate)
    if entry.folded is not None and folded in left:
        # matrix products are summed in whatever order the machine likes
        yield folded, np.asarray(left.pop(folded)), entry.folded, 1


def _difference(actual: Array, wanted: Array, ulps: int) -> str:
    """What differs, in words; "" when each number is there, bit for bit (or within `ulps`)."""
    if actual.shape != wanted.shape:
        return f"shape {actual.shape} in the artifact, {wanted.shape} in the source"
    with np.errstate(over="ignore", invalid="ignore"):
        stored = np.ascontiguousarray(wanted.astype(actual.dtype))
    same = _bits(actual) == _bits(stored)
    if ulps:
        gap = np.abs(actual.astype(np.float64) - stored.astype(np.float64))
        # a product that nearly cancels keeps the float64 rounding of what it is made of
        rest = 2.0**-48 * np.abs(wanted).max(initial=0.0)
        same |= gap <= ulps * np.spacing(np.abs(stored)).astype(np.float64) + rest
    wrong = int(same.size - np.count_nonzero(same))
    if not wrong:
        return ""
    place = tuple(int(k) for k in np.argwhere(~same)[0])
    return (
        f"{wrong} of {same.size} numbers differ, the first at {place}: "
        f"{actual[place]} in the artifact, {stored[place]} in the source"
    )


def _bits(array: Array) -> Array:
    width = array.dtype.itemsize
    return np.ascontiguousarray(array).view(f"u{width}").reshape(array.shape)


def _words(key: Key) -> str:
    layer, block, gate = key
    return f"{layer} {block}[{gate}]" if gate else f"{layer} {block}"


def merged_ledgers(reports: Mapping[str, LedgerReport]) -> LedgerReport | None:
    """One report for all artifacts; None when there is none."""
    if len(reports) <= 1:
        return next(iter(reports.values()), None)

    def named(field: str) -> tuple[str, ...]:
        return tuple(
            f"{path}: {line}" for path, one in reports.items() for line in getattr(one, field)
        )

    return LedgerReport(
        compared=sum(report.compared for report in reports.values()),
        different=named("different"),
        missing=named("missing"),
        unreadable="; ".join(f"{p}: {r.unreadable}" for p, r in reports.items() if r.unreadable),
        extra=named("extra"),
    )
