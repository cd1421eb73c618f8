"""Whole models of real Keras, with what it computed: python make_fixtures_keras_whole.py FOLDER.

Run once with TensorFlow 1.15 and once with TensorFlow 2.21 and tf_keras. Every model is written
as `NAME.h5` or `NAME.keras`, with its inputs (by their names) and outputs (`output_0`, ...) in
`NAME.npz`. Rows are padded with 0 at their ends, at their beginnings and in the middle.
"""

import inspect
import os
import sys

import numpy as np

STEPS, UNITS, WORDS = 6, 4, 9


def takes(function, name):
    """Whether a layer of this Keras has such an argument."""
    return name in inspect.signature(function.__init__).parameters


def tagger(keras, layers):
    """Embedding with a mask, two bidirectional layers, time-distributed softmax."""
    model = keras.Sequential(name="tagger")
    model.add(
        layers.Embedding(WORDS, 5, mask_zero=True, input_length=STEPS, name="words")
        if takes(layers.Embedding, "input_length")
        else layers.Embedding(WORDS, 5, mask_zero=True, name="words")
    )
    model.add(layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True), name="one"))
    model.add(layers.Dropout(0.5, name="off"))
    model.add(
        layers.Bidirectional(
            layers.GRU(UNITS, return_sequences=True), merge_mode="mul", name="two"
        )
    )
    model.add(layers.TimeDistributed(layers.Dense(3, activation="softmax"), name="tags"))
    model.build((None, STEPS))
    return model


def classifier(keras, layers):
    """Masked steps in the middle; the last output of a layer that goes backwards."""
    x = keras.Input((None, 3), name="frames")
    y = layers.Masking(0.0, name="masking")(x)
    y = layers.LSTM(UNITS, return_sequences=True, go_backwards=True, name="back")(y)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.SimpleRNN(UNITS, name="last")(y)
    y = layers.Dense(4, name="hidden")(y)
    y = layers.LeakyReLU(name="leaky")(y)
    return keras.Model(x, layers.Dense(2, activation="sigmoid", name="classes")(y))


def siamese(keras, layers):
    """One encoder on two inputs, merged in several ways; two outputs."""
    words = keras.Input((None,), name="words")
    inner = layers.Embedding(WORDS, 3, name="table")(words)
    inner = layers.GRU(UNITS, name="gru")(inner)
    encoder = keras.Model(words, inner, name="encoder")
    left, right = keras.Input((None,), name="left"), keras.Input((None,), name="right")
    a, b = encoder(left), encoder(right)
    both = layers.Concatenate(name="side")([a, b])
    apart = layers.Multiply(name="times")([a, b])
    off = layers.Subtract(name="off")([a, b])
    mixed = layers.Add(name="plus")([apart, off])
    dot = layers.Dot(1, normalize=True, name="dot")([a, b])
    return keras.Model([left, right], [layers.Dense(2, name="head")(both), mixed, dot])


def convolved(keras, layers):
    """Convolution, pooling, normalisation around a recurrent layer."""
    x = keras.Input((12, 3), name="signal")
    y = layers.Conv1D(5, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.MaxPooling1D(2, name="pool")(y)
    y = layers.Conv1D(4, 2, padding="causal", dilation_rate=2, name="causal")(y)
    y = layers.ELU(name="elu")(y)
    y = layers.Bidirectional(
        layers.SimpleRNN(UNITS, return_sequences=True), merge_mode="ave", name="both"
    )(y)
    y = layers.Conv1D(4, 3, strides=2, padding="same", name="stride")(y)
    one, two = layers.GlobalMaxPooling1D(name="most")(y), layers.Flatten(name="flat")(y)
    three = layers.GlobalAveragePooling1D(name="mean")(y)
    return keras.Model(x, layers.Concatenate(name="all")([one, two, three]))


def image(keras, layers):
    """Columns of an image as steps (OCR)."""
    x = keras.Input((8, 6, 1), name="image")
    y = layers.Conv2D(3, (3, 3), padding="same", name="conv")(x)
    y = layers.BatchNormalization(name="norm", scale=False)(y)
    y = layers.Activation("relu", name="relu")(y)
    y = layers.MaxPooling2D((2, 2), name="pool")(y)
    y = layers.Permute((2, 1, 3), name="turned")(y)
    y = layers.Reshape((3, 12), name="columns")(y)
    y = layers.LSTM(UNITS, return_sequences=True, name="lstm")(y)
    return keras.Model(x, layers.Dense(3, activation="softmax", name="letters")(y))


def translator(keras, layers):
    """Encoder and decoder with states handed over, and attention by hand."""
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    one = layers.Embedding(WORDS, 3, name="one")(source)
    memory, h, c = layers.LSTM(UNITS, return_sequences=True, return_state=True, name="encoder")(
        one
    )
    two = layers.Embedding(WORDS, 3, name="two")(target)
    decoder = layers.LSTM(UNITS, return_sequences=True, return_state=True, name="decoder")
    made, h2, _ = decoder(two, initial_state=[h, c])
    scores = layers.Dot((2, 2), name="scores")([made, memory])
    weights = layers.Activation("softmax", name="weights")(scores)
    context = layers.Dot((2, 1), name="context")([weights, memory])
    joined = layers.Concatenate(name="joined")([made, context])
    out = layers.TimeDistributed(layers.Dense(5, activation="softmax"), name="out")(joined)
    return keras.Model([source, target], [out, h2])


def sentences(keras, layers):
    """A document of sentences of words: a model at each step."""
    words = keras.Input((STEPS,), name="sentence")
    y = layers.Embedding(WORDS, 3, name="words")(words)
    y = layers.GRU(UNITS, name="inner")(y)
    inner = keras.Model(words, y, name="reader")
    x = keras.Input((None, STEPS), name="document")
    y = layers.TimeDistributed(inner, name="each")(x)
    y = layers.LSTM(UNITS, name="outer")(y)
    return keras.Model(x, layers.Dense(2, name="head")(y))


def repeated(keras, layers):
    """Autoencoder, and activations of every kind."""
    x = keras.Input((STEPS, 3), name="x")
    y = layers.LSTM(UNITS, activation="relu", name="encoder")(x)
    y = layers.RepeatVector(STEPS, name="repeat")(y)
    y = layers.LSTM(
        UNITS, recurrent_activation="hard_sigmoid", return_sequences=True, name="decoder"
    )(y)
    y = layers.PReLU(shared_axes=[1], name="prelu")(y)
    parts = [
        layers.Dense(2, activation=name, name="as_" + name)(y)
        for name in (
            "tanh",
            "softplus",
            "softsign",
            "selu",
            "elu",
            "exponential",
            "hard_sigmoid",
            "relu",
            "linear",
        )
    ]
    parts.append(layers.ReLU(max_value=0.5, negative_slope=0.1, name="relu_layer")(y))
    return keras.Model(x, layers.Concatenate(name="all")(parts))


def padded(keras, layers):
    """Layers that pad, cut and repeat steps; maximum and average of two."""
    x = keras.Input((None, 3), name="x")
    y = layers.ZeroPadding1D((2, 1), name="pad")(x)
    y = layers.Cropping1D((1, 0), name="crop")(y)
    y = layers.UpSampling1D(2, name="up")(y)
    y = layers.AveragePooling1D(3, strides=2, padding="same", name="pool")(y)
    a = layers.SimpleRNN(UNITS, return_sequences=True, name="a")(y)
    b = layers.SimpleRNN(UNITS, return_sequences=True, name="b")(y)
    y = layers.Average(name="ave")([layers.Maximum(name="max")([a, b]), a])
    return keras.Model(x, layers.GRU(UNITS, name="c")(y))


def newer(keras, layers):
    """What TensorFlow 2 added: layer norm, attention with masks, stacked cells, zero outputs."""
    words = keras.Input((None,), name="words")
    y = layers.Embedding(WORDS, 4, mask_zero=True, name="table")(words)
    a = layers.LSTM(UNITS, return_sequences=True, name="a")(y)
    b = layers.LayerNormalization(name="norm")(a)
    cells = [layers.GRUCell(UNITS, name="low"), layers.LSTMCell(UNITS, name="high")]
    b = layers.RNN(cells, return_sequences=True, name="stack")(b)
    c = layers.Attention(use_scale=True, name="look")([b, a])
    d = layers.AdditiveAttention(name="add")([c, b])
    e = layers.Dense(3, activation="swish", name="swish")(d)
    f = layers.Dense(3, activation="gelu", name="gelu")(d)
    g = (
        layers.GRU(
            UNITS,
            return_sequences=True,
            activation="swish",
            zero_output_for_mask=True,
            name="zeros",
        )(d)
        if zeros(keras)
        else layers.GRU(UNITS, name="zeros", return_sequences=True)(d)
    )
    h = layers.Bidirectional(layers.LSTM(UNITS), name="ends")(d)
    m = layers.GlobalAveragePooling1D(name="mean")(a)
    return keras.Model(words, [e, f, g, layers.Concatenate(name="both")([h, m])])


def zeros(keras):
    """Whether recurrent layers have zero_output_for_mask."""
    try:
        keras.layers.GRU(2, zero_output_for_mask=True)
    except (TypeError, ValueError):
        return False
    return True


OLD = (tagger, classifier, siamese, convolved, image, translator, sentences, repeated, padded)


def fed(model, rng):
    """Inputs for a model, with padding wherever there is room."""
    made = {}
    for tensor in model.inputs:
        name = tensor.name.split(":")[0]
        shape = [
            3 if n is None and k == 0 else STEPS if n is None else int(n)
            for k, n in enumerate(
                tensor.shape.as_list() if hasattr(tensor.shape, "as_list") else tensor.shape
            )
        ]
        ids = len(shape) == 2 or name == "document"
        values = rng.randint(1, WORDS, shape) if ids else rng.randn(*shape)
        values = values.astype(np.float32)
        if len(shape) > 1 and name != "image":
            values[0, -2:] = 0
            values[1, :1] = 0
            values[1, 3] = 0
        made[name] = values
    return made


def write(folder, tag, keras, suffixes, builders):
    """Write every model of one Keras."""
    for build in builders:
        keras.backend.clear_session()
        model = build(keras, keras.layers)
        rng = np.random.RandomState(7)
        weights = [rng.uniform(-0.7, 0.7, w.shape) for w in model.get_weights()]
        names = [w.path if hasattr(w, "path") else w.name for w in model.weights]
        weights = [np.abs(w) + 0.1 if "variance" in names[k] else w for k, w in enumerate(weights)]
        model.set_weights(weights)
        feeds = fed(model, rng)
        outputs = model.predict(list(feeds.values()), verbose=0)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        stem = os.path.join(folder, "{}-{}".format(tag, build.__name__))
        found = {"output_{}".format(k): np.asarray(v) for k, v in enumerate(outputs)}
        np.savez(stem + ".npz", **dict(feeds, **found))
        for suffix in suffixes:
            model.save(stem + suffix)


def main():
    """Write the files of the Keras that is here."""
    folder = sys.argv[1]
    import tensorflow as tf

    if tf.__version__.startswith("1."):
        write(folder, "tf115", tf.keras, [".h5"], OLD)
        return
    import tf_keras

    write(folder, "tfkeras", tf_keras, [".h5", ".keras"], (*OLD, newer))
    write(folder, "keras3", tf.keras, [".h5", ".keras"], (*OLD, newer))


if __name__ == "__main__":
    main()
