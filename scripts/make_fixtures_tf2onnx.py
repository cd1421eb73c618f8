# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = ["tensorflow-cpu==2.21.0", "tf-keras==2.21.0", "tf2onnx==1.17.0", "onnx", "h5py"]
# ///
"""Make fixtures/foreign: ONNX files that tf2onnx wrote of tiny Keras models, and their weights.

    python scripts/make_fixtures_tf2onnx.py

Each `NAME.onnx` has beside it `NAME.npz`: the Keras weights in the order of `get_weights()`
(``w0``, ``w1``, ...), a sequence (``inputs``) and what TensorFlow computed of it (``outputs``).
"""

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import tf2onnx
import tf_keras

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "foreign"
MODELS = {
    "lstm": ("LSTM", False),
    "bidirectional": ("LSTM", True),
    "gru": ("GRU", False),
    "loop": ("SimpleRNN", False),
}


def build(kind, both):
    given = tf_keras.Input((None, 3), name="x")
    value = given
    for k in range(2):
        layer = getattr(tf_keras.layers, kind)(
            4,
            return_sequences=True,
            bias_initializer=tf_keras.initializers.RandomNormal(stddev=0.3, seed=k),
            name=f"r{k}",
        )
        value = (tf_keras.layers.Bidirectional(layer) if both else layer)(value)
    return tf_keras.Model(given, value)


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, (kind, both) in MODELS.items():
        tf_keras.utils.set_random_seed(7)
        model = build(kind, both)
        spec = [tf.TensorSpec((None, None, 3), tf.float32, name="x")]
        tf2onnx.convert.from_keras(
            model, input_signature=spec, opset=17, output_path=str(FOLDER / f"{name}.onnx")
        )
        x = np.random.default_rng(3).uniform(-1.5, 1.5, (3, 7, 3)).astype(np.float32)
        weights = {f"w{k}": w for k, w in enumerate(model.get_weights())}
        np.savez(FOLDER / f"{name}.npz", inputs=x, outputs=model(x).numpy(), **weights)


main()
