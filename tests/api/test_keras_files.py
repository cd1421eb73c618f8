"""Files of real Keras: what they are converted to computes what their Keras computed."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from lstmbridge import api
from lstmbridge.contracts import Hints
from lstmbridge.errors import (
    CannotExpress,
    FactConflict,
    FactMissing,
    NotRecognised,
    SourceUnreadable,
    UsageError,
)

FOLDER = Path(__file__).parents[2] / "fixtures" / "keras"
FILES = sorted(p.name for p in FOLDER.iterdir() if p.suffix in {".h5", ".keras"})
RIGHT = [n for n in FILES if "none" not in n and "backwards" not in n and ".weights." not in n]


def _computed(artifact: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(artifact)
    [outputs] = session.run(["outputs"], {"inputs": x})
    return outputs


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_with_its_model_converts_without_a_flag_to_what_keras_computed(name, tmp_path):
    recorded = np.load(FOLDER / f"{name.split('.')[0]}.npz")
    out = tmp_path / "out.onnx"
    inner = recorded["inputs"]
    if "nested" in name:  # the layer lies behind a dense one
        inner = None
    done = api.convert(FOLDER / name, to="onnx", output=out)
    assert done.exit_code == 0
    assert done.path == out
    assert not [f for f in done.facts.values() if f.basis.value == "assumed"]
    if inner is not None:
        np.testing.assert_allclose(_computed(out, inner), recorded["outputs"], atol=1e-6)


@pytest.mark.parametrize("tag", ["tf115-nested.h5", "tfkeras-nested.h5", "tfkeras-nested.keras"])
def test_a_layer_of_a_nested_model_has_its_own_weights(tag, tmp_path):
    model = api.load(FOLDER / tag)
    assert model.name == "inner/deep"
    assert model.input_size == 5
    assert model.output_size == 4


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("tf115-stack.weights.h5", Hints(gate_activation="hard_sigmoid")),
        ("tfkeras-stack.weights.h5", Hints()),
        ("keras3-stack.weights.h5", Hints()),
        ("tf115-cudnn-lstm.weights.h5", Hints()),
        ("tf115-cudnn-gru.weights.h5", Hints()),
    ],
)
def test_weights_alone_convert_to_what_keras_computed(name, hints, tmp_path):
    recorded = np.load(FOLDER / f"{name.split('.')[0]}.npz")
    done = api.convert(FOLDER / name, to="onnx", output=tmp_path / "out.onnx", hints=hints)
    assert done.exit_code == 0
    x = recorded["inputs"]
    np.testing.assert_allclose(_computed(done.path, x), recorded["outputs"], atol=1e-6)


def test_weights_of_a_keras_with_two_defaults_ask_for_the_gates_activation():
    with pytest.raises(FactMissing, match="had two defaults") as caught:
        api.inspect(FOLDER / "tf115-stack.weights.h5")
    assert "--gate-activation hard_sigmoid" in caught.value.advice


def test_weights_alone_say_that_their_order_is_taken_for_granted():
    hints = Hints(gate_activation="hard_sigmoid")
    seen = api.inspect(FOLDER / "tf115-stack.weights.h5", hints).recognition
    assert any("what lies between low and high" in text for text in seen.warnings)


def test_weights_with_their_model_in_a_json_file_beside_them_need_no_flag(tmp_path):
    import h5py

    shutil.copy(FOLDER / "tf115-stack.weights.h5", tmp_path / "net.h5")
    with h5py.File(FOLDER / "tf115-stack.h5") as file:
        stored = file.attrs["model_config"]
    text = stored.decode() if isinstance(stored, bytes) else str(stored)
    (tmp_path / "net.json").write_text(text)
    (tmp_path / "other.json").write_text('{"class_name": "Sequential", "config": []}')
    model = api.load(tmp_path / "net.h5")
    assert model.layers[0].cell.facts["gate_activation"].value == "hard_sigmoid"
    assert model.layers[0].cell.facts["gate_activation"].basis.value == "read"


def test_one_layer_of_a_stack_can_be_selected():
    model = api.load(FOLDER / "tfkeras-stack.h5", Hints(select="high"))
    assert model.name == "high"
    assert model.input_size == 4


@pytest.mark.parametrize("name", [n for n in FILES if "backwards" in n])
def test_a_lone_layer_in_reversed_time_is_refused_by_name(name):
    with pytest.raises(CannotExpress, match="back goes backwards"):
        api.inspect(FOLDER / name)


@pytest.mark.parametrize("name", [n for n in FILES if "none" in n])
def test_a_model_without_a_recurrent_layer_is_told_so_with_its_layers(name):
    with pytest.raises(NotRecognised, match="no recurrent layer") as caught:
        api.inspect(FOLDER / name)
    assert "Conv1D" in str(caught.value)


def test_a_statement_against_the_file_is_a_conflict():
    with pytest.raises(FactConflict, match="the file says tanh"):
        api.inspect(FOLDER / "tfkeras-stack.h5", Hints(activation="relu"))


def test_an_option_of_another_kind_of_source_is_refused():
    with pytest.raises(UsageError, match="--forget-bias"):
        api.inspect(FOLDER / "tfkeras-stack.h5", Hints(forget_bias=1.0))
    with pytest.raises(UsageError, match="Keras"):
        api.inspect(
            FOLDER.parent / "tf115-single" / "model.ckpt", Hints(gate_activation="sigmoid")
        )


def test_what_lies_around_a_stack_is_listed():
    seen = api.inspect(FOLDER / "tfkeras-stack.h5").recognition
    assert {i.reason for i in seen.ignored} == {
        "head is a Dense layer; the recurrent stack alone is converted"
    }


@pytest.mark.parametrize("name", ["tf115-stack.h5", "tfkeras-stack.keras"])
def test_whatever_is_cut_off_or_changed_is_unreadable_or_read(name, tmp_path):
    data = (FOLDER / name).read_bytes()
    rng = np.random.default_rng(3)
    for k in range(24):
        bad = bytearray(data)
        if k % 2:
            bad = bad[: int(rng.integers(16, len(bad)))]
        else:
            at = int(rng.integers(8, min(3000, len(bad))))
            bad[at : at + 8] = rng.bytes(8)
        path = tmp_path / f"{k}{Path(name).suffix}"
        path.write_bytes(bad)
        try:
            api.load(path).layers[0].cell.kernel["f"]
        except (SourceUnreadable, NotRecognised, FactMissing, CannotExpress):
            continue


def test_a_link_out_of_the_file_is_not_followed(tmp_path):
    import h5py

    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["layer_names"] = [b"low"]
        file["low"] = h5py.ExternalLink(FOLDER / "tfkeras-stack.weights.h5", "/low")
    with pytest.raises(SourceUnreadable):
        api.inspect(tmp_path / "bad.h5")


def test_an_hdf5_file_of_another_program_is_told_so(tmp_path):
    import h5py

    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["measurements"] = np.zeros((3, 4))
    with pytest.raises(SourceUnreadable, match="without the weights of a Keras model"):
        api.inspect(tmp_path / "data.h5")
