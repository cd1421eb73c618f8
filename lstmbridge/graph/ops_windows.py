"""Convolution, pooling, batch normalisation, and the moves to blocks that dilation is made of.

Source: nn_ops.cc, array_ops.cc. TensorFlow's `SAME` puts the odd element of padding at the end,
as ONNX's SAME_UPPER does. Channels are moved in front of the places, where ONNX has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _channels_first(op: Op) -> bool:
    return _text(op.attrs.get("data_format", "NHWC")).startswith("NC")


def _places(op: Op, name: str, axes: int) -> list[int]:
    """A list attribute's numbers for the places: without batch and channels."""
    listed = op.attrs.get(name) or (1,) * (axes + 2)
    inner = listed[2:] if _channels_first(op) else listed[1:-1]
    return [int(k) for k in inner]


def _same(op: Op) -> bool:
    padding = _text(op.attrs.get("padding", "VALID"))
    if padding not in {"SAME", "VALID"}:
        raise ValueError(f"padding {padding!r}")
    return padding == "SAME"


def _to_front(w: Words[Any], op: Op, value: Any) -> Any:
    if _channels_first(op):
        return value
    last = w.rank(value) - 1
    return w.transpose(value, (0, last, *range(1, last)))


def _to_back(w: Words[Any], op: Op, value: Any) -> Any:
    if _channels_first(op):
        return value
    return w.transpose(value, (0, *range(2, w.rank(value)), 1))


def _conv(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`Conv2D`, `Conv3D`: the kernel is (places..., in / groups, out)."""
    value, kernel = args
    count = w.rank(kernel) - 2
    inputs, inner = w.numbers(w.shape(value)), w.numbers(w.shape(kernel))[-2]
    channels = inputs[1 if _channels_first(op) else -1]
    known = isinstance(channels, int) and isinstance(inner, int)
    groups = channels // inner if known else 1
    turned = w.transpose(kernel, (count + 1, count, *range(count)))
    made = w.conv(
        _to_front(w, op, value),
        turned,
        strides=_places(op, "strides", count),
        dilations=_places(op, "dilations", count),
        same=_same(op),
        groups=groups,
    )
    return [_to_back(w, op, made)]


def _depthwise(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`DepthwiseConv2dNative`: (height, width, in, multiplier), output in x multiplier."""
    value, kernel = args
    high, wide, channels, times = (int(k) for k in w.static(w.shape(kernel)))
    turned = w.reshape(w.transpose(kernel, (2, 3, 0, 1)), (channels * times, 1, high, wide))
    made = w.conv(
        _to_front(w, op, value),
        turned,
        strides=_places(op, "strides", 2),
        dilations=_places(op, "dilations", 2),
        same=_same(op),
        groups=channels,
    )
    return [_to_back(w, op, made)]


def _pool(how: str) -> Definition:
    def define(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
        count = w.rank(args[0]) - 2
        made = w.pool(
            how,
            _to_front(w, op, args[0]),
            window=_places(op, "ksize", count),
            strides=_places(op, "strides", count),
            same=_same(op),
        )
        return [_to_back(w, op, made)]

    return define


def _bias_add(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    value, bias = args
    if _channels_first(op) and w.rank(value) > 2:
        bias = w.reshape(bias, (-1, *[1] * (w.rank(value) - 2)))
    return [w.add(value, bias)]


def _batch_norm(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`FusedBatchNorm`, V2, V3: y, mean, variance. With `is_training` the batch's own."""
    value, scale, offset, mean, variance = args
    rank = w.rank(value)
    channel = 1 if _channels_first(op) else rank - 1

    def wide(a: Any) -> Any:
        return w.reshape(a, (-1, *[1] * (rank - 1 - channel)))

    if bool(op.attrs.get("is_training", True)):
        others = [k for k in range(rank) if k != channel]
        mean = w.reduce("mean", value, others, keep=False)
        off = w.sub(value, wide(mean))
        variance = w.reduce("mean", w.mul(off, off), others, keep=False)
    epsilon = w.constant(float(op.attrs.get("epsilon", np.float32(1e-4))))
    factor = w.div(scale, w.sqrt(w.add(variance, epsilon)))
    made = w.add(w.mul(w.sub(value, wide(mean)), wide(factor)), wide(offset))
    return [made, mean, variance]


def _ints(w: Words[Any], value: Any) -> list[int]:
    return [int(k) for k in np.ravel(w.static(value))]


def _times(w: Words[Any], a: Any, b: int) -> Any:
    return a * b if isinstance(a, int) else w.mul(a, w.integer(b))


def _divided(w: Words[Any], a: Any, b: int) -> Any:
    return a // b if isinstance(a, int) else w.integer_division("floor", a, w.integer(b))


def _space_to_batch(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`SpaceToBatchND`: (batch, places...) -> (blocks x batch, places / block...)."""
    value, blocks = args[0], _ints(w, args[1])
    count, rank = len(blocks), w.rank(value)
    widths = list(w.numbers(w.reshape(args[2], (-1,))))
    rest = [0] * (rank - 1 - count)
    value = w.pad(value, [0, *widths[0::2], *rest], [0, *widths[1::2], *rest], w.constant(0.0))
    lengths = list(w.numbers(w.shape(value)))
    shape: list[Any] = [lengths[0]]
    for length, block in zip(lengths[1 : 1 + count], blocks, strict=True):
        shape += [_divided(w, length, block), block]
    value = w.reshape(value, [*shape, *lengths[1 + count :]])
    inner = [2 + 2 * k for k in range(count)]
    outer = [1 + 2 * k for k in range(count)]
    value = w.transpose(value, (*inner, 0, *outer, *range(1 + 2 * count, rank + count)))
    batch = _times(w, lengths[0], int(np.prod(blocks)))
    places = [shape[k] for k in outer]
    return [w.reshape(value, [batch, *places, *lengths[1 + count :]])]


def _batch_to_space(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`BatchToSpaceND`: undoes the former, and crops."""
    value, blocks = args[0], _ints(w, args[1])
    count, rank = len(blocks), w.rank(value)
    lengths = list(w.numbers(w.shape(value)))
    batch = _divided(w, lengths[0], int(np.prod(blocks)))
    value = w.reshape(value, [*blocks, batch, *lengths[1:]])
    order = [count]
    for k in range(count):
        order += [count + 1 + k, k]
    value = w.transpose(value, (*order, *range(2 * count + 1, rank + count)))
    places = [_times(w, n, block) for n, block in zip(lengths[1 : 1 + count], blocks, strict=True)]
    value = w.reshape(value, [batch, *places, *lengths[1 + count :]])
    crops = w.numbers(w.reshape(args[2], (-1,)))
    at: list[Any] = [slice(None)]
    for k, length in enumerate(places):
        start, end = crops[2 * k], crops[2 * k + 1]
        known = isinstance(length, int) and isinstance(end, int)
        stop = length - end if known else w.sub(w.integer(length), w.integer(end))
        at.append(slice(start, stop))
    return [w.index(value, tuple(at))]


WINDOWS: Mapping[str, Definition] = {
    "AvgPool": _pool("mean"),
    "AvgPool3D": _pool("mean"),
    "BatchToSpaceND": _batch_to_space,
    "BiasAdd": _bias_add,
    "Conv2D": _conv,
    "Conv3D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "FusedBatchNorm": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNormV3": _batch_norm,
    "MaxPool": _pool("max"),
    "MaxPool3D": _pool("max"),
    "SpaceToBatchND": _space_to_batch,
}
