"""Which weights a layer has, by its class and config, in the order in which Keras stores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lstmbridge.adapters.keras.cells import GATES

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """One array of a layer: what it is, and whether training changes it."""

    role: str
    trained: bool = True


def _linear(config: Config) -> list[Slot]:
    return [Slot("kernel"), *_bias(config)]


def _bias(config: Config) -> list[Slot]:
    # Keras 1 calls the switch `bias`
    return [Slot("bias")] if config.get("use_bias", config.get("bias", True)) else []


def _affine(config: Config) -> list[Slot]:
    found = [Slot("gamma")] if config.get("scale", True) else []
    return [*found, *([Slot("beta")] if config.get("center", True) else [])]


def _batch_norm(config: Config) -> list[Slot]:
    moving = [Slot("moving_mean", trained=False), Slot("moving_variance", trained=False)]
    return [*_affine(config), *moving]


def _attention(config: Config) -> list[Slot]:
    found = [Slot("scale")] if config.get("use_scale") else []
    joined = config.get("score_mode", "dot") == "concat"
    return [*found, *([Slot("concat_score_weight")] if joined else [])]


def _additive(config: Config) -> list[Slot]:
    return [Slot("scale")] if config.get("use_scale", True) else []


SLOTS: Mapping[str, Callable[[Config], list[Slot]]] = {
    **dict.fromkeys(("Dense", "TimeDistributedDense"), _linear),
    **dict.fromkeys(("Conv1D", "Conv2D", "Convolution1D", "Convolution2D"), _linear),
    "Embedding": lambda _config: [Slot("embeddings")],
    **dict.fromkeys(
        ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"), _batch_norm
    ),
    "LayerNormalization": _affine,
    "PReLU": lambda _config: [Slot("alpha")],
    "Attention": _attention,
    "AdditiveAttention": _additive,
}
"""Layer class -> its weights. A class that stands nowhere has none, or is recurrent."""


def slots_of(kind: str, config: Config) -> list[Slot]:
    """The weights of a layer that is not recurrent."""
    rule = SLOTS.get(kind)
    return [] if rule is None else rule(config)


def recurrent_slots(kind: str, config: Config, *, parted: bool) -> list[Slot]:
    """The arrays of one recurrent cell; `parted`: each gate has its own (Keras 1)."""
    fused = [Slot("kernel"), Slot("recurrent_kernel"), *_bias(config)]
    if kind.startswith("CuDNN"):
        return [Slot("kernel"), Slot("recurrent_kernel"), Slot("bias")]
    return [Slot("parted")] * (3 * GATES[kind]) if parted else fused
