"""A whole model laid out as one graph: its ports, its nodes, its weights."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.contracts import Expression, TargetOptions
from lstmbridge.errors import CannotExpress, NotRecognised
from lstmbridge.graph.whole import Place, Port, Whole
from lstmbridge.model.signature import Signature, TensorSpec
from lstmbridge.targets.onnx.builder import GraphBuilder, Weight, elem_type
from lstmbridge.targets.onnx.network import Plan
from lstmbridge.targets.onnx.whole.branches import with_branches
from lstmbridge.targets.onnx.whole.emitter import BODY, Emitter, captured, needed
from lstmbridge.targets.onnx.whole.places import NativePlace
from lstmbridge.targets.onnx.whole.values import Dims, Length, Sym, Value, dims_of, kind_of_value
from lstmbridge.targets.onnx.whole.walk import ADVICE, FAILS, Walk
from lstmbridge.targets.onnx.whole.words import Symbolic
from lstmbridge.targets.ranks import shape_of_port
from lstmbridge.targets.wholes import precision_of_whole

PRECISIONS = ("float16", "float32", "float64")


def plan_whole(whole: Whole, opset: int, options: TargetOptions) -> Plan:
    """Lay out the graph.

    A stack whose model has no form in ONNX is said operation by operation, as the rest is; so
    are all where the rest cannot be said around native nodes.

    Raises:
        CannotExpress: an operation that the outputs need cannot be said in ONNX.
    """
    plain: list[Expression] = []
    while True:
        planner = _Planner(whole, opset, options)
        try:
            plan = planner.plan()
        except CannotExpress as error:
            refused = [place for place in planner.places if place.refused]
            if not refused and not planner.places:
                raise
            if not refused:
                # what a stack gives may stand inside a cond that needs the stack's own steps
                refused = _in_the_way(whole, planner.places, opset, options)
                for place in refused:
                    place.refused = error.read
            kept = [place.place for place in planner.places if not place.refused]
            whole = replace(whole, places=tuple(kept))
            for place in refused:
                plain += _op_by_op(place)
        else:
            return replace(plan, expressions=(*plan.expressions, *plain))


def _in_the_way(
    whole: Whole, places: Sequence[NativePlace], opset: int, options: TargetOptions
) -> list[NativePlace]:
    """The stacks without which all others can be native; every one where no such are found."""
    kept: list[Place] = []
    concerned: list[NativePlace] = []
    for native in places:
        tried = [*kept, native.place]
        try:
            _Planner(replace(whole, places=tuple(tried)), opset, options).plan()
        except CannotExpress:
            concerned.append(native)
        else:
            kept = tried
    return concerned or list(places)


def _op_by_op(place: NativePlace) -> list[Expression]:
    detail = f"operation by operation: {place.refused}"
    names = [f"{place.place.name}/{layer.name}" for layer in place.place.model.layers]
    return [Expression(name, "stepped", detail) for name in names]


class _Planner:
    def __init__(self, whole: Whole, opset: int, options: TargetOptions) -> None:
        self._whole = whole
        self._options = options
        builder = GraphBuilder(opset, precision_of_whole(whole, options))
        for port in (*whole.outputs, *whole.inputs):
            builder.unique(port.name)
        self._emitter = Emitter(builder)
        self._words = Symbolic(self._emitter)
        self._inputs: dict[str, Dims] = {}
        self.places = [NativePlace(place) for place in whole.places]

    def plan(self) -> Plan:
        whole, emitter = self._whole, self._emitter
        guarded = whole.program.tracer.guarded
        fed: dict[Any, Any] = {guarded(port.tensor): self._input(port) for port in whole.inputs}
        for setting in whole.settings:
            value = np.asarray(setting.value)
            if value.dtype.kind in "fiub":
                value = self._words.literal(value, kind_of_value(value))
            fed.setdefault(guarded(setting.tensor), value)
        places = self.places
        at = {guarded(t): place for place in places for t in place.tensors()}
        walk = Walk(whole.program, self._words, fed, {t: p for t, p in at.items() if t not in fed})
        try:
            values = walk.values([port.tensor for port in whole.outputs])
        except NotRecognised as err:
            raise CannotExpress(err.read, where=err.where, advice=ADVICE) from err
        except FAILS as err:
            # whatever the graph holds, the place is named
            raise CannotExpress(
                f"{emitter.at!r} cannot be said in ONNX: {err}", where=emitter.at, advice=ADVICE
            ) from err
        names = self._names(places)
        outputs = [
            self._output(port, value, names)
            for port, value in zip(whole.outputs, values, strict=True)
        ]
        results = [spec.name for spec in outputs]
        nodes = with_branches(needed(emitter.outermost(), results), results, emitter.alike)
        signature = Signature(tuple(self._specs(names)), tuple(outputs))
        return Plan(
            nodes=tuple(nodes),
            inputs=tuple(map(_info, signature.inputs)),
            outputs=tuple(map(_info, signature.outputs)),
            weights=_used(nodes, emitter.graph.weights),
            signature=signature,
            expressions=(*_expressions(places), *_loops(nodes, walk.loops)),
        )

    # -- ports ----------------------------------------------------------------------------------

    def _dtype(self, port: Port) -> np.dtype[Any]:
        """What the artifact declares: bfloat16 is widened, exactly."""
        if port.dtype.kind in "iub":
            return port.dtype
        if port.dtype.kind not in "fV":
            raise CannotExpress(
                f"{port.name!r} is of {port.dtype}",
                expected="numbers",
                where=port.tensor[0],
                advice=f"{ADVICE}, or choose other inputs and outputs with --inputs, --outputs",
            )
        if self._options.dtype is not None:
            return np.dtype(self._options.dtype)
        return port.dtype if port.dtype.name in PRECISIONS else np.dtype(np.float32)

    def _input(self, port: Port) -> Sym:
        """The port's value; each open axis is a length that others may be equal to."""
        declared = shape_of_port(self._whole, port)
        if declared is None:
            raise CannotExpress(
                f"the number of axes of the input {port.name!r} is not known",
                where=port.tensor[0],
                advice="choose another input with --inputs",
            )
        dtype = self._dtype(port)
        kind = {"f": "float", "i": "int", "u": "int", "b": "bool"}[dtype.kind]
        emitter = self._emitter
        emitter.at = port.name
        lengths: list[Length] = []
        for k, length in enumerate(declared):
            if length is not None:
                lengths.append(int(length))
                continue
            shape = emitter.emit("Shape", [port.name], "int", (len(declared),))
            scalar = emitter.emit("Gather", [shape, np.asarray(k)], "int", (), axis=0)
            scalar.axis_of = (port.name, k)
            lengths.append(scalar)
        dims: Dims = tuple(lengths)
        self._inputs[port.name] = dims
        inside = emitter.dtype(kind)
        if dtype == inside:
            return Sym(port.name, kind, dims)
        return emitter.emit("Cast", [port.name], kind, dims, to=elem_type(inside))

    def _names(self, places: Sequence[NativePlace]) -> dict[Sym, str]:
        """What the open axes of the inputs are called: `batch`, `time`, `<port>_dim<k>`."""
        own = [n for dims in self._inputs.values() for n in dims if isinstance(n, Sym)]
        named: dict[Sym, str] = {}
        for place in places:
            if place.source is None:
                continue
            axes = dims_of(place.source)[:2]
            rows, steps = axes[::-1] if place.place.time_major else axes
            for name, length in (("batch", rows), ("time", steps)):
                if length in own and length not in named and name not in named.values():
                    named[_sym(length)] = name
        first = [dims[0] for dims in self._inputs.values() if dims and isinstance(dims[0], Sym)]
        if not named and len(first) == 1:
            named[_sym(first[0])] = "batch"
        for port, dims in self._inputs.items():
            for k, length in enumerate(dims):
                if isinstance(length, Sym):
                    named.setdefault(length, f"{port}_dim{k}")
        return named

    def _specs(self, names: Mapping[Sym, str]) -> list[TensorSpec]:
        return [
            TensorSpec(
                port.name,
                tuple(
                    n if isinstance(n, int) else names[_sym(n)] for n in self._inputs[port.name]
                ),
                self._dtype(port),
            )
            for port in self._whole.inputs
        ]

    def _output(self, port: Port, value: Value, names: Mapping[Sym, str]) -> TensorSpec:
        """The value under the port's name, in the dtype that the graph declares."""
        emitter, dtype = self._emitter, self._dtype(port)
        inside = emitter.dtype(kind_of_value(value))
        name = emitter.name(value)
        to: dict[str, Any] = {} if dtype == inside else {"to": elem_type(dtype)}
        op = "Cast" if to else "Identity"
        node = helper.make_node(op, [name], [port.name], name=f"{port.name}/output", **to)
        emitter.outermost().append(node)
        shape = tuple(
            n if isinstance(n, int) else names.get(_sym(n), f"{port.name}_dim{k}")
            for k, n in enumerate(dims_of(value))
        )
        return TensorSpec(port.name, shape, dtype)


_OPEN = Sym("", "int", ())


def _sym(length: Length) -> Sym:
    return length if isinstance(length, Sym) else _OPEN


def _info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, elem_type(spec.dtype), spec.shape)


def _used(nodes: Sequence[onnx.NodeProto], weights: Mapping[str, Weight]) -> tuple[Weight, ...]:
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names.update(captured(attribute.g))
    return tuple(weight for name, weight in weights.items() if name in names)


def _loops(nodes: Sequence[onnx.NodeProto], said: Container[str]) -> tuple[Expression, ...]:
    """The graph's own loops that stayed loops, those within others included."""
    found: dict[Expression, None] = {}
    todo = list(nodes)
    while todo:
        node = todo.pop(0)
        for attribute in node.attribute:
            if not attribute.HasField("g"):
                continue
            todo += attribute.g.node
            name = attribute.g.name.removesuffix(BODY)
            if node.op_type in _KEPT and attribute.name == "body" and name in said:
                how, detail = _KEPT[node.op_type]
                found[Expression(name, how, detail)] = None
    return tuple(found)


_MEASURED = "the time of native nodes on small LSTMs: scripts/bench_graphs.py measures it"
_KEPT = {
    "Loop": ("loop", f"the graph's own steps; not a native operator: about 5 x {_MEASURED}"),
    "Scan": ("scan", f"the graph's own steps; not a native operator: about 3 x {_MEASURED}"),
}
"""Figures: the fixtures' stacks as steps against themselves as native nodes, in turn, in one
process of ONNX Runtime 1.32 on one thread: `Scan` 3.1 and 3.5, `Loop` 4.7 and 5.4."""


def _expressions(places: Sequence[NativePlace]) -> tuple[Expression, ...]:
    several = len(places) > 1
    return tuple(
        Expression(
            f"{place.place.name}/{one.layer}" if several else one.layer, one.how, one.detail
        )
        for place in places
        for one in place.expressions
    )
