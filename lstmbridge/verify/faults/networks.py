"""Faults of a network: layers, lengths, states, and how outputs are handed out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

import numpy as np

from lstmbridge.contracts import Feeds
from lstmbridge.gates import Array, Weights
from lstmbridge.model.blocks import Layer, Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify.faults.fault import (
    Fault,
    feeds_changed,
    outputs_changed,
    runs,
    with_beginnings,
    with_cells,
)

Shapes = tuple[object, ...]


def layer_faults(model: Model) -> Iterator[Fault]:
    """Layers, or their final states, at each other's places."""
    layers = model.layers
    shapes = [shapes_of(layer.cell) for layer in layers]
    for k, (a, b) in enumerate(pairwise(layers)):
        if a.direction == b.direction and shapes[k] == shapes[k + 1]:
            yield Fault(
                f"{a.name} and {b.name} exchanged",
                f"with {a.name} and {b.name} exchanged",
                runs(with_cells(model, partial(_other, {a.name: b.cell, b.name: a.cell}))),
                idle=_shared(a.cell, b.cell),
            )
    first: dict[Shapes, Cell] = {}
    for layer, shape in zip(layers, shapes, strict=True):
        first.setdefault(shape, layer.cell)
    if len(first) < len(layers):
        same = {x.name: first[s] for x, s in zip(layers, shapes, strict=True)}
        yield Fault(
            "one layer's weights used for all",
            "with one layer's weights used for all",
            runs(with_cells(model, partial(_other, same))),
            idle=all(_shared(same[x.name], x.cell) for x in layers),
        )
    yield from _final_state_faults(model)


def _other(cells: Mapping[str, Cell], layer: Layer) -> Cell:
    return cells.get(layer.name, layer.cell)


def _shared(a: Cell, b: Cell) -> bool:
    """Whether two layers are one cell, as in ``[cell] * N``: told by identity, nothing is read."""
    return a is b or (
        type(a) is type(b)
        and a.facts == b.facts
        and a.blocks.keys() == b.blocks.keys()
        and all(stored is b.blocks[name] for name, stored in a.blocks.items())
    )


def shapes_of(cell: Cell) -> Shapes:
    """What two cells must have in common to stand at each other's places."""
    blocks = tuple((name, stored.shape) for name, stored in cell.blocks.items())
    return (type(cell).__name__, *blocks)


def _final_state_faults(model: Model) -> Iterator[Fault]:
    exchanged: dict[str, str] = {}
    for layer in model.layers:
        if _alike(layer):
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


def _alike(layer: Layer) -> bool:
    """Whether its h and c could be taken for each other."""
    sizes = layer.cell.state_sizes
    return {"h", "c"} <= sizes.keys() and sizes["h"] == sizes["c"]


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
        needs=(SEQUENCE_LENGTH, *(() if _begun(model) else initial)),
    )
    yield Fault(
        "initial states ignored",
        "with its initial states ignored",
        feeds_changed(model, partial(_without, initial)),
        needs=initial,
    )
    if any(_alike(layer) for layer in model.layers):
        yield Fault(
            "initial h and c exchanged",
            "with initial h and c exchanged",
            feeds_changed(model, partial(_crossed_initials, model)),
            needs=initial,
        )


def beginning_faults(model: Model) -> Iterator[Fault]:
    """What states begin with where they are not fed is lost, or stands at another's place."""
    if not _begun(model):
        return
    name = "own initial states replaced by zeros"
    yield Fault(name, f"with its {name}", runs(with_beginnings(model, lambda _layer: {})))
    if any(_alike(layer) for layer in _begun(model)):
        name = "own initial h and c exchanged"
        yield Fault(name, f"with its {name}", runs(with_beginnings(model, _crossed)))
    for a, b in pairwise(model.layers):
        if a.cell.state_sizes == b.cell.state_sizes and (a.initial or b.initial):
            name = f"own initial states of {a.name} and {b.name} exchanged"
            rows = {a.name: b.initial, b.name: a.initial}
            wrong = with_beginnings(model, partial(_rows, rows))
            idle = all(np.array_equal(a.start(s), b.start(s)) for s in a.cell.state_sizes)
            yield Fault(name, f"with its {name}", runs(wrong), idle=idle)


def _begun(model: Model) -> list[Layer]:
    return [layer for layer in model.layers if layer.initial]


def _crossed(layer: Layer) -> Mapping[str, Weights]:
    names = {"h": "c", "c": "h"} if _alike(layer) else {}
    return {names.get(state, state): row for state, row in layer.initial.items()}


def _rows(rows: Mapping[str, Mapping[str, Weights]], layer: Layer) -> Mapping[str, Weights]:
    return rows.get(layer.name, layer.initial)


def _without(names: tuple[str, ...], feeds: Feeds) -> Feeds:
    return {name: array for name, array in feeds.items() if name not in names}


def _reversed_inputs(feeds: Feeds) -> Feeds:
    return {**feeds, INPUTS: feeds[INPUTS][:, ::-1]}


def _crossed_initials(model: Model, feeds: Feeds) -> Feeds:
    crossed = dict(feeds)
    for layer in model.layers:
        h, c = layer.initial_name("h"), layer.initial_name("c")
        if h in feeds and c in feeds and _alike(layer):
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
