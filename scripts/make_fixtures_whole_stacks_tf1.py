# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = [
#     "tensorflow==1.15.5",
#     "protobuf<3.21",
#     "numpy<1.19",
# ]
# ///
"""Write small whole models that are all about their stacks to fixtures/whole/, as frozen graphs.

The environment is the one of `make_fixtures_tf1.py`, the files those of
`make_fixtures_whole_tf1.py`. Run::

    tf115/bin/python scripts/make_fixtures_whole_stacks_tf1.py [CASE ...]
"""

import sys

import tensorflow as tf
from make_fixtures_whole_tf1 import TIME, make, placeholder
from tensorflow.contrib import rnn as contrib_rnn
from tensorflow.python.ops import rnn, rnn_cell


def frames_and_lengths():
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    return frames, placeholder(tf.int32, [None], "lengths")


def steps_of(frames):
    frames.set_shape([None, TIME, 4])
    return tf.unstack(frames, axis=1)


def both_ways():
    """Two layers of both directions, lengths, the states used apart."""
    frames, lengths = frames_and_lengths()
    cells = [[rnn_cell.LSTMCell(3), rnn_cell.LSTMCell(2)] for _ in range(2)]
    outputs, fw, bw = contrib_rnn.stack_bidirectional_dynamic_rnn(
        *cells, frames, sequence_length=lengths, dtype=tf.float32
    )
    logits = tf.compat.v1.layers.dense(outputs, 3, name="logits")
    last = tf.concat([fw[0].h, bw[1].c], 1, name="last")
    return {"frames": frames, "lengths": lengths}, {"logits": logits, "last": last}, {}


def both_ways_time_major():
    """Both directions over (time, batch), the outputs used apart."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    (fw, bw), states = rnn.bidirectional_dynamic_rnn(
        rnn_cell.GRUCell(3), rnn_cell.GRUCell(3), frames, dtype=tf.float32, time_major=True
    )
    found = {
        "fw": tf.compat.v1.layers.dense(fw, 2, name="fw"),
        "bw": tf.compat.v1.layers.dense(bw, 2, name="bw"),
        "last": tf.subtract(states[0], states[1], name="last"),
    }
    return {"frames": frames}, found, {}


def both_ways_last():
    """Both directions, lengths, of which the last states alone are used."""
    frames, lengths = frames_and_lengths()
    cells = rnn_cell.BasicLSTMCell(3), rnn_cell.BasicLSTMCell(3)
    _, (fw, bw) = rnn.bidirectional_dynamic_rnn(*cells, frames, lengths, dtype=tf.float32)
    logits = tf.compat.v1.layers.dense(tf.concat([fw.h, bw.h], 1), 3, name="logits")
    return {"frames": frames, "lengths": lengths}, {"logits": logits}, {}


def both_ways_chained():
    """The backward direction begins with what the forward one ends with: no single layer."""
    frames, lengths = frames_and_lengths()
    forward, last = rnn.dynamic_rnn(rnn_cell.GRUCell(3), frames, lengths, dtype=tf.float32)
    with tf.compat.v1.variable_scope("back"):
        turned = tf.reverse_sequence(frames, lengths, 1, 0)
        back, _ = rnn.dynamic_rnn(rnn_cell.GRUCell(3), turned, lengths, initial_state=last)
    back = tf.reverse_sequence(back, lengths, 1, 0)
    logits = tf.compat.v1.layers.dense(tf.concat([forward, back], 2), 3, name="logits")
    return {"frames": frames, "lengths": lengths}, {"logits": logits}, {}


def both_ways_steps():
    """Both directions, unrolled."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    cells = rnn_cell.BasicLSTMCell(3), rnn_cell.BasicLSTMCell(3)
    outputs, fw, _ = rnn.static_bidirectional_rnn(*cells, steps_of(frames), dtype=tf.float32)
    logits = tf.compat.v1.layers.dense(tf.stack(outputs, 1), 3, name="logits")
    found = {"logits": logits, "last": tf.identity(fw.c, name="last")}
    return {"frames": frames}, found, {}


def both_ways_steps_lengths():
    """Both directions, unrolled, with lengths."""
    frames, lengths = frames_and_lengths()
    outputs, _, _ = rnn.static_bidirectional_rnn(
        rnn_cell.BasicLSTMCell(3),
        rnn_cell.BasicLSTMCell(3),
        steps_of(frames),
        dtype=tf.float32,
        sequence_length=lengths,
    )
    logits = tf.compat.v1.layers.dense(tf.stack(outputs, 1), 3, name="logits")
    return {"frames": frames, "lengths": lengths}, {"logits": logits}, {}


def both_ways_fixed():
    """Both directions, lengths, made for 3 rows of 5 steps."""
    frames = placeholder(tf.float32, [3, TIME, 4], "frames")
    lengths = placeholder(tf.int32, [3], "lengths")
    outputs, _ = rnn.bidirectional_dynamic_rnn(
        rnn_cell.LSTMCell(3), rnn_cell.LSTMCell(3), frames, lengths, dtype=tf.float32
    )
    logits = tf.compat.v1.layers.dense(tf.concat(outputs, 2), 3, name="logits")
    return {"frames": frames, "lengths": lengths}, {"logits": logits}, {}


def wrapped():
    """Projections and a highway around cells in the loop, lengths."""
    frames, lengths = frames_and_lengths()
    cells = [
        contrib_rnn.InputProjectionWrapper(rnn_cell.BasicLSTMCell(5), 3),
        contrib_rnn.HighwayWrapper(rnn_cell.GRUCell(5)),
        contrib_rnn.OutputProjectionWrapper(rnn_cell.BasicLSTMCell(5), 2),
    ]
    outputs, states = rnn.dynamic_rnn(
        rnn_cell.MultiRNNCell(cells), frames, lengths, dtype=tf.float32
    )
    found = {
        "probs": tf.nn.softmax(outputs, name="probs"),
        "last": tf.identity(states[1], name="last"),
    }
    return {"frames": frames, "lengths": lengths}, found, {}


def projected_residual():
    """A projection of the input, then residual layers, as music generators have it."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    cells = [contrib_rnn.InputProjectionWrapper(rnn_cell.BasicLSTMCell(5), 5)]
    cells += [rnn_cell.ResidualWrapper(rnn_cell.BasicLSTMCell(5)) for _ in range(2)]
    outputs, _ = rnn.dynamic_rnn(rnn_cell.MultiRNNCell(cells), frames, dtype=tf.float32)
    return {"frames": frames}, {"probs": tf.nn.softmax(outputs, name="probs")}, {}


def projected_inner():
    """Residuals inside of projections of the input, where the width changes."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    cells = []
    for before, units in ((4, 5), (5, 5), (5, 3)):
        cell = rnn_cell.ResidualWrapper(rnn_cell.BasicLSTMCell(units))
        cells.append(cell if before == units else contrib_rnn.InputProjectionWrapper(cell, units))
    outputs, _ = rnn.dynamic_rnn(rnn_cell.MultiRNNCell(cells), frames, dtype=tf.float32)
    return {"frames": frames}, {"probs": tf.nn.softmax(outputs, name="probs")}, {}


def embedded():
    """Ids, embedded by a wrapper in the loop."""
    words = placeholder(tf.int32, [None, None], "words")
    cell = contrib_rnn.EmbeddingWrapper(rnn_cell.GRUCell(5), 8, 4)
    outputs, _ = rnn.dynamic_rnn(cell, tf.expand_dims(words, 2), dtype=tf.float32)
    logits = tf.compat.v1.layers.dense(outputs, 3, name="logits")
    return {"words": words}, {"logits": logits}, {}


def unrolled_residual():
    """Unrolled, a residual leaves the last layer."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    cells = [rnn_cell.LSTMCell(4), rnn_cell.ResidualWrapper(rnn_cell.LSTMCell(4))]
    outputs, states = rnn.static_rnn(
        rnn_cell.MultiRNNCell(cells), steps_of(frames), dtype=tf.float32
    )
    logits = tf.compat.v1.layers.dense(tf.stack(outputs, 1), 3, name="logits")
    return (
        {"frames": frames},
        {"logits": logits, "last": tf.identity(states[1].c, name="last")},
        {},
    )


def unrolled_inner():
    """Unrolled; what the lower layer gives at each step, and a state in the middle, are used."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    cells = [rnn_cell.BasicLSTMCell(3), rnn_cell.BasicLSTMCell(5)]
    states = [cell.zero_state(tf.shape(frames)[0], tf.float32) for cell in cells]
    lower, upper, middle = [], [], None
    for k, step in enumerate(steps_of(frames)):
        x = step
        for n, cell in enumerate(cells):
            with tf.compat.v1.variable_scope("layer%d" % n, reuse=k > 0):
                x, states[n] = cell(x, states[n])
            (lower, upper)[n].append(x)
        middle = states[1].c if k == 2 else middle
    both = tf.concat([tf.stack(lower, 1), tf.stack(upper, 1)], 2)
    logits = tf.compat.v1.layers.dense(both, 3, name="logits")
    return {"frames": frames}, {"logits": logits, "middle": tf.identity(middle, name="middle")}, {}


def unrolled_fixed():
    """Unrolled GRUs that begin with the zeros of a batch of 3: constants."""
    frames = placeholder(tf.float32, [3, TIME, 4], "frames")
    cells = rnn_cell.MultiRNNCell([rnn_cell.GRUCell(4), rnn_cell.GRUCell(4)])
    states, outputs = cells.zero_state(3, tf.float32), []
    for k, step in enumerate(tf.unstack(frames, axis=1)):
        with tf.compat.v1.variable_scope("net", reuse=k > 0):
            x, states = cells(step, states)
        outputs.append(x)
    logits = tf.compat.v1.layers.dense(tf.concat(outputs, 1), 3, name="logits")
    return {"frames": frames}, {"logits": logits, "last": tf.identity(states[0], name="last")}, {}


def squeezed():
    """A score for each row, squeezed without saying which axis."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    _, state = rnn.dynamic_rnn(rnn_cell.GRUCell(3), frames, dtype=tf.float32)
    score = tf.squeeze(tf.compat.v1.layers.dense(state, 1))
    return {"frames": frames}, {"score": tf.sigmoid(score, name="score")}, {}


CASES = [
    both_ways,
    both_ways_time_major,
    both_ways_last,
    both_ways_chained,
    both_ways_steps,
    both_ways_steps_lengths,
    both_ways_fixed,
    wrapped,
    projected_residual,
    projected_inner,
    embedded,
    unrolled_residual,
    unrolled_inner,
    unrolled_fixed,
    squeezed,
]

if __name__ == "__main__":
    for number, build in enumerate(CASES):
        name = build.__name__.replace("_", "-")
        if name in sys.argv[1:] or not sys.argv[1:]:
            make(name, build, number + 31)
