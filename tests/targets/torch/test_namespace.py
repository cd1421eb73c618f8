"""Each word of the namespace means in PyTorch what it means in float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.arrays import ACTIVATIONS, Float64, activation

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

UNARY = ("exp", "sigmoid", "tanh", "relu", "elu", "selu", "softplus", "softsign", "mean")
BINARY = ("add", "sub", "mul", "div", "minimum", "maximum")
SPREAD = np.concatenate([np.linspace(-30, 30, 121), [-700.0, -1e-300, 1e-20, 700.0]])


@pytest.fixture
def ops():
    module = pytest.importorskip("lstmbridge.targets.torch.namespace")
    return module.TorchOps(torch.float64, torch.device("cpu"))


@pytest.mark.parametrize("word", UNARY)
def test_a_word_of_one_operand_agrees(ops, word: str) -> None:
    mine = getattr(ops, word)(torch.from_numpy(SPREAD)).numpy()
    np.testing.assert_allclose(mine, getattr(Float64(), word)(SPREAD), rtol=2e-15, atol=1e-16)


@pytest.mark.parametrize("word", BINARY)
def test_a_word_of_two_operands_agrees_and_broadcasts(ops, word: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 1, 4)), rng.normal(size=(5, 4))
    a[0, 0, 0] = np.nan
    mine = getattr(ops, word)(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_array_equal(mine, getattr(Float64(), word)(a, b))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_agrees(ops, name: str) -> None:
    x = np.linspace(-8, 8, 101)
    mine = activation(ops, name, torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(mine, activation(Float64(), name, x), rtol=2e-15, atol=2e-16)


def test_the_remaining_words_agree(ops) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 6))
    product = ops.matmul(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(product.numpy(), a @ b, rtol=1e-13)
    np.testing.assert_array_equal(ops.sqrt(torch.from_numpy(a**2)).numpy(), np.sqrt(a**2))
    pieces = ops.split(torch.from_numpy(b), [1, 2, 3])
    assert [tuple(p.shape) for p in pieces] == [(4, 1), (4, 2), (4, 3)]
    np.testing.assert_array_equal(ops.concat(pieces).numpy(), b)


def test_constants_take_the_modules_dtype() -> None:
    module = pytest.importorskip("lstmbridge.targets.torch.namespace")
    ops = module.TorchOps(torch.float16, torch.device("cpu"))
    assert ops.constant(0.1).dtype == torch.float16
    assert ops.constant(np.array([0.1, 0.2])).dtype == torch.float16
    assert ops.constant(0.1) is ops.constant(0.1)
