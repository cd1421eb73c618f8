"""`inspect` of artifacts, and of sources that declare a whole model."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from lstmbridge.report import schema
from lstmbridge.staging import sha256_of

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = ROOT / "fixtures" / "graphs"
TAGGER = GRAPHS / "saved-tagger" / "saved_model"


def told(run, path, *words):
    """The JSON of an inspection, which is what the schema says."""
    answer = run("inspect", path, "--json", "-", "--quiet", *words)
    assert answer.code == 0, answer.said
    published = json.loads(schema.text())
    jsonschema.validate(answer.body, published, cls=jsonschema.Draft202012Validator)
    return answer.body


def converted(run, source, path, target, *words):
    answer = run("convert", source, "--to", target, "-o", path, "--no-verify", "--quiet", *words)
    assert answer.code == 0, answer.said
    return path


@pytest.mark.parametrize(
    "wanted",
    [
        ("onnx", "m.onnx", "ONNX LSTM", {"bias", "lengths", "peepholes"}),
        ("torch", "m.pt", "its equations", {"lengths", "forget_bias"}),
        ("torch", "m.safetensors", "its equations", {"lengths", "forget_bias"}),
    ],
)
def test_a_whole_model_shows_its_ports_its_layers_and_where_it_came_from(run, tmp_path, wanted):
    target, name, said_by, facts = wanted
    path = converted(run, TAGGER, tmp_path / name, target)
    body = told(run, path)
    assert body["kind"] == "artifact"
    assert body["artifact"]["sha256"] == sha256_of(path)
    assert (body["artifact"]["target"], body["verdict"]) == (target, "not verified")
    assert body["source"]["format"] == "TensorFlow SavedModel"
    assert len(body["source"]["sha256"]) == 64
    assert [one["name"] for one in body["inputs"]] == ["lengths", "words"]
    assert all(isinstance(n, str) for one in body["inputs"] for n in one["shape"])
    assert {one["name"]: one["shape"][-1] for one in body["outputs"]} == {
        "logits": 2,
        "probabilities": 2,
    }
    (layer,) = body["layers"]
    assert (layer["cell"], layer["said_by"], layer["direction"]) == ("LSTM", said_by, "forward")
    assert (layer["input_size"], layer["units"]) == (3, 4)
    assert facts <= set(layer["facts"])
    assert body["operations"]["MatMul"] == 1
    assert "LSTM" not in body["operations"]
    assert body["facts"]["rnn.layer0.forget_bias"]["value"] == 1.0
    text = run("inspect", path).out
    assert "recurrent layers: 1" in text
    assert said_by in text


@pytest.mark.parametrize("name", ["m.onnx", "m.pt", "m.safetensors", "m.pt2"])
def test_a_stack_shows_both_directions(run, tmp_path, name):
    target = {".onnx": "onnx", ".pt2": "torch-export"}.get(Path(name).suffix, "torch")
    source = ROOT / "fixtures" / "tf115-bidirectional-multi" / "model.ckpt"
    body = told(run, converted(run, source, tmp_path / name, target))
    ways = [(one["direction"], one["input_size"], one["units"]) for one in body["layers"]]
    forward = [("forward", 4, 3), ("forward", 3, 3)]
    backward = [("backward", 4, 3), ("backward", 3, 3)]
    assert sorted(ways) == sorted([*forward, *backward])
    assert body["numbers"] > 0
    assert {one["name"] for one in body["outputs"]} >= {"outputs", "layer_fw0_h", "layer_bw1_c"}


def test_loops_that_stay_loops_are_told_with_what_they_cost(run, tmp_path):
    source = ROOT / "fixtures" / "whole" / "translator" / "frozen.pb"
    words = ("--outputs", "decoder/transpose,decoder/transpose_1")
    body = told(run, converted(run, source, tmp_path / "m.onnx", "onnx", *words))
    assert {"Loop"} <= set(body["operations"])
    assert [one["how"] for one in body["expressions"]].count("loop") == 1


def test_an_onnx_file_of_another_tool_is_shown_as_one(run):
    body = told(run, ROOT / "fixtures" / "foreign" / "bidirectional.onnx")
    assert (body["written_by"], body["source"], body["verdict"]) == (None, None, None)
    assert [one["direction"] for one in body["layers"]] == ["both", "both"]
    assert "not written by lstmbridge" in run(
        "inspect", ROOT / "fixtures" / "foreign" / "bidirectional.onnx"
    ).out.replace("\n", " ")


def test_a_file_that_is_no_source_and_no_artifact_is_refused_as_before(run, tmp_path):
    import torch

    torch.save({"weight": torch.zeros(2)}, tmp_path / "mine.pt")
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08\x12")
    for name in ("mine.pt", "cut.onnx", "nothing.onnx"):
        assert run("inspect", tmp_path / name).code == 4


def test_facts_and_a_verdict_that_are_nonsense_are_left_out(run, tmp_path):
    import onnx

    path = converted(run, TAGGER, tmp_path / "m.onnx", "onnx")
    model = onnx.load(path)
    for one in model.metadata_props:
        if one.key in {"lstmbridge.facts", "lstmbridge.verdict"}:
            one.value = "[" * 5000
    onnx.save(model, path)
    body = told(run, path)
    assert (body["facts"], body["verdict"]) == ({}, None)


@pytest.mark.parametrize(
    ("source", "stacks", "inputs"),
    [
        (TAGGER, {"rnn": 1}, {"lengths": [None], "words": [None, None]}),
        (GRAPHS / "frozen-classifier" / "frozen.pb", {"bidirectional_rnn": 2},
         {"frames": [None, None, 3]}),
    ],
)  # fmt: skip
def test_a_source_that_declares_a_model_shows_all_of_it(run, source, stacks, inputs):
    body = told(run, source)
    whole = body["whole"]
    assert {one["name"]: len(one["layers"]) for one in whole["stacks"]} == stacks
    assert {one["name"]: one["shape"] for one in whole["inputs"]} == inputs
    assert whole["operations"]["MatMul"] == 1
    assert (whole["problem"], whole["unsupported"]) == (None, {})
    text = run("inspect", source).out
    assert "whole model" in text
    assert "recurrent stacks" in text


def test_a_checkpoint_declares_weights_unless_outputs_are_named(run, case):
    folder = case("tf115-seed-meta").folder
    assert told(run, folder)["whole"] is None
    whole = told(run, folder, "--outputs", "rnn/transpose_1")["whole"]
    assert [one["name"] for one in whole["outputs"]] == ["rnn/transpose_1"]
    assert len(whole["stacks"]) == 1


def test_what_a_graph_leaves_open_is_said_and_not_an_error(run):
    source = ROOT / "fixtures" / "whole" / "classifier" / "frozen.pb"
    whole = told(run, source, "--outputs", "best")["whole"]
    assert "is_training" in whole["problem"]
    assert "--set is_training=false" in whole["advice"]
    settled = told(run, source, "--outputs", "best", "--set", "is_training=false")["whole"]
    assert settled["problem"] is None
    assert {one["name"] for one in settled["fixed"]} >= {"is_training"}


NODE = 'node {{ name: "{}" op: "{}" {} attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}\n'
PLACEHOLDER = (
    'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } '
    'attr { key: "shape" value { shape { dim { size: 3 } } } } }\n'
)


def test_every_operation_that_is_not_supported_is_shown_by_name(run, tmp_path):
    text = PLACEHOLDER + "".join(
        NODE.format(name, kind, " ".join(f'input: "{one}"' for one in inputs))
        for name, kind, inputs in [
            ("a", "Betainc", "xxx"),
            ("b", "Betainc", "xxa"),
            ("c", "Igamma", "xx"),
            ("d", "AddV2", "bc"),
        ]
    )
    path = tmp_path / "odd.pbtxt"
    path.write_text(text)
    body = told(run, path)
    whole = body["whole"]
    assert body["parts"] == []
    assert [one["name"] for one in whole["inputs"]] == ["x"]
    assert {kind: sorted(names) for kind, names in whole["unsupported"].items()} == {
        "Betainc": ["a", "b"],
        "Igamma": ["c"],
    }
    assert "not defined here" in whole["problem"]
    assert "not supported: 2 Betainc: b, a" in run("inspect", path).out


def test_a_graph_without_any_stack_is_shown_too(run, tmp_path):
    path = tmp_path / "plain.pbtxt"
    path.write_text(PLACEHOLDER + NODE.format("y", "Tanh", 'input: "x"'))
    answer = run("inspect", path)
    assert answer.code == 0
    assert "no stack was recognised" in answer.err
    whole = told(run, path)["whole"]
    assert whole["operations"] == {"Tanh": 1}
    assert np.shape(whole["stacks"]) == (0,)
