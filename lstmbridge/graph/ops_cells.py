"""Operations that are a whole cell, or a whole layer: LSTMBlockCell, BlockLSTM, GRUBlockCell.

Source: the kernels in TensorFlow's lstm_ops.cc and gru_ops.cc, and their op registrations. An
attribute that a file lacks has the registry's default: `cell_clip` 3.0 (not "none") for
LSTMBlockCell and BlockLSTM, 0.0 for BlockLSTMV2. A clip that is not positive does not clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstmbridge.graph.network import Op
from lstmbridge.graph.words import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class BlockOp:
    """How one fused LSTM operation lies: where its inputs are and what it defaults to.

    Attributes:
        first: position of input ``x``; cs_prev, h_prev, w, wci, wcf, wco, b follow.
        order: which gate each quarter of the kernel is.
        forget_bias: default of the attribute, None where there is none (0).
        cell_clip: default of the attribute.
    """

    first: int
    order: str
    forget_bias: float | None
    cell_clip: float


BLOCK_OPS: Mapping[str, BlockOp] = {
    "LSTMBlockCell": BlockOp(0, "icfo", 1.0, 3.0),
    "BlockLSTM": BlockOp(1, "icfo", 1.0, 3.0),
    "BlockLSTMV2": BlockOp(1, "ifco", None, 0.0),
}
BLOCK_CS, BLOCK_H = 1, 6
"""Which outputs are the new c and h."""


def block_forget_bias(op: Op) -> float:
    """The constant that `op` adds to its forget gate."""
    default = BLOCK_OPS[op.kind].forget_bias
    return 0.0 if default is None else float(op.attrs.get("forget_bias", default))


def block_cell_clip(op: Op) -> float | None:
    """The clip of `op`'s cell state, None where it does not clip."""
    clip = float(op.attrs.get("cell_clip", BLOCK_OPS[op.kind].cell_clip))
    return clip if clip > 0 else None


def block_peephole(op: Op) -> bool:
    """Whether `op` looks at its peephole inputs."""
    return bool(op.attrs.get("use_peephole", False))


def _first_length(w: Words[Any], value: Any) -> int:
    """Length of the first axis. Errors: ValueError where it is not known."""
    return int(w.static(w.integer(w.numbers(w.shape(value))[0])))


def _block_step(w: Words[Any], op: Op, x: Any, rest: Sequence[Any]) -> list[Any]:
    """One step: i, cs, f, o, ci, co, h."""
    cs_prev, h_prev, kernel, wci, wcf, wco, bias = rest
    z = w.add(w.matmul(w.concat([x, h_prev]), kernel), bias)
    width = _first_length(w, bias) // 4
    order = BLOCK_OPS[op.kind].order
    a = dict(zip(order, w.split(z, [width] * 4), strict=True))
    a["f"] = w.add(a["f"], w.constant(block_forget_bias(op)))
    peephole = block_peephole(op)
    if peephole:
        a["i"] = w.add(a["i"], w.mul(cs_prev, wci))
        a["f"] = w.add(a["f"], w.mul(cs_prev, wcf))
    i, f, ci = w.sigmoid(a["i"]), w.sigmoid(a["f"]), w.tanh(a["c"])
    cs = w.add(w.mul(ci, i), w.mul(cs_prev, f))
    clip = block_cell_clip(op)
    if clip is not None:
        cs = w.maximum(w.minimum(cs, w.constant(clip)), w.constant(-clip))
    if peephole:
        a["o"] = w.add(a["o"], w.mul(cs, wco))
    o, co = w.sigmoid(a["o"]), w.tanh(cs)
    return [i, cs, f, o, ci, co, w.mul(o, co)]


def _lstm_block_cell(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    return _block_step(w, op, args[0], args[1:])


def _block_lstm(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """All steps; outputs past `seq_len_max` are zeros."""
    length, x, cs, h, *weights = args

    def step(states: Sequence[Any], elements: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        at, row = elements
        alive = w.compare("less", at, length)
        values = _block_step(w, op, row, [*states, *weights])
        values = [w.where(alive, value, w.constant(0.0)) for value in values]
        return [values[BLOCK_CS], values[BLOCK_H]], values

    steps = w.integer(w.numbers(w.shape(x))[0])
    counted = w.arange(w.integer(0), steps, w.integer(1))
    return w.scan(step, [cs, h], [counted, x])


def _gru_block_cell(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`x, h_prev, w_ru, w_c, b_ru, b_c` -> `r, u, c, h`."""
    x, h_prev, w_ru, w_c, b_ru, b_c = args
    width = _first_length(w, b_c)
    ru = w.sigmoid(w.add(w.matmul(w.concat([x, h_prev]), w_ru), b_ru))
    r, u = w.split(ru, [width] * 2)
    reset = w.concat([x, w.mul(r, h_prev)])
    c = w.tanh(w.add(w.matmul(reset, w_c), b_c))
    h = w.add(w.mul(u, h_prev), w.mul(w.sub(w.constant(1.0), u), c))
    return [r, u, c, h]


CELLS: Mapping[str, Definition] = {
    "LSTMBlockCell": _lstm_block_cell,
    "BlockLSTM": _block_lstm,
    "BlockLSTMV2": _block_lstm,
    "GRUBlockCell": _gru_block_cell,
}
