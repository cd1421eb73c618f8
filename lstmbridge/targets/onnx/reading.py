"""An ONNX file described from its bytes alone. Weights stay in the file until they are asked for.

Reads what `writing` writes, and any other ONNX file whose inputs and outputs carry the names of
an artifact: nothing here leans on what the writer knew.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.contracts import Artifact, Expression
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.model.signature import Signature, TensorSpec
from lstmbridge.targets.onnx.wire import Malformed, Span, skim
from lstmbridge.targets.onnx.writing import EXPRESSIONS, OWN

INITIAL = "initial_"
"""Inputs so named count as inputs even when the file holds a default for them."""


@dataclass(frozen=True)
class OnnxFile:
    """A mapped ONNX file: its graph, and each initializer's numbers on demand."""

    path: Path
    proto: onnx.ModelProto
    data: memoryview
    spans: Mapping[str, Span]

    def tensor(self, name: str) -> Array:
        """The numbers of the initializer `name`.

        Raises:
            SourceUnreadable: there is none, or its bytes do not fit its shape.
        """
        tensor = next((one for one in self.proto.graph.initializer if one.name == name), None)
        if tensor is None:
            raise SourceUnreadable(
                f"{self.path.name} has no initializer {name!r}", where=str(self.path)
            )
        dtype, dims = self._dtype(tensor), tuple(tensor.dims)
        raw, count = self._raw(tensor), prod(dims)
        if any(n < 0 for n in dims) or len(raw) != count * dtype.itemsize:
            raise SourceUnreadable(
                f"the initializer {name!r} holds {len(raw)} bytes",
                expected=f"the bytes of {list(dims)} {dtype}",
                where=str(self.path),
            )
        return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(dims)

    def external_files(self) -> tuple[str, ...]:
        """Names of the files beside this one that hold initializers."""
        names = {
            entry.value
            for tensor in self.proto.graph.initializer
            for entry in tensor.external_data
            if tensor.data_location == onnx.TensorProto.EXTERNAL and entry.key == "location"
        }
        # a name that is a path is refused when its numbers are asked for
        return tuple(sorted(name for name in names - {"", ".."} if Path(name).name == name))

    def _dtype(self, tensor: onnx.TensorProto) -> np.dtype[Any]:
        try:
            return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except KeyError as error:
            raise SourceUnreadable(
                f"the initializer {tensor.name!r} has the element type {tensor.data_type}",
                expected="a type of numbers",
                where=str(self.path),
            ) from error

    def _raw(self, tensor: onnx.TensorProto) -> memoryview:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor)
        span = self.spans.get(tensor.name)
        if span is None:
            return self._typed(tensor)
        return self.data[span.offset : span.offset + span.length]

    def _typed(self, tensor: onnx.TensorProto) -> memoryview:
        """Numbers that other writers put into typed fields instead of raw bytes."""
        try:
            array = onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceUnreadable(
                f"the initializer {tensor.name!r} cannot be read: {error}", where=str(self.path)
            ) from error
        return memoryview(array.astype(array.dtype.newbyteorder("<")).tobytes())

    def _external(self, tensor: onnx.TensorProto) -> memoryview:
        entries = {one.key: one.value for one in tensor.external_data}
        location = entries.get("location", "")
        file = self.path.with_name(location or "?")
        if not location or Path(location).name != location or not file.is_file():
            raise SourceUnreadable(
                f"the initializer {tensor.name!r} lies in the file {location!r}",
                expected=f"a file beside {self.path.name}",
                where=str(self.path),
                advice="keep the .data file in the folder of the .onnx file",
            )
        data = mapped(file)
        try:
            offset, length = int(entries.get("offset", "0")), int(entries["length"])
        except (KeyError, ValueError):
            offset, length = 0, len(data)
        if offset < 0 or length < 0 or offset + length > len(data):
            raise SourceUnreadable(
                f"the initializer {tensor.name!r} ends at byte {offset + length}",
                expected=f"at most the {len(data)} bytes of the file",
                where=str(file),
                advice="the data file is truncated or belongs to another model",
            )
        return data[offset : offset + length]


def mapped(path: Path) -> memoryview:
    """The file's bytes, mapped. The map lives as long as the view, and arrays cut from it.

    Raises:
        SourceUnreadable: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise SourceUnreadable(f"{path.name} cannot be read: {error}", where=str(path)) from error


def open_onnx(path: Path) -> OnnxFile | None:
    """The file at `path`; None when it is no ONNX file and does not claim to be one.

    Raises:
        SourceUnreadable: it is called ``.onnx`` and is not, or is cut off.
    """
    data = mapped(path)
    try:
        proto, spans = skim(data)
        _plausible(proto)
    except Malformed as error:
        if path.suffix != ".onnx":
            return None
        raise SourceUnreadable(
            f"{path.name} is no complete ONNX model: {error}",
            expected="an ONNX ModelProto",
            where=str(path),
            advice="convert the source again",
        ) from error
    return OnnxFile(path, proto, data, spans)


def _plausible(proto: onnx.ModelProto) -> None:
    if not proto.ir_version or not proto.opset_import or not proto.graph.node:
        raise Malformed("it has no IR version, no opset or no node")


def artifact_of(file: OnnxFile) -> Artifact:
    """What the file says about itself.

    Raises:
        SourceUnreadable: an input or output has no tensor type.
    """
    graph = file.proto.graph
    stored = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in stored or one.name.startswith(INITIAL)]
    signature = Signature(
        tuple(_spec(one, file.path, optional=one.name in stored) for one in inputs),
        tuple(_spec(one, file.path) for one in graph.output),
    )
    metadata = {one.key: one.value for one in file.proto.metadata_props}
    return Artifact(
        path=file.path,
        target="onnx",
        signature=signature,
        precision=_precision(signature),
        expressions=_expressions(metadata.get(EXPRESSIONS, "[]")),
        metadata={key: text for key, text in metadata.items() if not key.startswith(OWN)},
        beside=file.external_files(),
    )


def _spec(info: onnx.ValueInfoProto, path: Path, *, optional: bool = False) -> TensorSpec:
    kind = info.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError as error:
        raise SourceUnreadable(
            f"{info.name!r} has the element type {kind.elem_type}",
            expected="a tensor of numbers",
            where=str(path),
        ) from error
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"{info.name}_{k}"
        for k, dim in enumerate(kind.shape.dim)
    )
    return TensorSpec(info.name, shape, dtype, optional)


def _precision(signature: Signature) -> str:
    specs = (*signature.inputs, *signature.outputs)
    floats = [spec.dtype.name for spec in specs if spec.dtype.kind in "fV"]
    return floats[0] if floats else "float32"


def _expressions(text: str) -> tuple[Expression, ...]:
    with suppress(ValueError, TypeError):
        return tuple(Expression(*map(str, one)) for one in json.loads(text))
    return ()
