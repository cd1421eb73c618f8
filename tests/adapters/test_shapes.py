"""Variables that do not fit together are an error that names both, with their shapes."""

import numpy as np
import pytest

from lstmbridge.adapters import recognise
from lstmbridge.errors import NotRecognised

SCOPE = "rnn/lstm_cell"
GOOD = {"kernel": (7, 8), "bias": (8,)}
MISFITS = [
    ({"bias": (12,)}, ("bias (12,)", "kernel (7, 8)")),
    ({"kernel": (7, 9)}, ("kernel (7, 9)",)),
    ({"kernel": (2, 8)}, ("kernel (2, 8)",)),
    ({"kernel": (7, 8, 1)}, ("kernel (7, 8, 1)",)),
    ({"kernel": ()}, ("kernel ()",)),
    ({"kernel": (0, 0)}, ("kernel (0, 0)",)),
    ({f"w_{g}_diag": (3,) for g in "ifo"}, ("w_i_diag (3,)", "kernel (7, 8)")),
    ({"w_f_diag": (2,)}, ("w_f_diag",)),
    ({"projection/kernel": (3, 4)}, ("projection/kernel (3, 4)", "kernel (7, 8)")),
    ({"projection/kernel": (2, 7)}, ("kernel (7, 8)",)),
    ({"projection/kernel": (2,)}, ("projection/kernel (2,)",)),
]


@pytest.mark.parametrize(("changes", "named"), MISFITS)
def test_a_misfit_names_the_variables_and_their_shapes(see, changes, named):
    with pytest.raises(NotRecognised) as caught:
        see({f"{SCOPE}/{name}": shape for name, shape in (GOOD | changes).items()})
    for part in named:
        assert part in str(caught.value)


@pytest.mark.parametrize("gone", ["kernel", "bias"])
def test_a_missing_variable_is_named_with_those_that_are_there(see, gone):
    shapes = {f"{SCOPE}/{name}": shape for name, shape in GOOD.items() if name != gone}
    with pytest.raises(NotRecognised, match=f"lacks a {gone}"):
        see(shapes)


def test_variables_of_two_releases_in_one_scope_are_refused(see):
    with pytest.raises(NotRecognised, match="biases"):
        see({f"{SCOPE}/kernel": (7, 8), f"{SCOPE}/biases": (8,)})


def test_a_missing_row_shard_is_noticed(see):
    shapes = {"RNN/LSTMCell/W_0": (3, 8), "RNN/LSTMCell/W_2": (3, 8), "RNN/LSTMCell/B": (8,)}
    with pytest.raises(NotRecognised, match="W_2"):
        see(shapes)


def test_row_shards_of_different_widths_are_refused(see):
    shapes = {"RNN/LSTMCell/W_0": (3, 8), "RNN/LSTMCell/W_1": (3, 4), "RNN/LSTMCell/B": (8,)}
    with pytest.raises(NotRecognised):
        see(shapes)


@pytest.mark.parametrize("bad", [np.int32, np.complex64, np.int8])
def test_weights_that_are_no_floating_point_numbers_are_refused(source, bad):
    shapes = {f"{SCOPE}/{name}": shape for name, shape in GOOD.items()}
    with pytest.raises(NotRecognised, match="floating point"):
        recognise(source(shapes, dtypes=dict.fromkeys(shapes, bad)))


def test_a_kernel_and_a_bias_of_different_precision_are_refused(source):
    shapes = {f"{SCOPE}/{name}": shape for name, shape in GOOD.items()}
    with pytest.raises(NotRecognised, match="float64"):
        recognise(source(shapes, dtypes={f"{SCOPE}/bias": np.float64}))


def test_a_broken_stack_beside_a_good_one_is_listed_and_never_half_converted(see, lstm):
    shapes = lstm("good/rnn/basic_lstm_cell", 5, 2)
    shapes |= lstm("bad/rnn/multi_rnn_cell/cell_0/basic_lstm_cell", 5, 2)
    shapes["bad/rnn/multi_rnn_cell/cell_1/basic_lstm_cell/kernel"] = (4, 8)
    found = see(shapes)
    assert [part.name for part in found.parts] == ["good/rnn"]
    assert [refusal.where for refusal in found.refusals] == ["bad/rnn"]
