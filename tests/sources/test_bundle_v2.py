"""V2 checkpoints: numbers, laziness, byte orders, slices, strings."""

from __future__ import annotations

import gc

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source
from lstmbridge.sources.checkpoint import CheckpointSource
from lstmbridge.sources.locate import locate

KERNEL = np.random.default_rng(1).standard_normal((7, 12)).astype(np.float32)
DTYPES = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64", "bool", "complex64", "complex128", "bfloat16",
]  # fmt: skip


def of_dtype(name):
    dtype = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    return (KERNEL * 50).astype(np.complex64 if dtype.kind == "c" else np.float32).astype(dtype)


@pytest.mark.parametrize("name", ["v2-types", "v2-partitioned", "v2-object"])
def test_numbers_are_those_that_tensorflow_was_given(real, assert_numbers, name):
    source = CheckpointSource(locate(real / name))
    assert source.format == "TensorFlow checkpoint V2"
    assert_numbers(source.tensors, real / name)


def test_no_variable_is_missed_or_made_up(real):
    with np.load(real / "v2-partitioned" / "expected.npz") as expected:
        assert set(open_source(real / "v2-partitioned").tensors) == set(expected.files)


def test_an_object_graph_is_listed_and_is_one_string(real):
    source = CheckpointSource(locate(real / "v2-object"))
    tensor = source.tensors["_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert (tensor.shape, tensor.dtype) == ((), np.dtype(object))
    assert b"kernel" in tensor.load()[()]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("name", DTYPES)
def test_both_byte_orders_give_the_same_numbers(writer, tmp_path, name, big_endian):
    array = of_dtype(name)
    bundle = writer.BundleWriter(big_endian=big_endian)
    bundle.add("odd", np.array([True]))
    bundle.add("whole", array)
    bundle.add_partitioned("parts", array, [3, 5])
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    for key in ("whole", "parts"):
        loaded = source.tensors[key].load()
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.dtype.isnative
        assert loaded.tobytes() == array.tobytes()


@pytest.mark.parametrize("big_endian", [False, True])
def test_strings_come_back_in_both_byte_orders(writer, tmp_path, big_endian):
    strings = [b"", b"one", b"\x00\xff", b"x" * 300]
    bundle = writer.BundleWriter(big_endian=big_endian)
    bundle.add_strings("names", strings, (2, 2))
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    assert source.tensors["names"].load().reshape(-1).tolist() == strings


def test_a_damaged_string_is_noticed(writer, tmp_path):
    bundle = writer.BundleWriter()
    bundle.add_strings("names", [b"one", b"two"], (2,))
    bundle.data[0][-1] ^= 1
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    with pytest.raises(SourceUnreadable, match="CRC32C"):
        source.tensors["names"].load()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block_entries", [1, 2, 1000])
def test_slices_are_put_together_from_any_shard_and_block(writer, tmp_path, axis, block_entries):
    bundle = writer.BundleWriter(shards=3)
    bundle.add_partitioned("kernel", KERNEL, [2, 4, 5], axis, shards=[2, 0, 1, 2])
    bundle.add("bias", KERNEL[0], shard=1)
    source = open_source(bundle.write(tmp_path / "model.ckpt", block_entries=block_entries))
    assert np.array_equal(source.tensors["kernel"].load(), KERNEL)
    assert len(source.files) == 4


def test_slices_along_two_axes_are_put_together(writer, tmp_path):
    bundle = writer.BundleWriter()
    whole = bundle.add_partitioned("kernel", KERNEL, [])
    bundle.entries.clear()
    del whole.slices[:]
    for rows in ((0, 3), (3, 4)):
        for columns in ((0, 5), (5, 7)):
            piece = KERNEL[rows[0] : sum(rows), columns[0] : sum(columns)]
            bundle.add_slice(whole, "kernel", piece, [rows, columns])
    bundle.entries[b"kernel"] = whole
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    assert np.array_equal(source.tensors["kernel"].load(), KERNEL)


def test_names_of_every_kind_have_slices(writer, tmp_path):
    """The ordered code escapes bytes 00 and ff, and long extents take several bytes."""
    long = np.arange(70_000, dtype=np.int32)
    bundle = writer.BundleWriter()
    bundle.add_partitioned("ÿ/größe", KERNEL, [2])
    bundle.add_partitioned("long", long, [63, 64, 8191, 8192, 65_536])
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    assert np.array_equal(source.tensors["ÿ/größe"].load(), KERNEL)
    assert np.array_equal(source.tensors["long"].load(), long)


def test_opening_and_listing_reads_no_weights(copied):
    folder = copied("v2-types")
    data = folder / "model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(data.stat().st_size))
    source = open_source(folder)
    assert source.tensors["numbers/float32"].shape == (3, 5)
    with pytest.raises(SourceUnreadable, match="CRC32C"):
        source.tensors["numbers/float32"].load()


def test_a_whole_tensor_is_a_view_of_the_file(writer, tmp_path):
    bundle = writer.BundleWriter()
    bundle.add("kernel", KERNEL)
    tensor = open_source(bundle.write(tmp_path / "model.ckpt")).tensors["kernel"]
    first, second = tensor.load(), tensor.load()
    assert np.shares_memory(first, second)
    assert not first.flags.owndata


def test_slices_are_put_together_once_while_the_result_is_in_use(real):
    tensor = open_source(real / "v2-partitioned").tensors["scope/rows"]
    first = tensor.load()
    assert tensor.load() is first


def test_arrays_outlive_their_source(writer, tmp_path):
    bundle = writer.BundleWriter()
    bundle.add("kernel", KERNEL)
    source = open_source(bundle.write(tmp_path / "model.ckpt"))
    array = source.tensors["kernel"].load()
    source.close()
    del source
    gc.collect()
    assert np.array_equal(array, KERNEL)


def test_a_boolean_other_than_0_and_1_is_true(writer, tmp_path):
    bundle = writer.BundleWriter()
    bundle.add_bytes("mask", 10, (3,), b"\x00\x01\x02")
    loaded = open_source(bundle.write(tmp_path / "m")).tensors["mask"].load()
    assert loaded.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("number", [20, 21, 77])
def test_types_without_numbers_are_listed_and_not_loaded(writer, tmp_path, number):
    bundle = writer.BundleWriter()
    bundle.add_bytes("handle", number, (2,), b"abcd")
    bundle.add("kernel", KERNEL)
    source = open_source(bundle.write(tmp_path / "m"))
    assert source.tensors["handle"].dtype.kind == "V"
    with pytest.raises(SourceUnreadable, match="holds no numbers"):
        source.tensors["handle"].load()
    assert np.array_equal(source.tensors["kernel"].load(), KERNEL)


def test_a_tensor_says_where_its_bytes_are(real):
    tensor = open_source(real / "v2-types").tensors["scalar"]
    assert "model.ckpt.data-00000-of-00001, byte " in tensor.location


def test_the_hash_covers_every_file(copied):
    folder = copied("v2-partitioned")
    before = open_source(folder).sha256()
    assert before == open_source(folder).sha256()
    shard = folder / "model.ckpt-1.data-00002-of-00003"
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    assert open_source(folder).sha256() != before
