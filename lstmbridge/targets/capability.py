"""What each target can say, and how: a table of features x targets. No code of a target in here.

==========  ==========================================================================
how         meaning
==========  ==========================================================================
native      the target's own recurrent operator, its weights reordered and nothing else
rewritten   the target's own operator after exact algebra (what was folded is recorded)
stepped     the cell's equations, one step at a time (ONNX ``Scan``, a PyTorch loop)
refused     not said at all: `CannotExpress`, with the reason
==========  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmbridge.contracts import Expression
from lstmbridge.errors import CannotExpress
from lstmbridge.model.blocks import Layer
from lstmbridge.model.cells import Cell

HOWS: tuple[str, ...] = ("native", "rewritten", "stepped", "refused")
"""From the cleanest to none."""


@dataclass(frozen=True, slots=True)
class Capability:
    """How a target says one feature, and the reason where it is not plainly native."""

    how: str
    reason: str = ""


_NATIVE = Capability("native")
_NAMED = ("activation", "gate_activation")
"""Facts whose value is part of the row's name."""
_OTHER_CELLS = (
    "CoupledLSTM",
    "LayerNormLSTM",
    "IndyLSTM",
    "NAS",
    "GRU",
    "IndyGRU",
    "RNN",
    "UGRNN",
    "Intersection",
)
"""Kinds of cells that are said by their equations."""


def _stepped(reason: str) -> Capability:
    return Capability("stepped", reason)


_ONNX: Mapping[str, Capability] = {
    "LSTM": _NATIVE,
    **{kind: _stepped(f"ONNX has no operator for {kind}") for kind in _OTHER_CELLS},
    "GRU": _NATIVE,
    "RNN": _NATIVE,
    # measured: as close to the oracle as an LSTM's own gates, at saturation too
    "CoupledLSTM": Capability(
        "rewritten", "an LSTM whose input gate has the forget gate's weights, signs turned"
    ),
    # measured as a GRU whose reset gate is held open: no faster for one row, 1.5 x the time for
    # 32, and a third of its weights would be zeros
    "UGRNN": _stepped("ONNX has no operator for UGRNN, and a GRU that never resets is slower"),
    "forget_bias": Capability("native", "forget bias in the operator's second bias"),
    "peephole": _NATIVE,
    "projection": Capability(
        "rewritten",
        "projection folded into the recurrent weights (product in float64, rounded once)",
    ),
    "cell_clip": _stepped("the operator's clip does not limit the carried cell state"),
    "proj_clip": _stepped("the operator has no projection to clip"),
    "reset_before": _NATIVE,
    "residual": _NATIVE,
    "highway": _NATIVE,
    "dense": _NATIVE,
    "bidirectional": _NATIVE,
    "sequence_length": _NATIVE,
    "states": _NATIVE,
    "activation:tanh": _NATIVE,
    "activation:sigmoid": _NATIVE,
    "activation:relu": _NATIVE,
    "activation:elu": _NATIVE,
    "activation:softsign": _NATIVE,
    "activation:hard_sigmoid": _NATIVE,
    "activation:linear": _NATIVE,
    "activation:softplus": _stepped("ONNX Runtime's operator overflows in Softplus"),
    "activation:selu": _stepped("the operator has no Selu"),
    "activation:relu6": _stepped("the operator has no relu6"),
    "activation:leaky_relu": _stepped("written out, with the slope that TensorFlow gives it"),
    "gate_activation:sigmoid": _NATIVE,
    "gate_activation:hard_sigmoid": _NATIVE,
    "gate_activation:tanh": _NATIVE,
    "gate_activation:relu": _NATIVE,
    "gate_activation:elu": _NATIVE,
    "gate_activation:softsign": _NATIVE,
    "gate_activation:linear": _NATIVE,
    "gate_activation:softplus": _stepped("ONNX Runtime's operator overflows in Softplus"),
    "gate_activation:selu": _stepped("the operator has no Selu"),
    "gate_activation:relu6": _stepped("the operator has no relu6"),
    "gate_activation:leaky_relu": _stepped("written out, with the slope that TensorFlow gives it"),
    "dtype:float16": _NATIVE,
    "dtype:bfloat16": Capability("rewritten", "widened to float32, exactly"),
    "dtype:float32": _NATIVE,
    "dtype:float64": _stepped("ONNX Runtime has no LSTM, GRU or RNN in double"),
}

_TORCH: Mapping[str, Capability] = {
    "LSTM": _NATIVE,
    **{kind: _stepped(f"{kind} is written from its equations") for kind in _OTHER_CELLS},
    "GRU": _NATIVE,
    "RNN": _NATIVE,
    "forget_bias": Capability("native", "forget bias in bias_hh"),
    "peephole": _stepped("torch.nn.LSTM has no peepholes"),
    "projection": Capability("native", "proj_size"),
    "cell_clip": _stepped("torch.nn.LSTM clips nothing"),
    "proj_clip": _stepped("torch.nn.LSTM clips nothing"),
    "reset_before": _stepped("torch.nn.GRU resets after the recurrent product, not before it"),
    "residual": _NATIVE,
    "highway": _NATIVE,
    "dense": Capability("native", "torch.nn.Linear"),
    "bidirectional": _NATIVE,
    "sequence_length": _NATIVE,
    "states": _NATIVE,
    "activation:tanh": _NATIVE,
    "RNN activation:relu": Capability("native", "torch.nn.RNN(nonlinearity='relu')"),
    **{
        f"activation:{name}": _stepped(f"torch.nn knows tanh (and an RNN with relu), not {name}")
        for name in (
            "sigmoid", "relu", "elu", "selu", "softplus", "softsign",
            "linear", "relu6", "leaky_relu", "hard_sigmoid",
        )
    },
    "gate_activation:sigmoid": _NATIVE,
    **{
        f"gate_activation:{name}": _stepped(f"torch.nn knows sigmoid gates only, not {name}")
        for name in (
            "tanh", "relu", "elu", "selu", "softplus", "softsign",
            "linear", "relu6", "leaky_relu", "hard_sigmoid",
        )
    },
    "dtype:float16": _NATIVE,
    "dtype:bfloat16": _NATIVE,
    "dtype:float32": _NATIVE,
    "dtype:float64": _NATIVE,
}  # fmt: skip

_TORCH_EXPORT: Mapping[str, Capability] = {
    **_TORCH,
    "states": Capability("native", "fed always or never: a program has no optional inputs"),
}

CAPABILITIES: Mapping[str, Mapping[str, Capability]] = {
    "onnx": _ONNX,
    "torch": _TORCH,
    "torch-export": _TORCH_EXPORT,
}
"""target -> feature -> how. A feature that stands nowhere is refused.

A row that begins with a kind of cell (``"RNN activation:relu"``) holds for that kind, in place of
the row without.
"""


def capability(target: str, feature: str, kind: str = "") -> Capability:
    """How `target` says `feature` (of a cell of `kind`); refused where no row knows it."""
    table = CAPABILITIES[target]
    unknown = Capability("refused", f"{target} has no rule for {feature}")
    return table.get(f"{kind} {feature}", table.get(feature, unknown))


def features_of(cell: Cell, dtype: np.dtype[Any] | None = None) -> tuple[str, ...]:
    """The rows of the table that `cell` needs, when its arithmetic is done in `dtype`."""
    facts = {name: fact.value for name, fact in cell.facts.items()}
    features = [cell.KIND, f"dtype:{cell.dtype if dtype is None else dtype}"]
    features += [f"{name}:{facts[name]}" for name in _NAMED if name in facts]
    present = {
        "forget_bias": bool(facts.get("forget_bias")),
        "peephole": "peephole" in cell.blocks,
        "projection": "projection" in cell.blocks,
        "cell_clip": facts.get("cell_clip") is not None,
        # without a projection there is nothing for it to clip
        "proj_clip": facts.get("proj_clip") is not None and "projection" in cell.blocks,
        "reset_before": facts.get("reset_after") is False,
    }
    return (*features, *(name for name, there in present.items() if there))


def express(target: str, layer: Layer, features: Iterable[str]) -> Expression:
    """The one way in which `target` says a layer that needs all of `features`.

    Raises:
        CannotExpress: naming the layer, the feature and the reason.
    """
    found = [(name, capability(target, name, layer.cell.KIND)) for name in features]
    for name, rule in found:
        if rule.how == "refused":
            raise CannotExpress(
                f"{layer.name} needs {name}: {rule.reason}",
                expected=f"a feature that {target} can express",
                where=layer.name,
                advice="convert to another target, or open an issue with this message",
            )
    how = max((rule.how for _, rule in found), key=HOWS.index)
    reasons = [rule.reason for _, rule in found if rule.reason and rule.how == how]
    return Expression(layer=layer.name, how=how, detail="; ".join(dict.fromkeys(reasons)))
