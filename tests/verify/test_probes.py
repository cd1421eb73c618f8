"""What artifacts are tried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.errors import UsageError
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.amplitude import lively_amplitude
from lstmbridge.verify.data import data_probe
from lstmbridge.verify.probes import (
    LONG_STEPS,
    long_probe,
    seeded_probes,
    shortened,
    stronger_probes,
)


@pytest.fixture
def probes_of(networks, artifact_of):
    def of(*, model=None, options=None, **signature):
        model = model or networks.stack()
        specs = artifact_of(model, **signature).signature.inputs
        return seeded_probes(model, specs, options or VerifyOptions())

    return of


def test_several_batch_sizes_and_lengths_are_probed(probes_of):
    shapes = {(probe.batch, probe.steps) for probe in probes_of()}
    assert {(1, 1), (3, 2), (4, 10), (2, 48)} <= shapes


def test_batch_and_steps_can_be_given(probes_of):
    shapes = {(p.batch, p.steps) for p in probes_of(options=VerifyOptions(batch=7, steps=90))}
    assert {(7, 10), (2, 90)} <= shapes


def test_large_networks_are_probed_with_shorter_sequences(networks, probes_of):
    small, large = probes_of(), probes_of(model=networks.stack(units=800, count=3))
    assert max(p.steps for p in small) > max(p.steps for p in large) >= 12


def test_lengths_are_ragged_with_full_one_and_zero_among_them(probes_of):
    ragged = [p for p in probes_of(lengths=True) if "ragged" in p.name and p.batch > 3]
    assert ragged
    for probe in ragged:
        lengths = probe.feeds["sequence_length"]
        assert {0, 1, probe.steps} <= set(lengths.tolist())
        assert lengths.dtype == np.int32
        assert list(lengths) != sorted(lengths)


def test_fed_states_differ_from_each_other_and_from_zero(probes_of):
    for probe in probes_of(states=States.REQUIRED):
        states = {k: v for k, v in probe.feeds.items() if k.startswith("initial_")}
        assert len(states) == 4
        assert len({v.tobytes() for v in states.values()}) == 4
        assert all((np.abs(v) > 1e-4).all() for v in states.values())


def test_inputs_that_may_be_left_out_are_fed_in_some_probes_and_not_in_others(probes_of):
    fed = ["initial_layer0_h" in probe.feeds for probe in probes_of(states=States.OPTIONAL)]
    assert True in fed
    assert False in fed


def test_the_same_seed_gives_the_same_probes_and_another_seed_others(networks, probes_of):
    model = networks.stack()
    first, again, other = (
        probes_of(model=model, options=VerifyOptions(seed=s)) for s in (1, 1, 2)
    )
    for a, b, c in zip(first, again, other, strict=True):
        assert a.name == b.name
        assert a.feeds["inputs"].tobytes() == b.feeds["inputs"].tobytes()
        assert a.feeds["inputs"].tobytes() != c.feeds["inputs"].tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_inputs_have_the_artifacts_own_dtype_and_cannot_be_written(probes_of, dtype):
    for probe in probes_of(dtype=dtype, states=States.REQUIRED):
        for array in probe.feeds.values():
            assert array.dtype == dtype
            assert not array.flags.writeable
            assert np.isfinite(array).all()


@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("inputs", [1, 3, 300])
def test_most_first_steps_leave_gates_neither_saturated_nor_linear(networks, scale, inputs):
    model = networks.stack(inputs=inputs, units=6, count=1, scale=scale)
    half = lively_amplitude(model, seed=0)
    x = networks.rng.uniform(-half, half, (50, 1, inputs))
    trace = {}
    forward(model, {"inputs": x}, trace=trace)
    off = np.abs(np.concatenate([trace["layer0", gate][0].ravel() for gate in "ifo"]) - 0.5)
    assert np.mean(off > 0.495) < 0.3
    assert np.mean(off < 0.01) < 0.3


def test_an_artifact_with_fixed_axes_is_probed_with_just_these(networks, artifact_of):
    model = networks.stack()
    specs = artifact_of(model).signature.inputs
    fixed = tuple(replace(spec, shape=(5, 7, *spec.shape[2:])) for spec in specs)
    assert {(p.batch, p.steps) for p in seeded_probes(model, fixed, VerifyOptions())} == {(5, 7)}


def test_stronger_probes_are_louder_softer_and_constant(networks, artifact_of):
    model = networks.stack()
    specs = artifact_of(model).signature.inputs
    usual = max(
        np.abs(p.feeds["inputs"]).max() for p in seeded_probes(model, specs, VerifyOptions())
    )
    strong = stronger_probes(model, specs, VerifyOptions())
    sizes = [np.abs(p.feeds["inputs"]).max() for p in strong]
    assert max(sizes) > 4 * usual
    assert min(sizes) < usual / 4
    constant = [p for p in strong if "constant" in p.name]
    assert all((p.feeds["inputs"] == p.feeds["inputs"][:, :1]).all() for p in constant)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_loudest_probes_fit_the_artifacts_dtype(networks, artifact_of, dtype):
    model = networks.stack(scale=1e-3)
    specs = artifact_of(model, dtype=dtype, states=States.REQUIRED).signature.inputs
    for probe in stronger_probes(model, specs, VerifyOptions()):
        assert all(np.isfinite(array).all() for array in probe.feeds.values())


def test_a_clip_brings_a_probe_that_is_long_enough_to_wind_up_to_it(networks, artifact_of):
    model = networks.stack(cell_clip=40.0)
    specs = artifact_of(model).signature.inputs
    longest = max(stronger_probes(model, specs, VerifyOptions()), key=lambda p: p.steps)
    assert longest.steps >= 80
    assert "constant" in longest.name


def test_a_shortened_probe_keeps_its_first_steps_and_no_length_beyond(probes_of):
    probe = next(p for p in probes_of(lengths=True) if p.steps == 10)
    short = shortened(probe, 4)
    assert (short.batch, short.steps) == (4, 4)
    assert short.name.startswith("4 x 4")
    assert (short.feeds["inputs"] == probe.feeds["inputs"][:, :4]).all()
    assert short.feeds["sequence_length"].max() == 4


class TestOwnData:
    @pytest.fixture
    def specs(self, networks, artifact_of):
        model = networks.stack()
        return artifact_of(model, states=States.OPTIONAL, lengths=True).signature.inputs

    @pytest.fixture
    def good(self):
        return {"inputs": np.ones((2, 5, 3)), "sequence_length": np.array([5, 0])}

    def test_arrays_become_a_probe_in_the_artifacts_dtypes(self, specs, good):
        probe = data_probe(specs, good)
        assert (probe.batch, probe.steps) == (2, 5)
        assert probe.own
        assert probe.feeds["inputs"].dtype == np.float32
        assert probe.feeds["sequence_length"].dtype == np.int32

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"x": np.ones(2)}, "arrays named"),
            ({"inputs": np.ones((2, 5, 4))}, "shape"),
            ({"inputs": np.ones((2, 5))}, "shape"),
            ({"inputs": np.ones((0, 5, 3))}, "shape"),
            ({"inputs": np.ones((3, 5, 3))}, "shape"),
            ({"inputs": np.full((2, 5, 3), np.nan)}, "NaN"),
            ({"inputs": np.full((2, 5, 3), 1e300)}, "too large"),
            ({"inputs": np.full((2, 5, 3), "a")}, "dtype"),
            ({"inputs": np.ones((2, 5, 3), complex)}, "dtype"),
            ({"sequence_length": np.array([5, 6])}, "runs from"),
            ({"sequence_length": np.array([5, -1])}, "runs from"),
            ({"sequence_length": np.array([5.0, 1.0])}, "dtype"),
            ({"initial_layer0_h": np.ones((2, 3))}, "shape"),
        ],
    )
    def test_arrays_that_do_not_fit_are_refused_in_words(self, specs, good, changed, words):
        with pytest.raises(UsageError, match=words) as refusal:
            data_probe(specs, {**good, **changed})
        assert "--data" in refusal.value.where

    def test_an_input_that_must_be_fed_is_asked_for(self, specs):
        with pytest.raises(UsageError, match="arrays named sequence_length"):
            data_probe(specs, {"sequence_length": np.array([1])})


def test_one_probe_outlasts_all_others_where_steps_are_cheap(networks, artifact_of):
    model = networks.stack()
    specs = artifact_of(model).signature.inputs
    probe = long_probe(model, specs, VerifyOptions())
    assert (probe.batch, probe.steps) == (1, LONG_STEPS)
    assert LONG_STEPS > 256  # a counter of 8 bits
    assert long_probe(model, specs, VerifyOptions(steps=20)) is None
    assert long_probe(networks.stack(units=300), specs, VerifyOptions()) is None
