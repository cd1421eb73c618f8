"""`explain`: what is printed is what is run, and comes from the tables."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from lstmbridge.adapters.families import known_classes
from lstmbridge.errors import CannotExpress, UsageError
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Layer, Model, Recurrent
from lstmbridge.model.cells import Cell
from lstmbridge.model.forward import forward
from lstmbridge.report import explained
from lstmbridge.report.around import AROUND
from lstmbridge.report.explain import (
    CLASSES,
    classes_of,
    explain,
    kind_called,
    kinds,
    not_converted,
    step_of,
)
from lstmbridge.report.samples import SAMPLES
from lstmbridge.targets.capability import CAPABILITIES, express, features_of

KINDS_AND_OPTIONS = [(kind, o) for kind, s in SAMPLES.items() for o in ("", *s.options)]
LETTERS = {"kernel": "W", "recurrent": "U", "bias": "b", "recurrent_bias": "ub", "peephole": "p"}
FUNCTIONS = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sqrt": np.sqrt,
    "mean": lambda a: a.mean(axis=-1, keepdims=True),
    "min": np.minimum,
    "max": np.maximum,
}


def code(text: str) -> str:
    """An equation as Python."""
    return re.sub(r"(\w+)~", r"gate_\1", re.sub(r"(\w+)'", r"new_\1", text)).replace("·", "@")


def names_of(cell: Cell) -> dict[str, Any]:
    """Every name an equation may say, with its numbers."""
    known: dict[str, Any] = {name: f.value for name, f in cell.facts.items()}
    for field, stored in cell.blocks.items():
        if isinstance(stored, GateBlocks):
            letter = LETTERS.get(field, field)
            known |= {f"{letter}_{g}": stored[g].astype("f8") for g in stored.gates}
        else:
            known["P" if field == "projection" else field] = stored.load().astype("f8")
    return known


@pytest.mark.parametrize(("kind", "option"), KINDS_AND_OPTIONS)
def test_the_printed_equations_compute_what_the_oracle_computes(
    kind: str, option: str, numbers: Any
) -> None:
    cell = numbers(kind, option)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 1, cell.input_size))
    states = {s: rng.normal(size=(4, n)) for s, n in cell.state_sizes.items()}
    known = FUNCTIONS | names_of(cell) | {"x": x[:, 0]} | states
    for left, right in step_of(cell).items():
        known[code(left)] = eval(code(right), {"__builtins__": {}}, known)
    feeds = {"inputs": x} | {f"initial_layer0_{s}": v for s, v in states.items()}
    expected = forward(Model("test", Recurrent(cell)), feeds)
    np.testing.assert_allclose(known["output"], expected["outputs"][:, 0], rtol=1e-12, atol=1e-12)
    for state in states:
        np.testing.assert_allclose(
            known[f"new_{state}"], expected[f"layer0_{state}"], rtol=1e-12, atol=1e-12
        )


def test_the_forget_gate_of_the_lstm_reads_like_the_paper() -> None:
    step = explain("LSTM").step
    assert step["f"] == "sigmoid(x·W_f + b_f + h·U_f + forget_bias)"
    assert step["c'"] == "f * c + i * c~"
    assert step["h'"] == "o * tanh(c')"
    assert step["output"] == "h'"


def test_the_reset_gate_is_shown_on_the_side_where_it_acts() -> None:
    gru = explain("GRU")
    assert gru.step["c"] == "tanh(x·W_c + b_c + (r * h)·U_c)"
    assert gru.options["reset_after"]["c"] == "tanh(x·W_c + b_c + r * (h·U_c))"


def test_what_is_used_twice_is_said_once() -> None:
    step = explain("LayerNormLSTM").step
    assert step["t1"] == "x·W_i + h·U_i"
    assert step["t5"] == "t1 - mean(t1)"
    assert step["i"] == "sigmoid(t5 / sqrt(mean(t5 * t5) + epsilon) * gain_i + shift_i)"


def test_an_option_shows_only_the_equations_that_it_changes() -> None:
    options = explain("LSTM").options
    assert set(options["peephole"]) == {"i", "f", "o"}
    assert set(options["cell_clip"]) == {"c'"}
    assert options["cell_clip"]["c'"] == "max(min(f * c + i * c~, cell_clip), -cell_clip)"


def test_constants_are_shown_where_they_act() -> None:
    constants = explain("LSTM").constants
    assert constants["forget_bias"] == ("f",)
    assert constants["activation"] == ("c~", "h'")
    assert constants["gate_activation"] == ("i", "f", "o")
    assert constants["proj_clip"] == ("h'",)
    assert explain("Intersection").constants["activation"] == ("y",)


def test_every_constant_of_every_cell_acts_somewhere() -> None:
    for kind in SAMPLES:
        assert all(explain(kind).constants.values())


@pytest.mark.parametrize("kind", SAMPLES)
def test_what_targets_do_is_what_the_capability_table_answers(kind: str, numbers: Any) -> None:
    said = {s.target: s for s in explain(kind).targets if not s.when}
    assert list(said) == list(CAPABILITIES)
    cell = numbers(kind)
    for target, answer in said.items():
        layer = Layer("layer0", cell, 0, "")
        if answer.how == "refused":
            with pytest.raises(CannotExpress):
                express(target, layer, features_of(cell))
            continue
        expected = express(target, layer, features_of(cell))
        assert (answer.how, answer.reason) == (expected.how, expected.detail)


def test_a_feature_that_is_said_otherwise_has_a_line_of_its_own() -> None:
    onnx = [s for s in explain("LSTM").targets if s.target == "onnx"]
    projection = next(s for s in onnx if "projection" in s.when)
    assert projection.how == "rewritten"
    clipped = next(s for s in onnx if "cell_clip" in s.when)
    assert clipped.how == "stepped"


def test_every_class_that_is_converted_can_be_explained_by_its_name() -> None:
    explained_classes = [name for names in CLASSES.values() for name in names]
    assert sorted(explained_classes) == sorted(set(explained_classes))
    assert set(known_classes()) <= set(explained_classes)


def test_defaults_are_those_of_the_classes() -> None:
    classes = explain("LSTM").classes
    assert classes["BasicLSTMCell"]["forget_bias"].value == 1.0
    assert classes["CudnnCompatibleLSTMCell"]["forget_bias"].value == 0.0


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("LSTM", "LSTM"),
        ("lstm", "LSTM"),
        ("BasicLSTMCell", "LSTM"),
        ("basic_lstm_cell", "LSTM"),
        ("GRUCell", "GRU"),
        ("CudnnCompatibleGRUCell", "GRU"),
        ("CudnnLSTM", "LSTM"),
        ("nascell", "NAS"),
        ("CoupledInputForgetGateLSTMCell", "CoupledLSTM"),
    ],
)
def test_a_cell_is_found_by_its_kind_or_by_a_class(said: str, kind: str) -> None:
    assert kind_called(said) == kind


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UsageError) as caught:
        explain("GURCell")
    assert "GRUCell" in caught.value.advice
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="no cell called 'qqqqqq'"):
        explain("qqqqqq")


@pytest.mark.parametrize("kind", [*SAMPLES, *AROUND])
def test_the_text_fits_a_narrow_terminal_and_ends_no_line_in_blanks(kind: str) -> None:
    lines = explained.text(explain(kind)).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_frameworks_letters_stand_side_by_side() -> None:
    text = explained.text(explain("GRU"))
    for letters in ("r, u  (r, z)", "z, r, h  (z, r, c)", "r, z, n  (r, z, c)"):
        assert letters in text
    assert "has no such cell" in explained.text(explain("NAS"))


def test_the_listing_names_every_kind_and_its_classes() -> None:
    classes = {kind: classes_of(kind) for kind in kinds()}
    listing = explained.listing(kinds(), classes, not_converted())
    words = set(re.findall(r"\w+", listing))
    assert {*SAMPLES, *AROUND} <= words
    assert {name for names in classes.values() for name in names} <= words
    assert "PhasedLSTMCell: it takes two inputs" in listing
    assert max(map(len, listing.splitlines())) <= 80


def test_a_class_that_is_not_converted_is_answered_with_the_reason() -> None:
    with pytest.raises(CannotExpress, match="PhasedLSTMCell is not converted: it takes two"):
        explain("phased_lstm")


def test_a_highway_and_a_projection_are_explained_like_cells() -> None:
    highway = explain("HighwayWrapper")
    assert highway.step == {
        "t1": "sigmoid(x·carry_kernel + carry_bias)",
        "output": "x * t1 + inner * (1 - t1)",
    }
    assert (
        "sigmoid(x·transform_kernel + transform_bias)"
        in highway.options["transform gate"]["output"]
    )
    assert explain("OutputProjectionWrapper").step == {"output": "x·kernel + bias"}
    for name in AROUND:
        assert {s.how for s in explain(name).targets} == {"native"}


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_json_holds_what_the_text_says(kind: str) -> None:
    found = json.loads(json.dumps(explained.body(explain(kind)), allow_nan=False))
    assert found["cell"] == kind
    assert found["equations"]["output"]
    assert set(found["orders"]) == {"TensorFlow 1", "Keras", "PyTorch", "ONNX"}
    assert {s["target"] for s in found["targets"]} == set(CAPABILITIES)
    assert all(s["how"] for s in found["targets"])
