"""Values of a foreign graph that depend on no input: exporters leave them as nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array
from lstmbridge.targets.onnx.reading import OnnxFile

_FOLDED = frozenset({
    "Add", "Cast", "Concat", "Gather", "Identity", "Neg", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators that give no more than goes in, and that exporters put before weights."""
_ZEROS_THROUGH = frozenset({
    "Cast", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
})  # fmt: skip
_REFUSALS = (
    ValueError, TypeError, IndexError, KeyError, RuntimeError, AttributeError, AssertionError,
    NotImplementedError,
)  # fmt: skip
"""What onnx's reference evaluator raises for nodes that it does not run."""
_DEEPEST = 64


class Constants:
    """The constants of one graph by name, each computed when it is first asked for."""

    def __init__(self, file: OnnxFile) -> None:
        self._file = file
        self._stored = {one.name for one in file.proto.graph.initializer}
        self._makers = {out: node for node in file.proto.graph.node for out in node.output if out}
        self._known: dict[str, Array | None] = {}

    def __getitem__(self, name: str) -> Array | None:
        """The numbers of `name`; None where they depend on an input, or are not understood."""
        return self._get(name, _DEEPEST)

    def _get(self, name: str, depth: int) -> Array | None:
        if name not in self._known:
            self._known[name] = self._find(name, depth)
        return self._known[name]

    def _find(self, name: str, depth: int) -> Array | None:
        if name in self._stored:
            return self._file.tensor(name)
        node = self._makers.get(name)
        if node is None or not depth:
            return None
        if node.op_type == "Constant":
            return _constant(node)
        if node.op_type not in _FOLDED:
            return None
        inputs = {one: self._get(one, depth - 1) for one in node.input if one}
        found = {key: value for key, value in inputs.items() if value is not None}
        return self._run(node, found, name) if len(found) == len(inputs) else None

    def _run(self, node: onnx.NodeProto, inputs: Mapping[str, Array], name: str) -> Array | None:
        from onnx.reference import ReferenceEvaluator

        outputs = [helper.make_empty_tensor_value_info(one) for one in node.output if one]
        named = [helper.make_empty_tensor_value_info(one) for one in inputs]
        graph = helper.make_graph([node], "constant", named, outputs)
        model = helper.make_model(graph, opset_imports=list(self._file.proto.opset_import))
        try:
            found = ReferenceEvaluator(model).run(None, dict(inputs))
        except _REFUSALS:
            return None
        by_name = dict(zip([one for one in node.output if one], list(found), strict=True))
        return np.asarray(by_name[name])

    def is_zero(self, name: str, depth: int = _DEEPEST) -> bool:
        """Whether `name` is zeros, of whatever shape: what exporters write for no state."""
        node = self._makers.get(name)
        if node is not None and depth and node.op_type == "ConstantOfShape":
            value = next((one.t for one in node.attribute if one.name == "value"), None)
            return value is None or not onnx.numpy_helper.to_array(value).any()
        known = self._get(name, depth)
        if known is not None:
            return not known.any()
        if node is not None and depth and node.op_type == "Concat":
            return all(self.is_zero(one, depth - 1) for one in node.input)
        through = node is not None and node.op_type in _ZEROS_THROUGH and bool(node.input)
        return bool(depth) and through and self.is_zero(node.input[0], depth - 1)  # type: ignore[union-attr]

    def ints(self, name: str) -> tuple[int, ...] | None:
        """A constant as integers: axes, a shape, indices; None where it is none."""
        value = self[name]
        if value is None or value.dtype.kind not in "iu":
            return None
        return tuple(int(n) for n in value.reshape(-1))


def _constant(node: onnx.NodeProto) -> Array | None:
    for one in node.attribute:
        if one.name == "value":
            try:
                return np.asarray(onnx.numpy_helper.to_array(one.t))
            except (ValueError, TypeError, OverflowError) as error:
                raise SourceUnreadable(
                    f"a node Constant cannot be read: {error}", where=node.output[0]
                ) from error
        if one.name in {"value_int", "value_float"}:
            return np.asarray(one.i if one.name == "value_int" else np.float32(one.f))
        if one.name in {"value_ints", "value_floats"}:
            listed = list(one.ints) if one.name == "value_ints" else list(one.floats)
            return np.asarray(listed, np.int64 if one.name == "value_ints" else np.float32)
    return None
