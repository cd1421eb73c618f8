"""Two places over one sequence, one of them back to front, as the two directions of one place.

A graph says a bidirectional layer as a run over the sequence, a run over the sequence reversed,
and a second reversal after that (`bidirectional_dynamic_rnn`, `static_bidirectional_rnn`). The
place that both are together is proved by numbers as any other, at the tensors before the first
reversal and after the second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from lstmbridge.graph.described import Described
from lstmbridge.graph.execute import Program
from lstmbridge.graph.needed import Walker
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.ops_elementwise import kind_of
from lstmbridge.graph.place_proved import departure
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.sequences import reversal, swaps_time, unwound
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Place, Whole
from lstmbridge.model.blocks import Bidirectional, Model

_MOST_AFTER = 64


def paired(
    whole: Whole, places: Sequence[Place], runs: Mapping[str, Described]
) -> tuple[list[Place], dict[str, tuple[Place, Place]]]:
    """The places, each two that are the directions of one joined.

    Args:
        whole: the model that they are places of.
        places: each going forwards.
        runs: a place's name -> the run that it is.

    Returns:
        The places, and the name of each that was joined -> what it was joined of.
    """
    pairer = _Pairer(whole, runs)
    kept, halves = list(places), dict[str, tuple[Place, Place]]()
    for back in places:
        alone = [p for p in kept if p.name not in halves and p is not back]
        if back not in kept:
            continue
        for forward in sorted(alone, key=lambda p: -len(_shared(p, back))):
            both = pairer.join(forward, back)
            if both is None:
                continue
            kept.remove(back)
            others = {p.name for p in kept if p is not forward}
            kept[kept.index(forward)] = both = _called(both, others)
            halves[both.name] = (forward, back)
            break
    return kept, halves


def _shared(one: Place, other: Place) -> list[str]:
    """The scopes that two places have in common."""
    pairs = zip(one.name.split("/"), other.name.split("/"), strict=False)
    return [first for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


@dataclass(frozen=True, eq=False)
class _Pairer:
    whole: Whole
    runs: Mapping[str, Described]

    @property
    def _tracer(self) -> Tracer:
        return self.whole.program.tracer

    def join(self, forward: Place, back: Place) -> Place | None:
        """The place whose directions they are, proved; None where they are not."""
        lengths = {None if p.lengths is None else self._root(p.lengths) for p in (forward, back)}
        sizes = {place.model.input_size for place in (forward, back)}
        if len(lengths) > 1 or len(sizes) > 1:
            return None
        length = lengths.pop()
        ends = self._ends(forward, back, length)
        if ends is None or self._depend(forward, back):
            return None
        both = replace(_side_by_side(ends, forward, back), lengths=length)
        return None if departure(self.whole, both) else both

    def _ends(self, forward: Place, back: Place, lengths: Tensor | None) -> Place | None:
        """`forward` with the source and the outputs of both; None where they do not fit."""
        if forward.step_outputs and back.step_outputs:
            return self._step_ends(forward, back, lengths)
        one, two = (self.runs[place.name].source for place in (forward, back))
        how = "full" if lengths is None else "lengths"
        if one is None or two is None or (one.reversed, two.reversed) != ("no", how):
            return None
        if (one.tensor, one.time_major) != (two.tensor, two.time_major):
            return None
        ends = replace(forward, source=one.tensor, time_major=one.time_major)
        plain = {major: t for t, major in self._after(forward.outputs, None, lengths)}
        for tensor, major in self._after(back.outputs, how, lengths):
            if major in plain:
                return replace(ends, outputs=(plain[major], tensor), outputs_time_major=major)
        return None if forward.outputs or back.outputs else ends

    def _after(
        self, outputs: Sequence[Tensor], how: str | None, lengths: Tensor | None
    ) -> Iterator[tuple[Tensor, bool]]:
        """(tensor, time-major) of what is an output transposed, and reversed once by `how`."""
        todo = [(tensor, 0, False) for tensor in outputs]
        for at, axis, turned in todo:
            if turned == (how is not None):
                yield at, axis == 0
            if len(todo) > _MOST_AFTER:
                continue
            for name, position in self._tracer.uses(at):
                op = self._tracer.network.op(name)
                if position != 0:
                    continue
                if op.kind == "Transpose" and swaps_time(self._tracer, op):
                    todo.append(((name, 0), 1 - axis, turned))
                elif how is not None and not turned and self._reverses(op, axis, how, lengths):
                    todo.append(((name, 0), axis, True))

    def _reverses(self, op: Op, axis: int, how: str, lengths: Tensor | None) -> bool:
        if reversal(self._tracer, op, axis) != how:
            return False
        return how == "full" or self._root(op.inputs[1]) == lengths

    def _root(self, lengths: Tensor) -> Tensor:
        """Lengths before they were cast from integers to integers."""
        at = self._tracer.resolve(lengths)
        while at not in self._tracer.stops:
            op = self._tracer.network.op(at[0])
            if op.kind != "Cast" or kind_of(op.attrs.get("SrcT")) != "int":
                break
            at = self._tracer.resolve(op.inputs[0])
        return at

    # -- unrolled steps ---------------------------------------------------------------------------

    def _step_ends(self, forward: Place, back: Place, lengths: Tensor | None) -> Place | None:
        """As `_ends`; each step of a list, turned as a list or as one tensor."""
        ahead, behind = (self._read(place) for place in (forward, back))
        turns = [self.runs[place.name].run.reversed == "full" for place in (forward, back)]
        if turns[0] and not turns[1]:
            return None
        if lengths is None and ahead == behind[::-1]:
            given = tuple(reversed(back.step_outputs))
        elif lengths is not None and ahead == self._before(back, lengths):
            given = self._turned(back.step_outputs, lengths)
        else:
            return None
        if not given:
            return None
        return replace(forward, step_outputs=(*forward.step_outputs, *given))

    def _read(self, place: Place) -> list[Tensor]:
        """What each step reads."""
        bottom = self.runs[place.name].stack.strands[0]
        return [self._tracer.resolve(app.x) for app in bottom.apps]

    def _before(self, back: Place, lengths: Tensor) -> list[Tensor]:
        """The steps that were put side by side, reversed by their lengths, and read."""
        if back.step_sources:
            return []
        source = unwound(self._tracer, back.source)
        op = self._tracer.network.op(back.source[0])
        packed = self._tracer.network.op(source.tensor[0])
        axis = 0 if back.time_major else 1
        fits = self._reverses(op, axis, "lengths", lengths)
        if not fits or packed.kind != "Pack" or packed.attrs.get("axis", 0) != axis:
            return []
        return [self._tracer.resolve(t) for t in packed.inputs]

    def _turned(self, steps: Sequence[Tensor], lengths: Tensor) -> tuple[Tensor, ...]:
        """The steps after they were put side by side, reversed by their lengths, and parted."""
        tracer = self._tracer
        for name, _ in tracer.uses(steps[0]):
            packed = tracer.network.op(name)
            axis = packed.attrs.get("axis", 0)
            inputs = [tracer.resolve(t) for t in packed.inputs]
            if packed.kind != "Pack" or inputs != [tracer.resolve(t) for t in steps]:
                continue
            for turner, _ in tracer.uses((name, 0)):
                if not self._reverses(tracer.network.op(turner), axis, "lengths", lengths):
                    continue
                for parter, _ in tracer.uses((turner, 0)):
                    op = tracer.network.op(parter)
                    if op.kind == "Unpack" and op.attrs.get("axis", 0) == axis:
                        return tuple((parter, k) for k in range(len(steps)))
        return ()

    def _depend(self, forward: Place, back: Place) -> bool:
        """Whether one of them begins with what the other gives."""
        for one, other in ((forward, back), (back, forward)):
            old, ends = self._tracer, {self._tracer.guarded(t) for t in other.gives}
            tracer = Tracer(old.network, old.stops | ends)
            program = Program(Scopes(tracer), self.whole.program.weights)
            settings = {s.tensor: s.value for s in self.whole.settings}
            if ends & set(Walker(program, settings).walk(list(one.takes)).fed):
                return True
        return False


def _side_by_side(ends: Place, forward: Place, back: Place) -> Place:
    """`ends` with the model, the states and the operations of both."""
    name = "/".join(_shared(forward, back)) or forward.name
    model = Model(name, Bidirectional(forward.model.root, back.model.root))
    names = {
        (id(place), layer.name): joined.name
        for direction, place in (("fw", forward), ("bw", back))
        for layer, joined in zip(
            place.model.layers,
            [one for one in model.layers if one.direction == direction],
            strict=True,
        )
    }
    initial: dict[tuple[str, str], Tensor] = {}
    finals: dict[tuple[str, str], tuple[Tensor, ...]] = {}
    for place in (forward, back):
        initial |= {(names[id(place), n], s): t for (n, s), t in place.initial.items()}
        finals |= {(names[id(place), n], s): t for (n, s), t in place.finals.items()}
    return replace(
        ends,
        name=name,
        model=model,
        initial=initial,
        finals=finals,
        nodes=forward.nodes | back.nodes,
    )


def _called(place: Place, taken: Collection[str]) -> Place:
    """The place under a name unlike the others'."""
    name, k = place.name, 0
    while name in taken:
        k += 1
        name = f"{place.name}_{k}"
    return replace(place, name=name, model=replace(place.model, name=name))


__all__ = ["paired"]
