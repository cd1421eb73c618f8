"""One step of each of Keras' recurrent cells, drawn as Keras' documentation has it.

Source: the layers' documentation and, for the order of gates, runs of Keras 1.2 to 3: LSTM
columns i, f, c, o; GRU z, r, h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstmbridge.adapters.keras.whole.activations import Definition
from lstmbridge.adapters.keras.whole.drawing import Drawing, Value


@dataclass(frozen=True)
class Drawn:
    """A cell that is to be drawn.

    Attributes:
        kind: ``LSTM``, ``GRU`` or ``SimpleRNN``.
        units: width of its states.
        weights: ``kernel``, ``recurrent``, ``bias`` (two rows where `reset_after`), outside of
            the loop.
        activation: of the candidate and the output.
        gate: of the gates.
        reset_after: of a GRU.
    """

    kind: str
    units: int
    weights: Mapping[str, Value]
    activation: Definition
    gate: Definition
    reset_after: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """Their names, h first."""
        return ("h", "c") if self.kind == "LSTM" else ("h",)


def step(
    cell: Drawn, d: Drawing, x: Value, states: Sequence[Value], weights: Mapping[str, Value]
) -> list[Value]:
    """The new states; `weights` as the loop's body reads them."""
    return {"LSTM": _lstm, "GRU": _gru, "SimpleRNN": _rnn}[cell.kind](cell, d, x, states, weights)


def _split(d: Drawing, value: Value, count: int) -> list[Value]:
    width = (value.shape[-1] or 0) // count
    name = d.node("Split", [d.constant(value.rank - 1, "int"), value.name], num_split=count)
    shape = (*value.shape[:-1], width)
    return [Value(f"{name}:output:{k}", shape) for k in range(count)]


def _lstm(
    cell: Drawn, d: Drawing, x: Value, states: Sequence[Value], weights: Mapping[str, Value]
) -> list[Value]:
    h, c = states
    z = d.binary("AddV2", d.matmul(x, weights["kernel"]), d.matmul(h, weights["recurrent"]))
    if "bias" in weights:
        z = d.binary("BiasAdd", z, weights["bias"])
    zi, zf, zc, zo = _split(d, z, 4)
    i, f, o = cell.gate(d, zi), cell.gate(d, zf), cell.gate(d, zo)
    kept = d.binary("Mul", f, c)
    c = d.binary("AddV2", kept, d.binary("Mul", i, cell.activation(d, zc)))
    return [d.binary("Mul", o, cell.activation(d, c)), c]


def _gru(
    cell: Drawn, d: Drawing, x: Value, states: Sequence[Value], weights: Mapping[str, Value]
) -> list[Value]:
    """H = z h + (1 - z) candidate."""
    (h,) = states
    given = d.matmul(x, weights["kernel"])
    if "bias" in weights:
        given = d.binary("BiasAdd", given, weights["bias"])
    xz, xr, xh = _split(d, given, 3)
    if cell.reset_after:
        inner = d.matmul(h, weights["recurrent"])
        if "second" in weights:
            inner = d.binary("BiasAdd", inner, weights["second"])
        hz, hr, hh = _split(d, inner, 3)
        z, r = (cell.gate(d, d.binary("AddV2", a, b)) for a, b in ((xz, hz), (xr, hr)))
        candidate = d.binary("Mul", r, hh)
    else:
        hz, hr = _split(d, d.matmul(h, weights["gates"]), 2)
        z, r = (cell.gate(d, d.binary("AddV2", a, b)) for a, b in ((xz, hz), (xr, hr)))
        candidate = d.matmul(d.binary("Mul", r, h), weights["candidate"])
    candidate = cell.activation(d, d.binary("AddV2", xh, candidate))
    rest = d.binary("Sub", d.number(1.0), z)
    made = d.binary("AddV2", d.binary("Mul", z, h), d.binary("Mul", rest, candidate))
    return [made]


def _rnn(
    cell: Drawn, d: Drawing, x: Value, states: Sequence[Value], weights: Mapping[str, Value]
) -> list[Value]:
    z = d.binary(
        "AddV2", d.matmul(x, weights["kernel"]), d.matmul(states[0], weights["recurrent"])
    )
    if "bias" in weights:
        z = d.binary("BiasAdd", z, weights["bias"])
    return [cell.activation(d, z)]
