"""Whole Keras models: a config and its weights become one graph of TensorFlow's operations.

    calls       the config's calls -> which layer feeds which, by any Keras' spelling
    slots       layer class -> its weights, in the order in which they are stored
    stored      the file's arrays -> the weights of each layer
    drawing     a graph that is drawn node by node
    site        what a layer's definition is told of one call
    layers_*    layer class -> the operations that it is
    activations name -> operations
    steps, loops, masks, recurrent   recurrent layers: loops, and the stacks that stand there
    models      the walk over a model

The semantics are Keras' documented ones, compared with what tf.keras 1.15, tf_keras 2.21 and
Keras 3 computed; where versions differ, the version in the file decides.
"""

from lstmbridge.adapters.keras.whole.models import drawn_model

__all__ = ["drawn_model"]
