# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = [
#     "tensorflow==1.15.5",
#     "protobuf<3.21",
#     "numpy<1.19",
#     "h5py<3",
# ]
# ///
"""Write the small frozen graphs and SavedModels of fixtures/graphs/ with TensorFlow 1.15.

The environment is the one of `make_fixtures_tf1.py`. Run::

    tf115/bin/python scripts/make_fixtures_graphs_tf1.py

Each case is a folder: what TensorFlow wrote, ``expected.npz`` with what was fed and what that
TensorFlow computed by the names of the card (``inputs|<name>``, ``outputs|<name>``), and
``card.json`` (file, input and output tensors; the stack's tensors by an artifact's names).
"""

import json
import os
import shutil
import sys
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import graph_io
from tensorflow.python.ops import rnn, rnn_cell

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "fixtures", "graphs")
BATCH, TIME, SHORT = 3, 5, 2


def placeholder(dtype, shape, name):
    return tf.compat.v1.placeholder(dtype, shape, name=name)


def states_of(state, prefix="layer"):
    found = {}
    for k, one in enumerate(state):
        found["{}{}_c".format(prefix, k)] = one.c
        found["{}{}_h".format(prefix, k)] = one.h
    return found


def stack():
    """Two layers, a forget bias that names do not show, no lengths."""
    x = placeholder(tf.float32, [None, None, 3], "frames")
    cells = [rnn_cell.BasicLSTMCell(n, forget_bias=0.5) for n in (4, 5)]
    outputs, state = rnn.dynamic_rnn(rnn_cell.MultiRNNCell(cells), x, dtype=tf.float32)
    return {"frames": x}, {"outputs": outputs}, dict(states_of(state), outputs=outputs)


def tagger():
    """Word numbers and lengths -> embedding -> LSTMCell with peepholes -> logits per step."""
    ids = placeholder(tf.int32, [None, None], "words")
    lengths = placeholder(tf.int32, [None], "lengths")
    table = tf.compat.v1.get_variable("embedding/table", [7, 3])
    x = tf.nn.embedding_lookup(table, ids)
    cell = rnn_cell.LSTMCell(4, use_peepholes=True)
    outputs, state = rnn.dynamic_rnn(
        rnn_cell.MultiRNNCell([cell]), x, sequence_length=lengths, dtype=tf.float32
    )
    logits = tf.compat.v1.layers.dense(outputs, 2, name="logits")
    found = {"logits": logits, "probabilities": tf.nn.softmax(logits)}
    inputs = {"words": ids, "lengths": lengths}
    return inputs, found, dict(states_of(state), outputs=outputs, inputs=x)


def classifier():
    """Both directions, their last states side by side -> softmax."""
    x = placeholder(tf.float32, [None, None, 3], "frames")
    cells = [rnn_cell.BasicLSTMCell(4) for _ in range(2)]
    outputs, state = rnn.bidirectional_dynamic_rnn(cells[0], cells[1], x, dtype=tf.float32)
    last = tf.concat([state[0].h, state[1].h], 1)
    logits = tf.compat.v1.layers.dense(last, 3, name="logits")
    found = {"logits": logits, "probabilities": tf.nn.softmax(logits)}
    own = {"outputs": tf.concat(outputs, 2)}
    for side, one in (("fw", state[0]), ("bw", state[1])):
        own["layer_{}0_c".format(side)], own["layer_{}0_h".format(side)] = one.c, one.h
    return {"frames": x}, found, own


def translator():
    """Encoder with lengths, its states handed to a decoder, logits per step."""
    source = placeholder(tf.int32, [None, None], "source")
    lengths = placeholder(tf.int32, [None], "source_length")
    target = placeholder(tf.int32, [None, None], "target")
    with tf.compat.v1.variable_scope("encoder"):
        table = tf.compat.v1.get_variable("table", [6, 3])
        cell = rnn_cell.MultiRNNCell([rnn_cell.BasicLSTMCell(4)])
        _, state = rnn.dynamic_rnn(
            cell, tf.nn.embedding_lookup(table, source), lengths, dtype=tf.float32
        )
    with tf.compat.v1.variable_scope("decoder"):
        table = tf.compat.v1.get_variable("table", [5, 3])
        cell = rnn_cell.MultiRNNCell([rnn_cell.BasicLSTMCell(4)])
        outputs, _ = rnn.dynamic_rnn(
            cell, tf.nn.embedding_lookup(table, target), initial_state=state
        )
        logits = tf.compat.v1.layers.dense(outputs, 5, name="logits")
    inputs = {"source": source, "source_length": lengths, "target": target}
    return inputs, {"logits": logits}, {}


def unrolled():
    """Two steps, unrolled: a fixed length."""
    x = placeholder(tf.float32, [None, SHORT, 3], "frames")
    cell = rnn_cell.MultiRNNCell([rnn_cell.BasicLSTMCell(4, forget_bias=0.25)])
    outputs, state = rnn.static_rnn(cell, tf.unstack(x, axis=1), dtype=tf.float32)
    together = tf.stack(outputs, 1, name="together")
    return {"frames": x}, {"together": together}, dict(states_of(state), outputs=together)


def parted():
    """Embeddings parted by rows, a cell's kernel too, and a head parted by columns."""
    ids = placeholder(tf.int32, [None, None], "words")
    by_rows, by_columns = tf.fixed_size_partitioner(3), tf.fixed_size_partitioner(2, axis=1)
    table = tf.compat.v1.get_variable("table", [11, 4], partitioner=by_rows)
    x = tf.nn.embedding_lookup(table, ids, partition_strategy="div")
    with tf.compat.v1.variable_scope("parts", partitioner=tf.fixed_size_partitioner(2)):
        outputs, _ = rnn.dynamic_rnn(rnn_cell.BasicLSTMCell(3), x, dtype=tf.float32)
    head = tf.compat.v1.get_variable("head", [3, 6], partitioner=by_columns)
    logits = tf.tensordot(outputs, tf.convert_to_tensor(head), 1, name="logits")
    return {"words": ids}, {"logits": logits}, {}


CASES = {
    "frozen-stack": (stack, "frozen.pb"),
    "frozen-classifier": (classifier, "frozen.pb"),
    "frozen-translator": (translator, "frozen.pb"),
    "frozen-unrolled-text": (unrolled, "frozen.pbtxt"),
    "saved-tagger": (tagger, "saved_model"),
    "saved-parted": (parted, "saved_model"),
}


def feed_of(name, tensor, draw):
    if tensor.dtype == tf.float32:
        return draw.normal(size=(BATCH, tensor.shape[1].value or TIME, 3)).astype(np.float32)
    if "length" in name:
        return np.array([TIME, 2, 3], np.int32)
    return draw.randint(0, 5, size=(BATCH, TIME)).astype(np.int32)


def make(case):
    build, file = CASES[case]
    folder = os.path.join(FOLDER, case)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    draw = np.random.RandomState(zlib.crc32(case.encode()) & 0xFFFF)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        inputs, outputs, stack_outputs = build()
        for variable in tf.compat.v1.global_variables():
            shape = variable.shape.as_list()
            scale = np.linspace(0.5, 1.2, shape[-1])
            session.run(variable.initializer)
            variable.load((draw.normal(size=shape) * scale).astype(np.float32), session)
        feeds = {t: feed_of(n, t, draw) for n, t in inputs.items()}
        stack_outputs = {"stack:" + n: t for n, t in stack_outputs.items()}
        got = session.run(dict(outputs, **stack_outputs), feeds)
        write(session, graph, folder, file, inputs, dict(outputs, **stack_outputs), outputs)
    arrays = {"inputs|" + n: feeds[t] for n, t in inputs.items()}
    arrays.update({"outputs|" + n: v for n, v in got.items()})
    np.savez_compressed(os.path.join(folder, "expected.npz"), **arrays)
    card = {
        "file": file,
        "code": " ".join(build.__doc__.split()),
        "tensorflow": tf.__version__,
        "inputs": {n: t.name for n, t in inputs.items()},
        "outputs": {n: t.name for n, t in outputs.items()},
        "stack": {n[6:]: t.name for n, t in stack_outputs.items()},
    }
    with open(os.path.join(folder, "card.json"), "w") as out:
        json.dump(card, out, indent=1, sort_keys=True)
        out.write("\n")


def write(session, graph, folder, file, inputs, wanted, outputs):
    if file == "saved_model":
        saved_model = tf.compat.v1.saved_model
        builder = saved_model.Builder(os.path.join(folder, file))
        signature = saved_model.predict_signature_def(inputs, outputs)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, strip_default_attrs=True
        )
        builder.save()
        return
    names = sorted({t.op.name for t in wanted.values()})
    frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
        session, graph.as_graph_def(), names
    )
    graph_io.write_graph(frozen, folder, file, as_text=file.endswith("txt"))


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name)
