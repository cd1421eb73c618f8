"""Layers that work on features: dense, embedding, activations, normalisation.

Source: the layers' documentation (Keras 1.2, 2.x, 3.x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.whole.activations import activation_named
from lstmbridge.adapters.keras.whole.drawing import Value
from lstmbridge.adapters.keras.whole.site import Site

Definition = Callable[[Site], Value]


def activated(site: Site, x: Value, key: str = "activation") -> Value:
    """What the config's activation makes of `x`; it may be a layer of its own."""
    stored = site.config.get(key)
    if isinstance(stored, dict) and stored.get("class_name") in ADVANCED:
        inner = stored.get("config")
        return ADVANCED[stored["class_name"]](
            site.like(stored["class_name"], inner if isinstance(inner, dict) else {}, x)
        )
    _, define = activation_named(stored, site.version, site.name)
    return define(site.drawing, x)


def _unchanged(site: Site) -> Value:
    # a training=True that was written into the model makes dropout random at inference
    return site.x


def _activation(site: Site) -> Value:
    return activated(site, site.x)


def _dense(site: Site) -> Value:
    kernel = site.weight("kernel", 2)
    site.fits(site.x.shape[-1], kernel.shape[0], "features")
    made = site.drawing.matmul(site.x, kernel)
    if site.has("bias"):
        made = site.drawing.binary("BiasAdd", made, site.weight("bias", 1))
    return activated(site, made)


def _embedding(site: Site) -> Value:
    d, table = site.drawing, site.weight("embeddings", 2)
    ids = d.cast(site.x, "int")
    shape = (*ids.shape, table.shape[1])
    made = d.op("GatherV2", [table, ids, d.constant(0, "int")], shape)
    if not site.config.get("mask_zero"):
        return made
    zero = d.constant(0, "int") if site.x.kind == "int" else d.number(0.0)
    return replace(made, mask=d.binary("NotEqual", site.x, zero, "bool"))


def _masking(site: Site) -> Value:
    d, x = site.drawing, site.x
    value = d.number(float(site.config.get("mask_value", 0.0)))
    mask = d.reduce("Any", d.binary("NotEqual", x, value, "bool"), [-1], keep=False, kind="bool")
    made = d.binary("Mul", x, d.expand(d.cast(mask, "float"), -1))
    return replace(made, mask=mask, shape=x.shape)


def _leaky_relu(site: Site) -> Value:
    slope = site.config.get("negative_slope", site.config.get("alpha", 0.3))
    return site.drawing.unary("LeakyRelu", site.x, alpha=_single(slope))


def _single(value: Any) -> float:
    """A number that some Keras stored as an array in a dictionary."""
    return float(value["value"] if isinstance(value, dict) else value)


def _elu(site: Site) -> Value:
    d, alpha = site.drawing, _single(site.config.get("alpha", 1.0))
    made = d.unary("Elu", site.x)
    if alpha == 1.0:
        return made
    positive = d.binary("Greater", site.x, d.number(0.0), "bool")
    return d.op("SelectV2", [positive, made, d.binary("Mul", made, d.number(alpha))], made.shape)


def _thresholded(site: Site) -> Value:
    d, x = site.drawing, site.x
    theta = d.number(_single(site.config.get("theta", 1.0)))
    over = d.cast(d.binary("Greater", x, theta, "bool"), "float")
    return d.binary("Mul", x, over)


def _relu(site: Site) -> Value:
    """f(x) = max_value over it, x from the threshold on, else slope x (x - threshold)."""
    d, x = site.drawing, site.x
    slope = _single(site.config.get("negative_slope") or 0.0)
    threshold = _single(site.config.get("threshold") or 0.0)
    limit = site.config.get("max_value")
    if not slope and not threshold:
        made = d.unary("Relu", x)
    else:
        over = d.binary("GreaterEqual", x, d.number(threshold), "bool")
        rest = d.binary("Mul", d.binary("Sub", x, d.number(threshold)), d.number(slope))
        made = d.op("SelectV2", [over, x, rest], x.shape)
    return made if limit is None else d.binary("Minimum", made, d.number(_single(limit)))


def _prelu(site: Site) -> Value:
    d, x = site.drawing, site.x
    alpha = site.weight("alpha", x.rank - 1)
    negative = d.binary("Mul", alpha, d.unary("Relu", d.unary("Neg", x)))
    return replace(d.binary("Sub", d.unary("Relu", x), negative), shape=x.shape)


def _softmax(site: Site) -> Value:
    d, x = site.drawing, site.x
    axis = site.config.get("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if not isinstance(axis, int):
        raise site.refused(f"is over the axes {axis}", "one axis")
    if x.mask is not None:
        raise site.refused("is masked", "a layer on what has no mask")
    if axis in {-1, x.rank - 1}:
        return d.unary("Softmax", x)
    order = list(range(x.rank))
    order[axis], order[-1] = order[-1], order[axis]
    return d.transpose(d.unary("Softmax", d.transpose(x, order)), order)


def axes_of(site: Site, x: Value) -> list[int]:
    """The config's axis or axes, counted from the front."""
    axis = site.config.get("axis", -1)
    listed = axis if isinstance(axis, list | tuple) else [axis]
    return sorted(int(k) % x.rank for k in listed)


def along(site: Site, weight: Value, axes: Sequence[int], rank: int) -> Value:
    """A weight over some axes of x, as it broadcasts to x."""
    shape = [1] * rank
    for axis, length in zip(axes, weight.shape, strict=True):
        shape[axis] = int(length or 0)
    if shape == [1] * (rank - weight.rank) + list(weight.shape):
        return weight
    return site.drawing.reshape(weight, list(shape), tuple(shape))


def _batch_norm(site: Site) -> Value:
    """x * inv + (beta - mean * inv), inv = gamma / sqrt(variance + epsilon)."""
    d, x = site.drawing, site.x
    for key in ("renorm", "virtual_batch_size"):
        if site.config.get(key):
            raise site.refused(f"has {key}")
    if site.config.get("mode") == 1 or site.options.get("training"):
        raise site.refused("takes the batch's own mean, at inference too")
    axes = axes_of(site, x)
    epsilon = d.number(float(site.config.get("epsilon", 1e-3)))
    mean, variance = (site.weight(f"moving_{n}", len(axes)) for n in ("mean", "variance"))
    site.fits(x.shape[axes[0]], mean.shape[0], "features")
    inverse = d.unary("Rsqrt", d.binary("AddV2", variance, epsilon))
    if site.has("gamma"):
        inverse = d.binary("Mul", inverse, site.weight("gamma", len(axes)))
    shift = d.binary("Mul", mean, inverse)
    shift = (
        d.binary("Sub", site.weight("beta", len(axes)), shift)
        if site.has("beta")
        else d.unary("Neg", shift)
    )
    inverse, shift = (along(site, value, axes, x.rank) for value in (inverse, shift))
    return replace(d.binary("AddV2", d.binary("Mul", x, inverse), shift), shape=x.shape)


def _layer_norm(site: Site) -> Value:
    d, x = site.drawing, site.x
    if site.config.get("rms_scaling"):
        raise site.refused("has rms_scaling")
    axes = axes_of(site, x)
    epsilon = d.number(float(site.config.get("epsilon", 1e-3)))
    mean = d.reduce("Mean", x, axes, keep=True)
    off = d.binary("Sub", x, mean)
    variance = d.reduce("Mean", d.unary("Square", off), axes, keep=True)
    made = d.binary("Mul", off, d.unary("Rsqrt", d.binary("AddV2", variance, epsilon)))
    if site.has("gamma"):
        made = d.binary("Mul", made, along(site, site.weight("gamma", len(axes)), axes, x.rank))
    if site.has("beta"):
        made = d.binary("AddV2", made, along(site, site.weight("beta", len(axes)), axes, x.rank))
    return replace(made, shape=x.shape)


def _rescaling(site: Site) -> Value:
    d, x = site.drawing, d_cast(site)
    scale, offset = (site.config.get(key, k) for key, k in (("scale", 1.0), ("offset", 0.0)))
    made = d.binary("Mul", x, d.constant(np.asarray(scale)))
    return replace(d.binary("AddV2", made, d.constant(np.asarray(offset))), shape=x.shape)


def d_cast(site: Site) -> Value:
    """The input in floating point."""
    return site.drawing.cast(site.x, "float")


def _unit_norm(site: Site) -> Value:
    d, x = site.drawing, site.x
    squares = d.reduce("Sum", d.unary("Square", x), axes_of(site, x), keep=True)
    least = d.binary("Maximum", squares, d.number(1e-12))
    return replace(d.binary("Mul", x, d.unary("Rsqrt", least)), shape=x.shape)


ADVANCED: Mapping[str, Definition] = {
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "ThresholdedReLU": _thresholded,
    "ReLU": _relu,
    "Softmax": _softmax,
    "PReLU": _prelu,
}
"""Activations that are layers."""

FEATURES: Mapping[str, Definition] = {
    **ADVANCED,
    **dict.fromkeys(
        (
            "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout",
            "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D", "Identity",
        ),
        _unchanged,
    ),
    "Activation": _activation,
    **dict.fromkeys(("Dense", "TimeDistributedDense"), _dense),
    "Embedding": _embedding,
    "Masking": _masking,
    **dict.fromkeys(
        ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"), _batch_norm
    ),
    "LayerNormalization": _layer_norm,
    "Rescaling": _rescaling,
    "UnitNormalization": _unit_norm,
}  # fmt: skip
"""Layer class -> what it does."""
