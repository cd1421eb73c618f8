"""Classes and wrappers that are known by name and not converted, and what slots look like.

Names seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5.
"""

from __future__ import annotations

from lstmbridge.adapters.dialects import ForeignClass, Wrapper

_DENSE = ("kernel", "weights", "Linear/Matrix")

FOREIGN_CLASSES: tuple[ForeignClass, ...] = (
    ForeignClass(
        "GRUCell",
        ("gru_cell", "GRUCell"),
        (
            "gates/kernel",
            "gates/weights",
            "Gates/Linear/Matrix",
            "candidate/kernel",
            "candidate/weights",
        ),
        ("gates/kernel", "gates/weights", "Gates/Linear/Matrix"),
    ),
    ForeignClass(
        "GRUBlockCell", ("gru_cell", "gru_block_cell", "GRUBlockCell"), ("w_ru", "w_c"), ("w_ru",)
    ),
    ForeignClass(
        "CudnnCompatibleGRUCell",
        ("cudnn_compatible_gru_cell",),
        ("gates/kernel", "candidate/input_projection/kernel"),
        ("candidate/input_projection/kernel",),
    ),
    ForeignClass("BasicRNNCell", ("basic_rnn_cell", "BasicRNNCell"), _DENSE),
    ForeignClass(
        "LayerNormBasicLSTMCell",
        ("layer_norm_basic_lstm_cell", "LayerNormBasicLSTMCell"),
        ("kernel", "weights", "linear/weights"),
        ("transform/gamma",),
    ),
    ForeignClass(
        "CoupledInputForgetGateLSTMCell",
        ("coupled_input_forget_gate_lstm_cell", "CoupledInputForgetGateLSTMCell"),
        ("W_0", "B"),
    ),
    ForeignClass("UGRNNCell", ("ugrnn_cell",), ("kernel", "weights")),
    ForeignClass("IntersectionRNNCell", ("intersection_rnn_cell",), ("kernel", "weights")),
    ForeignClass("NASCell", ("nas_cell",), ("recurrent_kernel", "kernel"), ("recurrent_kernel",)),
    ForeignClass("IndyLSTMCell", ("indy_lstm_cell",), ("kernel_w",), ("kernel_w",)),
    ForeignClass("IndyGRUCell", ("indy_gru_cell",), ("gates/kernel_w",)),
    ForeignClass("IndRNNCell", ("ind_rnn_cell",), ("kernel_w",)),
    ForeignClass("GLSTMCell", ("glstm_cell",), ("group0/kernel", "bias_i"), ("group0/kernel",)),
    ForeignClass(
        "PhasedLSTMCell",
        ("phased_lstm_cell",),
        ("mask_gates/kernel", "period"),
        ("mask_gates/kernel",),
    ),
    ForeignClass(
        "GridLSTMCell",
        ("grid_lstm_cell", "bidirectional_grid_lstm_cell", "GridLSTMCell"),
        ("W_f_0_0", "W_f_0", "B_f_0"),
        ("W_f_0_0", "W_f_0"),
    ),
    ForeignClass("TimeFreqLSTMCell", ("time_freq_lstm_cell", "TimeFreqLSTMCell"), ("W_0", "B")),
    ForeignClass(
        "ConvLSTMCell",
        ("conv_lstm_cell", "conv_1d_lstm_cell", "conv_2d_lstm_cell", "conv_3d_lstm_cell"),
        ("kernel", "biases"),
    ),
    ForeignClass("SRUCell", ("sru_cell",), ("kernel", "bias")),
    ForeignClass("CFNCell", ("cfn_cell",), ("kernel",)),
    ForeignClass("MinimalRNNCell", ("minimal_rnn_cell",), ("kernel",)),
    ForeignClass("WeightNormLSTMCell", ("weight_norm_lstm_cell",), ("kernel",)),
    ForeignClass(
        "a Keras recurrent layer",
        ("lstm", "gru", "simple_rnn", "lstm_cell", "gru_cell", "simple_rnn_cell"),
        ("recurrent_kernel",),
    ),
    ForeignClass(
        "CudnnLSTM or CudnnGRU parameters in cuDNN's own layout",
        ("cudnn_lstm", "cudnn_gru", "cudnn_rnn_relu", "cudnn_rnn_tanh"),
        ("opaque_kernel",),
        ("opaque_kernel",),
    ),
)

_ATTENTION = "its outputs and inputs are mixed with what attention reads"
WRAPPERS: tuple[Wrapper, ...] = (
    Wrapper(
        "HighwayWrapper",
        (r"highway_wrapper",),
        (r"carry_w", r"carry_b"),
        "each layer's output is a gated mixture of the cell's output and its input",
    ),
    Wrapper(
        "OutputProjectionWrapper",
        (r"output_projection_wrapper|OutputProjectionWrapper",),
        (),
        "the outputs are projected inside the loop",
    ),
    Wrapper(
        "InputProjectionWrapper",
        (r"input_projection_wrapper|InputProjectionWrapper",),
        (),
        "the inputs are projected inside the loop",
    ),
    Wrapper(
        "AttentionCellWrapper",
        (r"attention_cell_wrapper|AttentionCellWrapper",),
        (r"attn_[wv]|Attn[WV]",),
        _ATTENTION,
    ),
    Wrapper(
        "AttentionWrapper",
        (
            r"attention_wrapper",
            r"attention_layer",
            r"(bahdanau|luong)(_monotonic)?_attention",
            r"location_sensitive_attention",
            r"query_layer",
        ),
        (r"attention_[vbg]",),
        _ATTENTION,
    ),
    Wrapper(
        "the attention decoder of legacy_seq2seq",
        (r"Attention(_\d+)?", r"AttnOutputProjection", r"attn_output_projection"),
        (r"Attn[WV]_\d+", r"attn_?[wv]_\d+"),
        _ATTENTION,
    ),
    Wrapper("EmbeddingWrapper", (r"embedding_wrapper|EmbeddingWrapper",), (), ""),
)

OPTIMIZER_SLOTS = (
    "Adam",
    "AdaMax",
    "AMSGrad",
    "Nadam",
    "AdamW",
    "LazyAdam",
    "Adafactor",
    "Adadelta",
    "AdadeltaAccum",
    "Adagrad",
    "AdagradDA",
    "Momentum",
    "RMSProp",
    "Ftrl",
    "ftrl",
    "ProximalAdagrad",
    "AddSign",
    "PowerSign",
    "adam_m",
    "adam_v",
    "lamb_m",
    "lamb_v",
    "gradient_squared_accumulator",
    "gradient_accumulator",
)
"""Last segments that optimizers give their slots; a number may follow (``Adam_1``)."""
AVERAGE = "ExponentialMovingAverage"
