"""Classes and wrappers that are known by name and not converted, and what slots look like.

Names seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5.
"""

from __future__ import annotations

from lstmbridge.adapters.dialects import ForeignClass, Wrapper
from lstmbridge.adapters.wrappers import CONVERTED_WRAPPERS

_NORMED = ("transform/gamma", "forget/gamma", "state/gamma")

FOREIGN_CLASSES: tuple[ForeignClass, ...] = (
    ForeignClass(
        "CoupledInputForgetGateLSTMCell with layer_norm",
        ("coupled_input_forget_gate_lstm_cell", "CoupledInputForgetGateLSTMCell"),
        _NORMED,
        "the model's coupled LSTM has no layer norm",
    ),
    ForeignClass(
        "LayerNormLSTMCell",
        ("layer_norm_lstm_cell", "LayerNormLSTMCell"),
        ("kernel",),
        "it is not LayerNormBasicLSTMCell: its norms stand elsewhere, and it has a bias",
    ),
    ForeignClass(
        "IndRNNCell",
        ("ind_rnn_cell", "IndRNNCell"),
        ("kernel_w",),
        "the model has no RNN of independent units",
    ),
    ForeignClass(
        "IndyLSTMCell or IndRNNCell",
        (),
        (),
        "both call their variables the same; --cell IndyLSTMCell with --select states the first",
        ("kernel_w",),
    ),
    ForeignClass(
        "PhasedLSTMCell",
        ("phased_lstm_cell", "PhasedLSTMCell"),
        ("mask_gates/kernel", "mask_gates/weights", "period"),
        "it takes two inputs, the time of each step and x, and no target has such a layer",
        ("mask_gates/kernel", "mask_gates/weights"),
    ),
    ForeignClass(
        "GridLSTMCell",
        (
            "grid_lstm_cell",
            "GridLSTMCell",
            "bidirectional_grid_lstm_cell",
            "BidirectionalGridLSTMCell",
        ),
        ("W_f_0_0", "W_f_0", "B_f_0", "fwd/W_f_0_0", "fwd/W_f_0"),
        "it runs over frequency inside each step: a loop in a loop",
        ("W_f_0_0", "W_f_0", "fwd/W_f_0_0"),
    ),
    ForeignClass(
        "TimeFreqLSTMCell",
        ("time_freq_lstm_cell", "TimeFreqLSTMCell"),
        ("W_0", "B"),
        "it runs over frequency inside each step: a loop in a loop",
    ),
    ForeignClass(
        "ConvLSTMCell",
        ("conv_lstm_cell", "conv_1d_lstm_cell", "conv_2d_lstm_cell", "conv_3d_lstm_cell"),
        ("kernel", "biases"),
        "its states are images, not vectors",
    ),
    ForeignClass(
        "SRUCell", ("sru_cell", "SRUCell"), ("kernel", "bias"), "the model has no such cell"
    ),
    ForeignClass("CFNCell", ("cfn_cell", "CFNCell"), ("kernel",), "the model has no such cell"),
    ForeignClass(
        "MinimalRNNCell",
        ("minimal_rnn_cell", "MinimalRNNCell"),
        ("kernel",),
        "the model has no such cell",
    ),
    ForeignClass(
        "WeightNormLSTMCell",
        ("wn_lstm_cell", "weight_norm_lstm_cell", "WeightNormLSTMCell"),
        ("kernel",),
        "its kernel is normalised in each step, by variables of its own",
    ),
    ForeignClass(
        "a Keras recurrent layer",
        ("lstm", "gru", "simple_rnn", "lstm_cell", "gru_cell", "simple_rnn_cell"),
        ("recurrent_kernel",),
        "this version reads TensorFlow 1's own cells from such checkpoints",
    ),
    ForeignClass(
        "CudnnLSTM or CudnnGRU parameters in cuDNN's own layout",
        ("cudnn_lstm", "cudnn_gru", "cudnn_rnn_relu", "cudnn_rnn_tanh"),
        ("opaque_kernel",),
        "that layout is known to cuDNN alone; a tf.train.Saver writes canonical variables instead",
        ("opaque_kernel",),
    ),
)

_ATTENTION = "its outputs and inputs are mixed with what attention reads"
WRAPPERS: tuple[Wrapper, ...] = (
    *CONVERTED_WRAPPERS,
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
    Wrapper(
        "NTMCell", (r"ntm_cell|NTMCell",), (), "a memory stands between the cell and its input"
    ),
    Wrapper(
        "a cell of contrib.grid_rnn",
        (r"Grid\d\w*Cell|GridRNNCell",),
        (r"project_[mc]_\d+",),
        "its cells run along other axes than time",
    ),
    Wrapper("EmbeddingWrapper", (r"(embedding_wrapper|EmbeddingWrapper)(_\d+)?",), (), ""),
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
