"""Random damage: the original's numbers, or one of our errors; never anything else."""

from __future__ import annotations

import contextlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmbridge.errors import SourceUnreadable
from lstmbridge.sources import open_source
from lstmbridge.sources.metagraph import graph_from_graphdef_bytes

CASES = ["v2-types", "v2-partitioned", "v1-types", "v1-partitioned"]
SETTINGS = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def numbers(folder):
    """All tensors of a checkpoint, as comparable values."""
    loaded = {}
    for name, tensor in open_source(folder).tensors.items():
        array = tensor.load()
        content = array.tolist() if array.dtype == object else array.tobytes()
        loaded[name] = (array.shape, str(array.dtype), content)
    return loaded


def files_of(folder):
    return sorted(p for p in folder.iterdir() if p.name not in {"expected.npz", "checkpoint"})


@pytest.fixture(scope="module")
def damaged(real, tmp_path_factory):
    """A function: the numbers of a checkpoint, one of whose files was passed through `spoil`."""
    folders = {name: tmp_path_factory.mktemp("fuzz") / name for name in CASES}
    for name, folder in folders.items():
        shutil.copytree(real / name, folder)
    originals = {name: numbers(real / name) for name in CASES}

    def check(name, which, spoil):
        path = files_of(folders[name])[which % len(files_of(folders[name]))]
        good = path.read_bytes()
        path.write_bytes(spoil(good))
        try:
            assert numbers(folders[name]) == originals[name]
        except SourceUnreadable as err:
            if not err.where:
                pytest.fail(f"no place in the message: {err}")
        finally:
            path.write_bytes(good)

    return check


@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(which=st.integers(0, 9), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_changes_nothing_or_is_noticed(damaged, name, which, at, bit):
    def flip(data):
        spoiled = bytearray(data)
        spoiled[at % len(data)] ^= 1 << bit
        return bytes(spoiled)

    damaged(name, which, flip)


@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(which=st.integers(0, 9), keep=st.integers(0, 10**6))
def test_a_truncated_file_is_noticed(damaged, name, which, keep):
    damaged(name, which, lambda data: data[: keep % len(data)])


@pytest.mark.parametrize("name", CASES)
@SETTINGS
@given(which=st.integers(0, 9), at=st.integers(0, 10**6), noise=st.binary(min_size=1, max_size=20))
def test_noise_in_a_file_changes_nothing_or_is_noticed(damaged, name, which, at, noise):
    def insert(data):
        start = at % len(data)
        return data[:start] + noise + data[start + len(noise) :]

    damaged(name, which, insert)


@SETTINGS
@given(data=st.data())
def test_bundle_entries_of_any_content_are_read_or_refused(writer, tmp_path, data):
    """Past the CRC: entries that are well-formed messages with arbitrary fields."""
    wide = st.sampled_from([0, 1, 3, 4, 48, 2**31 - 1, 2**40, 2**62, 2**63 - 1, -1, -(2**63)])
    narrow = st.sampled_from([0, 1, 2, 7, 19, 20, 2**31 - 1, -1])
    bundle = writer.BundleWriter()
    entry = bundle.add("kernel", np.arange(12, dtype=np.float32).reshape(3, 4))
    entry.dtype = data.draw(narrow)
    entry.shard_id = data.draw(st.sampled_from([0, 0, 0, 1, -1, 2**31 - 1]))
    entry.offset, entry.size = data.draw(wide), data.draw(wide)
    del entry.shape.dim[:]
    for size in data.draw(st.lists(wide, max_size=3)):
        entry.shape.dim.add(size=size)
    for start, length in data.draw(st.lists(st.tuples(wide, wide), max_size=2)):
        entry.slices.add().extent.add(start=start, length=length)
    prefix = bundle.write(tmp_path / "model.ckpt")
    with contextlib.suppress(SourceUnreadable):
        load_all(prefix)


@pytest.mark.parametrize("version", ["v1", "v2"])
@settings(SETTINGS, max_examples=150)
@given(
    change=st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=6), st.integers(0, 8))
)
def test_a_table_whose_writer_lied_is_read_or_refused(writer, tmp_path, version, change):
    """Past the CRC: a block of any content under a CRC that agrees with it."""
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    if version == "v1":
        made = writer.SlicesWriter()
        made.add("kernel", kernel[:1], extents=[(0, 1), (0, -1)], shape=(3, 4))
        made.add("kernel", kernel[1:], extents=[(1, 2), (0, -1)], shape=(3, 4))
        pairs = {key: saved.SerializeToString() for key, saved in made.saved.items()}
        pairs[b""] = made.meta.SerializeToString()
        contents, prefix = writer.block(sorted(pairs.items())), tmp_path / "model.ckpt"
    else:
        made = writer.BundleWriter()
        made.add_partitioned("kernel", kernel, [1])
        made.add_strings("names", [b"a", b"bc"], (2,))
        made.write_data(tmp_path / "model.ckpt")
        contents, prefix = writer.block(made.pairs()), tmp_path / "model.ckpt.index"
    at, noise, cut = change
    start = at % len(contents)
    spoiled = contents[:start] + noise + contents[start + cut :]
    table = writer.TableWriter()
    where = table.add(spoiled)
    prefix.write_bytes(table.finish(writer.block([(b"zzz", where)], 1)))
    with contextlib.suppress(SourceUnreadable):
        load_all(prefix)


def load_all(path):
    for tensor in open_source(path).tensors.values():
        assert tensor.load().shape == tensor.shape


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 10**6), noise=st.binary(min_size=1, max_size=8))
def test_a_spoiled_graph_is_read_or_refused(real, at, noise):
    good = (real / "graph" / "graph.pb").read_bytes()
    start = at % len(good)
    spoiled = good[:start] + noise + good[start + len(noise) :]
    with contextlib.suppress(SourceUnreadable):
        graph = graph_from_graphdef_bytes(spoiled, "here")
        for node in graph.nodes.values():
            for value in dict(node.attrs).values():
                if hasattr(value, "load"):
                    value.load()
