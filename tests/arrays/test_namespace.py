"""Each word of the namespace means what ONNX's operator of that name means."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from lstmbridge.arrays import ACTIVATIONS, Float64, activation
from lstmbridge.arrays.namespace import clip

OPS = Float64()
VALUES = np.concatenate(
    [np.linspace(-30.0, 30.0, 401), [0.0, -0.0, 1e-8, -1e-8, 88.0, -88.0, 1e4, -1e4]]
).astype(np.float32)
POSITIVE = np.abs(VALUES) + np.float32(0.1)


def onnxruntime(operator, *operands, **attributes):
    """One node, run by ONNX Runtime in float32."""
    import onnxruntime

    names = [f"x{k}" for k in range(len(operands))]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
        for n, a in zip(names, operands, strict=True)
    ]
    node = helper.make_node(operator, names, ["y"], **attributes)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, operands, strict=True)))[0]


@pytest.mark.parametrize(
    ("word", "operator"),
    [
        ("sigmoid", "Sigmoid"),
        ("tanh", "Tanh"),
        ("relu", "Relu"),
        ("elu", "Elu"),
        ("selu", "Selu"),
        ("softplus", "Softplus"),
        ("softsign", "Softsign"),
    ],
)
def test_activations_are_onnx_operators(word, operator):
    found = getattr(OPS, word)(VALUES.astype(np.float64))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, onnxruntime(operator, VALUES), rtol=2e-6, atol=2e-7)


def test_exp_and_sqrt_are_onnx_operators():
    small = np.clip(VALUES, -80, 80)
    np.testing.assert_allclose(OPS.exp(small.astype(float)), onnxruntime("Exp", small), rtol=1e-5)
    np.testing.assert_allclose(
        OPS.sqrt(POSITIVE.astype(float)), onnxruntime("Sqrt", POSITIVE), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("word", "operator"),
    [
        ("add", "Add"),
        ("sub", "Sub"),
        ("mul", "Mul"),
        ("div", "Div"),
        ("minimum", "Min"),
        ("maximum", "Max"),
    ],
)
def test_elementwise_words_are_onnx_operators_and_broadcast(word, operator):
    a, b = VALUES[:400].reshape(20, 20), POSITIVE[:20]
    found = getattr(OPS, word)(a.astype(float), b.astype(float))
    np.testing.assert_allclose(found, onnxruntime(operator, a, b), rtol=1e-6, atol=1e-6)


def test_matmul_is_onnx_matmul_over_leading_axes():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4, 5)).astype(np.float32), rng.normal(size=(5, 6)).astype("f4")
    found = OPS.matmul(a.astype(float), b.astype(float))
    np.testing.assert_allclose(found, onnxruntime("MatMul", a, b), rtol=1e-5, atol=1e-6)


def test_mean_is_reduce_mean_over_the_last_axis_kept():
    a = VALUES[:400].reshape(4, 10, 10)
    found = OPS.mean(a.astype(float))
    assert found.shape == (4, 10, 1)
    expected = onnxruntime("ReduceMean", a, axes=[-1], keepdims=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_split_and_concat_undo_each_other():
    a = VALUES[:400].reshape(4, 100).astype(float)
    parts = OPS.split(a, [10, 30, 60])
    assert [p.shape for p in parts] == [(4, 10), (4, 30), (4, 60)]
    assert OPS.concat(parts).tobytes() == a.tobytes()


@pytest.mark.parametrize("word", ["minimum", "maximum"])
def test_nan_wins_a_minimum_and_a_maximum(word):
    assert np.isnan(getattr(OPS, word)(np.array(np.nan), np.array(1.0)))
    assert np.isnan(getattr(OPS, word)(np.array(1.0), np.array(np.nan)))


def test_the_sigmoid_does_not_overflow_at_either_end():
    with np.errstate(all="raise"):
        ends = OPS.sigmoid(np.array([-1e300, -800.0, 0.0, 800.0, 1e300]))
    assert ends.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
def test_constants_are_widened_exactly(stored):
    values = np.array([0.1, 1e-7, 3.0], stored)
    assert OPS.constant(values).dtype == np.float64
    assert OPS.constant(values).astype(stored).tobytes() == values.tobytes()


def test_relu6_and_hard_sigmoid_are_composed():
    x = VALUES.astype(float)
    assert np.array_equal(activation(OPS, "relu6", x), np.clip(x, 0, 6))
    hard = activation(OPS, "hard_sigmoid", x)
    np.testing.assert_allclose(
        hard, onnxruntime("HardSigmoid", VALUES, alpha=0.2, beta=0.5), rtol=1e-6, atol=1e-7
    )


def test_linear_leaves_its_argument_alone():
    assert activation(OPS, "linear", VALUES) is VALUES


def test_every_activation_can_be_applied():
    for name in ACTIVATIONS:
        assert activation(OPS, name, np.array([0.5])).shape == (1,)


def test_an_unknown_activation_is_a_key_error():
    with pytest.raises(KeyError):
        activation(OPS, "gelu", VALUES)


def test_a_clip_bounds_both_sides_and_none_bounds_nothing():
    x = np.array([-5.0, -0.5, 0.5, 5.0])
    assert clip(OPS, x, 1.0).tolist() == [-1.0, -0.5, 0.5, 1.0]
    assert clip(OPS, x, None) is x
