# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = [
#     "tensorflow==1.15.5",
#     "protobuf<3.21",
#     "numpy<1.19",
# ]
# ///
"""Write the small whole models of fixtures/whole/ with TensorFlow 1.15, as frozen graphs.

The environment is the one of `make_fixtures_tf1.py`. Run::

    tf115/bin/python scripts/make_fixtures_whole_tf1.py [case ...]

(`make_fixtures_whole_stacks_tf1.py` writes those that are all about stacks.) Each case is a
folder: ``frozen.pb``, ``expected.npz`` with what was fed and what that TensorFlow computed (``inputs|<name>``, ``outputs|<name>``), and ``card.json``: the tensors of both, and the
values of placeholders that are settled for inference.
"""

import json
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import seq2seq
from tensorflow.python.framework import graph_io
from tensorflow.python.ops import rnn, rnn_cell

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "fixtures", "whole")
BATCH, TIME = 3, 5


def placeholder(dtype, shape, name):
    return tf.compat.v1.placeholder(dtype, shape, name=name)


def translator():
    """Encoder with lengths, attention, a greedy decoding loop with a stop condition."""
    source = placeholder(tf.int32, [None, None], "source")
    lengths = placeholder(tf.int32, [None], "lengths")
    table = tf.compat.v1.get_variable("table", [7, 4])
    memory, state = rnn.dynamic_rnn(
        rnn_cell.BasicLSTMCell(5), tf.nn.embedding_lookup(table, source), lengths, dtype=tf.float32
    )
    rows = tf.shape(source)[0]
    attention = seq2seq.LuongAttention(5, memory, lengths)
    cell = seq2seq.AttentionWrapper(rnn_cell.BasicLSTMCell(5), attention, 5)
    first = cell.zero_state(rows, tf.float32).clone(cell_state=state)
    helper = seq2seq.GreedyEmbeddingHelper(table, tf.fill([rows], 1), 2)
    head = tf.compat.v1.layers.Dense(7, name="head")
    decoder = seq2seq.BasicDecoder(cell, helper, first, head)
    made, _, _ = seq2seq.dynamic_decode(decoder, maximum_iterations=6)
    inputs = {"source": source, "lengths": lengths}
    outputs = {"logits": made.rnn_output, "words": made.sample_id}
    return inputs, outputs, {}


def classifier():
    """Convolution, batch norm by a phase, dropout by a placeholder, GRU, pooling over time."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    keep = placeholder(tf.float32, [], "keep_prob")
    phase = placeholder(tf.bool, [], "is_training")
    x = tf.compat.v1.layers.conv1d(frames, 6, 3, padding="same", activation=tf.nn.relu)
    x = tf.compat.v1.layers.batch_normalization(x, training=phase)
    x = tf.nn.dropout(x, keep_prob=keep)
    outputs, _ = rnn.dynamic_rnn(rnn_cell.GRUCell(5), x, dtype=tf.float32)
    logits = tf.compat.v1.layers.dense(tf.reduce_max(outputs, 1), 3, name="logits")
    found = {"logits": logits, "best": tf.argmax(logits, 1, name="best")}
    return {"frames": frames}, found, {keep: 1.0, phase: False}


def tagger():
    """Parted embeddings, unrolled steps with lengths, a layer norm, logits per step."""
    words = placeholder(tf.int32, [None, TIME], "words")
    lengths = placeholder(tf.int32, [None], "lengths")
    parts = tf.compat.v1.fixed_size_partitioner(3)
    table = tf.compat.v1.get_variable("table", [8, 4], partitioner=parts)
    x = tf.nn.embedding_lookup(table, words)
    outputs, _ = rnn.static_rnn(
        rnn_cell.BasicLSTMCell(5, forget_bias=0.5),
        tf.unstack(x, axis=1),
        sequence_length=lengths,
        dtype=tf.float32,
    )
    whole = tf.contrib.layers.layer_norm(tf.stack(outputs, 1), begin_norm_axis=-1)
    logits = tf.compat.v1.layers.dense(whole, 3, name="logits")
    return {"words": words, "lengths": lengths}, {"logits": logits}, {}


def streaming():
    """Time-major words by word, lengths, and states of all layers in one fed tensor, 1 x batch."""
    x = placeholder(tf.float32, [None, None, 4], "x")
    lengths = placeholder(tf.int32, [None], "lengths")
    states = placeholder(tf.float32, [1, None, 8], "states")
    cells = rnn_cell.MultiRNNCell([rnn_cell.GRUCell(5), rnn_cell.GRUCell(3)])
    first = states[0]
    outputs, _ = rnn.dynamic_rnn(cells, x, lengths, (first[:, :5], first[:, 5:]), time_major=True)
    probs = tf.nn.softmax(tf.compat.v1.layers.dense(outputs, 2), name="probs")
    return {"x": x, "lengths": lengths, "states": states}, {"probs": probs}, {}


def searcher():
    """Encoder with lengths, beam search of three beams, ids that are traced back."""
    source = placeholder(tf.int32, [None, None], "source")
    lengths = placeholder(tf.int32, [None], "lengths")
    table = tf.compat.v1.get_variable("table", [7, 4])
    _, state = rnn.dynamic_rnn(
        rnn_cell.GRUCell(5), tf.nn.embedding_lookup(table, source), lengths, dtype=tf.float32
    )
    begin = tf.fill([tf.shape(source)[0]], 1)
    first = seq2seq.tile_batch(state, 3)
    head = tf.compat.v1.layers.Dense(7, name="head")
    decoder = seq2seq.BeamSearchDecoder(rnn_cell.GRUCell(5), table, begin, 2, first, 3, head)
    made, _, found = seq2seq.dynamic_decode(decoder, maximum_iterations=6)
    outputs = {"words": made.predicted_ids, "scores": made.beam_search_decoder_output.scores}
    outputs["lengths_found"] = found
    named = {name: tf.identity(one, name) for name, one in outputs.items()}
    return {"source": source, "lengths": lengths}, named, {}


def labeller():
    """A CRF over frames: the score of given tags (under a cond on one step), the best tags."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    lengths = placeholder(tf.int32, [None], "lengths")
    tags = placeholder(tf.int32, [None, None], "tags")
    logits = tf.compat.v1.layers.dense(frames, 7)
    chances = tf.compat.v1.get_variable("chances", [7, 7])
    likely, _ = tf.contrib.crf.crf_log_likelihood(logits, tags, lengths, chances)
    best, _ = tf.contrib.crf.crf_decode(logits, chances, lengths)
    inputs = {"frames": frames, "lengths": lengths, "tags": tags}
    return inputs, {"likely": tf.identity(likely, "likely"), "best": best}, {}


def scanner():
    """`tf.scan` that begins with the first element, and a fused layer back to front."""
    frames = placeholder(tf.float32, [None, None, 4], "frames")
    lengths = placeholder(tf.int32, [None], "lengths")
    mix = tf.compat.v1.get_variable("mix", [4, 4])
    steps = tf.transpose(frames, [1, 0, 2])
    kept = tf.scan(lambda a, x: tf.tanh(tf.matmul(a, mix) + x), steps)
    layer = tf.contrib.rnn.TimeReversedFusedRNN(tf.contrib.rnn.LSTMBlockFusedCell(5))
    outputs, _ = layer(kept, dtype=tf.float32, sequence_length=lengths)
    named = {"kept": tf.identity(kept, "kept"), "outputs": tf.identity(outputs, "outputs")}
    return {"frames": frames, "lengths": lengths}, named, {}


CASES = {
    "searcher": searcher,
    "labeller": labeller,
    "scanner": scanner,
    "translator": translator,
    "classifier": classifier,
    "tagger": tagger,
    "streaming": streaming,
}


def feed_of(name, tensor, draw):
    if tensor.op.name == "states":
        return draw.normal(size=(1, TIME, 8)).astype(np.float32)
    if name == "lengths" and "states" in {op.name for op in tensor.graph.get_operations()}:
        return np.array([BATCH, 2, 1, 3, 2], np.int32)
    if tensor.dtype == tf.float32:
        return draw.normal(size=(BATCH, TIME, 4)).astype(np.float32)
    if name == "lengths":
        return np.array([TIME, 2, 3], np.int32)
    return draw.randint(0, 7, size=(BATCH, TIME)).astype(np.int32)


def make(case, build, seed):
    folder = os.path.join(FOLDER, case)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    draw = np.random.RandomState(seed)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        inputs, outputs, settled = build()
        for variable in tf.compat.v1.global_variables():
            shape = variable.shape.as_list()
            session.run(variable.initializer)
            numbers = draw.normal(size=shape) * np.linspace(0.5, 1.2, shape[-1])
            numbers = np.abs(numbers) + 0.2 if "variance" in variable.name else numbers
            variable.load(numbers.astype(np.float32), session)
        feeds = {t: feed_of(n, t, draw) for n, t in inputs.items()}
        got = session.run(outputs, {**feeds, **settled})
        names = sorted({t.op.name for t in outputs.values()})
        frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), names
        )
        graph_io.write_graph(frozen, folder, "frozen.pb", as_text=False)
    arrays = {"inputs|" + n: feeds[t] for n, t in inputs.items()}
    arrays.update({"outputs|" + n: v for n, v in got.items()})
    np.savez_compressed(os.path.join(folder, "expected.npz"), **arrays)
    card = {
        "code": " ".join(build.__doc__.split()),
        "tensorflow": tf.__version__,
        "inputs": {n: t.name for n, t in inputs.items()},
        "outputs": {n: t.name for n, t in outputs.items()},
        "settled": {t.op.name: value for t, value in settled.items()},
    }
    with open(os.path.join(folder, "card.json"), "w") as out:
        json.dump(card, out, indent=1, sort_keys=True)
        out.write("\n")


if __name__ == "__main__":
    order = ["classifier", "tagger", "translator", "streaming"]
    for number, name in enumerate([*order, "searcher", "labeller", "scanner"]):
        if name in (sys.argv[1:] or CASES):
            make(name, CASES[name], number + 11)
