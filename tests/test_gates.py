"""Gate algebra: blocks are views, and nothing is lost between split and join."""

from __future__ import annotations

from itertools import permutations

import ml_dtypes
import numpy as np
import pytest

from lstmbridge import gates
from lstmbridge.gates import (
    KERAS_LSTM,
    ONNX_GRU,
    ONNX_LSTM,
    ORDERS,
    PYTORCH_GRU,
    PYTORCH_LSTM,
    TENSORFLOW_LSTM,
    Cut,
    GateBlocks,
    GateOrder,
    InMemory,
)

ALL_ORDERS = [o for known in ORDERS.values() for orders in known.values() for o in orders]
DTYPES = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


class Counting:
    """A stored tensor that counts how often its bytes are asked for."""

    name, dtype = "kernel", np.dtype(np.float32)

    def __init__(self, *shape):
        self.shape, self.loads = shape, 0

    def load(self):
        self.loads += 1
        return np.zeros(self.shape, np.float32)


@pytest.fixture
def kernel():
    bits = np.random.default_rng(0).integers(0, 2**32, (7, 8), dtype=np.uint32)
    return bits.view(np.float32)


def test_known_orders_are_those_of_their_frameworks():
    assert str(TENSORFLOW_LSTM) == "i, c, f, o"
    assert str(KERAS_LSTM) == str(PYTORCH_LSTM) == "i, f, c, o"
    assert str(ONNX_LSTM) == "i, o, f, c"
    assert ONNX_LSTM.index("f") == 2
    assert str(PYTORCH_GRU) == "r, z, c"
    assert str(ONNX_GRU) == "z, r, c"


def test_no_known_order_names_a_gate_twice():
    for order in ALL_ORDERS:
        assert len(set(order.gates)) == len(order.gates)


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("ifco")])
def test_split_and_join_give_back_every_bit_in_all_orders(kernel, order):
    known = GateOrder("", tuple(order))
    blocks = GateBlocks.from_fused(InMemory("k", kernel), known)
    assert blocks.gates == tuple(order)
    assert blocks.join(known).tobytes() == kernel.tobytes()


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("ifco")])
def test_reordering_there_and_back_gives_back_every_bit(kernel, order):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), TENSORFLOW_LSTM)
    there = GateBlocks.from_fused(InMemory("k", blocks.join(order)), GateOrder("", tuple(order)))
    assert there.join(TENSORFLOW_LSTM).tobytes() == kernel.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_block_keeps_the_stored_dtype(dtype):
    blocks = GateBlocks.from_fused(InMemory("b", np.ones(8, dtype)), KERAS_LSTM)
    assert blocks.dtype == blocks["f"].dtype == dtype


def test_each_gate_is_the_right_columns(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), TENSORFLOW_LSTM)
    for k, gate in enumerate("icfo"):
        assert blocks[gate].tobytes() == kernel[:, 2 * k : 2 * k + 2].tobytes()


def test_rows_of_x_and_rows_of_h_are_cut_apart(kernel):
    stored = InMemory("k", kernel)
    x = GateBlocks.from_fused(stored, TENSORFLOW_LSTM, slice(0, 5))
    h = GateBlocks.from_fused(stored, TENSORFLOW_LSTM, slice(5, 7))
    assert (x.shape, h.shape) == ((5, 2), (2, 2))
    for gate in "ifco":
        both = np.concatenate([x[gate], h[gate]])
        whole = GateBlocks.from_fused(stored, TENSORFLOW_LSTM)[gate]
        assert both.tobytes() == whole.tobytes()


def test_blocks_are_views_of_the_stored_kernel(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), TENSORFLOW_LSTM, slice(0, 5))
    for gate in blocks:
        assert np.shares_memory(blocks[gate], kernel)


def test_a_view_cannot_write_into_the_source(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), TENSORFLOW_LSTM)
    with pytest.raises(ValueError, match="read-only"):
        blocks["i"][0, 0] = 1.0
    assert kernel.flags.writeable


def test_shapes_are_known_without_reading_a_number():
    stored = Counting(6, 12)
    blocks = GateBlocks.from_fused(stored, KERAS_LSTM, slice(2, 6))
    assert (blocks.shape, blocks.dtype, blocks.cut("o").shape) == ((4, 3), np.float32, (4, 3))
    assert repr(blocks) == "GateBlocks(i, f, c, o: (4, 3) float32)"
    blocks.renamed({"i": "f", "f": "i"})
    assert "o" in blocks
    assert "z" not in blocks
    assert stored.loads == 0
    assert blocks["o"].shape == (4, 3)
    assert stored.loads == 1


def test_a_cut_says_which_piece_it_is():
    cut = Cut(Counting(6, 12), (slice(0, 2), slice(3, 6)))
    assert cut.name == "kernel[0:2, 3:6]"


def test_renaming_exchanges_blocks_and_moves_no_number(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), TENSORFLOW_LSTM)
    swapped = blocks.renamed({"i": "o", "o": "i"})
    assert swapped["i"].tobytes() == blocks["o"].tobytes()
    assert swapped["o"].tobytes() == blocks["i"].tobytes()
    assert swapped["f"].tobytes() == blocks["f"].tobytes()
    assert np.shares_memory(swapped["i"], kernel)
    assert swapped.renamed({"i": "o", "o": "i"}).join("icfo").tobytes() == kernel.tobytes()


def test_gates_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"k \(3, 7\) does not divide into 4 gates"):
        GateBlocks.from_fused(InMemory("k", np.zeros((3, 7))), KERAS_LSTM)


def test_blocks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        GateBlocks.of({"i": np.zeros(3), "f": np.zeros(4)})


def test_no_blocks_at_all_are_refused():
    with pytest.raises(ValueError, match="at least one gate"):
        GateBlocks({})


def test_a_gate_that_is_not_there_is_a_key_error(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), KERAS_LSTM)
    with pytest.raises(KeyError):
        blocks["z"]
    assert len(blocks) == 4
    assert list(blocks) == list("ifco")


def test_joining_on_the_first_axis_stacks_rows(kernel):
    blocks = GateBlocks.from_fused(InMemory("k", kernel), KERAS_LSTM)
    assert blocks.join("ifco", axis=0).shape == (28, 2)


def test_a_frameworks_own_letters_stand_for_as_many_gates():
    for order in ALL_ORDERS:
        assert len(order.letters) == len(order.gates)
    assert PYTORCH_LSTM.letter("c") == "g"
    assert ONNX_GRU.letter("c") == "h"
    assert ONNX_GRU.letter("o") == "o"


def test_every_gate_of_every_known_order_has_a_name():
    for order in ALL_ORDERS:
        assert set(order.gates) <= set(gates.GATE_NAMES)
