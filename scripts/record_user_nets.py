"""Record graphs as users of TensorFlow 1.15 write them, for tests/adapters/test_user_nets.py.

Run under TensorFlow 1.15 (`make_fixtures_tf1.py` says how to get it):

    tf115/bin/python scripts/record_user_nets.py tests/adapters/recorded_user_nets.json

As `record_nets.py`, whose form of record this is, but of whole graphs: precisions, scopes, hand-made
loops. Each function here builds one, and says what must be made of it: the structure and the
constants that are not their class's defaults, words that a warning must hold, or words that the
refusal must hold.
"""

import json
import sys

import tensorflow as tf
from record_nets import (
    STEPS,
    UNITS,
    WIDE,
    gru,
    lstm,
    make,
    multi,
    record_graph,
    relu,
    residual,
)
from tensorflow.python.ops import rnn_cell_impl

NETS = []


def net(**wanted):
    """What must be made of the graph that a function builds."""

    def keep(build):
        NETS.append((build, wanted))
        return build

    return keep


def inputs(wide=WIDE, steps=STEPS, dtype=tf.float32):
    return tf.placeholder(dtype, [None, steps, wide], name="inputs")


def dynamic(cell, x=None, **options):
    x = inputs() if x is None else x
    return tf.nn.dynamic_rnn(cell, x, **{"dtype": x.dtype, **options})[0]


def static(cell, x, **options):
    steps = tf.unstack(x, STEPS, 1)
    return tf.stack(tf.nn.static_rnn(cell, steps, dtype=x.dtype, **options)[0], 1)


# --- precisions ---


def master_weights(precision):
    """A custom getter that keeps float32 weights and computes in another precision."""

    def get(getter, name, shape=None, dtype=None, *args, **kwargs):  # noqa: ARG001
        return tf.cast(getter(name, shape, tf.float32, *args, **kwargs), precision)

    return tf.variable_scope("model", custom_getter=get)


def halved(tensor):
    return tf.cast(tf.cast(tensor, tf.float16), tf.float32)


class Rounded(rnn_cell_impl.RNNCell):
    """A cell of which one thing is rounded in each step."""

    def __init__(self, cell, what):
        super().__init__()
        self.cell, self.what = cell, what

    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.cell.output_size)

    def __call__(self, x, state, scope=None):  # noqa: ARG002
        y, state = self.cell(halved(x) if self.what == "input" else x, state)
        if self.what == "state":
            state = rnn_cell_impl.LSTMStateTuple(*map(halved, state))
        return halved(y) if self.what == "output" else y, state


TO_HALF = {"rounding": "float16"}
ROUNDS = ["rounds numbers of"]


@net(structure="LSTM, LSTM", constants=TO_HALF, warns=ROUNDS)
def master_weights_in_float16():
    with master_weights(tf.float16):
        return dynamic(multi(lstm(), lstm()), tf.cast(inputs(), tf.float16))


@net(structure="GRU", constants={"rounding": "bfloat16"}, warns=ROUNDS)
def master_weights_in_bfloat16():
    with master_weights(tf.bfloat16):
        return dynamic(gru(), tf.cast(inputs(), tf.bfloat16))


@net(structure="LSTM", constants=TO_HALF, warns=ROUNDS)
def master_weights_of_unrolled_steps():
    with master_weights(tf.float16):
        return static(lstm(), tf.cast(inputs(), tf.float16))


@net(structure="LSTM", constants={})
def float32_weights_in_float64():
    with master_weights(tf.float64):
        return dynamic(lstm(), tf.cast(inputs(), tf.float64))


@net(structure="LSTM", constants={})
def sequences_that_are_rounded_before_the_stack():
    return dynamic(lstm(), halved(inputs()))


@net(structure="LSTM, GRU", constants=TO_HALF, warns=ROUNDS)
def outputs_rounded_between_layers():
    return dynamic(multi(Rounded(lstm(), "output"), gru()))


@net(structure="LSTM", constants=TO_HALF, warns=ROUNDS)
def inputs_rounded_in_each_step():
    return dynamic(Rounded(lstm(), "input"))


@net(structure="LSTM", constants=TO_HALF, warns=ROUNDS)
def outputs_rounded_in_each_step():
    return dynamic(Rounded(lstm(), "output"))


@net(structure="LSTM", constants=TO_HALF, warns=ROUNDS)
def states_rounded_in_each_step():
    return dynamic(Rounded(lstm(), "state"))


@net(structure="LSTM", constants=TO_HALF, warns=ROUNDS)
def states_rounded_in_each_unrolled_step():
    return static(Rounded(lstm(), "state"), inputs())


# --- activations ---


def clipped_relu(x):
    return tf.minimum(relu(x), 20.0)


@net(refused="rnn/gru_cell")
def gru_with_a_clipped_relu():
    return dynamic(gru(activation=clipped_relu))


@net(refused="rnn/gru_cell")
def gru_with_a_relu_that_is_chosen():
    return dynamic(gru(activation=lambda x: tf.where(x < 30.0, relu(x), 30 * tf.ones_like(x))))


@net(refused="rnn/ugrnn_cell")
def ugrnn_with_a_clipped_relu():
    return dynamic(make("UGRNNCell", UNITS, activation=clipped_relu))


ACTIVATIONS = {
    "leaky_relu": (tf.nn.leaky_relu, lambda x: tf.maximum(x, 0.2 * x)),
    "hard_sigmoid": (tf.keras.backend.hard_sigmoid,),
    "relu6": (lambda x: tf.minimum(relu(x), 6.0),),
    "relu": (lambda x: tf.where(x > 0, x, tf.zeros_like(x)),),
    "tanh": (lambda x: 2 * tf.sigmoid(2 * x) - 1,),
}
for name, functions in ACTIVATIONS.items():
    for k, function in enumerate(functions):
        for cell in (lstm, gru):
            wanted = {"structure": cell.__name__.upper(), "constants": {"layer0.activation": name}}
            NETS.append(
                (
                    lambda cell=cell, function=function: dynamic(cell(activation=function)),
                    {**wanted, "name": f"{name} of {cell.__name__} in form {k}"},
                )
            )


@net(refused="none that is known: Relu, Minimum")
def lstm_with_a_clipped_relu():
    return dynamic(lstm(activation=clipped_relu))


@net(refused="none that is known: LeakyRelu")
def lstm_with_a_leaky_relu_of_another_slope():
    return dynamic(lstm(activation=lambda x: tf.nn.leaky_relu(x, 0.01)))


@net(refused="none that is known: Sigmoid, Mul")
def lstm_with_swish():
    return dynamic(lstm(activation=lambda x: x * tf.sigmoid(x)))


# --- wrappers ---


def drop(cell, **keep):
    return make("DropoutWrapper", cell, **keep)


def residual_nets():
    """Residuals around residuals, and around stacks: name -> cell, structure."""
    return {
        "a residual of a residual": (
            lambda: residual(residual(gru(WIDE))),
            "residual(residual(GRU))",
        ),
        "a residual of a stack": (
            lambda: residual(multi(lstm(WIDE), gru(WIDE))),
            "residual(LSTM, GRU)",
        ),
        "a residual of a stack with one": (
            lambda: residual(multi(gru(WIDE), residual(lstm(WIDE)))),
            "residual(GRU, residual(LSTM))",
        ),
        "a residual of a stack in a stack": (
            lambda: multi(gru(), residual(multi(gru(), gru())), residual(gru()), lstm()),
            "GRU, residual(GRU, GRU), residual(GRU), LSTM",
        ),
        "a residual of a dropout": (
            lambda: residual(drop(lstm(WIDE), output_keep_prob=tf.placeholder(tf.float32, []))),
            "residual(LSTM)",
        ),
    }


for name, (cell, structure) in residual_nets().items():
    wanted = {"structure": structure, "constants": {"residual": True}}
    NETS.append((lambda cell=cell: dynamic(cell()), {**wanted, "name": name}))
    NETS.append((lambda cell=cell: static(cell(), inputs()), {**wanted, "name": f"static {name}"}))


class Changed(rnn_cell_impl.RNNCell):
    """A cell whose output is changed in each step."""

    def __init__(self, cell, change):
        super().__init__()
        self.cell, self.change = cell, change

    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.cell.output_size)

    def __call__(self, x, state, scope=None):  # noqa: ARG002
        y, state = self.cell(x, state)
        return self.change(y), state


def threshold(y):
    return tf.where(y > 0.2, y, tf.zeros_like(y))


@net(refused="stands a choice between tensors")
def zeros_below_a_threshold_between_layers():
    return dynamic(multi(Changed(gru(), threshold), gru()))


@net(refused="stands a choice between tensors")
def zeros_below_a_threshold_between_unrolled_layers():
    return static(multi(Changed(gru(), threshold), gru()), inputs())


@net(refused="of its output and its input after it")
def a_residual_and_half_of_one_unrolled():
    return static(residual(make("ResidualWrapper", gru(WIDE), lambda x, y: y + 0.5 * x)), inputs())


@net(structure="(LSTM | GRU), (LSTM | GRU)", constants={})
def stacked_directions_of_unrolled_steps():
    cells = [lstm(), lstm(4)], [gru(), gru(4)]
    steps = tf.unstack(inputs(), STEPS, 1)
    return tf.stack(tf.contrib.rnn.stack_bidirectional_rnn(*cells, steps, dtype=tf.float32)[0], 1)


# --- loops made by hand ---


def by_hand(cell, x, written=lambda t: t):
    """`tf.while_loop` over time."""
    steps = tf.TensorArray(tf.float32, STEPS).unstack(tf.transpose(x, [1, 0, 2]))
    zeros = tf.zeros([tf.shape(x)[0], cell.output_size])

    def step(t, h, outputs):
        y, h = cell(steps.read(t), h)
        return t + 1, h, outputs.write(written(t), y)

    loop_vars = [tf.constant(0), zeros, tf.TensorArray(tf.float32, STEPS)]
    shapes = [tf.TensorShape([]), tf.TensorShape([None, cell.output_size]), tf.TensorShape(None)]
    with tf.variable_scope("own"):
        last = tf.while_loop(lambda t, *_: t < STEPS, step, loop_vars, shapes)
    return tf.transpose(last[2].stack(), [1, 0, 2])


@net(structure="GRU", constants={})
def a_loop_by_hand():
    return by_hand(gru(), inputs())


@net(refused="written at other steps than their own")
def a_loop_that_writes_from_the_end():
    return by_hand(gru(), inputs(), lambda t: STEPS - 1 - t)


@net(structure="LSTM", constants={}, warns=["runs again over its own outputs"])
def one_cell_in_two_loops():
    cell = lstm(WIDE)
    with tf.variable_scope("first"):
        outputs = dynamic(cell)
    with tf.variable_scope("second"):
        return dynamic(cell, outputs)


def raw(cell, finished):
    """`tf.nn.raw_rnn`; `finished(step)` says which rows have ended."""
    x = inputs()
    steps = tf.TensorArray(tf.float32, STEPS).unstack(tf.transpose(x, [1, 0, 2]))

    def loop(t, output, state, _):
        if output is None:
            state = cell.zero_state(tf.shape(x)[0], tf.float32)
        ended = finished(t, x)
        nothing = tf.zeros([tf.shape(x)[0], WIDE])
        following = tf.cond(tf.reduce_all(ended), lambda: nothing, lambda: steps.read(t))
        return ended, following, state, output, None

    return tf.nn.raw_rnn(cell, loop)[0].stack()


def lengths():
    return tf.placeholder(tf.int32, [None], name="lengths")


@net(structure="LSTM, GRU", constants={"sequence_length": True})
def raw_rnn_by_lengths():
    ends = lengths()
    return raw(multi(lstm(), gru()), lambda t, _: t >= ends)


@net(structure="GRU", constants={"sequence_length": False})
def raw_rnn_to_the_end():
    return raw(gru(), lambda t, x: tf.fill([tf.shape(x)[0]], t >= STEPS))


@net(refused="chooses it by something other than lengths")
def raw_rnn_that_ends_a_step_too_early():
    ends = lengths()
    return raw(gru(), lambda t, _: t + 1 >= ends)


@net(refused="chooses it by something other than lengths")
def raw_rnn_that_ends_where_an_input_says_so():
    stop = tf.placeholder(tf.bool, [STEPS + 1, None])
    return raw(gru(), lambda t, _: stop[t])


@net(structure="LSTM", constants={}, warns=["over the reversed one as well"])
def one_cell_in_both_directions():
    x, cell = inputs(), lstm()
    with tf.variable_scope("forwards"):
        outputs = dynamic(cell, x)
    with tf.variable_scope("backwards"):
        return tf.concat([outputs, dynamic(cell, tf.reverse(x, [1]))], 2)


# --- scopes ---


@net(structure="LSTM, LSTM", constants={})
def a_scope_called_like_a_slot():
    with tf.variable_scope("Adam"):
        outputs = dynamic(multi(lstm(), lstm()))
    tf.train.AdamOptimizer().minimize(tf.reduce_sum(outputs))
    return outputs


def main():
    records = []
    for build, wanted in NETS:
        tf.reset_default_graph()
        outputs = tf.identity(build(), name="outputs")
        name = wanted.get("name", build.__name__.replace("_", " "))
        records.append(record_graph(**{**wanted, "name": name, "outputs": outputs}))
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in records)
    with open(sys.argv[1], "w") as file:
        file.write(f'{{"tensorflow": "{tf.__version__}", "nets": [\n{lines}\n]}}\n')
    print(len(records), "nets")


if __name__ == "__main__":
    main()
