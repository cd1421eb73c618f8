"""The word `scan` as ONNX's `Scan`.

ONNX Runtime refuses a `Scan` over a sequence of no steps. Where there may be none, sequences are
made longer by an element of zeros, which is taken last; its results are cut off again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from lstmbridge.graph.stepwise import Step
from lstmbridge.targets.onnx.builder import elem_type
from lstmbridge.targets.onnx.whole.emitter import BODY, needed
from lstmbridge.targets.onnx.whole.values import (
    Dims,
    Length,
    Sym,
    Value,
    dims_of,
    fixed,
    kind_of_value,
    same,
)
from lstmbridge.targets.onnx.whole.words_windows import Windows


class Scanning(Windows):
    """See `graph.words.Words`."""

    def scan(
        self,
        step: Step,
        states: Sequence[Value],
        sequences: Sequence[Value],
        *,
        backward: bool = False,
    ) -> Sequence[Value]:
        """Step by step."""
        length = _length(sequences)
        always = isinstance(length, int) and length > 0
        taken = sequences if always else [self._one_more(one, backward) for one in sequences]
        emitter, name = self.emitter, self.emitter.at
        emitter.enter()
        before = [_argument(self, f"{name}/before", one, dims_of(one)) for one in states]
        element = [_argument(self, f"{name}/element", one, dims_of(one)[1:]) for one in taken]
        after, results = step(before, element)
        graph = self._body(name, [*before, *element], [*after, *results], len(states))
        emitter.at = name
        attrs: dict[str, Any] = {"body": graph, "num_scan_inputs": len(taken)}
        if backward:
            attrs["scan_input_directions"] = [1] * len(taken)
            attrs["scan_output_directions"] = [1] * len(results)
        steps = length if always else None
        outputs = [(kind_of_value(one), dims_of(one)) for one in states]
        outputs += [(kind_of_value(one), (steps, *self._outer(one))) for one in results]
        made = emitter.emit_many("Scan", [*states, *taken], outputs, **attrs)[len(states) :]
        return made if always else [self._one_less(one, length, backward) for one in made]

    def _body(
        self, name: str, given: Sequence[Sym], results: Sequence[Value], states: int
    ) -> onnx.GraphProto:
        """Leaves the body that is being written: arguments and results as its own values."""
        emitter, names = self.emitter, list[str]()
        for value in results:
            made = emitter.name(value)
            own = made in emitter.makers and emitter.level(made) == emitter.depth
            if not own or made in names:
                made = emitter.copy(made, f"{name}/result")
            names.append(made)
        nodes = needed(emitter.leave(), names)
        shapes = [one.dims for one in given[:states]]
        shapes += [dims_of(one) for one in results[states:]]
        inputs = [self._info(one.name, one, one.dims) for one in given]
        infos = [self._info(*one) for one in zip(names, results, shapes, strict=True)]
        graph: onnx.GraphProto = helper.make_graph(nodes, f"{name}{BODY}", inputs, infos)
        return graph

    def _info(self, name: str, value: Value, dims: Dims) -> onnx.ValueInfoProto:
        dtype = self.emitter.dtype(kind_of_value(value))
        return helper.make_tensor_value_info(name, elem_type(dtype), fixed(dims))

    def _outer(self, value: Value) -> Dims:
        """A shape as it is known outside of the body."""
        emitter = self.emitter
        return tuple(
            n if not isinstance(n, Sym) or emitter.level(n.name) <= emitter.depth else None
            for n in dims_of(value)
        )

    def _one_more(self, sequence: Value, backward: bool) -> Value:
        rest = [0] * (self.rank(sequence) - 1)
        zero = np.asarray(0, np.float64 if kind_of_value(sequence) == "float" else np.int64)
        before, after = (1, 0) if backward else (0, 1)
        longer: Value = self.pad(sequence, [before, *rest], [after, *rest], zero)
        return longer

    def _one_less(self, sequence: Sym, length: Length, backward: bool) -> Value:
        shorter: Value = self.index(sequence, (slice(1, None) if backward else slice(None, -1),))
        if isinstance(shorter, Sym):
            shorter.dims = (length, *shorter.dims[1:])
        return shorter


def _argument(words: Scanning, name: str, value: Value, dims: Dims) -> Sym:
    return words.emitter.argument(name, kind_of_value(value), dims)


def _length(sequences: Sequence[Value]) -> Length:
    """How long they are; a number where any of them says it. Errors: ValueError."""
    lengths = [dims_of(one)[0] for one in sequences]
    known = {n for n in lengths if isinstance(n, int)}
    if len(known) > 1:
        raise ValueError(f"sequences of {sorted(known)} steps side by side")
    if known:
        return known.pop()
    return next((n for n in lengths if n is not None and same(n, n)), None)
