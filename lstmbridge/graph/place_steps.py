"""The tensors at which unrolled steps begin and end, lengths by conds and choices included.

Semantics: `static_rnn`. With lengths each step's output and states leave through the Merges and
Selects that put zeros, or the old state, past a row's end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lstmbridge.graph.described import Described
from lstmbridge.graph.findings import Application
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.trace import Tracer

_CHOICES = frozenset({"Merge", "RefMerge", "Select", "SelectV2"})
_PASSES = frozenset({"Identity", "RefSwitch", "Switch"})
_MOST_AFTER = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """What unrolled steps take and give.

    Attributes:
        sources: per step, (batch, features); empty where `source` is the whole of it.
        source: the sequence whose steps they are, or the first of `sources`.
        outputs: per step.
        finals: state -> of the last step, layer by layer.
    """

    sources: tuple[Tensor, ...]
    source: Tensor
    time_major: bool
    outputs: tuple[Tensor, ...]
    finals: tuple[dict[str, Tensor], ...]


def steps_of(tracer: Tracer, one: Described) -> Steps:
    """What a chain of unrolled steps takes and gives."""
    bottom, top = one.stack.strands[0].apps, one.stack.strands[-1].apps
    masked = any(strand.lengths for strand in one.stack.strands)
    pairs = zip(top, one.ends, strict=True)
    outputs = [_output(tracer, app, end) if masked else end for app, end in pairs]
    finals = tuple(
        {
            state: last
            for state, made in strand.apps[-1].states.items()
            if (last := _state(tracer, strand.apps[-1], state) if masked else made) is not None
        }
        for strand in one.stack.strands
    )
    sources = tuple(tracer.resolve(app.x) for app in bottom)
    whole = _unpacked(tracer, sources)
    if whole is not None:
        return Steps((), *whole, tuple(outputs), finals)
    return Steps(sources, sources[0], False, tuple(outputs), finals)


def _unpacked(tracer: Tracer, sources: Sequence[Tensor]) -> tuple[Tensor, bool] | None:
    """(sequence, time-major) where the steps are all of it, in order."""
    op = tracer.network.op(sources[0][0])
    wanted = [(op.name, k) for k in range(len(sources))]
    if op.kind != "Unpack" or list(sources) != wanted or any(t in tracer.stops for t in sources):
        return None
    axis = op.attrs.get("axis", 0)
    if axis not in {0, 1} or op.attrs.get("num") != len(sources):
        return None
    return tracer.resolve(op.inputs[0]), axis == 0


def _output(tracer: Tracer, app: Application, end: Tensor) -> Tensor:
    """A step's output, residuals included, or zeros that are no state."""
    states = {t for old in app.previous.values() for t in tracer.options(old).tensors}

    def right(tensor: Tensor) -> bool:
        options = tracer.options(tensor).tensors
        rest = [t for t in options if t != end]
        zeros = all(tracer.is_zeros(t) and t not in states for t in rest)
        return end in options and bool(rest) and zeros

    return _furthest(tracer, end, right)


def _state(tracer: Tracer, app: Application, state: str) -> Tensor | None:
    """A step's new state, or the old one; None where no choice between them leaves the step."""
    made = app.states[state]
    old = set(tracer.options(app.previous[state]).tensors)

    def right(tensor: Tensor) -> bool:
        options = set(tracer.options(tensor, stops={tracer.resolve(app.previous[state])}).tensors)
        rest = options - {made}
        kept = rest <= {tracer.resolve(app.previous[state])} or rest <= old
        return made in options and bool(rest) and kept

    last = _furthest(tracer, made, right)
    return None if last == made else last


def _furthest(tracer: Tracer, start: Tensor, right: Callable[[Tensor], bool]) -> Tensor:
    """The last of the choices that are `right`, each made of the one before; or `start`."""
    end, following = start, _choices(tracer, start)
    while following:
        further = next((one for one in following if right(one)), None)
        if further is None:
            # a choice between one and the same is none
            same = [one for one in following if tracer.options(one).tensors == (start,)]
            following = [t for one in same for t in _choices(tracer, one)]
            continue
        end, following = further, _choices(tracer, further)
    return end


def _choices(tracer: Tracer, tensor: Tensor) -> list[Tensor]:
    """What chooses between a tensor and something else, straight from it."""
    network = tracer.network
    queue, seen, found = deque([tensor]), {tensor}, dict[Tensor, None]()
    while queue and len(seen) < _MOST_AFTER:
        for name, position in network.consumers.get(queue.popleft(), ()):
            kind = network.op(name).kind
            if kind in _CHOICES and not (kind.startswith("Select") and position == 0):
                found[name, 0] = None
            elif kind in _PASSES:
                fresh = [(name, k) for k in range(1 if kind == "Identity" else 2)]
                fresh = [one for one in fresh if one not in seen]
                seen.update(fresh)
                queue.extend(fresh)
    return list(found)
