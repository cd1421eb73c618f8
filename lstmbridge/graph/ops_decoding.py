"""Operations of decoders: beams that are traced back.

Source: beam_search_ops.cc in tensorflow/contrib/seq2seq and tensorflow_addons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lstmbridge.graph.network import Op
from lstmbridge.graph.vocabulary import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]


def _int(w: Words[Any], value: int) -> Any:
    return w.literal(np.asarray(value), "int")


def _counted(w: Words[Any], length: Any) -> Any:
    return w.arange(_int(w, 0), w.integer(length), _int(w, 1))


def _gather_tree(w: Words[Any], _op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`step_ids, parent_ids, max_sequence_lengths, end_token` -> beams, (time, batch, beam).

    From the last step of a row back to its first, each beam follows its parents; what lies past
    the row's length, and past the first end token of a beam, is the end token.
    """
    ids, parents, lengths, end = args
    steps, rows, width = w.numbers(w.shape(ids))
    past = w.unsqueeze(lengths, 1)
    own = w.expand(_counted(w, width), [rows, width])

    def back(states: Sequence[Any], elements: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        (beam,), (at, said, parent) = states, elements
        alive, from_beam = w.compare("less", at, past), w.unsqueeze(beam, 2)
        word = w.where(alive, w.gather_nd(said, from_beam, 1), end)
        return [w.where(alive, w.gather_nd(parent, from_beam, 1), beam)], [word]

    (beams,) = w.scan(back, [own], [_counted(w, steps), ids, parents], backward=True)
    ends = w.cast(w.compare("equal", beams, end), "int")
    before = w.cumulative_sum(ends, 0, exclusive=True, backward=False)
    return [w.where(w.compare("greater", before, _int(w, 0)), end, beams)]


DECODING: Mapping[str, Definition] = {
    "Addons>GatherTree": _gather_tree,
    "GatherTree": _gather_tree,
}
