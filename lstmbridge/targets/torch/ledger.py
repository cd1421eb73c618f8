"""The weights of a file as the model knows them. Shares no code with what wrote them.

Blocks are found by the keys alone (`keys`); the rows of `torch.nn`'s weights are the gates in
PyTorch's published order, those of the equations' arrays as `equations.arrays_of` says. So a
writer that exchanged two gates or two layers is seen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from lstmbridge.contracts import Ledger
from lstmbridge.errors import SourceUnreadable
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.model.blocks import Dense, Highway, Model
from lstmbridge.model.cells import Cell
from lstmbridge.model.equations import arrays_of
from lstmbridge.targets.torch.keys import Place, block_names, places_of

_GATES: Mapping[str, tuple[str, ...]] = {
    "LSTM": ("i", "f", "c", "o"),
    "GRU": ("r", "z", "c"),
    "RNN": ("h",),
}
"""How `torch.nn` lays the gates of its modules one below another."""

Entries = Iterator[tuple[str, str, Array]]
"""(field, gate, numbers) of one block."""


def read_ledger(tensors: Mapping[str, Array], forget: Mapping[str, float], model: Model) -> Ledger:
    """Every number of `tensors`, by (layer, field, gate), in the model's orientation.

    Args:
        tensors: of the file.
        forget: the forget bias of layers whose state dict has none (those that run equations).
        model: names the blocks and says which gates a cell has; no number is taken from it.

    Raises:
        SourceUnreadable: a key or the number of blocks is not understood.
    """
    blocks: dict[Place, dict[str, Array]] = {}
    begins = {
        one.initial_name(state): (one.name, f"initial_{state}", "")
        for one in model.layers
        for state in one.cell.state_sizes
    }
    own = tensors.keys() - begins.keys()
    for key, (place, name) in places_of(key for key in tensors if key in own).items():
        blocks.setdefault(place, {})[name] = tensors[key]
    known: dict[str, Cell | Dense | Highway] = {one.name: one.cell for one in model.layers}
    known.update((one.name, one.block) for one in model.attachments)
    ledger = {begins[key]: array for key, array in tensors.items() if key in begins}
    for place, name in block_names(blocks).items():
        if name not in known:
            raise SourceUnreadable(
                f"the file holds a block {name}", expected=f"the blocks {', '.join(known)}"
            )
        for field, gate, numbers in _entries(place, known[name], blocks[place]):
            ledger[name, field, gate] = numbers
        if place.what == "equations" and name in forget:
            dtype = next(iter(blocks[place].values())).dtype
            cell = known[name]
            assert isinstance(cell, Cell)
            ledger[name, "forget_bias", ""] = np.full(cell.units, forget[name]).astype(dtype)
    return ledger


def _entries(place: Place, block: Cell | Dense | Highway, tensors: Mapping[str, Array]) -> Entries:
    if place.what == "native" and isinstance(block, Cell):
        yield from _native(block, tensors)
    elif isinstance(block, Cell):
        known = arrays_of(block)
        for name, array in tensors.items():
            if name not in known:
                raise SourceUnreadable(
                    f"the file holds a tensor {name}", expected=f"one of {', '.join(known)}"
                )
            field, gates = known[name]
            pieces = np.split(array, max(1, len(gates)), axis=-1)
            for gate, piece in zip(gates or ("",), pieces, strict=True):
                yield field, gate, piece
    else:
        for name, array in tensors.items():
            yield ("kernel", "", array.T) if name == "weight" else (name, "", array)


def _native(cell: Cell, tensors: Mapping[str, Array]) -> Entries:
    gates = _GATES[cell.KIND]

    def rows(name: str) -> Iterator[tuple[str, Array]]:
        parts = np.split(tensors[name], len(gates), axis=0)
        return zip(gates, (part.T for part in parts), strict=True)

    for name, field in (("weight_ih", "kernel"), ("weight_hh", "recurrent")):
        yield from ((field, gate, block) for gate, block in rows(name))
    if "weight_hr" in tensors:
        yield "projection", "", tensors["weight_hr"].T
    if "bias_ih" in tensors:
        for gate, numbers in rows("bias_ih"):
            if "bias" in cell.blocks or np.any(numbers):
                yield "bias", gate, numbers
        yield from _late(cell, dict(rows("bias_hh")))


def _late(cell: Cell, added: Mapping[str, Array]) -> Entries:
    """``bias_hh``: the forget bias of an LSTM, the recurrent bias of a GRU."""
    stored = cell.blocks.get("recurrent_bias")
    there = stored.gates if isinstance(stored, GateBlocks) else ()
    for gate, numbers in added.items():
        if gate == "f":
            yield "forget_bias", "", numbers
        elif gate in there or np.any(numbers):
            # what no writer of ours puts there is shown, under a name that the model lacks
            yield "recurrent_bias", gate, numbers
