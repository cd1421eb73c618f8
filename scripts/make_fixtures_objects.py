"""Object-based checkpoints of real Keras: python make_fixtures_objects.py FOLDER.

Run with TensorFlow 2.21 and tf_keras; writes Keras 2's `save_weights` and both Keras'
`tf.train.Checkpoint`, each with an input and what the recurrent layers make of it.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2

DRAW = np.random.RandomState(5)


def filled(model):
    for weight in model.weights:
        weight.assign(DRAW.randn(*weight.shape) * 0.6)
    return model


def nets(keras):
    """Name -> (model, its recurrent part)."""
    layers = keras.layers
    x = keras.Input((None, 3))
    low = layers.LSTM(4, return_sequences=True, name="low")(x)
    high = layers.GRU(3, return_sequences=True, name="high")(low)
    head = layers.Dense(2, name="head")(high)
    yield "stack", filled(keras.Model(x, head)), keras.Model(x, high)
    x = keras.Input((None, 3))
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")(x)
    cells = layers.StackedRNNCells([layers.LSTMCell(3), layers.LSTMCell(5)])
    out = layers.RNN(cells, return_sequences=True, name="deep")(both)
    yield "cells", filled(keras.Model(x, out)), keras.Model(x, out)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    x = DRAW.randn(2, 5, 3).astype("f")
    for title, keras in (("keras2", keras2), ("keras3", keras3)):
        for name, model, part in nets(keras):
            if title == "keras3" and name == "cells":
                continue  # its checkpoint leaves out the cells
            path = os.path.join(folder, f"{title}-{name}")
            np.savez_compressed(path + ".npz", x=x, y=np.asarray(part(x)))
            tf.train.Checkpoint(model=model, step=tf.Variable(3)).write(path)
            if title == "keras2":
                model.save_weights(path + "-weights", save_format="tf")
    os.remove(os.path.join(folder, "checkpoint"))


if __name__ == "__main__":
    main(sys.argv[1])
