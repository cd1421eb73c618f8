"""Record graphs that TensorFlow 1.15 builds, for tests/adapters/test_nets.py.

Run under TensorFlow 1.15 (`make_fixtures_tf1.py` says how to get it):

    tf115/bin/python scripts/record_nets.py tests/adapters/recorded_nets.json

Each net is a graph without weights (a proof holds for any), its variables' shapes, and what must
be made of it: the model's structure and the constants that are not their class's defaults, or
``refused``, where a cell or a wrapper computes something else than its variables' names say.
"""

import base64
import json
import os
import sys
import warnings
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import graph_util  # noqa: E402
from tensorflow.python.ops import rnn_cell_impl  # noqa: E402

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
STEPS, WIDE, UNITS = 4, 5, 6
relu, tanh, sigmoid = tf.nn.relu, tf.tanh, tf.sigmoid


def make(cell, *args, **kwargs):
    rooms = (tf.nn.rnn_cell, tf.contrib.rnn, tf.contrib.cudnn_rnn)
    return next(getattr(r, cell) for r in rooms if hasattr(r, cell))(*args, **kwargs)


def gru(units=UNITS, **kwargs):
    return make("GRUCell", units, **kwargs)


def lstm(units=UNITS, **kwargs):
    return make("BasicLSTMCell", units, **kwargs)


def multi(*cells):
    return make("MultiRNNCell", list(cells))


def highway(cell, **kwargs):
    return make("HighwayWrapper", cell, **kwargs)


def residual(cell):
    return make("ResidualWrapper", cell)


def put_out(cell, size, activation=None):
    return make("OutputProjectionWrapper", cell, size, activation=activation)


def put_in(cell, size, activation=None):
    return make("InputProjectionWrapper", cell, size, activation=activation)


def keep(name="keep"):
    return tf.placeholder_with_default(1.0, [], name=name)


def coupled():
    return make(
        "CoupledInputForgetGateLSTMCell",
        UNITS,
        use_peepholes=True,
        num_proj=4,
        proj_clip=0.3,
        forget_bias=0.25,
        num_unit_shards=2,
        num_proj_shards=2,
        activation=relu,
    )


def layer_norm(**kwargs):
    return make("LayerNormBasicLSTMCell", UNITS, **kwargs)


def intersection(**kwargs):
    return make("IntersectionRNNCell", UNITS, num_in_proj=UNITS, **kwargs)


# name -> (cell, how it is stepped, structure, constants that are no defaults)
NETS = {
    "gru": (gru, "dynamic", "GRU", {}),
    "gru-softsign": (
        lambda: gru(activation=tf.nn.softsign),
        "dynamic",
        "GRU",
        {"layer0.activation": "softsign"},
    ),
    "gru-static": (gru, "static", "GRU", {}),
    "gru-lengths": (gru, "lengths", "GRU", {"sequence_length": True}),
    "gru-static-lengths": (gru, "static lengths", "GRU", {"sequence_length": True}),
    "gru-directions": (gru, "directions", "(GRU | GRU)", {}),
    "gru-stacked-directions": (gru, "stacked directions", "(GRU | GRU), (GRU | GRU)", {}),
    "gru-while-v2": (gru, "dynamic v2", "GRU", {}),
    "gru-block": (lambda: make("GRUBlockCell", UNITS), "dynamic", "GRU", {}),
    "gru-block-v2-static": (lambda: make("GRUBlockCellV2", UNITS), "static", "GRU", {}),
    "gru-cudnn": (lambda: make("CudnnCompatibleGRUCell", UNITS), "dynamic", "GRU", {}),
    "gru-cudnn-static": (lambda: make("CudnnCompatibleGRUCell", UNITS), "static", "GRU", {}),
    "gru-shared": (
        lambda: multi(*[gru(WIDE)] * 3),
        "dynamic",
        "GRU, GRU, GRU",
        {"shared_cell": True},
    ),
    "residuals": (
        lambda: multi(gru(WIDE), residual(gru(WIDE)), residual(make("BasicRNNCell", WIDE))),
        "dynamic",
        "GRU, residual(GRU), residual(RNN)",
        {"residual": True},
    ),
    "mixed-static": (
        lambda: multi(gru(4), lstm(3), make("BasicRNNCell", 5), make("UGRNNCell", 4)),
        "static",
        "GRU, LSTM, RNN, UGRNN",
        {},
    ),
    "dropout": (
        lambda: multi(make("DropoutWrapper", gru(WIDE), output_keep_prob=keep()), gru(4)),
        "dynamic",
        "GRU, GRU",
        {},
    ),
    "rnn-relu": (
        lambda: make("BasicRNNCell", UNITS, activation=relu),
        "dynamic",
        "RNN",
        {"layer0.activation": "relu"},
    ),
    "ugrnn": (
        lambda: make("UGRNNCell", UNITS, forget_bias=-0.5, activation=relu),
        "dynamic",
        "UGRNN",
        {"layer0.activation": "relu", "layer0.forget_bias": -0.5},
    ),
    "intersection": (
        lambda: intersection(forget_bias=0.0, y_activation=tanh),
        "dynamic",
        "dense, Intersection",
        {"layer0.activation": "tanh", "layer0.forget_bias": 0.0},
    ),
    "intersection-static": (intersection, "static", "dense, Intersection", {}),
    "nas": (
        lambda: make("NASCell", UNITS, num_proj=4, use_bias=True),
        "dynamic",
        "NAS",
        {},
    ),
    "nas-static": (lambda: make("NASCell", UNITS, num_proj=4), "static", "NAS", {}),
    "indy-lstm": (
        lambda: make("IndyLSTMCell", UNITS, forget_bias=0.3),
        "dynamic",
        "IndyLSTM",
        {"layer0.forget_bias": 0.3},
    ),
    "indy-lstm-static": (lambda: make("IndyLSTMCell", UNITS), "static", "IndyLSTM", {}),
    "indy-gru": (
        lambda: make("IndyGRUCell", UNITS, activation=relu),
        "dynamic",
        "IndyGRU",
        {"layer0.activation": "relu"},
    ),
    "layer-norm": (
        lambda: layer_norm(forget_bias=0.0, activation=relu),
        "dynamic",
        "LayerNormLSTM",
        {"layer0.activation": "relu", "layer0.forget_bias": 0.0},
    ),
    "layer-norm-static": (layer_norm, "static", "LayerNormLSTM", {}),
    "layer-norm-dropout": (
        lambda: layer_norm(dropout_keep_prob=keep()),
        "dynamic",
        "LayerNormLSTM",
        {},
    ),
    "layer-norm-off": (
        lambda: layer_norm(layer_norm=False, forget_bias=0.5),
        "dynamic",
        "LSTM",
        {"layer0.forget_bias": 0.5},
    ),
    "coupled": (
        coupled,
        "dynamic",
        "CoupledLSTM",
        {"layer0.activation": "relu", "layer0.forget_bias": 0.25, "layer0.proj_clip": 0.3},
    ),
    "coupled-static": (
        coupled,
        "static",
        "CoupledLSTM",
        {"layer0.activation": "relu", "layer0.forget_bias": 0.25, "layer0.proj_clip": 0.3},
    ),
    "groups": (
        lambda: multi(gru(4), make("GLSTMCell", UNITS, number_of_groups=2, num_proj=4)),
        "dynamic",
        "GRU, LSTM",
        {},
    ),
    "groups-fixed-batch": (
        lambda: multi(gru(4), make("GLSTMCell", UNITS, number_of_groups=2)),
        "static batch",
        "GRU, LSTM",
        {},
    ),
    "highway": (lambda: highway(gru(WIDE)), "dynamic", "highway(GRU)", {}),
    "highway-uncoupled-static": (
        lambda: highway(lstm(WIDE), couple_carry_transform_gates=False),
        "static",
        "highway(LSTM)",
        {},
    ),
    "highways": (
        lambda: multi(highway(gru(WIDE)), highway(lstm(WIDE))),
        "lengths",
        "highway(GRU), highway(LSTM)",
        {"sequence_length": True},
    ),
    "highway-of-residual": (
        lambda: highway(residual(gru(WIDE))),
        "dynamic",
        "highway(residual(GRU))",
        {},
    ),
    "residual-of-highway": (
        lambda: residual(highway(gru(WIDE))),
        "dynamic",
        "residual(highway(GRU))",
        {"residual": True},
    ),
    "output-tanh": (
        lambda: put_out(lstm(), 3, tanh),
        "dynamic",
        "LSTM, dense",
        {"dense0.activation": "tanh"},
    ),
    "input-relu": (
        lambda: put_in(lstm(), 4, relu),
        "static",
        "dense, LSTM",
        {"dense0.activation": "relu"},
    ),
    "output-of-input": (lambda: put_out(put_in(gru(), 3), 2), "dynamic", "dense, GRU, dense", {}),
    "output-of-stack": (
        lambda: put_out(multi(gru(), lstm(4)), 2),
        "dynamic",
        "GRU, LSTM, dense",
        {},
    ),
    "input-of-stack": (
        lambda: put_in(multi(gru(), lstm(4)), 3),
        "static",
        "dense, GRU, LSTM",
        {},
    ),
    "highway-of-output": (
        lambda: highway(put_out(gru(), WIDE)),
        "dynamic",
        "highway(GRU, dense)",
        {},
    ),
    "output-of-highway": (
        lambda: put_out(highway(gru(WIDE)), UNITS),
        "dynamic",
        "highway(GRU), dense",
        {},
    ),
    "output-of-residual": (
        lambda: put_out(residual(gru(WIDE)), 3),
        "dynamic",
        "residual(GRU), dense",
        {},
    ),
    "residual-of-output": (
        lambda: residual(put_out(gru(), WIDE)),
        "dynamic",
        "residual(GRU, dense)",
        {"residual": True},
    ),
    "output-directions": (
        lambda: put_out(gru(), 3),
        "directions",
        "(GRU, dense | GRU, dense)",
        {},
    ),
}


class MyUgrnn(tf.contrib.rnn.UGRNNCell):
    """A class of the user's own, under a name of its own."""


class MyIntersection(tf.contrib.rnn.IntersectionRNNCell):
    """The same; its variables look like an LSTM's."""


NETS.update(
    {
        "own-ugrnn": (
            lambda: MyUgrnn(UNITS, activation=relu),
            "dynamic",
            "UGRNN",
            {"layer0.activation": "relu"},
        ),
        "own-intersection": (
            lambda: multi(gru(), MyIntersection(UNITS)),
            "dynamic",
            "GRU, Intersection",
            {},
        ),
        "own-rnn": (lambda: make("BasicRNNCell", UNITS, name="core"), "static", "RNN", {}),
    }
)


class OtherGru(rnn_cell_impl.GRUCell):
    """Called GRUCell, and none."""

    def __init__(self, how):
        super().__init__(UNITS, name="gru_cell")
        self.how = how

    def call(self, x, h):
        how = self.how
        pair = [h, x] if how == "h before x" else [x, h]
        gates = tf.matmul(tf.concat(pair, 1), self._gate_kernel) + self._gate_bias
        gate = tf.keras.backend.hard_sigmoid if how == "hard sigmoid" else sigmoid
        r, u = tf.split(gate(gates), 2, 1)
        if how == "r and u exchanged":
            r, u = u, r
        kernel, bias = self._candidate_kernel, self._candidate_bias
        c = tf.matmul(tf.concat([x, r * h], 1), kernel)
        if how == "reset after":
            c = tf.matmul(x, kernel[:WIDE]) + r * tf.matmul(h, kernel[WIDE:])
        if how != "no candidate bias":
            c += bias
        steep = how == "leaky relu of another slope"
        c = tf.nn.leaky_relu(c, 0.1) if steep else tanh(c)
        new = u * h + (1 - u) * c
        if how == "update polarity":
            new = (1 - u) * h + u * c
        return self.handed_on(x, h, new)

    def handed_on(self, x, h, new):
        how = self.how
        if how == "clipped far off":
            new = tf.clip_by_value(new, -50.0, 50.0)
        if how == "scaled":
            new *= 1.01
        if how == "zoneout":
            new = 0.9 * new + 0.1 * h
        outputs = {
            "output doubled": lambda: new * 2,
            "output of the step before": lambda: h,
            "output with input": lambda: new + 0.5 * x[:, :1],
        }
        states = {"state clipped": lambda: tf.clip_by_value(new, -0.1, 0.1)}
        return outputs.get(how, lambda: new)(), states.get(how, lambda: new)()


class OtherWrapper(rnn_cell_impl.RNNCell):
    """Variables called like a wrapper's, and none."""

    def __init__(self, cell, how):
        super().__init__()
        self.cell, self.how = cell, how

    state_size = property(lambda self: self.cell.state_size)
    output_size = property(lambda self: self.cell.output_size)

    def __call__(self, x, state, scope=None):  # noqa: ARG002
        y, state = self.cell(x, state)
        if self.how == "half the input added":
            return y + 0.5 * x, state
        if self.how == "output halved":
            return y * 0.5, state
        weight = tf.get_variable("carry_w", [WIDE, WIDE])
        bias = tf.get_variable("carry_b", [WIDE])
        source = y if self.how == "carry of the output" else x
        carry = sigmoid(tf.matmul(source, weight) + bias)
        if self.how == "carry inverted":
            carry = 1 - carry
        return x * carry + y * (1 - carry), state


class OtherProjection(OtherWrapper):
    output_size = property(lambda _self: 3)

    def __call__(self, x, state, scope=None):  # noqa: ARG002
        with tf.variable_scope("output_projection_wrapper"):
            y, state = self.cell(x, state)
            weight = tf.get_variable("kernel", [UNITS, 3])
            bias = tf.get_variable("bias", [3])
            z = tf.matmul(y, weight) + bias
            return {
                "softmax in the loop": lambda: tf.nn.softmax(z),
                "product without its bias": lambda: tf.matmul(y, weight),
            }[self.how](), state


class UnnormedState(tf.contrib.rnn.LayerNormBasicLSTMCell):
    """Carries c before its norm."""

    def __init__(self):
        super().__init__(UNITS)
        self._base_name = "layer_norm_basic_lstm_cell"

    def call(self, x, state):
        c, h = state
        parts = tf.split(self._linear(tf.concat([x, h], 1)), 4, 1)
        scopes = ("input", "transform", "forget", "output")
        i, j, f, o = (self._norm(p, s) for p, s in zip(parts, scopes))  # noqa: B905
        c = c * sigmoid(f + 1.0) + sigmoid(i) * tanh(j)
        h = tanh(self._norm(c, "state")) * sigmoid(o)
        return h, rnn_cell_impl.LSTMStateTuple(c, h)


def refused():
    for how in (
        "h before x",
        "hard sigmoid",
        "r and u exchanged",
        "reset after",
        "no candidate bias",
        "leaky relu of another slope",
        "update polarity",
        "clipped far off",
        "scaled",
        "zoneout",
        "output doubled",
        "output of the step before",
        "output with input",
        "state clipped",
    ):
        yield "a GRU: " + how, lambda how=how: OtherGru(how), "dynamic"
        if not how.startswith("output"):
            yield "an unrolled GRU: " + how, lambda how=how: OtherGru(how), "static"
    for how in (
        "carry of the output",
        "carry inverted",
        "half the input added",
        "output halved",
    ):
        yield "a wrapper: " + how, lambda how=how: OtherWrapper(gru(WIDE), how), "dynamic"
    yield (
        "between layers: output halved",
        lambda: multi(OtherWrapper(gru(WIDE), "output halved"), gru(4)),
        "static",
    )
    for how in ("softmax in the loop", "product without its bias"):
        yield "a projection: " + how, lambda how=how: OtherProjection(gru(), how), "dynamic"
    yield "a layer norm: c carried before its norm", UnnormedState, "dynamic"
    yield "a highway around a stack", lambda: highway(multi(gru(WIDE), gru(WIDE))), "dynamic"


def step(cell, how):
    """Apply `cell` over time. Returns the outputs."""
    batch = 2 if how == "static batch" else None
    x = tf.placeholder(tf.float32, [batch, STEPS, WIDE], name="inputs")
    lengths = tf.placeholder(tf.int32, [None], name="lengths") if "lengths" in how else None
    options = {"dtype": tf.float32, "sequence_length": lengths}
    if "stacked" in how:
        pairs = [cell(), cell()], [cell(), cell()]
        return tf.contrib.rnn.stack_bidirectional_dynamic_rnn(*pairs, x, dtype=tf.float32)[0]
    if "directions" in how:
        outputs, _ = tf.nn.bidirectional_dynamic_rnn(cell(), cell(), x, **options)
        return tf.concat(outputs, 2)
    if how.startswith("static") and how != "static batch":
        outputs, _ = tf.nn.static_rnn(cell(), tf.unstack(x, STEPS, 1), **options)
        return tf.stack(outputs, 1)
    return tf.nn.dynamic_rnn(cell(), x, **options)[0]


def record(name, cell, how, **wanted):
    tf.reset_default_graph()
    (tf.enable_control_flow_v2 if "v2" in how else tf.disable_control_flow_v2)()
    outputs = tf.identity(step(cell, how), name="outputs")
    return record_graph(name, outputs, stepped=how, **wanted)


def record_graph(name, outputs, **wanted):
    """The default graph as far as `outputs` need it, without weights."""
    graph = tf.get_default_graph().as_graph_def()
    kept = [outputs.op.name, *(v.op.name for v in tf.global_variables())]
    needed = graph_util.extract_sub_graph(graph, kept)
    for node in needed.node:
        node.attr.pop("_class", None)
        node.attr.pop("_output_shapes", None)
    data = zlib.compress(needed.SerializeToString(), 9)
    return {
        "name": name,
        **wanted,
        "variables": {v.op.name: v.shape.as_list() for v in tf.global_variables()},
        "graph": base64.b64encode(data).decode(),
    }


def main():
    nets = [
        record(name, cell, how, structure=structure, constants=constants)
        for name, (cell, how, structure, constants) in NETS.items()
    ]
    nets += [record(name, cell, how, refused=True) for name, cell, how in refused()]
    # one net a line: a changed net is a changed line
    lines = ",\n".join(json.dumps(net, sort_keys=True) for net in nets)
    with open(sys.argv[1], "w") as file:
        file.write(f'{{"tensorflow": "{tf.__version__}", "nets": [\n{lines}\n]}}\n')
    print(len(nets), "nets")


if __name__ == "__main__":
    main()
