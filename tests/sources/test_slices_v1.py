"""V1 checkpoints: numbers, shards, slices, laziness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source
from lstmbridge.sources.slices import slice_key

KERNEL = np.random.default_rng(2).standard_normal((6, 8)).astype(np.float32)


@pytest.mark.parametrize("name", ["v1-types", "v1-partitioned"])
def test_numbers_are_those_that_tensorflow_was_given(real, assert_numbers, name):
    source = open_source(real / name)
    assert source.format == "TensorFlow checkpoint V1"
    assert_numbers(source.tensors, real / name)


def test_no_variable_is_missed_or_made_up(real):
    """TensorFlow 1.15's own reader refuses this file: sliced and sharded."""
    with np.load(real / "v1-partitioned" / "expected.npz") as expected:
        assert set(open_source(real / "v1-partitioned").tensors) == set(expected.files)


def test_all_shards_belong_to_the_source(real):
    source = open_source(real / "v1-partitioned")
    assert source.path.name == "model.ckpt-1"
    assert [path.name for path in source.files] == [
        f"model.ckpt-1-{k:05d}-of-00003" for k in range(3)
    ]


@pytest.mark.parametrize("block_entries", [1, 2, 1000])
def test_slices_of_one_variable_may_lie_in_any_block(writer, tmp_path, block_entries):
    slices = writer.SlicesWriter()
    slices.add("bias", KERNEL[0])
    for start, size in ((0, 1), (1, 3), (4, 2)):
        piece = KERNEL[start : start + size]
        slices.add("kernel", piece, extents=[(start, size), (0, -1)], shape=KERNEL.shape)
    source = open_source(slices.write(tmp_path / "model.ckpt", block_entries=block_entries))
    assert np.array_equal(source.tensors["kernel"].load(), KERNEL)
    assert np.array_equal(source.tensors["bias"].load(), KERNEL[0])


def test_blocks_compressed_with_snappy_are_read(writer, tmp_path):
    slices = writer.SlicesWriter()
    slices.add("kernel", KERNEL)
    path = slices.write(tmp_path / "model.ckpt", compress=writer.snappy)
    assert np.array_equal(open_source(path).tensors["kernel"].load(), KERNEL)


def test_signalling_nans_keep_their_bits(writer, tmp_path):
    slices = writer.SlicesWriter()
    _, saved = slices.add("kernel", KERNEL[0])
    path = slices.write(tmp_path / "model.ckpt")
    odd = np.array([0x7FA00001, 0xFFC00002], np.uint32).view(np.float32)
    serialized = saved.SerializeToString()
    spoiled = serialized.replace(KERNEL[0, :2].tobytes(), odd.tobytes())
    pairs = {b"": slices.meta.SerializeToString(), next(iter(slices.saved)): spoiled}
    path.write_bytes(writer.table(list(pairs.items())))
    assert open_source(path).tensors["kernel"].load()[:2].tobytes() == odd.tobytes()


def test_opening_and_listing_reads_no_weights(writer, tmp_path):
    slices = writer.SlicesWriter()
    slices.add("kernel", KERNEL)
    path = slices.write(tmp_path / "model.ckpt", block_entries=1)
    data = bytearray(path.read_bytes())
    data[data.index(KERNEL[3].tobytes())] ^= 1
    path.write_bytes(bytes(data))
    tensor = open_source(path).tensors["kernel"]
    assert (tensor.shape, tensor.dtype) == ((6, 8), np.float32)
    assert str(path) in tensor.location
    with pytest.raises(SourceUnreadable, match="CRC32C"):
        tensor.load()


def test_an_unpacked_list_of_numbers_is_read_too(writer, tmp_path):
    """Protobuf allows it, though TensorFlow packs."""
    slices = writer.SlicesWriter()
    _, saved = slices.add("kernel", KERNEL[0])
    saved.data.ClearField("data")
    tensor = b"".join(b"\x2d" + value.tobytes() for value in KERNEL[0])
    body = saved.data.SerializeToString() + b"\x1a" + writer.varint(len(tensor)) + tensor
    message = b"\x12" + writer.varint(len(body)) + body
    pairs = {b"": slices.meta.SerializeToString(), next(iter(slices.saved)): message}
    (tmp_path / "model.ckpt").write_bytes(writer.table(list(pairs.items())))
    loaded = open_source(tmp_path / "model.ckpt").tensors["kernel"].load()
    assert np.array_equal(loaded, KERNEL[0])


EXTENTS = st.lists(
    st.tuples(st.integers(0, 2**40), st.integers(-1, 2**40)), min_size=2, max_size=2
)


@given(EXTENTS, EXTENTS)
def test_slice_keys_sort_as_their_extents_do(one, other):
    assert (slice_key("v", one) < slice_key("v", other)) == (one < other)


def test_a_slice_key_is_that_of_tensorflow(real):
    """As it stands in a file that TensorFlow wrote: rows 3 to 5 of ``scope/rows``, all columns."""
    key = slice_key("scope/rows", [(3, 2), (0, 4)])
    assert key == b"\x00scope/rows\x00\x01\x01\x02\x83\x82\x80\x84"
    stored = (real / "v2-partitioned" / "model.ckpt-1.index").read_bytes()
    assert b"\x83\x82\x80\x84" in stored
