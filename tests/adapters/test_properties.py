"""Laws that hold for any user scope, any order of variables, any slots mixed in."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lstmbridge.errors import LstmBridgeError

SEGMENT = st.sampled_from(
    ["encoder", "Model", "RNN", "lstm", "net-1", "tower_0", "weights", "a.b", "B", "kernel", "fwd"]
)
SCOPES = st.lists(SEGMENT, max_size=3)
SLOTS = st.sampled_from(["Adam", "Adam_1", "Momentum", "ExponentialMovingAverage", "my_slot"])
FORMS = st.sampled_from(
    [
        ("RNN/MultiRNNCell/Cell{}/BasicLSTMCell/Linear/Matrix", "Linear/Bias", 2),
        ("RNN/MultiRNNCell/Cell{}/LSTMCell/W_0", "B", 1),
        ("rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/weights", "biases", 1),
        ("rnn/multi_rnn_cell/cell_{}/lstm_cell/kernel", "bias", 1),
    ]
)


def _stack(form, units, inputs):
    kernel, bias, depth = form
    shapes = {}
    for k, width in enumerate(units):
        name = kernel.format(k)
        scope = "/".join(name.split("/")[:-depth])
        shapes[name] = (inputs + width, 4 * width)
        shapes[f"{scope}/{bias}"] = (4 * width,)
        inputs = width
    return shapes


def _essence(found):
    [part] = found.parts
    return (
        [(layer.name, layer.cell.input_size, layer.cell.units) for layer in part.model.layers],
        {layer: sorted(names) for layer, names in part.variables.items()},
        part.dialect,
    )


@settings(deadline=None, max_examples=60)
@given(
    plain=st.builds(
        _stack,
        FORMS,
        st.lists(st.integers(1, 5), min_size=1, max_size=12),
        st.integers(1, 7),
    ),
    scopes=SCOPES,
    slots=st.lists(SLOTS, unique=True),
    seed=st.randoms(use_true_random=False),
)
def test_scopes_orders_and_slots_do_not_change_the_model(see, plain, scopes, slots, seed):
    prefix = "".join(f"{s}/" for s in scopes)
    mixed = [(f"{prefix}{name}", shape) for name, shape in plain.items()]
    mixed += [(f"{name}/{slot}", shape) for name, shape in mixed for slot in slots]
    mixed += [("global_step", ()), ("logits/kernel", (5, 4)), ("logits/bias", (4,))]
    seed.shuffle(mixed)
    layers, variables, dialect = _essence(see(dict(mixed)))
    expected_layers, expected_variables, expected_dialect = _essence(see(plain))
    assert layers == expected_layers
    assert dialect == expected_dialect
    assert variables == {
        layer: [f"{prefix}{name}" for name in names] for layer, names in expected_variables.items()
    }


@settings(deadline=None, max_examples=40)
@given(
    names=st.dictionaries(
        st.lists(SEGMENT, min_size=1, max_size=4).map("/".join),
        st.lists(st.integers(0, 9), max_size=4).map(tuple),
        max_size=12,
    )
)
def test_whatever_the_names_and_shapes_the_answer_is_a_result_or_one_of_our_errors(see, names):
    try:
        found = see(names)
    except LstmBridgeError:
        return
    used = {n for part in found.parts for v in part.variables.values() for n in v}
    ignored = {i.name for i in found.ignored}
    assert used | ignored <= set(names)
    assert not used & ignored


def test_a_name_nested_beyond_measure_does_no_harm(see, lstm):
    deep = "/".join(["a"] * 20_000) + "/lstm_cell/kernel"
    found = see(lstm("rnn/basic_lstm_cell", 5, 2) | {deep: (7, 8)})
    assert len(found.parts) == 1
    assert [ignored.name for ignored in found.ignored] == [deep]
