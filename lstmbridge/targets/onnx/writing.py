"""A planned graph becomes a file: metadata, opset, and weights streamed one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

import lstmbridge
from lstmbridge.contracts import Expression
from lstmbridge.model.blocks import Model
from lstmbridge.targets.onnx.builder import Weight, elem_type
from lstmbridge.targets.onnx.network import Plan
from lstmbridge.targets.onnx.operators import OPERATORS
from lstmbridge.targets.onnx.streaming import HashingWriter, ahead
from lstmbridge.targets.onnx.wire import tensor_size, write_stream

OWN = "lstmbridge.onnx."
"""Before the keys of the metadata that the target itself adds."""
EXPRESSIONS = OWN + "expressions"

PROTOBUF_LIMIT = 2**31 - 2**20
"""Bytes of one protobuf message, less a margin for the graph itself."""
INLINE_BELOW = 1024
"""Tensors of fewer bytes stay in the model file even when the others are external."""
ALIGNMENT = 4096
"""Of external tensors, so that a runtime can map them."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the names of files beside the model's own, and that one's SHA-256."""

    beside: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Title:
    """What a graph is called in its file, and a line about it."""

    name: str
    text: str


def title_of(model: Model) -> Title:
    """Of a stack."""
    text = f"{len(model.layers)} recurrent layers of {model.name or 'a stack'}"
    return Title(model.name.replace("/", "_") or "stack", text)


def data_file(path: Path) -> Path:
    """The external-data file that may lie beside the model at `path`."""
    return path.with_name(path.name + ".data")


def write_model(
    plan: Plan, title: Title, path: Path, versions: tuple[int, int], metadata: Mapping[str, str]
) -> Written:
    """Write `plan` to `path` and, above protobuf's limit, its weights to `data_file(path)`.

    Args:
        plan: the graph.
        title: what the graph is called.
        path: where to.
        versions: opset, IR version.
        metadata: what the file carries beside the weights.
    """
    proto = _proto(plan, title, versions, metadata)
    total = sum(weight.nbytes for weight in plan.weights)
    if total <= PROTOBUF_LIMIT:
        return Written((), _write(path, proto, plan.weights, {}))
    places = _places(plan.weights)
    location = data_file(path).name
    digest = _write(path, proto, plan.weights, places, location)
    with data_file(path).open("wb") as file:
        for weight in plan.weights:
            if weight.name in places:
                file.seek(places[weight.name])
                for piece in ahead(_pieces(weight)):
                    file.write(piece)
    return Written((location,), digest)


def _proto(
    plan: Plan, title: Title, versions: tuple[int, int], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(plan.nodes),
        title.name,
        list(plan.inputs),
        list(plan.outputs),
        doc_string=title.text,
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", versions[0])],
        ir_version=versions[1],
        producer_name="lstmbridge",
        producer_version=lstmbridge.__version__,
    )
    own = {EXPRESSIONS: _expressions_json(plan.expressions), OWN + "gate_order": _orders(plan)}
    for key, value in sorted({**metadata, **own}.items()):
        proto.metadata_props.add(key=key, value=value)
    return proto


def _orders(plan: Plan) -> str:
    """How the gates lie in each recurrent operator that the graph uses, in ONNX's letters."""
    used = {node.op_type for node in plan.nodes}
    orders = {one.name: ", ".join(one.order.letters) for one in OPERATORS.values()}
    return "; ".join(f"{name}: {orders[name]}" for name in orders if name in used)


def _expressions_json(expressions: tuple[Expression, ...]) -> str:
    return json.dumps([[one.layer, one.how, one.detail] for one in expressions])


def _places(weights: tuple[Weight, ...]) -> dict[str, int]:
    """Offset of each external tensor."""
    places, at = {}, 0
    for weight in weights:
        if weight.nbytes >= INLINE_BELOW:
            places[weight.name] = at
            at += -(-weight.nbytes // ALIGNMENT) * ALIGNMENT
    return places


def _pieces(weight: Weight) -> Iterator[memoryview]:
    """The tensor's numbers as ONNX stores them: C order, little-endian."""
    for array in (weight.build(),) if weight.pieces is None else weight.pieces():
        whole = weight.pieces is None
        if array.dtype != weight.dtype or (whole and array.shape != weight.shape):
            raise ValueError(f"{weight.name}: promised {weight.shape}, built {array.shape}")
        if array.size:
            stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            yield stored.reshape(-1).view(np.uint8).data


def _tensor(weight: Weight, offset: int | None, location: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name=weight.name, dims=weight.shape, data_type=elem_type(weight.dtype)
    )
    if offset is not None:
        entries = {"location": location, "offset": str(offset), "length": str(weight.nbytes)}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def _write(
    path: Path,
    proto: onnx.ModelProto,
    weights: tuple[Weight, ...],
    places: Mapping[str, int],
    location: str = "",
) -> str:
    """Write the model file; returns its SHA-256."""
    inline = [weight for weight in weights if weight.name not in places]
    heads = [
        (
            _tensor(weight, places.get(weight.name), location),
            None if weight.name in places else weight.nbytes,
        )
        for weight in weights
    ]
    total = sum(tensor_size(head, size) for head, size in heads)
    raw = ahead(piece for weight in inline for piece in _pieces(weight))
    with path.open("wb", buffering=0) as file, closing(HashingWriter(file)) as sink:
        write_stream(sink, proto, heads, raw, total)
        return sink.sha256()
