"""What the hostile cases are made of: their register, and a good checkpoint to spoil."""

import numpy as np
from checkpoint_writer import BundleWriter, TableWriter, block

CASES = {}
FULL = 2**64 - 1
KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)


def case(says, *, when="open", source="model.ckpt"):
    """Register a case under its function's name."""

    def register(function):
        name = function.__name__.replace("_", "-")
        CASES[name] = (function, {"source": source, "when": when, "says": says})
        return function

    return register


def good():
    """A bundle of three tensors."""
    bundle = BundleWriter()
    bundle.add("rnn/bias", np.ones(4, np.float32))
    bundle.add("rnn/kernel", KERNEL)
    bundle.add("step", np.int64(7))
    return bundle


def write_good(folder):
    return good().write(folder / "model.ckpt")


def index_of(folder):
    return folder / "model.ckpt.index"


def data_of(folder):
    return folder / "model.ckpt.data-00000-of-00001"


def changed(folder, name="rnn/kernel", **fields):
    """A good bundle with fields of one entry changed."""
    bundle = good()
    for field, value in fields.items():
        setattr(bundle.entries[name.encode()], field, value)
    bundle.write(folder / "model.ckpt")


def reshaped(folder, shape):
    bundle = good()
    dims = bundle.entries[b"rnn/kernel"].shape
    dims.ClearField("dim")
    for size in shape:
        dims.dim.add(size=size)
    bundle.write(folder / "model.ckpt")


def raw_table(folder, contents, *, compression=0, last=b"zzz"):
    """An index with one data block of these bytes."""
    good().write_data(folder / "model.ckpt")
    writer = TableWriter()
    where = writer.add(contents, compression)
    index_of(folder).write_bytes(writer.finish(block([(last, where)], 1)))


def flip(path, at, bit=0):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(bytes(data))
