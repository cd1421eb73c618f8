"""onnx's reference evaluator takes part where it can see, and is refused by name where not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from lstmbridge.contracts import Artifact, TargetOptions
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.cells import GRU, LSTM, RNN
from lstmbridge.model.forward import forward
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.runtimes.reference import Reference, blind_spots
from lstmbridge.targets.onnx import OnnxTarget


@pytest.fixture
def written(tmp_path):
    def write(model, options=None) -> Artifact:
        path = tmp_path / "a.onnx"
        return OnnxTarget().write(model, path, options or TargetOptions(), {})

    return write


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_it_agrees_with_the_oracle_on_plain_stacks(networks, written, kind):
    model = networks.stack(kind)
    feeds = {"inputs": np.random.default_rng(0).normal(size=(2, 7, 3))}
    with Reference().open(written(model)) as session:
        assert (session.precision, session.device) == ("float32", "cpu")
        got = session.run(feeds)
    for name, values in forward(model, feeds).items():
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], values, atol=2e-6)


def test_both_directions_agree_with_the_oracle_or_are_refused(networks, written):
    model = networks.bidirectional()
    feeds = {"inputs": np.random.default_rng(0).normal(size=(2, 7, 3))}
    artifact = written(model)
    if blind_spots(onnx.load(artifact.path), (1, 23)):
        pytest.skip("the artifact says directions otherwise")
    release = tuple(int(part) for part in onnx.__version__.split(".")[:2])
    if release < (1, 23):
        with pytest.raises(RuntimeUnavailable, match="direction"):
            Reference().open(artifact)
        return
    with Reference().open(artifact) as session:
        got = session.run(feeds)
    np.testing.assert_allclose(got["outputs"], forward(model, feeds)["outputs"], atol=2e-6)


def node(kind="LSTM", inputs=("x", "W", "R"), **attributes):
    return helper.make_node(kind, inputs, ["y"], name="layer0", hidden_size=2, **attributes)


def model_of(*nodes):
    return helper.make_model(helper.make_graph(list(nodes), "g", [], []))


BLIND = {
    "clip": node(clip=3.0),
    "input_forget": node(input_forget=1),
    "activations": node(activations=["Sigmoid", "Relu", "Relu"]),
    "activation_alpha": node(
        activations=["Sigmoid", "Tanh", "Tanh"], activation_alpha=[0.2, 0.0, 0.0]
    ),
    "sequence_lens": node(inputs=("x", "W", "R", "", "lengths")),
}


@pytest.mark.parametrize("name", BLIND)
def test_each_blind_spot_is_named_with_its_node(name):
    [said] = blind_spots(model_of(BLIND[name]), (1, 23))
    assert said == f"{name} of the LSTM node 'layer0'"


def test_a_direction_is_a_blind_spot_of_earlier_releases():
    backward = model_of(node(direction="reverse"))
    assert blind_spots(backward, (1, 22)) == ["direction reverse of the LSTM node 'layer0'"]
    assert not blind_spots(backward, (1, 23))


def test_what_says_nothing_new_is_no_blind_spot():
    plain = node(activations=["Sigmoid", "Tanh", "Tanh"], input_forget=0, direction="forward")
    both = node("GRU", activations=["Sigmoid", "Tanh"] * 2, direction="bidirectional")
    assert not blind_spots(model_of(plain, both), (1, 23))


def test_a_node_inside_a_body_is_seen():
    body = helper.make_graph([node(clip=3.0)], "body", [], [])
    scan = helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1, body=body)
    assert blind_spots(model_of(scan), (1, 23)) == ["clip of the LSTM node 'layer0'"]


def test_an_artifact_with_lengths_is_refused_and_the_refusal_is_needed(networks, written):
    artifact = written(networks.stack(count=1), TargetOptions(sequence_length=True))
    proto = onnx.load(artifact.path)
    if not blind_spots(proto, (1, 23)):
        pytest.skip("the artifact says lengths otherwise")
    with pytest.raises(RuntimeUnavailable, match=r"passes over the sequence_lens of the LSTM"):
        Reference().open(artifact)
    feeds = {
        "inputs": np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32),
        "sequence_length": np.array([2, 5], np.int32),
    }
    blind = onnx.reference.ReferenceEvaluator(proto).run(["outputs"], feeds)[0]
    with OnnxRuntimeCpu().open(artifact) as session:
        right = session.run(feeds)["outputs"]
    assert np.abs(blind - right).max() > 1e-3, "it sees lengths now: the refusal is history"


def test_an_empty_sequence_and_an_unknown_name_are_declined(networks, written):
    with Reference().open(written(networks.stack(count=1))) as session:
        with pytest.raises(RuntimeUnavailable, match="this probe was not run"):
            session.run({"inputs": np.ones((2, 0, 3))})
        with pytest.raises(RuntimeUnavailable, match="'other' was fed"):
            session.run({"inputs": np.ones((2, 1, 3)), "other": np.ones(1)})
        with pytest.raises(RuntimeUnavailable, match="declined to run the model"):
            session.run({"inputs": np.ones((2, 1, 4))})
