"""Convolution and pooling as nodes. Channels come before places, as in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmbridge.targets.onnx.whole.values import Dims, Length, Value, dims_of
from lstmbridge.targets.onnx.whole.words_base import folded
from lstmbridge.targets.onnx.whole.words_index import Indexing


class Windows(Indexing):
    """See `graph.words.Words`; likewise below."""

    @folded
    def conv(
        self,
        a: Value,
        kernel: Value,
        *,
        strides: Sequence[int],
        dilations: Sequence[int],
        same: bool,
        groups: int,
    ) -> Value:
        """Convolution."""
        self._single("Conv")
        outputs, _, *window = dims_of(kernel)
        if not all(isinstance(n, int) for n in window):
            raise TypeError("the size of its window is not known before the model is run")
        sizes = [int(n) for n in window if isinstance(n, int)]
        spans = [(k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)]
        attrs: dict[str, Any] = {
            "kernel_shape": sizes,
            **_padding(dims_of(a), spans, strides, same),
        }
        if "auto_pad" in attrs and any(d != 1 for d in dilations):
            raise ValueError("it is dilated, and its padding is not known before the model is run")
        if any(d != 1 for d in dilations):
            attrs["dilations"] = list(dilations)
        if any(s != 1 for s in strides):
            attrs["strides"] = list(strides)
        if groups != 1:
            attrs["group"] = groups
        dims = _windowed(dims_of(a), outputs, spans, strides, same)
        return self.emitter.emit("Conv", [a, kernel], "float", dims, **attrs)

    @folded
    def pool(
        self, how: str, a: Value, *, window: Sequence[int], strides: Sequence[int], same: bool
    ) -> Value:
        """Pooling; padding is not counted."""
        if how != "max":
            self._single("AveragePool")
        attrs = {"kernel_shape": list(window), **_padding(dims_of(a), window, strides, same)}
        if any(s != 1 for s in strides):
            attrs["strides"] = list(strides)
        dims = _windowed(dims_of(a), dims_of(a)[1], window, strides, same)
        op = "MaxPool" if how == "max" else "AveragePool"
        return self.emitter.emit(op, [a], "float", dims, **attrs)

    def _single(self, op: str) -> None:
        if self.emitter.is_double:
            raise ValueError(f"ONNX Runtime has no {op} in double precision")


def _padding(
    dims: Dims, spans: Sequence[int], strides: Sequence[int], same: bool
) -> dict[str, Any]:
    """Numbers where they are known: a length does not matter where the stride is 1."""
    if not same:
        return {}
    before, after = [], []
    for length, span, stride in zip(dims[2:], spans, strides, strict=True):
        if stride == 1:
            total = span - 1
        elif isinstance(length, int):
            total = max((-(-length // stride) - 1) * stride + span - length, 0)
        else:
            return {"auto_pad": "SAME_UPPER"}
        before.append(total // 2)
        after.append(total - total // 2)
    return {"pads": [*before, *after]} if any(np.array([*before, *after])) else {}


def _windowed(
    dims: Dims, channels: Length, spans: Sequence[int], strides: Sequence[int], same: bool
) -> Dims:
    """The shape after windows."""
    places: list[Length] = []
    for length, span, stride in zip(dims[2:], spans, strides, strict=True):
        if stride == 1 and (same or span == 1):
            places.append(length)
        elif isinstance(length, int):
            inside = length if same else length - span + 1
            places.append(-(-inside // stride))
        else:
            places.append(None)
    return (dims[0], channels, *places)
