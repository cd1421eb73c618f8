"""Files of real Keras: what they are converted to computes what their Keras computed."""

import re
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
    done = api.convert(FOLDER / name, to="onnx", output=out, stack_only=True)
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
    with pytest.raises(CannotExpress, match="back goes backwards") as caught:
        api.load(FOLDER / name)
    assert "convert the whole model" in caught.value.advice
    seen = api.inspect(FOLDER / name)
    assert any("back goes backwards" in text for text in seen.recognition.warnings)
    assert seen.whole is not None


@pytest.mark.parametrize("name", [n for n in FILES if "none" in n])
def test_a_model_without_a_recurrent_layer_is_told_so_with_its_layers(name):
    with pytest.raises(NotRecognised, match="no recurrent layer") as caught:
        api.load(FOLDER / name)
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


ALONE = {"activation": "tanh", "gate_activation": "sigmoid"}


def stored_names(group) -> list:
    return list(group.attrs["weight_names"])


def _weights_of(name: str, make: str, tmp_path: Path) -> Path:
    """Weights alone as Keras 2 lays them out: of the `model_weights` of a whole file."""
    import h5py

    path = tmp_path / f"{make}.weights.h5"
    with h5py.File(FOLDER / name) as whole, h5py.File(path, "w") as alone:
        stored = whole["model_weights"]
        for key in stored:
            stored.copy(key, alone)
        for key, value in stored.attrs.items():
            alone.attrs[key] = value
    return path


@pytest.mark.parametrize(
    ("hints", "left"),
    [
        (Hints(), "go_backwards.*masking.*between low and high.*activation"),
        (Hints(**ALONE), "low.go_backwards, low.masking, .*between low and high$"),
        (Hints(**ALONE, go_backwards=False), "2|low.masking"),
        (Hints(**ALONE, go_backwards=False, masking=False), "1 facts .*between low and high$"),
    ],
)
def test_strict_refuses_every_fact_that_weights_alone_leave_open(hints, left, tmp_path):
    path = _weights_of("tfkeras-stack.h5", "net", tmp_path)
    out = tmp_path / "out.onnx"
    with pytest.raises(FactMissing) as caught:
        api.convert(path, to="onnx", output=out, hints=hints, strict=True)
    assert re.search(left, caught.value.read)
    assert "--go-backwards" in caught.value.advice
    assert not out.exists()


def test_weights_alone_of_which_all_is_stated_pass_strict(tmp_path):
    path = _weights_of("tfkeras-stack.h5", "net", tmp_path)
    hints = Hints(**ALONE, go_backwards=False, masking=False, select="low..high")
    done = api.convert(path, to="onnx", output=tmp_path / "o.onnx", hints=hints, strict=True)
    assert done.exit_code == 0
    assert {f.basis.value for f in done.facts.values()} == {"read", "given"}


def test_the_merge_mode_of_weights_alone_is_assumed_or_given(tmp_path):
    path = _weights_of("tfkeras-both-sum.h5", "both", tmp_path)
    fact = api.load(path).facts["both.merge_mode"]
    assert (fact.value, fact.basis.value) == ("concat", "assumed")
    recorded = np.load(FOLDER / "tfkeras-both-sum.npz")
    hints = Hints(**ALONE, merge_mode="sum", masking=False)
    done = api.convert(path, to="onnx", output=tmp_path / "o.onnx", hints=hints, strict=True)
    np.testing.assert_allclose(
        _computed(done.path, recorded["inputs"]), recorded["outputs"], atol=1e-6
    )


def test_directions_that_are_given_apart_stand_side_by_side(tmp_path):
    path = _weights_of("tfkeras-both-concat.h5", "both", tmp_path)
    assert api.load(path, Hints(merge_mode="none")).output_size == 8
    with pytest.raises(CannotExpress, match="merge_mode 'mul'"):
        api.load(path, Hints(merge_mode="mul"))


def test_weights_alone_that_are_said_to_go_backwards_are_refused(tmp_path):
    path = _weights_of("tfkeras-backwards.h5", "back", tmp_path)
    assert api.load(path).facts["back.go_backwards"].basis.value == "assumed"
    with pytest.raises(CannotExpress, match="back goes backwards"):
        api.load(path, Hints(go_backwards=True))


def test_masking_that_is_stated_is_warned_about(tmp_path):
    path = _weights_of("tfkeras-stack.h5", "net", tmp_path)
    seen = api.inspect(path, Hints(masking=True)).recognition
    assert any("masks padded steps" in text for text in seen.warnings)


def test_what_the_file_says_itself_is_not_to_be_stated():
    for hints in (Hints(go_backwards=False), Hints(merge_mode="sum"), Hints(masking=True)):
        with pytest.raises(FactConflict, match="the file has the model itself"):
            api.inspect(FOLDER / "tfkeras-stack.h5", hints)
    with pytest.raises(UsageError, match="--merge-mode is for the weights of Keras"):
        api.inspect(FOLDER.parent / "tf115-single" / "model.ckpt", Hints(merge_mode="sum"))


def test_a_gru_without_a_bias_asks_for_its_reset(tmp_path):
    import h5py

    rng = np.random.default_rng(0)
    path = tmp_path / "gru.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"gru"]
        group = file.create_group("gru")
        group.attrs["weight_names"] = [b"gru/kernel:0", b"gru/recurrent_kernel:0"]
        group["gru/kernel:0"] = rng.normal(size=(3, 12)).astype(np.float32)
        group["gru/recurrent_kernel:0"] = rng.normal(size=(4, 12)).astype(np.float32)
    with pytest.raises(FactMissing, match="does not show its reset"):
        api.load(path, Hints(gate_activation="sigmoid"))
    hints = Hints(gate_activation="sigmoid", reset_after=False)
    fact = api.load(path, hints).layers[0].cell.facts["reset_after"]
    assert (fact.value, fact.basis.value) == (False, "given")


def test_a_cell_with_more_weights_than_keras_own_is_no_cell_of_keras(tmp_path):
    import h5py

    path = _weights_of("tfkeras-plain.h5", "net", tmp_path)
    with h5py.File(path, "a") as file:
        folder = next(iter(file["plain/plain"].values())).name
        name = f"{folder}/gamma:0".removeprefix("/plain/")
        file[f"plain/{name}"] = np.ones(4, np.float32)
        names = [n.encode() if isinstance(n, str) else n for n in stored_names(file["plain"])]
        file["plain"].attrs["weight_names"] = np.array([*names, name.encode()])
    with pytest.raises(NotRecognised, match=r"gamma:0 beside the kernels of a SimpleRNN"):
        api.load(path)
