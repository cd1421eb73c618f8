"""Every class of cells that is converted: its variables in every era, its defaults, its gates."""

import numpy as np
import pytest

from lstmbridge.adapters import recognise
from lstmbridge.contracts import Hints
from lstmbridge.errors import CannotExpress, FactConflict, NotRecognised
from lstmbridge.gates import InMemory
from lstmbridge.model.facts import Basis
from lstmbridge.model.forward import forward

I, H, P = 5, 6, 4
NORMS = {
    f"{scope}/{name}": (H,)
    for scope in ("input", "transform", "forget", "output", "state")
    for name in ("gamma", "beta")
}
GRU = [(I + H, 2 * H), (2 * H,), (I + H, H), (H,)]
RNN = [(I + H, H), (H,)]


def _named(names, shapes):
    return dict(zip(names.split(), shapes, strict=True))


# scope, variables, class, kind of cell
CELLS = [
    ("RNN/BasicRNNCell", _named("Linear/Matrix Linear/Bias", RNN), "BasicRNNCell", "RNN"),
    ("rnn/basic_rnn_cell", _named("weights biases", RNN), "BasicRNNCell", "RNN"),
    ("rnn/basic_rnn_cell", _named("kernel bias", RNN), "BasicRNNCell", "RNN"),
    (
        "RNN/GRUCell",
        _named(
            "Gates/Linear/Matrix Gates/Linear/Bias Candidate/Linear/Matrix Candidate/Linear/Bias",
            GRU,
        ),
        "GRUCell",
        "GRU",
    ),
    (
        "rnn/gru_cell",
        _named("gates/weights gates/biases candidate/weights candidate/biases", GRU),
        "GRUCell",
        "GRU",
    ),
    (
        "rnn/gru_cell",
        _named("gates/kernel gates/bias candidate/kernel candidate/bias", GRU),
        "GRUCell",
        "GRU",
    ),
    (
        "rnn/GRUBlockCellV2",
        _named("gates/kernel gates/bias candidate/kernel candidate/bias", GRU),
        "GRUBlockCellV2",
        "GRU",
    ),
    ("rnn/GRUBlockCell", _named("w_ru b_ru w_c b_c", GRU), "GRUBlockCell", "GRU"),
    ("rnn/gru_cell", _named("w_ru b_ru w_c b_c", GRU), "GRUBlockCell", "GRU"),
    (
        "cudnn_gru/rnn/multi_rnn_cell/cell_0/cudnn_compatible_gru_cell",
        {
            "gates/kernel": (I + H, 2 * H),
            "gates/bias": (2 * H,),
            "candidate/input_projection/kernel": (I, H),
            "candidate/input_projection/bias": (H,),
            "candidate/hidden_projection/kernel": (H, H),
            "candidate/hidden_projection/bias": (H,),
        },
        "CudnnCompatibleGRUCell",
        "GRU",
    ),
    (
        "RNN/LayerNormBasicLSTMCell",
        {"linear/weights": (I + H, 4 * H), **NORMS},
        "LayerNormBasicLSTMCell",
        "LayerNormLSTM",
    ),
    (
        "rnn/layer_norm_basic_lstm_cell",
        {"weights": (I + H, 4 * H), **NORMS},
        "LayerNormBasicLSTMCell",
        "LayerNormLSTM",
    ),
    (
        "rnn/layer_norm_basic_lstm_cell",
        {"kernel": (I + H, 4 * H), **NORMS},
        "LayerNormBasicLSTMCell",
        "LayerNormLSTM",
    ),
    (
        "RNN/LayerNormBasicLSTMCell",
        {"linear/weights": (I + H, 4 * H), "linear/b": (4 * H,)},
        "LayerNormBasicLSTMCell",
        "LSTM",
    ),
    (
        "rnn/layer_norm_basic_lstm_cell",
        {"kernel": (I + H, 4 * H), "bias": (4 * H,)},
        "LayerNormBasicLSTMCell",
        "LSTM",
    ),
    (
        "RNN/CoupledInputForgetGateLSTMCell",
        {"W_0": (4, 3 * H), "W_1": (3, 3 * H), "W_2": (4, 3 * H), "B": (3 * H,)},
        "CoupledInputForgetGateLSTMCell",
        "CoupledLSTM",
    ),
    (
        "rnn/coupled_input_forget_gate_lstm_cell",
        {
            "W_0": (I + P, 3 * H),
            "B": (3 * H,),
            "W_F_diag": (H,),
            "W_O_diag": (H,),
            "W_P_0": (2, P),
            "W_P_1": (4, P),
        },
        "CoupledInputForgetGateLSTMCell",
        "CoupledLSTM",
    ),
    ("rnn/ugrnn_cell", _named("weights biases", [(I + H, 2 * H), (2 * H,)]), "UGRNNCell", "UGRNN"),
    ("rnn/ugrnn_cell", _named("kernel bias", [(I + H, 2 * H), (2 * H,)]), "UGRNNCell", "UGRNN"),
    (
        "rnn/intersection_rnn_cell",
        {
            "in_projection/kernel": (I, H),
            "in_projection/bias": (H,),
            "kernel": (2 * H, 4 * H),
            "bias": (4 * H,),
        },
        "IntersectionRNNCell",
        "Intersection",
    ),
    (
        "rnn/nas_cell",
        {"recurrent_kernel": (H, 8 * H), "kernel": (I, 8 * H)},
        "NASCell",
        "NAS",
    ),
    (
        "rnn/nas_cell",
        {
            "recurrent_kernel": (P, 8 * H),
            "kernel": (I, 8 * H),
            "bias": (8 * H,),
            "projection_weights": (H, P),
        },
        "NASCell",
        "NAS",
    ),
    (
        "rnn/indy_lstm_cell",
        {"kernel_w": (I, 4 * H), "kernel_u": (1, 4 * H), "bias": (4 * H,)},
        "IndyLSTMCell",
        "IndyLSTM",
    ),
    (
        "rnn/indy_gru_cell",
        {
            "gates/kernel_w": (I, 2 * H),
            "gates/kernel_u": (1, 2 * H),
            "gates/bias": (2 * H,),
            "candidate/kernel": (I, H),
            "candidate/kernel_u": (1, H),
            "candidate/bias": (H,),
        },
        "IndyGRUCell",
        "IndyGRU",
    ),
    (
        "rnn/glstm_cell",
        {"group0/kernel": (I + P, 4 * H), "projection/kernel": (H, P)}
        | {f"bias_{g}": (H,) for g in "ijfo"},
        "GLSTMCell",
        "LSTM",
    ),
]


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_a_class_is_recognised_by_the_names_of_each_era(see, scope, variables, name, kind):
    found = see({f"{scope}/{n}": shape for n, shape in variables.items()})
    [part] = found.parts
    [layer] = part.model.layers
    assert kind == layer.cell.KIND
    assert (part.model.input_size, layer.cell.units) == (I, H)
    assert part.model.facts["cell"].value == name
    assert part.dialect.startswith(name)
    assert found.ignored == ()
    assert sorted(n for names in part.variables.values() for n in names) == sorted(
        f"{scope}/{n}" for n in variables
    )


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_a_class_may_be_stated_where_its_names_say_it(see, scope, variables, name, kind):
    found = see({f"{scope}/{n}": shape for n, shape in variables.items()}, cell=name)
    assert kind == found.parts[0].model.layers[0].cell.KIND
    assert found.parts[0].model.facts["cell"].basis is Basis.GIVEN


# a NASCell without its bias, a GLSTMCell without its projection, are cells as well; of row shards
# the last ones may be missed by nobody
OPTIONAL = {"W_P_0", "W_P_1", "W_2", "projection/kernel"}
OPTIONS = {"NASCell": {"bias"}}


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_a_cell_that_lacks_a_variable_is_no_cell(see, scope, variables, name, kind):
    for missing in set(variables) - OPTIONAL - OPTIONS.get(name, set()):
        shapes = {f"{scope}/{n}": s for n, s in variables.items() if n != missing}
        with pytest.raises((NotRecognised, CannotExpress)) as caught:
            see(shapes)
        assert scope in f"{caught.value.read} {caught.value.where}"


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_variables_of_one_cell_that_do_not_fit_together_are_named(
    see, scope, variables, name, kind
):
    for wrong in variables:
        shapes = {f"{scope}/{n}": shape for n, shape in variables.items()}
        shapes[f"{scope}/{wrong}"] = tuple(n + 1 for n in variables[wrong])
        with pytest.raises(NotRecognised) as caught:
            see(shapes)
        assert scope in caught.value.read


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_a_cell_whose_variables_differ_in_dtype_is_refused(source, scope, variables, name, kind):
    names = [f"{scope}/{n}" for n in variables]
    shapes = dict(zip(names, variables.values(), strict=True))
    with pytest.raises(NotRecognised, match=r"float64|lacks|has no"):
        recognise(source(shapes, dtypes={names[-1]: np.float64}))
    with pytest.raises(NotRecognised, match=r"int32"):
        recognise(source(shapes, dtypes=dict.fromkeys(names, np.int32)))


DEFAULTS = {
    "BasicRNNCell": {"activation": "tanh"},
    "GRUCell": {"activation": "tanh", "gate_activation": "sigmoid", "reset_after": False},
    "GRUBlockCell": {"activation": "tanh", "gate_activation": "sigmoid", "reset_after": False},
    "CudnnCompatibleGRUCell": {"activation": "tanh", "reset_after": True},
    "LayerNormBasicLSTMCell": {"activation": "tanh", "forget_bias": 1.0},
    "CoupledInputForgetGateLSTMCell": {
        "activation": "tanh",
        "forget_bias": 1.0,
        "proj_clip": None,
    },
    "UGRNNCell": {"activation": "tanh", "forget_bias": 1.0},
    "IntersectionRNNCell": {"activation": "relu", "forget_bias": 1.0},
    "NASCell": {},
    "IndyLSTMCell": {"activation": "tanh", "forget_bias": 1.0},
    "IndyGRUCell": {"activation": "tanh"},
    "GLSTMCell": {"activation": "tanh", "forget_bias": 1.0, "cell_clip": None},
}
# what is a definition of the class, not an option
DEFINITIONS = {
    "GRUCell": {"gate_activation", "reset_after"},
    "GRUBlockCell": {"activation", "gate_activation", "reset_after"},
    "CudnnCompatibleGRUCell": {"activation", "gate_activation", "reset_after"},
    "GLSTMCell": {"gate_activation", "cell_clip", "proj_clip"},
}


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), CELLS)
def test_what_weights_do_not_show_has_the_default_of_its_class(see, scope, variables, name, kind):
    if name not in DEFAULTS:
        return
    found = see({f"{scope}/{n}": shape for n, shape in variables.items()})
    facts = found.parts[0].model.layers[0].cell.facts
    assert {n: facts[n].value for n in DEFAULTS[name]} == DEFAULTS[name]
    for fact in DEFAULTS[name]:
        definition = fact in DEFINITIONS.get(name, ()) or (
            fact == "proj_clip" and "W_P_0" not in variables
        )
        wanted = Basis.READ if definition else Basis.ASSUMED
        if kind != "LSTM" or name == "GLSTMCell":
            assert facts[fact].basis is wanted, fact


def test_layer_norm_adds_more_to_the_variance_in_float16(source):
    shapes = {"rnn/layer_norm_basic_lstm_cell/kernel": (I + H, 4 * H)}
    shapes |= {f"rnn/layer_norm_basic_lstm_cell/{n}": s for n, s in NORMS.items()}
    for dtype, epsilon in ((np.float32, 1e-12), (np.float16, 1e-3), (np.float64, 1e-12)):
        found = recognise(source(shapes, dtypes=dict.fromkeys(shapes, dtype)))
        fact = found.parts[0].model.layers[0].cell.facts["epsilon"]
        assert (fact.value, fact.basis) == (epsilon, Basis.ASSUMED)


@pytest.mark.parametrize(
    ("scope", "activation"),
    [("cudnn_rnn_tanh", "tanh"), ("cudnn_rnn_relu", "relu"), ("cudnn_rnn_relu_1", "relu")],
)
def test_the_scope_of_a_cudnn_rnn_says_its_activation(see, scope, activation):
    shapes = {
        f"{scope}/rnn/multi_rnn_cell/cell_0/basic_rnn_cell/{n}": s
        for n, s in zip(("kernel", "bias"), RNN, strict=True)
    }
    fact = see(shapes).parts[0].model.layers[0].cell.facts["activation"]
    assert (fact.value, fact.basis) == (activation, Basis.ASSUMED)
    fact = see(shapes, activation="softsign").parts[0].model.layers[0].cell.facts["activation"]
    assert (fact.value, fact.basis) == ("softsign", Basis.GIVEN)


def _cell(see, name, **hints):
    scope, variables, *_ = next(row for row in CELLS if row[2] == name)
    shapes = {f"{scope}/{n}": shape for n, shape in variables.items()}
    return see(shapes, **hints).parts[0].model.layers[0].cell


def test_a_flag_states_a_constant_where_the_class_has_it(see):
    for name in ("GRUCell", "BasicRNNCell", "UGRNNCell", "IndyGRUCell", "IntersectionRNNCell"):
        fact = _cell(see, name, activation="elu").facts["activation"]
        assert (fact.value, fact.basis) == ("elu", Basis.GIVEN)
    for name in ("UGRNNCell", "IntersectionRNNCell", "IndyLSTMCell", "GLSTMCell"):
        fact = _cell(see, name, forget_bias=0.5).facts["forget_bias"]
        assert (fact.value, fact.basis) == (0.5, Basis.GIVEN)


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("GRUCell", {"forget_bias": 1.0}),
        ("GRUCell", {"cell_clip": 1.0}),
        ("GRUBlockCell", {"activation": "relu"}),
        ("CudnnCompatibleGRUCell", {"activation": "relu"}),
        ("NASCell", {"activation": "tanh"}),
        ("UGRNNCell", {"cell_clip": 3.0}),
        ("CoupledInputForgetGateLSTMCell", {"proj_clip": 0.5}),
        ("BasicRNNCell", {"cell": "UGRNNCell"}),
    ],
)
def test_a_flag_that_the_class_has_no_room_for_is_a_conflict(see, name, hints):
    with pytest.raises(FactConflict):
        _cell(see, name, **hints)


def test_a_flag_that_repeats_the_definition_of_a_class_is_welcome(see):
    for name in ("GRUBlockCell", "CudnnCompatibleGRUCell"):
        assert _cell(see, name, activation="tanh").facts["activation"].basis is Basis.READ


def test_a_flag_is_taken_by_those_layers_of_a_mixed_stack_that_have_it(see, lstm):
    stack = "rnn/multi_rnn_cell"
    shapes = lstm(f"{stack}/cell_0/basic_lstm_cell", I, H)
    gru = _named("w_ru b_ru w_c b_c", [(2 * H, 2 * H), (2 * H,), (2 * H, H), (H,)])
    shapes |= {f"{stack}/cell_1/gru_cell/{n}": s for n, s in gru.items()}
    shapes |= {f"{stack}/cell_2/basic_rnn_cell/{n}": (2 * H, H)[-k:] for n, k in RNN_NAMES}
    [part] = see(shapes, forget_bias=0.0, activation="relu").parts
    cells = [layer.cell for layer in part.model.layers]
    assert [cell.KIND for cell in cells] == ["LSTM", "GRU", "RNN"]
    assert cells[0].forget_bias.value == 0.0
    assert [cell.facts["activation"].value for cell in cells] == ["relu", "tanh", "relu"]
    values = {n: f.value for n, f in part.model.facts.items() if n.startswith("cell")}
    assert values == {"cell": "BasicLSTMCell", "cell_2": "GRUBlockCell", "cell_3": "BasicRNNCell"}


RNN_NAMES = (("kernel", 2), ("bias", 1))


@pytest.mark.parametrize(
    "scopes",
    [
        ("bidirectional_rnn/fw/{}", "bidirectional_rnn/bw/{}"),
        (
            "stack_bidirectional_rnn/cell_0/bidirectional_rnn/fw/{}",
            "stack_bidirectional_rnn/cell_0/bidirectional_rnn/bw/{}",
        ),
    ],
)
@pytest.mark.parametrize("row", CELLS)
def test_any_cell_may_run_in_two_directions(see, scopes, row):
    scope, variables, _, kind = row
    cell = scope.rpartition("/")[2]
    shapes = {
        f"{place.format(cell)}/{n}": shape for place in scopes for n, shape in variables.items()
    }
    [part] = see(shapes).parts
    assert [layer.direction for layer in part.model.layers] == ["fw", "bw"]
    assert {layer.cell.KIND for layer in part.model.layers} == {kind}
    assert part.model.output_size == 2 * part.model.layers[0].cell.output_size


OWN = [row for row in CELLS if row[2] in {"GRUCell", "GRUBlockCell", "NASCell", "IndyGRUCell"}]


@pytest.mark.parametrize(("scope", "variables", "name", "kind"), OWN)
def test_a_cell_under_a_name_of_its_own_is_known_by_its_variables_and_doubted(
    see, scope, variables, name, kind
):
    place = "rnn/multi_rnn_cell/cell_0/encoder"
    found = see({f"{place}/{n}": shape for n, shape in variables.items()})
    assert kind == found.parts[0].model.layers[0].cell.KIND
    assert found.parts[0].model.facts["cell"].basis is Basis.ASSUMED
    assert any("name of its own" in text and name in text for text in found.warnings)


@pytest.mark.parametrize("name", ["BasicRNNCell", "UGRNNCell", "IndyLSTMCell", "GLSTMCell"])
def test_a_cell_whose_variables_prove_nothing_is_known_by_its_users_word(see, name):
    _, variables, _, kind = next(row for row in CELLS if row[2] == name)
    shapes = {f"net/core/{n}": shape for n, shape in variables.items()}
    [part] = see(shapes, cell=name, select="net/core").parts
    assert kind == part.model.layers[0].cell.KIND
    assert part.model.facts["cell"].basis is Basis.GIVEN


def test_one_cell_in_all_layers_may_be_any_cell(see):
    stack = "rnn/multi_rnn_cell/cell_0/gru_cell"
    gru = [(2 * H, 2 * H), (2 * H,), (2 * H, H), (H,)]
    names = "gates/kernel gates/bias candidate/kernel candidate/bias"
    shapes = {f"{stack}/{n}": s for n, s in _named(names, gru).items()}
    [part] = see(shapes, layers=3).parts
    cells = [layer.cell for layer in part.model.layers]
    assert len(cells) == 3
    assert cells[0] is cells[1] is cells[2]


def test_the_candidates_activation_of_groups_is_tanh_or_it_is_refused(see):
    assert _cell(see, "GLSTMCell", activation="tanh").facts["activation"].basis is Basis.GIVEN
    with pytest.raises(CannotExpress, match="to the output only"):
        _cell(see, "GLSTMCell", activation="relu")


def _groups_step(x, state, kernels, biases, projection):
    """`tf.contrib.rnn.GLSTMCell.call`, group by group."""

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    (h, c), count = state, len(kernels)
    xs, hs = np.split(x, count, axis=1), np.split(h, count, axis=1)
    parts = [
        np.split(np.concatenate(pair, axis=1) @ kernel, 4, axis=1)
        for *pair, kernel in zip(xs, hs, kernels, strict=True)
    ]
    i, j, f, o = (
        np.concatenate(gate, axis=1) + bias
        for gate, bias in zip(zip(*parts, strict=True), biases, strict=True)
    )
    c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
    return (sigmoid(o) * np.tanh(c)) @ projection, c


def test_groups_are_one_lstm_with_zeros_where_they_do_not_see_each_other(source):
    groups, inputs, width, output = 2, 4, 6, 2
    rows, columns = (inputs + output) // groups, 4 * width // groups
    shapes = {f"rnn/glstm_cell/group{k}/kernel": (rows, columns) for k in range(groups)}
    shapes |= {f"rnn/glstm_cell/bias_{g}": (width,) for g in "ijfo"}
    shapes["rnn/glstm_cell/projection/kernel"] = (width, output)
    draw = np.random.default_rng(5)
    arrays = {name: draw.normal(size=shape) for name, shape in shapes.items()}
    opened = source(shapes)
    tensors = {name: InMemory(name, array) for name, array in arrays.items()}
    [part] = recognise(_with(opened, tensors), Hints()).parts
    x = draw.normal(size=(2, 3, inputs))
    got = forward(part.model, {"inputs": x})
    h, c = np.zeros((2, output)), np.zeros((2, width))
    for t in range(3):
        h, c = _groups_step(
            x[:, t],
            (h, c),
            [arrays[f"rnn/glstm_cell/group{k}/kernel"] for k in range(groups)],
            [arrays[f"rnn/glstm_cell/bias_{g}"] for g in "ijfo"],
            arrays["rnn/glstm_cell/projection/kernel"],
        )
        np.testing.assert_allclose(got["outputs"][:, t], h, rtol=1e-12, strict=True)
    np.testing.assert_allclose(got["layer0_c"], c, rtol=1e-12, strict=True)
    names = part.variables["layer0"]
    assert sorted(names) == sorted(shapes)


def _with(opened, tensors):
    return type(opened)(tensors)


def test_unequal_groups_are_no_cell(see):
    shapes = {"rnn/glstm_cell/group0/kernel": (5, 12), "rnn/glstm_cell/group1/kernel": (4, 12)}
    shapes |= {f"rnn/glstm_cell/bias_{g}": (6,) for g in "ijfo"}
    with pytest.raises(NotRecognised, match="glstm_cell"):
        see(shapes)


def test_an_intersection_is_as_wide_as_its_input_or_projected(see):
    scope = "rnn/intersection_rnn_cell"
    plain = {f"{scope}/kernel": (2 * H, 4 * H), f"{scope}/bias": (4 * H,)}
    assert see(plain).parts[0].model.attachments == ()
    wide = {f"{scope}/kernel": (H + 7, 4 * H), f"{scope}/bias": (4 * H,)}
    with pytest.raises(NotRecognised, match="kernel"):
        see(wide)
    projected = plain | {
        f"{scope}/in_projection/kernel": (I, H),
        f"{scope}/in_projection/bias": (H,),
    }
    [part] = see(projected).parts
    [dense] = part.model.attachments
    assert (dense.name, part.model.input_size) == ("dense0", I)
    assert dense.block.activation.basis is Basis.READ
    assert part.variables["dense0"] == (
        f"{scope}/in_projection/kernel",
        f"{scope}/in_projection/bias",
    )
