"""Where a graph rounds numbers that the converted network keeps as they are.

Casts between floats are seen through everywhere else: they change no structure. One that gives
less precision than it takes (float32 weights that are cast to float16 in front of the product, a
pair of casts around a state) changes results beyond the precision of the weights, and is found
here, so that it can be said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstmbridge.graph.findings import Stated
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.runs import Stack
from lstmbridge.graph.slices import PLACEHOLDERS, READS
from lstmbridge.graph.trace import VARIABLES, Tracer, is_training

_SIGNIFICANT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
_ENDS = frozenset({*VARIABLES, *PLACEHOLDERS, *READS, "Const", "Rank", "Shape", "Size"})


def narrowed_to(op: Op) -> str | None:
    """The precision to which a Cast rounds; None for what rounds nothing."""
    if op.kind != "Cast":
        return None
    names = [_name_of(op.attrs.get(key)) for key in ("SrcT", "DstT")]
    bits = [_SIGNIFICANT_BITS.get(name, 0) for name in names]
    return names[1] if all(bits) and bits[1] < bits[0] else None


def _name_of(dtype: Any) -> str:
    try:
        return "" if dtype is None else np.dtype(dtype).name
    except TypeError:
        return ""


@dataclass(eq=False)
class RoundingFinder:
    """Finds what rounds the numbers of stacks."""

    tracer: Tracer
    _narrow: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Look for casts that round; most graphs have none."""
        found = ((op.name, narrowed_to(op)) for op in self.tracer.network.ops.values())
        self._narrow = {n: to for n, to in found if to is not None and not is_training(n)}

    def of(self, stack: Stack) -> tuple[Stated[str], ...]:
        """Each precision to which a stack's weights, states or outputs are rounded."""
        if not self._narrow:
            return ()
        found: dict[str, str] = {}
        made = {t for s in stack.strands for a in s.apps for t in (a.output, *a.states.values())}
        for name in (*self._behind(stack, made), *self._after(made)):
            found.setdefault(self._narrow[name], name)
        return tuple(Stated(precision, node) for precision, node in found.items())

    def _after(self, made: Iterable[Tensor]) -> list[str]:
        """Casts that round a state or an output where it is handed on."""
        wanted = {self.tracer.resolve(tensor) for tensor in made}
        return [name for name in self._narrow if self.tracer.resolve((name, 0)) in wanted]

    def _behind(self, stack: Stack, made: Iterable[Tensor]) -> list[str]:
        """Casts that round on the way from the variables and the input to what is made."""
        network = self.tracer.network
        fed = {app.x for app in stack.strands[0].apps}
        todo, seen, found = list(made), set[Tensor](), list[str]()
        while todo:
            tensor = todo.pop()
            if tensor in seen or tensor in network.entries or tensor in fed:
                continue
            seen.add(tensor)
            op = network.op(tensor[0])
            if op.name in self._narrow:
                found.append(op.name)
            if op.kind not in _ENDS:
                todo.extend(op.inputs)
        return sorted(found, key=list(self._narrow).index)
