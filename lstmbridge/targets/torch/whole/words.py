"""The vocabulary of graphs in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lstmbridge.gates import Array
from lstmbridge.graph.stepwise import Step, stepwise
from lstmbridge.targets.torch.whole.words_elementwise import NUMBERS, Elementwise, Value, folded


class TorchWords(Elementwise):
    """Implements `graph.words.Words` for tensors of one dtype on one device."""

    def concat(self, parts: Sequence[Value]) -> Value:
        """Last axis."""
        joined: Value = self.join(parts, -1)
        return joined

    @folded
    def reshape(self, a: Value, shape: Sequence[Any]) -> Value:
        """Reshape."""
        return self.tensor(a).reshape([*map(int, shape)])

    @folded
    def unsqueeze(self, a: Tensor, axis: int) -> Value:
        """Insert."""
        return a.unsqueeze(axis)

    @folded
    def squeeze_ones(self, a: Tensor) -> Value:
        """Drop every axis of length 1."""
        return a.squeeze()

    @folded
    def squeeze(self, a: Tensor, axes: Sequence[int]) -> Value:
        """Drop."""
        if any(a.shape[k] != 1 for k in axes):
            raise ValueError(f"axes {list(axes)} of {tuple(a.shape)} are not all of length 1")
        return a.squeeze(tuple(axes)) if axes else a

    @folded
    def transpose(self, a: Tensor, order: Sequence[int]) -> Value:
        """Transpose."""
        return a.permute(tuple(order))

    @folded
    def expand(self, a: Value, shape: Sequence[Any]) -> Value:
        """Broadcast."""
        return torch.broadcast_to(self.tensor(a), [*map(int, shape)])

    @folded
    def tile(self, a: Value, repeats: Sequence[Any]) -> Value:
        """Tile."""
        return torch.tile(self.tensor(a), [*map(int, repeats)])

    @folded
    def index(self, a: Value, at: tuple[Any, ...]) -> Value:
        """Slices; torch has no steps back, so these are taken by number."""
        value, places = self.tensor(a), list(at)
        if any(one is Ellipsis for one in places):
            k = next(k for k, one in enumerate(places) if one is Ellipsis)
            used = sum(one is not None for one in places) - 1
            places[k : k + 1] = [slice(None)] * (value.ndim - used)
        said: list[Any] = []
        axis = 0
        for one in places:
            place = one if one is None or isinstance(one, slice) else int(one)
            if isinstance(one, slice):
                start, stop = (None if n is None else int(n) for n in (one.start, one.stop))
                step = 1 if one.step is None else int(one.step)
                if step < 0:
                    numbers = range(*slice(start, stop, step).indices(value.shape[axis]))
                    rows = torch.tensor([*numbers], dtype=torch.int64, device=value.device)
                    value, start, stop, step = value.index_select(axis, rows), None, None, 1
                place = slice(start, stop, step)
            axis += one is not None
            said.append(place)
        return value[tuple(said)]

    @folded
    def pieces(self, a: Tensor, sizes: Sequence[int], axis: int) -> Sequence[Value]:
        """Slices."""
        return list(torch.split(a, list(sizes), dim=axis))

    @folded
    def gather(self, a: Value, indices: Value, axis: int) -> Value:
        """Take; numbers below 0 count from the end, as NumPy has it."""
        value, at = self.tensor(a), self.tensor(indices)
        axis %= value.ndim
        flat = at.reshape(-1)
        if not isinstance(indices, Tensor) and (np.asarray(indices) < 0).any():
            flat = torch.remainder(flat, value.shape[axis])
        rows = value.index_select(axis, flat)
        return rows.reshape(*value.shape[:axis], *at.shape, *value.shape[axis + 1 :])

    @folded
    def join(self, parts: Sequence[Value], axis: int) -> Value:
        """Concatenate."""
        return torch.cat([*map(self.tensor, parts)], dim=axis)

    def arange(self, start: Value, limit: Value, step: Value) -> Array:
        """On the host."""
        return NUMBERS.arange(*map(self.static, (start, limit, step)))

    @folded
    def reverse(self, a: Tensor, axes: Sequence[int]) -> Value:
        """Flip."""
        return torch.flip(a, tuple(axes))

    @folded
    def reverse_sequence(self, a: Value, lengths: Value, time: int, batch: int) -> Value:
        """Flip each row's prefix."""
        moved = torch.movedim(self.tensor(a), (time, batch), (0, 1))
        steps = torch.arange(moved.shape[0], device=self.device)[:, None]
        ends = self.tensor(lengths)[None, :]
        source = torch.where(steps < ends, ends - 1 - steps, steps)
        rows = torch.arange(moved.shape[1], device=self.device)[None, :]
        return torch.movedim(moved[source, rows], (0, 1), (time, batch))

    @folded
    def arg(self, how: str, a: Tensor, axis: int) -> Value:
        """Place of the extreme."""
        return torch.argmax(a, dim=axis) if how == "max" else torch.argmin(a, dim=axis)

    @folded
    def top_k(self, a: Value, count: Any) -> tuple[Value, Value]:
        """Sorted, stable."""
        found = torch.sort(self.tensor(a), dim=-1, descending=True, stable=True)
        return found.values[..., : int(count)], found.indices[..., : int(count)]

    @folded
    def cumulative_sum(self, a: Tensor, axis: int, *, exclusive: bool, backward: bool) -> Value:
        """Running sums."""
        value = torch.flip(a, (axis,)) if backward else a
        made = torch.cumsum(value, dim=axis)
        made = made - value if exclusive else made
        return torch.flip(made, (axis,)) if backward else made

    @folded
    def pad(self, a: Value, before: Sequence[Any], after: Sequence[Any], value: Value) -> Value:
        """Pad."""
        widths = [(int(m), int(n)) for m, n in zip(before, after, strict=True)]
        if any(n < 0 for pair in widths for n in pair):
            raise ValueError("a negative width of padding")
        flat = [n for pair in reversed(widths) for n in pair]
        number = self.static(value).item()
        return functional.pad(self.tensor(a), flat, value=number) if flat else a

    @folded
    def gather_nd(self, a: Value, indices: Value, batch_dims: int) -> Value:
        """Take by tuples."""
        value, at = self.tensor(a), self.tensor(indices)
        inner = at.ndim - 1 - batch_dims
        rows = [
            torch.arange(n, device=self.device).reshape(
                *[1] * k, n, *[1] * (batch_dims - 1 - k + inner)
            )
            for k, n in enumerate(at.shape[:batch_dims])
        ]
        places = (*rows, *at.unbind(-1))
        return value[places]

    @folded
    def scatter_nd(self, a: Value, indices: Value, updates: Value, how: str) -> Value:
        """Put by tuples; of several at one place the last stays."""
        value, at, new = (self.tensor(one) for one in (a, indices, updates))
        depth = at.shape[-1]
        rows, new = at.reshape(-1, depth), new.reshape(-1, *value.shape[depth:])
        if how == "add":
            return value.index_put(tuple(rows.unbind(-1)), new.to(value.dtype), accumulate=True)
        last: dict[tuple[int, ...], int] = {tuple(r): k for k, r in enumerate(rows.tolist())}
        kept = torch.tensor([*last.values()], dtype=torch.int64, device=self.device)
        places = tuple(rows.index_select(0, kept).unbind(-1))
        return value.index_put(places, new.index_select(0, kept).to(value.dtype))

    @folded
    def nonzero(self, a: Tensor) -> Value:
        """Indices."""
        return torch.nonzero(a).T

    @folded
    def unique(self, a: Tensor) -> tuple[Value, Value]:
        """By first appearance."""
        values, which = NUMBERS.unique(self.static(a))
        return self.tensor(values), self.tensor(which)

    @folded
    def einsum(self, equation: str, *operands: Value) -> Value:
        """Sum of products."""
        return torch.einsum(equation, *map(self.tensor, operands))

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
        value, weight = self.tensor(a), self.tensor(kernel)
        spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
        run = getattr(functional, f"conv{len(strides)}d")
        made: Tensor = run(
            functional.pad(value, _around(value, spans, strides, same=same)),
            weight,
            stride=tuple(strides),
            dilation=tuple(dilations),
            groups=groups,
        )
        return made

    @folded
    def pool(
        self, how: str, a: Tensor, *, window: Sequence[int], strides: Sequence[int], same: bool
    ) -> Value:
        """Pooling."""
        widths = _around(a, window, strides, same=same)
        sizes = (tuple(window), tuple(strides))
        if how == "max":
            run = getattr(functional, f"max_pool{len(window)}d")
            made: Tensor = run(functional.pad(a, widths, value=float("-inf")), *sizes)
            return made
        run = getattr(functional, f"avg_pool{len(window)}d")
        counted: Tensor = run(functional.pad(torch.ones_like(a), widths), *sizes)
        return torch.div(run(functional.pad(a, widths), *sizes), counted)

    def scan(
        self,
        step: Step,
        states: Sequence[Value],
        sequences: Sequence[Value],
        *,
        backward: bool = False,
    ) -> Sequence[Value]:
        """Step by step."""
        return stepwise(self, step, states, sequences, backward=backward)


def _around(a: Tensor, spans: Sequence[int], strides: Sequence[int], *, same: bool) -> list[int]:
    """Widths of padding as torch takes them: the last axis first."""
    widths: list[int] = []
    for n, span, stride in zip(a.shape[2:], spans, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + span - n, 0) if same else 0
        widths = [total // 2, total - total // 2, *widths]
    return widths
