"""What a file of a whole model holds, against what its source says it must hold.

The source's model is laid out again and every tensor compared, bit for bit, and the graph by its
text. The tensors of stacks are besides read back by their keys alone (`ledger`, which shares no
code with what wrote them) and held against the gates' blocks of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lstmbridge.contracts import LedgerReport
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import Array, GateBlocks
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.model.cells import Cell
from lstmbridge.targets.torch.architecture import Equations, root_owners
from lstmbridge.targets.torch.files import Content
from lstmbridge.targets.torch.ledger import read_ledger
from lstmbridge.targets.torch.weights import cast
from lstmbridge.targets.torch.whole.program import GRAPH, program_of
from lstmbridge.targets.torch.whole.stack import Stack

Block = tuple[str, str, str]
"""(layer, field, gate)."""


def accounts(content: Content, right: Content, whole: Whole, path: Path) -> LedgerReport:
    """Compare a file's content with what it should be. Errors: SourceUnreadable."""
    different, compared = [], 0
    for key in sorted(content.tensors.keys() & right.tensors.keys()):
        found, wanted = content.tensors[key].load(), right.tensors[key].load()
        compared += wanted.size
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            different.append(
                f"{key}: {found.dtype} {found.shape} in place of {wanted.dtype} {wanted.shape}"
            )
        elif found.tobytes() != wanted.tobytes():
            different.append(f"{key}: not the source's numbers")
    if content.strings.get(GRAPH) != right.strings[GRAPH]:
        different.append("the graph: not as it was written")
    stacks = program_of(right.strings[GRAPH], str(path)).stacks.values()
    places = {place.name: place for place in whole.places}
    for stack in stacks:
        different += [f"{stack.name}: {one}" for one in _departures(content, stack, places)]
    return LedgerReport(
        compared=compared,
        different=tuple(different),
        missing=tuple(sorted(right.tensors.keys() - content.tensors.keys())),
        extra=tuple(sorted(content.tensors.keys() - right.tensors.keys())),
    )


def _departures(content: Content, stack: Stack, places: dict[str, Place]) -> Iterator[str]:
    """Blocks of a stack that are not the source's, read by their keys."""
    model = places[stack.name].model
    own = {
        key.removeprefix(stack.prefix): np.asarray(weights.load())
        for key, weights in content.tensors.items()
        if key.startswith(stack.prefix)
    }
    dtype = next(iter(own.values())).dtype if own else np.dtype(np.float32)
    try:
        found = dict(read_ledger(own, _forget_biases(stack), model))
    except (LstmBridgeError, IndexError, KeyError, ValueError) as error:
        yield f"its tensors are not those of its layers: {error}"
        return
    for layer in model.layers:
        for (field, gate), wanted in _blocks(layer.cell):
            got = found.pop((layer.name, field, gate), None)
            exact = cast(wanted, dtype, field)
            if got is None and field in _ADDED and not exact.any():
                continue
            if got is None or got.shape != exact.shape or not np.array_equal(got, exact):
                yield f"{layer.name}, {_said(field, gate)}: not the source's"
    attached = {one.name for one in model.attachments}
    for (name, field, gate), numbers in found.items():
        if np.any(numbers) and name not in attached:
            yield f"{name}, {_said(field, gate)}: the source has none"


_ADDED = frozenset({"bias", "recurrent_bias", "forget_bias"})
"""What may be left out where it is zero."""


def _said(field: str, gate: str) -> str:
    return f"{field} {gate}".strip()


def _forget_biases(stack: Stack) -> dict[str, float]:
    """Of layers of equations: a constant, which the graph's text has."""
    found = {
        owner.name: owner.skeleton.constants.get("forget_bias")
        for _, owner in root_owners(stack.architecture)
        if isinstance(owner, Equations)
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _blocks(cell: Cell) -> Iterator[tuple[tuple[str, str], Array]]:
    for field, stored in cell.blocks.items():
        if isinstance(stored, GateBlocks):
            for gate in stored:
                yield (field, gate), stored[gate]
        else:
            yield (field, ""), stored.load()
    forget = cell.facts.get("forget_bias")
    if forget is not None:
        yield ("forget_bias", ""), np.full(cell.units, float(forget.value))
