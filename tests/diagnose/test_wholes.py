"""Why an artifact or recorded outputs differ from a whole model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.errors import FactMissing, UsageError
from lstmbridge.gates import InMemory
from lstmbridge.report import diagnosis as report
from lstmbridge.targets.torch.files import Content, load, save
from lstmbridge.verify import VerifyOptions

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
TAGGER = FIXTURES / "graphs" / "saved-tagger" / "saved_model"
TRANSLATOR = FIXTURES / "graphs" / "frozen-translator" / "frozen.pb"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """The whole model as an ONNX file."""
    path = tmp_path_factory.mktemp("whole") / "tagger.onnx"
    assert api.convert(TAGGER, to="onnx", output=path, verification=None).path == path
    return path


def changed(path, into, change):
    """A copy of an ONNX file whose LSTM's recurrent weights (1, gate, units, units) are changed."""
    model = onnx.load(path)
    (lstm,) = (node for node in model.graph.node if node.op_type == "LSTM")
    one = next(x for x in model.graph.initializer if x.name == lstm.input[2])
    numbers = np.array(numpy_helper.to_array(one))
    units = numbers.shape[2]
    new = change(numbers.reshape(1, 4, units, units)).reshape(numbers.shape)
    one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new), one.name))
    onnx.save(model, into)
    return into


def renamed(path, into):
    """As another tool would call its ports, without our metadata, and one output less."""
    model = onnx.load(path)
    new = {"words": "ids", "logits": "logits:0"}
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for one in (*model.graph.input, *model.graph.output):
        one.name = new.get(one.name, one.name)
    model.graph.output.pop()
    del model.metadata_props[:]
    onnx.save(model, into)
    return into


def test_an_honest_artifact_is_equal_in_outputs_and_weights(tagger):
    found = diagnose(TAGGER, tagger)
    assert found.outcome is Outcome.PASS, found.reasons
    assert set(found.outputs) == {"logits", "probabilities"}
    assert found.weights is not None
    assert found.weights.findings == ()
    assert found.faults.planted == found.faults.caught > 0
    assert found.accounts[0].kind == "source, a whole model"
    assert found.accounts[0].layers == ("rnn/layer0: LSTM 3 -> 4",)


@pytest.mark.torch
def test_a_torch_artifact_of_two_stacks_is_equal(tmp_path):
    path = tmp_path / "m.safetensors"
    hints = Hints(outputs=("decoder/logits/BiasAdd",))
    api.convert(TRANSLATOR, to="torch", output=path, hints=hints, verification=None)
    found = diagnose(TRANSLATOR, path, hints=hints)
    assert found.outcome is Outcome.PASS, found.reasons
    assert len(found.accounts[0].layers) == 2


def test_gates_that_were_exchanged_are_named(tagger, tmp_path):
    bad = changed(tagger, tmp_path / "bad.onnx", lambda r: r[:, [2, 1, 0, 3]])
    found = diagnose(TAGGER, bad)
    assert found.outcome is Outcome.FAIL
    wanted = (
        "it equals the source with this mistake: rnn: gates i and f exchanged in the recurrent"
    )
    assert wanted in found.explanation
    (finding,) = found.weights.findings
    assert finding.layers == ("rnn/layer0/R",)
    assert "32 of 64 numbers" in finding.words


def test_verify_names_the_mistake_too(tagger, tmp_path):
    bad = changed(tagger, tmp_path / "bad.onnx", lambda r: r.transpose(0, 1, 3, 2))
    (run,) = api.verify(TAGGER, bad).runtimes
    assert "with this mistake: rnn: recurrent kernel transposed" in run.diagnosis


def test_a_change_that_is_no_known_mistake_is_not_called_one(tagger, tmp_path):
    bad = changed(tagger, tmp_path / "bad.onnx", lambda r: r * np.float32(1.3))
    found = diagnose(TAGGER, bad)
    assert found.outcome is Outcome.FAIL
    assert "mistake" not in found.explanation


def test_ports_of_another_tool_are_matched_or_asked_for(tagger, tmp_path):
    path = renamed(tagger, tmp_path / "theirs.onnx")
    with pytest.raises(UsageError, match="B takes ids, which the model does not have"):
        diagnose(TAGGER, path)
    found = diagnose(TAGGER, path, renames={"ids": "words"})
    assert found.outcome is Outcome.PASS, found.reasons
    assert "logits:0 is logits" in found.matched
    assert "ids is words (--rename)" in found.matched
    assert "outputs of A that B does not have: probabilities" in found.matched
    assert found.weights is None


def recorded(**changes):
    with np.load(FIXTURES / "graphs" / "saved-tagger" / "expected.npz") as stored:
        arrays = {name.split("|")[1]: stored[name] for name in stored.files}
    arrays = {name: array for name, array in arrays.items() if ":" not in name}
    return arrays | {name: change(arrays[name]) for name, change in changes.items()}


def test_what_tensorflow_recorded_of_the_whole_model_is_equal():
    found = diagnose(TAGGER, expected=recorded())
    assert found.outcome is Outcome.PASS, found.reasons
    assert set(found.outputs) == {"logits", "probabilities"}
    assert found.faults.caught > 0


def test_recorded_outputs_that_depart_are_told_from_those_that_agree():
    found = diagnose(TAGGER, expected=recorded(logits=lambda a: a + np.float32(0.01)))
    assert found.outcome is Outcome.FAIL
    assert "outputs that agree: probabilities" in found.explanation
    assert any("logits" in reason for reason in found.reasons)


def test_a_file_of_the_stack_alone_is_compared_with_the_stack(tmp_path):
    path = tmp_path / "stack.onnx"
    api.convert(TAGGER, to="onnx", output=path, stack_only=True, verification=None)
    found = diagnose(TAGGER, path)
    assert found.outcome is Outcome.PASS, found.reasons
    assert "outputs" in found.outputs
    assert found.accounts[0].kind == "source"


def test_stack_only_takes_b_for_the_stacks(tagger):
    with pytest.raises(FactMissing, match="what the inputs lengths carry"):
        diagnose(TAGGER, tagger, stack_only=True, renames={"words": "inputs"})


@pytest.fixture(scope="module")
def module(tagger):
    """The whole model as PyTorch's tensors."""
    path = tagger.with_name("tagger.safetensors")
    assert api.convert(TAGGER, to="torch", output=path, verification=None).path == path
    return path


WITHIN = VerifyOptions(tolerance=1e-5)


def test_two_artifacts_without_their_source_need_a_tolerance(tagger, module):
    with pytest.raises(FactMissing, match="do not say how far rounding may lead"):
        diagnose(tagger, module)


@pytest.mark.torch
@pytest.mark.parametrize("turned", [False, True])
def test_artifacts_of_two_targets_are_equal_within_a_tolerance(tagger, module, turned):
    pair = (module, tagger) if turned else (tagger, module)
    found = diagnose(*pair, options=WITHIN)
    assert found.outcome is Outcome.PASS, found.reasons
    assert set(found.outputs) == {"logits", "probabilities"}
    assert found.comparisons > 100
    assert (found.weights, found.faults.planted) == (None, 0)
    assert any("planted faults" in line for line in found.not_run)
    assert "this does not cover" in report.text(found)


def test_an_artifact_that_was_changed_departs_in_outputs_and_stored_numbers(tagger, tmp_path):
    bad = changed(tagger, tmp_path / "bad.onnx", lambda r: r[:, [2, 1, 0, 3]])
    found = diagnose(tagger, bad, options=WITHIN)
    assert found.outcome is Outcome.FAIL
    (finding,) = found.weights.findings
    assert finding.layers == ("rnn/layer0/R",)
    assert finding.words == "departs in 32 of 64 numbers"


def test_a_last_bit_of_a_stored_number_is_seen(module, tmp_path):
    content = load(module)
    arrays = {name: np.array(one.load()) for name, one in content.tensors.items()}
    arrays["logits/bias"].view(np.uint8)[0] ^= 1
    path = tmp_path / "m.safetensors"
    save(path, Content({n: InMemory(n, a) for n, a in arrays.items()}, content.strings))
    found = diagnose(module, path, options=WITHIN)
    assert found.outcome is Outcome.FAIL
    assert "agrees within --tolerance" in " ".join(found.reasons)


def test_a_file_of_another_model_is_asked_for_its_names(tagger, tmp_path):
    path = tmp_path / "t.onnx"
    hints = Hints(outputs=("decoder/logits/BiasAdd",))
    api.convert(TRANSLATOR, to="onnx", output=path, hints=hints, verification=None)
    with pytest.raises(
        UsageError, match="B takes source, source_length, target, which A does not"
    ):
        diagnose(tagger, path, options=WITHIN)
