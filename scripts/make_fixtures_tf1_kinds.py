"""The cases of `make_fixtures_tf1.py` whose cells are no plain LSTM, and wrappers."""

import tensorflow as tf
from make_fixtures_tf1_case import Case
from make_fixtures_tf1_nets import (
    basic,
    bidirectional,
    canonical_cudnn_gru,
    contrib,
    contrib_cudnn,
    dynamic,
    lstm,
    only_outputs,
    rnn_cell,
    stacked,
    stacked_bidirectional,
)

GRUS = (
    Case(
        "gru",
        "dynamic_rnn(MultiRNNCell([GRUCell(3), GRUCell(3)]), x)",
        dynamic(lambda: stacked([rnn_cell.GRUCell(3) for _ in range(2)])),
        "tf012 tf10 tf14 tf115",
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
        "gru-bidirectional",
        "bidirectional_dynamic_rnn(MultiRNNCell([GRUCell(3), GRUCell(2)]) twice, x, [5, 0, 3], initial_state_fw, initial_state_bw)",
        bidirectional(
            lambda: stacked([rnn_cell.GRUCell(3), rnn_cell.GRUCell(2)]),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="gru",
        cell="GRUCell",
        what="two independent stacks, a length of zero and a full one, fed states",
    ),
    Case(
        "gru-stack-bidirectional",
        "stack_bidirectional_dynamic_rnn([GRUCell(3), GRUCell(3)] twice, x, [5, 0, 3], initial_states_fw, initial_states_bw)",
        stacked_bidirectional(lambda: rnn_cell.GRUCell(3), 2, lengths=[5, 0, 3], states=True),
        family="gru",
        cell="GRUCell",
        what="each layer sees both directions below, lengths, fed states",
    ),
    Case(
        "gru-block-v1",
        "dynamic_rnn(GRUBlockCell(3), x)",
        dynamic(lambda: contrib.GRUBlockCell(3)),
        "tf10 tf115",
        family="gru",
        cell="GRUBlockCell",
        meta=True,
        what="w_ru, b_ru, w_c, b_c, and one op per step",
    ),
    Case(
        "gru-cudnn-scope",
        "with variable_scope('cudnn_gru'): stack_bidirectional_dynamic_rnn([CudnnCompatibleGRUCell(3)] * 2 twice, x)",
        canonical_cudnn_gru,
        family="gru",
        cell="CudnnCompatibleGRUCell",
        what="canonical names of CudnnGRU",
    ),
    Case(
        "gru-relu",
        "dynamic_rnn(GRUCell(3, activation=tf.nn.relu), x)",
        dynamic(lambda: rnn_cell.GRUCell(3, activation=tf.nn.relu)),
        family="gru",
        cell="GRUCell",
        hparams={"activation": "relu"},
        needs={"activation": "relu"},
        meta=True,
        what="activation relu",
    ),
    Case(
        "gru-residual",
        "dynamic_rnn(MultiRNNCell([GRUCell(3), ResidualWrapper(GRUCell(3))]), x)",
        dynamic(
            lambda: stacked([rnn_cell.GRUCell(3), rnn_cell.ResidualWrapper(rnn_cell.GRUCell(3))])
        ),
        family="gru",
        cell="GRUCell",
        hparams={"residual": [False, True]},
        meta=True,
        what="a wrapper without variables, over another cell",
    ),
    Case(
        "gru-saturated",
        "dynamic_rnn(MultiRNNCell([GRUCell(3), GRUCell(3)]), x), weights ten times as strong",
        dynamic(lambda: stacked([rnn_cell.GRUCell(3) for _ in range(2)])),
        family="gru",
        cell="GRUCell",
        what="gates that are nearly all open or closed",
        gain=10.0,
    ),
)

RNNS = (
    Case(
        "rnn",
        "dynamic_rnn(BasicRNNCell(4), x)",
        dynamic(lambda: rnn_cell.BasicRNNCell(4)),
        family="rnn",
        cell="BasicRNNCell",
        what="no LSTM: units divisible by four",
    ),
    Case(
        "rnn-relu",
        "dynamic_rnn(MultiRNNCell([BasicRNNCell(3, activation=tf.nn.relu) for _ in range(2)]), x)",
        dynamic(
            lambda: stacked([rnn_cell.BasicRNNCell(3, activation=tf.nn.relu) for _ in range(2)])
        ),
        family="rnn",
        cell="BasicRNNCell",
        hparams={"activation": "relu"},
        needs={"activation": "relu"},
        meta=True,
        what="activation relu, which nothing bounds",
        gain=0.7,
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
        "ugrnn-forget-bias-0",
        "dynamic_rnn(UGRNNCell(3, forget_bias=0.0), x, [5, 0, 3], initial_state)",
        dynamic(lambda: contrib.UGRNNCell(3, forget_bias=0.0), lengths=[5, 0, 3], states=True),
        family="rnn-variant",
        cell="UGRNNCell",
        hparams={"forget_bias": 0.0},
        needs={"forget_bias": 0.0},
        meta=True,
        what="forget bias 0, lengths, fed states",
    ),
    Case(
        "intersection-projected",
        "dynamic_rnn(IntersectionRNNCell(4, num_in_proj=4), x of 3)",
        dynamic(lambda: contrib.IntersectionRNNCell(4, num_in_proj=4), 3),
        family="rnn-variant",
        cell="IntersectionRNNCell",
        what="a dense layer before the cell, under the cell's own scope",
    ),
)

VARIANTS = (
    Case(
        "layer-norm",
        "dynamic_rnn(LayerNormBasicLSTMCell(3), x)",
        dynamic(lambda: contrib.LayerNormBasicLSTMCell(3)),
        "tf10 tf115",
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
        "layer-norm-two",
        "bidirectional_dynamic_rnn(MultiRNNCell([LayerNormBasicLSTMCell(3) for _ in range(2)]) twice, x, [5, 0, 3], initial_state_fw, initial_state_bw)",
        bidirectional(
            lambda: stacked([contrib.LayerNormBasicLSTMCell(3) for _ in range(2)]),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="lstm-variant",
        cell="LayerNormBasicLSTMCell",
        what="two layers in both directions, lengths, fed states",
    ),
    Case(
        "layer-norm-off",
        "dynamic_rnn(MultiRNNCell([LayerNormBasicLSTMCell(3, layer_norm=False) for _ in range(2)]), x)",
        dynamic(
            lambda: stacked(
                [contrib.LayerNormBasicLSTMCell(3, layer_norm=False) for _ in range(2)]
            )
        ),
        family="lstm-variant",
        cell="LayerNormBasicLSTMCell",
        what="kernel and bias: a plain LSTM after all",
    ),
    Case(
        "layer-norm-saturated",
        "dynamic_rnn(LayerNormBasicLSTMCell(3), x), weights ten times as strong",
        dynamic(lambda: contrib.LayerNormBasicLSTMCell(3)),
        family="lstm-variant",
        cell="LayerNormBasicLSTMCell",
        what="the norm takes the strength away again",
        gain=10.0,
    ),
    Case(
        "coupled-peephole-projection",
        "dynamic_rnn(CoupledInputForgetGateLSTMCell(4, use_peepholes=True, num_proj=3), x, [5, 0, 3], initial_state)",
        dynamic(
            lambda: contrib.CoupledInputForgetGateLSTMCell(4, use_peepholes=True, num_proj=3),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="lstm-variant",
        cell="CoupledInputForgetGateLSTMCell",
        hparams={"use_peepholes": True, "num_proj": 3},
        what="W_F_diag, W_O_diag, W_P_0; lengths, fed states",
    ),
    Case(
        "nas",
        "dynamic_rnn(MultiRNNCell([NASCell(3), NASCell(3)]), x, [5, 0, 3], initial_state)",
        dynamic(
            lambda: stacked([contrib.NASCell(3), contrib.NASCell(3)]),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="lstm-variant",
        cell="NASCell",
        what="eight blocks, no bias; lengths, fed states",
    ),
    Case(
        "nas-bias-projection",
        "dynamic_rnn(NASCell(4, num_proj=3, use_bias=True), x)",
        dynamic(lambda: contrib.NASCell(4, num_proj=3, use_bias=True)),
        family="lstm-variant",
        cell="NASCell",
        hparams={"num_proj": 3},
        what="eight blocks, a bias, a projection",
    ),
    Case(
        "indy-lstm",
        "dynamic_rnn(MultiRNNCell([IndyLSTMCell(3), IndyLSTMCell(2)]), x, [5, 0, 3], initial_state)",
        dynamic(
            lambda: stacked([contrib.IndyLSTMCell(3), contrib.IndyLSTMCell(2)]),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="lstm-variant",
        cell="IndyLSTMCell",
        what="kernel_w, and kernel_u of one row; lengths, fed states",
    ),
    Case(
        "indy-gru",
        "dynamic_rnn(IndyGRUCell(3), x)",
        dynamic(lambda: contrib.IndyGRUCell(3)),
        family="gru-variant",
        cell="IndyGRUCell",
        what="gates/kernel_w, gates/kernel_u, candidate/...",
    ),
    Case(
        "group",
        "dynamic_rnn(GLSTMCell(4, number_of_groups=2), x of 4)",
        dynamic(lambda: contrib.GLSTMCell(4, number_of_groups=2)),
        family="lstm-variant",
        cell="GLSTMCell",
        what="two groups that do not see each other",
    ),
    Case(
        "group-projection",
        "dynamic_rnn(GLSTMCell(4, num_proj=2, number_of_groups=2), x of 2)",
        dynamic(lambda: contrib.GLSTMCell(4, num_proj=2, number_of_groups=2), 2),
        family="lstm-variant",
        cell="GLSTMCell",
        hparams={"num_proj": 2},
        what="two groups, and a projection over both",
    ),
    Case(
        "mixed",
        "dynamic_rnn(MultiRNNCell([GRUCell(3), BasicLSTMCell(2), BasicRNNCell(4)]), x, [5, 0, 3], initial_state)",
        dynamic(
            lambda: stacked([rnn_cell.GRUCell(3), basic(2), rnn_cell.BasicRNNCell(4)]),
            lengths=[5, 0, 3],
            states=True,
        ),
        family="mixed",
        cell="GRUCell, BasicLSTMCell, BasicRNNCell",
        what="one stack of three kinds",
    ),
)

WRAPPED = (
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
    Case(
        "highway-uncoupled",
        "dynamic_rnn(MultiRNNCell([lstm(3), HighwayWrapper(LSTMCell(3), couple_carry_transform_gates=False)]), x)",
        dynamic(
            lambda: stacked(
                [lstm(3), contrib.HighwayWrapper(lstm(3), couple_carry_transform_gates=False)]
            )
        ),
        family="lstm-wrapped",
        cell="HighwayWrapper",
        what="carry and transform each have a gate",
    ),
)

OTHER_KINDS = (*GRUS, *RNNS, *VARIANTS, *WRAPPED)
