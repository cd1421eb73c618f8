"""A loop of the graph as ONNX's `Scan` where it is counted (`scans`), else as its `Loop`.

TensorFlow asks the condition before each step, ONNX's `Loop` after it (for the next one): so
the condition is said twice, of what the loop begins with and of what a step gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.errors import CannotExpress
from lstmbridge.graph.network import Loop, LoopVariable, Tensor
from lstmbridge.targets.onnx.builder import elem_type
from lstmbridge.targets.onnx.whole.arrays import Elements
from lstmbridge.targets.onnx.whole.branches import with_branches
from lstmbridge.targets.onnx.whole.counted import Count, Steps, count_of
from lstmbridge.targets.onnx.whole.emitter import BODY, Emitter, needed
from lstmbridge.targets.onnx.whole.scans import Body, Element, emit_scan
from lstmbridge.targets.onnx.whole.values import (
    Dims,
    Sym,
    Value,
    dims_of,
    fixed,
    kind_of_value,
    meet,
    same,
)

if TYPE_CHECKING:
    from lstmbridge.targets.onnx.whole.walk import Walk

MOST_ROUNDS = 8
"""After which the shapes of a loop's states are taken to be of any length."""
_ADVICE = "give --stack-only to convert the recurrent layers alone"


@dataclass(frozen=True)
class _Body:
    """One step, said.

    Attributes:
        following: the states after it.
        arrays: what it writes, by the array's entry: (number, value).
        again: whether there is another step.
    """

    following: dict[Tensor, Value]
    arrays: dict[Tensor, tuple[Value, Value] | None]
    again: Value


def emit_loop(walk: Walk, loop: Loop, wanted: Sequence[LoopVariable]) -> dict[Tensor, Any]:
    """Add the `Loop`: the last values of its variables, by their entries.

    Errors: CannotExpress where the loop does what ONNX cannot say.
    """
    scopes = walk.program.scopes
    variables = scopes.needed(loop, wanted)
    outside = {t: None for v in wanted for t in scopes.outside(loop, v)}
    place = walk.program.place
    for scope in dict.fromkeys(place(t)[0] for t in outside):
        if scope != loop.name:
            walk.compute(scope, [t for t in outside if place(t)[0] == scope])
    initial = {v.entry: _initial(walk, v) for v in variables}
    walk.loops.add(loop.name)
    return _Looper(walk, loop, variables, initial, [v.entry for v in wanted]).emit()


def _initial(walk: Walk, variable: LoopVariable) -> Any:
    """What a variable begins with.

    The flow of the second version of a TensorArray begins as a plain 0.0: the array itself is
    what the handle of the operation that writes it says.
    """
    place = walk.program.place
    value = walk.look(*place(variable.initial))
    writer = walk.program.tracer.network.op(walk.program.tracer.guarded(variable.following)[0])
    if isinstance(value, Elements) or not writer.kind.startswith("TensorArrayWrite"):
        return value
    handle = walk.look(*place(writer.inputs[0]))
    return handle if isinstance(handle, Elements) else value


class _Looper:
    """Says one loop."""

    def __init__(
        self,
        walk: Walk,
        loop: Loop,
        variables: Sequence[LoopVariable],
        initial: dict[Tensor, Any],
        wanted: Sequence[Tensor],
    ) -> None:
        self._walk = walk
        self._loop = loop
        self._wanted = wanted
        self._emitter: Emitter = walk.words.emitter
        self._following = {v.entry: v.following for v in variables}
        self._states: dict[Tensor, Value] = {}
        self._arrays: dict[Tensor, Elements] = {}
        for entry, value in initial.items():
            if isinstance(value, Elements):
                self._arrays[entry] = value
            elif isinstance(value, Sym | np.ndarray):
                self._states[entry] = value
            elif hasattr(value, "error"):
                raise value.error()
            else:
                raise self._refused(f"begins {entry[0]!r} with what is no tensor")
        self._arguments: dict[Tensor, Sym] = {}
        self._shapes: dict[Tensor, Dims] = {e: dims_of(v) for e, v in self._states.items()}

    def _refused(self, what: str) -> CannotExpress:
        return CannotExpress(
            f"the loop {self._loop.name!r} {what}", where=self._loop.name, advice=_ADVICE
        )

    def emit(self) -> dict[Tensor, Any]:
        """Say the body, as often as it takes for the shapes to hold from step to step."""
        first = self._condition(self._states, self._arrays)
        for _ in range(MOST_ROUNDS):
            arguments, body = self._say()
            changed = self._weaken(body)
            if not changed:
                break
            self._emitter.leave()
        else:
            raise self._refused("changes the shape of its states in a way that has no end")
        return self._finish(first, arguments, body)

    def _bind(self, states: dict[Tensor, Any], arrays: dict[Tensor, Any]) -> None:
        self._walk.forget(self._loop.name)
        self._walk.entries.update(states)
        self._walk.entries.update(arrays)

    def _condition(self, states: dict[Tensor, Any], arrays: dict[Tensor, Any]) -> Value:
        """Whether there is a step from these states."""
        condition = self._walk.program.scopes.condition(self._loop)
        self._bind(states, arrays)
        self._walk.compute(self._loop.name, [condition])
        value = self._walk.value(condition)
        return self._walk.words.reshape(value, ()) if dims_of(value) else value

    def _say(self) -> tuple[list[Sym], _Body]:
        emitter = self._emitter
        emitter.enter()
        name = self._loop.name
        counter = emitter.argument(f"{name}/step", "int", ())
        going = emitter.argument(f"{name}/going", "bool", ())
        states = {
            entry: emitter.argument(f"{entry[0]}/before", kind_of_value(v), self._shapes[entry])
            for entry, v in self._states.items()
        }
        arrays = {entry: replace(array, entered=True) for entry, array in self._arrays.items()}
        self._arguments = states
        self._bind(states, arrays)
        walk = self._walk
        walk.compute(name, list(self._following.values()))
        place = walk.program.place
        after = {entry: walk.look(*place(t)) for entry, t in self._following.items()}
        writes = {entry: self._write(entry, arrays[entry], after[entry]) for entry in arrays}
        following = {entry: walk.value(self._following[entry]) for entry in states}
        again = self._condition(following, {entry: after[entry] for entry in arrays})
        return [counter, going, *states.values()], _Body(following, writes, again)

    def _write(self, entry: Tensor, before: Elements, after: Any) -> tuple[Value, Value] | None:
        """What a step writes into an array: at most one element."""
        if hasattr(after, "error"):
            raise after.error()
        if not isinstance(after, Elements) or len(after.steps) > 1:
            raise self._refused(f"writes {entry[0]!r} more than once in a step")
        if not after.steps:
            return None
        if before.whole is not None or (before.written and before.grows):
            raise self._refused(f"adds to the elements that {entry[0]!r} has before it begins")
        return after.steps[0]

    def _weaken(self, body: _Body) -> bool:
        """Forget the lengths that a step changes; whether there are any."""
        changed = False
        for entry, value in body.following.items():
            before, after = self._shapes[entry], dims_of(value)
            if len(before) != len(after):
                raise self._refused(f"changes the number of axes of {entry[0]!r}")
            if kind_of_value(value) != kind_of_value(self._states[entry]):
                raise self._refused(f"changes the kind of {entry[0]!r}")
            if not all(map(same, before, after)):
                weaker = meet(before, after)
                changed = changed or weaker != before
                self._shapes[entry] = weaker
        return changed

    # -- the node -------------------------------------------------------------------------------

    def _finish(self, first: Value, arguments: Sequence[Sym], body: _Body) -> dict[Tensor, Any]:
        emitter = self._emitter
        steps = Steps(self._states, self._arguments, body.following)
        counters = steps.counters(emitter)
        count = count_of(emitter, steps, body.again)
        scanned = list(self._scanned(body, counters))
        given = [body.again, *body.following.values(), *(value for _, value in scanned)]
        results = self._results(given)
        nodes = with_branches(needed(emitter.leave(), results), results, emitter.alike)
        keys = [key for key, _ in scanned]
        if count is not None:
            last = 1 + len(self._states)
            made = emit_scan(
                self._walk.words,
                Body(
                    self._loop.name,
                    steps,
                    count,
                    nodes,
                    dict(zip(self._states, results[1:last], strict=True)),
                    [
                        Element(result, kind_of_value(value), self._outer(value))
                        for result, (_, value) in zip(results[last:], scanned, strict=True)
                    ],
                    [entry for entry in self._wanted if entry in self._states],
                ),
            )
            if made is not None:
                parts = dict(zip(keys, made.elements, strict=True))
                return self._finals(made.finals, parts, body, count)
        every = self._emit_loop(first, arguments, (nodes, results, given))
        finals: dict[Tensor, Any] = dict(zip(self._states, every, strict=False))
        parts = dict(zip(keys, every[len(self._states) :], strict=True))
        return self._finals(finals, parts, body, count)

    def _emit_loop(
        self,
        first: Value,
        arguments: Sequence[Sym],
        said: tuple[Sequence[onnx.NodeProto], Sequence[str], Sequence[Value]],
    ) -> list[Sym]:
        """The `Loop`: `said` are its body's nodes, its results by name and by value."""
        emitter, name = self._emitter, self._loop.name
        nodes, results, given = said
        infos = [
            helper.make_tensor_value_info(
                result, elem_type(emitter.dtype(kind_of_value(v))), fixed(dims_of(v))
            )
            for result, v in zip(results, given, strict=True)
        ]
        inputs = [
            helper.make_tensor_value_info(
                one.name, elem_type(emitter.dtype(one.kind)), fixed(one.dims)
            )
            for one in arguments
        ]
        for k, shape in enumerate(self._shapes.values()):
            # a state may begin shorter than a step leaves it
            infos[1 + k] = helper.make_tensor_value_info(
                results[1 + k], infos[1 + k].type.tensor_type.elem_type, fixed(shape)
            )
        graph: onnx.GraphProto = helper.make_graph(nodes, f"{name}{BODY}", inputs, infos)
        outputs = [(kind_of_value(v), self._shapes[e]) for e, v in self._states.items()]
        outputs += [(kind_of_value(v), (None, *self._outer(v))) for v in given[1 + len(outputs) :]]
        emitter.at = name
        return emitter.emit_many(
            "Loop",
            ["", emitter.name(first), *map(emitter.name, self._states.values())],
            outputs,
            body=graph,
        )

    def _outer(self, value: Value) -> Dims:
        """A shape as it is known outside of the loop."""
        level = self._emitter.depth
        return tuple(
            n if not isinstance(n, Sym) or self._emitter.level(n.name) <= level else None
            for n in dims_of(value)
        )

    def _scanned(
        self, body: _Body, counters: Mapping[str, str]
    ) -> Iterator[tuple[tuple[Tensor, str], Value]]:
        """What each step gives besides its states: elements, and their numbers where needed."""
        for entry, write in body.arrays.items():
            if write is None:
                continue
            number, value = write
            yield (entry, "value"), value
            counted = isinstance(number, Sym) and number.name in counters
            if not counted or self._arrays[entry].written:
                yield (entry, "number"), number

    def _results(self, given: Sequence[Value]) -> list[str]:
        """Each result under a name of its own, made by a node of the body."""
        emitter, names = self._emitter, []
        for value in given:
            name = emitter.name(value)
            made = name in emitter.makers and emitter.level(name) == emitter.depth
            if not made or name in names:
                name = emitter.copy(name, f"{self._loop.name}/result")
            names.append(name)
        return names

    def _finals(
        self,
        finals: dict[Tensor, Any],
        parts: Mapping[tuple[Tensor, str], Sym],
        body: _Body,
        count: Count | None,
    ) -> dict[Tensor, Any]:
        """The last values, for whoever reads them."""
        for entry, array in self._arrays.items():
            if body.arrays[entry] is None:
                finals[entry] = array
                continue
            whole = parts[entry, "value"]
            if (entry, "number") in parts:
                whole = self._placed(array, parts[entry, "number"], whole)
            elif not array.grows:
                whole = self._filled_up(array, whole, count)
            size = self._emitter.length(whole, 0) if array.grows else array.size
            finals[entry] = Elements(size, whole=whole)
        return finals

    def _filled_up(self, array: Elements, whole: Sym, count: Count | None) -> Sym:
        """With zeros for the elements that the loop did not come to, where it may end before."""
        dims = (array.size, *whole.dims[1:])
        if self._ends_at(array.size, count):
            whole.dims = dims
            return whole
        words, emitter = self._walk.words, self._emitter
        element = words.numbers(words.shape(whole))[1:]
        left = words.sub(words.integer(array.size), words.integer(emitter.length(whole, 0)))
        zeros = words.expand(words.literal(np.asarray(0.0), whole.kind), [left, *element])
        return emitter.emit("Concat", [whole, zeros], whole.kind, dims, axis=0)

    def _ends_at(self, size: int | Sym, count: Count | None) -> bool:
        """Whether the loop takes `size` steps, whatever happens in them."""
        wanted = self._emitter.name(self._walk.words.integer(size))
        return count is not None and set(count.limits) == {wanted}

    def _placed(self, array: Elements, numbers: Sym, values: Sym) -> Sym:
        """Elements at the numbers under which they were written, before the loop and in it."""
        if array.grows:
            raise self._refused("writes an array that grows in an order of its own")
        words = self._walk.words
        element = words.numbers(words.shape(values))[1:]
        zeros = words.expand(words.literal(np.asarray(0.0), values.kind), [array.size, *element])
        rows, every = words.unsqueeze(numbers, 1), values
        if array.written:
            first = words.join([words.unsqueeze(one, 0) for one in array.written.values()], 0)
            places = np.array(list(array.written), np.int64)[:, None]
            rows, every = words.join([places, rows], 0), words.join([first, values], 0)
        return self._emitter.emit("ScatterND", [zeros, rows, every], values.kind, dims_of(zeros))
