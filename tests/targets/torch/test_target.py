"""What stands in the files: keys, numbers bit for bit, bytes, and what is refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lstmbridge.torch
from lstmbridge.arrays import UNIT_ROUNDING
from lstmbridge.contracts import TargetOptions
from lstmbridge.errors import CannotExpress, RuntimeUnavailable, SourceUnreadable, UsageError
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Sequence
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States, signature_of
from lstmbridge.targets.torch import TorchTarget
from lstmbridge.targets.torch.files import Content, load, save

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]
TARGET = TorchTarget()
SUFFIXES = (".pt", ".safetensors")


def write(model: Model, folder: Path, suffix: str = ".safetensors", **options: Any) -> Any:
    path = folder / f"model{suffix}"
    return TARGET.write(model, path, TargetOptions(**options), {"lstmbridge.part": "a/b"})


def plain(path: Path) -> dict[str, Any]:
    """The file as a user without lstmbridge reads it."""
    if path.suffix == ".pt":
        return dict(torch.load(path))
    return dict(importlib.import_module("safetensors.torch").load_file(path))


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


NATIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "one layer": ("LSTM", {"input_size": 3, "hidden_size": 5}),
    "one unit": ("LSTM", {"input_size": 1, "hidden_size": 1}),
    "uniform": ("LSTM", {"input_size": 3, "hidden_size": 5, "num_layers": 2}),
    "shared": ("LSTM", {"input_size": 4, "hidden_size": 4, "num_layers": 3}),
    "no bias": ("LSTM", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bias": False}),
    "one bias of two": ("LSTM", {"input_size": 3, "hidden_size": 4, "num_layers": 2}),
    "forget bias only": ("LSTM", {"input_size": 3, "hidden_size": 4}),
    "projected": ("LSTM", {"input_size": 3, "hidden_size": 5, "num_layers": 2, "proj_size": 2}),
    "two ways": ("LSTM", {"input_size": 3, "hidden_size": 4, "bidirectional": True}),
    "two ways stacked": (
        "LSTM", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True},
    ),
    "two ways stacked, projected": (
        "LSTM",
        {
            "input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True,
            "proj_size": 2,
        },
    ),
    "gru": ("GRU", {"input_size": 3, "hidden_size": 5}),
    "gru, one bias": ("GRU", {"input_size": 3, "hidden_size": 4}),
    "gru, late bias": ("GRU", {"input_size": 3, "hidden_size": 4}),
    "gru, candidate's late bias": ("GRU", {"input_size": 3, "hidden_size": 4}),
    "gru, no bias": ("GRU", {"input_size": 3, "hidden_size": 4, "bias": False}),
    "grus": ("GRU", {"input_size": 3, "hidden_size": 4, "num_layers": 2}),
    "gru, two ways stacked": (
        "GRU", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True},
    ),
    "rnn": ("RNN", {"input_size": 3, "hidden_size": 4}),
    "rnn, relu": (
        "RNN", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "nonlinearity": "relu"},
    ),
    "rnn, no bias": ("RNN", {"input_size": 3, "hidden_size": 4, "bias": False}),
    "rnn, two ways": ("RNN", {"input_size": 3, "hidden_size": 4, "bidirectional": True}),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", list(NATIVE))
def test_what_one_module_of_torch_can_say_loads_into_a_plain_one(
    name: str, suffix: str, lab: Any
) -> None:
    model = lab.model(name, dtype=np.float32)
    artifact = write(model, lab.folder, suffix)
    kind, options = NATIVE[name]
    plain_one = getattr(torch.nn, kind)(**options, batch_first=True)
    stored = plain(artifact.path)
    assert list(plain_one.state_dict()) == list(stored) or suffix == ".safetensors"
    plain_one.load_state_dict(stored, strict=True)
    feeds = lab.feeds(model, lengths=False, states=False, dtype=np.float32)
    with torch.inference_mode():
        y, states = plain_one(torch.from_numpy(feeds["inputs"]).float())
    exact = forward(model, feeds)
    np.testing.assert_allclose(y.numpy(), exact["outputs"], atol=2e-6)
    by_name = dict(zip("hc", states if kind == "LSTM" else (states,), strict=False))
    for k, layer in enumerate(model.layers):
        for state in layer.cell.STATES:
            wanted = exact[f"{layer.name}_{state}"]
            np.testing.assert_allclose(by_name[state][k].numpy(), wanted, atol=2e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_usage_lines_run_and_give_the_same_numbers(
    kind: str, suffix: str, dtype: str, lab: Any
) -> None:
    importlib.import_module("safetensors.torch")
    model = lab.model(kind, dtype=np.float32)
    artifact = write(model, lab.folder, suffix, dtype=dtype)
    lines = TARGET.usage(artifact)
    assert lines.count("\n") == 1
    scope: dict[str, Any] = {"torch": torch, "safetensors": sys.modules["safetensors"]}
    exec(lines, scope)
    x = torch.from_numpy(lab.feeds(model)["inputs"]).to(getattr(torch, dtype))
    with torch.inference_mode():
        mine = lstmbridge.torch.load(artifact.path)(x)["outputs"]
        if kind in NATIVE:
            theirs = scope[NATIVE[kind][0].lower()](x)[0]
        else:
            theirs = scope["module"](x)["outputs"]
    assert ("lstmbridge" in lines.replace(str(lab.folder), "")) == (kind not in NATIVE)
    # bit for bit it is not: PyTorch's sums depend on where in memory a weight lies
    unit = UNIT_ROUNDING[dtype]
    torch.testing.assert_close(mine, theirs, rtol=16 * unit, atol=16 * unit)


KEYS = {
    "growing": ["layers.0.weight_ih_l0", "layers.1.weight_hh_l0"],
    "peephole": ["layers.0.kernel", "layers.1.recurrent", "layers.1.peephole_o", "layers.0.bias"],
    "everything": ["layers.0.projection", "layers.0.peephole_i"],
    "residual": ["layers.0.weight_ih_l0", "layers.1.bias_hh_l0", "layers.2.kernel"],
    "residual at the root": ["layers.0.weight_ih_l0"],
    "two stacks": ["forward_layers.weight_ih_l1", "backward_layers.bias_hh_l0"],
    "two unlike ways": ["forward_layers.weight_ih_l0", "backward_layers.weight_ih_l0"],
    "two stacks, unlike": ["forward_layers.1.kernel", "backward_layers.0.weight_ih_l0"],
    "two ways stacked, unlike": [
        "layers.0.weight_ih_l0_reverse", "layers.1.forward_layers.kernel",
    ],
    "gru, reset before": ["layers.0.kernel", "layers.0.recurrent_rz", "layers.0.recurrent_c"],
    "gru, both resets": ["forward_layers.recurrent_c", "backward_layers.weight_hh_l0"],
    "layer norm": ["layers.0.gain_f", "layers.1.shift_o", "layers.1.state_gain"],
    "independent": ["layers.0.recurrent", "layers.1.recurrent_rz", "layers.1.bias"],
    "coupled": ["layers.0.peephole_f", "layers.0.projection", "layers.1.kernel"],
    "dense": ["layers.0.weight", "layers.0.bias", "layers.1.weight_hh_l1", "layers.2.weight"],
    "highway": [
        "layers.1.carry_kernel", "layers.1.carry_bias", "layers.1.inner.weight_ih_l0",
        "layers.2.transform_kernel", "layers.2.inner.recurrent",
    ],
    "highway at the root": ["layers.0.carry_bias", "layers.0.inner.0.weight_ih_l0"],
    "highways in two directions": [
        "layers.0.inner.weight_hh_l0_reverse", "layers.1.backward_layers.1.transform_bias",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", list(KEYS))
def test_what_one_module_of_torch_cannot_say_has_readable_keys(name: str, lab: Any) -> None:
    artifact = write(lab.model(name), lab.folder)
    assert set(KEYS[name]) <= set(plain(artifact.path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_modules_keys_are_the_files(kind: str, suffix: str, lab: Any) -> None:
    artifact = write(lab.model(kind), lab.folder, suffix)
    module, stored = lstmbridge.torch.load(artifact.path).state_dict(), plain(artifact.path)
    assert sorted(module) == sorted(stored)
    assert all(torch.equal(module[key], stored[key]) for key in stored)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_the_ledger_holds_every_stored_number_bit_for_bit(
    kind: str, suffix: str, dtype: Any, lab: Any
) -> None:
    model = lab.model(kind, dtype=dtype)
    ledger = dict(TARGET.ledger(write(model, lab.folder, suffix), model))
    wanted = dict(entries(model))
    zero = np.zeros((), dtype)
    for key in list(wanted):
        if key not in ledger and key[1] == "forget_bias":
            assert not wanted.pop(key).any()
    for key, numbers in wanted.items():
        found = ledger.pop(key)
        assert found.dtype == dtype
        assert found.shape == numbers.shape
        assert bits(found) == bits(numbers.astype(dtype)), key
    assert all((numbers == zero).all() for numbers in ledger.values())
    assert {field for _, field, _ in ledger} <= {"bias"}


def entries(model: Model) -> Iterator[tuple[tuple[str, str, str], np.ndarray]]:
    """What the model has, under the keys of a ledger."""
    for layer in model.layers:
        cell = layer.cell
        for field, stored in cell.blocks.items():
            if isinstance(stored, GateBlocks):
                yield from (((layer.name, field, gate), stored[gate]) for gate in stored)
            else:
                yield (layer.name, field, ""), stored.load()
        if "forget_bias" in cell.facts:
            value = np.full(cell.units, cell.facts["forget_bias"].value)
            yield (layer.name, "forget_bias", ""), value
    for attachment in model.attachments:
        for field, weights in attachment.block.weights.items():
            yield (attachment.name, field, ""), weights.load()


def test_a_stored_bias_survives_beside_the_forget_bias(lab: Any) -> None:
    rng = np.random.default_rng(3)
    tiny = np.array([1e-30, -0.0, 1e-8], np.float32)
    one = replace(
        lab.cell(rng, 2, 3, dtype=np.float32), bias=GateBlocks.of(dict.fromkeys("icfo", tiny))
    )
    model = Model("x", Recurrent(one))
    artifact = write(model, lab.folder)
    stored = plain(artifact.path)
    assert bits(stored["bias_ih_l0"].numpy()) == bits(np.tile(tiny, 4))
    assert stored["bias_hh_l0"].tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
    assert bits(TARGET.ledger(artifact, model)["layer0", "bias", "f"]) == bits(tiny)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("weight_ih_l0", ("layer0", "kernel", "i")),
        ("weight_hh_l1", ("layer1", "recurrent", "i")),
        ("bias_ih_l0", ("layer0", "bias", "i")),
        ("bias_hh_l0", ("layer0", "recurrent_bias", "i")),
    ],
)
def test_the_ledger_sees_one_changed_number(
    key: str, entry: tuple[str, str, str], lab: Any
) -> None:
    model = lab.model("uniform")
    artifact = write(model, lab.folder)
    before = dict(TARGET.ledger(artifact, model))
    content = load(artifact.path)
    assert content is not None
    changed = {name: np.array(w.load()) for name, w in content.tensors.items()}
    changed[key].flat[0] += 1e-9
    tensors = {name: InMemory(name, a) for name, a in changed.items()}
    save(artifact.path, Content(tensors, content.strings))
    after = TARGET.ledger(artifact, model)
    seen = {key: bits(numbers) for key, numbers in before.items()}
    assert [key for key, numbers in after.items() if bits(numbers) != seen.get(key)] == [entry]


def test_the_ledger_sees_layers_exchanged(lab: Any) -> None:
    model = lab.model("shared")
    other = lab.model("uniform")
    with pytest.raises(SourceUnreadable):
        TARGET.ledger(write(model, lab.folder), other)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_model_gives_the_same_bytes_under_any_name(
    kind: str, suffix: str, lab: Any
) -> None:
    written = []
    for name in ("a", "another-name"):
        path = lab.folder / (name + suffix)
        TARGET.write(lab.model(kind), path, TargetOptions(), {"b": "2", "a": "1", "c": "3"})
        written.append(path.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reading_gives_what_writing_gave(kind: str, suffix: str, lab: Any) -> None:
    model = lab.model(kind)
    artifact = write(model, lab.folder, suffix)
    assert TARGET.read(artifact.path) == artifact
    assert artifact.metadata["lstmbridge.part"] == "a/b"
    assert [e.layer for e in artifact.expressions] == [layer.name for layer in model.layers]
    full = signature_of(model, np.dtype(np.float64), states=States.OPTIONAL, sequence_length=True)
    assert artifact.signature.output_names() == full.output_names()
    mine = {s.name: s.shape for s in artifact.signature.inputs}
    assert mine == {s.name: s.shape for s in full.inputs}
    assert all(s.optional for s in artifact.signature.inputs[1:])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_annotating_adds_strings_and_leaves_the_rest(suffix: str, lab: Any) -> None:
    artifact = write(lab.model("shared"), lab.folder, suffix)
    before = plain(artifact.path)
    noted = TARGET.annotate(artifact, {"lstmbridge.verdict": '"pass" \u2713'})
    assert TARGET.read(artifact.path) == noted
    assert noted.metadata == {**artifact.metadata, "lstmbridge.verdict": '"pass" \u2713'}
    after = plain(artifact.path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_annotating_gives_the_bytes_of_writing_it_all_at_once(
    kind: str, suffix: str, lab: Any
) -> None:
    one, other = lab.folder / f"one{suffix}", lab.folder / f"other{suffix}"
    TARGET.write(lab.model(kind), one, TargetOptions(), {"b": "2", "a": "1"})
    TARGET.annotate(TARGET.write(lab.model(kind), other, TargetOptions(), {"b": "2"}), {"a": "1"})
    assert one.read_bytes() == other.read_bytes()


def test_an_annotation_cannot_replace_the_architecture(lab: Any) -> None:
    artifact = write(lab.model("shared"), lab.folder)
    assert TARGET.annotate(artifact, {"lstmbridge.torch": "{}"}) == artifact


def test_a_shared_cell_is_written_for_each_layer_and_stored_once_in_a_pt(lab: Any) -> None:
    one = lab.cell(np.random.default_rng(0), 64, 64, dtype=np.float32)
    model = Model("x", Sequence((Recurrent(one),) * 4))
    artifact = write(model, lab.folder, ".pt")
    assert len(plain(artifact.path)) == 16
    size = artifact.path.stat().st_size
    assert size < 1.5 * 4 * (2 * 64 * 256)
    TARGET.annotate(artifact, {"lstmbridge.verdict": "pass"})
    assert artifact.path.stat().st_size < size + 200


def test_how_each_layer_is_said_is_told(lab: Any) -> None:
    said = {
        name: [(e.how, e.detail) for e in write(lab.model(name), lab.folder).expressions]
        for name in ("uniform", "clipped below", "projected wide")
    }
    assert {how for how, _ in said["uniform"]} == {"native"}
    assert [how for how, _ in said["clipped below"]] == ["stepped", "native"]
    assert "clip" in said["clipped below"][0][1]
    assert "fewer features than units" in said["projected wide"][0][1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_another_dtype_rounds_every_number_once(dtype: str, lab: Any) -> None:
    model = lab.model("everything")
    artifact = write(model, lab.folder, dtype=dtype)
    assert artifact.precision == dtype
    exact = torch.from_numpy(model.layers[0].cell.projection.load().copy())
    assert torch.equal(
        plain(artifact.path)["layers.0.projection"], exact.to(getattr(torch, dtype))
    )


def test_blocks_of_several_dtypes_are_stored_in_one_that_holds_them_all(lab: Any) -> None:
    rng = np.random.default_rng(0)
    parts = [lab.cell(rng, 4, 4, dtype=d) for d in (np.float16, ml_dtypes.bfloat16)]
    artifact = write(Model("x", Sequence(tuple(map(Recurrent, parts)))), lab.folder)
    assert artifact.precision == "float32"


def test_a_number_beyond_the_dtypes_range_is_refused(lab: Any) -> None:
    big = lab.cell(np.random.default_rng(0), 2, 3, dtype=np.float32, scale=1e6)
    with pytest.raises(CannotExpress, match="which float16 cannot hold"):
        write(Model("x", Recurrent(big)), lab.folder, dtype="float16")
    assert not list(lab.folder.iterdir())


def test_an_unknown_dtype_is_refused(lab: Any) -> None:
    with pytest.raises(UsageError, match="int8"):
        write(lab.model("uniform"), lab.folder, dtype="int8")


def test_an_unknown_suffix_is_refused(lab: Any) -> None:
    with pytest.raises(UsageError, match=r"\.bin"):
        write(lab.model("uniform"), lab.folder, ".bin")
    assert not list(lab.folder.iterdir())


def test_a_two_way_block_inside_one_direction_is_refused(lab: Any) -> None:
    inner = lab.model("two ways").root
    nested = Bidirectional(inner, lab.model("one layer").root)
    with pytest.raises(CannotExpress, match="inside one direction"):
        write(Model("x", nested), lab.folder)


def test_a_full_disk_is_the_systems_own_error(lab: Any) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    content = Content({"a": InMemory("a", np.zeros(100_000, np.float32))}, {})
    with pytest.raises(OSError, match="space"):
        _save_to(Path("/dev/full"), content)


def _save_to(path: Path, content: Content) -> None:
    module = importlib.import_module("lstmbridge.targets.torch.files")
    module._save_pt(path, content.tensors, "{}")


def test_without_pytorch_safetensors_are_written_and_a_pt_is_refused(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lab.model("uniform")
    monkeypatch.setitem(sys.modules, "torch", None)
    artifact = write(model, lab.folder)
    assert TARGET.read(artifact.path) == artifact
    assert len(TARGET.ledger(artifact, model)) == 26
    with pytest.raises(RuntimeUnavailable, match="safetensors"):
        write(model, lab.folder, ".pt")
    with pytest.raises(RuntimeUnavailable, match="pip install"):
        lstmbridge.torch.load(artifact.path)
