"""One cell of each kind, without numbers: what `explain` runs through the equations.

A kind's row says which fields it has, which gates stand in each, and what may be there besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from lstmbridge.gates import Array, GateBlocks, Weights
from lstmbridge.model.cells import (
    GRU,
    LSTM,
    NAS,
    RNN,
    UGRNN,
    Cell,
    CoupledLSTM,
    IndyGRU,
    IndyLSTM,
    Intersection,
    LayerNormLSTM,
)
from lstmbridge.model.facts import Fact
from lstmbridge.report.symbols import Named

_SIZES = {"I": 5, "H": 3, "P": 2, "1": 1}


@dataclass(frozen=True, slots=True)
class Shape:
    """Weights of which nothing but the shape is known."""

    name: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of most checkpoints."""
        return np.dtype(np.float32)

    def load(self) -> Array:
        """There is nothing to load.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{self.name} is a shape")


@dataclass(frozen=True, slots=True)
class Option:
    """What a cell of the kind may have besides: more fields, and other constants."""

    fields: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """How a cell of one kind is put together.

    Attributes:
        cell: its class.
        fields: field -> its shape in letters: I input, H units, P output, 1.
        facts: its constants.
        gates: field -> its gates, where it has not all of the cell's.
        whole: fields without gates.
        options: what may be there besides, by the name a user knows.
    """

    cell: type[Cell]
    fields: Mapping[str, str]
    facts: Mapping[str, object]
    gates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)


_PLAIN = {"kernel": "IH", "recurrent": "PH", "bias": "H"}
_INDEPENDENT = {"kernel": "IH", "recurrent": "1H", "bias": "H"}
_NORM = dict.fromkeys(("gain", "shift", "state_gain", "state_shift"), "H")
_TANH = {"activation": "tanh"}
_FORGETFUL = {"forget_bias": 1.0, **_TANH}
_PROJECTION = Option({"projection": "HP"})
_PROJ_CLIP = Option({"projection": "HP"}, {"proj_clip": 3.0})
_PEEPHOLE = Option({"peephole": "H"})

SAMPLES: Mapping[str, Sample] = {
    sample.cell.KIND: sample
    for sample in (
        Sample(
            LSTM,
            _PLAIN,
            {**_FORGETFUL, "gate_activation": "sigmoid", "cell_clip": None, "proj_clip": None},
            gates={"peephole": ("i", "f", "o")},
            whole=("projection",),
            options={
                "peephole": _PEEPHOLE,
                "projection": _PROJECTION,
                "cell_clip": Option(facts={"cell_clip": 3.0}),
                "proj_clip": _PROJ_CLIP,
            },
        ),
        Sample(
            GRU,
            _PLAIN,
            {**_TANH, "gate_activation": "sigmoid", "reset_after": False},
            options={
                "reset_after": Option(facts={"reset_after": True}),
                "recurrent_bias": Option({"recurrent_bias": "H"}, {"reset_after": True}),
            },
        ),
        Sample(RNN, _PLAIN, _TANH),
        Sample(
            CoupledLSTM,
            _PLAIN,
            {**_FORGETFUL, "proj_clip": None},
            gates={"peephole": ("f", "o")},
            whole=("projection",),
            options={
                "peephole": _PEEPHOLE,
                "projection": _PROJECTION,
                "proj_clip": _PROJ_CLIP,
            },
        ),
        Sample(
            LayerNormLSTM,
            {"kernel": "IH", "recurrent": "PH", **_NORM},
            {**_FORGETFUL, "epsilon": 1e-12},
            whole=("state_gain", "state_shift"),
        ),
        Sample(IndyLSTM, _INDEPENDENT, _FORGETFUL),
        Sample(IndyGRU, _INDEPENDENT, _TANH),
        Sample(UGRNN, _PLAIN, _FORGETFUL),
        Sample(
            Intersection,
            {**_PLAIN, "kernel": "HH"},
            {"forget_bias": 1.0, "activation": "relu"},
        ),
        Sample(
            NAS,
            {"kernel": "IH", "recurrent": "PH"},
            {},
            whole=("projection",),
            options={"bias": Option({"bias": "H"}), "projection": _PROJECTION},
        ),
    )
}
"""Kind of cell -> how one is put together."""


_NOTHING = Option()


def cell_of(sample: Sample, option: Option = _NOTHING) -> Cell:
    """A cell of the sample's kind, with one of its options."""
    shapes = {**sample.fields, **option.fields}
    sizes = _SIZES if "projection" in shapes else {**_SIZES, "P": _SIZES["H"]}
    arguments: dict[str, Any] = {"bias": None} if _takes_no_bias(sample, shapes) else {}
    for name, letters in shapes.items():
        block = Shape(name, tuple(sizes[letter] for letter in letters))
        arguments[name] = block if name in sample.whole else _blocks(sample, name, block)
    for name, value in {**sample.facts, **option.facts}.items():
        constant = Named(value, name) if isinstance(value, float) else value
        arguments[name] = Fact.given(constant, "explain")
    return sample.cell(**arguments)


def _takes_no_bias(sample: Sample, shapes: Mapping[str, str]) -> bool:
    has = "bias" in {f.name for f in fields(sample.cell)}
    return has and "bias" not in shapes


def _blocks(sample: Sample, name: str, block: Weights) -> GateBlocks:
    return GateBlocks(dict.fromkeys(sample.gates.get(name, sample.cell.GATES), block))
