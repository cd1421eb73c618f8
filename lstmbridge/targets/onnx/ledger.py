"""Weights read back from an ONNX file's own nodes, in the model's orientation.

A layer is found from its final states: the graph is walked back from ``layer0_h`` and
``layer0_c`` to the `LSTM`, `GRU`, `RNN` or `Scan` that gives them. What the writer knew is not
used; the model says how wide the blocks are and nothing else. A layer that cannot be found is
left out: whoever compares reports its blocks as missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Attachment, Layer, Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.folding import FOLDED, FORGET_BIAS, FORGET_GATE
from lstmbridge.targets.onnx.operators import OPERATORS, B, Operator, P, R, W
from lstmbridge.targets.onnx.reading import OnnxFile

Entries = dict[tuple[str, str, str], Array]
_RECURRENT = frozenset({"Scan", *(operator.name for operator in OPERATORS.values())})
_THROUGH = {"Squeeze": 0, "Gather": 0, "Where": 1, "MatMul": 0, "Identity": 0, "Cast": 0}
"""Operators between a recurrent node and a final state, and the input to follow."""


@dataclass(frozen=True)
class _Origin:
    """The recurrent node behind a final state.

    Attributes:
        node: one of ONNX's recurrent operators, or a `Scan`.
        output: which of its outputs.
        direction: row of the node's direction axis.
        factor: the initializer that a MatMul on the way multiplies by.
    """

    node: onnx.NodeProto
    output: int
    direction: int
    factor: str | None


class LedgerReader:
    """One file's graph, indexed by who makes which value."""

    def __init__(self, file: OnnxFile) -> None:
        self._file = file
        self._makers = {out: node for node in file.proto.graph.node for out in node.output if out}
        self._stored = {one.name for one in file.proto.graph.initializer}

    def read(self, model: Model) -> Entries:
        """Every block that the file's nodes hold, by (layer, block, gate).

        Raises:
            SourceUnreadable: a node's weights have no shape that the operator allows.
        """
        entries: Entries = {}
        for layer in model.layers:
            origins = {state: self._origin(layer.state_name(state)) for state in layer.cell.STATES}
            nodes = {id(one.node) for one in origins.values() if one is not None}
            if len(nodes) != 1 or None in origins.values():
                continue
            one = next(iter(origins.values()))
            operator = OPERATORS.get(layer.cell.KIND)
            if one is not None and one.node.op_type == "Scan":
                entries.update(self._scan(layer, one.node))
            elif one is not None and operator is not None and _says(operator, origins):
                entries.update(self._native(layer, operator, one))
        for attachment in model.attachments:
            entries.update(self._attached(attachment))
        return entries

    def _attached(self, attachment: Attachment) -> Entries:
        """The initializers of a block around cells that some node uses, by their names."""
        used = {name for node in self._file.proto.graph.node for name in node.input}
        names = {field: f"{attachment.name}/{field}" for field in attachment.block.weights}
        return {
            (attachment.name, field, ""): self._tensor(name)
            for field, name in names.items()
            if name in used & self._stored
        }

    def _origin(self, output: str) -> _Origin | None:
        direction, factor = 0, None
        for _ in range(len(self._makers) + 1):
            node = self._makers.get(output)
            if node is None:
                return None
            if node.op_type in _RECURRENT:
                return _Origin(node, list(node.output).index(output), direction, factor)
            if node.op_type not in _THROUGH or len(node.input) <= _THROUGH[node.op_type]:
                return None
            if node.op_type == "Gather":
                direction = int(self._tensor(node.input[1]))
            elif node.op_type == "MatMul":
                factor = node.input[1]
            output = node.input[_THROUGH[node.op_type]]
        return None

    def _tensor(self, name: str, ndim: int | None = None) -> Array:
        array = self._file.tensor(name)
        if ndim is not None and array.ndim != ndim:
            raise SourceUnreadable(
                f"the initializer {name!r} has {array.ndim} axes",
                expected=f"{ndim} axes",
                where=str(self._file.path),
            )
        return array

    def _native(self, layer: Layer, operator: Operator, origin: _Origin) -> Entries:
        key, cell, d, units = layer.name, layer.cell, origin.direction, layer.cell.units
        inputs = [*origin.node.input, *[""] * (P + 1)][: P + 1]
        w, r = self._tensor(inputs[W], 3), self._tensor(inputs[R], 3)
        entries: Entries = {}
        for name, fused in (("W", w), ("R", r)):
            self._check(operator, name, fused, d, len(operator.order.gates) * units)
        for k, gate in enumerate(operator.order.gates):
            rows = slice(k * units, (k + 1) * units)
            entries[key, "kernel", gate] = w[d, rows, : cell.input_size].T
            if origin.factor is None:
                entries[key, "recurrent", gate] = r[d, rows].T
            else:
                entries[key, FOLDED, gate] = r[d, rows].T
            if w.shape[2] > cell.input_size:
                entries[key, "recurrent", gate] = w[d, rows, cell.input_size :].T
        entries.update(self._bias(layer, operator, inputs[B], d, w.dtype))
        if operator.peephole is not None and inputs[P]:
            p = self._tensor(inputs[P], 2)
            self._check(operator, "P", p, d, len(operator.peephole.gates) * units)
            for k, gate in enumerate(operator.peephole.gates):
                entries[key, "peephole", gate] = p[d, k * units : (k + 1) * units]
        if origin.factor is not None:
            entries[key, "projection", ""] = self._tensor(origin.factor, 2)
        return entries

    def _bias(
        self, layer: Layer, operator: Operator, b: str, d: int, dtype: np.dtype[np.generic]
    ) -> Entries:
        """Wb is the stored bias, Rb what is kept apart from it; B left out is zeros."""
        cell, key, units, gates = layer.cell, layer.name, layer.cell.units, operator.order.gates
        width = 2 * len(gates) * units
        both = self._tensor(b, 2) if b else np.zeros((d + 1, width), dtype)
        self._check(operator, "B", both, d, width)
        apart = FORGET_BIAS if FORGET_BIAS in cell.facts else "recurrent_bias"
        entries: Entries = {}
        for k, gate in enumerate(gates if b else [g for g in gates if g in cell.GATES]):
            stored = both[d, k * units : (k + 1) * units]
            added = both[d, (len(gates) + k) * units :][:units]
            if "bias" in cell.blocks or stored.any():
                entries[key, "bias", gate] = stored
            asked = apart in cell.blocks or gate == FORGET_GATE or gate not in cell.GATES
            if asked or added.any():
                entries[key, apart, gate] = added
        return entries

    def _check(
        self, operator: Operator, name: str, tensor: Array, direction: int, width: int
    ) -> None:
        if direction >= tensor.shape[0] or tensor.shape[1] != width:
            raise SourceUnreadable(
                f"a node {operator.name} has a {name} of the shape {tensor.shape}",
                expected=f"at least {direction + 1} directions of {width}",
                where=str(self._file.path),
            )

    def _scan(self, layer: Layer, node: onnx.NodeProto) -> Entries:
        """The initializers that the body and the input product before it use, by their names."""
        cell, entries = layer.cell, Entries()
        captured = {name.rpartition("/")[2]: name for name in self._captured(node)}
        for field, groups in _labels(cell).items():
            for label, gates in groups.items():
                if label not in captured:
                    continue
                parts = np.split(self._tensor(captured[label]), len(gates), axis=-1)
                for gate, part in zip(gates, parts, strict=True):
                    entries[layer.name, field, gate] = part
        if "forget_bias" in captured:
            added = self._tensor(captured["forget_bias"])
            entries[layer.name, "forget_bias", ""] = np.broadcast_to(added, (cell.units,))
        return entries

    def _captured(self, node: onnx.NodeProto) -> Iterator[str]:
        body = next((one.g for one in node.attribute if one.name == "body"), onnx.GraphProto())
        names = {name for inner in body.node for name in inner.input}
        for value in node.input[len(body.output) - 1 :]:
            maker = self._makers.get(value)
            while maker is not None and maker.op_type in {"Add", "Concat", "MatMul"}:
                names.update(maker.input)
                # beyond the product lies what another layer gave
                past = maker.op_type == "MatMul"
                maker = None if past else self._makers.get(maker.input[0])
        yield from sorted(names & self._stored)


def _says(operator: Operator, origins: Mapping[str, _Origin | None]) -> bool:
    """Whether each state comes from where the operator gives it."""
    return all(
        one is not None
        and one.node.op_type == operator.name
        and state in operator.states
        and one.output == operator.output(state)
        for state, one in origins.items()
    )


def _labels(cell: Cell) -> dict[str, dict[str, tuple[str, ...]]]:
    """By field: what the equations call its arrays, and the gates side by side in each."""
    labels: dict[str, dict[str, tuple[str, ...]]] = {}
    for field, stored in cell.blocks.items():
        groups = cell.groups(field) if isinstance(stored, GateBlocks) else (("",),)
        labels[field] = {
            field
            if group == ("",) or len(group) == len(cell.GATES)
            else f"{field}_{''.join(group)}": group
            for group in groups
        }
    return labels
