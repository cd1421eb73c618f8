"""Whole models of real Keras: what they are converted to computes what their Keras computed."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from lstmbridge import api
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, FactConflict, NotRecognised, UsageError

FOLDER = Path(__file__).parents[2] / "fixtures" / "keras-whole"
FILES = sorted(p.name for p in FOLDER.iterdir() if p.suffix in {".h5", ".keras"})
IN_LOOPS = {
    "keras3-repeated": 1,  # hard_sigmoid of Keras 3
    "keras3-newer": 1,  # swish within a GRU
    "tfkeras-newer": 1,
}


def _recorded(name: str) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    arrays = np.load(FOLDER / f"{name.split('.', maxsplit=1)[0]}.npz")
    outputs = sorted(n for n in arrays.files if n.startswith("output_"))
    return (
        {n: arrays[n] for n in arrays.files if n not in outputs},
        [arrays[n] for n in outputs],
    )


def _run(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    kinds = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
    only = next(iter(feeds.values()))
    given = {i.name: feeds.get(i.name, only).astype(kinds[i.type]) for i in session.get_inputs()}
    return session.run(None, given)


@pytest.mark.parametrize("name", FILES)
def test_the_whole_model_computes_what_keras_recorded(name, tmp_path):
    feeds, outputs = _recorded(name)
    done = api.convert(FOLDER / name, to="onnx", output=tmp_path / "o.onnx", verification=None)
    made = _run(done.path, feeds)
    assert len(made) == len(outputs)
    for one, right in zip(made, outputs, strict=True):
        assert one.shape == right.shape
        np.testing.assert_allclose(one, right, atol=2e-6)


@pytest.mark.parametrize("name", FILES)
def test_its_recurrent_layers_are_native_nodes(name, tmp_path):
    done = api.convert(FOLDER / name, to="onnx", output=tmp_path / "o.onnx", verification=None)
    nodes = [node.op_type for node in onnx.load(done.path).graph.node]
    loops = sum(kind in {"Loop", "Scan"} for kind in nodes)
    assert loops == IN_LOOPS.get(name.split(".")[0], 0)
    assert sum(kind in {"LSTM", "GRU", "RNN"} for kind in nodes) > 0


@pytest.mark.parametrize(
    "name", ["tf115-image.h5", "tfkeras-siamese.keras", "keras3-sentences.keras"]
)
def test_it_is_verified_against_the_graph_of_its_config(name, tmp_path):
    done = api.convert(FOLDER / name, to="onnx", output=tmp_path / "o.onnx")
    assert done.verdict.outcome.value == "pass"
    assert done.verdict.faults.planted == done.verdict.faults.caught > 0
    assert not [f for f in done.facts.values() if f.basis.value == "assumed"]


@pytest.mark.parametrize("name", ["tfkeras-image.keras", "keras3-translator.keras"])
def test_it_runs_under_torch_too(name, tmp_path):
    torch = pytest.importorskip("torch")
    import lstmbridge.torch

    feeds, outputs = _recorded(name)
    done = api.convert(FOLDER / name, to="torch", output=tmp_path / "o.pt", verification=None)
    ports = done.artifact.signature.inputs
    module = lstmbridge.torch.load(done.path)
    given = {p.name: torch.from_numpy(feeds[p.name].astype(p.dtype)) for p in ports}
    with torch.no_grad():
        made = list(module(**given).values())
    for one, right in zip(made, outputs, strict=True):
        np.testing.assert_allclose(one.numpy(), right, atol=2e-6)


def test_a_file_with_its_model_declares_it_and_weights_alone_do_not():
    assert api.is_whole(FOLDER / "tf115-siamese.h5")
    assert not api.is_whole(FOLDER.parent / "keras" / "keras3-stack.weights.h5")
    assert not api.is_whole(FOLDER / "tf115-siamese.h5", stack_only=True)


def test_inputs_and_outputs_are_called_as_in_keras(tmp_path):
    file = FOLDER / "tfkeras-siamese.keras"
    done = api.convert(file, to="onnx", output=tmp_path / "o.onnx", verification=None)
    signature = done.artifact.signature
    assert [(p.name, p.dtype.name) for p in signature.inputs] == [
        ("left", "int32"), ("right", "int32"),
    ]  # fmt: skip
    assert [p.name for p in signature.outputs] == ["head", "plus", "dot"]


def test_a_part_of_it_is_converted_by_naming_a_tensor(tmp_path):
    hints = Hints(outputs=("lstm/Transpose",))
    done = api.convert(
        FOLDER / "tf115-image.h5", to="onnx", output=tmp_path / "o.onnx", hints=hints,
        verification=None,
    )  # fmt: skip
    assert [p.name for p in done.artifact.signature.outputs] == ["lstm/Transpose"]


def _changed(name: str, tmp_path: Path, change) -> Path:
    """A `.keras` file whose config was changed."""
    out = tmp_path / "changed.keras"
    with zipfile.ZipFile(FOLDER / name) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member == "config.json":
                config = json.loads(data)
                change({la["config"]["name"]: la for la in config["config"]["layers"]})
                data = json.dumps(config).encode()
            new.writestr(member, data)
    return out


@pytest.mark.parametrize("kind", ["Lambda", "MyAttention"])
def test_a_layer_that_is_not_known_is_refused_by_its_name_and_class(kind, tmp_path):
    path = _changed(
        "tfkeras-classifier.keras", tmp_path, lambda la: la["leaky"].update(class_name=kind)
    )
    out = tmp_path / "o.onnx"
    with pytest.raises(CannotExpress, match=rf"leaky \({kind}\)") as caught:
        api.convert(path, to="onnx", output=out)
    assert "--stack-only" in caught.value.advice
    assert not out.exists()


def test_an_activation_of_the_users_own_is_refused(tmp_path):
    def change(layers):
        layers["hidden"]["config"]["activation"] = "my_own"

    path = _changed("tfkeras-classifier.keras", tmp_path, change)
    with pytest.raises(CannotExpress, match="hidden has the activation 'my_own'"):
        api.convert(path, to="onnx", output=tmp_path / "o.onnx")


def test_dropout_that_is_switched_on_at_inference_is_refused(tmp_path):
    def change(layers):
        layers["leaky"].update(class_name="Dropout")
        layers["leaky"]["inbound_nodes"][0][0][3]["training"] = True

    path = _changed("tfkeras-classifier.keras", tmp_path, change)
    with pytest.raises(CannotExpress, match="training=True"):
        api.convert(path, to="onnx", output=tmp_path / "o.onnx")


def test_weights_that_are_not_the_configs_are_refused(tmp_path):
    def change(layers):
        layers["hidden"]["config"]["use_bias"] = False

    path = _changed("tfkeras-classifier.keras", tmp_path, change)
    with pytest.raises(NotRecognised, match="hidden has 1 weights by its config, and 2"):
        api.convert(path, to="onnx", output=tmp_path / "o.onnx")


def test_a_stateful_layer_is_warned_about(tmp_path):
    def change(layers):
        layers["last"]["config"]["stateful"] = True

    path = _changed("tfkeras-classifier.keras", tmp_path, change)
    done = api.convert(path, to="onnx", output=tmp_path / "o.onnx", verification=None)
    assert any("last is stateful" in text for text in done.warnings)


def test_statements_of_weights_alone_are_refused(tmp_path):
    for hints, error in (
        (Hints(merge_mode="sum"), FactConflict),
        (Hints(forget_bias=1.0), UsageError),
        (Hints(activation="relu"), FactConflict),
    ):
        with pytest.raises(error):
            api.convert(
                FOLDER / "tf115-image.h5", to="onnx", output=tmp_path / "o.onnx", hints=hints
            )
