"""Wrappers that leave variables: highways and projections inside the loop, in every era."""

import numpy as np
import pytest

from lstmbridge.errors import CannotExpress, FactMissing, NotRecognised
from lstmbridge.model.blocks import Dense, Highway, Recurrent, Residual, Sequence
from lstmbridge.model.facts import Basis

W = 4


def _highway(scope, width=W, *, coupled=True):
    names = ("carry",) if coupled else ("carry", "transform")
    prefix = f"{scope}/" if scope else ""
    return {f"{prefix}{n}_w": (width, width) for n in names} | {
        f"{prefix}{n}_b": (width,) for n in names
    }


def _dense(scope, rows, columns, era="kernel bias"):
    kernel, bias = era.split()
    return {f"{scope}/{kernel}": (rows, columns), f"{scope}/{bias}": (columns,)}


def _shape(block):
    """A block as nested names."""
    if isinstance(block, Sequence):
        return [_shape(inner) for inner in block.blocks]
    if isinstance(block, Residual | Highway):
        return (type(block).__name__.lower(), _shape(block.inner))
    return "dense" if isinstance(block, Dense) else type(block.cell).__name__


def _root(found):
    [part] = found.parts
    return _shape(part.model.root)


OLD, FIRST, NEW = "Linear/Matrix Linear/Bias", "weights biases", "kernel bias"


def test_a_highway_lies_beside_the_cell_that_it_is_around(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", W, W) | _highway("rnn")
    found = see(shapes)
    assert _root(found) == ("highway", "LSTM")
    [part] = found.parts
    assert part.name == "rnn"
    assert set(part.variables["highway0"]) == {"rnn/carry_w", "rnn/carry_b"}
    assert found.ignored == ()
    assert part.model.attachments[0].block.transform_kernel is None


def test_gates_of_a_highway_may_be_two(see, lstm):
    shapes = lstm("rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 3, W)
    shapes |= lstm("rnn/multi_rnn_cell/cell_1/basic_lstm_cell", W, W)
    shapes |= _highway("rnn/multi_rnn_cell/cell_1", coupled=False)
    found = see(shapes)
    assert _root(found) == ["LSTM", ("highway", "LSTM")]
    [highway] = found.parts[0].model.attachments
    assert highway.block.transform_kernel.name.endswith("cell_1/transform_w")
    assert len(found.parts[0].variables["highway0"]) == 4


def test_a_highway_around_a_whole_stack_is_around_the_whole(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", W, [5, W]) | _highway("rnn")
    assert _root(see(shapes)) == ("highway", ["LSTM", "LSTM"])


@pytest.mark.parametrize(
    ("cell", "scope", "era"),
    [
        ("RNN/BasicLSTMCell", "RNN/OutputProjectionWrapper", OLD),
        ("rnn/basic_lstm_cell", "rnn/output_projection_wrapper", FIRST),
        ("rnn/output_projection_wrapper/basic_lstm_cell", "rnn/output_projection_wrapper", NEW),
    ],
)
def test_an_output_projection_follows_the_cell(see, lstm, cell, scope, era):
    found = see(lstm(cell, 3, W) | _dense(scope, W, 7, era))
    [part] = found.parts
    assert _shape(part.model.root) == ["LSTM", "dense"]
    assert (part.model.input_size, part.model.output_size) == (3, 7)
    assert part.name == scope.partition("/")[0]
    fact = part.model.facts["dense0.activation"]
    assert (fact.value, fact.basis) == ("linear", Basis.ASSUMED)
    assert found.ignored == ()


@pytest.mark.parametrize(
    ("cell", "scope", "era"),
    [
        ("RNN/BasicLSTMCell", "RNN/InputProjectionWrapper", OLD),
        ("rnn/basic_lstm_cell", "rnn/input_projection_wrapper", FIRST),
        ("rnn/input_projection_wrapper/basic_lstm_cell", "rnn/input_projection_wrapper", NEW),
    ],
)
def test_an_input_projection_goes_before_the_cell(see, lstm, cell, scope, era):
    found = see(lstm(cell, 3, W) | _dense(scope, 7, 3, era))
    assert _root(found) == ["dense", "LSTM"]
    assert found.parts[0].model.input_size == 7


@pytest.mark.parametrize(
    ("outer", "inner", "era"),
    [
        ("RNN/OutputProjectionWrapper", "RNN/InputProjectionWrapper", OLD),
        (
            "rnn/output_projection_wrapper",
            "rnn/output_projection_wrapper/input_projection_wrapper",
            NEW,
        ),
    ],
)
def test_projections_on_both_sides_are_both_converted(see, lstm, outer, inner, era):
    cell = "RNN/BasicLSTMCell" if era == OLD else f"{inner}/basic_lstm_cell"
    shapes = lstm(cell, 3, W) | _dense(inner, 7, 3, era) | _dense(outer, W, 2, era)
    found = see(shapes)
    assert _root(found) == ["dense", "LSTM", "dense"]
    model = found.parts[0].model
    assert (model.input_size, model.output_size) == (7, 2)
    assert found.parts[0].variables["dense1"] == tuple(_dense(outer, W, 2, era))


def test_projections_around_a_stack_and_around_its_layers_stand_where_they_were(see, lstm):
    stack = "rnn/output_projection_wrapper/multi_rnn_cell"
    shapes = lstm(f"{stack}/cell_0/output_projection_wrapper/basic_lstm_cell", 3, W)
    shapes |= _dense(f"{stack}/cell_0/output_projection_wrapper", W, 6)
    shapes |= lstm(f"{stack}/cell_1/input_projection_wrapper/basic_lstm_cell", 2, W)
    shapes |= _dense(f"{stack}/cell_1/input_projection_wrapper", 6, 2)
    shapes |= _dense("rnn/output_projection_wrapper", W, 9)
    assert _root(see(shapes)) == ["LSTM", "dense", "dense", "LSTM", "dense"]


@pytest.mark.parametrize("outer", ["highway", "projection"])
def test_scopes_say_which_of_two_wrappers_is_the_inner_one(see, lstm, outer):
    scope = "rnn/output_projection_wrapper"
    shapes = lstm(f"{scope}/basic_lstm_cell", W, W) | _dense(scope, W, W)
    shapes |= _highway("rnn" if outer == "highway" else scope)
    wanted = (
        ("highway", ["LSTM", "dense"]) if outer == "highway" else [("highway", "LSTM"), "dense"]
    )
    assert _root(see(shapes)) == wanted


def test_where_no_scope_says_which_wrapper_is_the_inner_one_nothing_is_converted(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", W, W, bias="bias")
    shapes |= _dense("rnn/output_projection_wrapper", W, W) | _highway("rnn")
    with pytest.raises(CannotExpress, match="HighwayWrapper"):
        see(shapes)


def test_directions_have_wrappers_of_their_own(see, lstm):
    shapes = lstm("bidirectional_rnn/fw/basic_lstm_cell", W, W)
    shapes |= lstm("bidirectional_rnn/bw/output_projection_wrapper/lstm_cell", W, 5)
    shapes |= _highway("bidirectional_rnn/fw")
    shapes |= _dense("bidirectional_rnn/bw/output_projection_wrapper", 5, 3)
    [part] = see(shapes).parts
    assert _shape(part.model.root.forward) == ("highway", "LSTM")
    assert _shape(part.model.root.backward) == ["LSTM", "dense"]
    assert {"highway_fw0", "dense_bw0"} <= set(part.variables)


def test_wrappers_that_do_not_fit_around_the_cell_are_named(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 3, W) | _highway("rnn")
    with pytest.raises(NotRecognised, match="carry_b"):
        see(shapes)
    scope = "rnn/output_projection_wrapper"
    with pytest.raises(NotRecognised, match="OutputProjectionWrapper"):
        see(lstm(f"{scope}/basic_lstm_cell", 3, W) | _dense(scope, 5, 2))


def test_a_highway_that_lies_around_two_stacks_or_none_is_refused(see, lstm):
    shapes = lstm("RNN/cell_a/basic_lstm_cell", W, W) | lstm("RNN/cell_b/basic_lstm_cell", W, W)
    with pytest.raises(CannotExpress, match="HighwayWrapper"):
        see(shapes | _highway("RNN"))
    with pytest.raises(CannotExpress, match="HighwayWrapper"):
        see(lstm("rnn/basic_lstm_cell", W, W) | {"rnn/carry_w": (W, W)})


def test_a_highway_network_outside_of_the_loop_is_no_wrapper(see, lstm):
    found = see(lstm("net/rnn/basic_lstm_cell", W, W) | _highway("net"))
    assert _root(found) == "LSTM"
    assert {ignored.name for ignored in found.ignored} == {"net/carry_w", "net/carry_b"}


def test_a_highway_in_a_scope_of_the_users_own_is_taken_and_said(see, lstm):
    found = see(lstm("decoder/basic_lstm_cell", W, W) | _highway("decoder"))
    assert _root(found) == ("highway", "LSTM")
    assert any("taken for HighwayWrapper" in text for text in found.warnings)


def test_names_do_not_say_where_a_residual_is_beside_another_wrapper(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", W, W) | _highway("rnn")
    with pytest.raises(FactMissing, match="HighwayWrapper"):
        see(shapes, residual=True)
    assert _root(see(shapes, residual=False)) == ("highway", "LSTM")


def test_slots_of_wrappers_variables_are_no_part_of_them(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", W, W) | _highway("rnn")
    slots = {f"{n}/{slot}": s for n, s in shapes.items() for slot in ("Adam", "Adam_1")}
    found = see(shapes | slots)
    assert _root(found) == ("highway", "LSTM")
    assert {ignored.name for ignored in found.ignored} == set(slots)


def test_a_wrapped_cell_under_an_embedding_is_converted_without_the_embedding(see, lstm):
    scope = "rnn/output_projection_wrapper/embedding_wrapper"
    shapes = lstm(f"{scope}/basic_lstm_cell", 3, W) | {f"{scope}/embedding": (9, 3)}
    found = see(shapes | _dense("rnn/output_projection_wrapper", W, 2))
    assert _root(found) == ["LSTM", "dense"]
    assert any("embedded" in text for text in found.warnings)


def test_reading_the_structure_reads_no_numbers(see, lstm):
    [part] = see(lstm("rnn/basic_lstm_cell", W, W) | _highway("rnn")).parts
    block = part.model.root
    assert isinstance(block, Highway)
    assert isinstance(block.inner, Recurrent)
    with pytest.raises(AssertionError, match="read the numbers"):
        np.asarray(block.carry_kernel.load())
