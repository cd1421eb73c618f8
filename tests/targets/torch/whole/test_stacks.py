"""Recognised stacks of whole models are modules of PyTorch: how they are called, fed and proved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lstmbridge.torch
from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome, TargetOptions
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import InMemory
from lstmbridge.sources import open_source
from lstmbridge.targets.torch import TorchTarget
from lstmbridge.targets.torch.files import Content, load, save
from lstmbridge.targets.torch.whole.program import GRAPH
from lstmbridge.whole_models import whole_from

FIXTURES = Path(__file__).resolve().parents[4] / "fixtures"
SOURCES = {
    "frozen-classifier": ("graphs/frozen-classifier/frozen.pb", ("Softmax", "logits/BiasAdd")),
    "frozen-stack": ("graphs/frozen-stack/frozen.pb", ("rnn/transpose_1",)),
    "frozen-translator": ("graphs/frozen-translator/frozen.pb", ("decoder/logits/BiasAdd",)),
    "frozen-unrolled-text": ("graphs/frozen-unrolled-text/frozen.pbtxt", ("together",)),
    "saved-tagger": ("graphs/saved-tagger/saved_model", ()),
    "classifier": ("whole/classifier/frozen.pb", ("best", "logits/BiasAdd")),
    "streaming": ("whole/streaming/frozen.pb", ("probs",)),
    "tagger": ("whole/tagger/frozen.pb", ("logits/BiasAdd",)),
    "translator": ("whole/translator/frozen.pb", ("decoder/transpose", "decoder/transpose_1")),
}


def read(case):
    """The whole model of a fixture, with its places."""
    path, outputs = SOURCES[case]
    settings = {"is_training": "false"} if case == "classifier" else {}
    whole, _ = whole_from(open_source(FIXTURES / path), Hints(outputs=outputs, settings=settings))
    return whole


def written(whole, path, dtype="float64"):
    artifact = TorchTarget().write_whole(whole, path, TargetOptions(dtype=dtype), {})
    return artifact, lstmbridge.torch.load(path)


def drawn(whole, batch, steps, lengths=None):
    """Random inputs: floats, word numbers below 5, and lengths."""
    draw = np.random.default_rng(11)
    feeds = {}
    for port in whole.inputs:
        if "length" in port.name:
            feeds[port.name] = np.asarray(lengths or draw.integers(1, steps + 1, batch))
            continue
        axes = (steps, batch) if port.name == "x" else (batch, steps)
        axes = (1, batch) if port.name == "states" else axes
        known = [n or m for n, m in zip(port.shape, (*axes, 1), strict=False)]
        floats = port.dtype.kind == "f"
        feeds[port.name] = draw.normal(size=known) if floats else draw.integers(0, 5, known)
    return feeds


def ran(module, feeds):
    given = {name: torch.from_numpy(np.asarray(value)) for name, value in feeds.items()}
    with torch.inference_mode():
        return {name: value.numpy() for name, value in module(given).items()}


KINDS = {
    "frozen-classifier": {"bidirectional_rnn": (nn.LSTM, "native")},
    "frozen-stack": {"rnn": (nn.Module, "native")},
    "frozen-translator": {"encoder/rnn": (nn.LSTM, "native"), "decoder/rnn": (nn.LSTM, "native")},
    "frozen-unrolled-text": {"rnn/rnn/multi_rnn_cell/cell_0/basic_lstm_cell": (nn.LSTM, "native")},
    "saved-tagger": {"rnn": (nn.Module, "stepped")},
    "classifier": {"rnn": (nn.Module, "stepped")},
    "streaming": {"rnn": (nn.Module, "stepped")},
    "tagger": {"rnn": (nn.LSTM, "native")},
    "translator": {"rnn": (nn.LSTM, "native")},
}


@pytest.mark.parametrize("case", KINDS)
def test_each_recognised_stack_is_a_module_called_by_its_scope(case, tmp_path):
    artifact, module = written(read(case), tmp_path / "m.pt")
    stacks = module.stacks
    assert set(stacks) == set(KINDS[case])
    for scope, (kind, _) in KINDS[case].items():
        assert isinstance(stacks[scope], kind)
        assert module.get_submodule(f"stack/{scope}") is stacks[scope]
    hows = {how for _, how in KINDS[case].values()}
    assert {one.how for one in artifact.expressions} == hows
    keys = set(module.state_dict())
    assert keys == set(load(artifact.path).tensors)
    # each weight is there once: the stacks' own variables are not beside their modules
    assert not [key for key in keys if key.startswith(tuple(stacks)) and "cell" in key]


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (2, 9), (5, 3)])
def test_any_batch_and_length_gives_what_the_graph_gives(case, batch, steps, tmp_path):
    whole = read(case)
    _, module = written(whole, tmp_path / "m.safetensors")
    feeds = drawn(whole, batch, steps)
    wanted = whole.run(feeds)
    for name, value in ran(module, feeds).items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lengths", [[0, 3, 7], [0, 0, 0], [9, 2, 7]])
def test_lengths_of_nothing_and_beyond_the_end_are_the_graphs(lengths, tmp_path):
    whole = read("saved-tagger")
    _, module = written(whole, tmp_path / "m.pt")
    feeds = drawn(whole, 3, 7, lengths)
    wanted = whole.run(feeds)
    for name, value in ran(module, feeds).items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-9, atol=1e-9)


def test_states_that_one_stack_hands_to_another_arrive(tmp_path):
    whole = read("frozen-translator")
    _, module = written(whole, tmp_path / "m.pt")
    one = drawn(whole, 2, 6)
    other = {
        **one,
        "source": (one["source"] + 1.5 if one["source"].dtype.kind == "f" else 4 - one["source"]),
    }
    outputs = [ran(module, feeds)["decoder/logits/BiasAdd"] for feeds in (one, other)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-6
    wanted = whole.run(other)["decoder/logits/BiasAdd"]
    np.testing.assert_allclose(outputs[1], wanted, rtol=1e-9, atol=1e-9)


def test_the_tensors_of_a_native_stack_load_into_torch_nn_itself(tmp_path):
    whole = read("frozen-stack")
    artifact, module = written(whole, tmp_path / "m.pt")
    stored = torch.load(artifact.path, weights_only=True)
    value = torch.from_numpy(drawn(whole, 3, 4)["frames"])
    with torch.inference_mode():
        wanted = module(frames=value)["rnn/transpose_1"]
        for k in range(2):
            prefix = f"stack/rnn.layers.{k}."
            own = {key.removeprefix(prefix): v for key, v in stored.items() if prefix in key}
            wide, tall = own["weight_ih_l0"].shape
            lstm = nn.LSTM(tall, wide // 4, batch_first=True, dtype=torch.float64)
            lstm.load_state_dict(own)
            value, _ = lstm(value)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)


def test_a_stack_in_whose_way_the_rest_stands_stays_operation_by_operation(tmp_path):
    whole = read("frozen-translator")
    decoder, encoder = whole.places
    # what the decoder gives is said to begin the encoder, whose states the decoder needs
    odd = dict.fromkeys(encoder.initial or {("layer0", "h"): None}, decoder.outputs[0])
    whole = replace(whole, places=(decoder, replace(encoder, initial=odd)))
    artifact, module = written(whole, tmp_path / "m.pt")
    assert set(module.stacks) == {"decoder/rnn"}
    (detail,) = [x.detail for x in artifact.expressions if "operation by" in x.detail]
    assert "depends on itself" in detail
    feeds = drawn(whole, 2, 6)
    wanted = whole.run(feeds)["decoder/logits/BiasAdd"]
    np.testing.assert_allclose(ran(module, feeds)["decoder/logits/BiasAdd"], wanted, rtol=1e-9)


def tampered(path, change):
    content = load(path)
    tensors = {k: np.array(w.load()) for k, w in content.tensors.items()}
    change(tensors)
    save(path, Content({k: InMemory(k, v) for k, v in tensors.items()}, content.strings))


def exchanged(tensors, key, units):
    """Gates i and f, exchanged."""
    array = tensors[key]
    tensors[key] = np.concatenate([array[units : 2 * units], array[:units], array[2 * units :]])


def test_gates_that_were_exchanged_in_a_stack_fail_by_ledger_and_by_numbers(tmp_path):
    path = tmp_path / "m.safetensors"
    source = FIXTURES / "graphs" / "frozen-stack" / "frozen.pb"
    hints = Hints(outputs=("rnn/transpose_1",))
    assert api.convert(source, to="torch", output=path, hints=hints).path == path
    units = load(path).tensors["stack/rnn.layers.1.weight_hh_l0"].shape[1]
    tampered(path, lambda t: exchanged(t, "stack/rnn.layers.1.weight_hh_l0", units))
    found = api.verify(source, path, hints=hints)
    assert found.outcome is Outcome.FAIL
    said = " ".join(found.reasons)
    assert "stack/rnn.layers.1.weight_hh_l0: not the source's numbers" in said
    assert "rnn: layer1, recurrent i: not the source's" in said
    (runtime,) = [r for r in found.runtimes if r.name == "torch"]
    assert max(outcome.ratio for outcome in runtime.outputs.values()) > 1


def test_the_blocks_of_a_stack_are_read_back_by_their_keys(tmp_path):
    whole = read("saved-tagger")
    artifact, _ = written(whole, tmp_path / "m.safetensors", "float32")
    report = TorchTarget().account_for(artifact, whole)
    assert (report.different, report.missing, report.extra) == ((), (), ())
    key = next(k for k in load(artifact.path).tensors if k.endswith(".peephole_f"))
    tampered(artifact.path, lambda t: t[key].__imul__(np.float32(1.0001)))
    different = TorchTarget().account_for(artifact, whole).different
    assert len(different) == 2
    assert "rnn: layer0, peephole f: not the source's" in different


@pytest.mark.parametrize(
    "change",
    [
        lambda one: {**one, "key": "weights"},
        lambda one: {**one, "steps": 3},
        lambda one: {**one, "lengths": not one["lengths"]},
        lambda one: {**one, "initial": ["initial_layer7_h"]},
        lambda one: {**one, "finals": ["layer9_c"]},
        lambda one: {**one, "widths": [1]},
        lambda one: {
            **one,
            "modules": one["modules"].replace('"hidden_size": ', '"hidden_size": 9'),
        },
        lambda one: {**one, "modules": one["modules"].replace("float32", "float64")},
        lambda one: {**one, "modules": "{}"},
        lambda one: {},
        lambda one: None,
    ],
)
def test_a_file_that_lies_about_a_stack_is_refused(change, tmp_path):
    path = tmp_path / "m.safetensors"
    written(read("frozen-classifier"), path, "float32")
    content = load(path)
    body = json.loads(content.strings[GRAPH])
    name = min(body["stacks"])
    body["stacks"][name] = change(body["stacks"][name])
    kept = {k: InMemory(k, np.array(w.load())) for k, w in content.tensors.items()}
    save(path, Content(kept, {**content.strings, GRAPH: json.dumps(body)}))
    with pytest.raises(SourceUnreadable):
        lstmbridge.torch.load(path)


def test_a_file_of_the_first_version_which_had_no_stacks_still_loads(tmp_path):
    whole = replace(read("saved-tagger"), places=())
    artifact, module = written(whole, tmp_path / "m.safetensors")
    content = load(artifact.path)
    body = json.loads(content.strings[GRAPH])
    del body["stacks"]
    text = json.dumps({**body, "version": 1})
    kept = {k: InMemory(k, np.array(w.load())) for k, w in content.tensors.items()}
    save(artifact.path, Content(kept, {**content.strings, GRAPH: text}))
    feeds = drawn(whole, 2, 3)
    again = ran(lstmbridge.torch.load(artifact.path), feeds)
    for name, value in ran(module, feeds).items():
        np.testing.assert_array_equal(again[name], value)
