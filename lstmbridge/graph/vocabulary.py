"""The array namespace of cells, widened by what a graph around them needs.

Each word means what ONNX's operator of that name means (NumPy's broadcasting, float64 for
every kind of float, int64 for every kind of integer), so that the definitions in `ops*` can
serve an interpreter other than NumPy's: one that only knows how many axes a value has, and not
how long each is. Axes, permutations and ranks are therefore plain integers, while lengths,
repeats and bounds of slices are integers or scalars of the interpreter's own: `numbers` takes
the elements of a value apart into these. `static` is for what must be known to say what an
operation does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from lstmbridge.arrays.namespace import Namespace
from lstmbridge.gates import Array

A = TypeVar("A")


class Words(Namespace[A], Protocol[A]):
    """`Namespace`, and comparison, choice, reduction and shape."""

    def own(self, value: Any) -> A:
        """What a definition gave, as one of the interpreter's values."""
        ...

    def static(self, a: A) -> Array:
        """The numbers of a value that decides what an operation does.

        Raises:
            ValueError: the interpreter does not know them.
        """
        ...

    def numbers(self, a: A) -> Sequence[int | A]:
        """The elements of an integer scalar or vector: integers, or scalars where not known."""
        ...

    def integer(self, number: int | A) -> A:
        """One of `numbers`, as a scalar."""
        ...

    def rank(self, a: A) -> int:
        """How many axes it has."""
        ...

    def kind(self, a: A) -> str:
        """``float``, ``int`` or ``bool``."""
        ...

    def literal(self, array: Array, kind: str) -> A:
        """Numbers that stand in the graph."""
        ...

    def compare(self, how: str, a: A, b: A) -> A:
        """``equal``, ``less``, ``less_equal``, ``greater``, ``greater_equal``: booleans."""
        ...

    def logical(self, how: str, *operands: A) -> A:
        """``and``, ``or``, ``xor``, ``not`` of booleans."""
        ...

    def where(self, condition: A, a: A, b: A) -> A:
        """A where the condition holds, else b."""
        ...

    def unary(self, how: str, a: A) -> A:
        """One of `words.UNARY`: ONNX's operator of that name, elementwise."""
        ...

    def integer_division(self, how: str, a: A, b: A) -> A:
        """``floor`` or ``mod``, both rounding towards minus infinity."""
        ...

    def power(self, a: A, b: A) -> A:
        """A to the power of b."""
        ...

    def reduce(self, how: str, a: A, axes: Sequence[int], keep: bool) -> A:
        """``sum``, ``mean``, ``max``, ``min``, ``prod``, ``all``, ``any`` over axes."""
        ...

    def softmax(self, a: A) -> A:
        """Over the last axis."""
        ...

    def cast(self, a: A, kind: str) -> A:
        """To ``float``, ``int`` or ``bool``; towards zero from float to int."""
        ...

    def shape(self, a: A) -> A:
        """The lengths of the axes, as integers."""
        ...

    def reshape(self, a: A, shape: Sequence[int | A]) -> A:
        """One axis may be -1."""
        ...

    def unsqueeze(self, a: A, axis: int) -> A:
        """A further axis of length 1, which is then number `axis`."""
        ...

    def squeeze_ones(self, a: A) -> A:
        """Drop every axis of length 1; known axes that a run may show to be 1 are dropped then."""
        ...

    def squeeze(self, a: A, axes: Sequence[int]) -> A:
        """Without these axes, which have length 1."""
        ...

    def transpose(self, a: A, order: Sequence[int]) -> A:
        """Axes in another order."""
        ...

    def expand(self, a: A, shape: Sequence[int | A]) -> A:
        """Broadcast to a shape."""
        ...

    def tile(self, a: A, repeats: Sequence[int | A]) -> A:
        """Repeat along each axis."""
        ...

    def index(self, a: A, at: tuple[Any, ...]) -> A:
        """Basic slicing: slices, integers, None and Ellipsis. Bounds may be scalars."""
        ...

    def pieces(self, a: A, sizes: Sequence[int], axis: int) -> Sequence[A]:
        """Side by side on an axis before, apart after."""
        ...

    def gather(self, a: A, indices: A, axis: int) -> A:
        """Whole slices by number."""
        ...

    def join(self, parts: Sequence[A], axis: int) -> A:
        """Side by side on an axis."""
        ...

    def arange(self, start: A, limit: A, step: A) -> A:
        """Numbers from start to limit, without it."""
        ...

    def reverse(self, a: A, axes: Sequence[int]) -> A:
        """Back to front."""
        ...

    def reverse_sequence(self, a: A, lengths: A, time: int, batch: int) -> A:
        """Back to front, each row up to its length."""
        ...

    def log_softmax(self, a: A) -> A:
        """Over the last axis."""
        ...

    def arg(self, how: str, a: A, axis: int) -> A:
        """Where the ``max`` or ``min`` of an axis is, the first where there are several."""
        ...

    def top_k(self, a: A, count: int | A) -> tuple[A, A]:
        """The largest of the last axis, in descending order, and where they are."""
        ...

    def cumulative_sum(self, a: A, axis: int, *, exclusive: bool, backward: bool) -> A:
        """ONNX CumSum."""
        ...

    def pad(self, a: A, before: Sequence[int | A], after: Sequence[int | A], value: A) -> A:
        """A value around it; one length for each axis."""
        ...

    def gather_nd(self, a: A, indices: A, batch_dims: int) -> A:
        """ONNX GatherND: the last axis of `indices` addresses axes of `a`."""
        ...

    def scatter_nd(self, a: A, indices: A, updates: A, how: str) -> A:
        """ONNX ScatterND: `a` with ``none`` (the last wins) or ``add`` at the indices."""
        ...

    def nonzero(self, a: A) -> A:
        """(axes of `a`, count): where it is not zero or not false, in order."""
        ...

    def unique(self, a: A) -> tuple[A, A]:
        """The values of a vector in the order of first appearance, and which each one is."""
        ...

    def einsum(self, equation: str, *operands: A) -> A:
        """ONNX Einsum."""
        ...

    def conv(
        self,
        a: A,
        kernel: A,
        *,
        strides: Sequence[int],
        dilations: Sequence[int],
        same: bool,
        groups: int,
    ) -> A:
        """ONNX Conv: (batch, channels, ...) x (out, channels / groups, ...).

        `same`: padded to ceil(length / stride), more at the end (``SAME_UPPER``); else not at
        all (``VALID``).
        """
        ...

    def pool(
        self, how: str, a: A, *, window: Sequence[int], strides: Sequence[int], same: bool
    ) -> A:
        """ONNX MaxPool (``max``) or AveragePool (``mean``, padding not counted) of (b, c, ...)."""
        ...

    def scan(
        self,
        step: Callable[[Sequence[A], Sequence[A]], tuple[Sequence[A], Sequence[A]]],
        states: Sequence[A],
        sequences: Sequence[A],
        *,
        backward: bool = False,
    ) -> Sequence[A]:
        """ONNX Scan over the first axis, without the last states.

        `step` makes of the states and of one element of each sequence the next states, each of
        the shape that it had, and one element of each result. It may be handed elements that
        are zeros. `backward`: the last element first; results are still in the sequences' order.
        """
        ...
