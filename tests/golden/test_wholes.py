"""Golden packs of whole models: recorded from the graph, replayed on any artifact of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lstmbridge import api, golden
from lstmbridge.cli import main
from lstmbridge.contracts import Hints, Outcome, States
from lstmbridge.errors import SourceUnreadable, UsageError
from lstmbridge.golden.pack import DIGEST, MANIFEST, write
from lstmbridge.golden.updating import update

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
TAGGER = FIXTURES / "graphs" / "saved-tagger" / "saved_model"
TRANSLATOR = FIXTURES / "whole" / "translator" / "frozen.pb"
DECODED = Hints(outputs=("decoder/transpose", "decoder/transpose_1"))


@pytest.fixture
def pack(tmp_path):
    golden.record(TAGGER, tmp_path / "p.npz")
    return tmp_path / "p.npz"


def converted(source, path, hints=None):
    target = "onnx" if path.suffix == ".onnx" else "torch"
    done = api.convert(source, to=target, output=path, hints=hints, verification=None)
    assert done.path == path
    return path


@pytest.mark.parametrize("name", ["m.onnx", "m.pt", "m.safetensors"])
def test_an_honest_artifact_of_any_target_passes_with_no_source(name, pack, tmp_path):
    found = golden.replay(converted(TAGGER, tmp_path / name), pack)
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.faults.planted == found.faults.caught > 0
    assert found.facts["rnn.layer0.forget_bias"].value == 1.0
    (run,) = found.runtimes
    assert set(run.outputs) == {"logits", "probabilities"}
    assert run.outputs["logits"].comparisons > 0


def test_whole_numbers_and_words_that_a_loop_decodes_are_held_too(tmp_path):
    golden.record(TRANSLATOR, tmp_path / "p.npz", hints=DECODED)
    found = golden.replay(converted(TRANSLATOR, tmp_path / "m.onnx", DECODED), tmp_path / "p.npz")
    assert found.outcome is Outcome.PASS, found.reasons
    kinds = {
        v.dtype.kind
        for v in golden.read(tmp_path / "p.npz").experiments["float32"].trials[0].expected.values()
    }
    assert "f" in kinds
    assert len(kinds) == 2


def test_a_weight_that_was_changed_fails(pack, tmp_path):
    import onnx
    from onnx import numpy_helper

    path = converted(TAGGER, tmp_path / "m.onnx")
    model = onnx.load(path)
    (lstm,) = (node for node in model.graph.node if node.op_type == "LSTM")
    one = next(x for x in model.graph.initializer if x.name == lstm.input[2])
    numbers = np.array(numpy_helper.to_array(one))
    numbers[:, [0, 1]] = numbers[:, [1, 0]]
    one.CopyFrom(numpy_helper.from_array(numbers, one.name))
    onnx.save(model, path)
    assert golden.replay(path, pack).outcome is Outcome.FAIL


def test_a_pack_of_another_model_is_refused_by_its_inputs(pack, tmp_path):
    other = converted(TRANSLATOR, tmp_path / "m.onnx", DECODED)
    with pytest.raises(UsageError, match="does not fit the artifact: it feeds lengths, words"):
        golden.replay(other, pack)
    stack = tmp_path / "stack.onnx"
    api.convert(TAGGER, to="onnx", output=stack, stack_only=True, verification=None)
    with pytest.raises(UsageError, match="does not fit"):
        golden.replay(stack, pack)


def test_the_stack_alone_is_recorded_when_it_is_asked_for(tmp_path):
    path = tmp_path / "p.npz"
    kept = golden.record(TAGGER, path, stack_only=True)
    assert not kept.of_whole
    stack = tmp_path / "stack.onnx"
    api.convert(TAGGER, to="onnx", output=stack, stack_only=True, verification=None)
    assert golden.replay(stack, path).outcome is Outcome.PASS
    assert update(path, TAGGER).changes == ()
    with pytest.raises(UsageError, match="a whole model has the inputs of its source"):
        golden.record(TAGGER, tmp_path / "q.npz", states=States.REQUIRED)


def test_a_pack_is_renewed_from_its_source(pack):
    assert update(pack, TAGGER).changes == ()
    runner = CliRunner()
    shown = runner.invoke(main, ["golden", "show", str(pack)])
    assert shown.exit_code == 0
    assert "a whole model: lengths, words -> logits, probabilities" in shown.output


def test_what_rounding_decides_in_the_source_makes_a_replay_inconclusive(pack, tmp_path):
    old = golden.read(pack)
    manifest = {k: v for k, v in old.manifest.items() if k != "precisions"}
    manifest["whole"] = {**manifest["whole"], "doubts": ["output x: rounding alone decides"]}
    write(pack, manifest, old.experiments, force=True)
    found = golden.replay(converted(TAGGER, tmp_path / "m.onnx"), pack)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "output x: rounding alone decides" in found.reasons


def test_limits_without_bound_are_believed_of_whole_models_alone(pack, tmp_path):
    old = golden.read(pack)
    (precision, experiment), *_ = old.experiments.items()
    open_ = replace(
        experiment,
        trials=tuple(
            replace(t, allowed={n: np.full(np.shape(a), np.inf) for n, a in t.allowed.items()})
            for t in experiment.trials
        ),
    )
    manifest = {k: v for k, v in old.manifest.items() if k != "precisions"}
    write(pack, manifest, {precision: open_}, force=True)
    assert golden.read(pack).of_whole
    write(
        pack, {k: v for k, v in manifest.items() if k != "whole"}, {precision: open_}, force=True
    )
    with pytest.raises(SourceUnreadable, match="less than nothing"):
        golden.read(pack)


@pytest.mark.parametrize("said", [None, {}, {"doubts": 3}, []])
def test_a_manifest_that_says_nonsense_of_the_model_is_refused(said, pack):
    with np.load(pack) as stored:
        entries = {name: stored[name] for name in stored.files if name not in {MANIFEST, DIGEST}}
        manifest = json.loads(stored[MANIFEST].tobytes())
    from lstmbridge.golden.pack import _digest

    text = json.dumps({**manifest, "whole": said}, sort_keys=True).encode()
    entries[MANIFEST] = np.frombuffer(text, np.uint8)
    digest = np.frombuffer(_digest(entries).encode(), np.uint8)
    np.savez_compressed(pack, **entries, **{DIGEST: digest})
    with pytest.raises(SourceUnreadable):
        golden.read(pack)
