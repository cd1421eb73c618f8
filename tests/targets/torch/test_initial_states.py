"""States that begin with rows of the model's own: parameters of the artifact's root."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lstmbridge.torch
from lstmbridge.contracts import States, TargetOptions
from lstmbridge.errors import SourceUnreadable
from lstmbridge.model.forward import forward
from lstmbridge.targets.torch import TorchExportTarget, TorchTarget
from lstmbridge.targets.torch.codec import from_json, to_json
from lstmbridge.targets.torch.planning import plan
from lstmbridge.verify.ledger import check_ledger

torch = pytest.importorskip("torch", "2.9")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
    pytest.mark.filterwarnings("ignore:The given buffer is not writable"),
]
NETS = (
    "one layer", "uniform", "projected", "everything", "two ways stacked", "two stacks, unlike",
    "gru, two ways stacked", "gru, reset before", "rnn", "every kind",
    "highways in two directions",
)  # fmt: skip


def fed(feeds: Any, names: Any) -> dict[str, Any]:
    return {name: torch.from_numpy(a) for name, a in feeds.items() if name in names}


def assert_same(got: Any, expected: Any) -> None:
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name].detach().numpy(), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_a_module_begins_with_them_unless_it_is_fed(lab: Any, begun: Any, name: str) -> None:
    model = begun(lab.model(name))
    path = lab.folder / "m.safetensors"
    TorchTarget().write(model, path, TargetOptions(), {})
    module = lstmbridge.torch.load(path)
    for states in (False, True):
        feeds = lab.feeds(model, states=states)
        assert_same(module(**fed(feeds, feeds)), forward(model, feeds))


@pytest.mark.parametrize("name", NETS[:9])
def test_a_program_begins_with_them(lab: Any, begun: Any, name: str) -> None:
    model = begun(lab.model(name))
    options = TargetOptions(sequence_length=True)
    path = lab.folder / "m.pt2"
    artifact = TorchExportTarget().write(model, path, options, {})
    report = check_ledger(model, TorchExportTarget().ledger(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())
    feeds = lab.feeds(model, states=False)
    with torch.inference_mode():
        got = torch.export.load(path).module()(**fed(feeds, feeds))
    assert_same(got, forward(model, feeds))


def test_a_program_that_must_be_fed_does_not_hold_them(lab: Any, begun: Any) -> None:
    model = begun(lab.model("uniform"))
    artifact = TorchExportTarget().write(
        model, lab.folder / "m.pt2", TargetOptions(states=States.REQUIRED), {}
    )
    ledger = TorchExportTarget().ledger(artifact, model)
    assert not [key for key in ledger if key[1].startswith("initial_")]
    assert not check_ledger(model, ledger, artifact.signature.input_names()).missing


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16"])
@pytest.mark.parametrize("name", NETS)
def test_the_ledger_has_them_bit_for_bit(lab: Any, begun: Any, name: str, dtype: Any) -> None:
    model = begun(lab.model(name, dtype=np.float32))
    path = lab.folder / "m.safetensors"
    artifact = TorchTarget().write(model, path, TargetOptions(dtype=dtype), {})
    ledger = TorchTarget().ledger(artifact, model)
    report = check_ledger(model, ledger)
    assert (report.different, report.missing, report.extra) == ((), (), ())
    rows = {(x.name, f"initial_{state}", "") for x in model.layers for state in x.initial}
    assert rows == {key for key in ledger if key[1].startswith("initial_")}


def test_their_keys_are_the_names_of_the_inputs(lab: Any, begun: Any) -> None:
    model = begun(lab.model("one layer"))
    TorchTarget().write(model, lab.folder / "m.pt", TargetOptions(), {})
    state = torch.load(lab.folder / "m.pt")
    assert {"initial_layer0_h", "initial_layer0_c", "weight_hh_l0"} <= state.keys()


def test_without_lstmbridge_a_state_dict_with_them_is_not_said_to_load(
    lab: Any, begun: Any
) -> None:
    model = lab.model("one layer")
    for one, plain in ((model, True), (begun(model), False)):
        artifact = TorchTarget().write(one, lab.folder / "m.pt", TargetOptions(), {})
        assert ("torch.nn.LSTM" in TorchTarget().usage(artifact)) is plain


@pytest.mark.parametrize("wrong", [("initial_layer9_h", 5), ("initial_layer0_h", 6)])
def test_a_file_that_states_rows_of_no_state_is_refused(lab: Any, begun: Any, wrong: Any) -> None:
    architecture = plan(begun(lab.model("one layer")), np.dtype(np.float64))
    text = to_json(architecture)
    assert from_json(text, "here").initial == architecture.initial
    name, width = wrong
    said = text.replace('"initial_layer0_h": 5', f'"{name}": {width}')
    assert said != text
    with pytest.raises(SourceUnreadable, match=name):
        from_json(said, "here")
