"""The table that says what each target can say, and how."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.arrays import ACTIVATIONS
from lstmbridge.errors import CannotExpress
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import (
    GRU,
    LSTM,
    NAS,
    RNN,
    UGRNN,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.facts import Fact
from lstmbridge.targets.capability import CAPABILITIES, HOWS, capability, express, features_of
from lstmbridge.targets.onnx.activations import NATIVE
from lstmbridge.targets.onnx.operators import OPERATORS


def layer(**facts) -> Layer:
    def blocks(*shape):
        return GateBlocks.of({gate: np.zeros(shape, np.float32) for gate in "ifco"})

    def fact(name, default):
        return Fact.given(facts.get(name, default), "test")

    projection = InMemory("p", np.zeros((4, 2), np.float32)) if "projection" in facts else None
    cell = LSTM(
        kernel=blocks(3, 4),
        recurrent=blocks(2 if projection else 4, 4),
        bias=None,
        forget_bias=fact("forget_bias", 0.0),
        activation=fact("activation", "tanh"),
        gate_activation=fact("gate_activation", "sigmoid"),
        cell_clip=fact("cell_clip", None),
        proj_clip=fact("proj_clip", None),
        peephole=blocks(4) if "peephole" in facts else None,
        projection=projection,
    )
    return Layer("layer0", cell, 0, "")


CASES = [
    ({}, "native", "native"),
    ({"forget_bias": 1.0}, "native", "native"),
    ({"peephole": True}, "native", "stepped"),
    ({"projection": True}, "rewritten", "native"),
    ({"projection": True, "proj_clip": 1.0}, "stepped", "stepped"),
    ({"proj_clip": 1.0}, "native", "native"),
    ({"cell_clip": 1.0}, "stepped", "stepped"),
    ({"activation": "relu"}, "native", "stepped"),
    ({"activation": "selu"}, "stepped", "stepped"),
    ({"gate_activation": "hard_sigmoid"}, "native", "stepped"),
]


@pytest.mark.parametrize(("facts", "onnx", "torch"), CASES, ids=str)
def test_a_layer_is_said_as_its_hardest_feature_asks(facts, onnx, torch):
    one = layer(**facts)
    for target, how in (("onnx", onnx), ("torch", torch)):
        said = express(target, one, features_of(one.cell))
        assert (said.layer, said.how) == ("layer0", how)
        assert said.detail or how == "native"


KINDS = [
    (GRU, {"reset_after": False}, "native", "stepped"),
    (GRU, {"reset_after": True}, "native", "native"),
    (GRU, {"reset_after": True, "gate_activation": "hard_sigmoid"}, "native", "stepped"),
    (GRU, {"reset_after": True, "activation": "selu"}, "stepped", "stepped"),
    (RNN, {}, "native", "native"),
    (RNN, {"activation": "relu"}, "native", "native"),
    (RNN, {"activation": "elu"}, "native", "stepped"),
    (CoupledLSTM, {}, "rewritten", "stepped"),
    (LayerNormLSTM, {}, "stepped", "stepped"),
    (IndyLSTM, {}, "stepped", "stepped"),
    (IndyGRU, {}, "stepped", "stepped"),
    (NAS, {}, "stepped", "stepped"),
    (UGRNN, {}, "stepped", "stepped"),
    (Intersection, {}, "stepped", "stepped"),
]


@pytest.mark.parametrize(("kind", "facts", "onnx", "torch"), KINDS, ids=str)
def test_each_kind_of_cell_has_its_best_form_and_a_reason_where_that_is_not_native(
    networks, *, kind, facts, onnx, torch
):
    one = Layer("layer0", networks.cell(kind, 4, 4, **facts), 0, "")
    for target, how in (("onnx", onnx), ("torch", torch)):
        said = express(target, one, features_of(one.cell))
        assert said.how == how
        assert said.detail or how == "native"


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN, CoupledLSTM])
def test_in_double_onnx_runtime_has_none_of_the_operators(networks, kind):
    one = Layer("layer0", networks.cell(kind), 0, "")
    said = express("onnx", one, features_of(one.cell, np.dtype(np.float64)))
    assert said.how == "stepped"
    assert "in double" in said.detail


def test_onnx_says_natively_what_it_has_an_operator_for_and_nothing_else():
    kinds = {kind.KIND for kind in (*(row[0] for row in KINDS), LSTM)}
    native = {kind for kind in kinds if capability("onnx", kind).how in {"native", "rewritten"}}
    assert native == set(OPERATORS)


def test_a_stepped_layer_names_every_reason_once():
    one = layer(cell_clip=1.0, activation="selu", gate_activation="selu")
    detail = express("onnx", one, features_of(one.cell)).detail
    assert detail.count("the operator has no Selu") == 1
    assert "carried cell state" in detail


def test_double_has_no_operator_in_onnx_runtime_and_one_in_pytorch():
    one = layer()
    features = features_of(one.cell, np.dtype(np.float64))
    assert express("onnx", one, features).how == "stepped"
    assert express("torch", one, features).how == "native"


@pytest.mark.parametrize("target", CAPABILITIES)
def test_a_feature_that_the_table_does_not_know_is_refused_by_name(target):
    assert capability(target, "attention").how == "refused"
    with pytest.raises(CannotExpress, match="layer0 needs attention"):
        express(target, layer(), ["LSTM", "attention"])


@pytest.mark.parametrize("target", CAPABILITIES)
def test_the_table_has_a_row_for_every_activation_and_a_reason_for_every_no(target):
    table = CAPABILITIES[target]
    for name in ACTIVATIONS:
        assert {f"activation:{name}", f"gate_activation:{name}"} <= table.keys()
    for rule in table.values():
        assert rule.how in HOWS
        assert rule.reason or rule.how == "native"


def test_the_table_and_the_operator_s_activations_agree():
    for name in ACTIVATIONS:
        for place in ("activation", "gate_activation"):
            assert (capability("onnx", f"{place}:{name}").how == "native") == (name in NATIVE)
