"""Write checkpoints byte by byte, for tests, benchmarks and hostile fixtures, without TensorFlow.

It writes what no TensorFlow at hand writes (big-endian bundles, Snappy blocks, many small
blocks), and what none should write. Messages are serialized with our own `.proto`; that these
are right is shown by the files in fixtures/ that TensorFlow wrote.
"""

import itertools

import google_crc32c
import numpy as np

from lstmbridge.sources.files import masked
from lstmbridge.sources.proto import checkpoint_pb2 as wire
from lstmbridge.sources.slices import slice_key
from lstmbridge.sources.table import MAGIC

TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8,
    "int64": 9, "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19,
    "uint32": 22, "uint64": 23,
}  # fmt: skip
STRING = 7


def varint(value):
    """Seven bits per byte."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def handle(offset, size):
    """A block handle."""
    return varint(offset) + varint(size)


def crc(data):
    """The masked CRC32C of `data`."""
    return masked(google_crc32c.value(bytes(data)))


def entry(shared, key, value):
    """One entry of a block; `key` without its shared prefix."""
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(entries, restart_interval=16):
    """A block of (key, value) pairs, with prefix compression."""
    out, restarts, previous = bytearray(), [], b""
    for k, (key, value) in enumerate(entries):
        shared = 0
        if k % restart_interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        out += entry(shared, key[shared:], value)
        previous = key
    return bytes(out) + restart_array(restarts or [0])


def restart_array(restarts):
    """The offsets at which keys stand whole, and their count."""
    return b"".join(n.to_bytes(4, "little") for n in (*restarts, len(restarts)))


class TableWriter:
    """Blocks one after another, then the index and the footer."""

    def __init__(self):
        self.data = bytearray()

    def add(self, contents, compression=0):
        """Append a block with its trailer; returns its encoded handle."""
        where = handle(len(self.data), len(contents))
        covered = contents + bytes([compression])
        self.data += covered + crc(covered).to_bytes(4, "little")
        return where

    def finish(self, index, footer=None):
        """Append metaindex, index block and footer; returns the file."""
        metaindex = self.add(block([]))
        handles = metaindex + self.add(index)
        body = handles if footer is None else footer
        return bytes(self.data) + body.ljust(40, b"\x00") + MAGIC.to_bytes(8, "little")


def table(entries, *, block_entries=1000, compress=None):
    """A table file of (key, value) pairs, sorted by key."""
    entries = sorted(entries)
    writer, index = TableWriter(), []
    for start in range(0, len(entries), block_entries):
        part = entries[start : start + block_entries]
        contents = block(part)
        where = writer.add(compress(contents), 1) if compress else writer.add(contents)
        index.append((part[-1][0], where))
    return writer.finish(block(index, 1))


def snappy(data):
    """A Snappy block: literals, and copies of what stood before, found greedily."""
    out, seen, at, literal = bytearray(varint(len(data))), {}, 0, 0

    def flush(end):
        for start in range(literal, end, 60):
            piece = data[start : min(start + 60, end)]
            out.append(len(piece) - 1 << 2)
            out.extend(piece)

    while at + 4 <= len(data):
        before = seen.get(data[at : at + 4])
        seen[data[at : at + 4]] = at
        if before is None or at - before > 0xFFFF:
            at += 1
            continue
        flush(at)
        size = 4
        while size < 64 and at + size < len(data) and data[before + size] == data[at + size]:
            size += 1
        out.append(size - 1 << 2 | 2)
        out.extend((at - before).to_bytes(2, "little"))
        at += size
        literal = at
    flush(len(data))
    return bytes(out)


def shape_proto(message, shape):
    """Fill a TensorShapeProto."""
    for size in shape:
        message.dim.add(size=size)


class BundleWriter:
    """A V2 checkpoint: entries to be changed at will before they are written."""

    def __init__(self, *, shards=1, big_endian=False):
        self.header = wire.BundleHeaderProto(num_shards=shards, endianness=int(big_endian))
        self.header.version.producer = 1
        self.entries = {}
        self.data = [bytearray() for _ in range(shards)]
        self._order = ">" if big_endian else "<"

    def add(self, name, array, shard=0, key=None):
        """Append a tensor; returns its entry, which may be changed."""
        array = np.asarray(array)
        stored = array.tobytes()
        if self._order == ">" and array.dtype.itemsize > 1:
            width = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
            stored = np.frombuffer(stored, np.uint8).reshape(-1, width)[:, ::-1].tobytes()
        return self.add_bytes(name, TYPES[str(array.dtype)], array.shape, stored, shard, key)

    def add_bytes(self, name, type_number, shape, stored, shard=0, key=None):
        """Append bytes as a tensor; returns its entry."""
        made = wire.BundleEntryProto(
            dtype=type_number,
            shard_id=shard,
            offset=len(self.data[shard]),
            size=len(stored),
            crc32c=crc(stored),
        )
        shape_proto(made.shape, shape)
        self.data[shard] += stored
        self.entries[name.encode() if key is None else key] = made
        return made

    def add_strings(self, name, strings, shape, shard=0):
        """Append byte strings; returns their entry."""
        order = "big" if self._order == ">" else "little"
        lengths = b"".join(len(s).to_bytes(4, order) for s in strings)
        checksum = crc(lengths).to_bytes(4, order)
        body = checksum + b"".join(strings)
        made = self.add_bytes(
            name, STRING, shape, b"".join(varint(len(s)) for s in strings) + body, shard
        )
        made.crc32c = crc(lengths + body)
        return made

    def add_partitioned(self, name, array, cuts, axis=0, shards=None):
        """Append a tensor in slices along one axis; returns the plain entry."""
        array = np.asarray(array)
        whole = wire.BundleEntryProto(dtype=TYPES[str(array.dtype)])
        shape_proto(whole.shape, array.shape)
        bounds = [0, *cuts, array.shape[axis]]
        for k, (start, stop) in enumerate(itertools.pairwise(bounds)):
            extents = [(0, -1)] * array.ndim
            extents[axis] = (start, stop - start)
            self.add_slice(whole, name, array.take(range(start, stop), axis), extents,
                           shards[k] if shards else 0)  # fmt: skip
        self.entries[name.encode()] = whole
        return whole

    def add_slice(self, whole, name, piece, extents, shard=0):
        """Append one slice, and list it in the plain entry `whole`."""
        listed = whole.slices.add()
        for start, length in extents:
            extent = listed.extent.add(start=start)
            if length != -1:
                extent.length = length
        return self.add(name, piece, shard, key=slice_key(name, extents))

    def pairs(self):
        """The entries as they go into the table."""
        serialized = {key: made.SerializeToString() for key, made in self.entries.items()}
        return [(b"", self.header.SerializeToString()), *sorted(serialized.items())]

    def write(self, prefix, **how):
        """Write index and shards beside `prefix`; `how` goes to `table`."""
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self.write_data(prefix)
        prefix.with_name(prefix.name + ".index").write_bytes(table(self.pairs(), **how))
        return prefix

    def write_data(self, prefix):
        """Write the shards alone."""
        prefix.parent.mkdir(parents=True, exist_ok=True)
        for k, data in enumerate(self.data):
            name = f"{prefix.name}.data-{k:05d}-of-{len(self.data):05d}"
            prefix.with_name(name).write_bytes(data)


def write_checkpoint(prefix, variables):
    """Write a V2 checkpoint of {name: array} at `prefix`, a Path; returns it."""
    bundle = BundleWriter()
    for name, array in variables.items():
        bundle.add(name, array)
    return bundle.write(prefix)


def lstm_stack(layers, units, features, seed=0):
    """Variables of a MultiRNNCell of BasicLSTMCells, of a trained network's magnitude."""
    rng = np.random.default_rng(seed)
    variables = {}
    for k in range(layers):
        rows = (features if k == 0 else units) + units
        scope = f"rnn/multi_rnn_cell/cell_{k}/basic_lstm_cell"
        kernel = rng.standard_normal((rows, 4 * units), np.float32) / np.float32(np.sqrt(rows))
        variables[f"{scope}/kernel"] = kernel
        variables[f"{scope}/bias"] = rng.uniform(-0.5, 0.5, 4 * units).astype(np.float32)
    return variables


class SlicesWriter:
    """A V1 checkpoint of one shard."""

    def __init__(self):
        self.meta = wire.SavedTensorSlices()
        self.saved = {}

    def add(self, name, array, field="float_val", *, extents=None, shape=None):
        """Append a tensor, or one slice of it; returns (its meta, its data message)."""
        array = np.asarray(array)
        shape = array.shape if shape is None else shape
        extents = [(0, -1)] * len(shape) if extents is None else extents
        meta = next((t for t in self.meta.meta.tensor if t.name == name), None)
        if meta is None:
            meta = self.meta.meta.tensor.add(name=name, type=TYPES[str(array.dtype)])
            shape_proto(meta.shape, shape)
        saved = wire.SavedTensorSlices()
        saved.data.name = name
        for listed in (meta.slice.add(), saved.data.slice):
            for start, length in extents:
                extent = listed.extent.add(start=start)
                if length != -1:
                    extent.length = length
        values = array.reshape(-1)
        if field == "half_val":
            values = values.view(np.uint16)
        getattr(saved.data.data, field).extend(values.tolist())
        self.saved[slice_key(name, extents)] = saved
        return meta, saved

    def write(self, path, **how):
        """Write the file; `how` goes to `table`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pairs = {key: saved.SerializeToString() for key, saved in self.saved.items()}
        pairs[b""] = self.meta.SerializeToString()
        path.write_bytes(table(list(pairs.items()), **how))
        return path
