"""A cell over a sequence, drawn as a `While`: what Keras' own loop computes.

With lengths, a row's states hold and its outputs are zero past its end; masks that are no
prefix are dealt with around the loop (`masks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmbridge.adapters.keras.whole.drawing import Drawing, Value
from lstmbridge.adapters.keras.whole.steps import Drawn, step
from lstmbridge.graph.network import Tensor


@dataclass(frozen=True)
class Looped:
    """What a loop gave.

    Attributes:
        sequence: (batch, time, units), in the order in which it was stepped; None where nobody
            asked for it.
        finals: the last states.
        exits: state -> its tensor in the graph.
        name: the loop's.
    """

    sequence: Value | None
    finals: tuple[Value, ...]
    exits: Mapping[str, Tensor]
    name: str


def loop(
    d: Drawing,
    cell: Drawn,
    x: Value,
    initial: Sequence[Value | None],
    lengths: Value | None,
    *,
    sequence: bool,
) -> Looped:
    """Step `cell` over x (batch, time, features).

    Args:
        d: the drawing.
        cell: the cell.
        x: the sequence.
        initial: the states before the first step; None: zeros.
        lengths: (batch,) where rows end.
        sequence: whether every step's output is wanted.
    """
    rows, steps = d.dim(x, 0), d.dim(x, 1)
    time = d.lengths([steps])
    limit = d.node("Reshape", [time, d.constant([], "int")], "steps")
    shape = (x.shape[0], cell.units)
    zeros = d.node("Fill", [d.lengths([rows, cell.units]), d.number(0.0)], "zeros")
    starts = [zeros if value is None else value.name for value in initial]
    carried: dict[str, str] = {"t": d.constant(0, "int"), "limit": limit}
    if sequence:
        element = d.constant([-1, cell.units], "int")
        carried["list"] = d.node("TensorListReserve", [element, limit], "reserved",
                                 element_dtype=np.dtype(np.float32))  # fmt: skip
    carried |= dict(zip(cell.states, starts, strict=True))
    carried["x"] = x.name
    if lengths is not None:
        carried["lengths"] = lengths.name
    carried |= {f"w_{role}": value.name for role, value in cell.weights.items()}
    body, returns = _body(cell, x, shape, list(carried))
    test = Drawing()
    again = test.node("Less", ["t", "limit"], "again", T=np.dtype(np.int32))
    name = d.node(
        "While", list(carried.values()), "while",
        body=d.call("body", body, returns, list(carried)),
        cond=d.call("cond", test, [again], list(carried)),
    )  # fmt: skip
    places = {key: k for k, key in enumerate(carried)}
    finals = tuple(Value(f"{name}:{places[state]}", shape) for state in cell.states)
    exits = {state: (name, places[state]) for state in cell.states}
    made = None
    if sequence:
        stacked = d.op(
            "TensorListStack", [f"{name}:{places['list']}", d.constant([-1, cell.units], "int")],
            (x.shape[1], *shape), element_dtype=np.dtype(np.float32),
        )  # fmt: skip
        made = d.transpose(stacked, [1, 0, 2])
    return Looped(made, finals, exits, name)


def _body(
    cell: Drawn, x: Value, shape: tuple[int | None, int], names: Sequence[str]
) -> tuple[Drawing, list[str]]:
    """The body, and what it returns, variable by variable."""
    b = Drawing()
    weights = {role: Value(f"w_{role}", value.shape) for role, value in cell.weights.items()}
    now = b.op("GatherV2", ["x", "t", b.constant(1, "int")], (x.shape[0], x.shape[2]))
    old = [Value(state, shape) for state in cell.states]
    new = step(cell, b, now, old, weights)
    output = new[0]
    if "lengths" in names:
        lengths = Value("lengths", (x.shape[0],), "int")
        alive = b.op("Greater", [lengths, "t"], lengths.shape, "bool")
        alive = b.expand(alive, 1)
        zero = b.op("ZerosLike", [output], shape)
        output = b.op("SelectV2", [alive, output, zero], shape)
        new = [
            b.op("SelectV2", [alive, one, before], shape)
            for one, before in zip(new, old, strict=True)
        ]
    made = {"t": b.node("AddV2", ["t", b.constant(1, "int")], "next", T=np.dtype(np.int32))}
    if "list" in names:
        made["list"] = b.node(
            "TensorListSetItem", ["list", "t", output.name], "write",
            element_dtype=np.dtype(np.float32),
        )  # fmt: skip
    made |= {state: value.name for state, value in zip(cell.states, new, strict=True)}
    return b, [made.get(name, name) for name in names]
