"""How scopes become blocks, and where they prove nothing."""

import pytest

from lstmbridge.errors import FactConflict, NotRecognised, UsageError
from lstmbridge.model.blocks import Bidirectional, Recurrent, Residual, Sequence


def test_one_layer_in_each_direction_is_a_bidirectional(see, lstm):
    shapes = lstm("a/bidirectional_rnn/fw/lstm_cell", 5, 2)
    shapes |= lstm("a/bidirectional_rnn/bw/lstm_cell", 5, 3)
    [part] = see(shapes).parts
    assert part.name == "a/bidirectional_rnn"
    assert isinstance(part.model.root, Bidirectional)
    assert part.model.output_size == 5
    assert part.variables["layer_bw0"][0] == "a/bidirectional_rnn/bw/lstm_cell/kernel"


def test_the_oldest_release_wrote_directions_in_capitals(see):
    shapes = {}
    for way in ("FW", "BW"):
        shapes |= {f"BiRNN/{way}/LSTMCell/W_0": (7, 8), f"BiRNN/{way}/LSTMCell/B": (8,)}
    [part] = see(shapes).parts
    assert part.name == "BiRNN"
    assert [layer.name for layer in part.model.layers] == ["layer_fw0", "layer_bw0"]


def test_a_multi_rnn_cell_in_each_direction_is_two_stacks_that_see_one_direction_each(see, stack):
    shapes = stack("bidirectional_rnn/fw/multi_rnn_cell", "lstm_cell", 3, [5, 5])
    shapes |= stack("bidirectional_rnn/bw/multi_rnn_cell", "lstm_cell", 3, [5, 5])
    root = see(shapes).parts[0].model.root
    assert isinstance(root, Bidirectional)
    assert isinstance(root.forward, Sequence)
    assert isinstance(root.backward, Sequence)


@pytest.mark.parametrize("middle", ["bidirectional_rnn/", ""])
def test_stacked_bidirectional_layers_see_both_directions_of_the_one_below(see, lstm, middle):
    shapes = {}
    for k, inputs in enumerate([3, 10, 10]):
        for way in ("fw", "bw"):
            shapes |= lstm(f"stack_bidirectional_rnn/cell_{k}/{middle}{way}/lstm_cell", inputs, 5)
    [part] = see(shapes, cell="LSTMCell").parts
    assert part.name == "stack_bidirectional_rnn"
    assert isinstance(part.model.root, Sequence)
    assert all(isinstance(block, Bidirectional) for block in part.model.root.blocks)
    assert [layer.name for layer in part.model.layers] == [
        *("layer_fw0", "layer_bw0", "layer_fw1", "layer_bw1", "layer_fw2", "layer_bw2")
    ]


def test_a_stack_of_pairs_in_a_scope_of_the_users_is_taken_aloud(see, lstm):
    shapes = {}
    for k, inputs in enumerate([3, 10]):
        for way in ("fw", "bw"):
            shapes |= lstm(f"net/cell_{k}/bidirectional_rnn/{way}/basic_lstm_cell", inputs, 5)
    found = see(shapes)
    assert [part.name for part in found.parts] == ["net"]
    assert any("taken for bidirectional layers of one stack" in text for text in found.warnings)


def test_bidirectional_layers_in_scopes_of_the_users_are_never_joined(see, lstm):
    shapes = {}
    for k, inputs in enumerate([3, 10]):
        for way in ("fw", "bw"):
            shapes |= lstm(f"layer_{k}/bidirectional_rnn/{way}/basic_lstm_cell", inputs, 5)
    names = [part.name for part in see(shapes).parts]
    assert names == ["layer_0/bidirectional_rnn", "layer_1/bidirectional_rnn"]


def test_directions_that_hold_loops_of_their_own_are_never_joined(see, lstm):
    shapes = lstm("fw/rnn/basic_lstm_cell", 3, 5) | lstm("bw/rnn/basic_lstm_cell", 3, 5)
    assert [part.name for part in see(shapes).parts] == ["bw/rnn", "fw/rnn"]


def test_directions_in_a_scope_of_the_users_are_joined_aloud(see, lstm):
    shapes = lstm("ENC_RNN/fw/lstm_cell", 3, 5) | lstm("ENC_RNN/bw/lstm_cell", 3, 5)
    found = see(shapes)
    assert isinstance(found.parts[0].model.root, Bidirectional)
    assert any("two directions" in text for text in found.warnings)


def test_layers_with_a_loop_each_are_not_a_multi_rnn_cell_whatever_its_scope_says(see, lstm):
    shapes = {}
    for k in range(2):
        shapes |= lstm(f"RNN_0/RNN/MultiRNNCell/Cell{k}/rnn/lstm_cell", 9, 14, proj=9)
    names = [part.name for part in see(shapes).parts]
    assert names == [f"RNN_0/RNN/MultiRNNCell/Cell{k}/rnn" for k in range(2)]


def test_a_stack_of_stacks_is_one_stack(see, stack):
    shapes = stack("rnn/multi_rnn_cell/cell_0/multi_rnn_cell", "lstm_cell", 5, [4, 3])
    shapes |= stack("rnn/multi_rnn_cell/cell_1/multi_rnn_cell", "lstm_cell", 3, [2])
    [part] = see(shapes).parts
    assert [layer.cell.units for layer in part.model.layers] == [4, 3, 2]


def test_a_scope_that_was_written_twice_is_one_layer(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/cell_0/basic_lstm_cell", 5, 2)
    shapes |= lstm("rnn/multi_rnn_cell/cell_1/cell_1/basic_lstm_cell", 2, 2)
    [part] = see(shapes).parts
    assert len(part.model.layers) == 2


def test_several_stacks_are_all_listed_under_their_scopes(see, stack, lstm):
    shapes = stack("encoder/rnn/multi_rnn_cell", "basic_lstm_cell", 5, [6, 6])
    shapes |= stack("decoder/rnn/multi_rnn_cell", "basic_lstm_cell", 4, [6])
    shapes |= lstm("rnn/basic_lstm_cell", 3, 2) | lstm("rnn/basic_lstm_cell_1", 3, 2)
    names = {part.name for part in see(shapes).parts}
    assert names == {
        "encoder/rnn",
        "decoder/rnn",
        "rnn/basic_lstm_cell",
        "rnn/basic_lstm_cell_1",
    }


@pytest.mark.parametrize(
    "select", ["encoder/rnn", "encoder", "encoder/rnn/multi_rnn_cell", "encoder/rnn/"]
)
def test_select_takes_the_name_or_a_scope_around_or_inside_it(see, stack, select):
    shapes = stack("encoder/rnn/multi_rnn_cell", "basic_lstm_cell", 5, [6, 6])
    shapes |= stack("decoder/rnn/multi_rnn_cell", "basic_lstm_cell", 4, [6])
    assert [part.name for part in see(shapes, select=select).parts] == ["encoder/rnn"]


def test_an_unknown_selection_is_answered_with_the_near_names(see, stack):
    shapes = stack("encoder/rnn/multi_rnn_cell", "basic_lstm_cell", 5, [6, 6])
    with pytest.raises(UsageError, match="encoder/rnn"):
        see(shapes, select="encodr/rnn")


def test_layers_that_do_not_chain_are_an_error_that_names_both_kernels(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 5, 2)
    shapes |= lstm("rnn/multi_rnn_cell/cell_1/basic_lstm_cell", 3, 2)
    with pytest.raises(NotRecognised) as caught:
        see(shapes)
    assert "cell_0/basic_lstm_cell/kernel (7, 8)" in str(caught.value)
    assert "cell_1/basic_lstm_cell/kernel (5, 8)" in str(caught.value)


def test_stacked_bidirectional_layers_that_do_not_chain_are_an_error(see, lstm):
    shapes = {}
    for k, inputs in enumerate([3, 5]):
        for way in ("fw", "bw"):
            scope = f"stack_bidirectional_rnn/cell_{k}/bidirectional_rnn/{way}/lstm_cell"
            shapes |= lstm(scope, inputs, 5)
    with pytest.raises(NotRecognised, match="do not chain"):
        see(shapes)


def test_a_missing_layer_is_an_error_that_names_it(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 5, 2)
    shapes |= lstm("rnn/multi_rnn_cell/cell_2/basic_lstm_cell", 2, 2)
    with pytest.raises(NotRecognised, match="cell_1 is missing"):
        see(shapes)


@pytest.mark.parametrize("way", ["fw", "bw"])
def test_a_missing_direction_is_an_error_that_names_it(see, lstm, way):
    other = {"fw": "bw", "bw": "fw"}[way]
    with pytest.raises(NotRecognised, match=f"{other} is missing"):
        see(lstm(f"bidirectional_rnn/{way}/basic_lstm_cell", 5, 2))


def test_directions_that_take_different_inputs_are_an_error(see, lstm):
    shapes = lstm("bidirectional_rnn/fw/lstm_cell", 5, 2)
    shapes |= lstm("bidirectional_rnn/bw/lstm_cell", 4, 2)
    with pytest.raises(NotRecognised, match="different sizes"):
        see(shapes)


def test_one_stored_cell_becomes_as_many_layers_as_given_and_they_share_it(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 4, [4])
    model = see(shapes, layers=3).parts[0].model
    assert len(model.layers) == 3
    assert len({id(layer.cell) for layer in model.layers}) == 1
    assert model.facts["shared_cell"].basis == "given"


def test_a_lone_cell_as_wide_as_its_input_may_be_shared_and_that_is_said(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 4, [4])
    assert any("--layers" in text for text in see(shapes).warnings)
    assert not any("--layers" in text for text in see(shapes, layers=1).warnings)
    other = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4])
    assert not any("--layers" in text for text in see(other).warnings)


@pytest.mark.parametrize(("inputs", "units"), [(4, [4]), (5, [4, 4]), (5, [4, 3, 3])])
def test_that_a_last_layer_is_not_applied_again_is_assumed_where_it_could_be(
    see, stack, inputs, units
):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", inputs, units)
    fact = see(shapes).parts[0].model.facts["shared_cell"]
    assert (fact.value, fact.basis) == (False, "assumed")
    assert f"cell_{len(units) - 1}" in fact.where
    stated = see(shapes, layers=len(units)).parts[0].model.facts["shared_cell"]
    assert (stated.value, stated.basis) == (False, "given")


@pytest.mark.parametrize(("inputs", "units"), [(5, [4]), (4, [4, 3])])
def test_where_no_layer_could_follow_the_last_nothing_is_assumed(see, stack, inputs, units):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", inputs, units)
    assert "shared_cell" not in see(shapes).parts[0].model.facts


def test_the_first_releases_never_shared_a_kernel_so_nothing_is_said(see):
    scope = "rnn/multi_rnn_cell/cell_0/basic_lstm_cell"
    found = see({f"{scope}/weights": (8, 16), f"{scope}/biases": (16,)})
    assert not any("--layers" in text for text in found.warnings)


def test_a_cell_that_cannot_follow_itself_is_not_shared(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4])
    with pytest.raises(FactConflict, match="takes 5 features"):
        see(shapes, layers=3)


def test_a_number_of_layers_that_the_names_contradict_is_a_conflict(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 4, [4, 4])
    assert len(see(shapes, layers=2).parts[0].model.layers) == 2
    with pytest.raises(FactConflict, match="stores 2 layers"):
        see(shapes, layers=3)


def test_a_residual_wraps_each_layer_as_wide_as_its_input_and_no_other(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 4, 3])
    [part] = see(shapes, residual=True).parts
    kinds = [type(block) for block in part.model.root.blocks]
    assert kinds == [Recurrent, Residual, Recurrent]
    assert part.model.facts["residual"].basis == "given"


def test_the_absence_of_a_residual_is_an_assumption_where_there_could_be_one(see, stack):
    wide = see(stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 4]))
    assert wide.parts[0].model.facts["residual"].basis == "assumed"
    narrow = see(stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 3]))
    assert "residual" not in narrow.parts[0].model.facts


def test_a_residual_that_no_layer_could_have_is_a_conflict(see, stack):
    with pytest.raises(FactConflict, match="--residual"):
        see(stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 3]), residual=True)
