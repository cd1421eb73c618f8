"""The algebra that targets use is exact: what it makes computes what the cell computes."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import GRU, LSTM, NAS, CoupledLSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.folding import (
    derived_blocks,
    forget_bias_of,
    gate_block,
    negated_gates,
    projected_gate,
)
from lstmbridge.model.forward import forward


def as_lstm(cell: CoupledLSTM) -> LSTM:
    """The coupled cell as an LSTM of four gates; what is added at run time goes into the bias."""

    def blocks(field):
        gates = "ifo" if field == "peephole" else "ifco"
        return GateBlocks.of({g: gate_block(cell, field, g).astype(np.float64) for g in gates})

    biases = blocks("bias")
    return LSTM(
        kernel=blocks("kernel"),
        recurrent=blocks("recurrent"),
        bias=GateBlocks.of({g: biases[g] + forget_bias_of(cell, g) for g in "ifco"}),
        forget_bias=Fact.given(0.0, "test"),
        activation=cell.activation,
        gate_activation=Fact.given("sigmoid", "test"),
        cell_clip=Fact.given(None, "test"),
        proj_clip=cell.proj_clip,
        peephole=blocks("peephole"),
        projection=cell.projection,
    )


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("projection", [0, 2])
def test_a_coupled_cell_is_an_lstm_whose_input_gate_has_the_signs_turned(
    networks, scale, projection
):
    cell = networks.cell(CoupledLSTM, scale=scale, projection=projection, without=())
    feeds = {
        "inputs": networks.numbers(4, 30, 3),
        "initial_layer0_h": networks.numbers(4, projection or 4),
        "initial_layer0_c": networks.numbers(4, 4),
    }
    got, expected = (forward(Model("", Recurrent(one)), feeds) for one in (as_lstm(cell), cell))
    for name, values in expected.items():
        # 1 - sigmoid(a) is sigmoid(-a) but for the rounding of float64
        assert np.abs(got[name] - values).max() < 1e-9, name


def test_turning_signs_costs_no_bit_and_no_copy_of_other_gates(networks):
    cell = networks.cell(CoupledLSTM, without=())
    for field in ("kernel", "recurrent", "bias", "peephole"):
        assert np.array_equal(gate_block(cell, field, "i"), -getattr(cell, field)["f"])
        assert gate_block(cell, field, "o").base is getattr(cell, field)["o"].base
    assert gate_block(cell, "peephole", "c") is None
    assert gate_block(cell, "gain", "i") is None


def test_the_forget_bias_goes_into_both_gates_with_opposite_signs(networks):
    cell = networks.cell(CoupledLSTM, forget_bias=1.5)
    assert [forget_bias_of(cell, gate) for gate in "ifco"] == [-1.5, 1.5, 0.0, 0.0]
    assert [forget_bias_of(networks.cell(LSTM), gate) for gate in "ico"] == [0.0] * 3
    assert forget_bias_of(networks.cell(GRU), "z") == 0.0
    none = forget_bias_of(networks.cell(CoupledLSTM, forget_bias=0.0), "i")
    assert str(none) == "0.0"


def test_projected_weights_see_the_unprojected_output(networks):
    for kind in (LSTM, CoupledLSTM):
        cell = networks.cell(kind, units=5, projection=2)
        product = cell.projection.load().astype(float) @ cell.recurrent["o"].astype(float)
        assert np.array_equal(projected_gate(cell, "o"), product)
    turned = projected_gate(networks.cell(CoupledLSTM, units=5, projection=2), "i")
    assert turned.shape == (5, 5)
    with pytest.raises(ValueError, match="no projection"):
        projected_gate(networks.cell(LSTM), "i")


def test_a_cell_that_is_said_as_it_is_has_no_derived_blocks(networks):
    for kind in (LSTM, GRU, NAS):
        assert not list(derived_blocks(networks.cell(kind)))
        assert not negated_gates(networks.cell(kind))


def test_derived_blocks_are_named_with_what_they_stand_for(networks):
    cell = networks.cell(CoupledLSTM, projection=2, without=("peephole",))
    found = {(one.block, one.gate): one.stands_for for one in derived_blocks(cell)}
    assert found == {
        **{("recurrent_folded", gate): "recurrent" for gate in "fcoi"},
        **{(block, "i"): "" for block in ("kernel", "recurrent", "bias", "forget_bias")},
    }
    assert all(one.is_copy == (one.stands_for == "") for one in derived_blocks(cell))


def test_every_field_of_a_cell_is_looked_at(networks):
    """A copy of a gate is a copy in every block that has the gate, whatever it is called."""
    cell = networks.cell(CoupledLSTM, without=())
    per_gate = {f.name for f in fields(cell) if isinstance(getattr(cell, f.name), GateBlocks)}
    copied = {one.block for one in derived_blocks(cell)}
    assert copied == per_gate | {"forget_bias"}
    assert "bias" not in {one.block for one in derived_blocks(replace(cell, bias=None))}
