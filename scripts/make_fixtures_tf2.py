"""Loops of real TensorFlow 2, with what it computed: python make_fixtures_tf2.py FOLDER.

Needs TensorFlow 2.21 (Keras 3). Each case is a frozen graph `NAME.pb.gz`, While loops and all,
and its input `x` and outputs in `NAME.npz`; `keras-saved` is a whole SavedModel.
"""

import gzip
import os
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

BATCH, STEPS, FEATURES, UNITS = 2, 5, 3, 4
DRAW = np.random.RandomState(7)
LAYERS = tf.keras.layers


def numbers(*shape):
    return DRAW.randn(*shape).astype("f") * 0.6


def variable(name, *shape):
    return tf.Variable(numbers(*shape), name=name)


def by_sigmoid(z):
    return tf.sigmoid(z)


def by_tanh(z):
    return 0.5 * tf.tanh(0.5 * z) + 0.5


def lstm(order="ifgo", seen="xh", gate=by_sigmoid, forget=0.0, clip=None, peephole=False):
    """One step of an LSTM, its gates in some order, its weights multiplied in some way."""
    width = 4 * UNITS
    if seen in {"xh", "hx"}:
        kernel = variable("kernel", FEATURES + UNITS, width)
    else:
        kernel, recurrent = variable("w", FEATURES, width), variable("u", UNITS, width)
    bias = variable("b", width)
    peeps = {k: variable("peep_" + k, UNITS) for k in "ifo"} if peephole else {}

    def step(x, h, c):
        if seen == "xh":
            z = tf.matmul(tf.concat([x, h], 1), kernel) + bias
        elif seen == "hx":
            z = (
                tf.matmul(
                    tf.concat([h, x], 1), tf.concat([kernel[FEATURES:], kernel[:FEATURES]], 0)
                )
                + bias
            )
        else:
            z = tf.nn.bias_add(tf.matmul(x, kernel), bias) + tf.matmul(h, recurrent)
        z = dict(zip(order, tf.split(z, 4, 1), strict=True))
        i = gate(z["i"] + peeps["i"] * c if peeps else z["i"])
        f = gate((z["f"] + peeps["f"] * c if peeps else z["f"]) + forget)
        c = f * c + i * tf.tanh(z["g"])
        if clip:
            c = tf.clip_by_value(c, -clip, clip)
        o = gate(z["o"] + peeps["o"] * c if peeps else z["o"])
        return o * tf.tanh(c), c

    return step


def apart():
    """An LSTM with kernels of their own for every gate."""
    w = {k: variable("w_" + k, FEATURES, UNITS) for k in "ifgo"}
    u = {k: variable("u_" + k, UNITS, UNITS) for k in "ifgo"}
    b = {k: variable("b_" + k, UNITS) for k in "ifgo"}

    def step(x, h, c):
        z = {k: b[k] + (tf.matmul(h, u[k]) + tf.matmul(x, w[k])) for k in "ifgo"}
        i, f, o = by_tanh(z["i"]), by_tanh(z["f"]), by_tanh(z["o"])
        c = c * f + tf.tanh(z["g"]) * i
        return tf.tanh(c) * o, c

    return step


def other_gate():
    """No LSTM that anybody has an operator for: its input gate has another activation."""
    kernel, bias = variable("kernel", FEATURES + UNITS, 4 * UNITS), variable("b", 4 * UNITS)

    def step(x, h, c):
        i, g, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), kernel) + bias, 4, 1)
        c = tf.sigmoid(f) * c + tf.nn.softplus(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    return step


def gru(after, keeps):
    """A GRU: the reset before or after the product; z keeps the old state, or lets in the new."""
    w = {k: variable("w_" + k, FEATURES, UNITS) for k in "zrn"}
    u = {k: variable("u_" + k, UNITS, UNITS) for k in "zrn"}
    b = {k: variable("b_" + k, UNITS) for k in "zrn"}

    def step(x, h):
        z = tf.sigmoid(tf.matmul(x, w["z"]) + tf.matmul(h, u["z"]) + b["z"])
        r = tf.sigmoid(tf.matmul(x, w["r"]) + tf.matmul(h, u["r"]) + b["r"])
        if after:
            n = tf.tanh(tf.matmul(x, w["n"]) + r * (tf.matmul(h, u["n"]) + b["n"]))
        else:
            n = tf.tanh(tf.matmul(x, w["n"]) + tf.matmul(r * h, u["n"]) + b["n"])
        return z * h + (1.0 - z) * n if keeps else (1.0 - z) * h + z * n

    return step


def by_scan(step, two=True):
    """`tf.scan` over time; all of h, and the last c."""

    def run(x):
        zero = tf.zeros([tf.shape(x)[0], UNITS])
        steps = tf.transpose(x, [1, 0, 2])
        if not two:
            return {"h": tf.transpose(tf.scan(lambda h, s: step(s, h), steps, zero), [1, 0, 2])}
        h, c = tf.scan(lambda old, s: step(s, *old), steps, (zero, zero))
        return {"h": tf.transpose(h, [1, 0, 2]), "c": c[-1]}

    return run


def by_range(step, stop=None):
    """A loop that takes step t by a slice, and gives the last state alone."""

    def run(x):
        h = c = tf.zeros([tf.shape(x)[0], UNITS])
        t = 0
        while t < tf.shape(x)[1] and (stop is None or tf.reduce_max(h) < stop):
            h, c = step(x[:, t], h, c)
            t += 1
        return {"h": h, "c": c}

    return run


def by_hand(step, two=True):
    """A loop in Python: the same step, five times in the graph."""

    def run(x):
        h = c = tf.zeros([tf.shape(x)[0], UNITS])
        steps = []
        for t in range(STEPS):
            h, c = step(x[:, t], h, c) if two else (step(x[:, t], h), c)
            steps.append(h)
        return {"h": tf.stack(steps, 1), "last": h}

    return run


def keras_layer(*layers):
    def run(x):
        for layer in layers:
            x = layer(x)
        return {"y": x}

    run(tf.zeros([1, STEPS, FEATURES]))
    for layer in layers:
        for weight in layer.weights:
            weight.assign(numbers(*weight.shape))
    return run


def cases():
    """Name -> the function of x."""
    yield "lstm-xh", by_scan(lstm("fgio", "xh", forget=1.0))
    yield "lstm-hx", by_scan(lstm("oigf", "hx"))
    yield "lstm-apart", by_scan(apart())
    yield "lstm-sliced", by_range(lstm("ifgo", "two"))
    yield "lstm-peephole-clip", by_scan(lstm(clip=0.4, peephole=True))
    yield "lstm-stops-early", by_range(lstm("ifgo", "two"), stop=0.3)
    yield "lstm-other-gate", by_scan(other_gate())
    yield "steps-lstm", by_hand(lstm("ogif", "hx", forget=1.0))
    yield "steps-gru", by_hand(gru(False, False), two=False)
    yield "gru-before", by_scan(gru(False, True), two=False)
    yield "gru-after", by_scan(gru(True, False), two=False)
    yield (
        "keras-lstm-last",
        keras_layer(LAYERS.LSTM(UNITS, return_sequences=True), LAYERS.LSTM(UNITS + 1)),
    )
    yield (
        "keras-gru-both",
        keras_layer(LAYERS.Bidirectional(LAYERS.GRU(UNITS, return_sequences=True))),
    )
    yield (
        "keras-hard",
        keras_layer(LAYERS.LSTM(UNITS, activation="relu", recurrent_activation="hard_sigmoid")),
    )
    yield (
        "keras-cells",
        keras_layer(
            LAYERS.RNN(
                LAYERS.StackedRNNCells([LAYERS.LSTMCell(UNITS), LAYERS.SimpleRNNCell(UNITS + 2)]),
                return_sequences=True,
            )
        ),
    )
    yield (
        "keras-masked",
        keras_layer(LAYERS.Masking(0.0), LAYERS.LSTM(UNITS, return_sequences=True)),
    )


def main(folder):
    os.makedirs(folder, exist_ok=True)
    spec = tf.TensorSpec([None, None, FEATURES], tf.float32, "x")
    for name, run in cases():
        x = DRAW.randn(BATCH, STEPS, FEATURES).astype("f")
        x[0, -2:] = 0.0
        concrete = tf.function(run, input_signature=[spec]).get_concrete_function()
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        names = {
            key: tensor.name
            for key, tensor in zip(
                sorted(concrete.structured_outputs), frozen.outputs, strict=True
            )
        }
        made = {key: value.numpy() for key, value in concrete(tf.constant(x)).items()}
        graph = frozen.graph.as_graph_def()
        for node in [*graph.node, *(n for f in graph.library.function for n in f.node_def)]:
            for key in [key for key in node.attr if key.startswith("_")]:
                del node.attr[key]
        with gzip.GzipFile(os.path.join(folder, name + ".pb.gz"), "wb", mtime=0) as file:
            file.write(graph.SerializeToString())
        np.savez_compressed(
            os.path.join(folder, name + ".npz"),
            x=x,
            **{names[key].split(":")[0] + "|" + key: value for key, value in made.items()},
        )
    saved(os.path.join(folder, "keras-saved"))


def saved(folder):
    """A model as its user exports it: an embedding, a layer in both directions, a head."""
    shutil.rmtree(folder, ignore_errors=True)
    ids = tf.keras.Input((None,), dtype="int32", name="ids")
    x = LAYERS.Embedding(9, FEATURES)(ids)
    x = LAYERS.Bidirectional(LAYERS.LSTM(UNITS, return_sequences=True))(x)
    x = LAYERS.GRU(UNITS, return_sequences=True)(x)
    model = tf.keras.Model(ids, LAYERS.Dense(2)(x))
    for weight in model.weights:
        weight.assign(numbers(*weight.shape))
    model.export(folder, verbose=False)
    fed = DRAW.randint(0, 9, (BATCH, STEPS)).astype("int32")
    np.savez_compressed(folder + ".npz", ids=fed, y=model(fed).numpy())
    shutil.rmtree(os.path.join(folder, "assets"), ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
