"""Keras layers: a file's groups of weights, and its config where it has one -> Recognition.

    config      a model's config -> its layers, in order, with what feeds them
    weights     groups of stored arrays -> the recurrent kernels in them
    versions    what a Keras of some version takes a constant to be
    cells       kernels and constants -> cells of the model
    adapter     all of it -> stacks

Semantics: LSTM columns i, f, c, o; GRU z, r, h; the forget bias is part of the stored bias. Seen
by running Keras 2.2, tf.keras 1.15, tf_keras 2.16 and Keras 3.15.
"""

from lstmbridge.adapters.keras.adapter import KerasAdapter

__all__ = ["KerasAdapter"]
