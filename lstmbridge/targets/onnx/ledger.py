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
from lstmbridge.targets.onnx.operators import OPERATORS, STATES, B, Operator, P, R, W, X
from lstmbridge.targets.onnx.reading import OnnxFile

Entries = dict[tuple[str, str, str], Array]
_PRODUCT = frozenset({"Add", "Concat", "MatMul"})
"""Operators of an input product, each with what it is made of as its first input."""
_UNASKED = frozenset({"clip", "input_forget", "layout"})
"""Attributes of a recurrent operator that this target never writes."""
_RECURRENT = frozenset({"Scan", *(operator.name for operator in OPERATORS.values())})
_THROUGH = {
    "Squeeze": 0,
    "Gather": 0,
    "GatherND": 0,
    "Where": 1,
    "MatMul": 0,
    "Reshape": 0,
    "Identity": 0,
    "Cast": 0,
}
"""Operators between a recurrent node and a final state, and the input to follow."""

_SPREADS = frozenset({"Cast", "Concat", "Expand", "Pad", "Unsqueeze"})
"""Operators between a stored row and an initial state of all rows and directions."""


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
                entries.update(self._begun(layer, one.node, tuple(layer.cell.state_sizes)))
            elif one is not None and operator is not None and _says(operator, origins):
                entries.update(self._native(layer, operator, one))
                entries.update(self._begun(layer, one.node, operator.states, one))
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
        direction: int | None = None
        factor = None
        for _ in range(len(self._makers) + 1):
            node = self._makers.get(output)
            if node is None:
                return None
            if node.op_type in _RECURRENT:
                return _Origin(node, list(node.output).index(output), direction or 0, factor)
            if node.op_type not in _THROUGH or len(node.input) <= _THROUGH[node.op_type]:
                return None
            if node.op_type == "Gather" and direction is None:
                direction = int(self._tensor(node.input[1]))
            elif node.op_type == "MatMul":
                factor = node.input[1]
            output = node.input[_THROUGH[node.op_type]]
        return None

    def _begun(
        self,
        layer: Layer,
        node: onnx.NodeProto,
        states: tuple[str, ...],
        native: _Origin | None = None,
    ) -> Entries:
        """What states begin with, where that is a stored row and not plain zeros."""
        entries: Entries = {}
        inputs = [*node.input, *[""] * (P + 1)]
        for place, state in enumerate(states, 0 if native is None else STATES):
            value = inputs[place]
            if native is not None and native.factor is not None and state == "h":
                value = self._beside_x(inputs[X])
            row = self._row(value, 0 if native is None else native.direction)
            if row is not None and (state in layer.initial or row.any()):
                entries[layer.name, f"initial_{state}", ""] = row
        return entries

    def _row(self, value: str, direction: int) -> Array | None:
        """The one stored row behind an initial state; None where it is fed, or made of zeros."""
        for _ in range(len(self._makers) + 1):
            if value in self._stored:
                rows = self._tensor(value)
                return rows[0] if rows.ndim == 2 and len(rows) == 1 else rows
            node = self._makers.get(value)
            if node is None or node.op_type not in _SPREADS:
                return None
            both = node.op_type == "Concat"
            if both and direction >= len(node.input):
                return None
            value = node.input[direction if both else 0]
        return None

    def _beside_x(self, x: str) -> str:
        """What stands beside the input's first step: the h of a projected cell."""
        beside = self._makers.get(x)
        if beside is None or beside.op_type != "Concat" or len(beside.input) != 2:
            return ""
        pad = self._makers.get(beside.input[1])
        return pad.output[0] if pad is not None and pad.op_type == "Pad" else ""

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
        entries.update(_unasked(key, origin.node))
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
        scanned = next((one.i for one in node.attribute if one.name == "num_scan_inputs"), 0)
        for value in node.input[len(node.input) - scanned :]:
            maker = self._makers.get(value)
            while maker is not None and maker.op_type in _PRODUCT:
                names.update(maker.input)
                # beyond the product lies what another layer gave
                past = maker.op_type == "MatMul"
                maker = None if past else self._makers.get(maker.input[0])
        yield from sorted(names & self._stored)


def _unasked(layer: str, node: onnx.NodeProto) -> Entries:
    """Attributes that no model of ours asks for and that change the numbers of some inputs.

    A verifier finds them among what the source does not have: probes alone need not reach a
    clip, say.
    """
    numbers = {one.name: one.f or one.i for one in node.attribute if one.name in _UNASKED}
    return {
        (layer, f"attribute {name}", ""): np.array([value])
        for name, value in numbers.items()
        if value or name == "clip"
    }


def _says(operator: Operator, origins: Mapping[str, _Origin | None]) -> bool:
    """Whether each state comes from where the operator gives it; h may be one of its outputs."""
    return all(
        one is not None
        and one.node.op_type == operator.name
        and state in operator.states
        and one.output in {operator.output(state), 0 if state == "h" else None}
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
