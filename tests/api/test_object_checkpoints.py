"""Object-based checkpoints: recurrent layers by the paths of their objects."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lstmbridge import api
from lstmbridge.adapters.keras.alone import layers_alone
from lstmbridge.adapters.keras.layers import Context
from lstmbridge.contracts import Described, Hints, Outcome
from lstmbridge.errors import FactMissing, LstmBridgeError, SourceUnreadable
from lstmbridge.sources import open_source
from lstmbridge.sources.objects import (
    GRAPH,
    attributes_of,
    described_by,
    has_a_cell,
    names_of,
)

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "objects"
CASES = {
    "keras2-stack": ["LSTM", "GRU"],
    "keras2-stack-weights": ["LSTM", "GRU"],
    "keras3-stack": ["LSTM", "GRU"],
    "keras2-cells": ["LSTM", "LSTM", "LSTM", "LSTM"],
    "keras2-cells-weights": ["LSTM", "LSTM", "LSTM", "LSTM"],
}


def recorded(case):
    with np.load(FOLDER / f"{case.removesuffix('-weights')}.npz") as stored:
        return stored["x"], stored["y"]


class Stored:
    """A tensor that is made of what a test says."""

    location = "a test"

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def load(self):
        return self.array


@pytest.mark.parametrize("case", CASES)
def test_the_layers_are_found_in_their_order(case):
    (part,) = api.inspect(FOLDER / case).recognition.parts
    assert [layer.cell.KIND for layer in part.model.layers] == CASES[case]


@pytest.mark.parametrize("case", CASES)
def test_they_compute_what_keras_recorded(case, tmp_path):
    import onnxruntime

    done = api.convert(FOLDER / case, to="onnx", output=tmp_path / "m.onnx")
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    x, y = recorded(case)
    (got,) = onnxruntime.InferenceSession(done.path).run(["outputs"], {"inputs": x})
    np.testing.assert_allclose(got, y, rtol=2e-6, atol=2e-6)


def test_what_the_file_does_not_say_is_assumed_aloud():
    (part,) = api.inspect(FOLDER / "keras2-stack").recognition.parts
    fact = part.model.layers[0].cell.facts["gate_activation"]
    assert (fact.value, fact.basis.value) == ("sigmoid", "assumed")
    assert "2.4 or later" in fact.where


def test_the_optimizers_numbers_and_counters_are_no_layers():
    source = open_source(FOLDER / "keras2-stack")
    assert "save_counter" not in "".join(source.tensors)
    assert "step" in source.tensors
    assert source.format == "TensorFlow object-based checkpoint"
    source.close()


def test_cells_without_a_scope_of_their_own_leave_the_gates_open():
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    stored = {
        f"rnn/cell/{role}/.ATTRIBUTES/VARIABLE_VALUE": Stored(np.zeros(shape, "f"))
        for role, shape in shapes.items()
    }
    described = described_by(attributes_of(stored, "here"), stored, "here")
    assert described.version == ""
    assert not described.tree
    assert list(described.groups) == ["rnn"]


def test_the_gates_are_asked_for_where_they_are_open(monkeypatch):
    monkeypatch.setattr("lstmbridge.sources.objects.names_of", lambda *_: {})
    with pytest.raises(FactMissing, match="gates' activation"):
        api.inspect(FOLDER / "keras2-stack")
    told = api.inspect(FOLDER / "keras2-stack", Hints(gate_activation="sigmoid"))
    assert told.recognition.parts[0].model.layers[0].cell.KIND == "LSTM"


def test_variables_that_only_an_optimizer_lists_are_found_by_their_names():
    names = {0: "both/backward_lstm/lstm_cell/recurrent_kernel", 1: "deep/gru_cell/kernel"}
    stored = {
        f"model/optimizer/_trainable_variables/{k}/.ATTRIBUTES/VARIABLE_VALUE": Stored([1.0])
        for k in names
    }
    entries = b""
    for key, name in zip(stored, names.values(), strict=True):
        fields = b"".join(
            bytes([number << 3 | 2, len(text)]) + text.encode()
            for number, text in ((1, "VARIABLE_VALUE"), (2, name))
        )
        fields += bytes([3 << 3 | 2, len(key)]) + key.encode()
        attribute = bytes([2 << 3 | 2]) + varint(len(fields)) + fields
        entries += bytes([1 << 3 | 2]) + varint(len(attribute)) + attribute
    stored[GRAPH] = Stored(np.asarray(entries, object))
    assert set(attributes_of(stored, "here")) == {
        "both/backward_layer/cell/recurrent_kernel",
        "deep/cell/kernel",
    }


def varint(number):
    low, high = number & 127, number >> 7
    return bytes([low | 128, high]) if high else bytes([low])


def test_a_broken_list_of_objects_is_the_files_fault():
    stored = {GRAPH: Stored(np.asarray(b"\x0a\xff\xff\xff", object))}
    with pytest.raises(SourceUnreadable, match="no message that names"):
        names_of(stored, "here")


@pytest.mark.parametrize("at", range(0, 4000, 160))
def test_a_damaged_index_is_an_error_of_ours(at, tmp_path):
    for file in FOLDER.glob("keras2-stack.*"):
        shutil.copy(file, tmp_path / file.name)
    index = tmp_path / "keras2-stack.index"
    data = bytearray(index.read_bytes())
    data[at % len(data)] ^= 0x5A
    index.write_bytes(data)
    with contextlib.suppress(LstmBridgeError):
        api.inspect(tmp_path / "keras2-stack")


def test_layers_with_another_one_between_them_are_not_one_stack():
    shapes = {"kernel": (4, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    source = SimpleNamespace(
        tensors={
            f"layer_with_weights-{k}/cell/{role}": Named(f"layer_with_weights-{k}/cell/{role}", s)
            for k in (0, 2)
            for role, s in shapes.items()
        }
    )
    groups = {
        f"layer_with_weights-{k}/cell": tuple(f"layer_with_weights-{k}/cell/{r}" for r in shapes)
        for k in (0, 2)
    }
    described = Described("2.4", None, "", groups, tree=True)
    found = layers_alone(source, described, Context("2.4", True, "", Hints()))
    assert [layer.feeds for layer in found] == [None, None]


class Named(Stored):
    def __init__(self, name, shape):
        super().__init__(np.zeros(shape, "f"))
        self.name = name


CLASSIC = ["tf115-my_cell", "tf115-gru", "tf115-sum", "compat1-gru"]


@pytest.mark.parametrize("case", CLASSIC)
def test_layers_that_may_be_tensorflow_1s_ask_for_their_gates(case):
    with pytest.raises(FactMissing, match="gates' activation") as caught:
        api.inspect(FOLDER / case)
    assert "--gate-activation" in caught.value.advice


@pytest.mark.parametrize("case", CLASSIC)
def test_with_what_was_stated_they_compute_what_keras_recorded(case, tmp_path):
    import onnxruntime

    merge = "sum" if case == "tf115-sum" else None
    hints = Hints(gate_activation="hard_sigmoid", merge_mode=merge)
    done = api.convert(FOLDER / case, to="onnx", output=tmp_path / "m.onnx", hints=hints)
    x, y = recorded(case)
    (got,) = onnxruntime.InferenceSession(done.path).run(["outputs"], {"inputs": x})
    np.testing.assert_allclose(got, y, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", ["keras2-stack", "tf115-sum"])
def test_strict_takes_no_default_of_an_object_based_checkpoint(case, tmp_path):
    hints = Hints(gate_activation="hard_sigmoid")
    with pytest.raises(FactMissing, match="default only"):
        api.convert(FOLDER / case, to="onnx", output=tmp_path / "m.onnx", hints=hints, strict=True)
    assert not list(tmp_path.iterdir())


def test_an_assumed_sigmoid_says_which_layers_have_another():
    (part,) = api.inspect(FOLDER / "keras2-stack").recognition.parts
    assert "tf.compat.v1" in part.model.layers[0].cell.facts["gate_activation"].where


def test_a_layer_that_is_called_a_cell_is_no_scope_of_a_cell():
    assert not has_a_cell("my_cell/recurrent_kernel")
    assert not has_a_cell("lstm_cell/recurrent_kernel")
    assert not has_a_cell("net/my_cell/recurrent_kernel")
    assert not has_a_cell("old_lstm_cell/lstm/recurrent_kernel")
    assert has_a_cell("lstm/lstm_cell/recurrent_kernel")
    assert has_a_cell("both/forward_gru/gru_cell_12/recurrent_kernel")
