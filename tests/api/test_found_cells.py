"""Cells that no name shows, in loops of TensorFlow 2: native operators, equal to TensorFlow."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "tf2"
NATIVE = {
    "gru-after": {"GRU": 1},
    "gru-before": {"GRU": 1},
    "keras-cells": {"LSTM": 1, "RNN": 1},
    "keras-gru-both": {"GRU": 1},
    "keras-hard": {"LSTM": 1},
    "keras-lstm-last": {"LSTM": 2},
    "lstm-apart": {"LSTM": 1},
    "lstm-hx": {"LSTM": 1},
    "lstm-sliced": {"LSTM": 1},
    "lstm-xh": {"LSTM": 1},
    "steps-gru": {"GRU": 1},
    "steps-lstm": {"LSTM": 1},
}
OTHERS = ["keras-masked", "lstm-other-gate", "lstm-peephole-clip", "lstm-stops-early"]
LAYERS = {"GRU", "If", "LSTM", "Loop", "RNN", "Scan"}


def recorded(case):
    with np.load(FOLDER / f"{case}.npz") as stored:
        outputs = {name.split("|")[0]: stored[name] for name in stored if "|" in name}
        return stored["x"], outputs


def source_of(case, folder):
    file = folder / f"{case}.pb"
    file.write_bytes(gzip.decompress((FOLDER / f"{case}.pb.gz").read_bytes()))
    return file


def converted(case, folder, **options):
    _, outputs = recorded(case)
    return api.convert(
        source_of(case, folder),
        to="onnx",
        output=folder / "m.onnx",
        hints=Hints(outputs=tuple(outputs)),
        **options,
    )


def ran(path, feeds):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def layers_of(path):
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    return {kind: n for kind, n in kinds.items() if kind in LAYERS}


@pytest.mark.parametrize("case", [*NATIVE, *OTHERS])
def test_a_loop_gives_what_tensorflow_recorded(case, tmp_path):
    done = converted(case, tmp_path, verification=None)
    x, wanted = recorded(case)
    got = ran(done.path, {"x": x})
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", NATIVE)
def test_a_loop_that_is_known_cells_is_native_operators_and_nothing_else(case, tmp_path):
    done = converted(case, tmp_path, verification=None)
    assert layers_of(done.path) == NATIVE[case]


@pytest.mark.parametrize("case", ["gru-after", "keras-cells", "lstm-apart", "steps-lstm"])
def test_native_operators_of_found_cells_are_verified(case, tmp_path):
    done = converted(case, tmp_path)
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons


def test_a_loop_that_is_no_known_cell_stays_a_loop_and_says_why(tmp_path):
    done = converted("lstm-other-gate", tmp_path, verification=None)
    assert not layers_of(done.path).keys() & {"GRU", "LSTM", "RNN"}
    assert any("no formula of 4 gates" in warning for warning in done.warnings)


def test_a_loop_that_may_stop_early_stays_a_loop(tmp_path):
    done = converted("lstm-stops-early", tmp_path, verification=None)
    assert "LSTM" not in layers_of(done.path)


def test_a_saved_model_of_keras_has_one_operator_per_layer(tmp_path):
    done = api.convert(FOLDER / "keras-saved", to="onnx", output=tmp_path / "m.onnx")
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    assert layers_of(done.path) == {"LSTM": 1, "GRU": 1}
    with np.load(FOLDER / "keras-saved.npz") as stored:
        (got,) = ran(done.path, {"ids": stored["ids"]}).values()
        np.testing.assert_allclose(got, stored["y"], rtol=2e-6, atol=2e-6)


def test_the_stacks_of_a_saved_model_are_inspected_by_their_variables(tmp_path):
    found = api.inspect(FOLDER / "keras-saved").recognition
    kinds = [[layer.cell.KIND for layer in part.model.layers] for part in found.parts]
    assert kinds == [["LSTM", "LSTM", "GRU"]]
    facts = found.parts[0].model.layers[0].cell.facts
    assert facts["activation"].value == "tanh"
    assert "saved_model.pb: " in facts["activation"].where


def test_the_stack_of_a_saved_model_converts_alone(tmp_path):
    done = api.convert(
        FOLDER / "keras-saved", to="onnx", output=tmp_path / "m.onnx", stack_only=True
    )
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons


def test_a_hand_written_cell_shows_its_forget_bias_and_its_gates_by_number(tmp_path):
    part = api.inspect(source_of("lstm-xh", tmp_path)).recognition.parts[0]
    cell = part.model.layers[0].cell
    assert cell.facts["forget_bias"].value == 1.0
    assert cell.facts["forget_bias"].where.endswith("add_1/y")
    # the columns stand in the order f, g, i, o
    spans = [cell.kernel.cut(gate).name.rpartition("[")[2] for gate in ("f", "c", "i", "o")]
    assert spans == ["0:3, 0:4]", "0:3, 4:8]", "0:3, 8:12]", "0:3, 12:16]"]


def test_a_sigmoid_written_as_tanh_is_a_sigmoid(tmp_path):
    part = api.inspect(source_of("lstm-apart", tmp_path)).recognition.parts[0]
    assert part.model.layers[0].cell.facts["gate_activation"].value == "sigmoid"


def test_a_gate_that_lets_the_new_in_is_one_that_keeps_the_old_with_its_sign_changed(tmp_path):
    part = api.inspect(source_of("gru-after", tmp_path)).recognition.parts[0]
    kernel = part.model.layers[0].cell.kernel
    assert kernel.cut("z").name.startswith("-")
    assert not kernel.cut("r").name.startswith("-")


def test_the_last_of_unrolled_steps_is_one_of_them(tmp_path):
    done = converted("steps-lstm", tmp_path, verification=None)
    (place,) = done.whole.places
    assert len(place.step_outputs) == 5
    assert "Tanh" not in {node.op_type for node in onnx.load(done.path).graph.node}


def test_unrolled_steps_are_one_layer_whose_states_begin_with_the_same_zeros(tmp_path):
    part = api.inspect(source_of("steps-lstm", tmp_path)).recognition.parts[0]
    (layer,) = part.model.layers
    assert layer.cell.KIND == "LSTM"
    assert layer.cell.facts["forget_bias"].value == 1.0
