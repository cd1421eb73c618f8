"""Convolution and pooling.

Source: the layers' documentation; one-dimensional layers are said as two-dimensional ones of
height 1, as TensorFlow itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lstmbridge.adapters.keras.whole.drawing import Shape, Value
from lstmbridge.adapters.keras.whole.layers_dense import activated
from lstmbridge.adapters.keras.whole.site import Site

Definition = Callable[[Site], Value]


def _ints(value: Any, axes: int) -> list[int]:
    return [int(value)] * axes if isinstance(value, int) else [int(n) for n in value]


def _format(site: Site) -> None:
    for key in ("data_format", "dim_ordering"):
        if site.config.get(key) in {"channels_first", "th"}:
            raise site.refused("has its channels first", "data_format channels_last")


def _after(length: int | None, window: int, stride: int, same: bool) -> int | None:
    if length is None:
        return None
    return -(-length // stride) if same else max(0, (length - window) // stride + 1)


def _padding(site: Site, *also: str) -> str:
    given = site.config.get("padding", site.config.get("border_mode", "valid"))
    if given not in {"valid", "same", *also}:
        raise site.refused(f"has padding {given!r}", "valid or same")
    return str(given)


def _conv(axes: int) -> Definition:
    def define(site: Site) -> Value:
        _format(site)
        d, x = site.drawing, site.x
        stored = site.stored.roles["kernel"]
        kernel = site.weight("kernel", len(stored.shape))
        if axes == 1 and kernel.rank == 4:
            # Keras 1 stored (length, 1, in, out)
            kernel = d.squeeze(kernel, 1)
        if kernel.rank != axes + 2:
            raise site.refused(f"has a kernel of shape {kernel.shape}")
        strides = _ints(site.config.get("strides", site.config.get(
            "subsample_length", site.config.get("subsample", 1))), axes)  # fmt: skip
        dilations = _ints(
            site.config.get("dilation_rate", site.config.get("atrous_rate", 1)), axes
        )
        groups = int(site.config.get("groups", 1))
        site.fits(x.shape[-1], int(kernel.shape[-2] or 0) * groups, "channels")
        padding = _padding(site, "causal") if axes == 1 else _padding(site)
        reach = [
            (int(k or 1) - 1) * by + 1 for k, by in zip(kernel.shape, dilations, strict=False)
        ]
        if padding == "causal":
            first, length = d.constant([[0, 0], [reach[0] - 1, 0], [0, 0]], "int"), x.shape[1]
            wide = None if length is None else length + reach[0] - 1
            x, padding = d.op("Pad", [x, first], (x.shape[0], wide, x.shape[2])), "valid"
        same = padding == "same"
        places = tuple(_after(n, reach[k], strides[k], same) for k, n in enumerate(x.shape[1:-1]))
        shape: Shape = (x.shape[0], *places, kernel.shape[-1])
        if axes == 1:
            x, kernel = d.expand(x, 1), d.expand(kernel, 0)
            strides, dilations = [1, *strides], [1, *dilations]
        wide_shape = shape if axes == 2 else (shape[0], 1, *shape[1:])
        made = d.op(
            "Conv2D", [x, kernel], wide_shape, strides=(1, *strides, 1),
            dilations=(1, *dilations, 1), padding=padding.upper(), data_format="NHWC",
        )  # fmt: skip
        if axes == 1:
            made = d.squeeze(made, 1)
        if site.has("bias"):
            made = d.binary("BiasAdd", made, site.weight("bias", 1))
        return activated(site, made)

    return define


def _pool(kind: str, axes: int) -> Definition:
    def define(site: Site) -> Value:
        _format(site)
        d, x = site.drawing, site.x
        window = _ints(site.config.get("pool_size", site.config.get("pool_length", 2)), axes)
        stride = site.config.get("strides", site.config.get("stride"))
        strides = window if stride is None else _ints(stride, axes)
        same = _padding(site) == "same"
        places = tuple(_after(n, window[k], strides[k], same) for k, n in enumerate(x.shape[1:-1]))
        shape: Shape = (x.shape[0], *places, x.shape[-1])
        if axes == 1:
            x, window, strides = d.expand(x, 1), [1, *window], [1, *strides]
        made = d.op(
            kind, [x], shape if axes == 2 else (shape[0], 1, *shape[1:]),
            ksize=(1, *window, 1), strides=(1, *strides, 1),
            padding="SAME" if same else "VALID", data_format="NHWC",
        )  # fmt: skip
        return d.squeeze(made, 1) if axes == 1 else made

    return define


def _overall(how: str, axes: int) -> Definition:
    def define(site: Site) -> Value:
        _format(site)
        d, x = site.drawing, site.x
        keep = bool(site.config.get("keepdims", False))
        places = list(range(1, axes + 1))
        if how != "Mean" or x.mask is None or axes != 1:
            return d.reduce(how, x, places, keep=keep)
        weights = d.expand(d.cast(x.mask, "float"), -1)
        total = d.reduce("Sum", d.binary("Mul", x, weights), places, keep=keep)
        return d.binary("RealDiv", total, d.reduce("Sum", weights, places, keep=keep))

    return define


WINDOWS: Mapping[str, Definition] = {
    **dict.fromkeys(("Conv1D", "Convolution1D"), _conv(1)),
    **dict.fromkeys(("Conv2D", "Convolution2D"), _conv(2)),
    "MaxPooling1D": _pool("MaxPool", 1),
    "MaxPooling2D": _pool("MaxPool", 2),
    "AveragePooling1D": _pool("AvgPool", 1),
    "AveragePooling2D": _pool("AvgPool", 2),
    "GlobalMaxPooling1D": _overall("Max", 1),
    "GlobalMaxPooling2D": _overall("Max", 2),
    "GlobalAveragePooling1D": _overall("Mean", 1),
    "GlobalAveragePooling2D": _overall("Mean", 2),
}
"""Layer class -> what it does."""
