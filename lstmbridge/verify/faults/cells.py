"""Faults of a cell: one function each, from a cell to the wrong cell, or None where it has none.

They go by what a cell says of itself (its gates, its blocks, its facts), so that a new kind of
cell has its faults without a word here; they are planted in all layers at once, as a converter
would make them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lstmbridge.gates import Array, GateBlocks, InMemory
from lstmbridge.model.cells import (
    GRU,
    UGRNN,
    Cell,
    CoupledLSTM,
    IndyGRU,
    Intersection,
    Stored,
)

INVERTIBLE: Mapping[type[Cell], str] = {
    GRU: "z",
    IndyGRU: "z",
    UGRNN: "g",
    Intersection: "gh",
    CoupledLSTM: "f",
}
"""Gates that weigh the old against the new: half of the literature means the other half."""


@dataclass(frozen=True, slots=True)
class CellFault:
    """See `Fault`; `change` answers None for a cell that cannot have the fault."""

    name: str
    explains: str
    change: Callable[[Cell], Cell | None]


def equal_cells(right: Cell, wrong: Cell) -> bool:
    """Whether both say the same: facts, and numbers where they are not the same blocks."""
    if any(fact.value != wrong.facts[name].value for name, fact in right.facts.items()):
        return False
    return all(
        _equal_blocks(right.blocks.get(name), wrong.blocks.get(name), name)
        for name in {**right.blocks, **wrong.blocks}
    )


def _equal_blocks(a: Stored | None, b: Stored | None, name: str) -> bool:
    if a is b:
        return True
    if a is None or b is None:
        # a bias of zeros is none; of other blocks none is none
        there = a if b is None else b
        return "bias" in name and isinstance(there, GateBlocks) and not _any(there)
    if isinstance(a, GateBlocks) and isinstance(b, GateBlocks):
        return set(a) == set(b) and all(np.array_equal(a[gate], b[gate]) for gate in a)
    return False


def _any(blocks: GateBlocks) -> bool:
    return any(bool(np.any(blocks[gate])) for gate in blocks)


def _changed(cell: Cell, **fields: Any) -> Cell:
    """`dataclasses.replace` for whatever kind of cell has these fields."""
    return replace(cell, **fields)


def _each(blocks: GateBlocks, function: Callable[[Array], Array]) -> GateBlocks:
    return GateBlocks.of({gate: function(blocks[gate]) for gate in blocks})


def _with_fact(name: str, value_of: Callable[[Any], Any], cell: Cell) -> Cell | None:
    """Another value for a fact; None where the cell lacks it, or where the value says so."""
    fact = cell.facts.get(name)
    if fact is None:
        return None
    value = value_of(fact.value)
    return None if value is _SAME else replace(cell, **{name: replace(fact, value=value)})


_SAME = object()
"""What a function of a fact answers when there is no such fault for that value."""


def _unless(same: Any, value: Any, old: Any) -> Any:
    return _SAME if old == same else value


def _without(name: str, cell: Cell) -> Cell | None:
    return replace(cell, **{name: None}) if name in cell.blocks else None


def _mapped(name: str, function: Callable[[Array], Array], cell: Cell) -> Cell | None:
    """A field's numbers changed; None where it is not there, or its shape would not do."""
    stored = cell.blocks.get(name)
    if stored is None:
        return None
    if isinstance(stored, GateBlocks):
        changed: Any = _each(stored, function)
    else:
        changed = InMemory(name, function(stored.load()))
    return replace(cell, **{name: changed}) if changed.shape == stored.shape else None


def _turned(block: Array) -> Array:
    return np.ascontiguousarray(block.T)


def _twice(block: Array) -> Array:
    return block.astype(np.float64) * 2.0


def _h_before_x(cell: Cell) -> Cell | None:
    kernel, recurrent = cell.blocks.get("kernel"), cell.blocks.get("recurrent")
    if not (isinstance(kernel, GateBlocks) and isinstance(recurrent, GateBlocks)):
        return None
    h = recurrent.shape[0]
    if h == 1 < cell.output_size:
        return None  # an elementwise product, not rows of one matrix
    rows = {gate: np.concatenate([kernel[gate], recurrent[gate]]) for gate in kernel}
    return _changed(
        cell,
        recurrent=GateBlocks.of({gate: block[:h] for gate, block in rows.items()}),
        kernel=GateBlocks.of({gate: block[h:] for gate, block in rows.items()}),
    )


def _peephole_moved(cell: Cell) -> Cell | None:
    peephole = cell.blocks.get("peephole")
    if not isinstance(peephole, GateBlocks):
        return None
    # for i, f, o: what is f's goes to o, ONNX's order taken for TensorFlow's
    *_, f, o = [gate for gate in cell.GATES if gate in peephole]
    return _changed(cell, peephole=peephole.renamed({f: o, o: f}))


def _peephole_rotated(cell: Cell) -> Cell | None:
    peephole = cell.blocks.get("peephole")
    if not isinstance(peephole, GateBlocks) or len(peephole) < 3:
        return None
    gates = list(peephole)
    return _changed(
        cell,
        peephole=peephole.renamed(dict(zip(gates, [*gates[1:], gates[0]], strict=True))),
    )


def _projection_dropped(cell: Cell) -> Cell | None:
    return _without("projection", cell) if cell.units == cell.output_size else None


def _without_candidates_bias(cell: Cell) -> Cell | None:
    bias = cell.blocks.get("bias")
    if not isinstance(bias, GateBlocks) or "c" not in bias or len(bias) == 1:
        return None
    blocks = {gate: np.zeros_like(bias[gate]) if gate == "c" else bias[gate] for gate in bias}
    return _changed(cell, bias=GateBlocks.of(blocks))


def _gain_for_shift(gain: str, shift: str, cell: Cell) -> Cell | None:
    if gain not in cell.blocks:
        return None
    return _changed(cell, **{gain: cell.blocks[shift], shift: cell.blocks[gain]})


def _reset_moved(cell: Cell) -> Cell | None:
    if isinstance(cell, IndyGRU):
        # (r * h) * u = r * (h * u): where the product is elementwise, it is no fault
        return replace(cell)
    if not isinstance(cell, GRU):
        return None
    merged = _bias_merged(cell) or cell
    return _with_fact("reset_after", lambda after: not after, merged)


def _bias_merged(cell: Cell) -> Cell | None:
    """The recurrent bias added to the other one, before the reset gate."""
    if not isinstance(cell, GRU) or cell.recurrent_bias is None:
        return None
    recurrent, zeros = cell.recurrent_bias, np.zeros(cell.units)
    total = {
        gate: (zeros if cell.bias is None else cell.bias[gate].astype(np.float64))
        + recurrent.get(gate, zeros)
        for gate in cell.GATES
    }
    return replace(cell, bias=GateBlocks.of(total), recurrent_bias=None)


def _inverted(cell: Cell) -> Cell | None:
    """1 - gate for a gate that weighs old against new: sigmoid(-a) = 1 - sigmoid(a)."""
    gate = INVERTIBLE.get(type(cell))
    if gate is None:
        return None
    changed: dict[str, Any] = {}
    for name, stored in cell.blocks.items():
        if isinstance(stored, GateBlocks) and gate in stored:
            blocks = {g: -stored[g] if g == gate else stored[g] for g in stored}
            changed[name] = GateBlocks.of(blocks)
    added = cell.facts["forget_bias"].value if "forget_bias" in cell.facts else 0.0
    if added:
        none = GateBlocks.of(dict.fromkeys(cell.GATES, np.zeros(cell.units)))
        bias = changed.get("bias", none)
        # the forget bias will be added again: -(b + added) = (-b - 2 added) + added
        changed["bias"] = GateBlocks.of(
            {g: bias[g].astype(np.float64) - (2.0 * added if g == gate else 0.0) for g in bias}
        )
    return replace(cell, **changed)


def _fact_faults() -> Iterator[CellFault]:
    def fault(name: str, explains: str, fact: str, value_of: Callable[[Any], Any]) -> CellFault:
        return CellFault(name, explains, partial(_with_fact, fact, value_of))

    # a forget bias of 0 (Keras stores it in the bias) can neither be dropped nor doubled
    yield fault(
        "forget bias dropped", "with forget_bias = 0", "forget_bias", partial(_unless, 0.0, 0.0)
    )
    yield fault(
        "forget bias doubled",
        "with its forget bias added twice",
        "forget_bias",
        lambda b: _unless(0.0, 2.0 * b, b),
    )
    yield fault(
        "forget bias too large by 1",
        "with forget_bias + 1",
        "forget_bias",
        # for 1 that is the forget bias doubled
        lambda b: _unless(1.0, b + 1.0, b),
    )
    yield fault(
        "activation exchanged",
        "with another activation",
        "activation",
        lambda a: "relu" if a == "tanh" else "tanh",
    )
    yield fault(
        "gate activation exchanged",
        "with another gate activation",
        "gate_activation",
        lambda a: "hard_sigmoid" if a == "sigmoid" else "sigmoid",
    )
    for clip, words in (("cell_clip", "cell clip"), ("proj_clip", "projection clip")):
        yield fault(f"{words} dropped", f"without {clip}", clip, partial(_unless, None, None))
    yield fault(
        "epsilon of another norm",
        "with another epsilon in its layer norm",
        "epsilon",
        lambda e: 1e-12 if e > 1e-4 else 1e-3,
    )


def _block_faults() -> Iterator[CellFault]:
    for field, words in (("bias", "bias"), ("recurrent_bias", "recurrent bias")):
        yield CellFault(f"{words} dropped", f"without its {words}", partial(_without, field))
        yield CellFault(
            f"{words} doubled", f"with its {words} added twice", partial(_mapped, field, _twice)
        )
    for field, words in (
        ("recurrent", "recurrent kernel"),
        ("kernel", "kernel"),
        ("projection", "projection"),
    ):
        yield CellFault(
            f"{words} transposed", f"with its {words} transposed", partial(_mapped, field, _turned)
        )
    for field, fill in (
        ("gain", np.ones_like),
        ("shift", np.zeros_like),
        ("state_gain", np.ones_like),
        ("state_shift", np.zeros_like),
    ):
        words = f"{field.replace('_', ' ')} of the layer norm dropped"
        yield CellFault(words, f"with the {words}", partial(_mapped, field, fill))
    yield CellFault(
        "bias of the candidate dropped", "without its candidate's bias", _without_candidates_bias
    )
    for name, gain, shift in (
        ("gain and shift of the layer norm exchanged", "gain", "shift"),
        ("state gain and shift of the layer norm exchanged", "state_gain", "state_shift"),
    ):
        yield CellFault(name, f"with {name}", partial(_gain_for_shift, gain, shift))
    yield CellFault("projection dropped", "without its projection", _projection_dropped)
    yield CellFault("[h; x] taken for [x; h]", "with kernel rows read as [h; x]", _h_before_x)
    yield CellFault("peephole dropped", "without peepholes", partial(_without, "peephole"))
    yield CellFault("peepholes exchanged", "with two peepholes exchanged", _peephole_moved)
    yield CellFault("peepholes rotated", "with its peepholes rotated", _peephole_rotated)
    yield CellFault(
        "reset before and after the product exchanged",
        "with the reset gate on the other side of the recurrent product",
        _reset_moved,
    )
    yield CellFault(
        "recurrent bias added outside the reset",
        "with its recurrent bias added outside the reset gate",
        _bias_merged,
    )
    yield CellFault(
        "old and new state exchanged in the update",
        "with its update gate inverted",
        _inverted,
    )


def other_faults() -> Iterator[CellFault]:
    """All that are not about the order of gates."""
    yield from _fact_faults()
    yield from _block_faults()
