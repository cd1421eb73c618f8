"""A counted loop of the graph as ONNX's `Scan`.

ONNX Runtime refuses a `Scan` over a sequence of no steps, where TensorFlow gives back what the
loop began with. Where the number of steps may be 0 an `If` asks for it; it holds the `Scan` and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.graph.network import Tensor
from lstmbridge.targets.onnx.builder import elem_type
from lstmbridge.targets.onnx.whole.counted import (
    Count,
    Steps,
    Taken,
    cut,
    keeps_its_shape,
    live,
    taken_by,
)
from lstmbridge.targets.onnx.whole.emitter import BODY, needed
from lstmbridge.targets.onnx.whole.values import Dims, Sym, Value, dims_of, fixed, kind_of_value
from lstmbridge.targets.onnx.whole.words import Symbolic


@dataclass(frozen=True)
class Element:
    """What each step gives besides its states.

    Attributes:
        result: its name in the body.
        dims: as they are known outside of the loop.
    """

    result: str
    kind: str
    dims: Dims


@dataclass(frozen=True)
class Body:
    """A counted loop's body, said.

    Attributes:
        name: the loop's.
        nodes: of the body.
        results: each state's name after a step.
        elements: what a step gives besides.
        wanted: states whose last values are read.
    """

    name: str
    steps: Steps
    count: Count
    nodes: Sequence[onnx.NodeProto]
    results: Mapping[Tensor, str]
    elements: Sequence[Element]
    wanted: Sequence[Tensor]


@dataclass(frozen=True)
class Scanned:
    """The values that a `Scan` gives: last states (of those that matter), and all elements."""

    finals: dict[Tensor, Any]
    elements: list[Sym]


def emit_scan(words: Symbolic, body: Body) -> Scanned | None:
    """Add the `Scan`; None where it cannot be one, and nothing that matters was added."""
    taken = taken_by(words, body.count, body.nodes)
    if taken is None:
        return None
    gone = {read.node.output[0] for read in taken.reads}
    nodes = [node for node in body.nodes if not gone.intersection(node.output)]
    arguments = {entry: sym.name for entry, sym in body.steps.before.items()}
    others = [one.result for one in body.elements]
    kept = live(nodes, arguments, body.results, body.wanted, others)
    always = not isinstance(taken.steps, Sym) and taken.steps.item() > 0
    if not always and not isinstance(taken.steps, Sym):
        return None
    if not all(_is_steady(body.steps, entry) for entry in kept):
        return None
    if not always and any(None in one.dims for one in body.elements):
        return None
    return _Scanner(words, body, taken, nodes, kept).emit(always=always)


def _is_steady(steps: Steps, entry: Tensor) -> bool:
    """Whether a state has one shape at all times; ONNX's `Scan` keeps room for it once."""
    begins = dims_of(steps.initial[entry])
    following = dims_of(steps.following[entry])
    return keeps_its_shape(begins, following) and keeps_its_shape(
        begins, dims_of(steps.before[entry])
    )


@dataclass(frozen=True)
class _Scanner:
    words: Symbolic
    body: Body
    taken: Taken
    nodes: Sequence[onnx.NodeProto]
    kept: Sequence[Tensor]

    def emit(self, *, always: bool) -> Scanned:
        emitter, steps = self.words.emitter, self.body.steps
        emitter.at = self.body.name
        graph = self._graph()
        inputs = [emitter.name(steps.initial[entry]) for entry in self.kept]
        inputs += [emitter.name(cut(self.words, self.taken, read)) for read in self.taken.reads]
        attrs: dict[str, Any] = {"body": graph, "num_scan_inputs": len(self.taken.reads)}
        outputs = [self._state(entry) for entry in self.kept]
        outputs += [(one.kind, (None, *one.dims)) for one in self.body.elements]
        if always:
            made = emitter.emit_many("Scan", inputs, outputs, **attrs)
        else:
            made = self._where_there_are_steps(inputs, outputs, attrs)
        count = len(self.kept)
        return Scanned(dict(zip(self.kept, made[:count], strict=True)), made[count:])

    def _state(self, entry: Tensor) -> tuple[str, Dims]:
        value = self.body.steps.initial[entry]
        return kind_of_value(value), dims_of(value)

    def _info(self, name: str, kind: str, dims: Dims) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(
            name, elem_type(self.words.emitter.dtype(kind)), fixed(dims)
        )

    def _graph(self) -> onnx.GraphProto:
        """The body: states that matter and elements of what it takes -> states, elements."""
        before = self.body.steps.before
        inputs = [self._info(before[e].name, *self._state(e)) for e in self.kept]
        inputs += [
            self._info(read.node.output[0], read.data.kind, read.data.dims[1:])
            for read in self.taken.reads
        ]
        given = [(self.body.results[e], *self._state(e)) for e in self.kept]
        given += [(one.result, one.kind, one.dims) for one in self.body.elements]
        names = [name for name, _, _ in given]
        nodes = needed(self.nodes, names)
        made = {name for node in nodes for name in node.output}
        infos = []
        for name, kind, dims in given:
            result = name
            if name not in made:
                # a step of a sequence as it came
                result = self.words.emitter.graph.unique(f"{self.body.name}/result")
                nodes.append(helper.make_node("Identity", [name], [result], name=result))
            infos.append(self._info(result, kind, dims))
        graph: onnx.GraphProto = helper.make_graph(nodes, f"{self.body.name}{BODY}", inputs, infos)
        return graph

    def _where_there_are_steps(
        self,
        inputs: Sequence[str],
        outputs: Sequence[tuple[str, Dims]],
        attrs: Mapping[str, Any],
    ) -> list[Sym]:
        """The `Scan` where there is a step; what it begins with and no elements where not."""
        emitter, name = self.words.emitter, self.body.name
        some = self.words.compare("greater", self.taken.steps, np.asarray(0, np.int64))
        unique = emitter.graph.unique
        names = [[unique(f"{name}/{way}") for _ in outputs] for way in ("after", "without")]
        scan = helper.make_node("Scan", inputs, names[0], name=unique(f"{name}/Scan"), **attrs)
        instead = [
            helper.make_node("Identity", [one], [result], name=result)
            for one, result in zip(inputs[: len(self.kept)], names[1], strict=False)
        ]
        for one, result in zip(self.body.elements, names[1][len(self.kept) :], strict=True):
            instead.append(self._none_of(one, result))
        graphs = [
            helper.make_graph(
                nodes,
                f"{name}/{label}",
                [],
                [self._info(n, *out) for n, out in zip(own, outputs, strict=True)],
            )
            for nodes, label, own in (
                ([scan], "some_steps", names[0]),
                (instead, "no_step", names[1]),
            )
        ]
        return emitter.emit_many(
            "If", [some], outputs, then_branch=graphs[0], else_branch=graphs[1]
        )

    def _none_of(self, element: Element, result: str) -> onnx.NodeProto:
        """A tensor of no elements."""
        emitter = self.words.emitter
        lengths: list[Any] = [0, *element.dims]
        shape: Value = emitter.vector(lengths)
        dtype = emitter.dtype(element.kind)
        zero = helper.make_tensor(f"{result}/zero", elem_type(dtype), [1], [dtype.type(0)])
        return helper.make_node(
            "ConstantOfShape", [emitter.name(shape)], [result], name=result, value=zero
        )
