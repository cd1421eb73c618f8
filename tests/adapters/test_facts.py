"""Constants that weights do not show: given, assumed from the class, or a conflict."""

import math

import pytest

from lstmbridge.errors import CannotExpress, FactConflict, UsageError
from lstmbridge.model.facts import Basis


def _facts(found):
    return found.parts[0].model.layers[0].cell.facts


DEFAULTS = [
    ("rnn/basic_lstm_cell", "kernel bias", 1.0, None),
    ("rnn/lstm_cell", "kernel bias", 1.0, None),
    ("rnn/cudnn_compatible_lstm_cell", "kernel bias", 0.0, None),
    ("lstm_fused_cell", "kernel bias", 1.0, None),
    ("lstm_block_wrapper", "weights biases", 1.0, 3.0),
    ("LSTMBlockFusedCell", "W_0 B", 1.0, 3.0),
    ("RNN/LSTMBlockCell", "W b", 1.0, 3.0),
    ("RNN/LSTMCell", "W_0 B", 1.0, None),
]


@pytest.mark.parametrize(("scope", "names", "forget_bias", "clip"), DEFAULTS)
def test_what_nobody_states_is_the_default_of_class_and_release_and_assumed(
    see, scope, names, forget_bias, clip
):
    kernel, bias = names.split()
    facts = _facts(see({f"{scope}/{kernel}": (7, 8), f"{scope}/{bias}": (8,)}))
    assert facts["forget_bias"].value == forget_bias
    assert facts["forget_bias"].basis is Basis.ASSUMED
    assert facts["activation"].value == "tanh"
    assert facts["gate_activation"].value == "sigmoid"
    assert facts["cell_clip"].value == clip


def test_what_the_user_states_is_given_by_its_flag(see, lstm):
    shapes = lstm("rnn/lstm_cell", 5, 2, proj=3)
    found = see(
        shapes, forget_bias=0.5, activation="relu", cell_clip=0.3, proj_clip=0.2, cell="LSTMCell"
    )
    facts = _facts(found)
    for name, value, flag in [
        ("forget_bias", 0.5, "--forget-bias"),
        ("activation", "relu", "--activation"),
        ("cell_clip", 0.3, "--cell-clip"),
        ("proj_clip", 0.2, "--proj-clip"),
    ]:
        assert (facts[name].value, facts[name].basis, facts[name].where) == (
            value,
            Basis.GIVEN,
            flag,
        )
    assert found.parts[0].model.facts["cell"].basis is Basis.GIVEN


@pytest.mark.parametrize("cell", [None, "LSTMCell", "LSTMBlockCell"])
def test_a_clip_of_infinity_states_that_there_is_none(see, lstm, cell):
    fact = _facts(see(lstm("rnn/lstm_cell", 5, 2), cell=cell, cell_clip=math.inf))["cell_clip"]
    assert (fact.value, fact.basis) == (None, Basis.GIVEN)


@pytest.mark.parametrize("clip", [0.0, -1.0])
def test_the_block_cells_take_a_clip_of_zero_or_less_for_none(see, lstm, clip):
    """lstm_ops.cc clamps where cell_clip > 0."""
    for scope, cell in (("rnn/lstm_cell", "LSTMBlockCell"), ("lstm_block_fused_cell", None)):
        fact = _facts(see(lstm(scope, 5, 2), cell=cell, cell_clip=clip))["cell_clip"]
        assert (fact.value, fact.basis) == (None, Basis.GIVEN)


@pytest.mark.parametrize("option", ["cell_clip", "proj_clip"])
@pytest.mark.parametrize("clip", [0.0, -1.0])
def test_a_clip_that_leaves_nothing_of_a_state_is_refused(see, lstm, option, clip):
    """TensorFlow 1.15's LSTMCell clamps to 0, and to -1 sets all to 1."""
    with pytest.raises(UsageError, match=r"set each number of .* at every step") as caught:
        see(lstm("rnn/lstm_cell", 5, 4, proj=2), **{option: clip})
    assert f"--{option.replace('_', '-')} none" in caught.value.advice


def test_every_assumption_of_a_basic_lstm_cell_can_be_given(see, lstm):
    found = see(lstm("rnn/basic_lstm_cell", 5, 2), forget_bias=1.0, activation="tanh")
    assert not any(f.basis is Basis.ASSUMED for f in found.parts[0].model.all_facts.values())


def test_names_that_two_classes_share_are_said_once(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "lstm_cell", 5, [4, 4, 4])
    found = see(shapes)
    assert sum("LSTMBlockCell" in text for text in found.warnings) == 1
    assert found.parts[0].model.facts["cell"].basis is Basis.ASSUMED


@pytest.mark.parametrize(
    "hints", [{"cell": "LSTMCell"}, {"cell": "lstm_cell"}, {"cell_clip": math.inf}]
)
def test_a_stated_class_or_clip_settles_names_that_two_classes_share(see, lstm, hints):
    assert see(lstm("rnn/lstm_cell", 5, 2), **hints).warnings == ()


def test_a_projection_leaves_no_class_but_lstm_cell(see, lstm):
    found = see(lstm("rnn/lstm_cell", 5, 4, proj=2))
    assert found.warnings == ()
    assert found.parts[0].model.facts["cell"].basis is Basis.READ
    with pytest.raises(FactConflict, match="--cell LSTMBlockCell"):
        see(lstm("rnn/lstm_cell", 5, 4, proj=2), cell="LSTMBlockCell")


def test_the_block_cell_of_the_first_releases_clips_at_three(see):
    shapes = {"rnn/lstm_cell/weights": (7, 8), "rnn/lstm_cell/biases": (8,)}
    fact = _facts(see(shapes, cell="LSTMBlockCell"))["cell_clip"]
    assert (fact.value, fact.basis) == (3.0, Basis.ASSUMED)
    assert _facts(see(shapes))["cell_clip"].value is None


def test_the_block_cell_of_later_releases_is_not_clipped_and_the_doubt_is_said(see, lstm):
    found = see(lstm("rnn/lstm_cell", 5, 2), cell="LSTMBlockCell")
    assert _facts(found)["cell_clip"].value is None
    assert any("--cell-clip 3" in text for text in found.warnings)
    clipped = see(lstm("rnn/lstm_cell", 5, 2), cell="LSTMBlockCell", cell_clip=3.0)
    assert _facts(clipped)["cell_clip"].value == 3.0
    assert clipped.warnings == ()


def test_a_class_that_clear_names_contradict_is_a_conflict(see, lstm):
    with pytest.raises(FactConflict, match="BasicLSTMCell"):
        see(lstm("rnn/basic_lstm_cell", 5, 2), cell="LSTMBlockCell")
    assert see(lstm("rnn/basic_lstm_cell", 5, 2), cell="BasicLSTMCell").parts


def test_an_option_that_the_class_has_not_is_a_conflict(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    with pytest.raises(FactConflict, match="no such option"):
        see(shapes, cell_clip=3.0)
    with pytest.raises(FactConflict, match="no projection"):
        see(lstm("rnn/lstm_cell", 5, 2), proj_clip=3.0)
    with pytest.raises(FactConflict, match="--activation relu"):
        see(lstm("rnn/cudnn_compatible_lstm_cell", 5, 2), activation="relu")


def test_an_option_is_taken_by_the_stack_whose_class_has_it(see, lstm):
    shapes = lstm("a/rnn/basic_lstm_cell", 5, 2) | lstm("b/rnn/lstm_cell", 5, 2)
    parts = {part.name: part for part in see(shapes, cell_clip=3.0).parts}
    assert parts["a/rnn"].model.layers[0].cell.cell_clip.value is None
    assert parts["b/rnn"].model.layers[0].cell.cell_clip.value == 3.0


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ({"forget_bias": math.nan}, "--forget-bias"),
        ({"cell_clip": -math.inf}, "--cell-clip"),
        ({"proj_clip": math.nan}, "--proj-clip"),
        ({"activation": "tahn"}, "did you mean tanh"),
        ({"cell": "BasicLSTMCel"}, "did you mean BasicLSTMCell"),
        ({"layers": 0}, "--layers"),
    ],
)
def test_a_hint_that_makes_no_sense_is_a_usage_error(see, lstm, hints, said):
    with pytest.raises(UsageError, match=said):
        see(lstm("rnn/lstm_cell", 5, 2), **hints)


def test_a_class_that_is_known_and_not_converted_is_refused_by_name(see, lstm):
    with pytest.raises(CannotExpress, match="PhasedLSTMCell"):
        see(lstm("rnn/multi_rnn_cell/cell_0/mine", 5, 2), cell="PhasedLSTMCell")


FIXED = [
    ("rnn/cudnn_compatible_lstm_cell", {"activation": "tanh"}),
    ("rnn/basic_lstm_cell", {"cell_clip": 0.0}),
    ("rnn/basic_lstm_cell", {"cell_clip": -1.0, "proj_clip": 0.0}),
]


@pytest.mark.parametrize(("scope", "hints"), FIXED)
def test_a_statement_of_what_the_class_always_has_is_no_conflict(see, lstm, scope, hints):
    facts = _facts(see(lstm(scope, 5, 2), **hints))
    assert facts["activation"].value == "tanh"
    assert facts["cell_clip"].value is None
    assert {facts[name].basis for name in hints} == {Basis.READ}


def test_a_conflict_says_what_the_class_has(see, lstm):
    with pytest.raises(FactConflict, match="it has tanh"):
        see(lstm("rnn/cudnn_compatible_lstm_cell", 5, 2), activation="relu")
