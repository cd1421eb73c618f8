"""The ledger: the artifact's weights, read back, against the source's blocks, bit for bit.

Numbers sampled through a network cannot see a weight that is off in its last bit; reading can.
Each block of the source must be there once, in the artifact's dtype, and nothing else may be.
What the artifact need not store, because it is zero (a bias, a forget bias), may be left out,
or be there as zeros. What it made of the source's blocks by exact algebra (`model.folding`) is
held against the same algebra done here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import Ledger, LedgerReport
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.folding import Derived, derived_blocks

Key = tuple[str, str, str]

_ADDED = frozenset({"bias", "recurrent_bias", "forget_bias"})
"""Blocks that are added to something."""
_INITIAL = "initial_"


@dataclass(frozen=True, eq=False)
class Entry:
    """One block that the source has.

    Attributes:
        layer: ``"layer0"``, or the name of an attachment: ``"dense0"``.
        block: the field of the cell (``"kernel"``, ``"recurrent"``, ``"bias"``, ...), or
            ``"forget_bias"``, or ``"initial_c"``: what a state begins with.
        gate: its gate, or ``""``.
        values: the numbers, in the source's dtype.
    """

    layer: str
    block: str
    gate: str
    values: Array

    @property
    def may_be_absent(self) -> bool:
        """Adding +0 is adding nothing, so a bias of +0 throughout need not be stored."""
        zero = not self.values.tobytes().strip(b"\0")
        return zero and (self.block in _ADDED or self.block.startswith(_INITIAL))


@dataclass
class _Books:
    """What of the ledger is left, and what was found so far."""

    left: dict[Key, Array]
    different: list[str]
    missing: list[str]

    def compare(self, key: Key, wanted: Array, ulps: int = 0) -> None:
        """Take the block `key` off the ledger; note what differs from `wanted`."""
        problem = _difference(np.asarray(self.left.pop(key)), wanted, ulps)
        self.different += [f"{_words(key)}: {problem}"] if problem else []


def check_ledger(model: Model, ledger: Ledger, fed: Container[str] = ()) -> LedgerReport:
    """Compare every block.

    Args:
        model: the source.
        fed: inputs that the artifact must be fed. An initial state among them need not be
            stored: the model's own is not asked for.
        ledger: see `contracts.Ledger`. Blocks of `folding.derived_blocks` may stand for the
            cell's own, or beside them: then both are compared.
    """
    books = _Books(dict(ledger), different=[], missing=[])
    compared = 0
    accounted = {key for layer in model.layers for key in _derived(layer.name, layer.cell, books)}
    for entry in _entries(model, fed):
        key = (entry.layer, entry.block, entry.gate)
        keys = _counterparts(entry, books.left)
        for found in keys:
            books.compare(found, entry.values)
        if keys or key in accounted:
            compared += entry.values.size
        elif not entry.may_be_absent:
            books.missing.append(_words(key))
    extra = tuple(_words(key) for key in books.left)
    return LedgerReport(compared, tuple(books.different), tuple(books.missing), extra=extra)


def _derived(layer: str, cell: Cell, books: _Books) -> set[Key]:
    """Compare what the artifact made of a cell's blocks; the blocks accounted for by it.

    Copies account for nothing; but where there is one of them, they are all asked for.
    """
    accounted: set[Key] = set()
    absent: list[Derived] = []
    copied = False
    for one in derived_blocks(cell):
        key = (layer, one.block, one.gate)
        if key in books.left:
            books.compare(key, one.compute(), one.ulps)
            copied |= one.is_copy
            accounted |= set() if one.is_copy else {(layer, one.stands_for, one.gate)}
        elif one.is_copy:
            absent.append(one)
    for one in absent if copied else ():
        key = (layer, one.block, one.gate)
        needless = one.block in _ADDED and not np.any(one.compute())
        if key not in accounted and not needless:
            books.missing.append(_words(key))
    return accounted


def _entries(model: Model, fed: Container[str]) -> Iterator[Entry]:
    for layer in model.layers:
        yield from _cell_entries(layer.name, layer.cell)
        for state, row in layer.initial.items():
            if layer.initial_name(state) not in fed:
                yield Entry(layer.name, f"{_INITIAL}{state}", "", row.load())
    for attachment in model.attachments:
        for field, stored in attachment.block.weights.items():
            yield Entry(attachment.name, field, "", stored.load())


def _cell_entries(name: str, cell: Cell) -> Iterator[Entry]:
    for field, stored in cell.blocks.items():
        if isinstance(stored, GateBlocks):
            for gate in stored:
                yield Entry(name, field, gate, stored[gate])
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


def _counterparts(entry: Entry, left: Mapping[Key, Array]) -> list[Key]:
    """Where the ledger has the block."""
    key = (entry.layer, entry.block, entry.gate)
    if entry.block == "forget_bias":
        # under the gate that it is added to, or under none
        return [one for one in left if one[:2] == key[:2]]
    return [key] if key in left else []


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
