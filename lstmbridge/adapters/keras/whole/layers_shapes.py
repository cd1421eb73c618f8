"""Layers that move, cut, repeat and merge.

Source: the layers' documentation (Keras 1.2, 2.x, 3.x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.whole.drawing import Drawing, Value, broadcast
from lstmbridge.adapters.keras.whole.site import Site

Definition = Callable[[Site], Value]


def _product(lengths: Sequence[int | None]) -> int | None:
    if None in lengths:
        return None
    return int(np.prod([n for n in lengths if n is not None], dtype=np.int64))


def _flatten(site: Site) -> Value:
    d, x = site.drawing, site.x
    if site.config.get("data_format", "channels_last") == "channels_first" and x.rank > 2:
        x = d.transpose(x, [0, *range(2, x.rank), 1])
    total = _product(x.shape[1:])
    return d.reshape(x, [d.dim(x, 0), -1 if total is None else total], (x.shape[0], total))


def _reshape(site: Site) -> Value:
    d, x = site.drawing, site.x
    target = [int(n) for n in site.config.get("target_shape", site.config.get("dims", ()))]
    total = _product(x.shape[1:])
    shape: list[int | None] = [None if n == -1 else n for n in target]
    if None in shape and total is not None:
        rest = _product([n for n in shape if n is not None]) or 1
        shape[shape.index(None)] = total // rest
    lengths = [-1 if n is None else n for n in shape]
    return d.reshape(x, [d.dim(x, 0), *lengths], (x.shape[0], *shape))


def _permute(site: Site) -> Value:
    dims = [int(n) for n in site.config["dims"]]
    return site.drawing.transpose(site.x, [0, *dims])


def _repeat(site: Site) -> Value:
    d, x, times = site.drawing, site.x, int(site.config["n"])
    wide = d.expand(x, 1)
    shape = (x.shape[0], times, *x.shape[1:])
    return d.op("Tile", [wide, d.constant([1, times, *[1] * (x.rank - 1)], "int")], shape)


def _pairs(value: Any, axes: int) -> list[tuple[int, int]]:
    """Keras' padding or cropping: a number, one for each axis, or two for each."""
    if isinstance(value, int):
        return [(value, value)] * axes
    pair = axes == 1 and isinstance(value, list | tuple) and len(value) == 2
    if pair and all(isinstance(n, int) for n in value):
        return [(int(value[0]), int(value[1]))]
    return [(n, n) if isinstance(n, int) else (int(n[0]), int(n[1])) for n in value]


def _pad(axes: int) -> Definition:
    def define(site: Site) -> Value:
        d, x = site.drawing, site.x
        site.only("data_format", ("channels_last", None))
        pairs = [(0, 0), *_pairs(site.config.get("padding", 1), axes), (0, 0)]
        shape = tuple(
            None if n is None else n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)
        )
        return d.op("Pad", [x, d.constant(pairs, "int")], shape, x.kind)

    return define


def _crop(axes: int) -> Definition:
    def define(site: Site) -> Value:
        x = site.x
        site.only("data_format", ("channels_last", None))
        for k, (a, b) in enumerate(_pairs(site.config.get("cropping", 1), axes), start=1):
            x = site.drawing.slice(x, k, a, -b if b else None)
        return x

    return define


def _up(axes: int) -> Definition:
    def define(site: Site) -> Value:
        d, x = site.drawing, site.x
        site.only("data_format", ("channels_last", None))
        site.only("interpolation", ("nearest",))
        size = site.config.get("size", site.config.get("length", 2))
        sizes = [size] * axes if isinstance(size, int) else list(size)
        for axis, times in enumerate(sizes, start=1):
            wide = d.expand(x, axis + 1)
            repeats = [1] * wide.rank
            repeats[axis + 1] = int(times)
            tiled = d.op("Tile", [wide, d.constant(repeats, "int")], wide.shape)
            shape = list(x.shape)
            known = shape[axis]
            shape[axis] = None if known is None else known * int(times)
            dims = [-1 if k == axis else d.dim(x, k) for k in range(x.rank)]
            x = d.reshape(tiled, dims, tuple(shape))
        return x

    return define


def _same_ranks(d: Drawing, values: Sequence[Value]) -> list[Value]:
    """What is merged may have fewer axes: they are missing right behind the batch's."""
    most = max(value.rank for value in values)
    found = []
    for value in values:
        wide = value
        while wide.rank < most:
            wide = replace(d.expand(wide, 1), mask=value.mask)
        found.append(wide)
    return found


def _merged(op: str, *, count: bool = False) -> Definition:
    def define(site: Site) -> Value:
        d = site.drawing
        values = _same_ranks(d, site.inputs)
        made = reduce(lambda a, b: d.binary(op, a, b), values)
        made = replace(made, shape=broadcast(*(value.shape for value in values)))
        if count:
            made = d.binary("RealDiv", made, d.number(float(len(values))))
        return replace(made, mask=merged_mask(site, values))

    return define


def merged_mask(site: Site, values: Sequence[Value]) -> Value | None:
    """Of layers that add, multiply and so on.

    Keras 2: all masks that there are must hold. Keras 3: one of them, and none where an input
    has none.
    """
    masks = [value.mask for value in values if value.mask is not None]
    if not masks or (site.is_keras3 and len(masks) < len(values)):
        return None
    how = "LogicalOr" if site.is_keras3 else "LogicalAnd"
    return reduce(lambda a, b: site.drawing.binary(how, a, b, "bool"), masks)


def _concatenate(site: Site) -> Value:
    d, values = site.drawing, site.inputs
    axis = int(site.config.get("axis", site.config.get("concat_axis", -1)))
    made = d.concat(values, axis)
    if all(value.mask is None for value in values):
        return made
    if axis % made.rank == made.rank - 1 and made.rank > 2:
        masks = [value.mask for value in values if value.mask is not None]
        joined = reduce(lambda a, b: d.binary("LogicalAnd", a, b, "bool"), masks)
        return replace(made, mask=joined)
    if axis % made.rank == 1:
        return replace(made, mask=d.concat([_full_mask(d, value) for value in values], 1))
    raise site.refused(f"joins masked tensors on axis {axis}", "the axis of time or of features")


def _full_mask(d: Drawing, value: Value) -> Value:
    if value.mask is not None:
        return value.mask
    lengths = d.lengths([d.dim(value, 0), d.dim(value, 1)])
    return d.op("Fill", [lengths, d.constant(True, "bool")], value.shape[:2], "bool")


def _dot(site: Site) -> Value:
    """`Dot`: batches side by side, the named axes summed over."""
    d = site.drawing
    if len(site.inputs) != 2:
        raise site.refused(f"is called on {len(site.inputs)} tensors")
    a, b = site.inputs
    axes = site.config.get("axes", site.config.get("dot_axes"))
    pair = [axes, axes] if isinstance(axes, int) else list(axes or ())
    if len(pair) != 2 or not all(isinstance(k, int) for k in pair):
        raise site.refused(f"has axes {axes}", "one axis of each input")
    one, two = pair[0] % a.rank, pair[1] % b.rank
    if site.config.get("normalize"):
        a, b = (_unit(d, value, axis) for value, axis in ((a, one), (b, two)))
    if {a.rank, b.rank} - {2, 3} or 0 in {one, two}:
        raise site.refused(f"joins {a.shape} and {b.shape} over axes {axes}")
    if a.rank == b.rank == 2:
        return d.reduce("Sum", d.binary("Mul", a, b), [1], keep=True)
    left = d.expand(a, 1) if a.rank == 2 else (a if one == 2 else d.transpose(a, [0, 2, 1]))
    right = d.expand(b, 2) if b.rank == 2 else (b if two == 1 else d.transpose(b, [0, 2, 1]))
    made = d.matmul(left, right)
    if a.rank == 2:
        return d.squeeze(made, 1)
    return d.squeeze(made, 2) if b.rank == 2 else made


def _unit(d: Drawing, value: Value, axis: int) -> Value:
    squares = d.reduce("Sum", d.unary("Square", value), [axis], keep=True)
    least = d.unary("Rsqrt", d.binary("Maximum", squares, d.number(1e-12)))
    return replace(d.binary("Mul", value, least), shape=value.shape)


MOVES: Mapping[str, Definition] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "ZeroPadding1D": _pad(1),
    "ZeroPadding2D": _pad(2),
    "Cropping1D": _crop(1),
    "Cropping2D": _crop(2),
    "UpSampling1D": _up(1),
    "UpSampling2D": _up(2),
}
"""Layer class -> what it does to its one input."""

_MODES: Mapping[str, Definition] = {
    "sum": _merged("AddV2"),
    "mul": _merged("Mul"),
    "ave": _merged("AddV2", count=True),
    "max": _merged("Maximum"),
    "concat": _concatenate,
    "dot": _dot,
}


def _merge(site: Site) -> Value:
    """Keras 1's `Merge`, whose mode says which."""
    mode = site.config.get("mode", "sum")
    if not isinstance(mode, str) or mode not in _MODES:
        raise site.refused(f"has mode {str(mode)[:40]!r}", f"one of {', '.join(_MODES)}")
    return _MODES[mode](site)


MERGES: Mapping[str, Definition] = {
    "Add": _merged("AddV2"),
    "Subtract": _merged("Sub"),
    "Multiply": _merged("Mul"),
    "Average": _merged("AddV2", count=True),
    "Maximum": _merged("Maximum"),
    "Minimum": _merged("Minimum"),
    "Concatenate": _concatenate,
    "Dot": _dot,
    "Merge": _merge,
}
"""Layer class -> what it does to several inputs."""
