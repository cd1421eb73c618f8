"""Files are streamed, tensor by tensor, into the very bytes that protobuf would have written."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import onnx
import pytest

from lstmbridge.errors import CannotExpress
from lstmbridge.model.blocks import Model, Recurrent, Sequence
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx import OnnxTarget, weights, wire, writing
from lstmbridge.targets.onnx.builder import Weight
from lstmbridge.targets.onnx.streaming import AHEAD, ahead
from lstmbridge.targets.onnx.wire import Malformed, decode_varint, encode_varint, fields, skim

NUMBERS = [0, 1, 127, 128, 300, 2**31, 2**63 - 1, 2**64 - 1]


@pytest.mark.parametrize("number", NUMBERS)
def test_varints_survive_a_round_trip(number):
    data = encode_varint(number)
    assert decode_varint(memoryview(data), 0, len(data)) == (number, len(data))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 11])
def test_a_varint_that_is_cut_off_or_endless_is_malformed(data):
    with pytest.raises(Malformed):
        decode_varint(memoryview(data), 0, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0b",
        b"\x00\x00",
        b"\x09\x01",
    ],
    ids=["past the end", "endless", "a group", "field 0", "half a double"],
)
def test_a_field_that_does_not_fit_is_malformed(data):
    with pytest.raises(Malformed):
        list(fields(memoryview(data), 0, len(data)))


@pytest.mark.parametrize("states", States)
def test_the_bytes_are_protobuf_s_own(nets, write, topology, states):
    artifact = write(nets.model(topology, peephole=True), states=states)
    data = artifact.path.read_bytes()
    assert onnx.load(artifact.path).SerializeToString(deterministic=True) == data


def test_skimming_gives_the_model_without_its_weights_and_where_they_lie(nets, write):
    artifact = write(nets.model("stack"))
    data = artifact.path.read_bytes()
    proto, spans = skim(memoryview(data))
    whole = onnx.load(artifact.path)
    assert set(spans) == {one.name for one in whole.graph.initializer}
    for one in whole.graph.initializer:
        span = spans[one.name]
        assert data[span.offset : span.offset + span.length] == one.raw_data
        one.ClearField("raw_data")
    assert proto == whole


def test_too_many_fields_and_too_many_bytes_are_refused(monkeypatch):
    model = onnx.ModelProto(ir_version=8)
    for name in "abc":
        model.graph.node.add(op_type="Relu", input=[name * 50])
    data = memoryview(model.SerializeToString())
    monkeypatch.setattr(wire, "MOST_FIELDS", 2)
    with pytest.raises(Malformed, match="more than 2 fields"):
        skim(data)
    monkeypatch.setattr(wire, "MOST_FIELDS", 100)
    monkeypatch.setattr(wire, "MOST_KEPT", 100)
    with pytest.raises(Malformed, match="more than 100 bytes"):
        skim(data)


def big(nets) -> Model:
    cells = [nets.cell(64, 64), nets.cell(64, 64, cell_clip=0.5)]
    return Model("m", Sequence(tuple(Recurrent(cell) for cell in cells)))


def test_above_protobuf_s_limit_the_weights_go_to_a_file_beside_the_model(
    nets, write, feeds, assert_agrees, monkeypatch, *, graph_of
):
    model = big(nets)
    plain = write(model, name="plain.onnx")
    monkeypatch.setattr(writing, "PROTOBUF_LIMIT", 1000)
    artifact = write(model, name="big.onnx")
    data = artifact.path.with_name("big.onnx.data")
    assert artifact.beside == OnnxTarget().read(artifact.path).beside == (data.name,)
    assert artifact.path.stat().st_size < 20_000 < data.stat().st_size
    assert_agrees(model, artifact, feeds(artifact))
    graph_of(artifact)
    for tensor in onnx.load(artifact.path, load_external_data=False).graph.initializer:
        entries = {one.key: one.value for one in tensor.external_data}
        if entries:
            assert entries["location"] == "big.onnx.data"
            assert int(entries["offset"]) % 4096 == 0
    assert plain.beside == OnnxTarget().read(plain.path).beside == ()
    with_external = OnnxTarget().ledger(artifact, model)
    for key, numbers in OnnxTarget().ledger(plain, model).items():
        assert numbers.tobytes() == with_external[key].tobytes(), key


def test_no_more_than_one_tensor_is_held_while_writing(nets, write, tmp_path):
    """Six layers; the peak is that of one tensor and the block that is being turned."""
    cells = [nets.cell(160, 160) for _ in range(6)]
    model = Model("m", Sequence(tuple(Recurrent(cell) for cell in cells)))
    write(model, name="warm.onnx")
    tensor = 4 * 160 * 160 * 4
    tracemalloc.start()
    write(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * tensor + 200_000 < 6 * tensor


def test_reading_a_description_does_not_read_the_weights(nets, write):
    cells = [nets.cell(160, 160) for _ in range(6)]
    artifact = write(Model("m", Sequence(tuple(Recurrent(cell) for cell in cells))))
    OnnxTarget().read(artifact.path)
    tracemalloc.start()
    OnnxTarget().read(artifact.path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 160 * 160 * 4 * 4


def test_a_promise_of_shape_that_is_broken_is_an_error(tmp_path):
    broken = Weight("w", (2, 3), np.dtype(np.float32), lambda: np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="promised"):
        writing._write(tmp_path / "m", onnx.ModelProto(), (broken,), {})


@pytest.mark.parametrize("sizes", [(2, 1), (2, 2), (7,)], ids=str)
def test_pieces_that_are_more_or_fewer_than_promised_are_an_error(tmp_path, sizes):
    def pieces():
        return (np.zeros(n, np.float32) for n in sizes)

    broken = Weight("w", (2, 3), np.dtype(np.float32), lambda: np.zeros((2, 3)), pieces)
    with pytest.raises(ValueError, match="promised"):
        writing._write(tmp_path / "m", onnx.ModelProto(), (broken,), {})


def test_the_digest_taken_while_writing_is_that_of_the_file(nets, write, monkeypatch):
    monkeypatch.setattr(weights, "PANEL_BYTES", 4000)
    artifact = write(big(nets))
    assert artifact.sha256 == hashlib.sha256(artifact.path.read_bytes()).hexdigest()
    noted = OnnxTarget().annotate(artifact, {"more": "words"})
    assert noted.sha256 is None


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (300, 3), (129, 130), (7,)], ids=str)
@pytest.mark.parametrize("budget", [1, 2000, 2**21])
def test_panels_put_together_are_the_transposed_block(shape, budget, monkeypatch):
    monkeypatch.setattr(weights, "PANEL_BYTES", budget)
    block = np.random.default_rng(0).standard_normal((*shape[:-1], 2 * shape[-1]))
    block = block[..., : shape[-1]]
    pieces = list(weights.panels("w", block, np.dtype(np.float32)))
    assert all(piece.flags.c_contiguous for piece in pieces)
    joined = np.concatenate(pieces)
    assert joined.shape == shape[::-1]
    assert np.array_equal(joined, block.T.astype(np.float32))
    if len(shape) > 1:
        assert len({id(piece) for piece in pieces}) == len(pieces)


def test_a_weight_that_overflows_is_refused_in_whichever_panel_it_lies(monkeypatch):
    monkeypatch.setattr(weights, "PANEL_BYTES", 1)
    block = np.zeros((3, 4))
    block[1, 3] = 1e10
    with pytest.raises(CannotExpress, match="float16"):
        list(weights.panels("w", block, np.dtype(np.float16)))


def test_what_making_a_piece_raises_is_raised_to_the_writer():
    def broken():
        yield memoryview(b"one")
        raise MemoryError("no room")

    coming = ahead(broken())
    assert bytes(next(coming)) == b"one"
    with pytest.raises(MemoryError, match="no room"):
        next(coming)


def test_pieces_come_in_order_and_never_many_ahead():
    made = []

    def pieces():
        for k in range(20):
            made.append(k)
            yield memoryview(bytes([k]))

    for k, piece in enumerate(ahead(pieces())):
        assert bytes(piece) == bytes([k])
        assert len(made) <= k + 1 + AHEAD
