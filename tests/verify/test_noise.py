"""What an honest runtime may differ by: never less than it does, seldom much more."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lstmbridge import registry
from lstmbridge.arrays import Float64
from lstmbridge.contracts import TargetOptions
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import RNN
from lstmbridge.model.forward import forward
from lstmbridge.verify.compare import ratio_of
from lstmbridge.verify.noise import (
    CHAOS,
    CONSTANT,
    StoredRounding,
    _kernels,
    noise_floor,
    run_model,
)


def naive(model, x, dtype, sigmoid=None):
    """Plain LSTMs one above the other in real arithmetic of `dtype`, a step at a time."""
    sigmoid = sigmoid or (lambda a: dtype(1) / (dtype(1) + np.exp(-a)))
    x = x.astype(dtype)
    finals = {}
    for layer in model.layers:
        cell = layer.cell
        h = np.zeros((len(x), cell.units), dtype)
        c, ys = h, []
        for t in range(x.shape[1]):
            a = {
                g: x[:, t] @ cell.kernel[g].astype(dtype)
                + h @ cell.recurrent[g].astype(dtype)
                + cell.bias[g].astype(dtype)
                for g in "ifco"
            }
            f = sigmoid(a["f"] + dtype(cell.forget_bias.value))
            c = f * c + sigmoid(a["i"]) * np.tanh(a["c"])
            h = sigmoid(a["o"]) * np.tanh(c)
            ys.append(h)
        x = np.stack(ys, axis=1)
        finals |= {f"{layer.name}_h": h, f"{layer.name}_c": c}
    return {"outputs": x, **finals}


def floor_of(model, x, precision="float32"):
    feeds = {"inputs": x}
    expected = run_model(model, feeds)
    run = partial(run_model, model)
    return expected, noise_floor(run, feeds, expected, precision, seed=0, replicas=8)


def worst(actual, expected, floor):
    return max(
        ratio_of(np.abs(actual[k].astype(np.float64) - v), floor.allowed[k]).max()
        for k, v in expected.items()
    )


@pytest.mark.parametrize("scale", [0.05, 0.5, 1.0, 3.0, 6.0])
@pytest.mark.parametrize(("layers", "units", "steps"), [(1, 1, 1), (1, 7, 40), (3, 20, 60)])
def test_real_float32_arithmetic_stays_within_what_is_allowed(
    networks, scale, layers, units, steps
):
    model = networks.stack(inputs=5, units=units, count=layers, scale=scale)
    x = networks.numbers(2, steps, 5, scale=1.0)
    expected, floor = floor_of(model, x)
    assert worst(naive(model, x, np.float32), expected, floor) <= 1.0


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_real_float16_arithmetic_stays_within_what_is_allowed(networks, scale):
    model = networks.stack(units=6, scale=scale, dtype=np.float16)
    x = networks.numbers(2, 12, 3, scale=1.0, dtype=np.float16)
    expected, floor = floor_of(model, x, "float16")
    assert worst(naive(model, x, np.float16), expected, floor) <= 1.0


def test_the_floor_follows_the_precision(networks):
    model = networks.stack()
    x = networks.numbers(2, 10, 3)
    order = ["float64", "float32", "float16", "bfloat16"]
    sizes = [floor_of(model, x, precision)[1].straying["outputs"] for precision in order]
    assert sizes == sorted(sizes)
    assert sizes[1] / sizes[0] > 2.0**27


def test_float16_arithmetic_does_not_pass_for_float32(networks):
    model = networks.stack(units=6)
    x = networks.numbers(2, 12, 3)
    expected, floor = floor_of(model, x)
    assert worst(naive(model, x, np.float16), expected, floor) > 100


def test_float64_weights_stored_in_float32_are_within_the_floor_of_float32(networks):
    model = networks.stack(dtype=np.float64)
    x = networks.numbers(2, 10, 3, scale=1.0)
    expected, floor = floor_of(model, x)
    assert worst(naive(model, x, np.float32), expected, floor) <= 1.0


def test_a_sigmoid_that_is_exact_to_1_and_not_to_its_own_value_is_honest(networks):
    """As in ONNX Runtime: its LSTM gives 0 below -18 and errs by 2 units of 1 at -10."""
    model = networks.stack(units=5, count=1, scale=8.0)
    x = networks.numbers(3, 30, 3, scale=1.0)

    def coarse(a):
        exact = 1.0 / (1.0 + np.exp(-a.astype(np.float64)))
        return np.where(exact < 2.0**-24, 0.0, exact + 2.0**-24).astype(np.float32)

    expected, floor = floor_of(model, x)
    assert worst(naive(model, x, np.float32, coarse), expected, floor) <= 1.0


@pytest.mark.parametrize("gate", "ifco")
def test_one_recurrent_weight_off_by_a_thousandth_stands_out(networks, gate):
    model = networks.stack(units=5, count=1)
    cell = model.layers[0].cell
    blocks = {g: np.array(cell.recurrent[g]) for g in cell.GATES}
    blocks[gate][np.unravel_index(np.abs(blocks[gate]).argmax(), (5, 5))] *= 1.001
    wrong = Model("", Recurrent(replace(cell, recurrent=GateBlocks.of(blocks))))
    x = networks.numbers(4, 30, 3, scale=1.0)
    expected, floor = floor_of(model, x)
    assert worst(forward(wrong, {"inputs": x}), expected, floor) > 4.0


def test_errors_that_are_the_same_at_every_step_add_up_and_are_honest(networks):
    """A gate that is open errs alike at each step: what is random would cancel."""
    model = networks.stack(units=6, count=1, scale=0.2)
    cell = model.layers[0].cell
    bias = {g: np.full(6, 14.0 if g in "if" else 0.4, np.float32) for g in "ifco"}
    model = Model("", Recurrent(replace(cell, bias=GateBlocks.of(bias))))
    x = networks.numbers(2, 400, 3, scale=0.01)

    def biased(a):
        exact = 1.0 / (1.0 + np.exp(-a.astype(np.float64)))
        return (exact - 3 * 2.0**-24).astype(np.float32)

    expected, floor = floor_of(model, x)
    actual = naive(model, x, np.float32, biased)
    assert worst(actual, expected, floor) <= 1.0
    drift = np.abs(actual["layer0_c"] - expected["layer0_c"]).max() / expected["layer0_c"].max()
    assert drift > 20 * 2.0**-24


def test_half_of_the_rows_err_alike_at_every_step(networks):
    model = networks.stack(count=1)
    x = np.repeat(networks.numbers(1, 1, 3), 4, axis=0)
    ops = StoredRounding("float32", 0)
    errors = []

    def spy(layer, right):
        wrapped = _kernels(ops, layer, right)

        def step(z, state, tap):
            z = np.ones_like(z)
            rest = {name: np.ones_like(value) for name, value in state.items()}
            output, new = wrapped.step(z, rest, tap)
            errors.append(output)
            return output, new

        return replace(wrapped, step=step)

    forward(model, {"inputs": np.repeat(x, 5, axis=1)}, ops=ops, wrap=spy)
    first = errors[0]
    for later in errors[1:]:
        assert np.array_equal(later[:2], first[:2])
        assert not np.array_equal(later[2:], first[2:])


@pytest.mark.parametrize("target", ["onnx"])
def test_a_recurrent_network_of_tiny_numbers_is_accepted_from_a_real_runtime(
    networks, tmp_path, target
):
    """ONNX Runtime's RNN gives tanh to within 2 units of 1, not of its value."""
    model = networks.stack(RNN, inputs=2, units=7, scale=1e-3)
    writer, path = registry.target(target), tmp_path / "model.onnx"
    writer.write(model, path, TargetOptions(), {})
    x = networks.numbers(2, 20, 2, scale=0.01)
    expected, floor = floor_of(model, x)
    with registry.runtime("onnxruntime-cpu").open(writer.read(path)) as session:
        actual = session.run({"inputs": x})
    assert worst(actual, expected, floor) <= 1.0


def test_a_state_that_decays_below_the_smallest_number_is_compared(networks):
    model = networks.stack(count=1, scale=0.0)
    cell = model.layers[0].cell
    model = Model("", Recurrent(replace(cell, bias=None)))
    feeds = {
        "inputs": np.zeros((1, 1500, 3), np.float32),
        "initial_layer0_c": np.ones((1, 4), np.float32),
    }
    expected = run_model(model, feeds)
    floor = noise_floor(partial(run_model, model), feeds, expected, "float32", seed=0, replicas=8)
    assert expected["layer0_c"].max() < 1e-150
    assert floor.chaotic == ()
    stuck = {**expected, "layer0_c": np.full((1, 4), 5e-43), "layer0_h": np.full((1, 4), 3e-43)}
    assert worst(stuck, expected, floor) <= 1.0
    assert worst({**stuck, "layer0_c": np.full((1, 4), 1e-36)}, expected, floor) > 1.0


def test_a_run_that_overflows_has_strayed_without_bound(networks):
    model = networks.stack(units=3, count=1, scale=2000.0, activation="relu")
    x = networks.numbers(1, 14, 3, scale=3.0)
    with np.errstate(all="ignore"):
        expected, floor = floor_of(model, x)
    assert not any(np.isnan(allowed).any() for allowed in floor.allowed.values())
    assert set(floor.straying) == set(expected)


def test_more_rows_and_memory_bounds_change_nothing(networks, monkeypatch):
    model = networks.bidirectional()
    feeds = {
        "inputs": networks.numbers(7, 5, 3),
        "sequence_length": np.array([5, 0, 1, 3, 5, 2, 4]),
    }
    whole = run_model(model, feeds)
    monkeypatch.setattr(importlib.import_module("lstmbridge.verify.noise"), "_ELEMENTS", 200)
    pieces = run_model(model, feeds)
    for name, values in whole.items():
        assert np.allclose(pieces[name], values, rtol=0, atol=1e-15)


def test_chaos_is_noticed(networks):
    model = networks.stack(units=30, count=2, scale=30.0)
    x = networks.numbers(2, 150, 3, scale=3.0)
    _, floor = floor_of(model, x)
    assert floor.straying["outputs"] > CHAOS
    assert "outputs" in floor.chaotic
    assert floor_of(model, x[:, :1])[1].chaotic == ()


def test_what_a_precision_cannot_hold_is_infinite_within_the_network_too():
    large = np.full(3, 300.0)
    assert np.isinf(StoredRounding("float16", 0).mul(large, large)).all()
    assert np.isneginf(StoredRounding("float16", 0).mul(large, -large)).all()
    assert np.isfinite(StoredRounding("float32", 0).mul(large, large)).all()


def test_where_the_right_value_is_0_no_less_is_allowed_than_elsewhere():
    feeds = {"inputs": np.zeros((2, 1, 4))}
    expected = {"outputs": np.zeros((2, 1, 4))}

    def strays(tiled, ops=None):
        return {"outputs": np.full((len(tiled["inputs"]), 1, 4), 1e-7)}

    floor = noise_floor(strays, feeds, expected, "float32", seed=0, replicas=8)
    assert floor.chaotic == ("outputs",)
    assert (floor.allowed["outputs"] >= CONSTANT * 1e-7).all()


def test_what_rounding_could_carry_past_the_end_of_a_precision_is_infinite():
    """65,504 is the last of float16: a runtime may round up where none of the runs did."""
    near = np.full(3, 255.9)
    assert np.isinf(StoredRounding("float16", 0).mul(near, near)).all()


@pytest.mark.parametrize("gate", [0.0, 1e-4])
def test_an_overflow_behind_a_gate_that_may_be_0_is_no_number(gate):
    """0 x infinity is NaN in a runtime; a gate that errs by 2 units of 1 may be 0 there."""
    ops = StoredRounding("float16", 0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(ops.mul(np.full(3, gate), np.full(3, np.inf))).all()
    assert np.isinf(ops.mul(np.full(3, 0.5), np.full(3, np.inf))).all()


def test_what_is_computed_for_all_steps_at_once_errs_alike_in_half_of_the_rows():
    """An input that stays the same gives the same product, and the same error, at every step."""
    ops = StoredRounding("float32", 0)
    made = ops.matmul(np.ones((5, 6, 3)), np.ones((3, 2)))
    assert np.array_equal(made[1:, :3], np.repeat(made[:1, :3], 4, axis=0))
    assert not np.array_equal(made[1:, 3:], np.repeat(made[:1, 3:], 4, axis=0))


def test_an_epsilon_that_float16_cannot_hold_does_not_become_0():
    assert StoredRounding("float16", 0).constant(1e-12) == 2.0**-24
    assert StoredRounding("float16", 0).constant(0.0) == 0.0
    assert (StoredRounding("float16", 0).constant(np.full(2, 1e-12)) == 0.0).all()


@pytest.mark.parametrize(("word", "fine", "coarse"), [("sigmoid", 2.0, 3.0), ("tanh", 3.0, 5.0)])
def test_a_coarse_kernel_errs_by_more(word, fine, coarse):
    unit, x = 2.0**-24, np.full((10_000, 2), 5.0)
    for most in (fine, coarse):
        ops = StoredRounding("float32", 0)
        ops.step_of("layer0", coarse=most == coarse)
        off = np.abs(getattr(ops, word)(x) - getattr(Float64(), word)(x)).max() / unit
        assert 0.85 * most < off <= most + 0.1


@pytest.mark.parametrize(("word", "least", "far"), [("sigmoid", 4.0, 30.0), ("tanh", 8.0, 12.0)])
def test_a_coarse_kernels_units_err_together_far_out(word, least, far):
    """ONNX Runtime's GRU: tanh gives 1 + 8 units in every unit, the reset gate 1 + 4 units."""
    ops = StoredRounding("float32", 0)
    ops.step_of("layer0", coarse=True)
    off = getattr(ops, word)(np.full((32, 4096), far)) - 1.0
    # summed with equal weights by what comes next, over all units: no few runs miss it
    together = off.mean(axis=1)
    assert (CONSTANT * np.abs(together).reshape(4, 8).max(axis=1) > least * 2.0**-24).all()
    assert (together[:16] > 0.0).all()
    assert (together[16:] < 0.0).any()
