"""The table of gate orders, asked of the frameworks themselves: weights laid as it says agree."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from lstmbridge.gates import (
    KERAS_GRU,
    KERAS_LSTM,
    KERAS_RNN,
    ONNX_GRU,
    ONNX_LSTM,
    ONNX_PEEPHOLE,
    ONNX_RNN,
    ORDERS,
    PYTORCH_GRU,
    PYTORCH_LSTM,
    PYTORCH_RNN,
    GateOrder,
)
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import Cell
from lstmbridge.model.forward import forward

TOLERANCE = 2e-6
"""Rounding of five steps of three units in float32."""


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(2, 5, 5)).astype("f4")


def oracle(cell: Cell, inputs: np.ndarray) -> np.ndarray:
    return forward(Model("test", Recurrent(cell)), {"inputs": inputs})["outputs"]


def others(order: GateOrder) -> list[GateOrder]:
    return [GateOrder("wrong", p) for p in permutations(order.gates) if p != order.gates]


def onnx_outputs(cell: Cell, order: GateOrder, inputs: np.ndarray, **attributes: Any) -> Any:
    rows = {
        "X": inputs.swapaxes(0, 1),
        "W": cell.kernel.join(order).T[None],
        "R": cell.recurrent.join(order).T[None],
        "B": np.concatenate([cell.bias.join(order), np.zeros_like(cell.bias.join(order))])[None],
    }
    names = list(rows)
    if "recurrent_bias" in cell.blocks:
        parts = [cell.bias.join(order), cell.recurrent_bias.join(order)]
        rows["B"] = np.concatenate(parts)[None]
    if "peephole" in cell.blocks:
        rows["P"] = cell.peephole.join(ONNX_PEEPHOLE)[None]
        names += ["", "", "", "P"]
    node = helper.make_node(cell.KIND, names, ["Y"], hidden_size=cell.units, **attributes)
    graph = helper.make_graph(
        [node], "one",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, rows[n].shape) for n in rows],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["t", 1, "b", "h"])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {name: np.ascontiguousarray(rows[name]) for name in rows})
    return y[:, 0].swapaxes(0, 1)


def torch_outputs(cell: Cell, order: GateOrder, inputs: np.ndarray) -> Any:
    torch = pytest.importorskip("torch")
    module = getattr(torch.nn, cell.KIND)(cell.input_size, cell.units, batch_first=True)
    bias = cell.bias.join(order)
    late = "recurrent_bias" in cell.blocks
    stored = {
        "weight_ih_l0": cell.kernel.join(order).T,
        "weight_hh_l0": cell.recurrent.join(order).T,
        "bias_ih_l0": bias,
        "bias_hh_l0": cell.recurrent_bias.join(order) if late else np.zeros_like(bias),
    }
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in stored.items()})
    with torch.inference_mode():
        return module(torch.from_numpy(inputs))[0].numpy()


def keras_outputs(cell: Cell, order: GateOrder, inputs: np.ndarray, **options: Any) -> Any:
    keras = pytest.importorskip("keras")
    names = {"RNN": "SimpleRNN"}
    layer = getattr(keras.layers, names.get(cell.KIND, cell.KIND))(
        cell.units, return_sequences=True, **options
    )
    layer.build(inputs.shape)
    bias = cell.bias.join(order)
    if "recurrent_bias" in cell.blocks:
        bias = np.stack([bias, cell.recurrent_bias.join(order)])
    layer.set_weights([cell.kernel.join(order), cell.recurrent.join(order), bias])
    return np.asarray(layer(inputs))


def agrees(got: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.max(np.abs(got - expected)) <= TOLERANCE)


ONNX = [
    ("LSTM", "", ONNX_LSTM, {}),
    ("LSTM", "peephole", ONNX_LSTM, {}),
    ("GRU", "", ONNX_GRU, {"linear_before_reset": 0}),
    ("GRU", "recurrent_bias", ONNX_GRU, {"linear_before_reset": 1}),
    ("RNN", "", ONNX_RNN, {}),
]
TORCH = [
    ("LSTM", "", PYTORCH_LSTM),
    ("GRU", "recurrent_bias", PYTORCH_GRU),
    ("RNN", "", PYTORCH_RNN),
]
KERAS = [
    ("LSTM", "", KERAS_LSTM, {}),
    ("GRU", "", KERAS_GRU, {"reset_after": False}),
    ("GRU", "recurrent_bias", KERAS_GRU, {"reset_after": True}),
    ("RNN", "", KERAS_RNN, {}),
]


def named(asked: tuple[Any, ...]) -> str:
    return " ".join(asked[:2]).strip()


def plain(numbers: Any, kind: str, option: str) -> Cell:
    """Frameworks have no forget bias of their own."""
    return numbers(kind, option, **({"forget_bias": 0.0} if kind == "LSTM" else {}))


@pytest.mark.parametrize("asked", ONNX, ids=named)
def test_onnx_runtime_agrees_with_the_order_of_the_table_and_with_no_other(
    asked, numbers, inputs
) -> None:
    kind, option, order, attributes = asked
    cell = plain(numbers, kind, option)
    expected = oracle(cell, inputs)
    assert agrees(onnx_outputs(cell, order, inputs, **attributes), expected)
    for wrong in others(order):
        assert not agrees(onnx_outputs(cell, wrong, inputs, **attributes), expected)


@pytest.mark.torch
@pytest.mark.parametrize("asked", TORCH, ids=named)
def test_pytorch_agrees_with_the_order_of_the_table_and_with_no_other(
    asked, numbers, inputs
) -> None:
    kind, option, order = asked
    cell = plain(numbers, kind, option)
    expected = oracle(cell, inputs)
    assert agrees(torch_outputs(cell, order, inputs), expected)
    for wrong in others(order):
        assert not agrees(torch_outputs(cell, wrong, inputs), expected)


@pytest.mark.tensorflow
@pytest.mark.parametrize("asked", KERAS, ids=named)
def test_keras_agrees_with_the_order_of_the_table_and_with_no_other(
    asked, numbers, inputs
) -> None:
    kind, option, order, options = asked
    cell = plain(numbers, kind, option)
    expected = oracle(cell, inputs)
    assert agrees(keras_outputs(cell, order, inputs, **options), expected)
    for wrong in others(order):
        assert not agrees(keras_outputs(cell, wrong, inputs, **options), expected)


def test_the_frameworks_that_were_asked_are_those_that_the_table_knows() -> None:
    known = {
        framework: {kind for kind, orders in ORDERS.items() if framework in orders}
        for framework in ("ONNX", "PyTorch", "Keras")
    }
    assert known["ONNX"] == {kind for kind, *_ in ONNX}
    assert known["PyTorch"] == {kind for kind, *_ in TORCH}
    assert known["Keras"] == {kind for kind, *_ in KERAS}


def test_every_order_names_gates_of_its_kind_and_all_of_them(numbers) -> None:
    for kind, frameworks in ORDERS.items():
        gates = set(numbers(kind).GATES)
        for orders in frameworks.values():
            assert {gate for order in orders for gate in order.gates} == gates
            assert all(len(order.letters) == len(order.gates) for order in orders)
