"""Two networks' weights side by side: which blocks differ, and which known mistake makes them so.

Compared is what a cell computes with: the forget bias is part of the bias, and so is a recurrent
bias that stands outside a reset gate. So it does not matter into which of its two biases a
framework's converter put what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from lstmbridge.contracts import WeightFinding, WeightReport
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Bidirectional, Block, Model, Residual
from lstmbridge.model.blocks import Sequence as InARow
from lstmbridge.model.cells import GRU, Cell
from lstmbridge.model.folding import forget_bias_of
from lstmbridge.verify.mistakes import Side, difference, explanation

_CONSTANTS = ("activation", "gate_activation", "cell_clip", "proj_clip", "reset_after", "epsilon")
"""Facts that change what a cell computes; the forget bias is compared with the bias."""


def compare_weights(a: Model, b: Model, reader: str = "") -> WeightReport:
    """Say how B's blocks differ from A's, layer by layer.

    Args:
        a: the network that is right.
        b: the other, whatever it was read from.
        reader: the framework whose order of gates B's writer had to know; "": any.

    Returns:
        No findings where all is equal: kernels bit for bit in the narrower type, sums of biases
        within their rounding.
    """
    structure = _structure(a, b)
    if structure is not None:
        return WeightReport(0, (structure,))
    found: list[WeightFinding] = []
    compared = 0
    sides = {x.name: _side(x.cell, reader) for x in a.layers}
    for layer, other in zip(a.layers, b.layers, strict=True):
        found += [
            WeightFinding((layer.name,), (), words, mistake=True)
            for words in _facts(layer.cell, other.cell)
        ]
        theirs = _side(other.cell, reader)
        compared += sum(block.size for gates in theirs.blocks.values() for block in gates.values())
        others = {name: side for name, side in sides.items() if name != layer.name}
        found += _blocks(layer.name, sides[layer.name], theirs, others)
    return WeightReport(compared, tuple(_grouped(found)))


def _structure(a: Model, b: Model) -> WeightFinding | None:
    """What is different before any number is looked at."""
    mine = [(x.name, type(x.cell).KIND, x.cell.input_size, x.cell.units) for x in a.layers]
    theirs = [(x.name, type(x.cell).KIND, x.cell.input_size, x.cell.units) for x in b.layers]
    if mine == theirs:
        if _shape(a.root) == _shape(b.root):
            return None
        words = f"stands as {_shape(b.root)}, in A as {_shape(a.root)}"
        return WeightFinding(tuple(x.name for x in a.layers), (), words, mistake=True)
    if len(mine) != len(theirs):
        words = f"are {len(theirs)} layers, in A there are {len(mine)}"
        return WeightFinding(("all",), (), words, mistake=True)
    for one, other in zip(mine, theirs, strict=True):
        if one != other:
            words = (
                f"is {other[0]}: {other[1]} of {other[2]} features and {other[3]} units, in A "
                f"{one[1]} of {one[2]} features and {one[3]} units"
            )
            return WeightFinding((one[0],), (), words, mistake=True)
    return None


def _shape(block: Block) -> str:
    if isinstance(block, InARow):
        return "(" + ", ".join(_shape(one) for one in block.blocks) + ")"
    if isinstance(block, Bidirectional):
        return f"[{_shape(block.forward)} | {_shape(block.backward)}]"
    if isinstance(block, Residual):
        return f"residual {_shape(block.inner)}"
    return "cell" if type(block).__name__ == "Recurrent" else type(block).__name__


def _facts(a: Cell, b: Cell) -> Iterator[str]:
    for name in _CONSTANTS:
        if name in a.facts and name in b.facts and a.facts[name].value != b.facts[name].value:
            yield f"has {name} = {b.facts[name].value}, A has {a.facts[name].value}"


def _side(cell: Cell, reader: str) -> Side:
    """A cell's blocks in float64, as it computes with them."""
    blocks: dict[str, dict[str, Array]] = {}
    for name, stored in cell.blocks.items():
        gates = stored if isinstance(stored, GateBlocks) else {"": stored.load()}
        blocks[name] = {g: np.asarray(gates[g], np.float64) for g in gates}
    zeros = np.zeros(cell.units)
    raw = {g: blocks.get("bias", {}).get(g, zeros) for g in cell.GATES}
    late = blocks.pop("recurrent_bias", {})
    apart: tuple[str, ...] = ()
    if isinstance(cell, GRU) and cell.reset_after.value:
        apart = ("c",)
        blocks["recurrent_bias"] = {"c": late.get("c", zeros)}
    raw = {g: raw[g] + (zeros if g in apart else late.get(g, zeros)) for g in raw}
    added = {g: forget_bias_of(cell, g) for g in cell.GATES}
    if "bias" in cell.shapes():
        blocks["bias"] = {g: raw[g] + added[g] for g in raw}
    return Side(type(cell).KIND, blocks, raw, cell.dtype, reader)


def _blocks(layer: str, a: Side, b: Side, others: Mapping[str, Side]) -> Iterator[WeightFinding]:
    for block in {**a.blocks, **b.blocks}:
        mine, theirs = a.blocks.get(block), b.blocks.get(block)
        if mine is None or theirs is None:
            there = theirs if mine is None else mine
            if there is not None and not any(np.any(x) for x in there.values()):
                continue
            words = "is in A alone" if theirs is None else "is in B alone"
            yield WeightFinding((layer,), (block,), words, mistake=True)
            continue
        if difference(a, b, block) is None:
            continue
        known = explanation(a, b, block) or _elsewhere(block, b, others)
        if known:
            yield WeightFinding((layer,), (block,), known, mistake=True)
        else:
            words = difference(a, b, block) or ""
            yield WeightFinding((layer,), (block,), words, mistake=False)


def _elsewhere(block: str, b: Side, others: Mapping[str, Side]) -> str:
    """The layer of A whose block this is."""
    for name, side in others.items():
        if block in side.blocks and difference(side, b, block) is None:
            return f"is A's of {name}"
    return ""


def _grouped(found: list[WeightFinding]) -> Iterator[WeightFinding]:
    """One finding for all blocks of a layer, and for all layers, that share the words."""
    by_layer: dict[tuple[str, str], WeightFinding] = {}
    for one in found:
        key = (one.layers[0], one.words)
        if key in by_layer:
            blocks = (*by_layer[key].blocks, *one.blocks)
            by_layer[key] = WeightFinding(one.layers, blocks, one.words, one.mistake)
        else:
            by_layer[key] = one
    together: dict[tuple[tuple[str, ...], str], WeightFinding] = {}
    for one in by_layer.values():
        same = (one.blocks, one.words)
        if same in together:
            layers = (*together[same].layers, *one.layers)
            together[same] = WeightFinding(layers, one.blocks, one.words, one.mistake)
        else:
            together[same] = one
    yield from together.values()
