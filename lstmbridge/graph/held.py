"""What is the same in every run of a program, and is therefore computed once."""

from __future__ import annotations

from collections.abc import Container, Iterable, MutableMapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.vocabulary import Words

__all__ = ["JOINS", "constant", "joins_constants"]

JOINS = frozenset({"Concat", "ConcatV2", "Pack", "Reshape", "Transpose"})
"""Operations that move numbers about and do no arithmetic: rounding does not touch them."""


def joins_constants(
    op: Op,
    args: Iterable[tuple[str, int]],
    given: Container[tuple[str, int]],
    known: Container[str],
) -> bool:
    """Whether an operation only puts constants together that are `known`, none of them fed."""
    return op.kind in JOINS and all(at not in given and at[0] in known for at in args)


def constant(
    words: Words[Any], op: Op, known: MutableMapping[str, Sequence[Any]]
) -> Sequence[Any]:
    """The value of a `Const`, kept in `known`."""
    if op.name not in known:
        tensor = op.attrs["value"]
        if getattr(tensor, "dtype", None) == np.dtype(object):
            # a phase may be a word, compared with another
            known[op.name] = [np.asarray(tensor.load())]
        else:
            known[op.name] = [*map(words.own, OPS[op.kind](words, op, ()))]
    return known[op.name]
