"""What is known by name and not converted, and what is not known at all."""

import pytest

from lstmbridge.adapters import TensorFlow1Adapter
from lstmbridge.adapters.parts import build_part
from lstmbridge.contracts import Hints, NoMatch
from lstmbridge.errors import CannotExpress, FactConflict, NotRecognised

CLASSES = [
    ("PhasedLSTMCell", "rnn/phased_lstm_cell", {"mask_gates/kernel": (8, 10), "period": (5,)}),
    ("GridLSTMCell", "rnn/grid_lstm_cell", {"W_f_0_0": (11, 20), "B_f_0": (20,)}),
    ("GridLSTMCell", "rnn/bidirectional_grid_lstm_cell", {"fwd/W_f_0_0": (11, 20)}),
    ("TimeFreqLSTMCell", "RNN/TimeFreqLSTMCell", {"W_0": (17, 24), "B": (24,)}),
    ("ConvLSTMCell", "rnn/conv_lstm_cell", {"kernel": (3, 3, 7, 16), "biases": (16,)}),
    ("SRUCell", "rnn/sru_cell", {"kernel": (5, 20), "bias": (10,)}),
    ("CFNCell", "rnn/cfn_cell", {"kernel": (5, 18), "recurrent_kernel": (6, 12), "bias": (12,)}),
    ("MinimalRNNCell", "rnn/minimal_rnn_cell", {"kernel": (17, 6), "bias": (6,)}),
    ("IndRNNCell", "rnn/ind_rnn_cell", {"kernel_w": (5, 8), "kernel_u": (1, 8), "bias": (8,)}),
    (
        "WeightNormLSTMCell",
        "rnn/wn_lstm_cell/wn_lstm_cell",
        {"kernel": (11, 24), "norm_0": (24,), "norm_1": (24,), "bias": (24,)},
    ),
    (
        "LayerNormLSTMCell",
        "rnn/layer_norm_lstm_cell",
        {"kernel": (11, 24), "bias": (24,), "input/gamma": (6,)},
    ),
    (
        "CoupledInputForgetGateLSTMCell with layer_norm",
        "rnn/coupled_input_forget_gate_lstm_cell",
        {"W_0": (9, 18), "B": (18,), "transform/gamma": (6,), "transform/beta": (6,)},
    ),
    ("cuDNN", "cudnn_gru", {"opaque_kernel": (90,)}),
    ("Keras", "lstm", {"kernel": (3, 24), "recurrent_kernel": (6, 24), "bias": (24,)}),
    ("Keras", "lstm/lstm_cell", {"kernel": (3, 24), "recurrent_kernel": (6, 24), "bias": (24,)}),
]


@pytest.mark.parametrize(("name", "scope", "variables"), CLASSES)
def test_other_cells_are_refused_by_the_name_of_their_class(see, name, scope, variables):
    with pytest.raises(CannotExpress) as caught:
        see({f"{scope}/{variable}": shape for variable, shape in variables.items()})
    assert name in caught.value.read
    assert scope in caught.value.read


def test_a_refusal_says_why(see):
    with pytest.raises(CannotExpress, match="the time of each step"):
        see({"rnn/phased_lstm_cell/period": (5,)})


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("PhasedLSTMCell", {"mask_gates/kernel": (9, 12), "period": (6,)}),
        ("IndyLSTMCell or IndRNNCell", {"kernel_w": (5, 8), "kernel_u": (1, 8), "bias": (8,)}),
    ],
)
def test_a_cell_under_a_name_of_its_own_is_refused_by_its_variables(see, name, variables):
    scope = "rnn/multi_rnn_cell/cell_0/encoder"
    with pytest.raises(CannotExpress, match=name):
        see({f"{scope}/{variable}": shape for variable, shape in variables.items()})


def test_a_stack_with_one_other_cell_is_refused_whole(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 5, 6)
    shapes["rnn/multi_rnn_cell/cell_1/phased_lstm_cell/period"] = (6,)
    with pytest.raises(CannotExpress, match="PhasedLSTMCell"):
        see(shapes)


def test_what_is_refused_beside_a_stack_is_listed_and_warned_of(see, lstm):
    shapes = lstm("encoder/rnn/basic_lstm_cell", 5, 6)
    shapes["decoder/rnn/phased_lstm_cell/period"] = (6,)
    found = see(shapes)
    assert [part.name for part in found.parts] == ["encoder/rnn"]
    assert [refusal.where for refusal in found.refusals] == ["decoder/rnn"]
    assert any("decoder/rnn is not converted" in text for text in found.warnings)
    with pytest.raises(CannotExpress, match="PhasedLSTMCell"):
        see(shapes, select="decoder/rnn")
    assert see(shapes, select="encoder/rnn").warnings == ()


WRAPPERS = [
    (
        "AttentionCellWrapper",
        "rnn/attention_cell_wrapper/basic_lstm_cell",
        {"rnn/attention_cell_wrapper/attention/attn_w": (1, 1, 4, 4)},
    ),
    (
        "AttentionWrapper",
        "decoder/attention/multi_rnn_cell/cell_0/basic_lstm_cell",
        {"decoder/attention/attention_layer/kernel": (8, 4)},
    ),
    (
        "AttentionWrapper",
        "decoder/attention_wrapper/basic_lstm_cell",
        {"decoder/attention_wrapper/bahdanau_attention/attention_v": (4,)},
    ),
    (
        "AttentionWrapper",
        "decoder/multi_rnn_cell/cell_0_attention/attention/basic_lstm_cell",
        {
            "decoder/multi_rnn_cell/cell_0_attention/attention/luong_attention/attention_g": (),
            "decoder/multi_rnn_cell/cell_1/basic_lstm_cell/kernel": (8, 16),
            "decoder/multi_rnn_cell/cell_1/basic_lstm_cell/bias": (16,),
        },
    ),
    (
        "legacy_seq2seq",
        "decoder/attention_decoder/lstm_cell",
        {"decoder/attention_decoder/AttnW_0": (1, 1, 4, 4)},
    ),
    (
        "NTMCell",
        "rnn/ntm_cell/basic_lstm_cell",
        {"rnn/ntm_cell/parameters_kernel": (4, 28), "rnn/ntm_cell/parameters_bias": (28,)},
    ),
    (
        "grid_rnn",
        "rnn/Grid2LSTMCell/recurrent/cell_0/lstm_cell",
        {"rnn/Grid2LSTMCell/project_m_0": (5, 4)},
    ),
]


@pytest.mark.parametrize(("name", "cell", "variables"), WRAPPERS)
def test_wrappers_that_change_the_outputs_are_refused_by_name(see, lstm, name, cell, variables):
    shapes = lstm(cell, 4, 4) | variables
    with pytest.raises(CannotExpress) as caught:
        see(shapes)
    assert name in caught.value.read


def test_an_embedding_wrapper_leaves_the_stack_right_and_is_said(see, lstm):
    shapes = lstm("rnn/embedding_wrapper/basic_lstm_cell", 4, 6)
    shapes["rnn/embedding_wrapper/embedding"] = (11, 4)
    found = see(shapes)
    assert found.parts[0].model.input_size == 4
    assert any("embedded" in text for text in found.warnings)


def test_unknown_variables_inside_the_loop_are_refused_by_their_names(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 5, 4)
    shapes["rnn/multi_rnn_cell/cell_0/zoneout/p"] = (4,)
    with pytest.raises(CannotExpress, match="zoneout/p"):
        see(shapes)


def test_unknown_variables_in_the_cells_scope_are_refused_by_their_names(see, lstm):
    shapes = lstm("rnn/lstm_cell", 5, 4) | {"rnn/lstm_cell/norm/gamma": (4,)}
    with pytest.raises(NotRecognised, match="norm/gamma"):
        see(shapes)


def test_attention_over_the_outputs_in_another_scope_is_no_wrapper(see, lstm):
    shapes = lstm("net/bidirectional_rnn/fw/basic_lstm_cell", 5, 4)
    shapes |= lstm("net/bidirectional_rnn/bw/basic_lstm_cell", 5, 4)
    shapes |= {"net/attention/dense/kernel": (8, 16), "attention_w": (8,)}
    assert len(see(shapes).parts) == 1


def test_other_layers_in_a_loops_own_scope_are_said(see, lstm):
    shapes = lstm("net/RNN/basic_lstm_cell", 5, 4) | {"net/RNN/output_w": (4, 9)}
    found = see(shapes)
    assert len(found.parts) == 1
    assert any("output_w" in text for text in found.warnings)


def test_a_class_of_the_models_own_with_a_known_name_is_refused(see):
    scope = "vector_rnn/RNN/LSTMCell"
    with pytest.raises(NotRecognised, match="W_xh"):
        see({f"{scope}/W_xh": (10, 44), f"{scope}/W_hh": (11, 44), f"{scope}/bias": (44,)})


def test_nothing_recurrent_is_told_with_what_was_seen(source):
    shapes = {"dense/kernel": (4, 8), "dense/bias": (8,), "net/core/kernel": (7, 8)}
    shapes["net/core/bias"] = (8,)
    answer = TensorFlow1Adapter().recognise(source(shapes), Hints())
    assert isinstance(answer, NoMatch)
    assert "dense/kernel (4, 8)" in answer.reason
    assert "--select net/core" in answer.reason


def test_the_front_door_raises_where_nothing_recurrent_is(see):
    with pytest.raises(NotRecognised, match="no recurrent layer"):
        see({"dense/kernel": (4, 8)})
    with pytest.raises(NotRecognised, match="no variable at all"):
        see({})


def test_an_object_based_checkpoint_is_named_as_one(see):
    with pytest.raises(NotRecognised, match="object-based"):
        see({"layer_with_weights-0/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE": (3, 24)})


@pytest.fixture
def two_of_which_one_conflicts(lstm, monkeypatch):
    """Shapes of two stacks; no model can be built of the second."""

    def build(draft, name, known):
        if name.startswith("bad"):
            raise FactConflict("the graph says 1.0 and you say 0.0", where=name)
        return build_part(draft, name, known)

    monkeypatch.setattr("lstmbridge.adapters.adapter.build_part", build)
    return {**lstm("good/rnn/lstm_cell", 3, 4), **lstm("bad/rnn/lstm_cell", 3, 4)}


@pytest.mark.parametrize("how", ["declared", "asked for"])
def test_in_a_whole_model_a_stack_that_is_refused_leaves_the_others(
    how, source, two_of_which_one_conflicts
):
    whole = source(two_of_which_one_conflicts, declares_model=how == "declared")
    hints = Hints(outputs=() if how == "declared" else ("logits",))
    found = TensorFlow1Adapter().recognise(whole, hints)
    assert [part.name for part in found.parts] == ["good/rnn"]
    assert [refusal.where for refusal in found.refusals] == ["bad/rnn"]
    assert any("bad/rnn is not converted: the graph says 1.0" in w for w in found.warnings)


def test_of_weights_alone_a_stack_that_is_refused_is_an_error(see, two_of_which_one_conflicts):
    with pytest.raises(FactConflict, match="you say 0"):
        see(two_of_which_one_conflicts)


def test_in_a_whole_model_whose_stacks_are_all_refused_the_refusal_is_an_error(
    source, two_of_which_one_conflicts
):
    bad = {k: v for k, v in two_of_which_one_conflicts.items() if k.startswith("bad")}
    with pytest.raises(FactConflict):
        TensorFlow1Adapter().recognise(source(bad, declares_model=True), Hints())
