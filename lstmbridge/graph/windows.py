"""Windows that slide over arrays, and convolution by them, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstmbridge.gates import Array

_AT_ONCE = 1 << 17
"""Numbers that are laid out for one product: what a processor's own memory holds."""


def windows_of(
    a: Array,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    same: bool,
    fill: float,
) -> Array:
    """(batch, channels, places..., window...) of (batch, channels, lengths...)."""
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    if same:
        widths = [(0, 0), (0, 0)]
        for n, span, stride in zip(np.shape(a)[2:], spans, strides, strict=True):
            total = max((-(-n // stride) - 1) * stride + span - n, 0)
            widths.append((total // 2, total - total // 2))
        a = np.pad(a, widths, constant_values=fill)
    axes = tuple(range(2, np.ndim(a)))
    views = np.lib.stride_tricks.sliding_window_view(a, spans, axes)
    steps = tuple(slice(None, None, s) for s in strides)
    inside = tuple(slice(None, None, d) for d in dilations)
    at = (slice(None), slice(None), *steps, *inside)
    return np.asarray(views[at])


def convolved(
    a: Array,
    kernel: Array,
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    same: bool,
    groups: int,
) -> Array:
    """(batch, channels, lengths...) x (out, channels / groups, window...), in their dtype.

    Windows are laid out a part at a time, so that memory does not grow with the window.
    """
    windows = windows_of(a, kernel.shape[2:], strides, dilations, same=same, fill=0.0)
    batch, channels, *sizes = windows.shape
    count = len(strides)
    split = windows.reshape(batch, groups, channels // groups, *sizes)
    # (groups, batch, places..., channels, window...) x (groups, channels x window, outputs)
    inner = range(3 + count, 3 + 2 * count)
    view = split.transpose(1, 0, *range(3, 3 + count), 2, *inner)
    right = kernel.reshape(groups, kernel.shape[0] // groups, -1).transpose(0, 2, 1)
    right = np.ascontiguousarray(right)
    width, outputs = right.shape[1:]
    lead = view.shape[: 2 + count]
    made = np.empty((*lead, outputs), np.result_type(a, kernel))
    axis = 2 + int(np.argmax(lead[2:]))
    whole = max(int(np.prod(lead)) // max(lead[axis], 1) * width, 1)
    part = max(_AT_ONCE // whole, 1)
    for start in range(0, lead[axis], part):
        at = (*(slice(None),) * axis, slice(start, start + part))
        rows = view[at]
        product = np.matmul(rows.reshape(groups, -1, width), right)
        made[at] = product.reshape(*rows.shape[: 2 + count], outputs)
    return np.moveaxis(made, (1, 0, -1), (0, 1, 2)).reshape(batch, kernel.shape[0], *lead[2:])
