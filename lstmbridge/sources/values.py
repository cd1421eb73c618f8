"""Numbers out of stored bytes and out of TensorProtos. Nothing here knows files or tables.

Results are read-only, in native byte order, and aligned for their dtype.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.sources.dtypes import name_of, numpy_dtype
from lstmbridge.sources.varint import read_varint

LARGEST_REPEATED = 1 << 31
"""Bytes that a TensorProto may unfold to by repeating its last value (protobuf's own limit)."""

_FIELDS: Mapping[str, str] = {
    "float32": "float_val",
    "float64": "double_val",
    "int32": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "qint8": "int_val",
    "quint8": "int_val",
    "qint16": "int_val",
    "quint16": "int_val",
    "qint32": "int_val",
    "string": "string_val",
    "complex64": "scomplex_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "bfloat16": "half_val",
    "complex128": "dcomplex_val",
    "float16": "half_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
"""In which field of a TensorProto the values of a data type stand (tensor.proto)."""

_FIELD_DTYPES: Mapping[str, str] = {
    "float_val": "<f4",
    "double_val": "<f8",
    "int_val": "<i4",
    "scomplex_val": "<f4",
    "int64_val": "<i8",
    "bool_val": "?",
    "dcomplex_val": "<f8",
    "half_val": "<i4",
    "uint32_val": "<u4",
    "uint64_val": "<u8",
}


def array_from_bytes(
    data: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], *, big_endian: bool = False
) -> Array:
    """Stored numbers as an array: a view of `data` where byte order and alignment allow it.

    Args:
        data: exactly the bytes of `shape` numbers, C order.
        dtype: any but object.
        shape: of the result.
        big_endian: how the numbers are stored.
    """
    flat = np.frombuffer(data, np.uint8)
    if dtype == np.bool_:
        # any byte but 0 is true; NumPy's own booleans may only be 0 and 1
        return frozen((flat != 0).reshape(shape))
    if big_endian != (sys.byteorder == "big") and dtype.itemsize > 1:
        parts = 2 if dtype.kind == "c" else 1
        width = dtype.itemsize // parts
        flat = flat.reshape(-1, width)[:, ::-1].reshape(-1)
    elif flat.size and flat.ctypes.data % dtype.alignment:
        flat = flat.copy()
    return frozen(flat.view(dtype).reshape(shape))


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> Array:
    """An array to be filled. Errors: SourceUnreadable when there is no memory for it."""
    try:
        return np.empty(shape, dtype)
    except MemoryError as err:
        raise SourceUnreadable(
            f"there is no memory for a {dtype} tensor of shape {shape}", where=where
        ) from err


def frozen(array: Array) -> Array:
    """The array, made read-only."""
    array.flags.writeable = False
    return array


def array_from_strings(items: list[bytes], shape: tuple[int, ...]) -> Array:
    """Byte strings as an array of objects."""
    array = np.empty(len(items), object)
    array[:] = items
    return frozen(array.reshape(shape))


def split_strings(data: memoryview, count: int, bits: int = 32) -> tuple[list[int], int]:
    """The lengths of `count` strings, as varints in front of them, and where these end.

    Raises:
        ValueError: they do not fit into `data`.
    """
    if count > len(data):
        raise ValueError(f"{len(data)} bytes cannot hold {count} strings")
    lengths, at = [], 0
    for _ in range(count):
        length, at = read_varint(data, at, len(data), bits=bits)
        lengths.append(length)
    return lengths, at


def cut_strings(data: memoryview, lengths: list[int]) -> list[bytes]:
    """`data` cut into strings of these lengths.

    Raises:
        ValueError: they do not fill `data` exactly.
    """
    if sum(lengths) != len(data):
        raise ValueError(f"strings of {sum(lengths)} bytes in {len(data)} bytes")
    items, at = [], 0
    for length in lengths:
        items.append(bytes(data[at : at + length]))
        at += length
    return items


def array_from_proto(
    proto: Any, type_number: int, shape: tuple[int, ...], where: str, *, repeat: bool
) -> Array:
    """The values of a TensorProto.

    Args:
        proto: the message; its own dtype and shape are not looked at.
        type_number: TensorFlow's number of the data type.
        shape: of the result; checked by the caller.
        where: for messages.
        repeat: TensorFlow's rule for constants: the last value stands for all that are
            missing, none for zeros, and values beyond the shape are not looked at. Otherwise
            the count must be exact.

    Errors: SourceUnreadable.
    """
    dtype = numpy_dtype(type_number)
    if dtype is None:
        raise SourceUnreadable(
            f"a tensor of type {name_of(type_number)} holds no numbers", where=where
        )
    count = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtype, shape, where)
    values = _listed_values(proto, name_of(type_number), dtype, where)
    if len(values) == count or (repeat and len(values) > count):
        return frozen(values[:count].reshape(shape))
    if not repeat:
        raise SourceUnreadable(
            f"a tensor of shape {shape} has {len(values)} stored values", where=where
        )
    return _repeated(values, dtype, shape, where)


def _from_content(
    content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], where: str
) -> Array:
    count, view = math.prod(shape), memoryview(content)
    if dtype == np.dtype(object):
        try:
            lengths, at = split_strings(view, count)
            return array_from_strings(cut_strings(view[at:], lengths), shape)
        except ValueError as err:
            raise SourceUnreadable(f"string values are broken: {err}", where=where) from err
    if len(view) != count * dtype.itemsize:
        raise SourceUnreadable(
            f"a {dtype} tensor of shape {shape} holds {len(view)} bytes",
            expected=f"{count * dtype.itemsize} bytes",
            where=where,
        )
    return array_from_bytes(view, dtype, shape)


def _listed_values(proto: Any, type_name: str, dtype: np.dtype[Any], where: str) -> Array:
    """The values as they are listed, one axis."""
    if dtype == np.dtype(object):
        return array_from_strings(list(proto.string_val), (len(proto.string_val),))
    if type_name.startswith("float8"):
        return np.frombuffer(proto.float8_val, dtype)
    field = _FIELDS[type_name]
    listed = np.array(getattr(proto, field), _FIELD_DTYPES[field])
    if field == "half_val":
        return listed.astype(np.uint16).view(dtype)
    if dtype.kind == "c":
        if len(listed) % 2:
            raise SourceUnreadable("complex values are not in pairs", where=where)
        return listed.view(dtype)
    return listed.astype(dtype, copy=False)


def _repeated(values: Array, dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> Array:
    count = math.prod(shape)
    if dtype == np.dtype(object):
        filler: Any = values[-1] if len(values) else b""
    else:
        filler = values[-1] if len(values) else np.zeros((), dtype)
    if len(values) <= 1 and dtype != np.dtype(object):
        return np.broadcast_to(filler, shape)
    if count * dtype.itemsize > LARGEST_REPEATED:
        raise SourceUnreadable(
            f"a constant of shape {shape} repeats {len(values)} values", where=where
        )
    out = new_array((count,), dtype, where)
    out[: len(values)] = values
    out[len(values) :] = filler
    return frozen(out.reshape(shape))
