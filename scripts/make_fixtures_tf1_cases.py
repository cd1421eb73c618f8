"""The cases of `make_fixtures_tf1.py`: a table, one entry each."""

from types import MappingProxyType
from typing import Callable, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf
from make_fixtures_tf1_nets import (
    basic,
    bidirectional,
    canonical_cudnn,
    contrib,
    contrib_cudnn,
    dropped_out,
    dynamic,
    fused,
    growing,
    language_model,
    lstm,
    only_outputs,
    paired_state,
    partitioned,
    resource_variables,
    rnn_cell,
    stacked,
    stacked_bidirectional,
    static,
    translator,
    two_devices,
    with_adam,
    with_adam_and_average,
)


class Case(NamedTuple):
    """One fixture. `needs`: options a user must give who has only the weights.

    Attributes:
        build: takes a random state, builds a graph and returns its `Net`.
        releases: the folders' prefixes of the releases that write this case.
        format: "V1", or None for the release's default (V2 in all of these).
        meta, state: whether the graph and the state file are kept.
        steps: one checkpoint per entry is saved; the last is the fixture's.
        gain: how much stronger than usual the kernels are; a deep stack of weak ones is blind.
        train: adds what training leaves in a checkpoint; returns the averages, if any.
    """

    name: str
    code: str
    build: Callable
    releases: str = "tf115"
    family: str = "lstm"
    cell: str = "BasicLSTMCell"
    what: str = ""
    hparams: Mapping = MappingProxyType({})
    needs: Mapping = MappingProxyType({})
    format: Optional[str] = None
    meta: bool = False
    state: bool = False
    sharded: bool = False
    steps: Sequence = (None,)
    gain: float = 1.0
    train: Optional[Callable] = None


# --- the cases ---------------------------------------------------------------------------------


def seed():
    """What the project began with: three layers of two units."""
    return stacked([basic(2) for _ in range(3)])


ALL = "tf012 tf10 tf14 tf115"
ONE_SEED = "dynamic_rnn(MultiRNNCell([BasicLSTMCell(2) for _ in range(3)]), x)"
EVERYTHING = {
    "use_peepholes": True,
    "num_proj": 2,
    "cell_clip": 0.4,
    "proj_clip": 0.25,
    "forget_bias": 0.5,
}


def of_dtype(name):
    """One cell whose weights are stored in half, brain or double precision."""
    dtype = getattr(tf, name, tf.float32)
    return Case(
        name,
        "dynamic_rnn(BasicLSTMCell(3), x) in " + name,
        dynamic(lambda: basic(3), dtype=dtype),
        hparams={"dtype": name},
        what="weights in " + name,
    )


CASES = (
    Case(
        "seed-meta",
        ONE_SEED,
        dynamic(seed, 5),
        ALL,
        meta=True,
        state=True,
        what="graph beside the weights",
    ),
    Case("seed-bare", ONE_SEED, dynamic(seed, 5), what="only the weights were handed over"),
    Case("seed-v1", ONE_SEED, dynamic(seed, 5), "tf14 tf115", format="V1", what="one file, V1"),
    Case(
        "single",
        "dynamic_rnn(BasicLSTMCell(3), x)",
        dynamic(lambda: basic(3)),
        "tf10 tf115",
        what="one cell without MultiRNNCell",
    ),
    Case(
        "one-unit",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(1), BasicLSTMCell(1)]), x)",
        dynamic(lambda: stacked([basic(1), basic(1)]), 1),
        what="one unit, one feature",
    ),
    Case(
        "twelve-layers",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(2) for _ in range(12)]), x)",
        dynamic(lambda: stacked([basic(2) for _ in range(12)]), 3),
        what="cell_10 sorts before cell_2",
        gain=5.0,
    ),
    Case(
        "sizes",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(n) for n in (3, 2, 4)]), x)",
        dynamic(lambda: stacked([basic(n) for n in (3, 2, 4)]), 5),
        what="layers of different sizes",
    ),
    Case(
        "named-cells",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3, name='my_cell') for _ in range(2)]), x)",
        dynamic(lambda: stacked([basic(3, name="my_cell") for _ in range(2)])),
        what="cells with names of their own",
    ),
    Case(
        "user-scope",
        "with variable_scope('net/core'): dynamic_rnn(MultiRNNCell([BasicLSTMCell(3)]), x)",
        dynamic(lambda: stacked([basic(3)]), scope="net/core"),
        what="user scopes in front",
    ),
    Case(
        "forget-bias-0",
        "dynamic_rnn(BasicLSTMCell(3, forget_bias=0.0), x)",
        dynamic(lambda: basic(3, 0.0)),
        hparams={"forget_bias": 0.0},
        needs={"forget_bias": 0.0},
        meta=True,
        what="forget bias 0",
    ),
    Case(
        "relu",
        "dynamic_rnn(BasicLSTMCell(3, activation=tf.nn.relu), x)",
        dynamic(lambda: basic(3, activation=tf.nn.relu)),
        hparams={"activation": "relu"},
        needs={"activation": "relu"},
        meta=True,
        what="activation relu",
    ),
    Case(
        "two-steps",
        "saver.save(..., global_step=3), then global_step=7",
        dynamic(lambda: basic(3)),
        steps=(3, 7),
        state=True,
        what="two steps of one run, the second is the last",
    ),
    Case(
        "adam-meta",
        "dynamic_rnn(BasicLSTMCell(2), x); AdamOptimizer",
        dynamic(lambda: basic(2), 3),
        train=with_adam,
        steps=(5,),
        meta=True,
        what="a training graph, with gradients",
    ),
    Case(
        "adam-average",
        ONE_SEED + "; AdamOptimizer, ExponentialMovingAverage, global_step",
        dynamic(seed, 5),
        train=with_adam_and_average,
        steps=(5,),
        state=True,
        what="optimizer slots and averaged weights",
    ),
    Case(
        "lstmcell",
        "dynamic_rnn(MultiRNNCell([LSTMCell(3), LSTMCell(3)]), x)",
        dynamic(lambda: stacked([lstm(), lstm()])),
        "tf14 tf115",
        cell="LSTMCell",
        what="LSTMCell",
    ),
    Case(
        "peephole",
        "dynamic_rnn(MultiRNNCell([LSTMCell(3, use_peepholes=True) for _ in range(2)]), x)",
        dynamic(lambda: stacked([lstm(use_peepholes=True), lstm(use_peepholes=True)])),
        cell="LSTMCell",
        hparams={"use_peepholes": True},
        what="peepholes",
    ),
    Case(
        "projection",
        "dynamic_rnn(MultiRNNCell([LSTMCell(4, num_proj=2), LSTMCell(3, num_proj=3)]), x)",
        dynamic(lambda: stacked([lstm(4, num_proj=2), lstm(3, num_proj=3)])),
        cell="LSTMCell",
        hparams={"num_proj": [2, 3]},
        what="projection, once as wide as the cell",
    ),
    Case(
        "everything",
        "dynamic_rnn(LSTMCell(3, use_peepholes=True, num_proj=2, cell_clip=0.4, proj_clip=0.25, forget_bias=0.5), x)",
        dynamic(lambda: lstm(**EVERYTHING)),
        cell="LSTMCell",
        hparams=EVERYTHING,
        needs={"cell_clip": 0.4, "proj_clip": 0.25, "forget_bias": 0.5},
        meta=True,
        what="peepholes, projection, both clips, forget bias 0.5",
    ),
    Case(
        "cell-clip",
        "dynamic_rnn(LSTMCell(3, cell_clip=0.3), x)",
        dynamic(lambda: lstm(cell_clip=0.3)),
        cell="LSTMCell",
        hparams={"cell_clip": 0.3},
        needs={"cell_clip": 0.3},
        meta=True,
        what="cell clip",
    ),
    Case(
        "block-forget-bias-0",
        "dynamic_rnn(LSTMBlockCell(3, forget_bias=0.0), x)",
        dynamic(lambda: contrib.LSTMBlockCell(3, forget_bias=0.0)),
        cell="LSTMBlockCell",
        hparams={"forget_bias": 0.0},
        needs={"forget_bias": 0.0},
        meta=True,
        what="the fused step op, forget bias 0",
    ),
    Case(
        "block-peephole",
        "dynamic_rnn(LSTMBlockCell(3, use_peephole=True), x)",
        dynamic(lambda: contrib.LSTMBlockCell(3, use_peephole=True)),
        cell="LSTMBlockCell",
        hparams={"use_peepholes": True},
        what="the fused step op with peepholes",
    ),
    Case(
        "block-clip",
        "dynamic_rnn(LSTMBlockCell(3), x)",
        growing(paired_state(dynamic(lambda: contrib.LSTMBlockCell(3)))),
        "tf10",
        cell="LSTMBlockCell",
        hparams={"cell_clip": 3.0},
        needs={"cell_clip": 3.0},
        meta=True,
        what="this release clips the state at 3 unasked",
    ),
    Case(
        "fused",
        "LSTMBlockFusedCell(3)(x)",
        fused(lambda: contrib.LSTMBlockFusedCell(3)),
        cell="LSTMBlockFusedCell",
        what="the whole loop in one op",
    ),
    Case(
        "fused-peephole",
        "LSTMBlockFusedCell(3, use_peephole=True)(x)",
        fused(lambda: contrib.LSTMBlockFusedCell(3, use_peephole=True)),
        cell="LSTMBlockFusedCell",
        hparams={"use_peepholes": True},
        what="the whole loop in one op, with peepholes",
    ),
    Case(
        "cudnn-compatible",
        "dynamic_rnn(MultiRNNCell([CudnnCompatibleLSTMCell(3) for _ in range(2)]), x)",
        dynamic(lambda: stacked([contrib_cudnn().CudnnCompatibleLSTMCell(3) for _ in range(2)])),
        cell="CudnnCompatibleLSTMCell",
        hparams={"forget_bias": 0.0},
        what="forget bias 0 by class",
    ),
    Case(
        "cudnn-scope",
        "with variable_scope('cudnn_lstm'): dynamic_rnn(MultiRNNCell([CudnnCompatibleLSTMCell(3) for _ in range(2)]), x, time_major=True)",
        canonical_cudnn,
        cell="CudnnCompatibleLSTMCell",
        hparams={"forget_bias": 0.0},
        what="canonical names of CudnnLSTM",
    ),
    Case(
        "bidirectional-lengths",
        "bidirectional_dynamic_rnn(BasicLSTMCell(3), BasicLSTMCell(3), x, sequence_length)",
        bidirectional(lambda: basic(3), lengths=[5, 2, 3]),
        meta=True,
        what="both directions, ragged lengths",
    ),
    Case(
        "bidirectional-multi",
        "bidirectional_dynamic_rnn(MultiRNNCell([LSTMCell(3), LSTMCell(3)]), MultiRNNCell([LSTMCell(3), LSTMCell(3)]), x)",
        bidirectional(lambda: stacked([lstm(), lstm()])),
        cell="LSTMCell",
        what="two independent stacks, joined only at the end",
    ),
    Case(
        "bidirectional",
        "bidirectional_dynamic_rnn(LSTMCell(3), LSTMCell(3), x, sequence_length)",
        bidirectional(lstm, lengths=[5, 2, 3]),
        "tf012",
        cell="LSTMCell",
        what="both directions, as BiRNN; this release demands lengths",
    ),
    Case(
        "stack-bidirectional",
        "stack_bidirectional_dynamic_rnn([BasicLSTMCell(3), BasicLSTMCell(3)], [BasicLSTMCell(3), BasicLSTMCell(3)], x)",
        stacked_bidirectional(lambda: basic(3), 2),
        what="each layer sees both directions below",
    ),
    Case(
        "stack-bidirectional-static",
        "stack_bidirectional_rnn([BasicLSTMCell(3), BasicLSTMCell(3)], [BasicLSTMCell(3), BasicLSTMCell(3)], unstack(x, axis=1))",
        stacked_bidirectional(lambda: basic(3), 2, unrolled=True),
        what="the same, unrolled: other names",
    ),
    Case(
        "static",
        "static_rnn(MultiRNNCell([BasicLSTMCell(3) for _ in range(2)]), unstack(x, axis=1))",
        static(lambda: stacked([basic(3), basic(3)])),
        what="unrolled steps",
    ),
    Case(
        "shared-cell",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3)] * 3), x)",
        dynamic(lambda: stacked([basic(3)] * 3), 3),
        hparams={"layers": 3},
        needs={"layers": 3},
        meta=True,
        what="one cell object, three layers",
    ),
    Case(
        "residual",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3), ResidualWrapper(BasicLSTMCell(3))]), x)",
        dynamic(lambda: stacked([basic(3), rnn_cell.ResidualWrapper(basic(3))])),
        hparams={"residual": [False, True]},
        meta=True,
        what="a wrapper without variables",
    ),
    Case(
        "dropout",
        "dynamic_rnn(DropoutWrapper(BasicLSTMCell(3), output_keep_prob=placeholder), x)",
        dropped_out,
        meta=True,
        what="dropout steered by a placeholder",
    ),
    Case(
        "lengths-states",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3) for _ in range(2)]), x, [5, 0, 3], initial_state, time_major=True)",
        dynamic(
            lambda: stacked([basic(3), basic(3)]),
            lengths=[5, 0, 3],
            time_major=True,
            states=(3, 3),
        ),
        hparams={"time_major": True},
        what="time-major, a length of zero, fed states",
    ),
    Case(
        "partitioned",
        "variable_scope('part', partitioner=fixed_size_partitioner(3))",
        partitioned,
        what="variables in three slices",
    ),
    Case(
        "partitioned-v1",
        "variable_scope('part', partitioner=fixed_size_partitioner(3))",
        partitioned,
        format="V1",
        what="variables in three slices, V1",
    ),
    Case(
        "sharded",
        "layers on /cpu:0 and /cpu:1, Saver(sharded=True)",
        two_devices,
        sharded=True,
        what="two data files",
    ),
    Case(
        "sharded-v1",
        "layers on /cpu:0 and /cpu:1, Saver(sharded=True)",
        two_devices,
        sharded=True,
        format="V1",
        what="two V1 files",
    ),
    Case(
        "resource",
        "get_variable_scope().set_use_resource(True)",
        resource_variables,
        what="resource variables",
    ),
    *(of_dtype(name) for name in ("float16", "bfloat16", "float64")),
    Case(
        "ptb",
        "PTB tutorial: Model/RNN loop over steps, embedding, softmax_w, softmax_b",
        language_model,
        "tf012 tf115",
        hparams={"forget_bias": 0.0},
        needs={"forget_bias": 0.0},
        what="a language model, scope RNN, no dynamic_rnn",
    ),
    Case(
        "encoder-decoder",
        "encoder/rnn, decoder/rnn, two embeddings, a dense layer",
        translator,
        hparams={"stacks": 2},
        what="two stacks in one checkpoint",
    ),
    Case(
        "unit-shards",
        "dynamic_rnn(LSTMCell(6, num_proj=4, num_unit_shards=3, num_proj_shards=2), x)",
        dynamic(lambda: lstm(6, num_proj=4, num_unit_shards=3, num_proj_shards=2)),
        "tf012",
        cell="LSTMCell",
        hparams={"num_proj": 4},
        what="W_0, W_1, W_2 and W_P_0, W_P_1",
    ),
    Case(
        "peephole-projection-v1",
        "dynamic_rnn(LSTMCell(3, use_peepholes=True, num_proj=2), x)",
        dynamic(lambda: lstm(use_peepholes=True, num_proj=2)),
        "tf012",
        cell="LSTMCell",
        format="V1",
        hparams={"use_peepholes": True, "num_proj": 2},
        what="W_F_diag, W_P_0 in a V1 file",
    ),
    Case(
        "gru",
        "dynamic_rnn(MultiRNNCell([GRUCell(3), GRUCell(3)]), x)",
        dynamic(lambda: stacked([rnn_cell.GRUCell(3) for _ in range(2)])),
        "tf012 tf115",
        family="gru",
        cell="GRUCell",
        what="no LSTM",
    ),
    Case(
        "gru-block",
        "dynamic_rnn(GRUBlockCellV2(3), x)",
        dynamic(lambda: contrib.GRUBlockCellV2(3)),
        family="gru",
        cell="GRUBlockCellV2",
        what="no LSTM",
    ),
    Case(
        "gru-cudnn",
        "dynamic_rnn(CudnnCompatibleGRUCell(3), x)",
        dynamic(lambda: contrib_cudnn().CudnnCompatibleGRUCell(3)),
        family="gru",
        cell="CudnnCompatibleGRUCell",
        what="no LSTM: reset after the product",
    ),
    Case(
        "rnn",
        "dynamic_rnn(BasicRNNCell(4), x)",
        dynamic(lambda: rnn_cell.BasicRNNCell(4)),
        family="rnn",
        cell="BasicRNNCell",
        what="no LSTM: units divisible by four",
    ),
    Case(
        "layer-norm",
        "dynamic_rnn(LayerNormBasicLSTMCell(3), x)",
        dynamic(lambda: contrib.LayerNormBasicLSTMCell(3)),
        family="lstm-variant",
        cell="LayerNormBasicLSTMCell",
        what="no plain LSTM: kernel without bias, gamma and beta",
    ),
    Case(
        "coupled",
        "dynamic_rnn(CoupledInputForgetGateLSTMCell(4), x)",
        dynamic(lambda: contrib.CoupledInputForgetGateLSTMCell(4)),
        family="lstm-variant",
        cell="CoupledInputForgetGateLSTMCell",
        what="no plain LSTM: three blocks",
    ),
    Case(
        "ugrnn",
        "dynamic_rnn(UGRNNCell(4), x)",
        dynamic(lambda: contrib.UGRNNCell(4)),
        family="rnn-variant",
        cell="UGRNNCell",
        what="no LSTM: two blocks of four columns",
    ),
    Case(
        "intersection",
        "dynamic_rnn(IntersectionRNNCell(4), x of 4)",
        dynamic(lambda: contrib.IntersectionRNNCell(4), 4),
        family="rnn-variant",
        cell="IntersectionRNNCell",
        what="no LSTM, with an LSTM's shapes",
    ),
    Case(
        "highway",
        "dynamic_rnn(MultiRNNCell([BasicLSTMCell(3), HighwayWrapper(BasicLSTMCell(3))]), x)",
        dynamic(lambda: stacked([basic(3), contrib.HighwayWrapper(basic(3))])),
        family="lstm-wrapped",
        cell="HighwayWrapper",
        what="carry_w and carry_b beside the cell",
    ),
    Case(
        "output-projection",
        "dynamic_rnn(OutputProjectionWrapper(BasicLSTMCell(3), 2), x)",
        dynamic(lambda: contrib.OutputProjectionWrapper(basic(3), 2)),
        family="lstm-wrapped",
        cell="OutputProjectionWrapper",
        what="a dense layer inside the loop, after the cell",
    ),
    Case(
        "input-projection",
        "dynamic_rnn(InputProjectionWrapper(BasicLSTMCell(3), 2), x)",
        dynamic(lambda: contrib.InputProjectionWrapper(basic(3), 2)),
        family="lstm-wrapped",
        cell="InputProjectionWrapper",
        what="a dense layer inside the loop, before the cell",
    ),
    Case(
        "attention",
        "dynamic_rnn(AttentionCellWrapper(BasicLSTMCell(4), attn_length=2), x)",
        only_outputs(dynamic(lambda: contrib.AttentionCellWrapper(basic(4), attn_length=2))),
        family="lstm-wrapped",
        cell="AttentionCellWrapper",
        what="attention over past steps; kernels that are no cell's",
    ),
)
