"""Faults of a cell: one function each, from a cell to the wrong cell, or None where there is none.

They are planted in all layers at once, as a converter would make them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np

from lstmbridge.gates import Array, GateBlocks, InMemory
from lstmbridge.model.cells import LSTM, Cell
from lstmbridge.model.facts import Fact


@dataclass(frozen=True, slots=True)
class CellFault:
    """See `Fault`; `change` answers None for a cell that cannot have the fault.

    `kinds` are the cells that `change` understands; others stay as they are.
    """

    name: str
    explains: str
    change: Callable[[Cell], Cell | None]
    kinds: tuple[type, ...] = (LSTM,)

    def wrong(self, cell: Cell) -> Cell | None:
        """The cell with the fault, or None where it cannot have it."""
        return self.change(cell) if isinstance(cell, self.kinds) else None


def swaps() -> Iterator[CellFault]:
    """Each pair of gates exchanged: everywhere, in the kernel alone, in the recurrent alone."""
    for a, b in combinations(LSTM.GATES, 2):
        pair = {a: b, b: a}
        for where, blocks in (
            ("", ("kernel", "recurrent", "bias")),
            (" in the kernel alone", ("kernel",)),
            (" in the recurrent kernel alone", ("recurrent",)),
        ):
            yield CellFault(
                f"gates {a} and {b} exchanged{where}",
                f"with gates {a} and {b} exchanged{where}",
                _renaming(pair, blocks),
            )


def orders() -> Iterator[CellFault]:
    """The gates read in every order that is more than a swap away."""
    for order in permutations(LSTM.GATES):
        moved = [g for g, h in zip(LSTM.GATES, order, strict=True) if g != h]
        if len(moved) > 2:
            read = dict(zip(LSTM.GATES, order, strict=True))
            words = ", ".join(f"{old} as {new}" for old, new in read.items() if old != new)
            yield CellFault(
                f"gates permuted: {words}",
                f"with its gates permuted ({words})",
                _renaming(read, ("kernel", "recurrent", "bias")),
            )


def _renaming(
    new_of_old: Mapping[str, str], blocks: tuple[str, ...]
) -> Callable[[Cell], Cell | None]:
    def change(cell: Cell) -> Cell | None:
        changed = {
            name: getattr(cell, name).renamed(new_of_old)
            for name in blocks
            if getattr(cell, name) is not None
        }
        return replace(cell, **changed)

    return change


def _each(blocks: GateBlocks, function: Callable[[Array], Array]) -> GateBlocks:
    return GateBlocks.of({gate: function(blocks[gate]) for gate in blocks})


def _fact(fact: Fact[float], value: float) -> Fact[float]:
    return replace(fact, value=value)


def _forget_dropped(cell: Cell) -> Cell | None:
    return replace(cell, forget_bias=_fact(cell.forget_bias, 0.0))


def _forget_doubled(cell: Cell) -> Cell | None:
    return replace(cell, forget_bias=_fact(cell.forget_bias, 2.0 * cell.forget_bias.value))


def _forget_added(cell: Cell) -> Cell | None:
    if cell.forget_bias.value == 1.0:
        return None  # that is the forget bias doubled
    return replace(cell, forget_bias=_fact(cell.forget_bias, cell.forget_bias.value + 1.0))


def _bias_dropped(cell: Cell) -> Cell | None:
    return None if cell.bias is None else replace(cell, bias=None)


def _bias_doubled(cell: Cell) -> Cell | None:
    if cell.bias is None:
        return None
    return replace(cell, bias=_each(cell.bias, lambda b: b.astype(np.float64) * 2.0))


def _recurrent_transposed(cell: Cell) -> Cell | None:
    if cell.recurrent.shape[0] != cell.recurrent.shape[1]:
        return None
    return replace(cell, recurrent=_each(cell.recurrent, np.transpose))


def _kernel_transposed(cell: Cell) -> Cell | None:
    if cell.kernel.shape[0] != cell.kernel.shape[1]:
        return None
    return replace(cell, kernel=_each(cell.kernel, np.transpose))


def _h_before_x(cell: Cell) -> Cell | None:
    rows = {gate: np.concatenate([cell.kernel[gate], cell.recurrent[gate]]) for gate in cell.GATES}
    h = cell.output_size
    return replace(
        cell,
        recurrent=GateBlocks.of({gate: block[:h] for gate, block in rows.items()}),
        kernel=GateBlocks.of({gate: block[h:] for gate, block in rows.items()}),
    )


def _activation_exchanged(cell: Cell) -> Cell | None:
    other = "relu" if cell.activation.value == "tanh" else "tanh"
    return replace(cell, activation=replace(cell.activation, value=other))


def _gate_activation_exchanged(cell: Cell) -> Cell | None:
    other = "hard_sigmoid" if cell.gate_activation.value == "sigmoid" else "sigmoid"
    return replace(cell, gate_activation=replace(cell.gate_activation, value=other))


def _peephole_dropped(cell: Cell) -> Cell | None:
    return None if cell.peephole is None else replace(cell, peephole=None)


def _peephole_permuted(cell: Cell) -> Cell | None:
    if cell.peephole is None:
        return None
    # i, o, f read as i, f, o: ONNX's order taken for TensorFlow's
    return replace(cell, peephole=cell.peephole.renamed({"f": "o", "o": "f"}))


def _peephole_rotated(cell: Cell) -> Cell | None:
    if cell.peephole is None:
        return None
    return replace(cell, peephole=cell.peephole.renamed({"i": "f", "f": "o", "o": "i"}))


def _cell_clip_dropped(cell: Cell) -> Cell | None:
    if cell.cell_clip.value is None:
        return None
    return replace(cell, cell_clip=replace(cell.cell_clip, value=None))


def _proj_clip_dropped(cell: Cell) -> Cell | None:
    if cell.proj_clip.value is None:
        return None
    return replace(cell, proj_clip=replace(cell.proj_clip, value=None))


def _projection_transposed(cell: Cell) -> Cell | None:
    if cell.projection is None or cell.units != cell.output_size:
        return None
    turned = np.transpose(cell.projection.load())
    return replace(cell, projection=InMemory("projection", turned))


def _projection_dropped(cell: Cell) -> Cell | None:
    if cell.projection is None or cell.units != cell.output_size:
        return None
    return replace(cell, projection=None)


CONSTANT_FAULTS: tuple[CellFault, ...] = (
    CellFault("forget bias dropped", "with forget_bias = 0", _forget_dropped),
    CellFault("forget bias doubled", "with its forget bias added twice", _forget_doubled),
    CellFault("forget bias too large by 1", "with forget_bias + 1", _forget_added),
    CellFault("bias dropped", "without its bias", _bias_dropped),
    CellFault("bias doubled", "with its bias added twice", _bias_doubled),
    CellFault(
        "recurrent kernel transposed", "with recurrent kernels transposed", _recurrent_transposed
    ),
    CellFault("kernel transposed", "with kernels transposed", _kernel_transposed),
    CellFault("[h; x] taken for [x; h]", "with kernel rows read as [h; x]", _h_before_x),
    CellFault("activation exchanged", "with another activation", _activation_exchanged),
    CellFault(
        "gate activation exchanged", "with another gate activation", _gate_activation_exchanged
    ),
    CellFault("peephole dropped", "without peepholes", _peephole_dropped),
    CellFault(
        "peephole f and o exchanged", "with peepholes f and o exchanged", _peephole_permuted
    ),
    CellFault("peephole rotated", "with peepholes rotated", _peephole_rotated),
    CellFault("cell clip dropped", "without cell_clip", _cell_clip_dropped),
    CellFault("projection clip dropped", "without proj_clip", _proj_clip_dropped),
    CellFault("projection transposed", "with its projection transposed", _projection_transposed),
    CellFault("projection dropped", "without its projection", _projection_dropped),
)
