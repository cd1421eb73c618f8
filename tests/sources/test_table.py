"""Tables: blocks, keys, compression, and what is read when."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources.files import MappedFile, crc32c, masked
from lstmbridge.sources.snappy import SnappyError, decompress
from lstmbridge.sources.table import Table, has_magic
from lstmbridge.sources.varint import read_varint

PAIRS = [(b"scope/layer_%04d/kernel" % k, bytes([k % 251]) * (k % 7)) for k in range(500)]


def written(writer, path, **how):
    path.write_bytes(writer.table(PAIRS, **how))
    return Table(MappedFile(path))


@pytest.mark.parametrize("block_entries", [1, 3, 16, 17, 1000])
def test_every_key_comes_back_in_order_however_many_blocks_hold_them(
    writer, tmp_path, block_entries
):
    table = written(writer, tmp_path / "t", block_entries=block_entries)
    assert [(key, bytes(value)) for key, value in table.entries()] == PAIRS


def test_blocks_compressed_with_snappy_are_read(writer, tmp_path):
    table = written(writer, tmp_path / "t", block_entries=100, compress=writer.snappy)
    assert [(key, bytes(value)) for key, value in table.entries()] == PAIRS


@pytest.mark.parametrize("block_entries", [1, 7, 1000])
def test_a_single_key_is_found_in_its_block(writer, tmp_path, block_entries):
    table = written(writer, tmp_path / "t", block_entries=block_entries)
    for key, value in PAIRS[::37]:
        assert bytes(table.get(key)) == value
    assert table.get(b"scope/layer_0001/kernel2") is None
    assert table.get(b"a") is None
    assert table.get(b"z") is None


def test_the_first_entry_comes_without_the_others(writer, tmp_path):
    assert written(writer, tmp_path / "t").first() == PAIRS[0]


def test_a_table_of_nothing_has_no_first_entry(writer, tmp_path):
    (tmp_path / "t").write_bytes(writer.table([]))
    table = Table(MappedFile(tmp_path / "t"))
    assert table.first() is None
    assert list(table.entries()) == []


def test_looking_up_one_key_reads_no_other_block(writer, tmp_path):
    """Damage in a block matters to those alone who read it."""
    path = tmp_path / "t"
    data = bytearray(writer.table(PAIRS, block_entries=100))
    data[10] ^= 1
    path.write_bytes(bytes(data))
    table = Table(MappedFile(path))
    assert bytes(table.get(PAIRS[-1][0])) == PAIRS[-1][1]
    with pytest.raises(SourceUnreadable, match="CRC32C"):
        table.get(PAIRS[0][0])


@pytest.mark.parametrize("size", [0, 1, 47, 48])
def test_a_short_file_has_no_magic(tmp_path, size):
    path = tmp_path / "t"
    path.write_bytes(bytes(size))
    assert not has_magic(MappedFile(path))
    with pytest.raises(SourceUnreadable, match="magic"):
        Table(MappedFile(path))


def test_the_crc_is_that_of_the_published_vectors():
    """RFC 3720, B.4; the masked form is LevelDB's."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"23456789", crc32c(b"1")) == 0xE3069283
    assert masked(0) == 0xA282EAD8


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_the_sum_of_its_groups(value):
    out, rest = bytearray(), value
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    assert read_varint(bytes(out), 0, len(out), bits=64) == (value, len(out))


@pytest.mark.parametrize(
    ("data", "bits"),
    [(b"", 64), (b"\x80", 64), (b"\xff" * 10, 64), (b"\xff" * 9 + b"\x02", 64), (b"\xff" * 5, 32)],
)
def test_a_varint_that_does_not_end_or_fit_is_refused(data, bits):
    with pytest.raises(ValueError, match="variable-length"):
        read_varint(data, 0, len(data), bits=bits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"kernel", b"bias", b"\x00" * 70, b"x"]), max_size=40))
def test_snappy_gives_back_what_was_compressed(writer, pieces):
    data = b"".join(pieces)
    assert decompress(writer.snappy(data)) == data


def test_snappy_reads_every_kind_of_element():
    """By hand from the format's description: short and long literals, copies of 1, 2, 4 bytes."""
    long = bytes(range(256)) + b"!" * 4
    block = (
        bytes([0xA6, 0x02])  # 294 bytes
        + bytes([61 << 2]) + (len(long) - 1).to_bytes(2, "little") + long
        + bytes([(4 - 4) << 2 | 1, 4])  # 4 from 4 back
        + bytes([(10 - 1) << 2 | 2]) + (1).to_bytes(2, "little")  # 10 from 1 back: a run
        + bytes([(20 - 1) << 2 | 3]) + (274).to_bytes(4, "little")  # 20 from the start
    )  # fmt: skip
    assert decompress(block) == long + b"!!!!" + b"!" * 10 + bytes(range(20))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_snappy_of_noise_is_refused_or_bounded(data):
    with contextlib.suppress(SnappyError):
        assert len(decompress(data)) <= 22 * len(data)
