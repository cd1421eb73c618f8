"""Files that other tools wrote: what can be accounted for is compared, what cannot is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lstmbridge
from lstmbridge.contracts import Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.errors import SourceUnreadable, UsageError
from lstmbridge.gates import KERAS_GRU, KERAS_LSTM, GateBlocks, InMemory
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Sequence
from lstmbridge.model.cells import GRU, LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.targets.onnx.understanding import understand

FOREIGN = Path(__file__).resolve().parents[2] / "fixtures" / "foreign"


def fact(value):
    return Fact.given(value, "Keras")


def lstm(kernel, recurrent, bias) -> LSTM:
    cut = [GateBlocks.from_fused(InMemory("w", w), KERAS_LSTM) for w in (kernel, recurrent, bias)]
    none = fact(None)
    return LSTM(*cut, fact(0.0), fact("tanh"), fact("sigmoid"), none, none)


def gru(kernel, recurrent, both) -> GRU:
    cut = [
        GateBlocks.from_fused(InMemory("w", w), KERAS_GRU)
        for w in (kernel, recurrent, both[0], both[1])
    ]
    return GRU(*cut[:3], fact(True), fact("tanh"), fact("sigmoid"), cut[3])


def keras(name: str) -> tuple[Model, dict[str, np.ndarray]]:
    """The model that the file was made of, by its Keras weights."""
    with np.load(FOREIGN / f"{name}.npz") as stored:
        arrays = dict(stored)
    weights = [arrays[f"w{k}"] for k in range(len(arrays) - 2)]
    cell = gru if name == "gru" else lstm
    cells = [Recurrent(cell(*weights[k : k + 3])) for k in range(0, len(weights), 3)]
    blocks = cells
    if name == "bidirectional":
        blocks = [Bidirectional(*cells[k : k + 2]) for k in range(0, len(cells), 2)]
    return Model("", Sequence(tuple(blocks))), arrays


@pytest.mark.parametrize("name", ["lstm", "gru", "bidirectional"])
def test_a_file_of_tf2onnx_is_proved_by_its_weights_and_its_outputs(name, hand):
    model, _ = keras(name)
    found = diagnose(hand.ours(model), FOREIGN / f"{name}.onnx")
    assert found.outcome is Outcome.PASS, (found.reasons, found.weights)
    assert found.weights.compared > 100
    assert not found.weights.findings
    assert set(found.outputs) == {"outputs"}
    account = found.accounts[1]
    assert account.accounted > 200
    assert account.left == ()


@pytest.mark.parametrize("name", ["lstm", "gru", "bidirectional"])
def test_it_stands_for_a_source_that_is_gone(name):
    _, arrays = keras(name)
    recorded = {n: arrays[n] for n in ("inputs", "outputs")}
    found = diagnose(FOREIGN / f"{name}.onnx", expected=recorded, layout="batch-major")
    assert found.outcome is Outcome.PASS, found.reasons


def test_a_wrong_weight_in_it_is_found(hand):
    model, _ = keras("lstm")
    wrong = hand.onnx(model, forget_bias=1.0)
    found = diagnose(FOREIGN / "lstm.onnx", wrong)
    assert found.outcome is Outcome.FAIL
    (one,) = found.weights.findings
    assert one.words == "is A's +1 on gate f, a forget bias"


def test_verify_points_to_diagnose_where_names_are_not_ours(case):
    with pytest.raises(UsageError, match="takes x, and no inputs") as raised:
        lstmbridge.verify(case("tf115-seed-bare").prefix, FOREIGN / "lstm.onnx")
    assert "lstmbridge diagnose" in str(raised.value)


def test_a_loop_is_not_accounted_for_and_says_so():
    found = understand(FOREIGN / "loop.onnx")
    assert found.model is None
    assert found.accounted == 0
    left = " ".join(found.left)
    assert "has a body of its own, which is not read" in left
    assert "holds 12 numbers" in left
    assert "it holds no LSTM, GRU or RNN node that is read" in left


@pytest.mark.torch
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_state_dict_of_a_training_script_is_read(tmp_path, kind, both):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(3, 4, 2, batch_first=True, bidirectional=both)
            self.head = torch.nn.Linear(8 if both else 4, 2)

    torch.manual_seed(1)
    net = Net().eval()
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "model_state_dict": net.state_dict()}, path)
    x = torch.randn(3, 6, 3)
    with torch.no_grad():
        y, state = net.rnn(x)
    arrays = {"x": x.numpy(), "y": y.numpy()}
    arrays["hn"] = (state[0] if kind == "LSTM" else state).numpy()
    found = diagnose(path, expected=arrays, renames={"hn": "final_h"})
    assert found.outcome is Outcome.PASS, (found.reasons, found.matched)
    assert any("head.weight" in one for one in found.accounts[0].left)


@pytest.mark.torch
def test_a_pickled_module_is_not_opened(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "module.pt"
    torch.save(torch.nn.LSTM(2, 2), path)
    with pytest.raises(SourceUnreadable, match="does not read as tensors alone") as raised:
        diagnose(path, path)
    assert "state_dict()" in str(raised.value)
