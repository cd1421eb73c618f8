"""The names of every release, each seen in a checkpoint that this release wrote."""

import pytest

from lstmbridge.errors import UsageError

LATEST = "TensorFlow 1.2 and later"
FIRST = "TensorFlow 1.0 and 1.1"
BEFORE = "TensorFlow 0.12 and before"


def _single(kernel, bias, *, units=5, inputs=3, diagonals=(), projection=None, output=None):
    shapes = {kernel: (inputs + (output or units), 4 * units), bias: (4 * units,)}
    shapes.update(dict.fromkeys(diagonals, (units,)))
    if projection:
        shapes[projection] = (units, output)
    return shapes


ROWS = [
    ("RNN/BasicLSTMCell/Linear/Matrix", "RNN/BasicLSTMCell/Linear/Bias", "BasicLSTMCell", BEFORE),
    ("rnn/basic_lstm_cell/weights", "rnn/basic_lstm_cell/biases", "BasicLSTMCell", FIRST),
    ("rnn/basic_lstm_cell/kernel", "rnn/basic_lstm_cell/bias", "BasicLSTMCell", LATEST),
    ("RNN/LSTMCell/W_0", "RNN/LSTMCell/B", "LSTMCell", BEFORE),
    ("rnn/lstm_cell/weights", "rnn/lstm_cell/biases", "LSTMCell", FIRST),
    ("rnn/lstm_cell/kernel", "rnn/lstm_cell/bias", "LSTMCell", LATEST),
    ("RNN/LSTMBlockCell/W", "RNN/LSTMBlockCell/b", "LSTMBlockCell", BEFORE),
    ("LSTMBlockFusedCell/W_0", "LSTMBlockFusedCell/B", "LSTMBlockFusedCell", BEFORE),
    ("lstm_block_wrapper/weights", "lstm_block_wrapper/biases", "LSTMBlockFusedCell", FIRST),
    ("lstm_block_wrapper/kernel", "lstm_block_wrapper/bias", "LSTMBlockFusedCell", LATEST),
    ("lstm_fused_cell/kernel", "lstm_fused_cell/bias", "LSTMBlockFusedCell", LATEST),
    ("lstm_block_fused_cell/kernel", "lstm_block_fused_cell/bias", "LSTMBlockFusedCell", LATEST),
    (
        "rnn/cudnn_compatible_lstm_cell/kernel",
        "rnn/cudnn_compatible_lstm_cell/bias",
        "CudnnCompatibleLSTMCell",
        LATEST,
    ),
]


@pytest.mark.parametrize(("kernel", "bias", "cell", "era"), ROWS)
def test_a_single_cell_is_known_by_the_names_of_its_release(see, kernel, bias, cell, era):
    [part] = see(_single(kernel, bias)).parts
    assert part.dialect == f"{cell} ({era})"
    [layer] = part.model.layers
    assert (layer.cell.input_size, layer.cell.units, layer.cell.output_size) == (3, 5, 5)
    assert part.variables == {"layer0": (kernel, bias)}
    assert part.model.facts["cell"].value == cell


MULTI = [
    ("RNN/MultiRNNCell/Cell{}/BasicLSTMCell/Linear/Matrix", "Linear/Bias", "RNN"),
    ("RNN/MultiRNNCell/Cell{}/LSTMCell/W_0", "B", "RNN"),
    ("rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/weights", "biases", "rnn"),
    ("rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/kernel", "bias", "rnn"),
    ("Model/RNN/multi_rnn_cell/cell_{}/basic_lstm_cell/kernel", "bias", "Model/RNN"),
    ("model/RNN/MultiRNNCell/Cell{}/BasicLSTMCell/Linear/Matrix", "Linear/Bias", "model/RNN"),
    ("rnnlm/multi_rnn_cell/cell_{}/lstm_cell/kernel", "bias", "rnnlm"),
    ("rnnlm/rnnlm/multi_rnn_cell/cell_{}/lstm_cell/kernel", "bias", "rnnlm/rnnlm"),
    (
        "dynamic_seq2seq/encoder/rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/kernel",
        "bias",
        "dynamic_seq2seq/encoder/rnn",
    ),
    (
        "cudnn_lstm/rnn/multi_rnn_cell/cell_{}/cudnn_compatible_lstm_cell/kernel",
        "bias",
        "cudnn_lstm/rnn",
    ),
    ("multi_rnn_cell/cell_{}/lstm_cell/kernel", "bias", "multi_rnn_cell"),
]


@pytest.mark.parametrize(("kernel", "bias", "name"), MULTI)
@pytest.mark.parametrize("layers", [1, 3, 12])
def test_layers_stand_in_the_order_of_their_numbers(see, kernel, bias, name, layers):
    shapes = {}
    below = 40
    for k in range(layers):
        units = 20 + k
        matrix = kernel.format(k)
        scope = matrix.removesuffix("/Linear/Matrix").rpartition("/")[0]
        if matrix.endswith("/Linear/Matrix"):
            scope = matrix.removesuffix("/Linear/Matrix")
        shapes[matrix] = (below + units, 4 * units)
        shapes[f"{scope}/{bias}"] = (4 * units,)
        below = units
    [part] = see(dict(reversed(shapes.items()))).parts
    assert part.name == name
    assert [layer.cell.units for layer in part.model.layers] == [20 + k for k in range(layers)]
    assert [layer.name for layer in part.model.layers] == [f"layer{k}" for k in range(layers)]


@pytest.mark.parametrize(
    ("kernel", "bias", "diagonals", "projection"),
    [
        ("W_0", "B", ("W_I_diag", "W_F_diag", "W_O_diag"), "W_P_0"),
        ("weights", "biases", ("w_i_diag", "w_f_diag", "w_o_diag"), "projection/weights"),
        ("kernel", "bias", ("w_i_diag", "w_f_diag", "w_o_diag"), "projection/kernel"),
    ],
)
def test_peepholes_and_projection_are_found_in_each_spelling(
    see, kernel, bias, diagonals, projection
):
    scope = "RNN/LSTMCell" if kernel == "W_0" else "rnn/lstm_cell"
    shapes = _single(
        f"{scope}/{kernel}",
        f"{scope}/{bias}",
        units=6,
        diagonals=[f"{scope}/{d}" for d in diagonals],
        projection=f"{scope}/{projection}",
        output=4,
    )
    [part] = see(shapes).parts
    cell = part.model.layers[0].cell
    assert (cell.input_size, cell.units, cell.output_size) == (3, 6, 4)
    assert cell.peephole is not None
    assert [cell.peephole.cut(gate).name for gate in "ifo"] == [f"{scope}/{d}" for d in diagonals]
    assert cell.projection is not None
    assert set(part.variables["layer0"]) == set(shapes)


def test_the_peepholes_of_the_oldest_block_cell_are_told_apart_by_their_letters(see):
    scope = "RNN/LSTMBlockCell"
    shapes = _single(f"{scope}/W", f"{scope}/b", diagonals=[f"{scope}/wc{gate}" for gate in "ifo"])
    cell = see(shapes).parts[0].model.layers[0].cell
    assert [cell.peephole.cut(gate).name for gate in "ifo"] == [f"{scope}/wc{g}" for g in "ifo"]


def test_row_shards_are_laid_under_one_another_in_the_order_of_their_numbers(source):
    from lstmbridge.adapters import recognise

    scope = "RNN/LSTMCell"
    shapes = {f"{scope}/W_{k}": (1, 8) for k in range(12)}
    shapes |= {f"{scope}/B": (8,), f"{scope}/W_P_0": (1, 3), f"{scope}/W_P_1": (1, 3)}
    [part] = recognise(source(shapes, may_load=True)).parts
    cell = part.model.layers[0].cell
    assert (cell.input_size, cell.units, cell.output_size) == (9, 2, 3)
    names = part.variables["layer0"]
    assert names[:12] == tuple(f"{scope}/W_{k}" for k in range(12))
    assert cell.kernel["i"].shape == (9, 2)
    assert cell.projection.load().tolist() == [[0, 1, 2], [0, 1, 2]]
    assert not cell.projection.load().flags.writeable


def test_recognising_reads_no_weights_and_blocks_are_cut_from_the_kernel_by_gate(source, lstm):
    from lstmbridge.adapters import recognise

    unread = recognise(source(lstm("rnn/lstm_cell", 3, 2))).parts[0].model
    assert unread.layers[0].cell.kernel.shape == (3, 2)
    read = recognise(source(lstm("rnn/lstm_cell", 3, 2), may_load=True)).parts[0].model
    cell = read.layers[0].cell
    # columns are i, j, f, o; rows are x, then h
    assert cell.kernel["c"][0].tolist() == [2, 3]
    assert cell.kernel["f"][0].tolist() == [4, 5]
    assert cell.recurrent["i"][0].tolist() == [24, 25]
    assert cell.bias["o"].tolist() == [6, 7]


@pytest.mark.parametrize("scope", ["rnn/basic_lstm_cell_1", "rnn_1/lstm_cell", "rnn/lstm_cell_12"])
def test_names_that_tensorflow_made_unique_are_known(see, lstm, scope):
    assert len(see(lstm(scope, 3, 2)).parts) == 1


OWN = [
    "rnn/my_cell",
    "rnn/multi_rnn_cell/cell_0/encoder",
    "net/rnn/multi_rnn_cell/cell_0/encoder_cell",
]


@pytest.mark.parametrize("scope", OWN)
def test_a_cell_with_a_name_of_its_own_is_known_by_its_place_and_assumed_aloud(see, lstm, scope):
    found = see(lstm(scope, 5, 2))
    assert found.parts[0].model.layers[0].cell.units == 2
    assert found.parts[0].model.facts["cell"].basis == "assumed"
    assert any("name of its own" in text for text in found.warnings)


def test_cells_with_names_of_their_own_are_known_in_both_directions(see, lstm):
    shapes = lstm("bidirectional_rnn/fw/a", 5, 2) | lstm("bidirectional_rnn/bw/b", 5, 3)
    [part] = see(shapes).parts
    assert [layer.name for layer in part.model.layers] == ["layer_fw0", "layer_bw0"]


def test_a_cell_that_lies_nowhere_in_particular_is_taken_when_the_user_points_at_it(see, lstm):
    shapes = lstm("net/core", 5, 2) | lstm("net/other", 5, 2)
    [part] = see(shapes, cell="BasicLSTMCell", select="net/core").parts
    assert part.model.facts["cell"].basis == "given"
    assert part.variables["layer0"] == ("net/core/kernel", "net/core/bias")


def test_a_selected_cell_that_only_its_shapes_betray_asks_for_its_class(see, lstm):
    shapes = lstm("net/core", 5, 2) | lstm("rnn/lstm_cell", 5, 2)
    with pytest.raises(UsageError, match="--cell"):
        see(shapes, select="net/core")
