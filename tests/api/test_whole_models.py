"""Whole models end to end: frozen graphs and SavedModels to ONNX, equal to what TensorFlow gave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from lstmbridge import api
from lstmbridge.cli import main
from lstmbridge.contracts import Hints, Outcome, TargetOptions
from lstmbridge.errors import CannotExpress, FactMissing, UsageError

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "graphs"
CASES = [
    *("frozen-classifier", "frozen-translator", "frozen-unrolled-text"),
    *("saved-parted", "saved-tagger"),
]


def card_of(case):
    return json.loads((FOLDER / case / "card.json").read_text())


def source_of(case):
    return FOLDER / case / card_of(case)["file"]


def recorded(case, kind):
    with np.load(FOLDER / case / "expected.npz") as stored:
        names = [n for n in stored if n.startswith(f"{kind}|") and "stack:" not in n]
        return {n.partition("|")[2]: stored[n] for n in names}


def named_outputs(case):
    return tuple(name.removesuffix(":0") for name in card_of(case)["outputs"].values())


@pytest.mark.parametrize("case", CASES)
def test_a_whole_model_gives_what_tensorflow_recorded(case, tmp_path):
    import onnxruntime

    card = card_of(case)
    frozen = case.startswith("frozen")
    outputs = tuple(t.removesuffix(":0") for t in card["outputs"].values()) if frozen else ()
    done = api.convert(
        source_of(case), to="onnx", output=tmp_path / "m.onnx", hints=Hints(outputs=outputs)
    )
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    fed = recorded(case, "inputs")
    got = session.run(None, {i.name: fed[i.name] for i in session.get_inputs()})
    keys = {t.removesuffix(":0") if frozen else k: k for k, t in card["outputs"].items()}
    wanted = recorded(case, "outputs")
    for spec, value in zip(session.get_outputs(), got, strict=True):
        np.testing.assert_allclose(value, wanted[keys[spec.name]], rtol=1e-5, atol=2e-6)


WHOLES = FOLDER.parent / "whole"


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("classifier", {"is_training": "false"}),
        *((case, {}) for case in ("tagger", "translator", "searcher", "labeller", "scanner")),
    ],
)
def test_attention_phases_parted_embeddings_and_decoding_loops_come_along(
    case, settings, tmp_path
):
    import onnxruntime

    card = json.loads((WHOLES / case / "card.json").read_text())
    outputs = {t.removesuffix(":0"): key for key, t in card["outputs"].items()}
    done = api.convert(
        WHOLES / case / "frozen.pb",
        to="onnx",
        output=tmp_path / "m.onnx",
        hints=Hints(outputs=tuple(outputs), settings=settings),
    )
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    with np.load(WHOLES / case / "expected.npz") as stored:
        fed = {i.name: stored[f"inputs|{i.name}"] for i in session.get_inputs()}
        got = session.run(None, fed)
        for spec, value in zip(session.get_outputs(), got, strict=True):
            wanted = stored[f"outputs|{outputs[spec.name]}"]
            np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=2e-6)


def test_a_switch_that_inference_leaves_open_is_asked_for(tmp_path):
    with pytest.raises(FactMissing, match="is_training") as caught:
        api.convert(
            WHOLES / "classifier" / "frozen.pb",
            to="onnx",
            output=tmp_path / "m.onnx",
            hints=Hints(outputs=("logits/BiasAdd",)),
        )
    assert "--set" in caught.value.advice
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_the_model_is_fed_and_gives(tmp_path):
    target = tmp_path / "m.onnx"
    ran = CliRunner().invoke(
        main, ["convert", str(source_of("saved-tagger")), "--to", "onnx", "-o", str(target)]
    )
    assert ran.exit_code == 0, ran.output
    assert "input   words (?, ?) int32" in ran.output
    assert "output  probabilities" in ran.output
    assert target.is_file()
    assert "graph: no graph" not in ran.output


def test_verify_judges_a_whole_models_artifact_against_its_source(tmp_path):
    target = tmp_path / "m.onnx"
    api.convert(source_of("saved-tagger"), to="onnx", output=target, verification=None)
    assert api.verify(source_of("saved-tagger"), target).outcome is Outcome.PASS
    model = onnx.load(target)
    weight = next(
        t for t in model.graph.initializer if t.data_type == 1 and np.prod(t.dims or [1]) > 8
    )
    raw = bytearray(weight.raw_data)
    raw[0] ^= 1
    weight.raw_data = bytes(raw)
    onnx.save(model, target)
    found = api.verify(source_of("saved-tagger"), target)
    assert found.outcome is Outcome.FAIL
    assert weight.name in " ".join(found.reasons)


def test_a_checkpoint_without_a_graph_has_no_outputs_to_name(tmp_path):
    source = next(p for p in FOLDER.parent.rglob("*.index") if not p.with_suffix(".meta").exists())
    with pytest.raises(UsageError, match="has no graph"):
        api.convert(
            source, to="onnx", output=tmp_path / "m.onnx", hints=Hints(outputs=("logits",))
        )


def test_stack_only_and_named_outputs_exclude_each_other(tmp_path):
    with pytest.raises(UsageError, match="--stack-only"):
        api.convert(
            source_of("saved-tagger"),
            to="onnx",
            output=tmp_path / "m.onnx",
            hints=Hints(outputs=("logits/BiasAdd",)),
            stack_only=True,
        )


def test_options_of_a_stack_are_refused_for_a_whole_model(tmp_path):
    with pytest.raises(UsageError, match="--sequence-length"):
        api.convert(
            source_of("saved-tagger"),
            to="onnx",
            output=tmp_path / "m.onnx",
            options=TargetOptions(sequence_length=True),
        )


def test_a_target_that_cannot_say_whole_models_says_so(tmp_path):
    with pytest.raises(CannotExpress, match="cannot say a whole model"):
        api.convert(source_of("saved-tagger"), to="torch-export", output=tmp_path / "m.pt2")
    assert not (tmp_path / "m.pt2").exists()


@pytest.mark.parametrize("name", ["oracle", "tensorflow"])
def test_a_runtime_that_was_asked_for_and_runs_only_stacks_is_said_not_to_have_run(name, tmp_path):
    done = api.convert(
        source_of("frozen-classifier"),
        to="onnx",
        output=tmp_path / "model.onnx",
        runtimes=["onnxruntime-cpu", name],
    )

    assert [r.name for r in done.verdict.runtimes] == ["onnxruntime-cpu"]
    assert f"{name}: runs stacks alone; a whole model is held against its own graph" in (
        done.verdict.not_run
    )
