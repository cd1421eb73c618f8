"""Names and axes of files from elsewhere: followed, matched or asked for, never guessed."""

from __future__ import annotations

import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.diagnose import diagnose
from lstmbridge.errors import FactMissing, NotRecognised, SourceUnreadable, UsageError


def test_names_and_axes_are_followed_through_the_graph(networks, hand):
    model = networks.stack()
    found = diagnose(hand.ours(model), hand.onnx(model, states=True))
    assert found.outcome is Outcome.PASS, found.reasons
    assert any(one.startswith("x is inputs, batch-major") for one in found.matched)
    assert any(one.startswith("h_in1 is initial_layer1_h") for one in found.matched)
    assert any(one.startswith("c_out0 is layer0_c") for one in found.matched)


def test_time_major_sequences_are_recognised_and_said(networks, hand):
    model = networks.stack()
    found = diagnose(hand.ours(model), hand.onnx(model, time_major=True, axes=(None, None)))
    assert found.outcome is Outcome.PASS, found.reasons
    assert any("x is inputs, time-major" in one for one in found.matched)


def test_a_file_that_says_batch_first_and_is_time_major_lacks_a_transpose(networks, hand):
    model = networks.stack()
    wrong = hand.onnx(model, time_major=True, axes=("batch", "time"))
    found = diagnose(hand.ours(model), wrong)
    assert found.outcome is Outcome.FAIL
    assert "a Transpose is missing" in found.reasons[0]
    assert "time-major" in found.reasons[0]


def test_a_users_layout_is_believed_and_then_the_numbers_are_wrong(networks, hand):
    model = networks.stack()
    wrong = hand.onnx(model, time_major=True, axes=(None, None))
    found = diagnose(hand.ours(model), wrong, layout="batch-major")
    assert found.outcome is Outcome.FAIL


def loops(graph):
    """The graph in other words: what reads the sequence cannot be followed."""
    from onnx import helper

    graph.node.insert(0, helper.make_node("Relu", [graph.input[0].name], ["through"]))
    graph.node[1].input[0] = "through"


def test_what_cannot_be_followed_is_asked_for(networks, hand):
    model = networks.stack()
    with pytest.raises(FactMissing, match="inputs x carry was not found out") as raised:
        diagnose(hand.ours(model), hand.onnx(model, tweak=loops))
    assert "--rename x=inputs" in str(raised.value)
    renames = {"x": "inputs", "y": "outputs"}
    with pytest.raises(FactMissing, match="which axis of the sequences is time"):
        diagnose(
            hand.ours(model),
            hand.onnx(model, tweak=loops, axes=(None, None)),
            renames=renames,
        )


def test_renamed_ports_are_run_though_weights_are_not_read(networks, hand):
    model = networks.stack()
    found = diagnose(
        hand.ours(model),
        hand.onnx(model, tweak=loops),
        renames={"x": "inputs", "y": "outputs"},
        layout="batch-major",
    )
    # a relu on the inputs is no network that can be read, and no planted fault
    assert found.outcome is Outcome.FAIL
    assert found.weights is None
    assert any("was not followed" in one for one in found.accounts[1].left)
    assert any("is not compared" in one for one in found.matched)


def test_a_rename_that_names_nothing_is_refused(networks, hand):
    model = networks.stack()
    with pytest.raises(UsageError, match="there is no nothing"):
        diagnose(hand.ours(model), hand.onnx(model), renames={"nothing": "inputs"})
    with pytest.raises(UsageError, match="there is no nowhere"):
        diagnose(hand.ours(model), hand.onnx(model), renames={"x": "nowhere"})


def test_attributes_that_no_tensorflow_cell_has_are_named(networks, hand):
    model = networks.stack()

    def clip(graph):
        from onnx import helper

        node = next(n for n in graph.node if n.op_type == "LSTM")
        node.attribute.append(helper.make_attribute("clip", 0.3))

    found = diagnose(
        hand.ours(model), hand.onnx(model, tweak=clip), renames={"x": "inputs", "y": "outputs"}
    )
    assert found.outcome is Outcome.FAIL
    assert any("clip = 0.3 bounds the sums of its gates" in one for one in found.accounts[1].left)


def test_numbers_that_no_layer_uses_are_listed(networks, hand):
    import numpy as np
    from onnx import helper, numpy_helper

    def head(graph):
        graph.initializer.append(numpy_helper.from_array(np.ones((4, 2), np.float32), "head"))
        graph.node.append(helper.make_node("MatMul", ["S1", "head"], ["logits"], name="head"))
        graph.output.append(helper.make_tensor_value_info("logits", 1, None))

    model = networks.stack()
    found = diagnose(hand.ours(model), hand.onnx(model, tweak=head))
    assert found.outcome is Outcome.PASS, found.reasons
    left = found.accounts[1].left
    assert any("MatMul 'head' holds 8 numbers ('head')" in one for one in left)
    assert any("the output 'logits' was not followed" in one for one in left)
    assert found.accounts[1].accounted == sum(
        4 * 4 * (cell.input_size + 4) + 8 * 4 for cell in (x.cell for x in model.layers)
    )


def test_neither_side_a_network_is_refused_by_name(networks, hand):
    model = networks.stack()
    lost = hand.onnx(model, tweak=loops)
    with pytest.raises(NotRecognised, match="no network was read"):
        diagnose(lost, lost)


def test_a_damaged_or_foreign_file_is_refused(networks, hand, tmp_path):
    right = hand.ours(networks.stack())
    broken = tmp_path / "b.onnx"
    broken.write_bytes(right.read_bytes()[:200])
    with pytest.raises(SourceUnreadable):
        diagnose(right, broken)
    text = tmp_path / "b.pt"
    text.write_text("no tensors")
    with pytest.raises(SourceUnreadable):
        diagnose(right, text)
    with pytest.raises(UsageError):
        diagnose(right)


def test_a_side_that_does_not_read_as_a_network_is_compared_with_the_one_that_does(networks, hand):
    projected = networks.stack(projection=3)
    right = hand.ours(projected, "a.onnx")
    with pytest.raises(NotRecognised):
        diagnose(right, hand.ours(projected, "b.onnx"))
