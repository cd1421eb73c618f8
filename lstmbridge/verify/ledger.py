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
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.folding import projected_gate

Key = tuple[str, str, str]

FOLDED = "recurrent_folded"
"""Recurrent weights with the projection multiplied in, (units, units): float64, rounded once."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One block that the source has.

    Attributes:
        block: ``"kernel"``, ``"recurrent"``, ``"bias"``, ``"forget_bias"``, ``"peephole"``,
            ``"projection"``.
        gate: its gate, or ``""``.
        values: the numbers, in the source's dtype.
    """

    block: str
    gate: str
    values: Array

    @property
    def may_be_absent(self) -> bool:
        """Adding +0 is adding nothing, so a bias of +0 throughout need not be stored."""
        zero = not self.values.tobytes().strip(b"\0")
        return zero and self.block in {"bias", "forget_bias"}


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
    for layer in model.layers:
        for entry in _entries(layer):
            found = list(_counterparts(layer, entry, left))
            if not found and not entry.may_be_absent:
                missing.append(_words((layer.name, entry.block, entry.gate)))
            for key, actual, wanted, ulps in found:
                problem = _difference(actual, wanted, ulps)
                different += [f"{_words(key)}: {problem}"] if problem else []
            compared += entry.values.size if found else 0
    extra = tuple(_words(key) for key in left)
    return LedgerReport(compared, tuple(different), tuple(missing), extra=extra)


def _entries(layer: Layer) -> Iterator[Entry]:
    cell = layer.cell
    zeros = np.zeros(cell.units, cell.dtype)
    for gate in cell.GATES:
        yield Entry("kernel", gate, cell.kernel[gate])
        yield Entry("recurrent", gate, cell.recurrent[gate])
        yield Entry("bias", gate, zeros if cell.bias is None else cell.bias[gate])
    forget_bias = np.full(cell.units, cell.forget_bias.value, np.float64)
    yield Entry("forget_bias", "", forget_bias)
    if cell.peephole is not None:
        for gate in cell.peephole:
            yield Entry("peephole", gate, cell.peephole[gate])
    if cell.projection is not None:
        yield Entry("projection", "", cell.projection.load())


def _counterparts(
    layer: Layer, entry: Entry, left: dict[Key, Array]
) -> Iterator[tuple[Key, Array, Array, int]]:
    """Take the block out of `left`: its key, it, what it must be, within how many ulps."""
    for gate in dict.fromkeys((entry.gate, "f" if entry.block == "forget_bias" else entry.gate)):
        key = (layer.name, entry.block, gate)
        if key in left:
            yield key, np.asarray(left.pop(key)), entry.values, 0
    folded = (layer.name, FOLDED, entry.gate)
    if entry.block == "recurrent" and layer.cell.projection is not None and folded in left:
        # matrix products are summed in whatever order the machine likes
        yield folded, np.asarray(left.pop(folded)), projected_gate(layer.cell, entry.gate), 1


def _difference(actual: Array, wanted: Array, ulps: int) -> str:
    """What differs, in words; "" when each number is there, bit for bit (or within `ulps`)."""
    if actual.shape != wanted.shape:
        return f"shape {actual.shape} in the artifact, {wanted.shape} in the source"
    with np.errstate(over="ignore", invalid="ignore"):
        stored = np.ascontiguousarray(wanted.astype(actual.dtype))
    same = _bits(actual) == _bits(stored)
    if ulps:
        gap = np.abs(actual.astype(np.float64) - wanted.astype(np.float64))
        # one step beyond the nearest number, at the scale of the largest in the block
        same |= gap <= ulps * np.asarray(np.spacing(np.abs(stored)), np.float64)
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
