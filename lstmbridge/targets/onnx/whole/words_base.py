"""What the words share: known numbers are computed at once, by the words of NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.words import GraphFloat64
from lstmbridge.targets.onnx.whole.emitter import Emitter
from lstmbridge.targets.onnx.whole.values import (
    Dims,
    Sym,
    Value,
    broadcast,
    content_of,
    dims_of,
    has_sym,
    kind_of_value,
)

NUMBERS = GraphFloat64()
Word = Callable[..., Any]


def folded(word: Word) -> Word:
    """A word whose result is known at once where all that it is given is known."""
    name = word.__name__

    @wraps(word)
    def fold(self: Any, *args: Any, **kwargs: Any) -> Any:
        if has_sym(args):
            return word(self, *args, **kwargs)
        with np.errstate(all="ignore"):
            return getattr(NUMBERS, name)(*args, **kwargs)

    return fold


class Base:
    """Values, their ranks and kinds."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter

    def _same_shape(self, op: str, a: Value, kind: str = "", **attrs: Any) -> Sym:
        """A node whose result has the shape of its input."""
        return self.emitter.emit(op, [a], kind or kind_of_value(a), dims_of(a), **attrs)

    def _between(self, op: str, *args: Value, kind: str = "") -> Sym:
        """A node of values that broadcast."""
        dims: Dims = broadcast(*map(dims_of, args))
        return self.emitter.emit(op, args, kind or kind_of_value(args[0]), dims)

    def constant(self, value: Array | float) -> Array:
        """Numbers of the model."""
        return np.asarray(value, np.float64)

    def literal(self, array: Array, kind: str) -> Array:
        """Numbers that stand in the graph; those that are a weight are called as it is."""
        known = NUMBERS.literal(array, kind)
        self.emitter.label(known, self.emitter.at)
        return known

    def static(self, a: Value) -> Array:
        """The numbers. Errors: ValueError where only a run will tell."""
        if not isinstance(a, Sym):
            return a
        content = a.content
        if content is not None and all(isinstance(one, int) for one in content):
            return np.array(content, np.int64)
        raise ValueError("it does what a value says that is not known before the model is run")

    def numbers(self, a: Value) -> Sequence[int | Sym]:
        """The elements, each known or not."""
        content = content_of(a)
        if content is not None:
            return content
        length = dims_of(a)[0] if len(dims_of(a)) == 1 else None
        if length is None or isinstance(length, Sym):
            raise TypeError("a shape whose number of axes is not known before the model is run")
        gather = self.emitter.emit
        return [gather("Gather", [a, np.asarray(k)], "int", (), axis=0) for k in range(length)]

    def integer(self, number: int | Value) -> Value:
        """A scalar."""
        return number if isinstance(number, Sym) else np.asarray(number, np.int64)

    def rank(self, a: Value) -> int:
        """How many axes."""
        return len(dims_of(a))

    def kind(self, a: Value) -> str:
        """``float``, ``int`` or ``bool``."""
        return kind_of_value(a)

    def shape(self, a: Value) -> Value:
        """The lengths of the axes."""
        return self.emitter.vector([self.emitter.length(a, k) for k in range(self.rank(a))])
