"""Which model a graph holds: its inputs and outputs found or asked for, inference settled.

What the graph does not say is never guessed: an input that is no placeholder, a switch between
training and inference, one of several outputs are asked for, with what the graph has to offer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType

import numpy as np

from lstmbridge.errors import FactMissing, NotRecognised, UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.execute import Program
from lstmbridge.graph.graphdef import Graph
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.needed import Needed, Walker
from lstmbridge.graph.network import LOOP_EXIT, RETURN, Network, Op, Tensor
from lstmbridge.graph.ports import described, dtype_of, shape_of
from lstmbridge.graph.resolved import dropped, equal_choices, given_value
from lstmbridge.graph.scopes import SWITCHES, Scopes
from lstmbridge.graph.shapes_seen import shapes_seen
from lstmbridge.graph.slices import PLACEHOLDERS
from lstmbridge.graph.trace import VARIABLES, Tracer, is_training
from lstmbridge.graph.undefined import why_undefined
from lstmbridge.graph.updated import updated_note
from lstmbridge.graph.whole import Port, Setting, Whole

MOST_SHOWN = 8
_EMPTY: Mapping[str, str] = MappingProxyType({})
# what nobody reads and what is no output of a model
_NO_OUTPUT = frozenset(
    {
        *("Assert", "Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "Const", "NoOp"),
        *("HistogramSummary", "MergeSummary", "ScalarSummary", "ImageSummary", "AudioSummary"),
        *("MergeV2Checkpoints", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault"),
        *("Print", "PrintV2", "Restore", "RestoreV2", "Save", "SaveV2", "ShardedFilename"),
        *("ControlTrigger", "Exit", "LoopCond", "NextIteration", "Switch", "VarHandleOp"),
        *("VarIsInitializedOp", "Variable", "VariableV2", "IsVariableInitialized"),
    }
)
_SUPPLIES = ("Dequeue", "IteratorGetNext", "LookupTable", "Parse", "PyFunc", "Random", "Read")


def whole_of(
    graph: Graph,
    weights: Callable[[Op], Array],
    *,
    declared_inputs: Mapping[str, str] = _EMPTY,
    declared_outputs: Mapping[str, str] = _EMPTY,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    settings: Mapping[str, str] = _EMPTY,
) -> Whole:
    """The model that leads from inputs to outputs; its stacks are not looked for yet.

    Args:
        graph: as `sources` parses it; training operations and all.
        weights: the numbers of a variable of the graph, in float64.
        declared_inputs: a signature's: key -> tensor, ``"x:0"``.
        declared_outputs: likewise.
        inputs: the user's: operations or tensors; they win over what is declared, and keep
            their names.
        outputs: likewise.
        settings: the user's: placeholder -> its value at inference, as text.

    Raises:
        UsageError: a name that the graph does not have (near ones are shown), a value that
            does not fit.
        FactMissing: the graph leaves open what the model's inputs or outputs are, or what a
            placeholder is at inference; all that could be meant is shown.
        NotRecognised: an operation on the way is not defined here.
        SourceUnreadable: the graph is broken.
    """
    network = network_of(graph)
    asked = _Asked(network, weights)
    asked.outputs = named(network, outputs) or declared(network, declared_outputs)
    asked.outputs = asked.outputs or evident(network)
    asked.inputs = named(network, inputs) or declared(network, declared_inputs)
    whole = asked.settled(settings)
    fed = [port.tensor for port in whole.inputs]
    found = asked.needed(whole.program)
    note = updated_note(graph, whole.program.tracer, found, fed)
    return replace(whole, notes=(*whole.notes, note)) if note else whole


@dataclass
class _Asked:
    """A question that is being answered."""

    network: Network
    weights: Callable[[Op], Array]
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)

    def settled(self, given: Mapping[str, str]) -> Whole:
        """The model. Errors: as `whole_of`."""
        for name, text in given.items():
            ((_, tensor),) = named(self.network, [name]).items()
            tracer = Tracer(self.network)
            dtype, shape = dtype_of(tracer, tensor), shape_of(tracer, tensor)
            value = given_value(name, text, dtype, shape)
            self._set(Setting(tensor[0], tensor, value, "given by --set", given=True))
        by_name = bool(self.inputs)
        while True:
            walker = self._walker()
            found = walker.walk(list(self.outputs.values()))
            if self._takes_defaults(walker, found) or self._choices_agree(walker, found):
                continue
            break
        self._refuse_unknown(walker, found)
        if by_name:
            self._refuse_open(walker, found)
        else:
            self._refuse_phases(walker, found)
            self.inputs = {port_name(t): t for t in found.placeholders}
        for setting in dropped(walker, found):
            self._set(setting)
            self.inputs = {k: t for k, t in self.inputs.items() if t != setting.tensor}
        program = self._walker().program
        return self._whole(program)

    def needed(self, program: Program) -> Collection[str]:
        """Names of the operations that the outputs need, once all is settled."""
        settled = {s.tensor: s.value for s in self.settings.values()}
        return Walker(program, settled).walk(list(self.outputs.values())).ops.keys()

    def _set(self, setting: Setting) -> None:
        self.settings.setdefault(setting.name, setting)

    def _walker(self) -> Walker:
        fed = [*self.inputs.values(), *(s.tensor for s in self.settings.values())]
        tracer = Tracer(self.network, frozenset(fed))
        program = Program(Scopes(tracer), self.weights)
        return Walker(program, {s.tensor: s.value for s in self.settings.values()})

    def _takes_defaults(self, walker: Walker, found: Needed) -> bool:
        """Whether a placeholder has taken its default."""
        before = len(self.settings)
        for name, op in found.ops.items():
            if op.kind == "PlaceholderWithDefault" and name not in self.settings:
                value = walker.value((name, 0))
                if value is not None:
                    self._set(Setting(name, (name, 0), value, "its default"))
        return len(self.settings) > before

    def _choices_agree(self, walker: Walker, found: Needed) -> bool:
        """Whether a switch was found to choose between equal things only."""
        before = len(self.settings)
        for tensor in found.placeholders:
            if _is_switch(walker, tensor) and equal_choices(walker, found, tensor):
                value, why = np.asarray(False), "chooses between equal branches"
                self._set(Setting(tensor[0], tensor, value, why))
        return len(self.settings) > before

    def _refuse_unknown(self, walker: Walker, found: Needed) -> None:
        if not found.unknown:
            return
        tracer = walker.program.tracer
        supplied = [t for t in found.unknown if _supplies(tracer.network.op(t[0]))]
        if len(supplied) == len(found.unknown):
            shown = [_shown(tracer, t, by) for t, by in found.unknown.items()]
            names = ",".join([*self.inputs, *map(port_name, found.unknown)])
            raise FactMissing(
                f"the outputs depend on what the graph does not compute: {_list(shown)}",
                expected="the tensors that are fed",
                where=next(iter(found.unknown))[0],
                advice=f"name the inputs, these or what follows from them: --inputs {names}",
            )
        tensor = next(t for t in found.unknown if t not in supplied)
        op = tracer.network.op(tensor[0])
        reader = found.unknown[tensor]
        before = f" {port_name(op.inputs[0])}" if op.inputs else ""
        raise NotRecognised(
            f"the outputs depend on the {op.kind} {op.name!r}, {why_undefined(op.kind)}"
            + (f"; {reader!r} reads it" if reader else ""),
            where=op.name,
            advice=f"name outputs before it (--outputs{before}), feed it "
            f"(--inputs {port_name(tensor)}), or convert the recurrent stacks alone: --stack-only",
        )

    def _refuse_open(self, walker: Walker, found: Needed) -> None:
        """Placeholders that are needed beside the inputs that were named."""
        if not found.placeholders:
            return
        tracer = walker.program.tracer
        shown = [_shown(tracer, t, by) for t, by in found.placeholders.items()]
        first = next(iter(found.placeholders))
        raise FactMissing(
            f"the outputs depend on placeholders that are no inputs: {_list(shown)}",
            expected="their values at inference, or that they are inputs",
            where=first[0],
            advice=f"give each its value, --set {first[0]}=VALUE, or name it among the inputs: "
            f"--inputs {','.join([*map(port_name, self.inputs.values()), first[0]])}",
        )

    def _refuse_phases(self, walker: Walker, found: Needed) -> None:
        """Switches of which nobody said how they stand."""
        tracer = walker.program.tracer
        phases = {t: by for t, by in found.placeholders.items() if _is_switch(walker, t)}
        if not phases:
            return
        shown = [_shown(tracer, t, by) for t, by in phases.items()]
        first = next(iter(phases))
        raise FactMissing(
            f"the graph does not say how a switch stands at inference: {_list(shown)}",
            expected="true or false",
            where=first[0],
            advice=" ".join(f"--set {t[0]}=false" for t in phases)
            + " (or true), as the model was meant to be used",
        )

    def _whole(self, program: Program) -> Whole:
        tracer = program.tracer
        plain = Tracer(self.network)
        ports = [
            Port(name, t, shape_of(plain, t), dtype_of(plain, t) or np.dtype(np.float32))
            for name, t in self.inputs.items()
        ]
        shapes = {name: shape_of(tracer, t) for name, t in self.outputs.items()}
        dtypes = {
            name: dtype_of(tracer, t) or np.dtype(np.float32) for name, t in self.outputs.items()
        }
        outs = [Port(n, t, shapes[n], dtypes[n]) for n, t in self.outputs.items()]
        whole = Whole(program, tuple(ports), tuple(outs), tuple(self.settings.values()))
        return shapes_seen(whole)


def _is_switch(walker: Walker, tensor: Tensor) -> bool:
    """Whether it is a single boolean."""
    tracer = walker.program.tracer
    dtype = dtype_of(tracer, tensor)
    return dtype is not None and dtype.kind == "b" and shape_of(tracer, tensor) in {(), None}


def _supplies(op: Op) -> bool:
    """Whether an operation brings data into the graph, and computes none of it."""
    return any(word in op.kind for word in _SUPPLIES)


def _shown(tracer: Tracer, tensor: Tensor, reader: str) -> str:
    op = tracer.network.op(tensor[0])
    what = described(op, dtype_of(tracer, tensor), shape_of(tracer, tensor))
    return f"{port_name(tensor)!r} ({what}{f', read by {reader!r}' if reader else ''})"


def _list(shown: Sequence[str]) -> str:
    more = len(shown) - MOST_SHOWN
    return "; ".join(shown[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def port_name(tensor: Tensor) -> str:
    """What a tensor is called: its operation's name, with the number of a later output."""
    return tensor[0] if tensor[1] == 0 else f"{tensor[0]}:{tensor[1]}"


def named(network: Network, names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors that the user names. Errors: UsageError, with near names."""
    found = (_tensor(network, name) for name in names)
    return {port_name(tensor): tensor for tensor in found}


def declared(network: Network, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a signature by its keys. Errors: UsageError."""
    return {key: _tensor(network, name) for key, name in names.items()}


def _tensor(network: Network, name: str) -> Tensor:
    base, colon, number = name.strip().removeprefix("^").rpartition(":")
    if not (colon and number.isascii() and number.isdigit() and len(number) < 9):
        base, number = name.strip(), "0"
    if base in network.ops:
        return base, int(number)
    raise UsageError(
        f"the graph has no operation {base!r}",
        where=network.where,
        advice=_near(network, base),
    )


def _near(network: Network, name: str) -> str:
    ours = [n for n in network.ops if not is_training(n)]
    last = name.rpartition("/")[2]
    near = [n for n in ours if n.endswith(f"/{last}") or n.lower() == name.lower()]
    near += [n for n in get_close_matches(name, ours, MOST_SHOWN, 0.6) if n not in near]
    near += [n for n in ours if name and name in n and n not in near]
    return f"near names are {_list([repr(n) for n in near])}" if near else "look at its names"


def evident(network: Network) -> dict[str, Tensor]:
    """The outputs of a graph that declares none.

    What nobody reads, of a frozen graph; or the only such thing of any graph. Errors: FactMissing.
    """
    sinks = [t for op in network.ops.values() for t in _unread(network, op)]
    frozen = not any(op.kind in VARIABLES for op in network.ops.values())
    leads = [t for t in sinks if _reaches_an_input(network, t)]
    found = leads or sinks
    if found and (frozen or len(found) == 1) and len(found) <= MOST_SHOWN:
        return {port_name(t): t for t in found}
    shown = [f"{port_name(t)!r} ({network.op(t[0]).kind})" for t in found]
    raise FactMissing(
        f"the graph does not say which of its tensors are outputs; nobody reads {_list(shown)}"
        if found
        else "the graph does not say which of its tensors are outputs",
        expected="the outputs",
        where=network.where,
        advice=f"name them: --outputs {port_name(found[0]) if found else 'NAME,...'}",
    )


def _unread(network: Network, op: Op) -> list[Tensor]:
    """An operation's outputs, where nobody reads any of them."""
    count = len(op.inputs) if op.kind in {RETURN, LOOP_EXIT} else 1
    outputs = [(op.name, k) for k in range(max(count, 1))]
    inner = op.name.endswith(("/read", "_grad")) or is_training(op.name)
    if op.kind in _NO_OUTPUT or op.kind.endswith("Summary") or inner:
        return []
    # by which operations are told in which branch of a cond they stand
    first = network.ops.get(op.inputs[0][0]) if op.inputs else None
    if op.kind == "Identity" and first is not None and first.kind in SWITCHES:
        return []
    if any((op.name, k) in network.consumers for k in range(16)):
        return []
    return outputs


def _reaches_an_input(network: Network, tensor: Tensor) -> bool:
    todo, seen = [tensor[0]], {tensor[0]}
    while todo:
        op = network.op(todo.pop())
        if op.kind in PLACEHOLDERS or _supplies(op):
            return True
        fresh = [name for name, _ in op.inputs if name not in seen]
        seen.update(fresh)
        todo.extend(fresh)
    return False
