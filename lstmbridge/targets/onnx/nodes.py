"""A recurrent node of any tool -> cells, one for each direction. The writer is not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from lstmbridge.gates import Array, GateBlocks, GateOrder
from lstmbridge.model.cells import GRU, LSTM, RNN, Cell
from lstmbridge.model.facts import Fact
from lstmbridge.targets.onnx.activations import NATIVE
from lstmbridge.targets.onnx.constants import Constants
from lstmbridge.targets.onnx.operators import OPERATORS, B, Operator, P, R, W

DIRECTIONS: Mapping[str, tuple[str, ...]] = {
    "forward": ("fw",),
    "reverse": ("bw",),
    "bidirectional": ("fw", "bw"),
}
"""ONNX's attribute -> the directions of one node, in the order of its weights."""
READ = frozenset(operator.name for operator in OPERATORS.values())
"""Operators that are read."""


class NotRead(Exception):
    """Why a node is not a cell that we know."""


@dataclass(frozen=True, eq=False)
class ReadNode:
    """A recurrent node as cells.

    Attributes:
        cells: one for each direction.
        directions: ``"fw"`` or ``"bw"``, beside `cells`.
        batch_first: the node's own layout 1.
        numbers: how many stored numbers the cells account for.
    """

    cells: tuple[Cell, ...]
    directions: tuple[str, ...]
    batch_first: bool
    numbers: int


def name_of(node: onnx.NodeProto) -> str:
    """What a person calls the node."""
    return f"{node.op_type} {node.name!r}" if node.name else f"{node.op_type} -> {node.output[0]}"


def read_node(node: onnx.NodeProto, constants: Constants) -> ReadNode:
    """The cells of one `LSTM`, `GRU` or `RNN`.

    Raises:
        NotRead: a weight is no constant, a shape is impossible, or an attribute says what no
            cell of ours does.
    """
    # CoupledLSTM is said by LSTM too; the plain one is what is read
    operator = OPERATORS[node.op_type]
    said = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    directions = DIRECTIONS.get(_text(said.get("direction", b"forward")))
    if directions is None:
        raise NotRead(f"it has the direction {said['direction']!r}")
    if said.get("clip"):
        raise NotRead(f"clip = {said['clip']:g} bounds the sums of its gates, not the cell state")
    if said.get("input_forget"):
        raise NotRead("input_forget couples its gates")
    inputs = [*node.input, *[""] * (P + 1)][: P + 1]
    w, r = _weights(constants, inputs[W], "W"), _weights(constants, inputs[R], "R")
    units = r.shape[2]
    rows = len(operator.order.gates) * units
    if w.shape[:2] != (len(directions), rows) or r.shape[:2] != w.shape[:2]:
        raise NotRead(f"W {w.shape} and R {r.shape} do not fit {len(directions)} x {rows} rows")
    b = _optional(constants, inputs[B], (len(directions), 2 * rows), w.dtype)
    peephole = None
    if operator.peephole is not None and inputs[P]:
        wide = (len(directions), len(operator.peephole.gates) * units)
        peephole = _optional(constants, inputs[P], wide, w.dtype)
    activations = _activations(operator, said, len(directions))
    cells = []
    for d in range(len(directions)):
        made: dict[str, Any] = {
            "kernel": _blocks(w[d], operator.order, units),
            "recurrent": _blocks(r[d], operator.order, units),
            "bias": _blocks(b[d, :rows], operator.order, units),
            "recurrent_bias": _blocks(b[d, rows:], operator.order, units),
            "peephole": None
            if peephole is None or operator.peephole is None
            else _blocks(peephole[d], operator.peephole, units),
        }
        facts = dict(zip(operator.activations, activations[d], strict=True))
        cells.append(_cell(node, made, facts, reset_after=bool(said.get("linear_before_reset"))))
    stored = [w, r, *([b] if inputs[B] else []), *([] if peephole is None else [peephole])]
    return ReadNode(
        tuple(cells), directions, bool(said.get("layout")), sum(one.size for one in stored)
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _weights(constants: Constants, name: str, what: str) -> Array:
    found = constants[name] if name else None
    if found is None or found.ndim != 3 or 0 in found.shape:
        raise NotRead(f"its {what} is no constant of three axes")
    return found


def _optional(
    constants: Constants, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    if not name:
        return np.zeros(shape, dtype)
    found = constants[name]
    if found is None or found.shape != shape:
        raise NotRead(f"{name!r} is no constant of the shape {shape}")
    return found


def _blocks(fused: Array, order: GateOrder, units: int) -> GateBlocks:
    """Rows by gate, in the model's orientation."""
    return GateBlocks.of(
        {g: fused[k * units : (k + 1) * units].T for k, g in enumerate(order.gates)}
    )


def _activations(
    operator: Operator, said: Mapping[str, Any], directions: int
) -> list[tuple[str, ...]]:
    """For each direction, our names of the activations in the operator's order."""
    width = len(operator.defaults)
    names = [_text(one) for one in said.get("activations", ())]
    if not names:
        return [operator.defaults] * directions
    if len(names) != width * directions:
        raise NotRead(f"it names {len(names)} activations for {width * directions}")
    known = {one.name.lower(): ours for ours, one in NATIVE.items()}
    ours = [known.get(name.lower()) for name in names]
    if None in ours:
        raise NotRead(f"the activation {names[ours.index(None)]} has no name here")
    found = [str(one) for one in ours]
    for which in ("alpha", "beta"):
        values = [getattr(NATIVE[one], which) for one in found]
        wanted = [one for one in values if one is not None]
        given = said.get(f"activation_{which}")
        if given is not None and not np.allclose(list(given), wanted if given else []):
            raise NotRead(f"activation_{which} {list(given)} is not {wanted}")
    each = [tuple(found[d * width : (d + 1) * width]) for d in range(directions)]
    if any(len(set(one[1:])) > 1 for one in each):
        raise NotRead(f"its activations {', '.join(names)} differ between candidate and output")
    return each


def _cell(
    node: onnx.NodeProto, made: dict[str, Any], facts: dict[str, str], *, reset_after: bool
) -> Cell:
    where = name_of(node)
    said: dict[str, Any] = {name: Fact.read(value, where) for name, value in facts.items()}
    if node.op_type == "RNN":
        return RNN(made["kernel"], made["recurrent"], _sum(made), **said)
    if node.op_type == "GRU":
        apart = made["recurrent_bias"] if reset_after and _any(made["recurrent_bias"]) else None
        return GRU(
            made["kernel"],
            made["recurrent"],
            made["bias"] if reset_after else _sum(made),
            recurrent_bias=apart,
            reset_after=Fact.read(reset_after, where),
            **said,
        )
    added = forget_bias_in(made["recurrent_bias"])
    return LSTM(
        made["kernel"],
        made["recurrent"],
        _sum(made) if added is None else made["bias"],
        forget_bias=Fact.read(added or 0.0, where),
        cell_clip=Fact.read(None, where),
        proj_clip=Fact.read(None, where),
        peephole=made["peephole"],
        **said,
    )


def forget_bias_in(added: GateBlocks) -> float | None:
    """The forget bias, where `added` is nothing but one number for the whole gate f.

    None where it is more than that: part of the bias.
    """
    gate = added["f"]
    others: Sequence[str] = [g for g in added if g != "f"]
    if any(np.any(added[g]) for g in others) or np.any(gate != gate[0]):
        return None
    return float(gate[0])


def _any(blocks: GateBlocks) -> bool:
    return any(bool(np.any(blocks[gate])) for gate in blocks)


def _sum(made: Mapping[str, GateBlocks]) -> GateBlocks:
    """Both biases as one: only their sum matters, taken without rounding."""
    bias, added = made["bias"], made["recurrent_bias"]
    if not _any(added):
        return bias
    return GateBlocks.of(
        {g: bias[g].astype(np.float64) + added[g].astype(np.float64) for g in bias}
    )
