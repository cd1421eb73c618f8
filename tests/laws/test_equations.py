"""Identities that cells keep whatever their weights: found by no example, held by all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmbridge.gates import ORDERS, GateBlocks, GateOrder, InMemory
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import GRU, LSTM, NAS, RNN, UGRNN, CoupledLSTM, IndyLSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.folding import projected_gate
from lstmbridge.model.forward import forward

KINDS = [LSTM, GRU, RNN, UGRNN, CoupledLSTM, IndyLSTM, NAS]
ALL_ORDERS = [o for known in ORDERS.values() for orders in known.values() for o in orders]


def alone(cell):
    return Model("", Recurrent(cell))


def near(a, b):
    return all(np.allclose(a[k], b[k], rtol=0, atol=1e-12) for k in a.keys() | b.keys())


@settings(deadline=None, max_examples=60)
@given(
    order=st.sampled_from(ALL_ORDERS),
    rows=st.integers(1, 5),
    units=st.integers(1, 4),
    bits=st.integers(0, 2**32 - 1),
)
def test_split_then_join_is_the_identity_on_every_bit(order, rows, units, bits):
    shape = (rows, units * len(order.gates))
    raw = np.random.default_rng(bits).integers(0, 2**32, shape, dtype=np.uint32)
    fused = raw.view(np.float32)
    blocks = GateBlocks.from_fused(InMemory("k", fused), order)
    assert blocks.join(order).tobytes() == fused.tobytes()
    for cut in range(rows + 1):
        parts = [slice(0, cut), slice(cut, rows)]
        halves = [GateBlocks.from_fused(InMemory("k", fused), order, p).join(order) for p in parts]
        assert np.concatenate(halves).tobytes() == fused.tobytes()


@settings(deadline=None, max_examples=40)
@given(there=st.permutations("ifco"), back=st.permutations("ifco"))
def test_reordering_is_a_group(there, back):
    fused = np.arange(24.0).reshape(2, 12)
    blocks = GateBlocks.from_fused(InMemory("k", fused), GateOrder("", tuple(there)))
    moved = GateBlocks.from_fused(InMemory("m", blocks.join(back)), GateOrder("", tuple(back)))
    assert np.array_equal(moved.join(there), fused)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.KIND)
def test_rows_do_not_see_each_other(networks, kind):
    model = networks.stack(kind)
    x = networks.numbers(5, 4, 3)
    whole = forward(model, {"inputs": x})
    order = [3, 0, 4, 1, 2]
    turned = forward(model, {"inputs": x[order]})
    assert near({k: v[order] for k, v in whole.items()}, turned)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.KIND)
def test_what_comes_later_changes_nothing_before(networks, kind):
    model = networks.stack(kind)
    x = networks.numbers(2, 6, 3)
    later = x.copy()
    later[:, 4:] += 1.0
    a, b = (forward(model, {"inputs": v})["outputs"] for v in (x, later))
    assert np.array_equal(a[:, :4], b[:, :4])
    assert not np.array_equal(a[:, 4:], b[:, 4:])


def permuted(cell, order):
    """The same cell with its units in another order."""
    blocks = {}
    for name, stored in cell.blocks.items():
        columns = {g: stored[g][..., order] for g in stored}
        if name == "recurrent":
            columns = {g: block[order] for g, block in columns.items()}
        blocks[name] = GateBlocks.of(columns)
    return replace(cell, **blocks)


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN, UGRNN, CoupledLSTM, NAS], ids=lambda k: k.KIND)
def test_the_names_of_units_do_not_matter(networks, kind):
    cell = networks.cell(kind, without=("recurrent_bias",))
    order = [2, 0, 3, 1]
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    right, turned = forward(alone(cell), feeds), forward(alone(permuted(cell, order)), feeds)
    assert near({k: v[..., order] for k, v in right.items()}, turned)


def test_a_forget_bias_is_a_bias_of_the_forget_gate(networks):
    cell = networks.cell(dtype=np.float64, forget_bias=1.0)
    stored = {g: cell.bias[g] + (1.0 if g == "f" else 0.0) for g in cell.GATES}
    folded = replace(cell, bias=GateBlocks.of(stored), forget_bias=Fact.given(0.0, ""))
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    assert near(forward(alone(cell), feeds), forward(alone(folded), feeds))


def test_a_projection_can_be_folded_into_the_recurrent_kernel(networks):
    cell = networks.cell(units=5, projection=2)
    folded = replace(
        cell,
        recurrent=GateBlocks.of({g: projected_gate(cell, g) for g in cell.GATES}),
        projection=None,
    )
    feeds = {"inputs": networks.numbers(2, 6, 3)}
    right, bare = forward(alone(cell), feeds), forward(alone(folded), feeds)
    assert np.allclose(bare["outputs"] @ cell.projection.load(), right["outputs"], atol=1e-12)
    assert np.allclose(bare["layer0_c"], right["layer0_c"], atol=1e-12)


def test_peepholes_of_zero_and_wide_clips_are_none(networks):
    cell = networks.cell(without=())
    zeros = GateBlocks.of({g: np.zeros(4, np.float32) for g in "ifo"})
    open_ = replace(cell, peephole=zeros, cell_clip=Fact.given(1e9, ""))
    bare = replace(cell, peephole=None)
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    assert near(forward(alone(open_), feeds), forward(alone(bare), feeds))


def test_a_clipped_cell_never_leaves_its_bounds_and_reaches_them(networks):
    cell = networks.cell(cell_clip=0.2, scale=4.0)
    found = forward(alone(cell), {"inputs": networks.numbers(20, 8, 3, scale=2.0)})
    assert np.abs(found["layer0_c"]).max() == 0.2


def test_where_the_reset_is_open_before_and_after_are_the_same(networks):
    cell = networks.cell(GRU)
    full = {g: np.full(4, 60.0) if g == "r" else cell.bias[g] for g in cell.GATES}
    before = replace(cell, bias=GateBlocks.of(full))
    after = replace(before, reset_after=Fact.given(True, ""))
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    assert near(forward(alone(before), feeds), forward(alone(after), feeds))


@pytest.mark.parametrize(("kind", "gate"), [(GRU, "z"), (UGRNN, "g")], ids=["GRU", "UGRNN"])
def test_an_update_gate_that_is_open_keeps_the_state_forever(networks, kind, gate):
    cell = networks.cell(kind)
    stuck = {g: np.full(4, 80.0) if g == gate else cell.bias[g] for g in cell.GATES}
    cell = replace(cell, bias=GateBlocks.of(stuck))
    state = networks.numbers(2, 4)
    found = forward(alone(cell), {"inputs": networks.numbers(2, 9, 3), "initial_layer0_h": state})
    assert np.allclose(found["layer0_h"], state, rtol=0, atol=1e-12)


def test_coupled_gates_are_an_lstm_whose_input_gate_is_one_minus_the_forget_gate(networks):
    cell = networks.cell(CoupledLSTM, dtype=np.float64)
    # sigmoid(-a) = 1 - sigmoid(a)
    turned = {
        name: GateBlocks.of({**{g: stored[g] for g in "fco"}, "i": -stored["f"]})
        for name, stored in cell.blocks.items()
    }
    bias = dict(turned.pop("bias"))
    bias["i"] = bias["i"] - cell.forget_bias.value
    lstm = replace(networks.cell(LSTM), **turned, bias=GateBlocks.of(bias))
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    assert near(forward(alone(cell), feeds), forward(alone(lstm), feeds))
