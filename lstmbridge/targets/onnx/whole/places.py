"""A recognised stack inside a whole graph: the native nodes that the stack alone would be.

The stack is laid out as an artifact of its own and then put in place: its inputs become the
values that the graph feeds it, its nodes and weights get the stack's name in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.contracts import Expression, TargetOptions
from lstmbridge.errors import CannotExpress
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.whole import Place
from lstmbridge.model.blocks import Layer
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH, States
from lstmbridge.targets.onnx.builder import Weight
from lstmbridge.targets.onnx.network import Plan, plan_graph
from lstmbridge.targets.onnx.whole.values import Dims, Length, Sym, Value, dims_of

if TYPE_CHECKING:
    from lstmbridge.targets.onnx.whole.walk import Walk

_TO_BATCH_MAJOR = (1, 0, 2)
OUTSIDE = ""


@dataclass(eq=False)
class NativePlace:
    """Says one place, when a tensor of it is asked for first.

    Attributes:
        expressions: how each layer was said, once it was.
        source: what is fed to it, once it was said.
        refused: why its model has no form in ONNX; the graph's own operations still may.
    """

    place: Place
    expressions: tuple[Expression, ...] = ()
    source: Value | None = None
    refused: str = ""

    def tensors(self) -> list[Tensor]:
        """Everything that the stack gives."""
        return list(self.place.gives)

    def emit(self, walk: Walk) -> None:
        """Add the nodes, and bind what they give. Errors: CannotExpress."""
        place, words = self.place, walk.words
        lengths = [] if place.lengths is None else [place.lengths]
        initial = dict(place.initial)
        fed = walk.values([*lengths, *initial.values()])
        # unrolled steps are put side by side again
        read = [words.unsqueeze(step, 1) for step in walk.values(place.step_sources)]
        fed.insert(0, words.join(read, 1) if read else walk.values([place.source])[0])
        try:
            self._say(walk, fed)
        except CannotExpress as err:
            self.refused = err.read
            raise
        except (LookupError, TypeError, ValueError) as err:
            self.refused = str(err)
            raise CannotExpress(f"the stack {place.name!r}: {err}", where=place.name) from err

    def _say(self, walk: Walk, fed: Sequence[Value]) -> None:
        """Lay the stack out, fed with its sequence, its lengths and its states."""
        place, words = self.place, walk.words
        lengths = [] if place.lengths is None else [place.lengths]
        initial = dict(place.initial)
        emitter = words.emitter
        emitter.at = place.name
        self.source = fed[0]
        source = words.transpose(fed[0], _TO_BATCH_MAJOR) if place.time_major else fed[0]
        source = self._all_steps(walk, source)
        rows, steps, _ = dims_of(source)
        inputs: dict[str, Value | str] = {INPUTS: source}
        if lengths:
            ends = words.minimum(fed[1], np.asarray(steps)) if place.step_outputs else fed[1]
            inputs[SEQUENCE_LENGTH] = emitter.emit("Cast", [ends], "int", (rows,), to=6)
        states = dict(zip(initial, fed[1 + len(lengths) :], strict=True))
        own = any(layer.initial for layer in place.model.layers)
        zeros = not own and all(map(_is_zeros, states.values()))
        how = States.NONE if zeros else States.REQUIRED
        if how is States.REQUIRED:
            for layer in place.model.layers:
                for state, width in layer.cell.state_sizes.items():
                    value = states.get((layer.name, state))
                    inputs[layer.initial_name(state)] = self._state(walk, value, source, width)
        options = TargetOptions(states=how, sequence_length=bool(lengths))
        plan = plan_graph(place.model, emitter.graph.dtype, emitter.opset, options)
        self.expressions = plan.expressions
        names = _Inliner(walk, place.name, plan, inputs).run()
        self._bind(walk, names, (rows, steps))

    def _all_steps(self, walk: Walk, source: Value) -> Value:
        """The sequence; where steps are unrolled, no other length than theirs will do."""
        place = self.place
        count = len(place.step_outputs) // len(place.widths)
        if not count or dims_of(source)[1] == count:
            return source
        rows = walk.words.numbers(walk.words.shape(source))[0]
        fixed: Value = walk.words.reshape(source, [rows, count, place.model.input_size])
        return fixed

    def _state(self, walk: Walk, value: Value | None, source: Value, width: int) -> Value:
        """An initial state for every row."""
        words = walk.words
        rows = words.numbers(words.shape(source))[0]
        zeros = np.asarray(0.0) if value is None else value
        wide: Value = words.expand(zeros, [rows, width])
        return wide

    def _bind(self, walk: Walk, names: dict[str, str], axes: tuple[Length, Length]) -> None:
        place, words = self.place, walk.words
        guarded = walk.program.tracer.guarded
        widths = place.widths
        outputs: Any = Sym(names[OUTPUTS], "float", (*axes, sum(widths)))
        steps = len(place.step_outputs) // len(widths)
        for k in range(steps):
            step = words.index(outputs, (slice(None), k))
            parts = words.split(step, widths) if len(widths) > 1 else [step]
            for part, tensor in zip(parts, place.step_outputs[k::steps], strict=True):
                walk.given[guarded(tensor)] = part
        if place.outputs_time_major:
            outputs = words.transpose(outputs, _TO_BATCH_MAJOR)
        pieces: Sequence[Any] = [outputs][: len(place.outputs)]
        if len(place.outputs) > 1:
            if len(place.outputs) != len(widths):
                raise ValueError(f"{len(place.outputs)} outputs of {len(widths)} directions")
            pieces = words.split(outputs, widths)
        for tensor, piece in zip(place.outputs, pieces, strict=True):
            walk.given[guarded(tensor)] = piece
        sizes = {layer.name: layer for layer in place.model.layers}
        for (name, state), tensors in place.finals.items():
            layer: Layer = sizes[name]
            dims: Dims = (axes[0], layer.cell.state_sizes[state])
            final = Sym(names[layer.state_name(state)], "float", dims)
            for tensor in tensors:
                # the last step's output may be a state, and is put together with the others
                walk.given.setdefault(guarded(tensor), final)


def _is_zeros(value: Value) -> bool:
    if isinstance(value, Sym):
        return value.fill == 0.0
    return not value.any()


class _Inliner:
    """Puts a planned graph into another one."""

    def __init__(
        self, walk: Walk, prefix: str, plan: Plan, inputs: dict[str, Value | str]
    ) -> None:
        self._emitter = walk.words.emitter
        self._words = walk.words
        self._plan = plan
        self._prefix = self._emitter.graph.unique(prefix or "stack")
        self._names = {
            name: value if isinstance(value, str) else self._emitter.name(value)
            for name, value in inputs.items()
        }

    def run(self) -> dict[str, str]:
        """Add all nodes; the names of the plan's outputs in the graph."""
        for weight in self._plan.weights:
            self._weight(weight)
        for node in self._plan.nodes:
            self._node(node)
        return {one.name: self._names[one.name] for one in self._plan.outputs}

    def _weight(self, weight: Weight) -> None:
        graph = self._emitter.graph
        name = graph.unique(f"{self._prefix}/{weight.name}")
        self._names[weight.name] = graph.weight(replace(weight, name=name))

    def _node(self, node: onnx.NodeProto) -> None:
        inputs = [self._names[name] if name else "" for name in node.input]
        attrs = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Transpose":
            # the graph may have turned it the other way just before
            before = self._emitter.makers.get(inputs[0])
            perm = list(attrs["perm"])
            if (
                before is not None
                and before.op == "Transpose"
                and list(before.attrs["perm"]) == list(np.argsort(perm))
            ):
                self._names[node.output[0]] = before.inputs[0]
                return
        for key, value in attrs.items():
            if isinstance(value, onnx.GraphProto):
                attrs[key] = self._renamed(value)
        made = self._emitter.append(
            node.op_type, inputs, len(node.output), attrs, f"{self._prefix}/{node.name}"
        )
        self._names.update(zip(node.output, made, strict=True))

    def _renamed(self, graph: onnx.GraphProto) -> onnx.GraphProto:
        """A subgraph, reading what it captures under the new names."""
        copy = onnx.GraphProto()
        copy.CopyFrom(graph)
        own = {one.name for one in copy.input} | {o for node in copy.node for o in node.output}
        for node in copy.node:
            for k, name in enumerate(node.input):
                if name and name not in own:
                    node.input[k] = self._names[name]
        return copy
