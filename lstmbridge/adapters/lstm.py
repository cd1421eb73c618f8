"""The LSTM family of TensorFlow 1: names of every release, layout of its kernel, its defaults.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5 (names, shapes, attributes of the block ops).
The kernel is ``[input + output, 4 * units]``, x's rows first; its columns are i, j, f, o.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmbridge.adapters.dialects import CellClass, Family, Geometry, Option, Spelling
from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError, NotRecognised
from lstmbridge.gates import TENSORFLOW_LSTM, GateBlocks
from lstmbridge.graph.findings import CellQuery
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact

LATEST = "TensorFlow 1.2 and later"
FIRST = "TensorFlow 1.0 and 1.1"
BEFORE = "TensorFlow 0.12 and before"

PEEPHOLES: Mapping[str, str] = {"i": "peephole_i", "f": "peephole_f", "o": "peephole_o"}
FLOATS = ("float16", "bfloat16", "float32", "float64")

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
            "cell_clip": Option(None, by_era=_CLIPPED_ERAS),
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
)


def measure(roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
    """Sizes of an LSTM whose kernel and bias are there, or which variables do not fit."""
    kernel, bias = roles["kernel"], roles["bias"]
    if len(kernel.ref.shape) != 2 or kernel.ref.shape[1] % 4:
        return _misfit(kernel, "a kernel [input + output, 4 * units]", bias)
    rows, columns = kernel.ref.shape
    units = columns // 4
    expected: dict[str, tuple[int, ...]] = {"bias": (columns,)}
    expected.update(dict.fromkeys(PEEPHOLES.values(), (units,)))
    for role, shape in expected.items():
        if role in roles and roles[role].ref.shape != shape:
            return _misfit(roles[role], f"{shape}, as the kernel asks for", kernel)
    output = units
    if "projection" in roles:
        projection = roles["projection"]
        if len(projection.ref.shape) != 2 or projection.ref.shape[0] != units:
            return _misfit(projection, f"({units}, output), as the kernel asks for", kernel)
        output = projection.ref.shape[1]
    if not 0 < output < rows:
        return _misfit(kernel, f"more than {output} rows: {output} see h, the others x", bias)
    return _measured(roles, Geometry(rows - output, units, output))


def _measured(roles: Mapping[str, Stored], sizes: Geometry) -> Geometry | LstmBridgeError:
    peeping = [role for role in PEEPHOLES.values() if role in roles]
    if peeping and len(peeping) != len(PEEPHOLES):
        return NotRecognised(
            f"{', '.join(str(roles[role]) for role in peeping)}: a peephole without the others",
            expected="peepholes for i, f and o, or none",
            where=str(roles["kernel"]),
            advice="see `lstmbridge inspect`; if names were changed, give --map FILE",
        )
    kernel = roles["kernel"]
    for stored in roles.values():
        if stored.ref.dtype.name not in FLOATS:
            return _misfit(stored, f"floating point numbers, not {stored.ref.dtype}", kernel)
        if stored.ref.dtype != kernel.ref.dtype:
            return _misfit(
                stored, f"{kernel.ref.dtype} as the kernel, not {stored.ref.dtype}", kernel
            )
    return sizes


def _misfit(guilty: Stored, expected: str, other: Stored) -> NotRecognised:
    return NotRecognised(
        f"{guilty} does not fit {other}",
        expected=f"{expected}",
        where=guilty.sources[0],
        advice="the checkpoint may be damaged or pieced together, or these are no LSTM's "
        "variables; --map FILE renames variables",
    )


def build(roles: Mapping[str, Stored], facts: Mapping[str, Fact[Any]]) -> LSTM:
    """The model's LSTM from variables that `measure` found to fit."""
    kernel = roles["kernel"].ref
    sizes = measure(roles)
    if isinstance(sizes, LstmBridgeError):
        raise sizes
    inputs = sizes.input_size
    peephole = None
    if PEEPHOLES["i"] in roles:
        peephole = GateBlocks({gate: roles[role].ref for gate, role in PEEPHOLES.items()})
    return LSTM(
        kernel=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(0, inputs)),
        recurrent=GateBlocks.from_fused(kernel, TENSORFLOW_LSTM, slice(inputs, kernel.shape[0])),
        bias=GateBlocks.from_fused(roles["bias"].ref, TENSORFLOW_LSTM),
        forget_bias=facts["forget_bias"],
        activation=facts["activation"],
        gate_activation=facts["gate_activation"],
        cell_clip=facts["cell_clip"],
        proj_clip=facts["proj_clip"],
        peephole=peephole,
        projection=roles["projection"].ref if "projection" in roles else None,
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
