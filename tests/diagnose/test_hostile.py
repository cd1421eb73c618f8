"""Whatever a stranger's file holds, reading it ends with an answer or one of our errors."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import save_file

from lstmbridge.contracts import Understanding
from lstmbridge.errors import LstmBridgeError
from lstmbridge.targets.onnx.understanding import understand as of_onnx
from lstmbridge.targets.torch.understanding import understand as of_torch

FILES = sorted((Path(__file__).resolve().parents[2] / "fixtures" / "foreign").glob("*.onnx"))
OTHERS = ("Squeeze", "Transpose", "Gather", "Slice", "LSTM", "GRU", "Reshape", "Concat", "Split")


def answers(read, path: Path) -> None:
    with contextlib.suppress(LstmBridgeError):
        assert isinstance(read(path), Understanding | None)


def slip(graph, random_: random.Random) -> None:
    node = random_.choice(graph.node)
    names = [name for one in graph.node for name in (*one.input, *one.output)]
    what = random_.randrange(6)
    if what == 0 and node.input:
        node.input[random_.randrange(len(node.input))] = random_.choice(names)
    elif what == 1 and node.input:
        del node.input[random_.randrange(len(node.input))]
    elif what == 2:
        node.output[random_.randrange(len(node.output))] = random_.choice(names)
    elif what == 3 and node.attribute:
        one = random_.choice(node.attribute)
        one.i = random_.choice([-5, 0, 7, 2**40])
        if one.ints:
            one.ints[0] = random_.choice([-9, 5, 99])
    elif what == 4:
        node.op_type = random_.choice(OTHERS)
    elif what == 5 and graph.initializer:
        one = random_.choice(graph.initializer)
        array = numpy_helper.to_array(one)
        changed = random_.choice([array.reshape(-1), array[None], array * 0, array.T])
        one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), one.name))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize("seed", range(25))
def test_a_graph_that_was_meddled_with_is_answered(path, seed, tmp_path):
    random_ = random.Random(seed)
    model = onnx.load(path)
    for _ in range(random_.choice([1, 2, 3])):
        slip(model.graph, random_)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    answers(of_onnx, tmp_path / "m.onnx")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize("seed", range(15))
def test_bytes_that_were_changed_are_answered(path, seed, tmp_path):
    random_ = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[random_.randrange(len(content))] = random_.randrange(256)
    (tmp_path / "m.onnx").write_bytes(content[: random_.randrange(200, len(content))])
    answers(of_onnx, tmp_path / "m.onnx")


@pytest.mark.parametrize("seed", range(40))
def test_tensors_of_any_shape_under_known_keys_are_answered(seed, tmp_path):
    random_ = random.Random(seed)
    sizes = {"weight_ih": (16, 4), "weight_hh": (16, 4), "bias_ih": (16,), "weight_hr": (2, 4)}
    tensors = {}
    for layer in range(random_.randrange(1, 4)):
        for what, right in sizes.items():
            size = right
            if random_.random() < 0.4:
                size = tuple(
                    random_.choice([0, 1, 3, 4, 16]) for _ in range(random_.randrange(1, 4))
                )
            if random_.random() < 0.8:
                tensors[f"m.{what}_l{layer}"] = np.zeros(size, random_.choice(["f4", "f8", "i4"]))
    save_file(tensors, tmp_path / "m.safetensors")
    answers(of_torch, tmp_path / "m.safetensors")
