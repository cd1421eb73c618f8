"""Operations of decoders: beams that are traced back, the best path of CTC.

Source: beam_search_ops.cc in tensorflow/contrib/seq2seq and tensorflow_addons; ctc_ops.cc and
ctc_decoder_ops.cc.
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


def _ctc_greedy(w: Words[Any], op: Op, args: Sequence[Any]) -> Sequence[Any]:
    """`inputs` (time, batch, classes), `sequence_length` -> a sparse matrix and its scores.

    The places of what is left (row, number) in rows' order, the labels, the shape, and
    (batch, 1) sums of the largest numbers, negated. The blank is the last class, unless
    `blank_index` says otherwise.
    """
    inputs, lengths = args
    steps, rows, classes = w.numbers(w.shape(inputs))
    best = w.transpose(w.arg("max", inputs, 2), (1, 0))
    alive = w.compare("less", w.unsqueeze(_counted(w, steps), 0), w.unsqueeze(lengths, 1))
    index = int(op.attrs.get("blank_index", -1))
    blank = _int(w, index) if index >= 0 else w.add(w.integer(classes), _int(w, index))
    kept = w.logical("and", alive, w.compare("not_equal", best, blank))
    if op.attrs.get("merge_repeated", False):
        before = w.index(w.pad(best, [0, 1], [0, 0], _int(w, -1)), (slice(None), slice(None, -1)))
        kept = w.logical("and", kept, w.compare("not_equal", best, before))
    counts = w.cast(kept, "int")
    places = w.transpose(w.nonzero(kept), (1, 0))
    number = w.cumulative_sum(counts, 1, exclusive=True, backward=False)
    row = w.index(places, (slice(None), slice(None, 1)))
    found = w.join([row, w.unsqueeze(w.gather_nd(number, places, 0), 1)], 1)
    # there may be no row, and no step
    none = w.literal(np.asarray([0]), "int")
    longest = w.reduce("max", w.join([w.reduce("sum", counts, [1], False), none], 0), [0], True)
    shape = w.join([w.reshape(w.integer(rows), (1,)), longest], 0)
    largest = w.transpose(w.reduce("max", inputs, [2], False), (1, 0))
    score = w.reduce("sum", w.where(alive, largest, w.constant(0.0)), [1], True)
    return [found, w.gather_nd(best, places, 0), shape, w.unary("neg", score)]


DECODING: Mapping[str, Definition] = {
    "Addons>GatherTree": _gather_tree,
    "CTCGreedyDecoder": _ctc_greedy,
    "GatherTree": _gather_tree,
}
