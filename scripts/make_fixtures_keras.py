"""Small files of real Keras, with what it computed: python make_fixtures_keras.py FOLDER.

Run once with TensorFlow 1.15 and once with TensorFlow 2.21 and tf_keras; each writes its own
models. Every file `NAME.h5` or `NAME.keras` has its inputs and outputs in `NAME.npz`.
"""

import os
import sys

import numpy as np

STEPS, FEATURES, UNITS = 6, 3, 4


def models(keras, old):
    """Name -> (model, what of it is recorded)."""
    layers = keras.layers
    x = keras.Input((None, FEATURES), name="x")
    hidden = layers.LSTM(UNITS, return_sequences=True, name="low")(x)
    hidden = layers.Dropout(0.5, name="off")(hidden)
    hidden = layers.LSTM(UNITS, return_sequences=True, name="high")(hidden)
    yield "stack", keras.Model(x, layers.Dense(2, name="head")(hidden)), hidden
    for merge in ("concat", "sum", "ave"):
        inner = layers.GRU(UNITS, return_sequences=True, name="gru")
        out = layers.Bidirectional(inner, merge_mode=merge, name="both")(x)
        yield "both-" + merge, keras.Model(x, out), out
    out = layers.SimpleRNN(UNITS, return_sequences=True, name="plain")(x)
    yield "plain", keras.Model(x, out), out
    inner = keras.Sequential(
        [
            layers.Dense(5, name="before"),
            layers.LSTM(UNITS, return_sequences=True, name="deep"),
        ],
        name="inner",
    )
    out = inner(x)
    yield "nested", keras.Model(x, out), out
    out = layers.LSTM(UNITS, return_sequences=True, go_backwards=True, name="back")(x)
    yield "backwards", keras.Model(x, out), out
    out = layers.Dense(2, name="dense")(layers.Conv1D(2, 1, name="conv")(x))
    yield "none", keras.Model(x, out), out
    if old:
        return
    cells = [layers.LSTMCell(UNITS), layers.LSTMCell(UNITS)]
    out = layers.RNN(cells, return_sequences=True, name="cells")(x)
    yield "cells", keras.Model(x, out), out


def write(folder, tag, keras, suffixes, old):
    """Write every model of one Keras."""
    for name, model, recorded in models(keras, old):
        rng = np.random.RandomState(7)
        # biases of zero would hide how they are stored
        model.set_weights([rng.uniform(-0.8, 0.8, w.shape) for w in model.get_weights()])
        x = rng.randn(2, STEPS, FEATURES).astype(np.float32)
        outputs = keras.Model(model.inputs, recorded).predict(x)
        stem = os.path.join(folder, "{}-{}".format(tag, name))
        np.savez(stem + ".npz", inputs=x, outputs=outputs)
        for suffix in suffixes:
            model.save(stem + suffix)
        if name == "stack":
            model.save_weights(stem + ".weights.h5")


def write_cudnn(folder, keras):
    """Layers of cuDNN, which need a GPU: what Keras' own conversion of their weights computes."""
    import h5py
    from tensorflow.python.keras.saving import hdf5_format

    for kind in ("LSTM", "GRU"):
        fast = getattr(keras.layers, "CuDNN" + kind)(UNITS, name="fast")
        fast.build((None, None, FEATURES))
        rng = np.random.RandomState(7)
        fast.set_weights([rng.uniform(-0.8, 0.8, w.shape) for w in fast.get_weights()])
        stem = os.path.join(folder, "tf115-cudnn-" + kind.lower())
        with h5py.File(stem + ".weights.h5", "w") as file:
            hdf5_format.save_weights_to_hdf5_group(file, [fast])
        options = {"recurrent_activation": "sigmoid", "return_sequences": True, "name": "fast"}
        if kind == "GRU":
            options["reset_after"] = True
        inputs = keras.Input((None, FEATURES), name="x")
        twin = keras.Model(inputs, getattr(keras.layers, kind)(UNITS, **options)(inputs))
        twin.load_weights(stem + ".weights.h5", by_name=True)
        x = rng.randn(2, STEPS, FEATURES).astype(np.float32)
        np.savez(stem + ".npz", inputs=x, outputs=twin.predict(x))


def main():
    """Write the files of the Keras that is here."""
    folder = sys.argv[1]
    import tensorflow as tf

    if tf.__version__.startswith("1."):
        write(folder, "tf115", tf.keras, [".h5"], old=True)
        write_cudnn(folder, tf.keras)
        return
    import tf_keras

    write(folder, "tfkeras", tf_keras, [".h5", ".keras"], old=False)
    write(folder, "keras3", tf.keras, [".keras"], old=False)


if __name__ == "__main__":
    main()
