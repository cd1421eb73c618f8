"""Gated recurrent units of TensorFlow 1: reset before the recurrent product, or after it.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5. Columns of the gates' kernel are r, u; the
candidate is apart. u keeps the old state where it is 1: it is the model's z.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmbridge.adapters.dialects import (
    ALWAYS,
    BEFORE,
    FIRST,
    LATEST,
    CellClass,
    Family,
    Geometry,
    Option,
    Spelling,
)
from lstmbridge.adapters.fitting import Layout, units
from lstmbridge.adapters.questions import Question
from lstmbridge.gates import GateBlocks, GateOrder, Weights
from lstmbridge.model.cells import GRU, IndyGRU
from lstmbridge.model.facts import Fact

RESET_UPDATE = GateOrder("gates of TensorFlow 1's GRUCell", ("r", "z"))

_ROLES = ("gates_kernel", "gates_bias", "candidate_kernel", "candidate_bias")
_AFTER_ROLES = (
    "gates_kernel",
    "gates_bias",
    "candidate_input_kernel",
    "candidate_input_bias",
    "candidate_hidden_kernel",
    "candidate_hidden_bias",
)
_INDY_ROLES = (*_ROLES, "gates_recurrent", "candidate_recurrent")

_TANH = Option("tanh")
_ONLY_TANH = Option("tanh", fixed=True)
_SIGMOID = Option("sigmoid", fixed=True)
_BEFORE_PRODUCT = Option(False, fixed=True)
_AFTER_PRODUCT = Option(True, fixed=True)
_OPTIONS = {"activation": _TANH, "gate_activation": _SIGMOID, "reset_after": _BEFORE_PRODUCT}
_FUSED_OPTIONS = {**_OPTIONS, "activation": _ONLY_TANH}
_AFTER_OPTIONS = {**_FUSED_OPTIONS, "reset_after": _AFTER_PRODUCT}


def _both(first: GateBlocks, candidate: Weights) -> GateBlocks:
    """Blocks of gates r and z, and the candidate's."""
    return GateBlocks({**{gate: first.cut(gate) for gate in first}, "c": candidate})


def _split(roles: Mapping[str, Weights], kernel: str, rows: slice) -> GateBlocks:
    return GateBlocks.from_fused(roles[kernel], RESET_UPDATE, rows)


def build(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> GRU:
    """A GRU whose reset comes before the recurrent product; kernels over [x; h]."""
    gates, candidate = roles["gates_kernel"], roles["candidate_kernel"]
    rows, width = candidate.shape
    x, h = slice(0, rows - width), slice(rows - width, rows)
    columns = GateOrder("candidate", ("c",))
    return GRU(
        kernel=_both(
            GateBlocks.from_fused(gates, RESET_UPDATE, x),
            GateBlocks.from_fused(candidate, columns, x).cut("c"),
        ),
        recurrent=_both(
            GateBlocks.from_fused(gates, RESET_UPDATE, h),
            GateBlocks.from_fused(candidate, columns, h).cut("c"),
        ),
        bias=_both(
            GateBlocks.from_fused(roles["gates_bias"], RESET_UPDATE), roles["candidate_bias"]
        ),
        recurrent_bias=None,
        **facts,
    )


def build_after(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> GRU:
    """A GRU whose reset comes after the recurrent product, which has a bias of its own.

    Source: `tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell`; the two biases of the gates are stored
    as their sum.
    """
    inputs = roles["candidate_input_kernel"].shape[0]
    rows = roles["gates_kernel"].shape[0]
    return GRU(
        kernel=_both(
            _split(roles, "gates_kernel", slice(0, inputs)), roles["candidate_input_kernel"]
        ),
        recurrent=_both(
            _split(roles, "gates_kernel", slice(inputs, rows)), roles["candidate_hidden_kernel"]
        ),
        bias=_both(
            GateBlocks.from_fused(roles["gates_bias"], RESET_UPDATE), roles["candidate_input_bias"]
        ),
        recurrent_bias=GateBlocks({"c": roles["candidate_hidden_bias"]}),
        **facts,
    )


def build_independent(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> IndyGRU:
    """A GRU whose units see their own h only."""

    def whole(gates: str, candidate: str) -> GateBlocks:
        return _both(GateBlocks.from_fused(roles[gates], RESET_UPDATE), roles[candidate])

    return IndyGRU(
        kernel=whole("gates_kernel", "candidate_kernel"),
        recurrent=whole("gates_recurrent", "candidate_recurrent"),
        bias=whole("gates_bias", "candidate_bias"),
        **facts,
    )


def _candidate_over_both(sizes: Geometry) -> tuple[int, ...]:
    return (sizes.input_size + sizes.units, sizes.units)


def _gates_bias(sizes: Geometry) -> tuple[int, ...]:
    return (2 * sizes.units,)


_LAYOUT = Layout(
    2,
    {
        "gates_bias": _gates_bias,
        "candidate_kernel": _candidate_over_both,
        "candidate_bias": units,
    },
    kernel="gates_kernel",
)
_AFTER_LAYOUT = Layout(
    2,
    {
        "gates_bias": _gates_bias,
        "candidate_input_kernel": lambda sizes: (sizes.input_size, sizes.units),
        "candidate_input_bias": units,
        "candidate_hidden_kernel": lambda sizes: (sizes.units, sizes.units),
        "candidate_hidden_bias": units,
    },
    kernel="gates_kernel",
)
_INDY_LAYOUT = Layout(
    2,
    {
        "gates_bias": _gates_bias,
        "gates_recurrent": lambda sizes: (1, 2 * sizes.units),
        "candidate_kernel": lambda sizes: (sizes.input_size, sizes.units),
        "candidate_recurrent": lambda sizes: (1, sizes.units),
        "candidate_bias": units,
    },
    kernel="gates_kernel",
    apart=True,
)

GRU_FAMILY = Family(
    kind="GRU",
    classes=(
        CellClass(
            "GRUCell",
            ("gru_cell", "GRUCell"),
            frozenset(_ROLES),
            _OPTIONS,
            shares=("GRUBlockCellV2",),
        ),
        CellClass(
            "GRUBlockCellV2",
            ("GRUBlockCellV2", "gru_block_cell_v2"),
            frozenset(_ROLES),
            _FUSED_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(
            LATEST,
            {
                "gates_kernel": "gates/kernel",
                "gates_bias": "gates/bias",
                "candidate_kernel": "candidate/kernel",
                "candidate_bias": "candidate/bias",
            },
        ),
        Spelling(
            FIRST,
            {
                "gates_kernel": "gates/weights",
                "gates_bias": "gates/biases",
                "candidate_kernel": "candidate/weights",
                "candidate_bias": "candidate/biases",
            },
        ),
        Spelling(
            BEFORE,
            {
                "gates_kernel": "Gates/Linear/Matrix",
                "gates_bias": "Gates/Linear/Bias",
                "candidate_kernel": "Candidate/Linear/Matrix",
                "candidate_bias": "Candidate/Linear/Bias",
            },
        ),
    ),
    needed=_ROLES,
    own_name="GRUCell",
    measure=_LAYOUT.measure,
    build=build,
    ask=Question({"gates_kernel": "xh"}, _LAYOUT.shapes, build, _OPTIONS),
)

BLOCK_FAMILY = Family(
    kind="GRU",
    classes=(
        CellClass(
            "GRUBlockCell",
            ("gru_cell", "gru_block_cell", "GRUBlockCell"),
            frozenset(_ROLES),
            _FUSED_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(
            ALWAYS,
            {
                "gates_kernel": "w_ru",
                "gates_bias": "b_ru",
                "candidate_kernel": "w_c",
                "candidate_bias": "b_c",
            },
        ),
    ),
    needed=_ROLES,
    own_name="GRUBlockCell",
    measure=_LAYOUT.measure,
    build=build,
    ask=GRU_FAMILY.ask,
)

AFTER_FAMILY = Family(
    kind="GRU with reset after",
    classes=(
        CellClass(
            "CudnnCompatibleGRUCell",
            ("cudnn_compatible_gru_cell", "CudnnCompatibleGRUCell"),
            frozenset(_AFTER_ROLES),
            _AFTER_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(
            LATEST,
            {
                "gates_kernel": "gates/kernel",
                "gates_bias": "gates/bias",
                "candidate_input_kernel": "candidate/input_projection/kernel",
                "candidate_input_bias": "candidate/input_projection/bias",
                "candidate_hidden_kernel": "candidate/hidden_projection/kernel",
                "candidate_hidden_bias": "candidate/hidden_projection/bias",
            },
        ),
    ),
    needed=_AFTER_ROLES,
    own_name="CudnnCompatibleGRUCell",
    measure=_AFTER_LAYOUT.measure,
    build=build_after,
    ask=Question(
        {
            "gates_kernel": "xh",
            "candidate_input_kernel": "x",
            "candidate_hidden_kernel": "h",
        },
        _AFTER_LAYOUT.shapes,
        build_after,
        _AFTER_OPTIONS,
    ),
)

INDEPENDENT_FAMILY = Family(
    kind="IndyGRU",
    classes=(
        CellClass(
            "IndyGRUCell",
            ("indy_gru_cell", "IndyGRUCell"),
            frozenset(_INDY_ROLES),
            {"activation": _TANH},
        ),
    ),
    spellings=(
        Spelling(
            LATEST,
            {
                "gates_kernel": "gates/kernel_w",
                "gates_recurrent": "gates/kernel_u",
                "gates_bias": "gates/bias",
                "candidate_kernel": "candidate/kernel",
                "candidate_recurrent": "candidate/kernel_u",
                "candidate_bias": "candidate/bias",
            },
        ),
    ),
    needed=_INDY_ROLES,
    own_name="IndyGRUCell",
    measure=_INDY_LAYOUT.measure,
    build=build_independent,
    ask=Question(
        {
            "gates_kernel": "x",
            "gates_recurrent": "h",
            "candidate_kernel": "x",
            "candidate_recurrent": "h",
        },
        _INDY_LAYOUT.shapes,
        build_independent,
        {"activation": _TANH},
        pieces=True,
    ),
)
