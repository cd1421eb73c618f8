"""Rarer mistakes that only a diagnosis asks about: in one layer alone, and two at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import LSTM, Cell
from lstmbridge.model.folding import forget_bias_of
from lstmbridge.verify.faults.cells import CellFault, equal_cells, other_faults
from lstmbridge.verify.faults.fault import Fault, runs, with_cells
from lstmbridge.verify.faults.gate_order import orders, swaps

_MOST_LAYERS = 8
"""Deeper stacks are not searched layer by layer."""
_OFTEN_TOGETHER = frozenset({
    "forget bias dropped",
    "forget bias doubled",
    "bias dropped",
    "bias doubled",
    "recurrent kernel transposed",
    "[h; x] taken for [x; h]",
    "reset before and after the product exchanged",
})  # fmt: skip
"""What goes wrong beside the order of gates in the same few lines of a conversion."""


def _whole_bias(cell: Cell) -> Cell | None:
    """The forget bias made part of the bias, as converters do it before anything else."""
    if not isinstance(cell, LSTM) or not cell.forget_bias.value:
        return None
    zeros = np.zeros(cell.units)
    bias = {
        g: (zeros if cell.bias is None else cell.bias[g].astype(np.float64))
        + forget_bias_of(cell, g)
        for g in cell.GATES
    }
    nothing = replace(cell.forget_bias, value=0.0)
    return replace(cell, bias=GateBlocks.of(bias), forget_bias=nothing)


def _with_whole_bias(fault: CellFault, cell: Cell) -> Cell | None:
    whole = _whole_bias(cell)
    return None if whole is None else fault.change(whole)


def folded(cells: Sequence[Cell]) -> Iterator[CellFault]:
    """Mistakes made after the forget bias was added to the bias, which take it along."""
    doubled = (fault for fault in other_faults() if fault.name == "bias doubled")
    for fault in (*doubled, *swaps(cells), *orders(cells)):
        yield CellFault(
            f"{fault.name}, forget bias and all",
            f"{fault.explains}, the forget bias with them",
            partial(_with_whole_bias, fault),
        )


def after_folding(model: Model, _input_names: Iterable[str]) -> Iterator[Fault]:
    """`folded`, in all layers."""
    for fault in folded([layer.cell for layer in model.layers]):
        wrong = {x.name: fault.change(x.cell) for x in model.layers}
        if any(cell is not None for cell in wrong.values()):
            planted = with_cells(model, partial(_any_of, wrong))
            yield Fault(fault.name, fault.explains, runs(planted))


def single_layers(model: Model, _input_names: Iterable[str]) -> Iterator[Fault]:
    """Each fault of cells in one layer alone; nothing for a single layer."""
    layers = model.layers
    if not 1 < len(layers) <= _MOST_LAYERS:
        return
    cells = [layer.cell for layer in layers]
    for fault in (*swaps(cells), *other_faults(), *orders(cells), *folded(cells)):
        for layer in layers:
            wrong = fault.change(layer.cell)
            if wrong is not None and not equal_cells(layer.cell, wrong):
                planted = with_cells(model, partial(_only, layer.name, wrong))
                text = f"{fault.explains}, in {layer.name} alone"
                yield Fault(f"{fault.name} in {layer.name}", text, runs(planted))


def pairs(model: Model, _input_names: Iterable[str]) -> Iterator[Fault]:
    """Gates in another order, and one more mistake in the same layers."""
    cells = [layer.cell for layer in model.layers]
    beside = [fault for fault in other_faults() if fault.name in _OFTEN_TOGETHER]
    for order, other in product((*swaps(cells), *orders(cells)), beside):
        wrong = {x.name: _both(order, other, x.cell) for x in model.layers}
        if any(cell is not None for cell in wrong.values()):
            planted = with_cells(model, partial(_any_of, wrong))
            text = f"{order.explains} and {other.explains}"
            yield Fault(f"{order.name} and {other.name}", text, runs(planted))


def _both(order: CellFault, other: CellFault, cell: Cell) -> Cell | None:
    one = other.change(cell)
    if one is None or equal_cells(cell, one):
        return None
    return order.change(one)


def _only(name: str, wrong: Cell, layer: Layer) -> Cell:
    return wrong if layer.name == name else layer.cell


def _any_of(wrong: dict[str, Cell | None], layer: Layer) -> Cell:
    return wrong.get(layer.name) or layer.cell
