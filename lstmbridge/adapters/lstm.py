"""The LSTM family of TensorFlow 1: names of every release, layout of its kernel, its defaults.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5 (names, shapes, attributes of the block ops).
The kernel is ``[input + output, 4 * units]``, x's rows first; its columns are i, j, f, o.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from lstmbridge.adapters.fitting import Layout, units
from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError, NotRecognised
from lstmbridge.gates import TENSORFLOW_LSTM, GateBlocks, Weights
from lstmbridge.graph.findings import CellQuery
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact

PEEPHOLES: Mapping[str, str] = {"i": "peephole_i", "f": "peephole_f", "o": "peephole_o"}

_SNAKE_DIAGONALS = {
    "peephole_i": "w_i_diag",
    "peephole_f": "w_f_diag",
    "peephole_o": "w_o_diag",
}
SPELLINGS: tuple[Spelling, ...] = (
    Spelling(
        LATEST,
        {
            "kernel": "kernel",
            "bias": "bias",
            **_SNAKE_DIAGONALS,
            "projection": "projection/kernel",
        },
    ),
    Spelling(
        FIRST,
        {
            "kernel": "weights",
            "bias": "biases",
            **_SNAKE_DIAGONALS,
            "projection": "projection/weights",
        },
    ),
    # BasicLSTMCell
    Spelling(BEFORE, {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
    # LSTMCell and LSTMBlockFusedCell; the numbers are those of num_unit_shards, num_proj_shards
    Spelling(
        BEFORE,
        {
            "kernel": "W_#",
            "bias": "B",
            "peephole_i": "W_I_diag",
            "peephole_f": "W_F_diag",
            "peephole_o": "W_O_diag",
            "projection": "W_P_#",
        },
    ),
    # LayerNormBasicLSTMCell without layer_norm
    Spelling(BEFORE, {"kernel": "linear/weights", "bias": "linear/b"}),
    # LSTMBlockCell
    Spelling(
        BEFORE,
        {
            "kernel": "W",
            "bias": "b",
            "peephole_i": "wci",
            "peephole_f": "wcf",
            "peephole_o": "wco",
        },
    ),
)

_BASIC = frozenset({"kernel", "bias"})
_PEEPING = _BASIC | set(PEEPHOLES.values())
_FORGET_ONE = Option(1.0)
_TANH = Option("tanh")
_ONLY_TANH = Option("tanh", fixed=True)
_SIGMOID = Option("sigmoid", fixed=True)
_NO_CLIP = Option(None, fixed=True)
_CLIPPED_ERAS = {BEFORE: 3.0, FIRST: 3.0}
_CLIP_DOUBT = (
    "in TensorFlow 1.2 and 1.3 the default of {cell} was to clamp c to [-3, 3], from 1.4 on it is "
    "not clamped, and the names are the same; not clamped is assumed here: if the checkpoint is "
    "of 1.2 or 1.3, say --cell-clip 3"
)

CLASSES: tuple[CellClass, ...] = (
    CellClass(
        "BasicLSTMCell",
        ("basic_lstm_cell", "BasicLSTMCell"),
        _BASIC,
        {
            "forget_bias": _FORGET_ONE,
            "activation": _TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": _NO_CLIP,
            "proj_clip": _NO_CLIP,
        },
    ),
    CellClass(
        "LSTMCell",
        ("lstm_cell", "LSTMCell"),
        _PEEPING | {"projection"},
        {
            "forget_bias": _FORGET_ONE,
            "activation": _TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": Option(None),
            "proj_clip": Option(None),
        },
        shares=("LSTMBlockCell",),
        doubt="LSTMCell and LSTMBlockCell call their variables the same; LSTMCell is assumed. "
        "In TensorFlow 1.0 to 1.3 LSTMBlockCell clamped c to [-3, 3] by default: if it was "
        "LSTMBlockCell, say --cell LSTMBlockCell (and --cell-clip 3 for 1.2 and 1.3)",
    ),
    CellClass(
        "LSTMBlockCell",
        ("lstm_block_cell", "LSTMBlockCell"),
        _PEEPING,
        {
            "forget_bias": _FORGET_ONE,
            "activation": _ONLY_TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": Option(
                None,
                by_era=_CLIPPED_ERAS,
                unsure={LATEST: _CLIP_DOUBT.format(cell="LSTMBlockCell")},
                off_at_zero=True,
            ),
            "proj_clip": _NO_CLIP,
        },
    ),
    CellClass(
        "LSTMBlockFusedCell",
        ("lstm_block_fused_cell", "lstm_fused_cell", "LSTMBlockFusedCell"),
        _PEEPING,
        {
            "forget_bias": _FORGET_ONE,
            "activation": _ONLY_TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": Option(None, by_era=_CLIPPED_ERAS, off_at_zero=True),
            "proj_clip": _NO_CLIP,
        },
    ),
    # the scope of LSTMBlockFusedCell in 1.0 to 1.4
    CellClass(
        "LSTMBlockFusedCell",
        ("lstm_block_wrapper",),
        _PEEPING,
        {
            "forget_bias": _FORGET_ONE,
            "activation": _ONLY_TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": Option(
                None,
                by_era=_CLIPPED_ERAS,
                unsure={LATEST: _CLIP_DOUBT.format(cell="LSTMBlockFusedCell")},
                off_at_zero=True,
            ),
            "proj_clip": _NO_CLIP,
        },
    ),
    CellClass(
        "CudnnCompatibleLSTMCell",
        ("cudnn_compatible_lstm_cell", "CudnnCompatibleLSTMCell"),
        _BASIC,
        {
            "forget_bias": Option(0.0),
            "activation": _ONLY_TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": _NO_CLIP,
            "proj_clip": _NO_CLIP,
        },
    ),
    # with layer_norm=False; with it, it is a family of its own
    CellClass(
        "LayerNormBasicLSTMCell",
        ("layer_norm_basic_lstm_cell", "LayerNormBasicLSTMCell"),
        _BASIC,
        {
            "forget_bias": _FORGET_ONE,
            "activation": _TANH,
            "gate_activation": _SIGMOID,
            "cell_clip": _NO_CLIP,
            "proj_clip": _NO_CLIP,
        },
    ),
)


LAYOUT = Layout(
    gates=4,
    others={
        "bias": lambda sizes: (4 * sizes.units,),
        **dict.fromkeys(PEEPHOLES.values(), units),
    },
    projection="projection",
)


def measure(roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
    """Sizes of an LSTM whose kernel and bias are there, or which variables do not fit."""
    peeping = [role for role in PEEPHOLES.values() if role in roles]
    sizes = LAYOUT.measure(roles)
    if isinstance(sizes, Geometry) and peeping and len(peeping) != len(PEEPHOLES):
        return NotRecognised(
            f"{', '.join(str(roles[role]) for role in peeping)}: a peephole without the others",
            expected="peepholes for i, f and o, or none",
            where=str(roles["kernel"]),
            advice="see `lstmbridge inspect`; if names were changed, give --map FILE",
        )
    return sizes


def build(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> LSTM:
    """The model's LSTM from variables that fit."""
    kernel, projection = roles["kernel"], roles.get("projection")
    output = kernel.shape[1] // 4 if projection is None else projection.shape[1]
    inputs = kernel.shape[0] - output
    peephole = None
    if PEEPHOLES["i"] in roles:
        peephole = GateBlocks({gate: roles[role] for gate, role in PEEPHOLES.items()})
    return LSTM(
        kernel=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(0, inputs)),
        recurrent=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(inputs, kernel.shape[0])),
        bias=GateBlocks.from_fused(roles["bias"], TENSORFLOW_LSTM),
        peephole=peephole,
        projection=projection,
        **facts,
    )


def ask(label: str, roles: Mapping[str, Stored], sizes: Geometry) -> CellQuery:
    """The question to a graph: is this an LSTM, and with which constants?"""
    return CellQuery(
        layer=label,
        kernel=roles["kernel"].in_graph,
        input_size=sizes.input_size,
        units=sizes.units,
        output_size=sizes.output_size,
        bias=roles["bias"].in_graph[0],
        peephole={g: roles[r].in_graph[0] for g, r in PEEPHOLES.items() if r in roles},
        projection=roles["projection"].in_graph if "projection" in roles else (),
    )


LSTM_FAMILY = Family(
    kind="LSTM",
    classes=CLASSES,
    spellings=SPELLINGS,
    needed=("kernel", "bias"),
    own_name="LSTMCell",
    measure=measure,
    build=build,
    ask=ask,
)
