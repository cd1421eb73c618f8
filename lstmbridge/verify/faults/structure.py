"""Faults of structure: what stands around cells, and which way directions run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.contracts import Feeds
from lstmbridge.gates import Array, InMemory, Weights
from lstmbridge.model.blocks import Bidirectional, Block, Dense, Highway, Model, Residual
from lstmbridge.model.forward import Run
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.faults.fault import Fault, runs, with_blocks
from lstmbridge.verify.faults.networks import Shapes, shapes_of
from lstmbridge.verify.noise import Runner


def structure_faults(model: Model) -> Iterator[Fault]:
    """Wrappers lost or mixed up; directions exchanged, or turned the wrong way."""
    blocks = _all_blocks(model)
    for name, explains, change in _WRAPPERS:
        if any(change(block) is not block for block in blocks):
            yield Fault(name, explains, runs(with_blocks(model, change)))
    both = [block for block in blocks if isinstance(block, Bidirectional)]
    if not both:
        return
    if all(_twins(block) for block in both):
        yield Fault(
            "directions exchanged",
            "with forward and backward exchanged",
            runs(with_blocks(model, _turned)),
        )
    yield Fault(
        "backward direction run forward",
        "with its backward direction run forward in time",
        _runs_as(model, _Unreversed),
    )
    yield Fault(
        "padding reversed with the sequence",
        "with its backward direction reversed over the padded length",
        _runs_as(model, _PaddedReversal),
        needs=(SEQUENCE_LENGTH,),
    )


def _all_blocks(model: Model) -> list[Block]:
    blocks: list[Block] = []

    def collect(block: Block) -> Block:
        blocks.append(block)
        return block

    with_blocks(model, collect)
    return blocks


def _plain(kind: type[Residual | Highway], block: Block) -> Block:
    return block.inner if isinstance(block, kind) else block


def _highway_inverted(block: Block) -> Block:
    if not isinstance(block, Highway):
        return block
    if block.transform_kernel is not None and block.transform_bias is not None:
        return replace(
            block,
            carry_kernel=block.transform_kernel,
            carry_bias=block.transform_bias,
            transform_kernel=block.carry_kernel,
            transform_bias=block.carry_bias,
        )
    # sigmoid(-a) = 1 - sigmoid(a)
    return replace(
        block, carry_kernel=_negated(block.carry_kernel), carry_bias=_negated(block.carry_bias)
    )


def _negated(stored: Weights) -> Weights:
    return InMemory(stored.name, -stored.load())


def _dense_without_bias(block: Block) -> Block:
    if isinstance(block, Dense) and block.bias is not None:
        return replace(block, bias=None)
    return block


def _dense_turned(block: Block) -> Block:
    if isinstance(block, Dense) and block.kernel.shape[0] == block.kernel.shape[1]:
        return replace(block, kernel=InMemory("kernel", block.kernel.load().T))
    return block


_WRAPPERS: tuple[tuple[str, str, Callable[[Block], Block]], ...] = (
    ("residual dropped", "without its residual connections", partial(_plain, Residual)),
    ("highway dropped", "without its highways", partial(_plain, Highway)),
    (
        "carry and transform of the highway exchanged",
        "with carry and transform of its highways exchanged",
        _highway_inverted,
    ),
    ("bias of the dense layer dropped", "without the dense layers' bias", _dense_without_bias),
    ("dense layer transposed", "with its dense layers transposed", _dense_turned),
)


def _turned(block: Block) -> Block:
    if isinstance(block, Bidirectional):
        return Bidirectional(block.backward, block.forward)
    return block


def _twins(block: Bidirectional) -> bool:
    def shapes(side: Block) -> list[Shapes]:
        return [shapes_of(layer.cell) for layer in Model("", side).layers]

    return shapes(block.forward) == shapes(block.backward)


class _Unreversed(Run):
    """The backward direction sees the sequence as it is."""

    def block(self, block: Block, x: Array, backward: bool) -> Array:
        """See `Run`."""
        if not isinstance(block, Bidirectional):
            return super().block(block, x, backward)
        sides = [self.block(side, x, backward) for side in (block.forward, block.backward)]
        return np.concatenate(sides, axis=-1)


class _PaddedReversal(Run):
    """The backward direction starts in the padding; past the end its outputs are zero."""

    def block(self, block: Block, x: Array, backward: bool) -> Array:
        """See `Run`."""
        if not isinstance(block, Bidirectional):
            return super().block(block, x, backward)
        forward = self.block(block.forward, x, backward)
        lengths, self.lengths = self.lengths, None
        turned = self.block(block.backward, x, backward=True)
        self.lengths = lengths
        return np.concatenate([forward, self._mask(turned)], axis=-1)


def _runs_as(model: Model, kind: type[Run]) -> Runner:
    def run(feeds: Feeds, ops: Float64 | None = None) -> dict[str, Array]:
        lengths = feeds.get(SEQUENCE_LENGTH)
        state = kind(
            layers=list(model.layers),
            ops=Float64() if ops is None else ops,
            lengths=None if lengths is None else np.asarray(lengths, np.int64),
            feeds=feeds,
            wrap=None,
            trace=None,
        )
        x = np.asarray(feeds[INPUTS], np.float64).transpose(1, 0, 2)
        y = state.block(model.root, x, backward=False)
        return {OUTPUTS: y.transpose(1, 0, 2), **state.finals}

    return run
