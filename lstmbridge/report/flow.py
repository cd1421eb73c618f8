"""A whole model as few boxes: inputs, native layers, loops, what lies between them, outputs.

Operations that come after the same recurrent layers and loops and hang together are one box, or
one for each scope where they are many. What only computes shapes, and weights, is not drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lstmbridge.graph.network import Loop, Op, Tensor
from lstmbridge.graph.whole import Place, Port, Whole
from lstmbridge.report.layered import Box, Flow, picture

_SHAPES = frozenset({"Shape", "ShapeN", "Size", "Rank"})
_QUIET = frozenset({
    "Cast", "ConcatV2", "ExpandDims", "Identity", "Pack", "Reshape", "Slice", "Split", "Squeeze",
    "StridedSlice", "Transpose", "Unpack",
})  # fmt: skip
"""Operations that only lay numbers out otherwise: alone, they need no box."""
_LOOKUPS = frozenset({"Gather", "GatherV2", "ResourceGather"})
_MANY, _PARTS, _DEEP = 24, 10, 4
"""Operations in a box before it is parted by scopes, into how many, how deep in the name."""
_BOXES = 48
_KINDS = 3

Unit = tuple[str, str]
"""``("op", name)``, ``("place", number)``, ``("loop", name)``, ``("input", number)``."""
_BARRIERS = frozenset({"place", "loop"})


def drawn(whole: Whole) -> str:
    """`whole` as inline SVG."""
    flow = flow_of(whole)
    native = sum(len(place.model.layers) for place in whole.places)
    title = (
        f"The whole model from {len(whole.inputs)} inputs at the top to {len(whole.outputs)} "
        f"outputs at the bottom, {native} recurrent layers as native operators"
    )
    return picture(flow, title)


def flow_of(whole: Whole) -> Flow:
    """The boxes of `whole` and what feeds what."""
    walk = _Walk(whole)
    reads = walk.reads()
    groups = _groups(walk, reads, parted=True)
    if len(set(groups.values())) > _BOXES:
        groups = _groups(walk, reads, parted=False)
    wires = {
        (groups[source], groups[unit])
        for unit, sources in reads.items()
        for source in sources
        if groups[source] != groups[unit]
    }
    members: dict[str, list[Unit]] = {}
    for unit, group in groups.items():
        members.setdefault(group, []).append(unit)
    boxes = {group: walk.box(units, reads) for group, units in members.items()}
    ends, wires = _without_quiet(members, walk, wires)
    outputs = _outputs(whole, walk, groups)
    return _joined(boxes, wires, outputs, ends)


@dataclass(frozen=True, eq=False)
class _Walk:
    """A graph from its outputs back, recognised layers and loops as one step each."""

    whole: Whole

    def unit(self, tensor: Tensor) -> Unit | None:
        """What gives a tensor; None for what inference fixes."""
        tracer, scopes = self.whole.program.tracer, self.whole.program.scopes
        at = tracer.guarded(tensor)
        for k, port in enumerate(self.whole.inputs):
            if tracer.guarded(port.tensor) == at:
                return "input", str(k)
        if any(tracer.guarded(setting.tensor) == at for setting in self.whole.settings):
            return None
        for k, place in enumerate(self.whole.places):
            if any(tracer.guarded(one) == at for one in place.gives):
                return "place", str(k)
        left = scopes.exits.get(at)
        return ("op", at[0]) if left is None else ("loop", left[0].name)

    def sources(self, unit: Unit, tensor: Tensor) -> list[Tensor]:
        """What the giver of `tensor` reads."""
        program = self.whole.program
        kind, name = unit
        if kind == "place":
            return list(self.whole.places[int(name)].takes)
        if kind == "loop":
            return program.scopes.outside(*program.scopes.exits[program.tracer.guarded(tensor)])
        if kind == "input":
            return []
        op = self.op(unit)
        return [] if op.kind in _SHAPES else program.scopes.reads(op)

    def op(self, unit: Unit) -> Op:
        """The operation of a unit that is one."""
        return self.whole.program.tracer.network.op(unit[1])

    def reads(self) -> dict[Unit, tuple[Unit, ...]]:
        """Unit -> the units whose numbers it reads; only those that depend on an input.

        In an order in which what is read comes first.
        """
        found: dict[Unit, dict[Unit, None]] = {}
        seen: set[Tensor] = set()
        todo = [port.tensor for port in self.whole.outputs]
        while todo:
            tensor = self.whole.program.tracer.guarded(todo.pop())
            unit = self.unit(tensor)
            if tensor in seen or unit is None:
                continue
            seen.add(tensor)
            mine = found.setdefault(unit, {})
            for source in self.sources(unit, tensor):
                other = self.unit(source)
                if other is not None and other != unit:
                    mine[other] = None
                    todo.append(source)
        return _alive(found)

    def box(self, units: Sequence[Unit], reads: Mapping[Unit, Sequence[Unit]]) -> Box:
        """What stands in the box of some units."""
        kind, name = units[0]
        if kind == "input":
            return _port_box(self.whole.inputs[int(name)])
        if kind == "place":
            return _place_box(self.whole.places[int(name)])
        if kind == "loop":
            scopes, ops = self.whole.program.scopes, self.whole.program.tracer.network.ops
            size = sum(_named(scopes.home(one), name) for one in ops)
            return Box(name, f"loop, {size} operations a step", "loop")
        ops_here = [self.op(unit) for unit in units]
        telling = [op.name for op in ops_here if op.kind not in _QUIET]
        scope = _scope(telling or [op.name for op in ops_here])
        looked_up = any(
            op.kind in _LOOKUPS and self.unit(op.inputs[0]) not in reads for op in ops_here
        )
        title = f"{'embedding: ' * looked_up}{scope or ops_here[0].name}"
        return Box(title, _kinds([op.kind for op in ops_here]), "")


def _alive(found: Mapping[Unit, Iterable[Unit]]) -> dict[Unit, tuple[Unit, ...]]:
    """Units that depend on an input, a loop or a stack, each after what it reads."""
    order: list[Unit] = []
    state: dict[Unit, bool] = {}
    for start in found:
        todo = [(start, False)]
        while todo:
            unit, done = todo.pop()
            if done:
                order.append(unit)
            elif unit not in state:
                state[unit] = True
                todo.append((unit, True))
                todo += [(other, False) for other in found[unit]]
    alive: dict[Unit, tuple[Unit, ...]] = {}
    for unit in order:
        sources = tuple(other for other in found[unit] if other in alive)
        if sources or unit[0] != "op":
            alive[unit] = sources
    return alive


def _named(loop: Loop | None, name: str) -> bool:
    return loop is not None and loop.name == name


def _groups(walk: _Walk, reads: Mapping[Unit, Sequence[Unit]], *, parted: bool) -> dict[Unit, str]:
    """Unit -> its box."""
    after: dict[Unit, frozenset[Unit]] = {}
    for unit, sources in reads.items():
        came = frozenset[Unit]().union(*(after[source] for source in sources))
        after[unit] = came | {unit} if unit[0] in _BARRIERS else came
    leader: dict[Unit, Unit] = {unit: unit for unit in reads}

    def find(unit: Unit) -> Unit:
        while leader[unit] != unit:
            leader[unit] = leader[leader[unit]]
            unit = leader[unit]
        return unit

    for unit, sources in reads.items():
        for source in sources:
            if unit[0] == source[0] == "op" and after[unit] == after[source]:
                leader[find(unit)] = find(source)
    together: dict[Unit, list[Unit]] = {}
    for unit in reads:
        together.setdefault(find(unit), []).append(unit)
    groups = {}
    for k, units in enumerate(together.values()):
        parts = _parted([walk.op(u).name for u in units]) if parted and len(units) > _MANY else {}
        groups.update({unit: f"{k} {parts.get(unit[1], '')}" for unit in units})
    return _acyclic(groups, reads)


def _parted(names: Sequence[str]) -> dict[str, str]:
    """Operation -> its scope, as deep as there are not too many; {} where that parts nothing."""
    best: dict[str, str] = {}
    for deep in range(1, _DEEP + 1):
        found = {name: "/".join(name.split("/")[:-1][:deep]) for name in names}
        if len(set(found.values())) > _PARTS:
            break
        best = found
    return best


def _acyclic(groups: dict[Unit, str], reads: Mapping[Unit, Sequence[Unit]]) -> dict[Unit, str]:
    """Groups that feed each other become one."""
    follows: dict[str, set[str]] = {group: set() for group in groups.values()}
    for unit, sources in reads.items():
        for source in sources:
            if groups[source] != groups[unit]:
                follows[groups[source]].add(groups[unit])
    reached = {group: set(_reach(group, follows)) for group in follows}
    one = {
        group: min([group, *(x for x in reached[group] if group in reached[x])])
        for group in follows
    }
    return {unit: one[group] for unit, group in groups.items()}


def _reach(start: str, follows: Mapping[str, Iterable[str]]) -> Iterator[str]:
    seen, todo = {start}, [start]
    while todo:
        for other in follows[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
                yield other


def _without_quiet(
    members: Mapping[str, Sequence[Unit]], walk: _Walk, wires: set[tuple[str, str]]
) -> tuple[dict[str, tuple[str, ...]], set[tuple[str, str]]]:
    """Leave boxes out that only lay numbers out: group -> the groups that stand for it."""
    quiet = [
        group
        for group, units in members.items()
        if all(unit[0] == "op" and walk.op(unit).kind in _QUIET for unit in units)
    ]
    stand: dict[str, tuple[str, ...]] = {group: (group,) for group in members}
    for group in quiet:
        before = {a for a, b in wires if b == group}
        behind = {b for a, b in wires if a == group}
        if not before:
            continue
        wires = {w for w in wires if group not in w} | {(a, b) for a in before for b in behind}
        for name, found in stand.items():
            if group in found:
                kept = [one for one in found if one != group]
                stand[name] = tuple(dict.fromkeys([*kept, *sorted(before)]))
    return stand, wires


def _outputs(
    whole: Whole, walk: _Walk, groups: Mapping[Unit, str]
) -> dict[str, tuple[Port, str | None]]:
    """Name of an output -> it, and the group that gives it."""
    found = {}
    for port in whole.outputs:
        unit = walk.unit(port.tensor)
        found[port.name] = (port, None if unit is None else groups.get(unit))
    return found


def _joined(
    boxes: Mapping[str, Box],
    wires: set[tuple[str, str]],
    outputs: Mapping[str, tuple[Port, str | None]],
    stand: Mapping[str, Sequence[str]],
) -> Flow:
    """One flow; inputs that feed the same are one box, and so are outputs of one giver."""
    shown = {group for found in stand.values() for group in found}
    kept = {group: box for group, box in boxes.items() if group in shown}
    drawn = set(wires)
    givers: dict[tuple[str, ...], list[Port]] = {}
    for port, group in outputs.values():
        givers.setdefault(tuple(stand[group]) if group is not None else (), []).append(port)
    for k, (groups, ports) in enumerate(givers.items()):
        kept[f"output {k}"] = _ports_box(ports)
        drawn |= {(group, f"output {k}") for group in groups}
    alike: dict[tuple[str, ...], list[str]] = {}
    for group, box in kept.items():
        if box.kind == "input":
            alike.setdefault(tuple(sorted(b for a, b in drawn if a == group)), []).append(group)
    for some in alike.values():
        if len(some) > 1:
            titles = ", ".join(kept[group].title for group in some)
            kept[some[0]] = Box(titles, f"{len(some)} inputs", "input")
            for group in some[1:]:
                del kept[group]
            drawn = {wire for wire in drawn if not set(some[1:]) & set(wire)}
    return Flow(kept, tuple(sorted(drawn)))


def _port_box(port: Port) -> Box:
    return Box(port.name, _shape(port), "input")


def _ports_box(ports: Sequence[Port]) -> Box:
    if len(ports) == 1:
        return Box(ports[0].name, _shape(ports[0]), "output")
    return Box(", ".join(port.name for port in ports), f"{len(ports)} outputs", "output")


def _shape(port: Port) -> str:
    if port.shape is None:
        return f"any shape, {port.dtype.name}"
    return f"({', '.join('?' if n is None else str(n) for n in port.shape)}) {port.dtype.name}"


def _place_box(place: Place) -> Box:
    model = place.model
    count = len(model.layers)
    kinds = ", ".join(dict.fromkeys(layer.cell.KIND for layer in model.layers))
    ways = {layer.direction for layer in model.layers}
    kind = f"{'bidirectional ' * (ways >= {'fw', 'bw'})}{kinds}"
    line = f"{count} layer{'s' * (count > 1)} {kind}, {model.input_size} → {model.output_size}"
    return Box(place.name, line, "native")


def _scope(names: Sequence[str]) -> str:
    """The scope that all of them are in; of a group of many, the one that most are in."""
    scopes = [name.split("/")[:-1] for name in names]
    common = []
    for parts in zip(*scopes, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if common:
        return "/".join(common)
    tops = Counter(scope[0] for scope in scopes if scope)
    return ", ".join(top for top, _ in tops.most_common(2))


def _kinds(kinds: Sequence[str]) -> str:
    """``"MatMul, BiasAdd, Softmax"``, or the most frequent of many and how many there are."""
    found = Counter(kind for kind in kinds if kind not in _QUIET) or Counter(kinds)
    few = ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in found.most_common(_KINDS))
    return few if len(kinds) <= _KINDS else f"{len(kinds)} operations: {few}"
