"""Blocks around cells, explained as cells are: what `model.equations.wrappers` runs, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lstmbridge.model.blocks import Dense, Highway
from lstmbridge.model.equations.wrappers import dense, highway
from lstmbridge.model.facts import Fact
from lstmbridge.report.samples import Shape
from lstmbridge.report.symbols import Recorder, Row, equations

_UNITS = 3


@dataclass(frozen=True, slots=True)
class Around:
    """One kind of block around a cell.

    Attributes:
        block: its class.
        feature: its row in the capability table.
        classes: TensorFlow's classes that compute it.
        step: its equations, for the fields that are there.
        fields: its weights.
        options: weights that may be there besides, by the name a user knows.
        constants: what weights do not show -> where it acts.
    """

    block: type[Dense | Highway]
    feature: str
    classes: tuple[str, ...]
    step: Callable[[tuple[str, ...]], dict[str, str]]
    fields: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, tuple[str, ...]]


def _named(ops: Recorder, fields: tuple[str, ...]) -> dict[str, Row]:
    return {field: ops.name(field, width=_UNITS) for field in fields}


def _highway_step(fields: tuple[str, ...]) -> dict[str, str]:
    ops = Recorder()
    x, inner = ops.name("x", width=_UNITS), ops.name("inner", width=_UNITS)
    output = highway(ops, x, inner, _named(ops, fields))
    return equations({}, {"output": output.pieces[0]})


def _dense_step(fields: tuple[str, ...]) -> dict[str, str]:
    ops = Recorder()
    kernel = Shape("kernel", (_UNITS, _UNITS))
    bias = Shape("bias", (_UNITS,)) if "bias" in fields else None
    block = Dense(kernel, bias, Fact.given("linear", "explain"))
    output = dense(ops, block, ops.name("x", width=_UNITS), _named(ops, fields))
    return equations({}, {"output": output.pieces[0]})


AROUND: Mapping[str, Around] = {
    "Highway": Around(
        Highway,
        "highway",
        ("HighwayWrapper",),
        _highway_step,
        ("carry_kernel", "carry_bias"),
        {"transform gate": ("transform_kernel", "transform_bias")},
        {},
    ),
    "Dense": Around(
        Dense,
        "dense",
        ("InputProjectionWrapper", "OutputProjectionWrapper"),
        _dense_step,
        ("kernel", "bias"),
        {},
        {"activation": ("output",)},
    ),
}
"""Kind of block -> what there is to say of it."""
