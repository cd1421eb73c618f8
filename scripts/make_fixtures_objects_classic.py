"""Object-based checkpoints of TensorFlow 1's layers: python make_fixtures_objects_classic.py FOLDER.

Run with TensorFlow 1.15 (all but the last) and with TensorFlow 2.21 and tf_keras (the last: the
layers of `tf.compat.v1`). Writes `save_weights`, each with an input and what the layers make of it.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf

DRAW = np.random.RandomState(7)
CLASSIC = tf.compat.v1.keras.layers


def nets():
    """Name -> the layer."""
    if tf.__version__.startswith("2."):
        yield "compat1-gru", CLASSIC.GRU(4, return_sequences=True)
        return
    yield "tf115-my_cell", CLASSIC.LSTM(4, return_sequences=True, name="my_cell")
    yield "tf115-gru", CLASSIC.GRU(4, return_sequences=True)
    inner = CLASSIC.LSTM(4, return_sequences=True)
    yield "tf115-sum", CLASSIC.Bidirectional(inner, merge_mode="sum")


def main(folder):
    tf.compat.v1.enable_eager_execution()
    for name, layer in nets():
        model = tf.keras.Sequential([layer])
        x = DRAW.randn(2, 5, 3).astype("f")
        model(tf.constant(x))
        model.set_weights([DRAW.randn(*w.shape) * 0.9 for w in model.get_weights()])
        path = os.path.join(folder, name)
        np.savez_compressed(path + ".npz", x=x, y=layer(tf.constant(x)).numpy())
        model.save_weights(path, save_format="tf")
    os.remove(os.path.join(folder, "checkpoint"))


if __name__ == "__main__":
    main(sys.argv[1])
