"""Exact algebra that targets apply to weights, stated once so that a verifier can repeat it.

Two identities are used:

* h = m P makes a recurrent product h U the product m (P U): a cell with a projection is one
  without it whose recurrent weights are P U (float64, rounded once), and a product after it;
* 1 - sigmoid(a) = sigmoid(-a): a gate that is one minus another is a gate of its own whose
  weights are the other's with the sign turned, which costs no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.cells import LSTM, Cell, CoupledLSTM

FOLDED = "recurrent_folded"
"""Recurrent weights into which the projection was multiplied: (units, units) per gate."""
FORGET_BIAS = "forget_bias"
FORGET_GATE = "f"
"""The gate of an LSTM that the forget bias is added to."""


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A block that an artifact may hold and that no source does, with what it must be.

    Attributes:
        block: what a ledger calls it.
        gate: its gate.
        stands_for: the block of the same gate that is accounted for by it; "" for a copy, by
            which nothing is: copies are all there, or none of them is.
        compute: the numbers that it must hold once they are rounded to the artifact's dtype.
        ulps: by how many units in the last place it may differ: a matrix product is summed in
            whatever order the machine likes.
    """

    block: str
    gate: str
    stands_for: str
    compute: Callable[[], Array]
    ulps: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether nothing is accounted for by it."""
        return not self.stands_for


def negated_gates(cell: Cell) -> Mapping[str, str]:
    """Gates that `cell` has no blocks for, being 1 - another's sigmoid: gate -> the other."""
    return {"i": "f"} if isinstance(cell, CoupledLSTM) else {}


def gate_block(cell: Cell, field: str, gate: str) -> Array | None:
    """The numbers of `gate` in `field`, the sign turned where it is a negated gate.

    None where the cell does not have them.
    """
    stored = cell.blocks.get(field)
    source = negated_gates(cell).get(gate, gate)
    if not isinstance(stored, GateBlocks) or source not in stored:
        return None
    return stored[source] if source == gate else _negated(stored, source)


def forget_bias_of(cell: Cell, gate: str) -> float:
    """What is added to an LSTM's `gate` at run time beside its bias; 0 for most gates."""
    source = negated_gates(cell).get(gate, gate)
    bias = float(cell.facts[FORGET_BIAS].value) if FORGET_BIAS in cell.facts else 0.0
    if source != FORGET_GATE or not bias:
        return 0.0
    return bias if source == gate else -bias


def projected_gate(cell: Cell, gate: str) -> Array:
    """One gate's recurrent weights seen from the unprojected output m, in float64.

    With h = m P the recurrent product is h U = m (P U): a cell without projection whose
    recurrent weights are P U computes the same gates. Shapes: P (H, P), U (P, H), result (H, H).

    Raises:
        ValueError: the cell has no projection, or no such gate.
    """
    projection, recurrent = cell.blocks.get("projection"), gate_block(cell, "recurrent", gate)
    if projection is None or isinstance(projection, GateBlocks) or recurrent is None:
        raise ValueError("the cell has no projection to fold")
    return np.asarray(projection.load().astype(np.float64) @ recurrent.astype(np.float64))


def derived_blocks(cell: Cell) -> Iterator[Derived]:
    """All blocks that an artifact may hold of `cell` beside, or in place of, the cell's own."""
    copies = negated_gates(cell)
    if isinstance(cell, LSTM | CoupledLSTM) and cell.projection is not None:
        for gate in (*cell.recurrent, *copies):
            yield Derived(FOLDED, gate, "recurrent", partial(projected_gate, cell, gate), ulps=1)
    for gate, source in copies.items():
        for field, stored in cell.blocks.items():
            if isinstance(stored, GateBlocks) and source in stored.gates:
                yield Derived(field, gate, "", partial(_negated, stored, source))
        if FORGET_BIAS in cell.facts:
            yield Derived(FORGET_BIAS, gate, "", partial(_added, cell, gate))


def _negated(blocks: GateBlocks, gate: str) -> Array:
    return np.negative(blocks[gate])


def _added(cell: Cell, gate: str) -> Array:
    return np.full(cell.units, forget_bias_of(cell, gate))
