"""Float64 that errs as an arithmetic of fewer bits would."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.arrays import SMALLEST_NORMAL, UNIT_ROUNDING, Float64, Rounding
from lstmbridge.verify.noise import CONSTANT

EXACT = Float64()


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
def test_the_unit_is_half_the_distance_from_one_to_the_next_number(precision):
    assert UNIT_ROUNDING[precision] == np.finfo(precision).eps / 2


@pytest.mark.parametrize("word", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("precision", UNIT_ROUNDING)
def test_elementwise_results_err_by_at_most_two_units_and_seldom_not_at_all(word, precision):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, 5000), rng.uniform(3, 4, 5000)
    exact = getattr(EXACT, word)(a, b)
    off = np.abs(getattr(Rounding(precision, 1), word)(a, b) - exact) / np.abs(exact)
    unit = UNIT_ROUNDING[precision]
    # an error of the float64 in which the simulation itself is run
    assert off.max() <= 2 * unit + 2.0**-52
    assert off.mean() > unit / 2


@pytest.mark.parametrize("word", ["minimum", "maximum"])
def test_choosing_is_exact(word):
    a, b = np.random.default_rng(0).normal(size=(2, 100))
    assert np.array_equal(getattr(Rounding("float16", 1), word)(a, b), getattr(EXACT, word)(a, b))


def test_relu_split_and_concat_are_exact():
    a = np.random.default_rng(0).normal(size=(3, 8))
    ops = Rounding("float16", 1)
    assert np.array_equal(ops.relu(a), EXACT.relu(a))
    assert np.array_equal(ops.concat(ops.split(a, [3, 5])), a)


def test_a_dot_product_errs_by_the_sum_of_its_absolute_products():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 60)), rng.normal(size=(60, 30))
    unit = UNIT_ROUNDING["float32"]
    off = np.abs(Rounding("float32", 1).matmul(a, b) - a @ b)
    bound = unit * (np.abs(a) @ np.abs(b)) + 2 * unit * np.abs(a @ b)
    assert (off <= 1.01 * bound).all()
    assert off.max() > 0.3 * bound.max()


@pytest.mark.parametrize("terms", [1, 30, 300, 3000])
def test_real_float32_products_err_as_simulated_ones_do_to_within_the_verifiers_constant(terms):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(50, terms)).astype("f4"), rng.normal(size=(terms, 40)).astype("f4")
    exact = a.astype(float) @ b.astype(float)
    real = np.abs(a @ b - exact)
    simulated = np.abs(Rounding("float32", 1).matmul(a.astype(float), b.astype(float)) - exact)
    assert real.max() < CONSTANT * simulated.max()


def test_a_sigmoid_errs_by_units_of_one_even_where_it_is_nearly_zero():
    x = np.full(2000, -20.0)
    off = np.abs(Rounding("float32", 1).sigmoid(x) - EXACT.sigmoid(x))
    unit = UNIT_ROUNDING["float32"]
    assert unit < off.max() <= 2 * unit


def test_the_same_seed_gives_the_same_errors_and_another_seed_others():
    a = np.ones(50)
    one, again, other = (Rounding("float32", s).tanh(a) for s in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_constants_are_exact():
    assert Rounding("float16", 1).constant(np.array([0.1])).tolist() == [0.1]


def test_weights_that_alternate_are_each_given_their_own_spread():
    ops, exact = Rounding("float32", 1), np.ones((1, 4))
    small, large, huge = (np.full((4, 2), 10.0**k) for k in (0, 6, 9))
    for _ in range(3):
        for b in (small, large, huge):
            relative = np.abs(ops.matmul(exact, b) - exact @ b) / (exact @ b)
            assert 0 < relative.max() < 4 * UNIT_ROUNDING["float32"]


@pytest.mark.parametrize(
    "word", ["exp", "sqrt", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "mean"]
)
def test_every_function_errs_and_by_little(word):
    a = np.random.default_rng(0).uniform(0.5, 2.0, (40, 40))
    exact = getattr(EXACT, word)(a)
    off = np.abs(getattr(Rounding("float32", 1), word)(a) - exact)
    unit = UNIT_ROUNDING["float32"]
    assert 0 < off.max() <= 4 * unit * max(1.0, np.abs(exact).max())


def test_a_tanh_errs_by_three_units_of_its_value():
    x = np.full(2000, 1e-3)
    off = np.abs(Rounding("float32", 1).tanh(x) / EXACT.tanh(x) - 1.0)
    unit = UNIT_ROUNDING["float32"]
    assert 2.5 * unit < off.max() <= 3 * unit + 2.0**-52


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_numbers_below_the_smallest_normal_err_by_units_of_it(precision):
    least, unit = SMALLEST_NORMAL[precision], UNIT_ROUNDING[precision]
    a = np.full(2000, least * 1e-9)
    off = np.abs(Rounding(precision, 1).add(a, np.zeros(1)) - a)
    assert 1.5 * unit * least < off.max() <= 2.01 * unit * least


def test_an_exact_zero_stays_zero():
    zeros = np.zeros((3, 4))
    assert not Rounding("float32", 1).mul(zeros, zeros).any()


def test_infinities_stay_infinite():
    assert np.isinf(Rounding("float16", 1).add(np.full(50, np.inf), np.ones(1))).all()
