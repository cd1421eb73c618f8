"""Shape, dtype and finiteness first, then ``ok = difference <= allowed``."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.verify.compare import compare, compare_outputs, passes, ratio_of, worst_of

EXPECTED = np.arange(6.0).reshape(2, 3)
ALLOWED = np.asarray(0.1)


def against(actual, expected=EXPECTED, allowed=ALLOWED, dtype=None):
    return compare(np.asarray(actual), expected, allowed, dtype, "probe")


def test_equal_values_pass_and_are_counted():
    found = against(EXPECTED)
    assert passes(found)
    assert found.comparisons == 6
    assert found.max_abs == found.ratio == 0.0


def test_the_worst_place_is_found_relative_to_what_is_allowed_there():
    allowed = np.array([[1.0, 1.0, 1.0], [1.0, 0.01, 1.0]])
    off = np.array([[0.5, 0.0, 0.0], [0.0, 0.02, 0.0]])
    found = against(EXPECTED + off, allowed=allowed)
    assert found.worst_index == (1, 1)
    assert found.ratio == pytest.approx(2.0)
    assert found.allowed == 0.01
    assert found.max_abs == 0.5
    assert not passes(found)


def test_exactly_what_is_allowed_passes():
    assert passes(against(EXPECTED + 0.25, allowed=np.asarray(0.25)))


@pytest.mark.parametrize(
    "actual",
    [
        EXPECTED[:1],
        EXPECTED[..., None],
        EXPECTED.ravel(),
        np.float64(0.0),
        np.zeros((2, 0)),
        EXPECTED.T,
    ],
    ids=["a row", "an axis more", "flat", "a scalar", "empty", "transposed"],
)
def test_another_shape_is_never_broadcast(actual):
    found = against(actual, expected=EXPECTED, allowed=np.asarray(1e9))
    assert "shape" in found.problem
    assert not passes(found)
    assert found.comparisons == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_single_value_that_is_not_finite_fails_whatever_is_allowed(bad):
    actual = EXPECTED.copy()
    actual[1, 2] = bad
    found = against(actual, allowed=np.asarray(np.inf))
    assert "(1, 2)" in found.problem
    assert not passes(found)


def test_an_oracle_that_is_not_finite_proves_nothing():
    both = EXPECTED.copy()
    both[0, 0] = np.nan
    assert not passes(against(both, expected=both))


def test_the_dtype_is_that_of_the_signature():
    actual = EXPECTED.astype(np.float32)
    assert passes(against(actual, dtype=np.dtype(np.float32)))
    assert "dtype" in against(actual, dtype=np.dtype(np.float16)).problem
    assert passes(against(actual.astype(ml_dtypes.bfloat16), dtype=np.dtype(ml_dtypes.bfloat16)))


@pytest.mark.parametrize("dtype", [np.int32, bool, complex, object, "U3"])
def test_what_is_no_float_is_not_compared(dtype):
    assert "dtype" in against(np.ones((2, 3), dtype)).problem


def test_where_nothing_is_allowed_only_equality_passes():
    nothing = np.asarray(0.0)
    assert passes(against(EXPECTED, allowed=nothing))
    found = against(EXPECTED + 1e-300 + np.spacing(EXPECTED), allowed=nothing)
    assert found.ratio == np.inf
    assert not passes(found)


def test_an_allowance_that_is_nan_passes_nothing():
    assert not passes(against(EXPECTED + 1.0, allowed=np.asarray(np.nan)))
    assert ratio_of(np.asarray(np.nan), np.asarray(1.0)) == np.inf


def test_nothing_compared_is_no_pass():
    empty = np.zeros((0, 3))
    assert not passes(against(empty, expected=empty))


def test_names_are_matched_both_ways():
    found = compare_outputs(
        {"a": EXPECTED, "extra": EXPECTED},
        {"a": EXPECTED, "b": EXPECTED},
        {"a": ALLOWED, "b": ALLOWED},
        {},
        "probe",
    )
    assert passes(found["a"])
    assert "missing" in found["b"].problem
    assert "no such output" in found["extra"].problem


def test_over_all_probes_the_worst_counts_and_comparisons_add_up():
    fine, off, broken = against(EXPECTED), against(EXPECTED + 0.05), against(EXPECTED[:1])
    both = worst_of([fine, off])
    assert both.comparisons == 12
    assert both.ratio == pytest.approx(0.5)
    assert passes(both)
    assert not passes(worst_of([fine, broken, off]))
    with pytest.raises(ValueError, match="no comparison"):
        worst_of([])
