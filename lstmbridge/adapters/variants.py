"""LSTM's relatives: coupled gates, layer norm, independent units, NAS.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5.
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
from lstmbridge.adapters.stored import Stored
from lstmbridge.errors import LstmBridgeError, NotRecognised
from lstmbridge.gates import TENSORFLOW_LSTM, GateBlocks, GateOrder, Weights
from lstmbridge.model.cells import NAS, CoupledLSTM, IndyLSTM, LayerNormLSTM
from lstmbridge.model.facts import Fact

# CoupledInputForgetGateLSTMCell: j, f, o
COUPLED = GateOrder("TensorFlow 1's CoupledInputForgetGateLSTMCell", ("c", "f", "o"))

_FORGET_ONE = Option(1.0)
_TANH = Option("tanh")


def _rows(kernel: Weights, order: GateOrder, output: int) -> tuple[GateBlocks, GateBlocks]:
    """(what x is multiplied by, what h is multiplied by) of a kernel over [x; h]."""
    rows = kernel.shape[0]
    return (
        GateBlocks.from_fused(kernel, order, slice(0, rows - output)),
        GateBlocks.from_fused(kernel, order, slice(rows - output, rows)),
    )


# --- CoupledInputForgetGateLSTMCell ---

_COUPLED_ROLES = ("kernel", "bias", "peephole_f", "peephole_o", "projection")
_COUPLED_LAYOUT = Layout(
    3,
    {
        "bias": lambda sizes: (3 * sizes.units,),
        "peephole_f": units,
        "peephole_o": units,
    },
    projection="projection",
)


_COUPLED_OPTIONS = {
    "forget_bias": _FORGET_ONE,
    "activation": _TANH,
    "proj_clip": Option(None),
}


def measure_coupled(roles: Mapping[str, Stored]) -> Geometry | LstmBridgeError:
    """Sizes of a coupled LSTM, or which variables do not fit."""
    peeping = [role for role in ("peephole_f", "peephole_o") if role in roles]
    if len(peeping) == 1:
        return NotRecognised(
            f"{roles[peeping[0]]}: a peephole without the other",
            expected="peepholes for f and o, or none",
            where=str(roles["kernel"]),
            advice="if names were changed, give --map FILE",
        )
    return _COUPLED_LAYOUT.measure(roles)


def build_coupled(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> CoupledLSTM:
    """The model's coupled LSTM; columns j, f, o."""
    bias = GateBlocks.from_fused(roles["bias"], COUPLED)
    projection = roles.get("projection")
    output = bias.shape[0] if projection is None else projection.shape[1]
    kernel, recurrent = _rows(roles["kernel"], COUPLED, output)
    peephole = None
    if "peephole_f" in roles:
        peephole = GateBlocks({"f": roles["peephole_f"], "o": roles["peephole_o"]})
    return CoupledLSTM(
        kernel=kernel,
        recurrent=recurrent,
        bias=bias,
        peephole=peephole,
        projection=projection,
        **facts,
    )


COUPLED_FAMILY = Family(
    kind="coupled LSTM",
    classes=(
        CellClass(
            "CoupledInputForgetGateLSTMCell",
            ("coupled_input_forget_gate_lstm_cell", "CoupledInputForgetGateLSTMCell"),
            frozenset(_COUPLED_ROLES),
            _COUPLED_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(
            ALWAYS,
            {
                "kernel": "W_#",
                "bias": "B",
                "peephole_f": "W_F_diag",
                "peephole_o": "W_O_diag",
                "projection": "W_P_#",
            },
        ),
    ),
    needed=("kernel", "bias"),
    own_name="",
    measure=measure_coupled,
    build=build_coupled,
    ask=Question(
        {"kernel": "xh"},
        _COUPLED_LAYOUT.shapes,
        build_coupled,
        _COUPLED_OPTIONS,
        last=frozenset({"projection"}),
    ),
)


# --- LayerNormBasicLSTMCell ---

NORMS: Mapping[str, str] = {"i": "input", "c": "transform", "f": "forget", "o": "output"}
"""Gate -> the scope that a layer norm's gamma and beta lie in."""
_NORM_ROLES = {
    **{f"gain_{gate}": f"{scope}/gamma" for gate, scope in NORMS.items()},
    **{f"shift_{gate}": f"{scope}/beta" for gate, scope in NORMS.items()},
    "state_gain": "state/gamma",
    "state_shift": "state/beta",
}


_NORM_LAYOUT = Layout(4, dict.fromkeys(_NORM_ROLES, units))
_NORM_OPTIONS = {
    "forget_bias": _FORGET_ONE,
    "activation": _TANH,
    "epsilon": Option(1e-12, by_dtype={"float16": 1e-3}),
}


def build_layer_norm(
    roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]
) -> LayerNormLSTM:
    """The model's layer-normed LSTM; columns i, j, f, o."""
    kernel, recurrent = _rows(roles["kernel"], TENSORFLOW_LSTM, roles["state_gain"].shape[0])
    return LayerNormLSTM(
        kernel=kernel,
        recurrent=recurrent,
        gain=GateBlocks({gate: roles[f"gain_{gate}"] for gate in NORMS}),
        shift=GateBlocks({gate: roles[f"shift_{gate}"] for gate in NORMS}),
        state_gain=roles["state_gain"],
        state_shift=roles["state_shift"],
        **facts,
    )


LAYER_NORM_FAMILY = Family(
    kind="layer-normed LSTM",
    classes=(
        CellClass(
            "LayerNormBasicLSTMCell",
            ("layer_norm_basic_lstm_cell", "LayerNormBasicLSTMCell"),
            frozenset({"kernel", *_NORM_ROLES}),
            _NORM_OPTIONS,
        ),
    ),
    spellings=(
        Spelling(LATEST, {"kernel": "kernel", **_NORM_ROLES}),
        Spelling(FIRST, {"kernel": "weights", **_NORM_ROLES}),
        Spelling(BEFORE, {"kernel": "linear/weights", **_NORM_ROLES}),
    ),
    needed=("kernel", *_NORM_ROLES),
    own_name="LayerNormBasicLSTMCell",
    measure=_NORM_LAYOUT.measure,
    build=build_layer_norm,
    ask=Question({"kernel": "xh"}, _NORM_LAYOUT.shapes, build_layer_norm, _NORM_OPTIONS),
)


# --- IndyLSTMCell ---

_INDEPENDENT_LAYOUT = Layout(
    4,
    {
        "recurrent": lambda sizes: (1, 4 * sizes.units),
        "bias": lambda sizes: (4 * sizes.units,),
    },
    apart=True,
)
_INDEPENDENT_OPTIONS = {"forget_bias": _FORGET_ONE, "activation": _TANH}


def build_independent(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> IndyLSTM:
    """The model's independently recurrent LSTM; columns i, j, f, o."""
    return IndyLSTM(
        kernel=GateBlocks.from_fused(roles["kernel"], TENSORFLOW_LSTM),
        recurrent=GateBlocks.from_fused(roles["recurrent"], TENSORFLOW_LSTM),
        bias=GateBlocks.from_fused(roles["bias"], TENSORFLOW_LSTM),
        **facts,
    )


INDEPENDENT_FAMILY = Family(
    kind="IndyLSTM",
    classes=(
        CellClass(
            "IndyLSTMCell",
            ("indy_lstm_cell", "IndyLSTMCell"),
            frozenset({"kernel", "recurrent", "bias"}),
            _INDEPENDENT_OPTIONS,
        ),
    ),
    spellings=(Spelling(LATEST, {"kernel": "kernel_w", "recurrent": "kernel_u", "bias": "bias"}),),
    needed=("kernel", "recurrent", "bias"),
    # IndRNNCell's variables are called the same, and may have the same shapes
    own_name="",
    measure=_INDEPENDENT_LAYOUT.measure,
    build=build_independent,
    ask=Question(
        {"kernel": "x", "recurrent": "h"},
        _INDEPENDENT_LAYOUT.shapes,
        build_independent,
        _INDEPENDENT_OPTIONS,
        pieces=True,
    ),
)


# --- NASCell ---

_NAS_ORDER = GateOrder("TensorFlow 1's NASCell", NAS.GATES)
_NAS_LAYOUT = Layout(
    8,
    {
        "recurrent": lambda sizes: (sizes.output_size, 8 * sizes.units),
        "bias": lambda sizes: (8 * sizes.units,),
    },
    apart=True,
    projection="projection",
)


def build_nas(roles: Mapping[str, Weights], facts: Mapping[str, Fact[Any]]) -> NAS:
    """The model's NAS cell: eight blocks in one row."""
    return NAS(
        kernel=GateBlocks.from_fused(roles["kernel"], _NAS_ORDER),
        recurrent=GateBlocks.from_fused(roles["recurrent"], _NAS_ORDER),
        bias=GateBlocks.from_fused(roles["bias"], _NAS_ORDER) if "bias" in roles else None,
        projection=roles.get("projection"),
        **facts,
    )


NAS_FAMILY = Family(
    kind="NAS",
    classes=(
        CellClass(
            "NASCell",
            ("nas_cell", "NASCell"),
            frozenset({"kernel", "recurrent", "bias", "projection"}),
            {},
        ),
    ),
    spellings=(
        Spelling(
            LATEST,
            {
                "kernel": "kernel",
                "recurrent": "recurrent_kernel",
                "bias": "bias",
                "projection": "projection_weights",
            },
        ),
    ),
    needed=("kernel", "recurrent"),
    own_name="NASCell",
    measure=_NAS_LAYOUT.measure,
    build=build_nas,
    ask=Question(
        {"recurrent": "h", "kernel": "x"},
        _NAS_LAYOUT.shapes,
        build_nas,
        {},
        last=frozenset({"projection"}),
    ),
)
