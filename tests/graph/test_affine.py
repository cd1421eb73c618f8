"""Tensors as affine functions of rows: by the graph's own operations, run on weights."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.graph.affine import Affine
from lstmbridge.graph.network import Network, Op
from lstmbridge.graph.rows import Opaque, Piece, Scalar, columns_of, sum_of
from lstmbridge.graph.trace import Tracer

DRAW = np.random.default_rng(4)
NUMBERS = {"kernel": DRAW.normal(size=(5, 8)), "bias": DRAW.normal(size=8)}


class Held:
    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape = self.array.shape

    def load(self):
        return self.array


def const(name, value, dtype=np.float32):
    return Op(name, "Const", (), {"value": Held(value), "dtype": np.dtype(dtype)})


def variable(name):
    return Op(name, "VariableV2", (), {"shape": NUMBERS[name].shape})


def op(name, kind, *inputs, **attrs):
    return Op(name, kind, tuple((i, 0) if isinstance(i, str) else i for i in inputs), attrs)


def affine_of(*ops):
    known = [variable("kernel"), variable("bias"), const("axis", 1, np.int32)]
    known += [op("x", "Placeholder"), op("h", "Placeholder")]
    network = Network({one.name: one for one in (*known, *ops)}, (), "a test")
    found = Affine(Tracer(network), lambda asked: NUMBERS[asked.name])
    found.widths["h", 0] = 2
    return found


GATES = (
    op("joined", "ConcatV2", "x", "h", "axis"),
    op("product", "MatMul", "joined", "kernel"),
    op("sum", "BiasAdd", "product", "bias"),
)


def test_a_product_of_things_side_by_side_is_a_sum_of_products():
    (piece,) = affine_of(*GATES).row(("sum", 0))
    np.testing.assert_array_equal(piece.parts["x", 0], NUMBERS["kernel"][:3])
    np.testing.assert_array_equal(piece.parts["h", 0], NUMBERS["kernel"][3:])
    np.testing.assert_array_equal(piece.base, NUMBERS["bias"])


def test_what_is_cut_out_of_a_product_has_the_weights_of_its_columns():
    split = op("split", "Split", "axis", "sum", num_split=4)
    (piece,) = affine_of(*GATES, split).row(("split", 2))
    np.testing.assert_array_equal(piece.parts["x", 0], NUMBERS["kernel"][:3, 4:6])
    assert piece.width == 2


def test_a_number_that_is_added_stays_apart_from_the_bias():
    one = (const("one", 1.0), op("more", "AddV2", "sum", "one"))
    (piece,) = affine_of(*GATES, *one).row(("more", 0))
    assert piece.scalars == (Scalar("add", 1.0, "one"),)
    np.testing.assert_array_equal(piece.base, NUMBERS["bias"])
    np.testing.assert_array_equal(piece.settled().base, NUMBERS["bias"] + 1.0)


def test_a_number_that_multiplies_stays_apart_from_the_weights():
    half = (const("half", 0.5), op("less", "Mul", "half", "sum"))
    (piece,) = affine_of(*GATES, *half).row(("less", 0))
    np.testing.assert_array_equal(piece.parts["h", 0], NUMBERS["kernel"][3:])
    np.testing.assert_array_equal(piece.settled().parts["h", 0], NUMBERS["kernel"][3:] / 2)


def test_a_product_of_two_rows_is_a_tensor_of_its_own():
    (piece,) = affine_of(op("both", "Mul", "x", "h")).row(("both", 0))
    assert piece.parts == {("both", 0): None}


def test_a_sum_of_two_rows_without_weights_is_a_tensor_of_its_own():
    (piece,) = affine_of(op("both", "AddV2", "x", "h")).row(("both", 0))
    assert list(piece.parts) == [("both", 0)]


def test_a_mask_of_ones_changes_nothing():
    ones = (op("ones", "OnesLike", "x"), op("kept", "Mul", "x", "ones"))
    assert list(affine_of(*ones).row(("kept", 0))[0].parts) == [("x", 0)]


def test_rows_that_are_cut_differently_are_added_column_by_column():
    a = (Piece({("x", 0): np.ones((3, 2))}, width=2), Piece({("h", 0): np.ones((2, 2))}, width=2))
    b = (Piece({("h", 0): np.full((2, 4), 5.0)}, width=4),)
    low, high = sum_of(a, b)
    assert set(low.parts) == {("x", 0), ("h", 0)}
    np.testing.assert_array_equal(high.parts["h", 0], np.full((2, 2), 6.0))


def test_columns_that_are_not_there_are_refused():
    with pytest.raises(Opaque):
        columns_of((Piece({("x", 0): np.ones((3, 2))}, width=2),), 1, 4)
