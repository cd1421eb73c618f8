"""Real files that declare more than they do: ONNX artifacts broken by hand, run for real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import lstmbridge
from lstmbridge.contracts import Outcome, States, TargetOptions


@pytest.fixture
def broken(seed_prefix: Path, tmp_path: Path):
    """`broken(change)`: the verdict on an artifact whose graph was changed."""

    def make(change, options: TargetOptions | None = None):
        path = lstmbridge.convert(
            seed_prefix, to="onnx", output=tmp_path / "m.onnx", options=options
        ).path
        model = onnx.load(path)
        change(model.graph)
        onnx.save(model, path)
        return lstmbridge.verify(seed_prefix, path, runtimes=["onnxruntime-cpu"])

    return make


def renamed_output(graph, name: str, nodes) -> None:
    """What gave the output `name` now gives a value that `nodes` make the output of."""
    for node in graph.node:
        for k, out in enumerate(node.output):
            if out == name:
                node.output[k] = f"{name}/before"
    graph.node.extend(nodes)


def test_a_batch_fixed_inside_the_graph_fails(broken):
    def fix(graph):
        graph.initializer.append(numpy_helper.from_array(np.array([3, -1, 5]), "three"))
        for node in graph.node:
            for k, name in enumerate(node.input):
                if name == "inputs":
                    node.input[k] = "fixed"
        graph.node.insert(0, helper.make_node("Reshape", ["inputs", "three"], ["fixed"]))

    found = broken(fix)
    assert found.outcome is Outcome.FAIL
    assert "any batch and any length" in found.reasons[0]


def test_rows_that_are_mixed_fail(broken):
    def mix(graph):
        mean = helper.make_node("ReduceMean", ["outputs/before"], ["mean"], axes=[0], keepdims=1)
        renamed_output(
            graph,
            "outputs",
            [mean, helper.make_node("Sub", ["outputs/before", "mean"], ["outputs"])],
        )

    assert broken(mix).outcome is Outcome.FAIL


def test_noise_within_all_that_is_allowed_fails_by_its_bits(broken):
    def shake(graph):
        made = [
            helper.make_node(
                "RandomUniformLike", ["outputs/before"], ["noise"], high=1e-7, low=0.0
            ),
            helper.make_node("Add", ["outputs/before", "noise"], ["outputs"]),
        ]
        renamed_output(graph, "outputs", made)

    found = broken(shake)
    assert found.outcome is Outcome.FAIL
    assert "a second run gives the same bits" in found.reasons[0]


def test_an_untouched_artifact_keeps_all_claims(broken):
    options = TargetOptions(states=States.REQUIRED, sequence_length=True)
    found = broken(lambda graph: None, options)
    assert found.outcome is Outcome.PASS, found.reasons
    assert len(found.runtimes[0].checks) == 5
