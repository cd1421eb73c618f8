"""OpenVINO takes part where it is installed; what it makes of ONNX's operators is held here."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from lstmbridge.contracts import Artifact, TargetOptions
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import GRU, LSTM, RNN
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import Signature, States, TensorSpec
from lstmbridge.runtimes import openvino as room
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.runtimes.openvino import OpenVino
from lstmbridge.targets.onnx import OnnxTarget

needs_openvino = pytest.mark.skipif(
    not OpenVino().info().available, reason="openvino is not installed"
)


def test_an_absent_package_is_said_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "installed_version", str)
    info = OpenVino().info()
    assert (info.available, info.reason) == (False, "openvino is not installed")
    assert info.install == "pip install 'lstmbridge[openvino]'"
    artifact = Artifact(tmp_path / "a.onnx", "onnx", Signature((), ()), "float32")
    with pytest.raises(RuntimeUnavailable, match="not installed"):
        OpenVino().open(artifact)


def test_only_onnx_artifacts_are_taken(tmp_path):
    for subject in (
        Artifact(tmp_path / "a.pt", "torch", Signature((), ()), "float32"),
        Model("m", Recurrent(None)),  # type: ignore[arg-type]
    ):
        with pytest.raises(RuntimeUnavailable, match="no ONNX file"):
            OpenVino().open(subject)


def test_it_runs_in_a_process_of_its_own_and_only_when_it_is_named():
    assert OpenVino.contained
    assert OpenVino.on_request


@needs_openvino
class TestWithOpenVino:
    @pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
    def test_plain_stacks_with_fed_states_agree_with_the_oracle(self, networks, tmp_path, kind):
        model = networks.stack(kind)
        options = TargetOptions(states=States.REQUIRED)
        artifact = OnnxTarget().write(model, tmp_path / "a.onnx", options, {})
        draw = np.random.default_rng(0)
        feeds = {s.name: draw.normal(size=sized(s)) for s in artifact.signature.inputs}
        with OpenVino().open(artifact) as session:
            assert session.precision == "float32"
            got = session.run(feeds)
        for name, values in forward(model, feeds).items():
            np.testing.assert_allclose(got[name], values, atol=5e-6)

    def test_a_file_that_does_not_load_and_a_wrong_feed_are_our_errors(self, networks, tmp_path):
        path = tmp_path / "a.onnx"
        artifact = OnnxTarget().write(networks.stack(), path, TargetOptions(), {})
        with OpenVino().open(artifact) as session:
            with pytest.raises(RuntimeUnavailable, match="'other' was fed"):
                session.run({"inputs": np.ones((1, 1, 3)), "other": np.ones(1)})
            with pytest.raises(RuntimeUnavailable, match="declined to run"):
                session.run({"inputs": np.ones((1, 1, 5))})
        path.write_bytes(b"nothing")
        with pytest.raises(RuntimeUnavailable, match="declined to load"):
            OpenVino().open(artifact)

    @pytest.mark.parametrize(
        ("what", "same"),
        [
            ("plain", True),
            ("clip", True),
            ("relu", True),
            ("lengths", False),
            ("peephole", False),
            ("input_forget", False),
        ],
    )
    def test_what_it_ignores_of_an_lstm_is_what_the_page_says(self, tmp_path, what, same):
        """When one that is ignored agrees, the table of the module has become history."""
        artifact, feeds = one_node(tmp_path / "a.onnx", what)
        with OpenVino().open(artifact) as session, OnnxRuntimeCpu().open(artifact) as other:
            departure = np.abs(session.run(feeds)["y"] - other.run(feeds)["y"]).max()
        assert (departure < 1e-5) == same, departure


def sized(spec):
    return [{"batch": 2, "time": 6}.get(n, n) for n in spec.shape]


def one_node(path, what):
    """An LSTM node by hand, that says one thing more than a plain one."""
    draw = np.random.default_rng(0)
    shapes = {"w": (1, 16, 3), "r": (1, 16, 4), "b": (1, 32), "p": (1, 12)}
    stored = {k: draw.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    more = {
        "clip": {"clip": 0.3},
        "relu": {"activations": ["Sigmoid", "Relu", "Relu"]},
        "input_forget": {"input_forget": 1},
    }.get(what, {})
    inputs = ["x", "w", "r", "b", "n" if what == "lengths" else "", "", ""]
    inputs += ["p"] if what == "peephole" else []
    value = helper.make_tensor_value_info
    given = [value("x", 1, ["t", "batch", 3])]
    given += [value("n", 6, ["batch"])] if what == "lengths" else []
    node = helper.make_node("LSTM", inputs, ["y"], hidden_size=4, **more)
    weights = [numpy_helper.from_array(a, k) for k, a in stored.items() if k in inputs]
    graph = helper.make_graph([node], "g", given, [value("y", 1, None)], weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    x = TensorSpec("x", ("t", "batch", 3), np.dtype(np.float32))
    y = TensorSpec("y", ("t", 1, "batch", 4), np.dtype(np.float32))
    feeds = {"x": draw.normal(size=(5, 3, 3)).astype(np.float32)}
    if what == "lengths":
        feeds["n"] = np.array([5, 2, 3], np.int32)
    return Artifact(path, "onnx", Signature((x,), (y,)), "float32"), feeds
