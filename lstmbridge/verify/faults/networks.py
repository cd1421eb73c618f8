"""Faults of a network: layers, directions, lengths, states, and how outputs are handed out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.contracts import Feeds
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Bidirectional, Block, Layer, Model, Residual
from lstmbridge.model.cells import LSTM, Cell
from lstmbridge.model.equations import Step, Tap
from lstmbridge.model.forward import Run, Wrap
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.faults.fault import (
    Fault,
    feeds_changed,
    outputs_changed,
    runs,
    with_blocks,
    with_cells,
)
from lstmbridge.verify.faults.steps import Slip, wrong_lstm
from lstmbridge.verify.noise import Runner


def step_faults(model: Model) -> Iterator[Fault]:
    """The state is lost, or a step is computed by slightly other equations."""
    yield Fault(
        "state reset at each step",
        "with its state reset at each step",
        runs(model, partial(_forgetting, ("h", "c"))),
    )
    yield Fault(
        "c not carried", "with c reset at each step", runs(model, partial(_forgetting, ("c",)))
    )
    yield Fault(
        "h not carried", "with h reset at each step", runs(model, partial(_forgetting, ("h",)))
    )
    cells = [layer.cell for layer in model.layers]
    clipped = any(cell.cell_clip.value is not None for cell in cells)
    slips = [
        (
            any(cell.forget_bias.value for cell in cells),
            "forget bias added after the sigmoid",
            Slip(forget_bias_late=True),
        ),
        (
            any(cell.peephole is not None for cell in cells),
            "output gate's peephole sees the old c",
            Slip(old_c_in_output=True),
        ),
        (clipped, "clip applied to the gates instead of c", Slip(clip_gates=True)),
        (clipped, "clip applied to the carried c alone", Slip(clip_late=True)),
        (
            any(cell.activation.value != "linear" for cell in cells),
            "activation of the output left out",
            Slip(plain_output=True),
        ),
    ]
    for exists, name, slip in slips:
        if exists:
            yield Fault(name, f"with its {name}", runs(model, partial(_slipping, slip)))


def _forgetting(states: tuple[str, ...], _ops: Float64) -> Wrap:
    def wrap(_layer: Layer, right: Step[Array]) -> Step[Array]:
        def step(z: Array, state: Mapping[str, Array], tap: Tap) -> tuple[Array, dict[str, Array]]:
            kept = {k: np.zeros_like(v) if k in states else v for k, v in state.items()}
            return right.step(z, kept, tap)

        return replace(right, step=step)

    return wrap


def _slipping(slip: Slip, ops: Float64) -> Wrap:
    def wrap(layer: Layer, right: Step[Array]) -> Step[Array]:
        if not isinstance(layer.cell, LSTM):
            return right
        return wrong_lstm(ops, layer.cell, right, slip)

    return wrap


def layer_faults(model: Model) -> Iterator[Fault]:
    """Layers, or their final states, at each other's places."""
    layers = model.layers
    shapes = [_shapes(layer.cell) for layer in layers]
    for k, (a, b) in enumerate(pairwise(layers)):
        if a.direction == b.direction and shapes[k] == shapes[k + 1]:
            yield Fault(
                f"{a.name} and {b.name} exchanged",
                f"with {a.name} and {b.name} exchanged",
                runs(with_cells(model, partial(_other, {a.name: b.cell, b.name: a.cell}))),
            )
    first: dict[tuple[tuple[int, ...], ...], Cell] = {}
    for layer, shape in zip(layers, shapes, strict=True):
        first.setdefault(shape, layer.cell)
    if len(first) < len(layers):
        same = {x.name: first[s] for x, s in zip(layers, shapes, strict=True)}
        yield Fault(
            "one layer's weights used for all",
            "with one layer's weights used for all",
            runs(with_cells(model, partial(_other, same))),
        )
    yield from _final_state_faults(model)


def _other(cells: Mapping[str, Cell], layer: Layer) -> Cell:
    return cells.get(layer.name, layer.cell)


def _shapes(cell: Cell) -> tuple[tuple[int, ...], ...]:
    return (cell.kernel.shape, cell.recurrent.shape)


def _final_state_faults(model: Model) -> Iterator[Fault]:
    exchanged: dict[str, str] = {}
    for layer in model.layers:
        if len(set(layer.cell.state_sizes.values())) == 1:
            h, c = layer.state_name("h"), layer.state_name("c")
            exchanged |= {h: c, c: h}
    if exchanged:
        yield Fault(
            "final h and c exchanged",
            "with final h and c exchanged",
            outputs_changed(model, partial(_renamed, exchanged)),
        )
    last, layers = model.layers[-1], model.layers
    if len(layers) > 1 and layers[0].cell.state_sizes == last.cell.state_sizes:
        crossed: dict[str, str] = {}
        for state in last.cell.state_sizes:
            a, b = layers[0].state_name(state), last.state_name(state)
            crossed |= {a: b, b: a}
        name = f"final states of {layers[0].name} and {last.name} exchanged"
        yield Fault(name, f"with {name}", outputs_changed(model, partial(_renamed, crossed)))


def _renamed(
    source_of: Mapping[str, str], outputs: Mapping[str, Array], _feeds: Feeds
) -> dict[str, Array]:
    return {name: outputs[source_of.get(name, name)] for name in outputs}


def time_faults(model: Model) -> Iterator[Fault]:
    """Time runs the wrong way, or lengths are not what they were."""
    yield Fault("time reversed", "fed in reversed time", feeds_changed(model, _reversed_inputs))
    lengths = (SEQUENCE_LENGTH,)
    yield Fault(
        "lengths ignored",
        "with its lengths ignored",
        feeds_changed(model, partial(_without, lengths)),
        needs=lengths,
    )
    yield Fault(
        "outputs past the end repeated, not zero",
        "with its last valid output repeated past the end",
        outputs_changed(model, _repeated),
        needs=lengths,
    )
    initial = tuple(x.initial_name(s) for x in model.layers for s in x.cell.state_sizes)
    yield Fault(
        "rows of length 0 lose their initial state",
        "with zero final states where the length is 0",
        outputs_changed(model, _zeroed_at_no_length),
        needs=(SEQUENCE_LENGTH, *initial),
    )
    yield Fault(
        "initial states ignored",
        "with its initial states ignored",
        feeds_changed(model, partial(_without, initial)),
        needs=initial,
    )
    if all(len(set(x.cell.state_sizes.values())) == 1 for x in model.layers):
        yield Fault(
            "initial h and c exchanged",
            "with initial h and c exchanged",
            feeds_changed(model, partial(_crossed_initials, model)),
            needs=initial,
        )


def _without(names: tuple[str, ...], feeds: Feeds) -> Feeds:
    return {name: array for name, array in feeds.items() if name not in names}


def _reversed_inputs(feeds: Feeds) -> Feeds:
    return {**feeds, INPUTS: feeds[INPUTS][:, ::-1]}


def _crossed_initials(model: Model, feeds: Feeds) -> Feeds:
    crossed = dict(feeds)
    for layer in model.layers:
        h, c = layer.initial_name("h"), layer.initial_name("c")
        if h in feeds and c in feeds:
            crossed |= {h: feeds[c], c: feeds[h]}
    return crossed


def _repeated(outputs: Mapping[str, Array], feeds: Feeds) -> dict[str, Array]:
    y = outputs[OUTPUTS]
    if SEQUENCE_LENGTH not in feeds:
        return dict(outputs)
    last = np.maximum(np.asarray(feeds[SEQUENCE_LENGTH], np.int64) - 1, 0)
    at = np.minimum(np.arange(y.shape[1])[None, :], last[:, None])
    return {**outputs, OUTPUTS: np.take_along_axis(y, at[:, :, None], axis=1)}


def _zeroed_at_no_length(outputs: Mapping[str, Array], feeds: Feeds) -> dict[str, Array]:
    if SEQUENCE_LENGTH not in feeds:
        return dict(outputs)
    alive = np.asarray(feeds[SEQUENCE_LENGTH])[:, None] > 0
    return {
        name: values if name == OUTPUTS else np.where(alive, values, 0.0)
        for name, values in outputs.items()
    }


def structure_faults(model: Model) -> Iterator[Fault]:
    """Residuals lost; directions exchanged, or turned the wrong way."""
    blocks: list[Block] = []
    with_blocks(model, lambda block: blocks.append(block) or block)  # type: ignore[func-returns-value]
    if any(isinstance(block, Residual) for block in blocks):
        yield Fault(
            "residual dropped",
            "without its residual connections",
            runs(with_blocks(model, _plain)),
        )
    if not any(isinstance(block, Bidirectional) for block in blocks):
        return
    if all(_twins(block) for block in blocks if isinstance(block, Bidirectional)):
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


def _plain(block: Block) -> Block:
    return block.inner if isinstance(block, Residual) else block


def _turned(block: Block) -> Block:
    if isinstance(block, Bidirectional):
        return Bidirectional(block.backward, block.forward)
    return block


def _twins(block: Bidirectional) -> bool:
    def shapes(side: Block) -> list[tuple[tuple[int, ...], ...]]:
        return [_shapes(layer.cell) for layer in Model("", side).layers]

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
