"""--map: names that nobody foresaw."""

import pytest

from lstmbridge.errors import UsageError
from lstmbridge.model.blocks import Bidirectional


def test_a_renamed_variable_is_recognised_and_keeps_its_own_name(see):
    renames = {"lm/W": "rnn/lstm_cell/kernel", "lm/b": "rnn/lstm_cell/bias"}
    [part] = see({"lm/W": (7, 8), "lm/b": (8,)}, renames=renames).parts
    assert part.name == "rnn"
    assert part.variables["layer0"] == ("lm/W", "lm/b")


def test_a_renamed_scope_takes_all_that_lies_in_it(see, lstm):
    shapes = lstm("enc/forward/lstm_cell", 5, 2) | lstm("enc/backward/lstm_cell", 5, 2)
    renames = {"enc/forward": "bidirectional_rnn/fw", "enc/backward": "bidirectional_rnn/bw"}
    [part] = see(shapes, renames=renames).parts
    assert isinstance(part.model.root, Bidirectional)
    assert part.variables["layer_fw0"][0] == "enc/forward/lstm_cell/kernel"


def test_a_name_that_is_not_there_is_answered_with_the_nearest_and_their_shapes(see, lstm):
    with pytest.raises(UsageError) as caught:
        see(lstm("net/lstm", 5, 2), renames={"net/lstn/kernel": "rnn/lstm_cell/kernel"})
    assert "net/lstm/kernel (7, 8)" in str(caught.value)


def test_two_variables_never_get_one_name(see, lstm):
    shapes = lstm("rnn/lstm_cell", 5, 2) | {"other": (7, 8)}
    with pytest.raises(UsageError, match="the same name"):
        see(shapes, renames={"other": "rnn/lstm_cell/kernel"})


def test_a_variable_that_is_called_like_a_slot_is_what_its_user_says(see):
    renames = {"kernel/Momentum": "rnn/lstm_cell/kernel", "weights/b": "rnn/lstm_cell/bias"}
    found = see({"kernel/Momentum": (7, 8), "weights/b": (8,)}, renames=renames)
    assert found.parts[0].variables["layer0"] == ("kernel/Momentum", "weights/b")


def test_a_slot_of_a_renamed_variable_stays_a_slot(see):
    shapes = {"lm/W": (7, 8), "lm/b": (8,), "lm/W/Adam": (7, 8), "lm/b/Adam": (8,)}
    found = see(shapes, renames={"lm/W": "rnn/lstm_cell/kernel", "lm/b": "rnn/lstm_cell/bias"})
    assert {ignored.name for ignored in found.ignored} == {"lm/W/Adam", "lm/b/Adam"}


def test_the_average_of_a_renamed_variable_is_its_average(see):
    shapes = {"lm/W": (7, 8), "lm/b": (8,)}
    shapes |= {f"{name}/ExponentialMovingAverage": shape for name, shape in shapes.items()}
    renames = {"lm/W": "rnn/lstm_cell/kernel", "lm/b": "rnn/lstm_cell/bias"}
    [part] = see(shapes, renames=renames, ema=True).parts
    assert part.variables["layer0"] == (
        "lm/W/ExponentialMovingAverage",
        "lm/b/ExponentialMovingAverage",
    )


def test_a_wrapper_look_alike_is_moved_out_of_the_way(see, lstm):
    shapes = lstm("RNN/basic_lstm_cell", 5, 2) | {"RNN/Attention/Linear/Matrix": (2, 2)}
    found = see(shapes, renames={"RNN/Attention": "after/Attention"})
    assert len(found.parts) == 1
