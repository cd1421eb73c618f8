"""Loops that count their steps: how many there are, and which tensors they take step by step.

A loop is counted where it goes on while counters from 0, each one more at every step, are below
limits that no step changes; it then takes as many steps as the least limit says. What it reads
at a counter is a step of a sequence, and the loop is ONNX's `Scan`. A loop of which one of these
is not certain stays a `Loop`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from lstmbridge.graph.network import Tensor
from lstmbridge.targets.onnx.whole.emitter import Emitter, captured, needed
from lstmbridge.targets.onnx.whole.values import Dims, Length, Sym, Value, dims_of, same
from lstmbridge.targets.onnx.whole.words import Symbolic


@dataclass(frozen=True)
class Steps:
    """The states of a loop: at the start of a step (arguments of its body), and after it."""

    initial: Mapping[Tensor, Value]
    before: Mapping[Tensor, Sym]
    following: Mapping[Tensor, Value]

    def counters(self, emitter: Emitter) -> dict[str, str]:
        """States that are 0 in the first step, 1 in the second, and so on.

        Returns:
            Their names in a step -> their names after it.
        """
        one = emitter.name(np.asarray(1, np.int64))
        found: dict[str, str] = {}
        for entry, value in self.following.items():
            begins, argument = self.initial[entry], self.before[entry].name
            if isinstance(begins, Sym) or begins.size != 1 or begins.item() != 0:
                continue
            after = emitter.name(value)
            made = emitter.makers.get(after)
            if made is not None and made.op == "Add" and set(made.inputs) == {argument, one}:
                found[argument] = after
        return found


@dataclass(frozen=True)
class Count:
    """How often a loop runs, where nothing but counters says so.

    Attributes:
        counters: as `Steps.counters` gives them.
        limits: names of integers that no step changes; the least is the number of steps.
    """

    counters: Mapping[str, str]
    limits: tuple[str, ...]


def count_of(emitter: Emitter, steps: Steps, again: Value) -> Count | None:
    """What a loop's condition counts; None where it may end by anything else.

    To be called while the body is being written. `again` is said of what a step gives.
    """
    counters = steps.counters(emitter)
    after = set(counters.values())
    limits: dict[str, None] = {}
    todo = [emitter.name(again)] if isinstance(again, Sym) else []
    if not todo or dims_of(again):
        return None
    while todo:
        made = emitter.makers.get(todo.pop())
        if made is None:
            return None
        if made.op == "And":
            todo += made.inputs
            continue
        if made.op not in {"Less", "Greater"}:
            return None
        low, high = made.inputs if made.op == "Less" else made.inputs[::-1]
        if low not in after or emitter.level(high) >= emitter.depth:
            return None
        limits[high] = None
    return Count(counters, tuple(limits))


@dataclass(frozen=True)
class Read:
    """What a loop takes step by step.

    Attributes:
        node: of the body: it takes the element.
        data: the whole sequence.
        certain: it has at least as many elements as the loop has steps.
    """

    node: onnx.NodeProto
    data: Sym
    certain: bool


@dataclass(frozen=True)
class Taken:
    """The sequences of a counted loop, and its number of steps."""

    steps: Value
    reads: tuple[Read, ...]


def taken_by(words: Symbolic, count: Count, nodes: Iterable[onnx.NodeProto]) -> Taken | None:
    """What a counted loop reads at its counter; None where nothing is certain to last.

    Args:
        words: for the number of steps.
        count: of the loop.
        nodes: of its body, those of branches left out: what a branch reads may not exist.
    """
    emitter = words.emitter
    reads: list[Read] = []
    for node in nodes:
        axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
        if node.op_type != "Gather" or axis != 0 or node.input[1] not in count.counters:
            continue
        data = emitter.known(node.input[0])
        if data is None or emitter.level(data.name) > emitter.depth:
            continue
        reads.append(Read(node, data, _at_most(words, count, dims_of(data)[0])))
    if not any(read.certain for read in reads):
        return None
    return Taken(_steps(words, count), tuple(reads))


def _number(emitter: Emitter, name: str) -> Value:
    """A limit: a number, or a scalar of the graph."""
    weight = emitter.graph.weights.get(name)
    return Sym(name, "int", ()) if weight is None else np.asarray(weight.build(), np.int64)


def _steps(words: Symbolic, count: Count) -> Value:
    """The least limit."""
    numbers = [_number(words.emitter, name) for name in count.limits]
    least = numbers[0]
    for number in numbers[1:]:
        least = words.minimum(least, number)
    return least


def _at_most(words: Symbolic, count: Count, length: Length) -> bool:
    """Whether some limit is no more than a length."""
    if length is None:
        return False
    emitter = words.emitter
    wanted = emitter.name(words.integer(length))
    for name in count.limits:
        made = emitter.makers.get(name)
        if name == wanted or (made is not None and made.op == "Min" and wanted in made.inputs):
            return True
        number = _number(emitter, name)
        if isinstance(length, int) and not isinstance(number, Sym) and number.item() <= length:
            return True
    return False


def cut(words: Symbolic, taken: Taken, read: Read) -> Value:
    """A sequence up to the number of steps."""
    steps: Length = taken.steps if isinstance(taken.steps, Sym) else int(taken.steps.item())
    length = dims_of(read.data)[0]
    if same(length, steps):
        return read.data
    if isinstance(steps, Sym) and isinstance(length, Sym) and steps.name == length.name:
        return read.data
    some: Value = words.index(read.data, (slice(0, steps),))
    return some


def live(
    nodes: Sequence[onnx.NodeProto],
    arguments: Mapping[Tensor, str],
    results: Mapping[Tensor, str],
    wanted: Iterable[Tensor],
    others: Sequence[str],
) -> list[Tensor]:
    """The states on which what is wanted of a loop depends, in their order.

    Args:
        nodes: of the body.
        arguments: each state's name at the start of a step.
        results: and after it.
        wanted: states whose last values are read.
        others: what each step gives besides its states.
    """
    kept = set(wanted)
    while True:
        names = [*others, *(results[entry] for entry in kept)]
        read: set[str] = set()
        for node in needed(nodes, names):
            read.update(node.input)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    read.update(captured(attribute.g))
        more = {entry for entry, name in arguments.items() if name in read} - kept
        if not more:
            return [entry for entry in arguments if entry in kept]
        kept |= more


def keeps_its_shape(before: Dims, after: Dims) -> bool:
    """Whether a state is as long after a step as before it, in every run."""
    return len(before) == len(after) and all(map(same, before, after))
