"""Exported programs: what they compute, what stands in the file, what is refused."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lstmbridge.torch
from lstmbridge.arrays import Rounding
from lstmbridge.contracts import Artifact, States, TargetOptions
from lstmbridge.errors import (
    CannotExpress,
    LstmBridgeError,
    NotRecognised,
    RuntimeUnavailable,
    SourceUnreadable,
    UsageError,
)
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import signature_of
from lstmbridge.targets.torch import TorchExportTarget, TorchTarget

torch = pytest.importorskip("torch", "2.9")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
    # PyTorch 2.9 says so of buffers that it made itself
    pytest.mark.filterwarnings("ignore:The given buffer is not writable"),
]
TARGET = TorchExportTarget()


def write(model: Model, folder: Path, name: str = "model", **options: Any) -> Artifact:
    said = TargetOptions(**options)
    return TARGET.write(model, folder / f"{name}.pt2", said, {"lstmbridge.part": "a/b"})


@pytest.fixture(scope="module")
def made(shelf: Any) -> Callable[..., tuple[Model, Artifact]]:
    """A network of the zoo and its artifact, written once for all tests of this file."""

    @cache
    def make(name: str, *, lengths: bool, states: States = States.REQUIRED) -> Any:
        model = shelf.model(name)
        stem = f"{zlib.crc32(name.encode())}-{lengths}-{states.value}"
        return model, write(model, shelf.folder, stem, states=states, sequence_length=lengths)

    return make


def call(program: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        out = program(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    return {name: tensor.numpy() for name, tensor in out.items()}


def worst(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    assert a.keys() == b.keys()
    assert all(a[name].shape == b[name].shape for name in a)
    return max(float(np.max(np.abs(a[name] - b[name]), initial=0.0)) for name in a)


EXPORTED = (
    ("every kind", True),
    ("everything", False),
    ("projected", True),
    ("rnn, relu", True),
    ("two ways stacked", False),
    ("two stacks, unlike", False),
    ("gru, both resets", False),
    ("highways in two directions", True),
    ("dense in one direction", True),
)


@pytest.mark.parametrize(("name", "lengths"), EXPORTED)
def test_a_program_equals_the_oracle_for_any_batch_and_any_number_of_steps(
    name: str, lengths: bool, lab: Any, made: Any
) -> None:
    model, artifact = made(name, lengths=lengths)
    program = torch.export.load(artifact.path).module()
    for batch, time in ((4, 6), (1, 1), (2, 9), (7, 1), (1, 4), (0, 3)):
        feeds = lab.feeds(model, batch=batch, time=time, lengths=lengths)
        assert worst(call(program, feeds), forward(model, feeds)) < 1e-12


def test_rows_of_length_zero_alone_keep_their_states(lab: Any, made: Any) -> None:
    model, artifact = made("every kind", lengths=True)
    feeds = lab.feeds(model) | {"sequence_length": np.zeros(4, np.int32)}
    out = call(torch.export.load(artifact.path).module(), feeds)
    assert not out.pop("outputs").any()
    assert all((out[name] == feeds[f"initial_{name}"]).all() for name in out)


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(np.float32, "float32"), (np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")],
)
def test_a_narrow_program_stays_within_the_noise_floor(
    dtype: Any, precision: str, lab: Any
) -> None:
    model = lab.model("one node of each sort", dtype=dtype)
    artifact = write(model, lab.folder, sequence_length=True)
    assert artifact.precision == precision
    feeds = lab.feeds(model, dtype=dtype, states=False)
    exact = forward(model, feeds)
    replicas = [forward(model, feeds, ops=Rounding(precision, seed)) for seed in range(8)]
    with torch.inference_mode():
        out = torch.export.load(artifact.path).module()(
            inputs=torch.from_numpy(feeds["inputs"]).to(getattr(torch, precision)),
            sequence_length=torch.from_numpy(feeds["sequence_length"]),
        )
    for name, value in exact.items():
        floor = max(float(np.max(np.abs(run[name] - value))) for run in replicas)
        assert np.max(np.abs(out[name].double().numpy() - value)) <= 2 * floor, name


OPERATORS = {
    ("gru", False): ["aten.gru.input"],
    ("gru", True): ["aten.gru.data"],
    ("gru, reset before", False): ["scan"],
    ("gru, reset before", True): ["scan"],
    ("uniform", False): ["aten.lstm.input"],
    ("two ways stacked", True): ["aten.lstm.data"],
    ("rnn", False): ["aten.rnn_tanh.input"],
    ("rnn, relu", True): ["aten.rnn_relu.data"],
    ("dense", False): ["aten.lstm.input"],
    ("peephole", False): ["scan", "scan"],
}


@pytest.mark.parametrize(("name", "lengths"), list(OPERATORS))
def test_a_stack_is_one_operator_where_torch_has_one_and_a_scan_elsewhere(
    name: str, lengths: bool, made: Any
) -> None:
    _, artifact = made(name, lengths=lengths, states=States.NONE)
    nodes = torch.export.load(artifact.path).graph.nodes
    found = [str(node.target) for node in nodes if node.op == "call_function"]
    looped = ("lstm", "gru", "rnn", "scan")
    assert [t for t in found if any(word in t for word in looped)] == OPERATORS[name, lengths]
    assert not [target for target in found if "lstmbridge" in target]


def test_a_program_runs_in_a_process_that_knows_no_lstmbridge(lab: Any, made: Any) -> None:
    model, artifact = made("gru, both resets", lengths=True, states=States.NONE)
    np.savez(lab.folder / "feeds.npz", **lab.feeds(model, states=False))
    code = (
        "import sys, numpy as np, torch\n"
        "class No:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.startswith('lstmbridge'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "feeds = np.load('feeds.npz')\n"
        "inputs = torch.from_numpy(feeds['inputs'])\n"
        "sequence_length = torch.from_numpy(feeds['sequence_length'])\n"
        f"{TARGET.usage(artifact)}\n"
        "np.savez('out.npz', **{k: v.detach().numpy() for k, v in outputs.items()})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=lab.folder)
    out = dict(np.load(lab.folder / "out.npz"))
    assert worst(out, forward(model, lab.feeds(model, states=False))) < 1e-12


@pytest.mark.parametrize("states", [States.NONE, States.REQUIRED])
@pytest.mark.parametrize("lengths", [True, False])
def test_a_program_takes_what_was_asked_for_and_says_so(
    states: States, lengths: bool, lab: Any, made: Any
) -> None:
    model, artifact = made("gru, both resets", lengths=lengths, states=states)
    wanted = signature_of(model, np.dtype(np.float64), states=states, sequence_length=lengths)
    assert artifact.signature == wanted
    assert TARGET.read(artifact.path) == artifact
    assert artifact.metadata["lstmbridge.part"] == "a/b"
    assert [e.how for e in artifact.expressions] == ["stepped", "native"]
    program = torch.export.load(artifact.path).module()
    feeds = lab.feeds(model, states=states is States.REQUIRED, lengths=lengths)
    assert worst(call(program, feeds), forward(model, feeds)) < 1e-12
    feeds.popitem()
    with pytest.raises((ValueError, TypeError)):
        call(program, feeds)


def test_the_same_model_gives_the_same_bytes_under_any_name_in_any_process(lab: Any) -> None:
    model = lab.model("gru, both resets")
    one = write(model, lab.folder, "one").path.read_bytes()
    assert write(model, lab.folder, "another").path.read_bytes() == one
    code = (
        "import sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import conftest\n"
        "from lstmbridge.contracts import TargetOptions\n"
        "from lstmbridge.targets.torch import TorchExportTarget\n"
        "model = conftest.Lab(Path()).model('gru, both resets')\n"
        "metadata = {'lstmbridge.part': 'a/b'}\n"
        "TorchExportTarget().write(model, Path('b.pt2'), TargetOptions(), metadata)\n"
    )
    path = [str(Path(lstmbridge.__file__).parents[1]), *sys.path]
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(path)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=lab.folder, env=environment)
    assert (lab.folder / "b.pt2").read_bytes() == one


def test_nothing_of_this_machine_stands_in_a_file(made: Any) -> None:
    _, artifact = made("every kind", lengths=True)
    with zipfile.ZipFile(artifact.path) as archive:
        graph = archive.read("model/models/model.json").decode()
    assert "/" not in graph.replace("torch.ops", "")
    assert "stack_trace" not in graph


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float32])
def test_the_ledger_is_that_of_the_state_dict(dtype: Any, lab: Any) -> None:
    model = lab.model("highways and residuals inside each other", dtype=dtype)
    mine = TARGET.ledger(write(model, lab.folder), model)
    other = TorchTarget().write(model, lab.folder / "m.safetensors", TargetOptions(), {})
    theirs = TorchTarget().ledger(other, model)
    assert mine.keys() == theirs.keys()
    for key, numbers in mine.items():
        assert numbers.dtype == dtype
        np.testing.assert_array_equal(numbers, theirs[key], strict=True)


def test_annotating_adds_strings_and_leaves_the_rest(lab: Any) -> None:
    artifact = write(lab.model("gru"), lab.folder)
    with zipfile.ZipFile(artifact.path) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    noted = TARGET.annotate(
        artifact, {"lstmbridge.verdict": "pass \u2713", "lstmbridge.torch": ""}
    )
    assert TARGET.read(artifact.path) == noted
    assert noted.metadata == {**artifact.metadata, "lstmbridge.verdict": "pass \u2713"}
    with zipfile.ZipFile(artifact.path) as archive:
        after = {name: archive.read(name) for name in archive.namelist()}
    changed = [name for name in after if after[name] != before.get(name)]
    assert changed == ["model/extra/lstmbridge.json"]
    assert before.keys() == after.keys()
    assert [file.name for file in lab.folder.iterdir()] == ["model.pt2"]


def test_torch_gives_the_strings_back_too(made: Any) -> None:
    _, artifact = made("gru", lengths=False, states=States.NONE)
    extra = {"lstmbridge.json": ""}
    torch.export.load(artifact.path, extra_files=extra)
    assert json.loads(extra["lstmbridge.json"])["lstmbridge.part"] == "a/b"


def test_the_door_loads_a_program(lab: Any, made: Any) -> None:
    model, artifact = made("uniform", lengths=False, states=States.NONE)
    program = lstmbridge.torch.load(artifact.path)
    feeds = lab.feeds(model, states=False, lengths=False)
    assert worst(call(program, feeds), forward(model, feeds)) < 1e-12


@pytest.mark.parametrize("lengths", [[7, 0, 0, 0], [-1, 2, 2, 2]])
def test_lengths_out_of_range_are_refused_by_the_program(
    lengths: list[int], lab: Any, made: Any
) -> None:
    model, artifact = made("gru, both resets", lengths=True, states=States.NONE)
    program = torch.export.load(artifact.path).module()
    feeds = lab.feeds(model, states=False) | {"sequence_length": np.array(lengths, np.int32)}
    with pytest.raises(RuntimeError, match="between 0 and the number of steps"):
        call(program, feeds)


def test_optional_states_are_refused_by_name(lab: Any) -> None:
    with pytest.raises(CannotExpress, match="no optional inputs"):
        write(lab.model("gru"), lab.folder, states=States.OPTIONAL)
    assert not list(lab.folder.iterdir())


def test_an_unknown_suffix_or_dtype_is_refused(lab: Any) -> None:
    with pytest.raises(UsageError, match=r"\.pt2"):
        TARGET.write(lab.model("gru"), lab.folder / "a.onnx", TargetOptions(), {})
    with pytest.raises(UsageError, match="int8"):
        write(lab.model("gru"), lab.folder, dtype="int8")
    assert not list(lab.folder.iterdir())


def test_without_a_new_enough_pytorch_it_is_said_which_is_needed(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = write(lab.model("gru"), lab.folder)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.2.2+cu121")
        with pytest.raises(RuntimeUnavailable, match=r"2\.2\.2\+cu121 is too old"):
            write(lab.model("gru"), lab.folder, "other")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeUnavailable, match="cannot be imported"):
        write(lab.model("gru"), lab.folder, "other")
    assert TARGET.read(artifact.path) == artifact
    assert len(TARGET.ledger(artifact, lab.model("gru"))) == 12
    assert [file.name for file in lab.folder.iterdir()] == ["model.pt2"]


def test_what_the_exporter_cannot_trace_is_refused_by_name(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def declined(*_: Any, **__: Any) -> None:
        raise AssertionError("something inside")

    monkeypatch.setattr(torch.export, "export", declined)
    with pytest.raises(CannotExpress, match="cannot export the network: something inside"):
        write(lab.model("gru"), lab.folder)
    assert not list(lab.folder.iterdir())


def test_a_full_disk_is_the_systems_own_error(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OSError, match="file write failed"):
        write(lab.model("gru"), lab.folder)
    assert not list(lab.folder.iterdir())


# --- hostile files ---------------------------------------------------------------------------


class Exploit:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module("os").mkdir, (str(self.where),)


Entries = dict[str, bytes]


@pytest.fixture(scope="module")
def sound(made: Any) -> Entries:
    """The members of a sound file."""
    _, artifact = made("gru, both resets", lengths=True, states=States.NONE)
    with zipfile.ZipFile(artifact.path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(folder: Path, entries: Entries, **how: Any) -> Path:
    path = folder / "file.pt2"
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_a_file_packed_anew_is_still_sound(sound: Entries, tmp_path: Path) -> None:
    assert isinstance(lstmbridge.torch.load(packed(tmp_path, sound)), torch.nn.Module)


GRAPH = "model/models/model.json"
TABLE = "model/data/weights/model_weights_config.json"
CODE = "__import__('os').mkdir('owned')"


def _json(entry: str, change: Callable[[Any], Any]) -> Callable[[Entries, Path], Entries]:
    def tampered(entries: Entries, _where: Path) -> Entries:
        body = json.loads(entries[entry])
        change(body)
        return entries | {entry: json.dumps(body).encode()}

    return tampered


def _nodes(body: Any) -> list[Any]:
    nodes: list[Any] = body["graph_module"]["graph"]["nodes"]
    return nodes


def _first(body: Any, key: str) -> Any:
    """The first dictionary inside `body` that has `key`."""
    if isinstance(body, dict):
        if key in body:
            return body
        body = list(body.values())
    if isinstance(body, list):
        return next((found for part in body if (found := _first(part, key))), None)
    return None


def _set(key: str, value: Any) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        _first(body, key)[key] = value

    return change


def _spec(kind: str) -> str:
    return json.dumps([1, {"type": kind, "context": "null", "children_spec": []}])


def _weight(body: Any) -> Any:
    return next(iter(body["config"].values()))


def _pickled(entries: Entries, where: Path) -> Entries:
    body = json.loads(entries[TABLE])
    _weight(body)["use_pickle"] = True
    table = json.dumps(body).encode()
    return entries | {TABLE: table, "model/data/weights/weight_0": pickle.dumps(Exploit(where))}


def _legacy(entries: Entries, where: Path) -> Entries:
    return entries | {"model/data/weights/model.pt": pickle.dumps(Exploit(where))}


def _examples(entries: Entries, where: Path) -> Entries:
    return entries | {"model/data/sample_inputs/model.pt": pickle.dumps((Exploit(where),))}


HARM: dict[str, Callable[[Entries, Path], Entries]] = {
    "code in a guard": _json(GRAPH, _set("guards_code", [CODE])),
    "a guard that never ends": _json(GRAPH, _set("guards_code", ["9**9**9**9 > 0"])),
    "code in a size": _json(GRAPH, _set("expr_str", CODE)),
    "code in a name": _json(GRAPH, _set("name", f"x={CODE}")),
    "code in an input's name": _json(
        GRAPH, lambda b: b["graph_module"]["graph"]["inputs"][0]["as_tensor"].update(name=CODE)
    ),
    "code in a key": _json(
        GRAPH, lambda b: b["graph_module"]["graph"]["tensor_values"].update({CODE: {}})
    ),
    "a function of torch": _json(GRAPH, _set("target", "torch.hub.load")),
    "a function of a module in torch": _json(GRAPH, _set("target", "torch.serialization.os.system")),
    "an operator that calls": _json(GRAPH, _set("target", "_operator.call")),
    "an operator that opens files": _json(GRAPH, _set("target", "torch.ops.aten.from_file.default")),
    "an argument that is a function": _json(
        GRAPH, lambda b: _nodes(b)[0]["inputs"][0].update(arg={"as_operator": "torch.hub.load"})
    ),
    "an argument that is an object": _json(
        GRAPH,
        lambda b: _nodes(b)[0]["inputs"][0].update(
            arg={"as_custom_obj": {"name": "a", "class_fqn": "b"}}
        ),
    ),
    "notes at a node": _json(GRAPH, lambda b: _nodes(b)[0].update(metadata={"a": "b"})),
    "a class among the inputs": _json(GRAPH, _set("in_spec", _spec("collections.OrderedDict"))),
    "a class among the outputs": _json(GRAPH, _set("out_spec", _spec("os.system"))),
    "a pickled weight": _pickled,
    "pickled weights": _legacy,
    "pickled examples": _examples,
    "constants": lambda e, _w: e | {
        "model/data/constants/model_constants_config.json":
            b'{"config": {"a": {"path_name": "opaque_obj_0", "use_pickle": true}}}',
    },
    "machine code": lambda e, _w: e | {"model/data/aotinductor/model/a.so": b"\x7fELF"},
    "a second program": lambda e, _w: e | {"model/models/other.json": e[GRAPH]},
    "a second root": lambda e, _w: {"other/models/model.json": e[GRAPH]} | e,
    "two files of one name": lambda e, _w: e | {"other" + GRAPH[5:]: e[GRAPH]},
    "no graph": lambda e, _w: {name: body for name, body in e.items() if name != GRAPH},
    "a graph of nothing": lambda e, _w: e | {GRAPH: b"{}"},
    "a graph that is no JSON": lambda e, _w: e | {GRAPH: b"\xff{"},
    "a graph without end": lambda e, _w: e | {GRAPH: b"[" * 100_000},
    "a node of nothing": _json(GRAPH, lambda b: _nodes(b).insert(0, {})),
    "a missing weight": lambda e, _w: {n: b for n, b in e.items() if not n.endswith("weight_0")},
    "a weight cut short": lambda e, _w: e | {"model/data/weights/weight_0": b"12345678"},
    "a weight that claims more": _json(
        TABLE, lambda b: _weight(b)["tensor_meta"].update(sizes=[{"as_int": 2**30}] * 2)
    ),
    "a weight with other strides": _json(
        TABLE, lambda b: _weight(b)["tensor_meta"].update(strides=[{"as_int": 0}] * 2)
    ),
    "a weight on another device": _json(
        TABLE, lambda b: _weight(b)["tensor_meta"]["device"].update(type="cuda")
    ),
    "a weight of integers": _json(TABLE, lambda b: _weight(b)["tensor_meta"].update(dtype=5)),
    "big-endian numbers": lambda e, _w: e | {"model/byteorder": b"big"},
    "strings that are no table": lambda e, _w: e | {"model/extra/lstmbridge.json": b"[1]"},
}  # fmt: skip


@pytest.mark.parametrize("harm", list(HARM))
def test_a_file_that_says_what_none_of_ours_says_is_refused(
    harm: str, sound: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "owned"
    path = packed(tmp_path, HARM[harm](dict(sound), mark))
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "change", ["[1]", '{"states": "none"}', '{"states": 1, "sequence_length": 0}']
)
def test_options_that_do_not_parse_are_refused(
    change: str, sound: Entries, tmp_path: Path
) -> None:
    entry = "model/extra/lstmbridge.json"
    strings = json.loads(sound[entry]) | {"lstmbridge.torch-export": change}
    path = packed(tmp_path, sound | {entry: json.dumps(strings).encode()})
    with pytest.raises(SourceUnreadable, match="what the program takes"):
        TARGET.read(path)


def test_a_packed_zip_is_refused(sound: Entries, tmp_path: Path) -> None:
    path = packed(tmp_path, sound, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(SourceUnreadable, match="is packed"):
        TARGET.read(path)


def test_a_comment_behind_the_zip_is_refused(sound: Entries, tmp_path: Path) -> None:
    path = packed(tmp_path, sound)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\x05\x06" + bytes(18)
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(path)


def test_a_truncated_file_is_unreadable_wherever_it_ends(sound: Entries, tmp_path: Path) -> None:
    path = packed(tmp_path, sound)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 23):
        path.write_bytes(whole[:size])
        for read in (TARGET.read, lstmbridge.torch.load):
            with pytest.raises(SourceUnreadable):
                read(path)


def test_flipped_bytes_give_a_module_or_one_of_our_errors(sound: Entries, tmp_path: Path) -> None:
    path = packed(tmp_path, sound)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(40):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), size=int(rng.integers(1, 4))):
            broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(broken))
        try:
            assert TARGET.read(path) is None or lstmbridge.torch.load(path) is not None
        except LstmBridgeError:
            continue


def test_a_program_that_we_did_not_write_is_none_of_ours(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(2, 3), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "a.pt2")
    assert TARGET.read(tmp_path / "a.pt2") is None
    with pytest.raises(NotRecognised, match="not written by lstmbridge"):
        lstmbridge.torch.load(tmp_path / "a.pt2")
    assert TorchTarget().read(tmp_path / "a.pt2") is None


def test_targets_leave_each_others_files_alone(sound: Entries, tmp_path: Path, lab: Any) -> None:
    assert TorchTarget().read(packed(tmp_path, sound)) is None
    for suffix in (".pt", ".safetensors"):
        path = lab.folder / f"a{suffix}"
        TorchTarget().write(lab.model("gru"), path, TargetOptions(), {})
        assert TARGET.read(path) is None
