"""Conversions as people write them by hand: right ones, and each classic mistake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from lstmbridge.contracts import TargetOptions
from lstmbridge.model.blocks import Model
from lstmbridge.targets.onnx import OnnxTarget

Blocks = dict[str, np.ndarray]


def blocks_of(model: Model, k: int) -> dict[str, Blocks]:
    """The gates of one LSTM, GRU or RNN layer: kernel, recurrent, bias."""
    cell = model.layers[k].cell
    found = {}
    for name in ("kernel", "recurrent", "bias", "recurrent_bias"):
        stored = cell.blocks.get(name)
        width = cell.shapes()["bias"]
        zeros = {g: np.zeros(width, np.float32) for g in cell.GATES}
        found[name] = {g: np.array(stored[g]) for g in cell.GATES} if stored else zeros
    return found


def fused(model: Model, k: int, order: str, slip: Mapping[str, Any]) -> list[np.ndarray]:
    """weight_ih, weight_hh, and two biases of a layer, gates below each other in `order`."""
    mine = blocks_of(model, slip.get("layers", {}).get(k, k))
    cell = model.layers[k].cell
    read = slip.get("order", order) if slip.get("only", k) == k else order
    added = dict.fromkeys(cell.GATES, 0.0)
    if "forget_bias" in cell.facts:
        added["f"] = slip.get("forget_bias", cell.facts["forget_bias"].value)
    turn = (lambda x: x) if slip.get("transposed") else np.transpose
    w = np.concatenate([mine["kernel"][g].T for g in read])
    r = np.concatenate([turn(mine["recurrent"][g]) for g in read])
    if slip.get("reshaped"):
        side_by_side = np.concatenate([mine["kernel"][g] for g in "icfo"], axis=1)
        w = side_by_side.reshape(side_by_side.shape[::-1])
    if slip.get("h_first"):
        rows = {g: np.concatenate([mine["kernel"][g], mine["recurrent"][g]]) for g in read}
        h = r.shape[1]
        w = np.concatenate([rows[g][h:].T for g in read])
        r = np.concatenate([rows[g][:h].T for g in read])
    b = np.concatenate([mine["bias"][g] + added[g] for g in read])
    late = np.concatenate([mine["recurrent_bias"][g] for g in read])
    if slip.get("both_biases"):
        late = b
    return [np.ascontiguousarray(x, np.float32) for x in (w, r, b, late)]


class Hand:
    """Writes what a person would write; keywords are the mistakes that are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ours(self, model: Model, name: str = "ours.onnx", **options: Any) -> Path:
        """The artifact that lstmbridge writes."""
        OnnxTarget().write(model, self.folder / name, TargetOptions(**options), {})
        return self.folder / name

    def keys(self, model: Model, name: str = "hand.safetensors", **slip: Any) -> Path:
        """A state dict with the keys of one torch.nn module."""
        order = {4: "ifco", 3: "rzc", 1: "h"}[len(model.layers[0].cell.GATES)]
        tensors = {}
        for k in range(len(model.layers)):
            for what, array in zip(
                ("weight_ih", "weight_hh", "bias_ih", "bias_hh"),
                fused(model, k, order, slip),
                strict=True,
            ):
                tensors[f"rnn.{what}_l{k}"] = array
        save_file(tensors, self.folder / name)
        return self.folder / name

    def onnx(
        self,
        model: Model,
        name: str = "hand.onnx",
        *,
        time_major: bool = False,
        axes: tuple[Any, Any] | None = None,
        states: bool = False,
        ports: tuple[str, str] = ("x", "y"),
        tweak: Any = None,
        **slip: Any,
    ) -> Path:
        """An ONNX file with one native node a layer, and other names than ours."""
        nodes, stored, outputs = [], {}, []
        value = ports[0]
        first = axes or (("t", "b") if time_major else ("b", "t"))
        inputs = [(value, [*first, model.input_size])]
        if not time_major:
            nodes.append(helper.make_node("Transpose", [value], ["steps"], perm=[1, 0, 2]))
            value = "steps"
        kind = type(model.layers[0].cell).KIND
        order = {"LSTM": "iofc", "GRU": "zrc", "RNN": "h"}[kind]
        stored["direction"] = np.array([1])
        for k, layer in enumerate(model.layers):
            w, r, b, late = fused(model, k, order, slip)
            stored |= {
                f"W{k}": w[None],
                f"R{k}": r[None],
                f"B{k}": np.concatenate([b, late])[None],
            }
            fed = [""] * (1 + len(layer.cell.STATES))
            if states:
                for at, state in enumerate(layer.cell.STATES, 1):
                    inputs.append((f"{state}_in{k}", [1, "b", layer.cell.units]))
                    fed[at] = f"{state}_in{k}"
            node = helper.make_node(
                kind,
                [value, f"W{k}", f"R{k}", f"B{k}", *fed],
                [f"Y{k}", *(f"{state}_out{k}" for state in layer.cell.STATES)],
                name=f"cell{k}",
                hidden_size=layer.cell.units,
                **({"linear_before_reset": 1} if slip.get("reset_after") else {}),
            )
            nodes += [node, helper.make_node("Squeeze", [f"Y{k}", "direction"], [f"S{k}"])]
            value = f"S{k}"
            outputs += [(f"{s}_out{k}", [1, "b", layer.cell.units]) for s in layer.cell.STATES]
        last = "Identity" if time_major else "Transpose"
        more = {} if time_major else {"perm": [1, 0, 2]}
        nodes.append(helper.make_node(last, [value], [ports[1]], **more))
        outputs.insert(0, (ports[1], [*first, model.output_size]))
        graph = helper.make_graph(
            nodes,
            "hand",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
            [numpy_helper.from_array(a, n) for n, a in stored.items()],
        )
        if tweak is not None:
            tweak(graph)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(made, self.folder / name)
        return self.folder / name


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    """`hand.onnx(model, forget_bias=0.0)`: a file with that mistake in it."""
    return Hand(tmp_path)
