"""Whole models as PyTorch modules: each operation, each fixture, and files that lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lstmbridge.torch
from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome, TargetOptions
from lstmbridge.errors import CannotExpress, SourceUnreadable, UsageError
from lstmbridge.graph.execute import Program
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.targets.torch import TorchTarget
from lstmbridge.targets.torch.files import Content, load, save
from lstmbridge.targets.torch.whole.program import GRAPH

TESTS = Path(__file__).resolve().parents[3]
RECORDED = [
    case
    for name in ("recorded_ops.json", "recorded_ops_tf1.json")
    for case in json.loads((TESTS / "graph" / name).read_text())["cases"]
]
GRAPHS = TESTS.parent / "fixtures" / "graphs"
WHOLES = TESTS.parent / "fixtures" / "whole"


class Number:
    """What a Const's attribute `value` is."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def load(self):
        return self.array


def array(stored):
    return np.array(stored["data"], stored["dtype"]).reshape(stored["shape"])


def model_of(case, fed):
    """The operation with some inputs fed; the feeds, and what TensorFlow gave."""
    nodes, inputs, feeds = [], [], {}
    for k, value in enumerate(map(array, case["inputs"])):
        name = f"in_{k}"
        if fed(k, value):
            nodes.append(Node(name, "Placeholder", (), {}))
            inputs.append(Port(name, (name, 0), (None,) * value.ndim, value.dtype))
            feeds[name] = value
        else:
            nodes.append(Node(name, "Const", (), {"value": Number(value)}))
    attrs = dict(case["attrs"])
    if "DstT" in attrs:
        attrs["DstT"] = np.dtype(attrs["DstT"])
    attrs = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
    nodes.append(
        Node("op", case["op"], tuple(f"in_{k}" for k in range(len(case["inputs"]))), attrs)
    )
    wanted = [array(v) for v in case["outputs"]]
    outputs = [Port(f"out_{k}", ("op", k), v.shape, v.dtype) for k, v in enumerate(wanted)]
    graph = Graph({node.name: node for node in nodes}, {}, "a test")
    program = Program(Scopes(Tracer(network_of(graph))), lambda _op: np.zeros(1))
    return Whole(program, tuple(inputs), tuple(outputs)), feeds, wanted


def ran(module, feeds, dtype):
    given = {
        name: torch.from_numpy(np.array(v)).to(dtype if v.dtype.kind == "f" else None)
        for name, v in feeds.items()
    }
    with torch.inference_mode():
        return {name: value.numpy() for name, value in module(given).items()}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["op"])
def test_an_operation_gives_what_tensorflow_gave(case, everything, precision, tmp_path):
    def fed(k, value):
        return everything or value.dtype.kind == "f" or (k == 0 and value.ndim > 0)

    whole, feeds, wanted = model_of(case, fed)
    path = tmp_path / "m.safetensors"
    options = TargetOptions(dtype=precision)
    artifact = TorchTarget().write_whole(whole, path, options, {"lstmbridge.version": "test"})
    report = TorchTarget().account_for(artifact, whole)
    assert (report.different, report.missing, report.extra) == ((), (), ())
    got = ran(lstmbridge.torch.load(path), feeds, getattr(torch, precision))
    for k, value in enumerate(wanted):
        made = got[f"out_{k}"]
        assert made.shape == value.shape
        assert made.dtype == value.dtype or value.dtype.kind == "f"
        np.testing.assert_allclose(made, value, rtol=2e-5, atol=2e-5)


def converted(case, path, **options):
    folder = GRAPHS if (GRAPHS / case).is_dir() else WHOLES
    card = json.loads((folder / case / "card.json").read_text())
    file = card.get("file", "frozen.pb")
    frozen = file.startswith("frozen")
    outputs = {t.removesuffix(":0"): key for key, t in card["outputs"].items()}
    settings = {"is_training": "false"} if case == "classifier" else {}
    hints = Hints(outputs=tuple(outputs) if frozen else (), settings=settings)
    done = api.convert(folder / case / file, to="torch", output=path, hints=hints, **options)
    with np.load(folder / case / "expected.npz") as stored:
        numbers = {name: stored[name] for name in stored.files}
    keys = outputs if frozen else {key: key for key in card["outputs"]}
    return done, numbers, keys


CASES = [
    *("frozen-classifier", "frozen-translator", "frozen-unrolled-text", "saved-tagger"),
    *("classifier", "tagger", "translator", "searcher", "labeller", "scanner"),
    *("both-ways", "both-ways-time-major", "both-ways-steps", "both-ways-steps-lengths"),
]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_gives_what_tensorflow_recorded(case, suffix, tmp_path):
    done, numbers, keys = converted(case, tmp_path / f"m{suffix}")
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    assert done.verdict.ledger.compared > 0
    module = lstmbridge.torch.load(done.path)
    feeds = {s.name: numbers[f"inputs|{s.name}"] for s in done.artifact.signature.inputs}
    got = ran(module, feeds, torch.float32)
    for name, value in got.items():
        np.testing.assert_allclose(value, numbers[f"outputs|{keys[name]}"], rtol=1e-5, atol=2e-6)
    double = ran(module.double(), feeds, torch.float64)
    for name, value in double.items():
        np.testing.assert_allclose(value, got[name], rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_variables(tmp_path):
    done, numbers, _ = converted("saved-tagger", tmp_path / "m.pt", verification=None)
    module = lstmbridge.torch.load(done.path)
    names = [s.name for s in done.artifact.signature.inputs]
    out = module({n: torch.from_numpy(numbers[f"inputs|{n}"]) for n in names})
    sum(v.sum() for v in out.values() if v.is_floating_point()).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_a_copy_of_a_module_has_weights_of_its_own(tmp_path):
    import copy

    done, numbers, _ = converted("saved-tagger", tmp_path / "m.pt", verification=None)
    module = lstmbridge.torch.load(done.path)
    feeds = {s.name: numbers[f"inputs|{s.name}"] for s in done.artifact.signature.inputs}
    before = ran(module, feeds, torch.float32)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    changed = ran(other, feeds, torch.float32)
    after = ran(module, feeds, torch.float32)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert any(not np.array_equal(before[name], changed[name]) for name in before)


def test_wrong_names_and_dtypes_are_refused_in_words(tmp_path):
    done, numbers, _ = converted("saved-tagger", tmp_path / "m.pt", verification=None)
    module = lstmbridge.torch.load(done.path)
    specs = done.artifact.signature.inputs
    feeds = {s.name: torch.from_numpy(numbers[f"inputs|{s.name}"]) for s in specs}
    with pytest.raises(UsageError, match="missing"):
        module()
    with pytest.raises(UsageError, match="not there: other"):
        module(feeds, other=torch.zeros(1))
    name = specs[0].name
    with pytest.raises(UsageError, match=name):
        module({**feeds, name: feeds[name] + 0.5})


def test_verify_finds_a_weight_and_a_graph_that_were_changed(tmp_path):
    path = tmp_path / "m.safetensors"
    converted("saved-tagger", path, verification=None)
    source = GRAPHS / "saved-tagger" / "saved_model"
    assert api.verify(source, path).outcome is Outcome.PASS
    content = load(path)
    key, weights = next((k, w) for k, w in content.tensors.items() if len(w.shape) == 2)
    numbers = np.array(weights.load())
    numbers.view(np.uint8)[0, 0] ^= 1
    from lstmbridge.gates import InMemory

    kept = {k: InMemory(k, np.array(w.load())) for k, w in content.tensors.items()}
    save(path, Content({**kept, key: InMemory(key, numbers)}, content.strings))
    found = api.verify(source, path)
    assert found.outcome is Outcome.FAIL
    assert key in " ".join(found.reasons)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: "{",
        lambda body: json.dumps({**body, "version": 99}),
        lambda body: json.dumps({**body, "ops": [["a"]]}),
        lambda body: json.dumps({**body, "ops": body["ops"] * 2}),
        lambda body: json.dumps({**body, "ops": []}),
        lambda body: json.dumps({**body, "outputs": [["x", [1], "float32", ["nowhere"]]]}),
        lambda body: json.dumps({**body, "inputs": [["x", [-1], "os.system", ["a", 0]]]}),
    ],
)
def test_a_file_whose_graph_lies_is_refused(change, tmp_path):
    path = tmp_path / "m.safetensors"
    converted("saved-tagger", path, verification=None)
    content = load(path)
    kept = {k: np.array(w.load()) for k, w in content.tensors.items()}
    from lstmbridge.gates import InMemory

    tensors = {k: InMemory(k, v) for k, v in kept.items()}
    text = change(json.loads(content.strings[GRAPH]))
    save(path, Content(tensors, {**content.strings, GRAPH: text}))
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(path)


def test_an_operation_that_is_not_known_is_refused_by_its_name(tmp_path):
    nodes = [Node("x", "Placeholder", (), {}), Node("odd", "Betainc", ("x",), {})]
    graph = Graph({node.name: node for node in nodes}, {}, "a test")
    program = Program(Scopes(Tracer(network_of(graph))), lambda _op: np.zeros(1))
    ports = (
        Port("x", ("x", 0), (None,), np.dtype(np.float32)),
        Port("odd", ("odd", 0), (None,), np.dtype(np.float32)),
    )
    with pytest.raises(CannotExpress, match="Betainc 'odd'"):
        TorchTarget().write_whole(
            Whole(program, ports[:1], ports[1:]), tmp_path / "m.pt", TargetOptions(), {}
        )
    assert not list(tmp_path.iterdir())


def test_an_input_whose_shape_an_early_graph_leaves_out_takes_tensors_of_any_rank(tmp_path):
    nodes = [Node("x", "Placeholder", (), {}), Node("y", "Tanh", ("x",), {})]
    graph = Graph({node.name: node for node in nodes}, {}, "a test")
    program = Program(Scopes(Tracer(network_of(graph))), lambda _op: np.zeros(1))
    ports = [Port(name, (name, 0), (), np.dtype(np.float32)) for name in ("x", "y")]
    path = tmp_path / "m.pt"
    TorchTarget().write_whole(Whole(program, (ports[0],), (ports[1],)), path, TargetOptions(), {})
    x = torch.ones(2, 3)
    torch.testing.assert_close(lstmbridge.torch.load(path)(x=x)["y"], torch.tanh(x))
