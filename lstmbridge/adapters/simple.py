"""Cells of one state and one fused kernel: BasicRNNCell, UGRNNCell, IntersectionRNNCell.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5. Columns: UGRNN g, c; Intersection gh, h, gy, y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lstmbridge.adapters.dialects import (
    BEFORE,
    FIRST,
    LATEST,
    CellClass,
    Family,
    Geometry,
    Option,
    Spelling,
)
from lstmbridge.adapters.fitting import Layout, misfit, misfit_of_dtypes
from lstmbridge.adapters.questions import Question
from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import GateBlocks, GateOrder, Weights
from lstmbridge.model.blocks import Dense
from lstmbridge.model.cells import RNN, UGRNN, Cell, Intersection
from lstmbridge.model.facts import Fact

SPELLINGS: tuple[Spelling, ...] = (
    Spelling(LATEST, {"kernel": "kernel", "bias": "bias"}),
    Spelling(FIRST, {"kernel": "weights", "bias": "biases"}),
    Spelling(BEFORE, {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
)
_ROLES = ("kernel", "bias")
_IN_PROJECTION = ("in_projection_kernel", "in_projection_bias")

_Build = Callable[[Mapping[str, Weights], Mapping[str, Fact[Any]]], Cell]


def _fused(kind: type[RNN | UGRNN | Intersection]) -> _Build:
    """The builder of cells whose gates lie side by side in the order of their class."""
    order = GateOrder(f"TensorFlow 1's {kind.KIND}", kind.GATES)

    def build(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> Cell:
        kernel = roles["kernel"]
        rows = kernel.shape[0]
        inputs = rows - kernel.shape[1] // len(order.gates)
        return kind(
            kernel=GateBlocks.from_fused(kernel, order, slice(0, inputs)),
            recurrent=GateBlocks.from_fused(kernel, order, slice(inputs, rows)),
            bias=GateBlocks.from_fused(roles["bias"], order),
            **facts,
        )

    return build


def _layout(gates: int) -> Layout:
    return Layout(gates, {"bias": lambda sizes: (gates * sizes.units,)})


_RNN_OPTIONS = {"activation": Option("tanh", by_scope={"cudnn_rnn_relu": "relu"})}
_UGRNN_OPTIONS = {"forget_bias": Option(1.0), "activation": Option("tanh")}
_INTERSECTION_OPTIONS = {"forget_bias": Option(1.0), "activation": Option("relu")}
_JOINED = {"kernel": "xh"}


def measure_intersection(roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
    """Sizes of an IntersectionRNNCell: as wide as its input, or projected to that width first."""
    kernel = roles["kernel"]
    sizes = _layout(4).measure({role: roles[role] for role in _ROLES})
    if isinstance(sizes, LstmBridgeError):
        return sizes
    if sizes.input_size != sizes.units:
        return misfit(kernel, f"{2 * sizes.units} rows: its input is as wide as its state", kernel)
    there = [roles[role] for role in _IN_PROJECTION if role in roles]
    if not there:
        return sizes
    if len(there) < len(_IN_PROJECTION):
        return misfit(there[0], "a kernel and a bias of the projection", kernel)
    return _projected(there[0], there[1], kernel, sizes.units)


def _projected(
    projection: Stored, bias: Stored, kernel: Stored, width: int
) -> Geometry | LstmBridgeError:
    shape = projection.ref.shape
    if len(shape) != 2 or shape[1] != width or not shape[0]:
        return misfit(projection, f"(input, {width}), as the kernel asks for", kernel)
    if bias.ref.shape != (width,):
        return misfit(bias, f"({width},), as the kernel asks for", kernel)
    roles = {"kernel": kernel, "projection": projection, "bias": bias}
    return misfit_of_dtypes(roles, kernel) or Geometry(shape[0], width, width)


def in_projection(roles: Mapping[str, Weights]) -> Dense | None:
    """What an IntersectionRNNCell with ``num_in_proj`` applies to its input."""
    if _IN_PROJECTION[0] not in roles:
        return None
    linear = Fact.read("linear", "definition of IntersectionRNNCell")
    return Dense(roles[_IN_PROJECTION[0]], roles[_IN_PROJECTION[1]], linear)


RNN_FAMILY = Family(
    kind="RNN",
    classes=(
        CellClass(
            "BasicRNNCell",
            ("basic_rnn_cell", "BasicRNNCell"),
            frozenset(_ROLES),
            # CudnnRNNRelu and CudnnRNNTanh are saved under this class's names
            _RNN_OPTIONS,
        ),
    ),
    spellings=SPELLINGS,
    needed=_ROLES,
    own_name="",
    measure=_layout(1).measure,
    build=_fused(RNN),
    ask=Question(_JOINED, _layout(1).shapes, _fused(RNN), _RNN_OPTIONS),
)

UGRNN_FAMILY = Family(
    kind="UGRNN",
    classes=(
        CellClass(
            "UGRNNCell",
            ("ugrnn_cell", "UGRNNCell"),
            frozenset(_ROLES),
            _UGRNN_OPTIONS,
        ),
    ),
    spellings=SPELLINGS,
    needed=_ROLES,
    own_name="",
    measure=_layout(2).measure,
    build=_fused(UGRNN),
    ask=Question(_JOINED, _layout(2).shapes, _fused(UGRNN), _UGRNN_OPTIONS),
)

INTERSECTION_FAMILY = Family(
    kind="Intersection",
    classes=(
        CellClass(
            "IntersectionRNNCell",
            ("intersection_rnn_cell", "IntersectionRNNCell"),
            frozenset((*_ROLES, *_IN_PROJECTION)),
            _INTERSECTION_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(
            LATEST,
            {
                "kernel": "kernel",
                "bias": "bias",
                "in_projection_kernel": "in_projection/kernel",
                "in_projection_bias": "in_projection/bias",
            },
        ),
        Spelling(
            FIRST,
            {
                "kernel": "weights",
                "bias": "biases",
                "in_projection_kernel": "in_projection/weights",
                "in_projection_bias": "in_projection/biases",
            },
        ),
    ),
    needed=_ROLES,
    own_name="",
    measure=measure_intersection,
    build=_fused(Intersection),
    ask=Question(
        _JOINED, _layout(4).shapes, _fused(Intersection), _INTERSECTION_OPTIONS, square=True
    ),
    front=in_projection,
)
