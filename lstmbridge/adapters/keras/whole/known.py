"""Which layers are known, and what of a model's config others ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmbridge.adapters.keras.config import MODELS
from lstmbridge.adapters.keras.whole.layers_attention import ATTENTION
from lstmbridge.adapters.keras.whole.layers_dense import FEATURES
from lstmbridge.adapters.keras.whole.layers_shapes import MERGES, MOVES
from lstmbridge.adapters.keras.whole.layers_windows import WINDOWS
from lstmbridge.adapters.keras.whole.operations import OPERATIONS, is_operation
from lstmbridge.adapters.keras.whole.recurrent import RECURRENT
from lstmbridge.adapters.keras.whole.site import ADVICE
from lstmbridge.errors import CannotExpress

LAYERS = {**FEATURES, **MOVES, **MERGES, **WINDOWS, **ATTENTION}
"""Layer class -> what it does to its inputs; recurrent ones stand in `recurrent`."""

PASS = frozenset(
    {
        *("Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense"),
        *("BatchNormalizationV1", "BatchNormalizationV2", "Dropout", "ELU", "GaussianDropout"),
        *("GaussianNoise", "Identity", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU"),
        *("SpatialDropout1D", "SpatialDropout2D", "ThresholdedReLU", "TimeDistributedDense"),
        *("UnitNormalization",),
    }
)
"""Layers that hand on the mask of what they are given (`supports_masking`)."""
RANDOM = frozenset(
    {
        *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
        *("SpatialDropout1D", "SpatialDropout2D"),
    }
)
"""Layers that are random in training."""
DEEPEST = 16
"""Models within models."""


def refuse_unknown(model: Mapping[str, Any], depth: int = 0) -> None:
    """Refuse layers that have no definition here, all of them. Errors: CannotExpress."""
    unknown = dict.fromkeys(_unknown(model, depth))
    if unknown:
        names = ", ".join(f"{name} ({kind})" for name, kind in unknown)
        lambdas = any(kind == "Lambda" for _, kind in unknown)
        why = "; a Lambda is Python code, which is never run" if lambdas else ""
        first = next(iter(unknown))
        raise CannotExpress(
            f"the model has layers that are not known here: {names}{why}",
            expected="Keras' own layers",
            where=first[0],
            advice=ADVICE,
        )


def _unknown(model: Mapping[str, Any], depth: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for layer in listed(model):
        kind, config = str(layer.get("class_name", "")), layer.get("config")
        name = name_of(layer)
        if kind in MODELS:
            found += _unknown(layer, depth + 1) if depth < DEEPEST else [(name, kind)]
        elif kind == "TimeDistributed" and isinstance(config, dict):
            inner = config.get("layer")
            wrapped = {"class_name": "Sequential", "config": [inner]}
            found += _unknown(wrapped, depth + 1) if depth < DEEPEST else [(name, kind)]
        elif is_operation(layer):
            found += [] if kind in OPERATIONS else [(name, kind)]
        elif kind not in LAYERS and kind not in RECURRENT and kind != "InputLayer":
            found.append((name, kind or "?"))
    return found


def listed(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers of a model's config."""
    inner = model.get("config")
    listed = inner.get("layers", ()) if isinstance(inner, dict) else inner
    return [layer for layer in listed or () if isinstance(layer, dict)]


def name_of(layer: Mapping[str, Any]) -> str:
    """What a layer is called."""
    config = layer.get("config")
    own = config.get("name") if isinstance(config, dict) else None
    return str(own or layer.get("name", ""))
