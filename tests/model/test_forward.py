"""A network over a batch of sequences, against loops written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.arrays import Rounding
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Residual, Sequence
from lstmbridge.model.cells import GRU, LSTM, RNN
from lstmbridge.model.forward import forward, reverse_prefix
from lstmbridge.model.signature import States, signature_of


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def hand_written(cell, row, h, c, length):
    """One row through one LSTM, number by number; returns outputs, h, c."""
    w, u = cell.kernel, cell.recurrent
    peep = cell.peephole
    clip, proj_clip = cell.cell_clip.value, cell.proj_clip.value
    h, c = h.astype(np.float64), c.astype(np.float64)
    outputs = np.zeros((len(row), cell.output_size))
    for t in range(length):
        new_c, new_m = np.zeros(cell.units), np.zeros(cell.units)
        for k in range(cell.units):
            a = dict.fromkeys("ifco", 0.0)
            for g in "ifco":
                a[g] += sum(float(row[t][n]) * float(w[g][n, k]) for n in range(cell.input_size))
                a[g] += sum(h[n] * float(u[g][n, k]) for n in range(cell.output_size))
                if cell.bias is not None:
                    a[g] += float(cell.bias[g][k])
            a["f"] += cell.forget_bias.value
            if peep:
                a["i"] += float(peep["i"][k]) * c[k]
                a["f"] += float(peep["f"][k]) * c[k]
            new_c[k] = sigmoid(a["f"]) * c[k] + sigmoid(a["i"]) * np.tanh(a["c"])
            if clip is not None:
                new_c[k] = min(max(new_c[k], -clip), clip)
            if peep:
                a["o"] += float(peep["o"][k]) * new_c[k]
            new_m[k] = sigmoid(a["o"]) * np.tanh(new_c[k])
        c, h = new_c, new_m
        if cell.projection is not None:
            h = new_m @ cell.projection.load().astype(np.float64)
            if proj_clip is not None:
                h = np.clip(h, -proj_clip, proj_clip)
        outputs[t] = h
    return outputs, h, c


def hand_written_stack(model, feeds):
    x, batch = feeds["inputs"], len(feeds["inputs"])
    lengths = feeds.get("sequence_length", np.full(batch, x.shape[1]))
    finals = {}
    for layer in model.layers:
        sizes = layer.cell.state_sizes
        zeros = {s: np.zeros((batch, n)) for s, n in sizes.items()}
        first = {s: feeds.get(layer.initial_name(s), zeros[s]) for s in sizes}
        rows = [
            hand_written(layer.cell, x[b], first["h"][b], first["c"][b], lengths[b])
            for b in range(batch)
        ]
        x = np.stack([row[0] for row in rows])
        finals[layer.state_name("h")] = np.stack([row[1] for row in rows])
        finals[layer.state_name("c")] = np.stack([row[2] for row in rows])
    return {"outputs": x, **finals}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-13, strict=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"forget_bias": 0.0},
        {"without": ("bias", "peephole")},
        {"without": ()},
        {"without": (), "cell_clip": 0.3},
        {"projection": 2},
        {"projection": 2, "proj_clip": 0.1, "without": ()},
        {"dtype": np.float16},
        {"dtype": np.float64, "scale": 5.0},
    ],
    ids=str,
)
def test_an_lstm_stack_is_the_hand_written_loop(networks, options):
    model = networks.stack(LSTM, count=2, **options)
    feeds = {"inputs": networks.numbers(3, 5, 3, scale=1.0)}
    assert_same(forward(model, feeds), hand_written_stack(model, feeds))


def test_lengths_and_states_are_those_of_the_hand_written_loop(networks):
    model = networks.stack(LSTM, count=2)
    feeds = {
        "inputs": networks.numbers(4, 6, 3, scale=1.0),
        "sequence_length": np.array([6, 0, 1, 4], np.int32),
        **{x.initial_name(s): networks.numbers(4, 4) for x in model.layers for s in "hc"},
    }
    assert_same(forward(model, feeds), hand_written_stack(model, feeds))


class TestLengths:
    @pytest.fixture(params=[LSTM, GRU, RNN], ids=lambda k: k.KIND)
    def model(self, request, networks):
        return networks.stack(request.param)

    @pytest.fixture
    def feeds(self, networks, model):
        states = {
            x.initial_name(s): networks.numbers(4, n)
            for x in model.layers
            for s, n in x.cell.state_sizes.items()
        }
        return {
            "inputs": networks.numbers(4, 5, 3),
            "sequence_length": np.array([5, 0, 1, 3]),
            **states,
        }

    def test_past_its_end_a_rows_outputs_are_zero(self, model, feeds):
        y = forward(model, feeds)["outputs"]
        for row, length in enumerate(feeds["sequence_length"]):
            assert not y[row, length:].any()
            assert y[row, :length].all()

    def test_past_its_end_a_rows_states_hold(self, model, feeds):
        whole = forward(model, feeds)
        for row, length in enumerate(feeds["sequence_length"]):
            if length:
                alone = {k: v[row : row + 1] for k, v in feeds.items()}
                alone["inputs"] = alone["inputs"][:, :length]
                del alone["sequence_length"]
                for name, values in forward(model, alone).items():
                    if name != "outputs":
                        np.testing.assert_allclose(whole[name][row], values[0], atol=1e-14)

    def test_a_row_of_length_zero_keeps_its_initial_states(self, model, feeds):
        found = forward(model, feeds)
        for layer in model.layers:
            for state in layer.cell.STATES:
                fed = feeds[layer.initial_name(state)][1]
                assert np.array_equal(found[layer.state_name(state)][1], fed)

    def test_what_stands_in_the_padding_does_not_matter(self, model, feeds):
        spoiled = feeds["inputs"].copy()
        for row, length in enumerate(feeds["sequence_length"]):
            spoiled[row, length:] = 1e6
        found = forward(model, {**feeds, "inputs": spoiled})
        assert_same(found, forward(model, feeds))

    def test_full_lengths_are_no_lengths(self, model, feeds):
        del feeds["sequence_length"]
        full = {**feeds, "sequence_length": np.full(4, 5)}
        assert_same(forward(model, full), forward(model, feeds))


class TestDirections:
    def test_the_backward_layer_sees_the_valid_prefix_reversed(self, networks):
        model = networks.bidirectional(count=1)
        block = model.root.blocks[0]
        x, lengths = networks.numbers(3, 5, 3), [5, 2, 0]
        found = forward(model, {"inputs": x, "sequence_length": np.array(lengths)})
        backward = Model("", block.backward)
        for row, length in enumerate(lengths):
            if length:
                alone = forward(backward, {"inputs": x[row : row + 1, :length][:, ::-1]})
                y = found["outputs"][row, :length, 4:]
                np.testing.assert_allclose(y, alone["outputs"][0, ::-1], atol=1e-14)
                np.testing.assert_allclose(
                    found["layer_bw0_h"][row], alone["layer0_h"][0], atol=1e-14
                )
            assert not found["outputs"][row, length:].any()

    def test_stacked_directions_see_both_of_the_layer_below(self, networks):
        model = networks.bidirectional(count=2)
        feeds = {"inputs": networks.numbers(2, 4, 3)}
        below = forward(Model("", model.root.blocks[0]), feeds)["outputs"]
        above = forward(Model("", model.root.blocks[1]), {"inputs": below})["outputs"]
        assert np.array_equal(forward(model, feeds)["outputs"], above)

    def test_two_stacks_each_see_their_own_direction_only(self, networks):
        forwards, backwards = networks.layers(), networks.layers()
        model = Model("", Bidirectional(forwards, backwards))
        feeds = {"inputs": networks.numbers(2, 4, 3)}
        found = forward(model, feeds)
        one = forward(Model("", forwards), feeds)
        two = forward(Model("", backwards), {"inputs": feeds["inputs"][:, ::-1]})
        assert np.array_equal(found["outputs"][..., :4], one["outputs"])
        assert np.array_equal(found["outputs"][..., 4:], two["outputs"][:, ::-1])
        assert np.array_equal(found["layer_bw1_c"], two["layer1_c"])
        assert np.array_equal(found["layer_fw1_c"], one["layer1_c"])

    def test_reversing_a_prefix_twice_is_nothing(self, networks):
        x = networks.numbers(6, 4, 2)
        lengths = np.array([0, 1, 4, 6])
        assert np.array_equal(reverse_prefix(reverse_prefix(x, lengths), lengths), x)
        assert np.array_equal(reverse_prefix(x, np.full(4, 6)), reverse_prefix(x, None))


def test_a_residual_adds_its_input_to_outputs_and_to_no_state(networks):
    cell = networks.cell(inputs=4)
    x = networks.numbers(2, 5, 4)
    feeds = {"inputs": x, "sequence_length": np.array([5, 2])}
    plain = forward(Model("", Recurrent(cell)), feeds)
    added = forward(Model("", Residual(Recurrent(cell))), feeds)
    assert np.array_equal(added["layer0_c"], plain["layer0_c"])
    assert np.array_equal(added["outputs"][0], plain["outputs"][0] + x[0])
    assert np.array_equal(added["outputs"][1, :2], plain["outputs"][1, :2] + x[1, :2])
    assert not added["outputs"][1, 2:].any()


@pytest.mark.parametrize("kind", [LSTM, GRU], ids=lambda k: k.KIND)
def test_no_steps_give_no_outputs_and_the_initial_states(networks, kind):
    model = networks.stack(kind)
    state = networks.numbers(2, 4)
    found = forward(model, {"inputs": np.zeros((2, 0, 3)), "initial_layer0_h": state})
    assert found["outputs"].shape == (2, 0, 4)
    assert np.array_equal(found["layer0_h"], state)
    assert not found["layer1_h"].any()


def test_an_empty_batch_gives_empty_outputs(networks):
    found = forward(networks.bidirectional(), {"inputs": np.zeros((0, 4, 3))})
    assert found["outputs"].shape == (0, 4, 8)
    assert found["layer_bw1_c"].shape == (0, 4)


def test_outputs_are_those_of_the_signature_in_float64(networks):
    model = networks.stack(projection=3)
    found = forward(model, {"inputs": networks.numbers(2, 3, 3)})
    signature = signature_of(
        model, np.dtype(np.float32), states=States.NONE, sequence_length=False
    )
    assert set(found) == set(signature.output_names())
    assert all(values.dtype == np.float64 for values in found.values())
    assert found["layer0_h"].shape == (2, 3)
    assert found["layer0_c"].shape == (2, 4)


def test_a_sequence_may_be_fed_piece_by_piece(networks):
    model = networks.stack()
    x = networks.numbers(2, 9, 3)
    whole = forward(model, {"inputs": x})
    states, pieces = {}, []
    for start in (0, 2, 3, 9):
        stop = {0: 2, 2: 3, 3: 9, 9: 9}[start]
        found = forward(model, {"inputs": x[:, start:stop], **states})
        pieces.append(found.pop("outputs"))
        states = {f"initial_{name}": values for name, values in found.items()}
    assert np.array_equal(np.concatenate(pieces, axis=1), whole["outputs"])


def test_a_shared_cell_is_applied_once_for_each_place(networks):
    cell = Recurrent(networks.cell(inputs=4))
    feeds = {"inputs": networks.numbers(2, 4, 4)}
    once = forward(Model("", cell), feeds)["outputs"]
    twice = forward(Model("", Sequence((cell, cell))), feeds)
    assert np.array_equal(twice["outputs"], forward(Model("", cell), {"inputs": once})["outputs"])
    assert not np.array_equal(twice["layer0_h"], twice["layer1_h"])


def test_the_trace_holds_every_gate_of_every_step(networks):
    model = networks.stack()
    trace = {}
    forward(model, {"inputs": networks.numbers(2, 7, 3)}, trace=trace)
    assert set(trace) == {(layer, gate) for layer in ("layer0", "layer1") for gate in "ifco"}
    assert all(len(steps) == 7 and steps[0].shape == (2, 4) for steps in trace.values())
    assert all((v > 0).all() and (v < 1).all() for v in trace["layer0", "f"])


def test_another_interpreter_gives_other_numbers_near_these(networks):
    model = networks.bidirectional()
    feeds = {"inputs": networks.numbers(2, 5, 3)}
    exact, rough = forward(model, feeds), forward(model, feeds, ops=Rounding("float32", 0))
    for name, values in exact.items():
        assert 0 < np.abs(rough[name] - values).max() < 1e-5
