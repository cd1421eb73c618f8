"""The tensors at which a run of cells begins and ends in a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lstmbridge.errors import NotRecognised
from lstmbridge.graph.described import Described
from lstmbridge.graph.execute import Program
from lstmbridge.graph.network import Op, Tensor
from lstmbridge.graph.place_steps import steps_of
from lstmbridge.graph.sequences import read_sequence, swaps_time
from lstmbridge.graph.slices import READS
from lstmbridge.graph.step_reads import last_steps
from lstmbridge.graph.strands import Strand
from lstmbridge.graph.trace import Tracer


@dataclass(frozen=True, slots=True)
class Fed:
    """What a run takes and gives.

    Attributes:
        lengths: what may be its lengths; (None,) where it has none.
        outputs: time-major, all alike.
        finals: per layer, state -> the tensors that hold its last value.
        step_sources: as `Place` has them; likewise `step_outputs`.
    """

    source: Tensor
    time_major: bool
    lengths: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    finals: tuple[Mapping[str, tuple[Tensor, ...]], ...] = ()
    step_sources: tuple[Tensor, ...] = ()
    step_outputs: tuple[Tensor, ...] = ()


def fed_to(program: Program, one: Described) -> Fed:
    """What a run takes and gives. Errors: NotRecognised."""
    tracer = program.tracer
    lengths = (None,) if one.run.how == "fused" else tuple(_lengths(tracer, one))
    if one.run.how == "unrolled":
        return _fed_steps(program, one, lengths)
    source, time_major = _taken(tracer, one)
    _refuse_inside(program, [source, *one.outputs])
    finals = tuple(_exits(tracer, strand) for strand in one.stack.strands)
    whole = () if one.run.how == "fused" else finals
    return Fed(source, time_major, lengths, one.outputs, whole)


def _fed_steps(program: Program, one: Described, lengths: tuple[Tensor | None, ...]) -> Fed:
    steps = steps_of(program.tracer, one)
    _refuse_inside(program, [steps.source, *steps.sources, *steps.outputs])
    finals = [
        {state: (made,) for state, made in strand.items() if _is_open(program, made)}
        for strand in steps.finals
    ]
    return Fed(
        steps.source,
        steps.time_major,
        lengths,
        (),
        tuple(finals),
        step_sources=steps.sources,
        step_outputs=steps.outputs,
    )


def _exits(tracer: Tracer, strand: Strand) -> dict[str, tuple[Tensor, ...]]:
    """The tensors outside of a loop that hold the last value of each state."""
    found: dict[str, tuple[Tensor, ...]] = {}
    for state, previous in strand.apps[0].previous.items():
        at = tracer.resolve(previous)
        exits = tracer.network.entries[at][1].exits if at in tracer.network.entries else ()
        made = strand.apps[0].states.get(state)
        loop = None if strand.lengths else strand.loop
        lasts = () if loop is None or made is None else last_steps(tracer, loop, made)
        tensors = tuple(dict.fromkeys((*exits, *lasts)))
        if tensors:
            found[state] = tensors
    return found


def _is_open(program: Program, tensor: Tensor) -> bool:
    """Whether it stands outside of loops and of conds' branches."""
    tracer = program.tracer
    return not program.place(tensor)[0] and tracer.guarded(tensor) == tracer.resolve(tensor)


def _refuse_inside(program: Program, tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        if program.place(tensor)[0]:
            raise NotRecognised("it stands within another loop", where=tensor[0])
        if program.tracer.guarded(tensor) != program.tracer.resolve(tensor):
            raise NotRecognised("it stands in a branch of a cond", where=tensor[0])


def _taken(tracer: Tracer, one: Described) -> tuple[Tensor, bool]:
    """The tensor of which a run takes step after step, and whether it is time-major."""
    app = one.stack.strands[0].apps[0]
    if one.run.how == "fused":
        return _unturned(tracer, app.x)
    if one.sliced is not None:
        return _unturned(tracer, one.sliced[0]) if one.sliced[1] else one.sliced
    ahead: Tensor | None = None
    options = tracer.options(app.x).tensors
    if len(options) == 1 and options[0] in tracer.network.entries:
        ahead = options[0]
        options = tracer.options(tracer.network.entries[ahead][1].following).tensors
    reads: list[Op] = []
    for tensor in options:
        op = tracer.network.op(tensor[0])
        if op.kind in READS:
            reads.append(op)
        elif not tracer.is_zeros(tensor):
            raise NotRecognised("its input is computed in each step", where=tensor[0])
    if len(reads) != 1:
        raise NotRecognised(f"it reads {len(reads)} sequences", where=app.node)
    whole, problem = read_sequence(tracer, reads[0], ahead)
    if whole is None:
        raise NotRecognised(f"it {problem}", where=reads[0].name)
    return _unturned(tracer, tracer.resolve(whole))


def _unturned(tracer: Tracer, tensor: Tensor) -> tuple[Tensor, bool]:
    """A time-major tensor before it was transposed, and whether it is time-major there."""
    op = tracer.network.op(tensor[0])
    if tensor not in tracer.stops and op.kind == "Transpose" and swaps_time(tracer, op):
        return tracer.resolve(op.inputs[0]), False
    return tensor, True


def _lengths(tracer: Tracer, one: Described) -> Iterator[Tensor | None]:
    """The tensors that may be the lengths: a note of them knows the operation only."""
    name = one.stack.strands[0].lengths[0] if one.stack.strands[0].lengths else None
    if name is None:
        yield None
        return
    outputs = {t[1] for t in tracer.network.consumers if t[0] == name}
    for number in sorted(outputs | {0}):
        yield (name, number)


def starts_of(
    program: Program, one: Described, names: Sequence[str]
) -> dict[tuple[str, str], Tensor]:
    """(layer, state) -> what it begins with; left out where it is packed with others and zero.

    Errors: NotRecognised.
    """
    tracer = program.tracer
    found: dict[tuple[str, str], Tensor] = {}
    for name, strand in zip(names, one.stack.strands, strict=True):
        for state, tensor in strand.initial.items():
            if tensor is None:
                raise NotRecognised(f"its {state} begins nowhere", where=strand.apps[0].node)
            if _is_packed(tracer, one, strand.apps[0].previous[state]):
                if not tracer.is_zeros(tensor):
                    raise NotRecognised("its states are packed into one tensor", where=tensor[0])
                continue
            if not _is_open(program, tensor) and tracer.is_zeros(tensor):
                continue
            _refuse_inside(program, [tensor])
            found[name, state] = tracer.guarded(tensor)
    return found


def _is_packed(tracer: Tracer, one: Described, previous: Tensor) -> bool:
    return one.run.how == "loop" and tracer.resolve(previous) not in tracer.network.entries
