"""A whole model as far as a graph shows it, also where it cannot be converted yet.

`asked.whole_of` stops at the first thing that is open or unknown; this lists all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from lstmbridge.errors import FactMissing
from lstmbridge.gates import Array
from lstmbridge.graph.asked import declared, evident, named, port_name
from lstmbridge.graph.execute import HAND_ON, Program
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.needed import Needed, Walker
from lstmbridge.graph.network import LOOP_EXIT, LOOP_INPUT, RETURN, Op, Tensor
from lstmbridge.graph.ports import dtype_of, shape_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.slices import PLACEHOLDERS
from lstmbridge.graph.trace import VARIABLES, Tracer
from lstmbridge.graph.whole import Port, Setting, Whole

_EMPTY: Mapping[str, str] = MappingProxyType({})
_CARRIERS = frozenset({"Const", "Enter", "RefEnter", LOOP_INPUT, LOOP_EXIT, RETURN})
_SILENT = HAND_ON | VARIABLES | PLACEHOLDERS | _CARRIERS
"""Operations that compute nothing."""


@dataclass(frozen=True, eq=False)
class Overview:
    """What is on the way from the outputs back.

    Attributes:
        inputs: what is fed; where the model is not settled, every placeholder on the way.
        settings: what inference fixes.
        stacks: recurrent stacks by their scopes, their layers' names.
        operations: all others by type, and how many.
        unknown: operations that are not defined here: type -> names.
        problem: why it cannot be converted as it is; "" where it can.
        advice: what to do about it.
        notes: what is true of it besides.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    settings: tuple[Setting, ...] = ()
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problem: str = ""
    advice: str = ""
    notes: tuple[str, ...] = ()


def overview_of(whole: Whole) -> Overview:
    """Of a model that is settled, its stacks at their places."""
    old = whole.program.tracer
    given = {t for place in whole.places for t in place.gives}
    tracer = Tracer(old.network, old.stops | {old.guarded(t) for t in given})
    walker = Walker(
        Program(Scopes(tracer), whole.program.weights),
        {s.tensor: s.value for s in whole.settings},
    )
    wanted = [port.tensor for port in whole.outputs]
    wanted += [t for place in whole.places for t in place.takes]
    found = walker.walk(wanted)
    return Overview(
        inputs=whole.inputs,
        outputs=whole.outputs,
        settings=whole.settings,
        stacks={p.name: tuple(layer.name for layer in p.model.layers) for p in whole.places},
        operations=_counted(found),
        notes=whole.notes,
    )


def unsettled(
    graph: Graph,
    *,
    declared_inputs: Mapping[str, str] = _EMPTY,
    declared_outputs: Mapping[str, str] = _EMPTY,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    problem: str = "",
    advice: str = "",
) -> Overview:
    """Of a model that `whole_of` refused: what can be said in spite of it.

    Errors: UsageError for a name that the graph does not have; SourceUnreadable.
    """
    network = network_of(graph)
    wanted = named(network, outputs) or declared(network, declared_outputs)
    if not wanted:
        try:
            wanted = evident(network)
        except FactMissing:
            return Overview((), (), problem=problem, advice=advice)
    fed = named(network, inputs) or declared(network, declared_inputs)
    tracer = Tracer(network, frozenset(fed.values()))
    found = _through(Walker(Program(Scopes(tracer), _no_numbers), {}), list(wanted.values()))
    fed |= {port_name(t): t for t in found.placeholders}
    unknown: dict[str, list[str]] = {}
    for tensor in found.unknown:
        unknown.setdefault(network.op(tensor[0]).kind, []).append(tensor[0])
    return Overview(
        inputs=_ports(Tracer(network), fed),
        outputs=_ports(tracer, wanted),
        operations=_counted(found),
        unknown={kind: tuple(dict.fromkeys(names)) for kind, names in unknown.items()},
        problem=problem,
        advice=advice,
    )


def _through(walker: Walker, wanted: list[Tensor]) -> Needed:
    """What `wanted` needs, also behind operations that are not defined here."""
    network, passed = walker.program.tracer.network, set[str]()
    while True:
        found = walker.walk(wanted)
        fresh = {tensor[0] for tensor in found.unknown} - passed
        if not fresh:
            return found
        passed |= fresh
        wanted = wanted + [t for name in sorted(fresh) for t in network.op(name).inputs]


def _ports(tracer: Tracer, tensors: Mapping[str, Tensor]) -> tuple[Port, ...]:
    return tuple(
        Port(name, t, shape_of(tracer, t), dtype_of(tracer, t) or np.dtype(np.float32))
        for name, t in tensors.items()
    )


def _counted(found: Needed) -> dict[str, int]:
    kinds = Counter(op.kind for op in found.ops.values() if op.kind not in _SILENT)
    return dict(kinds.most_common())


def _no_numbers(_op: Op) -> Array:
    return np.zeros(())
