"""Somebody's own conversion is wrong, and is told why: each classic mistake, in both formats."""

from __future__ import annotations

import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.model.cells import GRU, RNN

MISTAKES = {
    "gates in TensorFlow's order": (
        {"order": "icfo"},
        "gates c and f exchanged, the forget bias with them",
        "TensorFlow 1's order (i, j, f, o) was read as PyTorch's (i, f, g, o)",
    ),
    "forget bias lost": ({"forget_bias": 0.0}, "with forget_bias = 0", "lacks the forget bias"),
    "forget bias twice": (
        {"forget_bias": 2.0},
        "with its forget bias added twice",
        "has the forget bias twice",
    ),
    "one bias in both": (
        {"both_biases": True},
        "with its bias added twice, the forget bias with them",
        "is doubled, and the forget bias with it",
    ),
    "recurrent kernel not transposed": (
        {"transposed": True},
        "with its recurrent kernel transposed",
        "recurrent|is transposed",
    ),
    "[h; x] for [x; h]": (
        {"h_first": True},
        "with kernel rows read as [h; x]",
        "is cut as [h; x]",
    ),
    "layers exchanged": (
        {"layers": {0: 1, 1: 0}},
        "with layer0 and layer1 exchanged",
        "is A's of layer1",
    ),
    "one layer alone in another order": (
        {"order": "icfo", "only": 1},
        "gates c and f exchanged, the forget bias with them, in layer1 alone",
        "gates c and f are exchanged",
    ),
    "another order, and no forget bias": (
        {"order": "icfo", "forget_bias": 0.0},
        "gates c and f exchanged and with forget_bias = 0",
        "and lacks the forget bias",
    ),
    "reshaped instead of transposed": (
        {"reshaped": True},
        "",
        "kernel|was reshaped where it had to be transposed",
    ),
}


def said_by_outputs(found, words: str) -> bool:
    # a pair of gates has no order
    return words in found.explanation.replace("gates f and c", "gates c and f")


def said_by_weights(found, words: str) -> bool:
    block, _, text = words.rpartition("|")
    return any(
        text in one.words and (not block or block in one.blocks) for one in found.weights.findings
    )


@pytest.mark.parametrize("name", MISTAKES)
def test_a_state_dict_with_a_classic_mistake_is_told_which(networks, hand, name):
    slip, outputs, weights = MISTAKES[name]
    model = networks.stack(inputs=4, units=4)
    found = diagnose(hand.ours(model), hand.keys(model, **slip))
    assert found.outcome is Outcome.FAIL
    assert found.exit_code == 1
    assert said_by_outputs(found, outputs), found.explanation
    assert said_by_weights(found, weights), found.weights


@pytest.mark.parametrize("name", [n for n in MISTAKES if "order" not in n])
def test_an_onnx_file_with_a_classic_mistake_is_told_which(networks, hand, name):
    slip, outputs, weights = MISTAKES[name]
    model = networks.stack(inputs=4, units=4)
    found = diagnose(hand.ours(model), hand.onnx(model, **slip))
    assert found.outcome is Outcome.FAIL
    assert said_by_outputs(found, outputs), found.explanation
    assert said_by_weights(found, weights), found.weights


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("icfo", "TensorFlow 1's order (i, j, f, o) was read as ONNX's (i, o, f, c)"),
        ("ifco", "PyTorch's (i, f, g, o)|Keras's order (i, f, c, o) was read as ONNX's"),
    ],
)
def test_gates_in_another_frameworks_order_are_named_by_the_framework(
    networks, hand, order, words
):
    model = networks.stack()
    found = diagnose(hand.ours(model), hand.onnx(model, order=order))
    assert any(
        words.rpartition("|")[2] in one.words and one.blocks == ("kernel", "recurrent", "bias")
        for one in found.weights.findings
    ), found.weights
    assert "it equals the source with" in found.explanation


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("form", ["keys", "onnx"])
def test_a_right_conversion_by_hand_is_equal(networks, hand, kind, form):
    cells = {"GRU": GRU, "RNN": RNN}
    more = {"reset_after": True, "without": ()} if kind == "GRU" else {}
    model = networks.stack(cells[kind], **more) if kind in cells else networks.stack()
    slip = {"reset_after": True} if kind == "GRU" and form == "onnx" else {}
    found = diagnose(hand.ours(model), getattr(hand, form)(model, **slip))
    assert found.outcome is Outcome.PASS, (found.reasons, found.weights)
    assert found.exit_code == 0
    assert found.weights.compared > 0
    assert not found.weights.findings
    assert found.faults.planted == found.faults.caught > 0


def test_one_number_off_in_its_last_bits_is_found_by_layer_gate_row_and_column(
    networks, hand, monkeypatch
):
    model = networks.stack()
    right = hand.onnx(model, "right.onnx")

    def tamper(graph):
        from onnx import numpy_helper

        one = next(x for x in graph.initializer if x.name == "R1")
        array = numpy_helper.to_array(one).copy()
        array[0, 4 + 2, 3] *= 1 + 2**-22  # gate o is the second: its unit 2, from unit 3
        one.CopyFrom(numpy_helper.from_array(array, "R1"))

    found = diagnose(right, hand.onnx(model, "wrong.onnx", tweak=tamper))
    assert found.outcome is Outcome.FAIL
    (one,) = found.weights.findings
    assert one.layers == ("layer1",)
    assert one.blocks == ("recurrent",)
    assert not one.mistake
    assert "1 of 64 numbers of gate o alone, most in gate o, row 3, column 2" in one.words


def test_a_gru_that_resets_on_the_other_side_is_told_so(networks, hand):
    model = networks.stack(GRU)
    found = diagnose(hand.ours(model), hand.onnx(model, reset_after=True))
    assert found.outcome is Outcome.FAIL
    assert any("reset_after = True" in one.words for one in found.weights.findings)
    assert "reset gate on the other side" in found.explanation


def test_a_gate_is_named_where_states_show_it(networks, hand):
    model = networks.stack(count=1)

    def tamper(graph):
        from onnx import numpy_helper

        one = next(x for x in graph.initializer if x.name == "B0")
        array = numpy_helper.to_array(one).copy()
        array[0, 4] += 0.5  # gate o, unit 0
        one.CopyFrom(numpy_helper.from_array(array, "B0"))

    found = diagnose(hand.ours(model), hand.onnx(model, tweak=tamper))
    assert "so in gate o" in found.explanation
    assert any("gate o alone" in one.words for one in found.weights.findings)


def test_networks_of_other_sizes_are_told_apart_by_them(networks, hand):
    found = diagnose(hand.ours(networks.stack(units=4)), hand.keys(networks.stack(units=5)))
    assert found.outcome is Outcome.FAIL
    assert "5 units" in found.weights.findings[0].words
    found = diagnose(hand.ours(networks.stack(count=3)), hand.keys(networks.stack(count=2)))
    assert "are 2 layers, in A there are 3" in found.weights.findings[0].words
