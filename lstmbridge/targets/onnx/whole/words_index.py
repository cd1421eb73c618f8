"""Words that choose, count and place elements by their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstmbridge.targets.onnx.whole.values import Dims, Length, Sym, Value, dims_of, kind_of_value
from lstmbridge.targets.onnx.whole.words_base import folded
from lstmbridge.targets.onnx.whole.words_shape import Shapes

BATCH_DIMS_SINCE = 12
"""First opset whose GatherND has batch dimensions, and first with Einsum."""
ADDING_SINCE = 16
"""First opset whose ScatterND adds."""


class Indexing(Shapes):
    """See `graph.words.Words`; likewise below."""

    @folded
    def arg(self, how: str, a: Value, axis: int) -> Value:
        """Place of the extreme, the first of several."""
        dims = dims_of(a)
        axis %= len(dims)
        op = "ArgMax" if how == "max" else "ArgMin"
        # ONNX Runtime's CPU provider has it for floats
        source = a if kind_of_value(a) == "float" else self.cast(a, "float")
        kept = (*dims[:axis], *dims[axis + 1 :])
        return self.emitter.emit(op, [source], "int", kept, axis=axis, keepdims=0)

    @folded
    def top_k(self, a: Value, count: int | Value) -> tuple[Value, Value]:
        """The largest of the last axis; of equal ones the first."""
        known = count if isinstance(count, int | Sym) else int(count)
        dims: Dims = (*dims_of(a)[:-1], known)
        outputs = [(kind_of_value(a), dims), ("int", dims)]
        many = self.emitter.vector([known])
        values, places = self.emitter.emit_many("TopK", [a, many], outputs, axis=-1)
        return values, places

    @folded
    def cumulative_sum(self, a: Value, axis: int, *, exclusive: bool, backward: bool) -> Value:
        """Running sums."""
        attrs = {"exclusive": int(exclusive), "reverse": int(backward)}
        said = {name: on for name, on in attrs.items() if on}
        inputs = [a, np.asarray(axis, np.int64)]
        return self.emitter.emit("CumSum", inputs, kind_of_value(a), dims_of(a), **said)

    @folded
    def pad(
        self, a: Value, before: Sequence[int | Sym], after: Sequence[int | Sym], value: Value
    ) -> Value:
        """Pad."""
        if all(isinstance(n, int) and n == 0 for n in (*before, *after)):
            return a
        if kind_of_value(a) == "bool":
            number = self.pad(self.cast(a, "int"), before, after, self.cast(value, "int"))
            return self._truth(number)
        dims = tuple(map(_padded, dims_of(a), before, after))
        inputs = [a, self.emitter.vector([*before, *after]), self._scalar(value)]
        return self.emitter.emit("Pad", inputs, kind_of_value(a), dims)

    def _truth(self, number: Value) -> Value:
        truth: Value = self.cast(number, "bool")
        return truth

    @folded
    def gather_nd(self, a: Value, indices: Value, batch_dims: int) -> Value:
        """Take by tuples.

        How many axes they address may be known only to a run: it must then be all of them, which
        the run checks.
        """
        *places, width = dims_of(indices)
        if not isinstance(width, int):
            width = self.rank(a) - batch_dims
            indices = self.reshape(indices, [*self.numbers(self.shape(indices))[:-1], width])
        dims: Dims = (*places, *dims_of(a)[batch_dims + width :])
        attrs = {"batch_dims": batch_dims} if batch_dims else {}
        if attrs and self.emitter.opset < BATCH_DIMS_SINCE:
            raise ValueError(f"gathering within a batch needs opset {BATCH_DIMS_SINCE}")
        return self.emitter.emit("GatherND", [a, indices], kind_of_value(a), dims, **attrs)

    @folded
    def scatter_nd(self, a: Value, indices: Value, updates: Value, how: str) -> Value:
        """Put by tuples."""
        if how != "none" and self.emitter.opset < ADDING_SINCE:
            raise ValueError(f"adding at numbered places needs opset {ADDING_SINCE}")
        attrs = {} if how == "none" else {"reduction": how}
        inputs = [a, indices, updates]
        return self.emitter.emit("ScatterND", inputs, kind_of_value(a), dims_of(a), **attrs)

    @folded
    def nonzero(self, a: Value) -> Value:
        """Indices."""
        truth = a if kind_of_value(a) == "bool" else self.cast(a, "bool")
        return self.emitter.emit("NonZero", [truth], "int", (len(dims_of(a)), None))

    @folded
    def unique(self, a: Value) -> tuple[Value, Value]:
        """By first appearance."""
        outputs: list[tuple[str, Dims]] = [
            (kind_of_value(a), (None,)),
            ("int", (None,)),
            ("int", dims_of(a)),
        ]
        values, _, which = self.emitter.emit_many("Unique", [a], outputs, sorted=0)
        return values, which

    @folded
    def einsum(self, equation: str, *operands: Value) -> Value:
        """Sum of products."""
        if self.emitter.opset < BATCH_DIMS_SINCE:
            raise ValueError(f"Einsum needs opset {BATCH_DIMS_SINCE}")
        dims = _einsum_dims(equation, [dims_of(a) for a in operands])
        return self.emitter.emit("Einsum", operands, "float", dims, equation=equation)


def _padded(length: Length, before: int | Sym, after: int | Sym) -> Length:
    if not isinstance(before, int) or not isinstance(after, int):
        return None
    if before == after == 0:
        return length
    return length + before + after if isinstance(length, int) else None


def _einsum_dims(equation: str, shapes: Sequence[Dims]) -> Dims:
    """The lengths of the result: each label's, and the axes that an ellipsis stands for."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow:
        raise ValueError(f"the equation {equation!r} does not say its result")
    lengths: dict[str, Length] = {}
    around: Dims = ()
    for term, dims in zip(terms.split(","), shapes, strict=True):
        before, dots, after = term.partition("...")
        if dots:
            middle = dims[len(before) : len(dims) - len(after)]
            around = middle if len(middle) >= len(around) else around
        pairs = [*zip(before, dims, strict=False)]
        if after:
            pairs += zip(after, dims[-len(after) :], strict=True)
        for label, length in pairs:
            if not isinstance(lengths.get(label), int):
                lengths[label] = length
    before, dots, after = result.partition("...")
    middle = tuple(None for _ in around) if dots else ()
    return (*(lengths[k] for k in before), *middle, *(lengths[k] for k in after))
