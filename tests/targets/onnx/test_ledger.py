"""Weights are read back from the file's nodes, not from what the writer remembers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from lstmbridge.contracts import Artifact
from lstmbridge.errors import SourceUnreadable
from lstmbridge.model.folding import projected_gate
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.verify.ledger import check_ledger

CELLS = {
    "plain": {},
    "peephole": {"peephole": True},
    "projection": {"projection": 4},
    "no bias": {"bias": False},
    "nothing to add": {"bias": False, "forget_bias": 0.0},
    "stepped": {"cell_clip": 0.3, "peephole": True, "projection": 4, "proj_clip": 0.2},
    "float64": {"dtype": np.float64},
    "float16": {"dtype": np.float16},
    "float16 stepped": {"dtype": np.float16, "cell_clip": 0.5},
}


def read(artifact: Artifact, model):
    return OnnxTarget().ledger(artifact, model)


@pytest.mark.parametrize("states", [States.NONE, States.OPTIONAL])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", CELLS.values(), ids=CELLS.keys())
def test_every_number_of_every_block_is_there_bit_for_bit(
    nets, write, *, topology, options, lengths, states
):
    model = nets.model(topology, **options)
    artifact = write(model, states=states, sequence_length=lengths)
    report = check_ledger(model, read(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())
    per_layer = {layer.name: layer.cell.kernel["i"].size * 4 for layer in model.layers}
    assert report.compared >= sum(per_layer.values())


@pytest.mark.parametrize("options", [{}, {"cell_clip": 0.3}], ids=["native", "stepped"])
@pytest.mark.parametrize("block", ["kernel", "recurrent", "bias"])
def test_a_single_flipped_bit_in_the_file_is_seen(nets, write, options, block):
    model = nets.model("stack", **options)
    artifact = write(model)
    number = getattr(model.layers[1].cell, block)["f"].flat[2]
    data = bytearray(artifact.path.read_bytes())
    assert data.count(number.tobytes()) == 1
    data[data.index(number.tobytes())] ^= 1
    artifact.path.write_bytes(data)
    different = check_ledger(model, read(artifact, model)).different
    assert len(different) == 1
    assert different[0].startswith(f"layer1 {block}[f]: 1 of ")


def test_exchanged_gates_and_directions_are_seen(nets, write):
    model = nets.model("bidirectional")
    artifact = write(model)
    proto = onnx.load(artifact.path)
    kernel = next(one for one in proto.graph.initializer if one.name.endswith("/W"))
    array = onnx.numpy_helper.to_array(kernel)
    kernel.CopyFrom(onnx.numpy_helper.from_array(array[::-1].copy(), kernel.name))
    onnx.save(proto, artifact.path)
    report = check_ledger(model, read(artifact, model))
    assert len(report.different) == 8
    swapped = array.reshape(2, 4, 5, 3)[:, [0, 2, 1, 3]].reshape(array.shape)
    kernel.CopyFrom(onnx.numpy_helper.from_array(swapped.copy(), kernel.name))
    onnx.save(proto, artifact.path)
    assert len(check_ledger(model, read(artifact, model)).different) == 4


def test_final_states_that_are_exchanged_leave_a_layer_unread(nets, write):
    model = nets.model("one")
    artifact = write(model)
    proto = onnx.load(artifact.path)
    node = next(node for node in proto.graph.node if node.op_type == "LSTM")
    node.output[1], node.output[2] = node.output[2], node.output[1]
    onnx.save(proto, artifact.path)
    assert read(artifact, model) == {}
    assert len(check_ledger(model, {}).missing) >= 12


def test_a_folded_projection_is_the_float64_product_rounded_once(nets, write):
    model = nets.model("one", projection=4)
    artifact = write(model)
    ledger = read(artifact, model)
    assert ("layer0", "recurrent", "i") not in ledger
    for gate in "ifco":
        exact = projected_gate(model.layers[0].cell, gate)
        stored = ledger["layer0", "recurrent_folded", gate]
        nearest = np.spacing(np.abs(exact).astype(np.float32))
        assert (np.abs(stored - exact) <= 0.5 * nearest * (1 + 1e-6)).all()


def test_where_states_are_fed_the_recurrent_weights_are_readable_beside_the_folded_ones(
    nets, write
):
    model = nets.model("one", projection=4)
    ledger = read(write(model, states=States.REQUIRED), model)
    recurrent = model.layers[0].cell.recurrent
    assert np.array_equal(ledger["layer0", "recurrent", "c"], recurrent["c"])
    assert ("layer0", "recurrent_folded", "c") in ledger


def test_narrowed_weights_are_the_source_s_rounded_once(nets, write):
    model = nets.model("one", dtype=np.float64)
    artifact = write(model, dtype="float32")
    assert artifact.precision == "float32"
    assert artifact.expressions[0].detail.endswith("rounded once from float64 to float32")
    report = check_ledger(model, read(artifact, model))
    assert (report.different, report.missing, report.extra) == ((), (), ())


def test_a_node_without_its_weights_is_our_error(nets, write):
    model = nets.model("one")
    artifact = write(model)
    proto = onnx.load(artifact.path)
    node = next(node for node in proto.graph.node if node.op_type == "LSTM")
    del node.input[1:]
    onnx.save(proto, artifact.path)
    with pytest.raises(SourceUnreadable):
        read(artifact, model)
    (artifact.path).write_bytes(b"no model")
    with pytest.raises(SourceUnreadable):
        read(artifact, model)
