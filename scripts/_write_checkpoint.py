"""Write a TensorFlow V2 checkpoint without TensorFlow, for benchmarks that need one of any size.

The layout is that of tensor_bundle.proto over one table of uncompressed blocks: an index of
sorted names, and one data file with the arrays' little-endian bytes. lstmbridge only reads
checkpoints; this writer stays outside the package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np

MAGIC = 0xDB4775248B80FB57
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
VARINT, LENGTH, FIXED32 = 0, 2, 5


def varint(value: int) -> bytes:
    """Seven bits at a time, low first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, wire: int, payload: bytes) -> bytes:
    """One protobuf field."""
    body = varint(len(payload)) + payload if wire == LENGTH else payload
    return varint(number << 3 | wire) + body


def masked(crc: int) -> bytes:
    """A CRC as tables and bundles store it: rotated, so that CRCs of CRCs stay sound."""
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def entry(array: np.ndarray, offset: int, crc: int) -> bytes:
    """A BundleEntryProto."""
    shape = b"".join(
        field(2, LENGTH, field(1, VARINT, varint(size)) if size else b"") for size in array.shape
    )
    return b"".join(
        (
            field(1, VARINT, varint(DTYPES[array.dtype.name])),
            field(2, LENGTH, shape),
            field(4, VARINT, varint(offset)),
            field(5, VARINT, varint(array.nbytes)),
            field(6, FIXED32, masked(crc)),
        )
    )


def block(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Keys and values, none of them prefix-compressed, with one restart."""
    body = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in items
    )
    body += struct.pack("<II", 0, 1)
    return body + b"\0" + masked(google_crc32c.extend(google_crc32c.value(body), b"\0"))


def table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """One data block, an empty metaindex, an index of one line, and the footer."""
    items = list(items)
    data = block(items)
    meta = block([])
    handle = varint(0) + varint(len(data) - 5)
    index = block([(items[-1][0], handle)])
    footer = varint(len(data)) + varint(len(meta) - 5)
    footer += varint(len(data) + len(meta)) + varint(len(index) - 5)
    return data + meta + index + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_checkpoint(prefix: Path, variables: Mapping[str, np.ndarray]) -> None:
    """Write `prefix`.index and `prefix`.data-00000-of-00001, tensor by tensor."""
    items = [(b"", field(1, VARINT, varint(1)) + field(3, LENGTH, field(1, VARINT, varint(1))))]
    offset = 0
    with Path(f"{prefix}.data-00000-of-00001").open("wb") as data:
        for name in sorted(variables, key=str.encode):
            array = np.asarray(variables[name], order="C")
            raw = array.tobytes()
            data.write(raw)
            items.append((name.encode(), entry(array, offset, google_crc32c.value(raw))))
            offset += len(raw)
    Path(f"{prefix}.index").write_bytes(table(items))


def lstm_stack(layers: int, units: int, features: int, seed: int = 0) -> dict[str, np.ndarray]:
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
