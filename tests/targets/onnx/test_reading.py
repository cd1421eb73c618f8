"""A file is described from its bytes alone: ours, another's, broken, or no ONNX at all."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from lstmbridge.errors import LstmBridgeError, SourceUnreadable
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx import OnnxTarget, writing


@pytest.mark.parametrize("states", States)
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("clip", [None, 0.5], ids=["native", "stepped"])
def test_what_was_written_reads_back_the_same(nets, write, *, topology, states, lengths, clip):
    model = nets.model(topology, cell_clip=clip)
    artifact = write(model, states=states, sequence_length=lengths)
    assert OnnxTarget().read(artifact.path) == artifact


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_precision_is_read_from_the_inputs(nets, write, dtype):
    artifact = write(nets.model("one", dtype=dtype))
    found = OnnxTarget().read(artifact.path)
    assert found is not None
    assert found.precision == np.dtype(dtype).name


def foreign(tmp_path, **changes):
    """A hand-made graph with an artifact's names, typed weight fields, and none of our marks."""
    values = helper.make_tensor_value_info
    weights = [
        helper.make_tensor("w", 1, [1, 8, 3], np.arange(24, dtype=np.float32)),
        helper.make_tensor("r", 1, [1, 8, 2], np.arange(16, dtype=np.float32)),
    ]
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", "c"], hidden_size=2),
        helper.make_node("Transpose", ["inputs"], ["x"], perm=[1, 0, 2]),
        helper.make_node("Squeeze", ["h"], ["layer0_h"], axes=[0]),
        helper.make_node("Squeeze", ["c"], ["layer0_c"], axes=[0]),
    ]
    graph = helper.make_graph(
        [nodes[1], nodes[0], *nodes[2:]],
        "g",
        [values("inputs", 1, ["n", None, 3]), *(values(w.name, 1, w.dims) for w in weights)],
        [values("layer0_h", 1, ["n", 2]), values("layer0_c", 1, ["n", 2])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=3)
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    return path


def test_another_s_file_with_an_artifact_s_names_is_described_too(tmp_path):
    found = OnnxTarget().read(foreign(tmp_path))
    assert found is not None
    assert [(s.name, s.shape[0]) for s in found.signature.inputs] == [("inputs", "n")]
    assert found.signature.output_names() == ("layer0_h", "layer0_c")
    assert (found.metadata, found.expressions, found.precision) == ({}, (), "float32")


def test_another_s_weights_are_read_from_typed_fields_too(tmp_path, nets):
    from lstmbridge.model.blocks import Model, Recurrent

    path = foreign(tmp_path)
    model = Model("m", Recurrent(nets.cell(3, 2, bias=False, forget_bias=0.0)))
    found = OnnxTarget().read(path)
    assert found is not None
    ledger = OnnxTarget().ledger(found, model)
    assert np.array_equal(ledger["layer0", "kernel", "i"], [[0, 3], [1, 4], [2, 5]])
    assert np.array_equal(ledger["layer0", "recurrent", "f"], [[8, 10], [9, 11]])


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89HDF\r\n", b"PK\x03\x04", bytes(1000)], ids=repr
)
def test_what_is_no_onnx_file_is_none_unless_it_claims_to_be_one(tmp_path, data):
    path = tmp_path / "some.bin"
    path.write_bytes(data)
    assert OnnxTarget().read(path) is None
    claiming = path.rename(path.with_suffix(".onnx"))
    with pytest.raises(SourceUnreadable, match=r"some\.onnx is no complete ONNX model"):
        OnnxTarget().read(claiming)


def test_a_file_that_is_missing_or_a_folder_is_our_error(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(SourceUnreadable, match="cannot be read"):
            OnnxTarget().read(path)


@pytest.fixture
def model_and_bytes(nets, write):
    model = nets.model("stack", cell_clip=0.5)
    artifact = write(model)
    return model, artifact, artifact.path.read_bytes()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_the_bytes_the_outcome_is_a_result_or_one_of_our_errors(model_and_bytes, data):
    model, artifact, good = model_and_bytes
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    artifact.path.write_bytes(bad[: data.draw(st.integers(0, len(bad)))])
    try:
        found = OnnxTarget().read(artifact.path)
        if found is not None:
            OnnxTarget().ledger(found, model)
    except LstmBridgeError:
        pass


EXTERNAL = {
    "a path out of the folder": {"location": "../secret.bin"},
    "an absolute path": {"location": "/etc/passwd"},
    "no file": {"location": "gone.data"},
    "no location": {"location": ""},
    "an offset past the end": {"offset": "999999999"},
    "a negative offset": {"offset": "-4"},
    "a length past the end": {"length": "999999999"},
}


@pytest.mark.parametrize("change", EXTERNAL.values(), ids=EXTERNAL.keys())
def test_external_data_never_leaves_its_folder_or_its_file(
    nets, write, monkeypatch, tmp_path, change
):
    (tmp_path.parent / "secret.bin").write_bytes(bytes(100_000))
    monkeypatch.setattr(writing, "PROTOBUF_LIMIT", 0)
    monkeypatch.setattr(writing, "INLINE_BELOW", 1)
    model = nets.model("one")
    artifact = write(model)
    proto = onnx.load(artifact.path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            entry.value = change.get(entry.key, entry.value)
    artifact.path.write_bytes(proto.SerializeToString())
    found = OnnxTarget().read(artifact.path)
    assert found is not None
    assert all("/" not in name for name in found.beside)
    with pytest.raises(SourceUnreadable):
        OnnxTarget().ledger(found, model)
