"""Frozen graphs and SavedModels, end to end: their stacks are converted, by request only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lstmbridge import api
from lstmbridge.adapters.adapter import recognise
from lstmbridge.cli import main
from lstmbridge.contracts import Hints, Outcome, TargetOptions
from lstmbridge.errors import SourceUnreadable
from lstmbridge.model.blocks import Model
from lstmbridge.model.facts import Fact
from lstmbridge.runtimes.graph import GraphRuntime
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.sources import open_source
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.verify import verify

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
STACKS = ["frozen-classifier", "frozen-stack", "frozen-unrolled-text", "saved-tagger"]


def card_of(case):
    return json.loads((FOLDER / case / "card.json").read_text())


def source_of(case):
    return FOLDER / case / card_of(case)["file"]


@pytest.mark.parametrize("case", STACKS)
def test_the_stack_of_a_graph_gives_what_tensorflow_recorded(case, tmp_path):
    import onnxruntime

    with np.load(FOLDER / case / "expected.npz") as stored:
        wanted = {n[len("outputs|stack:") :]: stored[n] for n in stored if "|stack:" in n}
        fed = {n[len("inputs|") :]: stored[n] for n in stored if n.startswith("inputs|")}
    lengths = "lengths" in fed
    done = api.convert(
        source_of(case),
        to="onnx",
        output=tmp_path / "stack.onnx",
        options=TargetOptions(sequence_length=lengths),
        stack_only=True,
    )
    assert done.exit_code == 0
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    feeds = {"inputs": wanted.get("inputs", fed.get("frames"))}
    if lengths:
        feeds["sequence_length"] = fed["lengths"]
    names = [o.name for o in session.get_outputs()]
    got = dict(zip(names, session.run(None, feeds), strict=True))
    assert set(got) == set(wanted) - {"inputs"}
    for name, values in got.items():
        np.testing.assert_allclose(values, wanted[name], atol=2e-6)


@pytest.mark.parametrize("case", ["frozen-stack", "saved-tagger", "frozen-classifier"])
def test_the_graph_itself_stands_in_the_verdict_and_agrees(case, tmp_path):
    done = api.convert(source_of(case), to="onnx", output=tmp_path / "a.onnx", stack_only=True)
    result = next(r for r in done.verdict.runtimes if r.name == "graph")
    assert result.status == "pass"
    assert max(o.max_abs for o in result.outputs.values()) < 1e-12


def test_a_converter_and_a_reading_that_share_a_mistake_are_exposed_by_the_graph(case, tmp_path):
    source = open_source(case("tf115-seed-meta").prefix)
    part = recognise(source).parts[0]
    root = part.model.root
    forgetful = [
        replace(b, cell=replace(b.cell, forget_bias=Fact.given(0.0, "a wrong reading")))
        for b in root.blocks
    ]
    wrong = Model(part.model.name, replace(root, blocks=tuple(forgetful)))
    artifact = OnnxTarget().write(wrong, tmp_path / "a.onnx", TargetOptions(), {})
    runs = [
        (OnnxRuntimeCpu(), artifact),
        (GraphRuntime(source.graph(), source.tensors, part), wrong),
    ]
    verdict = verify(wrong, runs)
    assert verdict.outcome is Outcome.FAIL
    assert {r.name: r.status for r in verdict.runtimes} == {
        "onnxruntime-cpu": "pass",
        "graph": "fail",
    }


def test_a_graph_that_was_told_to_be_ignored_is_not_run(case, tmp_path):
    source = case("tf115-seed-meta").prefix
    done = api.convert(
        source, to="onnx", output=tmp_path / "a.onnx", hints=Hints(ignore_graph=True)
    )
    assert "graph" not in {r.name for r in done.verdict.runtimes}
    assert any(text.startswith("graph:") for text in done.verdict.not_run)


@pytest.mark.parametrize("case", ["frozen-stack", "saved-tagger"])
def test_a_declared_model_is_converted_whole_unless_its_stack_is_asked_for(case, tmp_path):
    whole = api.convert(source_of(case), to="onnx", output=tmp_path / "a.onnx")
    assert whole.part is None
    assert [port.name for port in whole.whole.outputs] == sorted(
        spec.name for spec in whole.artifact.signature.outputs
    )
    stack = api.convert(source_of(case), to="onnx", output=tmp_path / "b.onnx", stack_only=True)
    assert stack.whole is None
    assert stack.stack.model.layers


def test_the_command_line_cuts_with_stack_only(tmp_path):
    arguments = ["convert", str(source_of("frozen-stack")), "--to", "onnx"]
    target = ["-o", str(tmp_path / "a.onnx")]
    ran = CliRunner().invoke(main, [*arguments, *target, "--stack-only"])
    assert ran.exit_code == 0
    assert "whole model" not in ran.output
    assert (tmp_path / "a.onnx").is_file()


def test_inspect_says_what_kind_of_source_it_is_and_what_the_graph_proves():
    found = api.inspect(source_of("frozen-stack"))
    assert found.format == "TensorFlow frozen graph"
    (part,) = found.recognition.parts
    fact = part.model.layers[0].cell.forget_bias
    assert (fact.value, fact.basis.value) == (0.5, "read")


def test_a_folder_with_neither_is_refused_as_before(tmp_path):
    with pytest.raises(SourceUnreadable, match="no checkpoint and no SavedModel"):
        api.inspect(tmp_path)
