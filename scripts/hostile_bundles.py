"""Hostile tables and V2 checkpoints; see make_hostile.py."""

from checkpoint_writer import (
    STRING,
    BundleWriter,
    SlicesWriter,
    TableWriter,
    block,
    entry,
    handle,
    restart_array,
    table,
    varint,
)
from hostile_kit import (
    FULL,
    KERNEL,
    case,
    changed,
    data_of,
    flip,
    good,
    index_of,
    raw_table,
    reshaped,
    write_good,
)

# --- damage ---------------------------------------------------------------------------------


@case("does not end with a table's magic number")
def truncated_index(folder):
    write_good(folder)
    index_of(folder).write_bytes(index_of(folder).read_bytes()[:-9])


@case("the file has 50")
def truncated_data(folder):
    write_good(folder)
    data_of(folder).write_bytes(data_of(folder).read_bytes()[:50])


@case("a block's CRC32C does not agree")
def flipped_index(folder):
    write_good(folder)
    flip(index_of(folder), 20)


@case("have CRC32C", when="load")
def flipped_data(folder):
    write_good(folder)
    flip(data_of(folder), 20, 3)


@case("shard 1 of 2 is missing")
def missing_shard(folder):
    bundle = BundleWriter(shards=2)
    bundle.add("a", KERNEL, 0)
    bundle.add("b", KERNEL, 1)
    bundle.write(folder / "model.ckpt")
    (folder / "model.ckpt.data-00001-of-00002").unlink()


@case("shard 0 of 2 is missing", source="model.ckpt-00001-of-00002")
def missing_v1_shard(folder):
    slices = SlicesWriter()
    slices.add("a", KERNEL)
    slices.write(folder / "model.ckpt-00001-of-00002")


@case("the index's keys do not ascend")
def unsorted_index(folder):
    writer = TableWriter()
    one = writer.add(block([(b"", good().header.SerializeToString())]))
    two = writer.add(block([(b"a", b"")]))
    contents = block([(b"b", one), (b"a", two)], 1)
    index_of(folder).write_bytes(writer.finish(contents))


# --- tables ---------------------------------------------------------------------------------


@case("names a block at")
def huge_handle(folder):
    writer = TableWriter()
    index_of(folder).write_bytes(writer.finish(block([], 1), handle(0, 8) + handle(FULL, FULL)))


@case("does not fit into 64 bits")
def endless_varint(folder):
    writer = TableWriter()
    index_of(folder).write_bytes(writer.finish(block([], 1), b"\xff" * 40))


@case("two blocks overlap")
def looping_blocks(folder):
    writer = TableWriter()
    where = writer.add(block([(b"", good().header.SerializeToString())]))
    many = [(b"%06d" % k, where) for k in range(200)]
    index_of(folder).write_bytes(writer.finish(block(many, 1)))


@case("names a block at")
def index_in_itself(folder):
    writer = TableWriter()
    first = writer.add(block([(b"", good().header.SerializeToString())]))
    start = len(writer.data) + len(block([])) + 5
    index = block([(b"a", first), (b"b", handle(start, 30))], 1)
    index_of(folder).write_bytes(writer.finish(index))


@case("a key shares 9 bytes of 0")
def prefix_of_nothing(folder):
    raw_table(folder, entry(9, b"a", b"") + restart_array([0]))


@case("unfold beyond all measure")
def unfolding_keys(folder):
    out = bytearray(entry(0, b"\x01" * 3000, b""))
    for k in range(300):
        out += entry(3000 + k, b"\x01", b"")
    raw_table(folder, entry(0, b"", b"\x08\x01") + bytes(out) + restart_array([0]))


@case("a key shares")
def endless_key(folder):
    out = entry(0, b"", b"\x08\x01") + varint(0) + varint(2**32 - 1) + varint(0)
    raw_table(folder, out + restart_array([0]))


@case("goes past the end of its block")
def endless_value(folder):
    out = varint(0) + varint(0) + varint(2**32 - 1)
    raw_table(folder, out + restart_array([0]))


@case("states 4294967295 restarts")
def endless_restarts(folder):
    raw_table(folder, entry(0, b"", b"\x08\x01") + b"\xff\xff\xff\xff")


@case("follows")
def duplicate_key(folder):
    good_entries = good().pairs()
    contents = block([*good_entries, good_entries[-1]], 1)
    raw_table(folder, contents)


@case("compression is 7")
def unknown_compression(folder):
    raw_table(folder, block(good().pairs()), compression=7)


@case("cannot hold 4294967295 bytes")
def snappy_bomb(folder):
    raw_table(folder, varint(2**32 - 1) + b"\x00a", compression=1)


@case("reaches 9 bytes back")
def snappy_copy_from_nowhere(folder):
    raw_table(folder, varint(10) + b"\x04ab" + bytes([7 << 2 | 2, 9, 0]), compression=1)


# --- bundles --------------------------------------------------------------------------------


@case("no valid header")
def no_header(folder):
    bundle = good()
    index = table(bundle.pairs()[1:])
    bundle.write_data(folder / "model.ckpt")
    index_of(folder).write_bytes(index)


@case("2147483647 shards")
def two_billion_shards(folder):
    bundle = good()
    bundle.header.num_shards = 2**31 - 1
    bundle.write(folder / "model.ckpt")


@case("no valid header")
def unknown_endianness(folder):
    bundle = good()
    bundle.header.endianness = 5
    bundle.write(folder / "model.ckpt")


@case("asks for version 99")
def version_of_the_future(folder):
    bundle = good()
    bundle.header.version.min_consumer = 99
    bundle.write(folder / "model.ckpt")


@case("an entry lies in shard 3 of 1")
def shard_out_of_range(folder):
    changed(folder, shard_id=3)


@case("an entry lies in shard -1 of 1")
def negative_shard(folder):
    changed(folder, shard_id=-1)


@case("contradicts itself")
def negative_offset(folder):
    changed(folder, offset=-8)


@case("the file has 72")
def offset_beyond_the_file(folder):
    changed(folder, offset=2**63 - 1)


@case("its entry states 4611686018427387904")
def size_of_another_shape(folder):
    changed(folder, size=2**62)


@case("overlap")
def overlapping_tensors(folder):
    changed(folder, offset=8)


@case("none negative")
def negative_axis(folder):
    reshaped(folder, (-3, -4))


@case("declares the shape (1099511627776, 1099511627776)")
def overflowing_shape(folder):
    reshaped(folder, (2**40, 2**40))


@case("declares the shape (1152921504606846976, 1152921504606846976, 0)")
def overflow_behind_a_zero(folder):
    reshaped(folder, (2**60, 2**60, 0))


@case("of 5000 axes")
def five_thousand_axes(folder):
    reshaped(folder, (1,) * 5000)


@case("BundleEntryProto")
def entry_of_noise(folder):
    pairs = good().pairs()
    pairs[1] = (pairs[1][0], b"\xff\xff\xff\xff\xff")
    good().write_data(folder / "model.ckpt")
    index_of(folder).write_bytes(table(pairs))


@case("is not UTF-8")
def name_of_noise(folder):
    pairs = [*good().pairs(), (b"\xff\xfe", good().pairs()[1][1])]
    good().write_data(folder / "model.ckpt")
    index_of(folder).write_bytes(table(pairs))


@case("cannot hold", when="load")
def four_billion_strings(folder):
    bundle = BundleWriter()
    bundle.add_bytes("names", STRING, (2**32,), b"\x01\x01aabb")
    bundle.write(folder / "model.ckpt")


@case("are broken", when="load")
def endless_string(folder):
    bundle = BundleWriter()
    bundle.add_bytes("names", STRING, (1,), varint(2**63) + b"\x00\x00\x00\x00a")
    bundle.write(folder / "model.ckpt")


@case("holds no numbers", when="load")
def type_of_the_future(folder):
    changed(folder, dtype=77)


def partitioned():
    bundle = BundleWriter()
    whole = bundle.add_partitioned("rnn/kernel", KERNEL, [1])
    return bundle, whole


@case("is missing")
def missing_slice(folder):
    bundle, _ = partitioned()
    del bundle.entries[min(bundle.entries)]
    bundle.write(folder / "model.ckpt")


@case("belong to no variable")
def slice_of_nothing(folder):
    bundle, _ = partitioned()
    del bundle.entries[b"rnn/kernel"]
    bundle.write(folder / "model.ckpt")


@case("12 numbers of 16")
def slices_that_leave_a_gap(folder):
    bundle, whole = partitioned()
    whole.shape.dim[0].size = 4
    bundle.write(folder / "model.ckpt")


@case("or overlap")
def overlapping_slices(folder):
    bundle = BundleWriter()
    whole = bundle.add_partitioned("rnn/kernel", KERNEL, [1])
    bundle.add_slice(whole, "rnn/kernel", KERNEL[:1], [(1, 1), (0, -1)])
    whole.shape.dim[0].size = 4
    bundle.write(folder / "model.ckpt")


@case("the axis has 3")
def slice_beyond_its_axis(folder):
    bundle, whole = partitioned()
    whole.slices[1].extent[0].start = 2**40
    bundle.write(folder / "model.ckpt")


@case("1 axes, its tensor 2")
def slice_of_another_rank(folder):
    bundle, whole = partitioned()
    del whole.slices[0].extent[1]
    bundle.write(folder / "model.ckpt")
