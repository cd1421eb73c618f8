"""All faults that a model can have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import Cell
from lstmbridge.verify.faults.cells import CellFault, equal_cells, other_faults
from lstmbridge.verify.faults.fault import Fault, runs, with_cells
from lstmbridge.verify.faults.gate_order import orders, swaps
from lstmbridge.verify.faults.networks import beginning_faults, layer_faults, time_faults
from lstmbridge.verify.faults.steps import step_faults
from lstmbridge.verify.faults.structure import structure_faults


def planted_faults(model: Model, input_names: Iterable[str]) -> list[Fault]:
    """The faults that a verification must be able to catch.

    Args:
        model: the right network.
        input_names: what can be fed; faults that need more do not exist.
    """
    fed = set(input_names)
    faults = [
        *_in_all_layers(model, [*swaps(_cells(model)), *other_faults()]),
        *step_faults(model),
        *layer_faults(model),
        *time_faults(model),
        *beginning_faults(model),
        *structure_faults(model),
    ]
    return [fault for fault in faults if fed.issuperset(fault.needs)]


def explanations(model: Model, input_names: Iterable[str]) -> list[Fault]:
    """All of `planted_faults`, and rarer mistakes that only a diagnosis asks about."""
    return [*planted_faults(model, input_names), *_in_all_layers(model, orders(_cells(model)))]


def _in_all_layers(model: Model, faults: Iterable[CellFault]) -> Iterator[Fault]:
    for fault in faults:
        wrong: dict[str, Cell] = {}
        idle = True
        for layer in model.layers:
            cell = fault.change(layer.cell)
            if cell is not None:
                wrong[layer.name] = cell
                idle = idle and equal_cells(layer.cell, cell)
        if wrong:
            planted = with_cells(model, partial(_chosen, wrong))
            yield Fault(fault.name, fault.explains, runs(planted), idle=idle)


def _cells(model: Model) -> list[Cell]:
    return [layer.cell for layer in model.layers]


def _chosen(wrong: Mapping[str, Cell], layer: Layer) -> Cell:
    return wrong.get(layer.name, layer.cell)
