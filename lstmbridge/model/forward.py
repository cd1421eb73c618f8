"""A whole network over a whole batch of sequences, in NumPy: what the oracle runs.

Semantics of lengths: `tf.nn.dynamic_rnn`. Past its end a row's outputs are zero and its states
hold; a row of length 0 keeps its initial state; backward layers reverse the valid prefix only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from lstmbridge.arrays import Float64
from lstmbridge.gates import Array
from lstmbridge.model.blocks import (
    Bidirectional,
    Block,
    Dense,
    Highway,
    Layer,
    Model,
    Recurrent,
    Residual,
)
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import Step, bind
from lstmbridge.model.equations.wrappers import dense, highway, weights_of_block
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH

Wrap = Callable[[Layer, Step[Array]], Step[Array]]
"""Replaces a layer's step by another: how faults are planted in a run."""

Trace = dict[tuple[str, str], list[Array]]
"""(layer name, gate) -> its value (batch, units) at each step, in processing order."""


class Library(Float64):
    """An interpreter that brings a cell's numbers itself, joined and widened as it likes."""

    def weights(self, cell: Cell) -> Mapping[str, Array]:
        """By the names of `equations.arrays_of`, as the interpreter's own arrays."""
        raise NotImplementedError


@dataclass
class Run:
    """One run of a model: the interpreter, what is fed, and what has been computed so far."""

    layers: list[Layer]
    ops: Float64
    lengths: Array | None
    feeds: Mapping[str, Array]
    wrap: Wrap | None
    trace: Trace | None
    finals: dict[str, Array] = field(default_factory=dict)

    def block(self, block: Block, x: Array, backward: bool) -> Array:
        """Run `block` over x (time, batch, features), which is in original time order."""
        if isinstance(block, Recurrent):
            return self._recurrent(x, backward)
        if isinstance(block, Residual):
            return self._mask(self.ops.add(self.block(block.inner, x, backward), x))
        if isinstance(block, Highway):
            inner = self.block(block.inner, x, backward)
            return self._mask(highway(self.ops, x, inner, self._constants(block)))
        if isinstance(block, Dense):
            return self._mask(dense(self.ops, block, x, self._constants(block)))
        if isinstance(block, Bidirectional):
            forward = self.block(block.forward, x, backward)
            return np.concatenate([forward, self.block(block.backward, x, backward=True)], axis=-1)
        for child in block.blocks:
            x = self.block(child, x, backward)
        return x

    def _recurrent(self, x: Array, backward: bool) -> Array:
        layer = self.layers.pop(0)
        own = self.ops.weights(layer.cell) if isinstance(self.ops, Library) else None
        bound = bind(self.ops, layer.cell, own)
        if self.wrap is not None:
            bound = self.wrap(layer, bound)
        if backward:
            x = reverse_prefix(x, self.lengths)
        time, batch = x.shape[:2]
        state = {name: self._start(layer, name, batch) for name in layer.cell.state_sizes}
        outputs = np.zeros((time, batch, layer.cell.output_size), self.ops.dtype)
        z = bound.input_product(x)
        for t in range(time):
            output, new = bound.step(z[t], state, self._tap(layer))
            if self.lengths is not None:
                alive = (t < self.lengths)[:, None]
                output = np.where(alive, output, 0.0)
                new = {name: np.where(alive, new[name], state[name]) for name in state}
            outputs[t], state = output, new
        self.finals.update({layer.state_name(name): value for name, value in state.items()})
        return reverse_prefix(outputs, self.lengths) if backward else outputs

    def _start(self, layer: Layer, state: str, batch: int) -> Array:
        """The state (batch, width) as it is fed, or as the model has it."""
        fed = self.feeds.get(layer.initial_name(state))
        if fed is not None:
            return np.asarray(fed, self.ops.dtype)
        return np.repeat(self.ops.constant(layer.start(state))[None], batch, axis=0)

    def _tap(self, layer: Layer) -> Callable[[str, Array], None]:
        trace = self.trace
        if trace is None:
            return lambda _gate, _value: None
        return lambda gate, value: trace.setdefault((layer.name, gate), []).append(value)

    def _constants(self, block: Dense | Highway) -> dict[str, Array]:
        return {k: self.ops.constant(v) for k, v in weights_of_block(block).items()}

    def _mask(self, x: Array) -> Array:
        if self.lengths is None:
            return x
        alive = np.arange(x.shape[0])[:, None] < self.lengths[None, :]
        return np.where(alive[..., None], x, 0.0)


def reverse_prefix(x: Array, lengths: Array | None) -> Array:
    """Reverse x (time, batch, ...) in time, each row up to its length only.

    Semantics: `tf.reverse_sequence`, ONNX ReverseSequence.
    """
    time = x.shape[0]
    if lengths is None:
        return x[::-1]
    steps = np.arange(time)[:, None]
    source = np.where(steps < lengths[None, :], lengths[None, :] - 1 - steps, steps)
    return x[source, np.arange(x.shape[1])[None, :]]


def forward(
    model: Model,
    feeds: Mapping[str, Array],
    *,
    ops: Float64 | None = None,
    wrap: Wrap | None = None,
    trace: Trace | None = None,
) -> dict[str, Array]:
    """Run `model` and return all its outputs by artifact name, in float64 (or as `ops` does).

    Args:
        model: the network.
        feeds: ``inputs`` (batch, time, features); ``sequence_length`` (batch,) and
            ``initial_<layer>_<state>`` (batch, width) where wanted: else full length, and the
            model's own initial states (zeros, where it has none).
        ops: the interpreter; `Float64` by default, `Rounding` for the noise floor.
        wrap: see `Wrap`.
        trace: filled with every gate's values where given.

    Returns:
        ``outputs`` (batch, time, features) and ``<layer>_<state>`` (batch, width).
    """
    ops = Float64() if ops is None else ops
    x = np.asarray(feeds[INPUTS], ops.dtype).transpose(1, 0, 2)
    lengths = feeds.get(SEQUENCE_LENGTH)
    run = Run(
        layers=list(model.layers),
        ops=ops,
        lengths=None if lengths is None else np.asarray(lengths, np.int64),
        feeds=feeds,
        wrap=wrap,
        trace=trace,
    )
    y = run.block(model.root, x, backward=False)
    return {OUTPUTS: y.transpose(1, 0, 2), **run.finals}
