"""Ways to run a cell, for the cases of `make_fixtures_tf1_cases.py`.

Everything here is TensorFlow 0.12 to 1.15 as its users wrote it, and nothing else.
"""

import numpy as np
import tensorflow as tf

try:
    import tensorflow.contrib.rnn as contrib
except ImportError:
    contrib = None

BATCH, STEPS = 3, 5
ZERO_TWELVE = tf.__version__.startswith("0.")
rnn_cell = tf.nn.rnn_cell if hasattr(tf.nn, "rnn_cell") else contrib


class Net:
    """A built graph: what to feed, what to fetch, and how sequences lie.

    Attributes:
        inputs: name -> (placeholder, value); phases are those that only steer (keep_prob).
        outputs: name -> tensor; a list holds steps, a tuple holds directions.
        layout: "batch" or "time", of `inputs` and `outputs`.
    """

    def __init__(self, inputs, outputs, layout="batch", phases=()):
        self.inputs, self.outputs, self.layout, self.phases = inputs, outputs, layout, phases

    def feeds(self):
        """What a session is fed."""
        return dict(self.inputs.values())


# --- feeding ----------------------------------------------------------------------------------


def sequence(rng, size, time_major=False, dtype=tf.float32, name="inputs"):
    """A placeholder for sequences and non-trivial values for it."""
    shape = (STEPS, None, size) if time_major else (None, STEPS, size)
    full = [BATCH if axis is None else axis for axis in shape]
    values = rng.uniform(-2, 2, size=full).astype(dtype.as_numpy_dtype)
    return tf.placeholder(dtype, shape, name=name), values


def identifiers(rng, count, steps=STEPS, name="input_ids"):
    """A placeholder for word ids."""
    holder = tf.placeholder(tf.int32, (BATCH, steps), name=name)
    return holder, rng.randint(0, count, size=(BATCH, steps)).astype(np.int32)


def lengths_of(values):
    """A placeholder for sequence lengths."""
    holder = tf.placeholder(tf.int32, (None,), name="sequence_length")
    return holder, np.array(values, np.int32)


def growing(build):
    """The same net, fed one strong input over and over, so that the state grows each step."""

    def built(rng):
        net = build(rng)
        holder, values = net.inputs["inputs"]
        net.inputs["inputs"] = (holder, np.repeat(3 * values[:, :1], STEPS, axis=1))
        return net

    return built


def paired_state(build):
    """The same net where a cell returns its state as a bare pair (c, h)."""

    def built(rng):
        net = build(rng)
        net.outputs["layer0_c"] = net.outputs.pop("layer0_h")
        net.outputs["layer0_h"] = net.outputs.pop("layer1_h")
        return net

    return built


def named_states(state, prefix="layer"):
    """The leaves of a final state by the names of an artifact's outputs."""
    layers = state
    if hasattr(state, "c") or not isinstance(state, (tuple, list)):
        layers = (state,)
    named = {}
    for k, layer in enumerate(layers):
        if hasattr(layer, "c"):
            named["{}{}_c".format(prefix, k)] = layer.c
            named["{}{}_h".format(prefix, k)] = layer.h
        else:
            named["{}{}_h".format(prefix, k)] = layer
    return named


def stacked(cells):
    """MultiRNNCell of a list, with states as tuples in every release."""
    if ZERO_TWELVE:
        return rnn_cell.MultiRNNCell(cells, state_is_tuple=True)
    return rnn_cell.MultiRNNCell(cells)


def basic(units, forget_bias=1.0, **options):
    """BasicLSTMCell, with states as tuples in every release."""
    return rnn_cell.BasicLSTMCell(units, forget_bias=forget_bias, **options)


def lstm(units=3, **options):
    """LSTMCell, with states as tuples in every release."""
    return rnn_cell.LSTMCell(units, **options)


def fed_states(rng, cell, prefix="layer"):
    """Non-zero initial states, every part its own, and the structure that a loop takes."""
    inputs, leaves = {}, []
    sizes = cell.state_size
    layers = sizes if isinstance(sizes, tuple) and not hasattr(sizes, "c") else (sizes,)

    def fed(k, part, size):
        name = "initial_{}{}_{}".format(prefix, k, part)
        holder = tf.placeholder(tf.float32, (None, size), name=name)
        inputs[name] = (holder, rng.uniform(-1, 1, (BATCH, size)).astype(np.float32))
        return holder

    for k, size in enumerate(layers):
        if hasattr(size, "c"):
            leaves.append(rnn_cell.LSTMStateTuple(fed(k, "c", size.c), fed(k, "h", size.h)))
        else:
            leaves.append(fed(k, "h", size))
    return inputs, tuple(leaves) if layers is sizes else leaves[0]


# --- ways to run a cell ------------------------------------------------------------------------


def dynamic(
    make, size=4, lengths=None, time_major=False, states=False, dtype=tf.float32, scope=None
):
    """dynamic_rnn over `make()`, under a scope where one is given."""

    def build(rng):
        x, values = sequence(rng, size, time_major, dtype)
        inputs, options = {"inputs": (x, values)}, {"dtype": dtype}
        if lengths:
            inputs["sequence_length"] = lengths_of(lengths)
            options["sequence_length"] = inputs["sequence_length"][0]
        outer = tf.variable_scope(scope) if scope else tf.name_scope(None)
        with outer:
            cell = make()
            if states:
                fed, options["initial_state"] = fed_states(rng, cell)
                inputs.update(fed)
            outputs, state = tf.nn.dynamic_rnn(cell, x, time_major=time_major, **options)
        named = named_states(state)
        named["outputs"] = outputs
        return Net(inputs, named, "time" if time_major else "batch")

    return build


def joined_states(build, sizes):
    """The same net where all states are one array: c and h of each layer, side by side."""

    def built(rng):
        net = build(rng)
        names = ["layer{}_{}".format(k, part) for k in range(len(sizes)) for part in "ch"]
        parts = tf.split(net.outputs.pop("layer0_h"), [n for n in sizes for _ in "ch"], axis=1)
        net.outputs.update({name: parts[k] for k, name in enumerate(names)})
        return net

    return built


def only_outputs(build):
    """The same net without its states, where they are no plain (c, h)."""

    def built(rng):
        net = build(rng)
        net.outputs = {"outputs": net.outputs["outputs"]}
        return net

    return built


def static(make, size=4):
    """static_rnn: the steps are unrolled in the graph."""

    def build(rng):
        x, values = sequence(rng, size)
        outputs, state = tf.nn.static_rnn(make(), tf.unstack(x, axis=1), dtype=tf.float32)
        named = named_states(state)
        named["outputs"] = list(outputs)
        return Net({"inputs": (x, values)}, named)

    return build


def bidirectional(make, size=4, lengths=None, states=False):
    """bidirectional_dynamic_rnn of two cells from `make`."""

    def build(rng):
        x, values = sequence(rng, size)
        inputs, options = {"inputs": (x, values)}, {"dtype": tf.float32}
        if lengths:
            inputs["sequence_length"] = lengths_of(lengths)
            options["sequence_length"] = inputs["sequence_length"][0]
        cells = make(), make()
        for k, way in enumerate(("fw", "bw") if states else ()):
            fed, options["initial_state_" + way] = fed_states(rng, cells[k], "layer_" + way)
            inputs.update(fed)
        outputs, last = tf.nn.bidirectional_dynamic_rnn(cells[0], cells[1], x, **options)
        named = named_states(last[0], "layer_fw")
        named.update(named_states(last[1], "layer_bw"))
        named["outputs"] = tuple(outputs)
        return Net(inputs, named)

    return build


def stacked_bidirectional(make, layers, size=4, unrolled=False, lengths=None, states=False):
    """Each layer sees both directions of the one below."""

    def build(rng):
        x, values = sequence(rng, size)
        inputs, options = {"inputs": (x, values)}, {"dtype": tf.float32}
        cells = [make() for _ in range(layers)], [make() for _ in range(layers)]
        if lengths:
            inputs["sequence_length"] = lengths_of(lengths)
            options["sequence_length"] = inputs["sequence_length"][0]
        for k, way in enumerate(("fw", "bw") if states else ()):
            fed, first = fed_states(rng, stacked(cells[k]), "layer_" + way)
            options["initial_states_" + way] = list(first)
            inputs.update(fed)
        if unrolled:
            steps = tf.unstack(x, axis=1)
            outputs, fw, bw = contrib.stack_bidirectional_rnn(*cells, inputs=steps, **options)
        else:
            outputs, fw, bw = contrib.stack_bidirectional_dynamic_rnn(*cells, inputs=x, **options)
        named = named_states(tuple(fw), "layer_fw")
        named.update(named_states(tuple(bw), "layer_bw"))
        named["outputs"] = list(outputs) if unrolled else outputs
        return Net(inputs, named)

    return build


def fused(make, size=4):
    """A fused cell runs the whole sequence in one op, time-major, without an rnn/ scope."""

    def build(rng):
        x, values = sequence(rng, size, time_major=True)
        outputs, state = make()(x, dtype=tf.float32)
        named = named_states(state)
        named["outputs"] = outputs
        return Net({"inputs": (x, values)}, named, "time")

    return build


def partitioned(rng):
    """Kernels and biases in three parts each."""
    with tf.variable_scope("part", partitioner=tf.fixed_size_partitioner(3)):
        return dynamic(lambda: stacked([basic(3), basic(3)]), size=3)(rng)


def two_devices(rng):
    """Layer 1's variables live on another device, so a sharded Saver writes two files."""

    def place(op):
        return "/cpu:1" if op.type.startswith("Variable") and "cell_1" in op.name else "/cpu:0"

    with tf.device(place):
        return dynamic(lambda: stacked([basic(3), basic(3)]))(rng)


def resource_variables(rng):
    """The same names over VarHandleOp."""
    tf.get_variable_scope().set_use_resource(True)
    return dynamic(lambda: stacked([basic(3), basic(3)]))(rng)


def dropped_out(rng):
    """Dropout steered by a placeholder, fed 1 at inference."""
    keep = tf.placeholder(tf.float32, (), name="keep_prob")
    wrap = rnn_cell.DropoutWrapper
    net = dynamic(lambda: wrap(basic(3), output_keep_prob=keep))(rng)
    net.inputs["keep_prob"], net.phases = (keep, 1.0), ("keep_prob",)
    return net


def canonical_cudnn(rng):
    """The names under which a CudnnLSTM layer saves itself."""
    cell = contrib_cudnn().CudnnCompatibleLSTMCell
    return dynamic(lambda: stacked([cell(3), cell(3)]), time_major=True, scope="cudnn_lstm")(rng)


def canonical_cudnn_gru(rng):
    """The names under which a CudnnGRU layer of both directions saves itself."""
    cell = contrib_cudnn().CudnnCompatibleGRUCell
    with tf.variable_scope("cudnn_gru"):
        return stacked_bidirectional(lambda: cell(3), 2)(rng)


def contrib_cudnn():
    """tensorflow.contrib.cudnn_rnn, which old releases lack."""
    return tf.contrib.cudnn_rnn


def language_model(rng):
    """The PTB tutorial: a Python loop over the steps, embedding and softmax around it."""
    words, units = 7, 4
    ids, values = identifiers(rng, words)
    with tf.variable_scope("model" if ZERO_TWELVE else "Model"):
        cell = stacked([basic(units, 0.0), basic(units, 0.0)])
        embedding = tf.get_variable("embedding", [words, units])
        looked_up = tf.nn.embedding_lookup(embedding, ids)
        state, outputs = cell.zero_state(BATCH, tf.float32), []
        with tf.variable_scope("RNN"):
            for step in range(STEPS):
                if step:
                    tf.get_variable_scope().reuse_variables()
                output, state = cell(looked_up[:, step, :], state)
                outputs.append(output)
        weights = tf.get_variable("softmax_w", [units, words])
        bias = tf.get_variable("softmax_b", [words])
        logits = [tf.matmul(output, weights) + bias for output in outputs]
    named = named_states(state)
    named.update(inputs=looked_up, outputs=outputs, logits=logits)
    return Net({"input_ids": (ids, values)}, named)


def translator(rng):
    """Encoder and decoder: two stacks, two embeddings and a dense layer in one checkpoint."""
    source, source_ids = identifiers(rng, 8)
    target, target_ids = identifiers(rng, 6, 4, "target_ids")
    length, lengths = lengths_of([5, 2, 3])
    with tf.variable_scope("encoder"):
        table = tf.get_variable("embedding", [8, 4])
        inputs = tf.nn.embedding_lookup(table, source)
        cell = stacked([basic(3), basic(3)])
        outputs, state = tf.nn.dynamic_rnn(cell, inputs, length, dtype=tf.float32)
    with tf.variable_scope("decoder"):
        table = tf.get_variable("embedding", [6, 2])
        decoder_inputs = tf.nn.embedding_lookup(table, target)
        cell = stacked([basic(3), basic(3)])
        decoded, last = tf.nn.dynamic_rnn(cell, decoder_inputs, initial_state=state)
        logits = tf.layers.dense(decoded, 6, name="output_projection")
    named = named_states(state, "encoder_layer")
    named.update(named_states(last, "decoder_layer"))
    named.update(
        inputs=inputs, outputs=outputs, decoder_inputs=decoder_inputs, decoder_outputs=decoded,
        logits=logits,
    )  # fmt: skip
    fed = {
        "input_ids": (source, source_ids),
        "target_ids": (target, target_ids),
        "sequence_length": (length, lengths),
    }
    return Net(fed, named)


# --- training leftovers ------------------------------------------------------------------------


def with_adam(net):
    """Adam's slots and a global step."""
    step = tf.get_variable("global_step", (), tf.int64, tf.zeros_initializer(), trainable=False)
    loss = tf.reduce_sum(tf.square(net.outputs["outputs"]))
    tf.train.AdamOptimizer(0.01).minimize(loss, global_step=step)


def with_adam_and_average(net):
    """The same, and moving averages of every trainable variable."""
    with_adam(net)
    average = tf.train.ExponentialMovingAverage(0.9)
    average.apply(tf.trainable_variables())
    return average
