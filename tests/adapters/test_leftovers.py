"""Variables that are no part of a layer: listed with a reason, never taken for a weight."""

import pytest

from lstmbridge.errors import FactConflict, FactMissing

SLOTS = [
    *("Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "Ftrl", "Ftrl_1"),
    *("AdadeltaAccum", "AdadeltaAccum_1", "AdaMax_1", "Adafactor", "adam_m", "my_optimizer"),
]


def _reasons(found):
    return {ignored.name: ignored.reason for ignored in found.ignored}


def test_slots_of_optimizers_are_never_weights(see, stack):
    shapes = stack("rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 4])
    slots = {f"{n}/{slot}": shape for n, shape in shapes.items() for slot in SLOTS}
    found = see(slots | shapes)
    assert found.parts[0].variables == see(shapes).parts[0].variables
    assert all("optimizer slot" in reason for reason in _reasons(found).values())
    assert set(_reasons(found)) == set(slots)


@pytest.mark.parametrize(
    "name",
    [
        "train/rnn/lstm_cell/kernel/Adam",
        "OptimizeLoss/rnn/lstm_cell/kernel/Adam_1",
        "optimizer/rnn/lstm_cell/kernel/Momentum",
        "rnn/lstm_cell/kernel/own_slot",
        "RNN/LSTMCell/W_0/Adam",
        "Adam/a/rnn/basic_lstm_cell/kernel",
        "a/Adam/rnn/basic_lstm_cell/kernel",
    ],
)
def test_slots_whose_variable_is_missing_or_scoped_elsewhere_are_never_weights(see, lstm, name):
    found = see(lstm("a/rnn/basic_lstm_cell", 5, 2) | {name: (7, 8)})
    assert [part.name for part in found.parts] == ["a/rnn"]
    assert "optimizer slot" in _reasons(found)[name]


SCOPES = [*SLOTS, "ExponentialMovingAverage", "beta1_power", "global_step", "optimizer", "kernel"]


@pytest.mark.parametrize("scope", [*SCOPES, "net/Adam", "Adam/net", "Momentum/Adam_1"])
def test_a_stack_in_a_scope_called_like_a_slot_is_a_stack(see, stack, scope):
    shapes = stack(f"{scope}/rnn/multi_rnn_cell", "basic_lstm_cell", 5, [4, 4])
    slots = {f"{name}/Adam": shape for name, shape in shapes.items()}
    averages = {f"{name}/ExponentialMovingAverage": shape for name, shape in shapes.items()}
    found = see(shapes | slots | averages | {f"{scope}/beta1_power": ()}, ema=False)
    assert [part.name for part in found.parts] == [f"{scope}/rnn"]
    assert {ignored.name for ignored in found.ignored} >= {*slots, *averages}
    assert see(shapes | averages, ema=True).parts[0].name == f"{scope}/rnn"


def test_a_mirror_of_the_variables_inside_an_optimizers_scope_is_its_slots(see, lstm):
    shapes = lstm("rnn/lstm_cell", 5, 2)
    mirror = {f"model/optimizer/{name}": shape for name, shape in shapes.items()}
    found = see(shapes | mirror)
    assert [part.name for part in found.parts] == ["rnn"]
    assert set(_reasons(found)) == set(mirror)


REASONS = [
    ("global_step", (), "counter"),
    ("Model/global_step", (), "counter"),
    ("Epoch_Step", (), "counter"),
    ("save_counter", (), "counter"),
    ("beta1_power", (), "optimizer's bookkeeping"),
    ("train_step/beta2_power", (), "optimizer's bookkeeping"),
    ("learning_rate", (), "learning rate"),
    ("Variable", (), "a single number"),
    ("embedding", (17, 6), "embedding"),
    ("words/_word_embeddings", (31, 12), "embedding"),
    ("Embedding_1", (37, 11), "embedding"),
    ("logits/kernel", (8, 4), "dense layer"),
    ("logits/bias", (4,), "dense layer"),
    ("Model/softmax_w", (10, 21), "dense layer"),
    ("fully_connected/weights", (9, 11), "dense layer"),
    ("dense_3/kernel", (8, 16), "dense layer"),
    ("hidden/kernel", (8, 16), "weights of another layer"),
    ("transitions", (5, 5), "transition scores of a CRF"),
    ("conv1d_0/kernel", (3, 3, 5), "convolution"),
    ("conv1/W", (3, 3, 3, 4), "convolution"),
    ("batch_normalization/gamma", (5,), "batch normalisation"),
    ("conv1/bn/moving_mean", (4,), "batch normalisation"),
    ("attention_word_level/u_attention", (16,), "attention"),
]


@pytest.mark.parametrize(("name", "shape", "reason"), REASONS)
def test_each_leftover_has_a_reason_in_plain_words(see, lstm, name, shape, reason):
    found = see(lstm("rnn/basic_lstm_cell", 6, 8) | {name: shape})
    assert len(found.parts) == 1
    assert reason in _reasons(found)[name]


@pytest.mark.parametrize("scope", ["dense", "hidden", "rnn/dense", "rnn/hidden", "net/fc1"])
def test_a_dense_layer_with_an_lstms_shapes_is_not_mistaken_for_one(see, lstm, scope):
    found = see(lstm("rnn/basic_lstm_cell", 6, 8) | lstm(scope, 6, 2))
    assert len(found.parts) == 1
    assert f"{scope}/kernel" in _reasons(found)


def test_raw_weights_are_taken_and_the_averages_are_named(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    shadows = {f"{name}/ExponentialMovingAverage": s for name, s in shapes.items()}
    found = see(shapes | shadows)
    assert found.parts[0].variables["layer0"][0] == "rnn/basic_lstm_cell/kernel"
    assert any("--ema" in text for text in found.warnings)
    assert not any("--ema" in text for text in see(shapes | shadows, ema=False).warnings)
    assert all("moving average" in reason for reason in _reasons(found).values())


@pytest.mark.parametrize(
    "average", ["ExponentialMovingAverage", "ExponentialMovingAverage_1", "EMA", "my_average"]
)
@pytest.mark.parametrize("scope", ["", "train/"])
def test_ema_takes_the_averages_under_any_name(see, lstm, average, scope):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    shadows = {f"{scope}{name}/{average}": s for name, s in shapes.items()}
    found = see(shapes | shadows, ema=True)
    assert set(found.parts[0].variables["layer0"]) == set(shadows)
    assert set(_reasons(found)) == set(shapes)
    assert found.parts[0].model.facts["moving_average"].basis == "given"


def test_ema_without_an_average_of_each_weight_is_refused(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    shapes["rnn/basic_lstm_cell/kernel/ExponentialMovingAverage"] = (7, 8)
    with pytest.raises(FactMissing, match="basic_lstm_cell/bias"):
        see(shapes, ema=True)


def test_ema_without_any_average_is_refused(see, lstm):
    with pytest.raises(FactMissing, match="no moving averages"):
        see(lstm("rnn/basic_lstm_cell", 5, 2), ema=True)


def test_averages_alone_are_taken_only_when_asked_for(see, lstm):
    shadows = {
        f"{name}/ExponentialMovingAverage": shape
        for name, shape in lstm("rnn/basic_lstm_cell", 5, 2).items()
    }
    with pytest.raises(FactMissing, match="only moving averages"):
        see(shadows)
    assert set(see(shadows, ema=True).parts[0].variables["layer0"]) == set(shadows)


def test_several_averages_of_one_variable_are_a_conflict(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    for average in ("ema_fast", "ema_slow"):
        shapes |= {f"rnn/basic_lstm_cell/{v}/{average}": (8,) for v in ("kernel", "bias")}
    with pytest.raises(FactConflict, match="several averages"):
        see(shapes, ema=True)


def test_the_bookkeeping_of_an_average_is_no_average(see, lstm):
    shapes = lstm("rnn/basic_lstm_cell", 5, 2)
    shapes["rnn/basic_lstm_cell/kernel/ExponentialMovingAverage/local_step"] = ()
    assert "bookkeeping" in "".join(_reasons(see(shapes)).values())
