"""The cases of `make_fixtures_tf1.py` whose states begin with what a checkpoint or graph holds."""

import tensorflow as tf
from make_fixtures_tf1_case import Case
from make_fixtures_tf1_nets import (
    Net,
    basic,
    contrib,
    lengths_of,
    lstm,
    named_states,
    rnn_cell,
    sequence,
    stacked,
)

PAIR = rnn_cell.LSTMStateTuple if hasattr(rnn_cell, "LSTMStateTuple") else None


def variable(name, *shape):
    return tf.get_variable(name, shape)


def rows_of(x):
    """How many sequences there are."""
    return tf.shape(x)[0]


def tiled(x, *names):
    """One row, repeated for each sequence."""
    rows = [tf.tile(variable(name, 1, 3), [rows_of(x), 1]) for name in names]
    return tuple(PAIR(*rows[k : k + 2]) for k in range(0, len(rows), 2))


def unstacked(x):
    """All states in one variable (layers, 2, 1, units), broadcast by ones."""
    both = variable("init_state", 2, 2, 1, 3)
    ones = tf.ones(tf.stack([rows_of(x), 1]))
    return tuple(
        PAIR(*(ones * state for state in tf.unstack(layer))) for layer in tf.unstack(both)
    )


def side_by_side(x):
    """All states of two layers in one row, as state_is_tuple=False has them."""
    return tf.tile(variable("initial_state", 1, 12), [rows_of(x), 1])


def looked_up(x, name):
    """Row 0 of a table, looked up for each sequence."""
    return tf.gather(variable(name, 2, 3), tf.zeros([rows_of(x)], tf.int32))


def begun(make, begin, size=4, lengths=None, unrolled=False):
    """dynamic_rnn or static_rnn over `make()` that begins with `begin(x)`."""

    def build(rng):
        x, values = sequence(rng, size)
        inputs, options = {"inputs": (x, values)}, {}
        if lengths:
            inputs["sequence_length"] = lengths_of(lengths)
            options["sequence_length"] = inputs["sequence_length"][0]
        first = begin(x)
        if unrolled:
            outputs, state = tf.nn.static_rnn(make(), tf.unstack(x, axis=1), first)
            outputs = list(outputs)
        else:
            outputs, state = tf.nn.dynamic_rnn(make(), x, initial_state=first, **options)
        named = named_states(state)
        named["outputs"] = outputs
        return Net(inputs, named)

    return build


def both_ways(rng):
    """A learned state forward, a constant one backward."""
    x, values = sequence(rng, 4)
    lengths = lengths_of([5, 0, 3])
    constant = tf.zeros([rows_of(x), 3]) + tf.constant([0.5, -0.25, 0.75])
    outputs, last = tf.nn.bidirectional_dynamic_rnn(
        rnn_cell.GRUCell(3),
        rnn_cell.GRUCell(3),
        x,
        lengths[0],
        initial_state_fw=looked_up(x, "h_init"),
        initial_state_bw=constant,
    )
    named = named_states(last[0], "layer_fw")
    named.update(named_states(last[1], "layer_bw"))
    named["outputs"] = tuple(outputs)
    return Net({"inputs": (x, values), "sequence_length": lengths}, named)


def whole_sequence(rng):
    """A fused cell that begins with one learned and one constant state."""
    x, values = sequence(rng, 4, time_major=True)
    rows = tf.shape(x)[1]
    c, h = tf.tile(variable("init_c", 1, 3), [rows, 1]), tf.fill([rows, 3], 0.3)
    outputs, state = contrib.LSTMBlockFusedCell(3)(x, initial_state=(c, h), dtype=tf.float32)
    named = named_states(PAIR(*state))
    named["outputs"] = outputs
    return Net({"inputs": (x, values)}, named, "time")


def concatenated(rng):
    """state_is_tuple=False, with names for the parts of the one final state."""
    cells = [basic(3, state_is_tuple=False) for _ in range(2)]
    net = begun(lambda: rnn_cell.MultiRNNCell(cells, state_is_tuple=False), side_by_side)(rng)
    parts = tf.split(net.outputs.pop("layer0_h"), 4, axis=1)
    for k, part in enumerate(parts):
        net.outputs["layer{}_{}".format(k // 2, "ch"[k % 2])] = part
    return net


INITIAL_STATES = (
    Case(
        "initial-learned",
        "dynamic_rnn(MultiRNNCell([LSTMCell(3) for _ in range(2)]), x, [5, 0, 3], tile(get_variable('init_c0', [1, 3])), ...)",
        begun(
            lambda: stacked([lstm(), lstm()]),
            lambda x: tiled(x, "init_c0", "init_h0", "init_c1", "init_h1"),
            lengths=[5, 0, 3],
        ),
        cell="LSTMCell",
        hparams={"initial_state": "learned"},
        meta=True,
        what="each state begins with a variable of its own, tiled; one row is empty",
    ),
    Case(
        "initial-stacked",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3) for _ in range(2)]), x, ones * unstack(get_variable('init_state', [2, 2, 1, 3])))",
        begun(lambda: stacked([basic(3), basic(3)]), unstacked),
        hparams={"initial_state": "learned"},
        meta=True,
        what="all states begin with parts of one variable",
    ),
    Case(
        "initial-concat",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3) twice], state_is_tuple=False), x, tile(get_variable('initial_state', [1, 12])))",
        concatenated,
        hparams={"initial_state": "learned", "state_is_tuple": False},
        meta=True,
        what="all states begin with pieces of one row",
    ),
    Case(
        "initial-two-ways",
        "bidirectional_dynamic_rnn(GRUCell(3), GRUCell(3), x, [5, 0, 3], gather(get_variable('h_init', [2, 3]), zeros), [0.5, -0.25, 0.75])",
        both_ways,
        family="gru",
        cell="GRUCell",
        hparams={"initial_state": "learned, constant"},
        meta=True,
        what="forward begins with row 0 of a variable, backward with a constant",
    ),
    Case(
        "initial-projected",
        "dynamic_rnn(LSTMCell(3, use_peepholes=True, num_proj=2), x, [5, 0, 3], (tanh(get_variable('c0')), fill(0.4)))",
        begun(
            lambda: lstm(use_peepholes=True, num_proj=2),
            lambda x: PAIR(
                tf.tile(tf.expand_dims(tf.tanh(variable("c0", 3)), 0), [rows_of(x), 1]),
                tf.fill([rows_of(x), 2], 0.4),
            ),
            lengths=[5, 0, 3],
        ),
        cell="LSTMCell",
        hparams={"use_peepholes": True, "num_proj": 2, "initial_state": "learned, constant"},
        meta=True,
        what="c begins with what is computed of a variable, the projected h with a constant",
    ),
    Case(
        "initial-layer-norm",
        "static_rnn(LayerNormBasicLSTMCell(3), unstack(x), (tile(get_variable('init_c', [1, 3])), zeros))",
        begun(
            lambda: contrib.LayerNormBasicLSTMCell(3),
            lambda x: PAIR(
                tf.tile(variable("init_c", 1, 3), [rows_of(x), 1]), tf.zeros([rows_of(x), 3])
            ),
            unrolled=True,
        ),
        family="lstm-variant",
        cell="LayerNormBasicLSTMCell",
        hparams={"initial_state": "learned"},
        meta=True,
        what="unrolled steps of a cell without an operator; h begins with zeros",
    ),
    Case(
        "initial-fused",
        "LSTMBlockFusedCell(3)(x, (tile(get_variable('init_c', [1, 3])), fill(0.3)))",
        whole_sequence,
        cell="LSTMBlockFusedCell",
        hparams={"initial_state": "learned, constant"},
        meta=True,
        what="the whole loop in one op",
    ),
    Case(
        "initial-bare",
        "dynamic_rnn(BasicLSTMCell(3), x, initial_state=tile(get_variable('initial_state_c', [1, 3])), ...)",
        begun(lambda: basic(3), lambda x: tiled(x, "initial_state_c", "initial_state_h")[0]),
        hparams={"initial_state": "learned"},
        what="learned states, and no graph that shows what they are",
    ),
)
