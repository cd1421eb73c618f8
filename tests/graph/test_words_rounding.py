"""A graph run by words that round strays from the exact run as that precision would."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.graph.words import GraphFloat64
from lstmbridge.graph.words_rounding import GraphRounding

A = np.random.default_rng(0).normal(size=(6, 8))
WORDS = {
    "matmul": lambda w: w.matmul(A, A.T),
    "sum": lambda w: w.reduce("sum", A, [1], False),
    "mean": lambda w: w.reduce("mean", A, [0], True),
    "prod": lambda w: w.reduce("prod", A, [1], False),
    "softmax": lambda w: w.softmax(A),
    "log": lambda w: w.unary("log", np.abs(A)),
    "power": lambda w: w.power(np.abs(A), A),
    "add": lambda w: w.add(A, A),
}
EXACT = {
    "max": lambda w: w.reduce("max", A, [1], False),
    "abs": lambda w: w.unary("abs", A),
    "transpose": lambda w: w.transpose(A, (1, 0)),
    "integers": lambda w: w.add(np.arange(3), np.arange(3)),
    "products": lambda w: w.matmul(np.ones((2, 2), np.int64), np.ones((2, 2), np.int64)),
    "counts": lambda w: w.reduce("sum", np.arange(4), [0], False),
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("precision", "unit"), [("float32", 2.0**-24), ("bfloat16", 2.0**-8)])
def test_a_word_strays_by_a_few_units_and_not_by_nothing(word, precision, unit):
    exact = WORDS[word](GraphFloat64())
    off = np.abs(WORDS[word](GraphRounding(precision, 1)) - exact)
    size = 8 * max(1.0, np.abs(exact).max())
    assert 0.0 < off.max() <= 4 * unit * size


@pytest.mark.parametrize("word", EXACT)
def test_what_moves_or_counts_is_exact(word):
    exact, rounded = (EXACT[word](w) for w in (GraphFloat64(), GraphRounding("float16", 1)))
    assert rounded.dtype == exact.dtype
    np.testing.assert_array_equal(rounded, exact)


def test_constants_are_stored_in_the_precisions_type():
    words = GraphRounding("bfloat16", 1)
    assert words.constant(1.01) == 1.0078125
    assert words.literal(np.asarray(1.01), "float") == 1.0078125
    assert words.literal(np.asarray(300), "int") == 300
