"""Which faults a network can have, and which of them show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.blocks import Dense, Highway, Model, Recurrent, Residual, Sequence
from lstmbridge.model.cells import GRU, LSTM, NAS, RNN
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import INPUTS, SEQUENCE_LENGTH
from lstmbridge.verify import VerifyOptions, verify
from lstmbridge.verify.faults import explanations, planted_faults

ALL_BIASES = ("bias", "peephole", "recurrent_bias")


def names(model, *fed):
    return {fault.name for fault in planted_faults(model, [INPUTS, *fed])}


@pytest.fixture
def report(puppet, honest, artifact_of):
    def of(model, **signature):
        artifact = artifact_of(model, **signature)
        return verify(model, [(puppet(honest(model)), artifact)]).faults

    return of


def test_an_lstm_has_all_the_classic_ones(networks):
    classic = {
        *(f"gates {a} and {b} exchanged" for a, b in ("if", "ic", "io", "fc", "fo", "co")),
        "forget bias dropped",
        "forget bias doubled",
        "forget bias added after the sigmoid",
        "bias dropped",
        "bias doubled",
        "recurrent kernel transposed",
        "[h; x] taken for [x; h]",
        "final h and c exchanged",
        "layer0 and layer1 exchanged",
        "one layer's weights used for all",
        "time reversed",
        "state reset at each step",
        "activation exchanged",
        "gate activation exchanged",
    }
    assert classic <= names(networks.stack(inputs=4))


def test_layers_that_share_one_cell_cannot_be_exchanged(networks):
    shared = Model("m", Sequence((Recurrent(networks.cell(inputs=4)),) * 3))
    among = [f for f in planted_faults(shared, [INPUTS]) if "layer" in f.name]
    weights = [f for f in among if "final states" not in f.name]
    assert len(weights) == 3
    assert all(fault.idle for fault in weights)
    apart = planted_faults(networks.stack(inputs=4), [INPUTS])
    assert not any(fault.idle for fault in apart if "layer" in fault.name)


def test_what_a_network_has_not_cannot_go_wrong(networks):
    found = names(networks.stack())
    for word in (
        "peephole",
        "cell clip",
        "projection",
        "residual",
        "direction",
        "length",
        "initial",
    ):
        assert not any(word in name for name in found), word


def test_options_bring_their_faults(networks):
    full = networks.stack(
        units=5, inputs=5, projection=5, without=(), cell_clip=1.0, proj_clip=0.5
    )
    assert {
        "peephole dropped",
        "peepholes exchanged",
        "peepholes rotated",
        "output gate's peephole sees the old c",
        "cell clip dropped",
        "clip applied to the gates instead of c",
        "projection clip dropped",
        "projection transposed",
        "projection dropped",
    } <= names(full)


def test_inputs_bring_their_faults(networks):
    model = networks.stack()
    initial = [x.initial_name(s) for x in model.layers for s in "hc"]
    assert {
        "lengths ignored",
        "outputs past the end repeated, not zero",
        "initial states ignored",
        "initial h and c exchanged",
        "rows of length 0 lose their initial state",
    } <= names(model, SEQUENCE_LENGTH, *initial)


def test_structure_brings_its_faults(networks):
    assert {
        "directions exchanged",
        "backward direction run forward",
        "padding reversed with the sequence",
    } <= names(networks.bidirectional(), SEQUENCE_LENGTH)
    cell = Recurrent(networks.cell(inputs=4))
    square, bias = InMemory("k", networks.numbers(4, 4)), InMemory("b", networks.numbers(4))
    dense = Dense(square, bias, Fact.given("linear", ""))
    model = Model("", Sequence((Residual(cell), Highway(cell, square, bias), dense)))
    assert {
        "residual dropped",
        "highway dropped",
        "carry and transform of the highway exchanged",
        "bias of the dense layer dropped",
        "dense layer transposed",
    } <= names(model)


def test_other_cells_have_their_own(networks):
    assert {
        "gates r and z exchanged",
        "old and new state exchanged in the update",
        "reset before and after the product exchanged",
    } <= names(networks.stack(GRU))
    assert "recurrent bias added outside the reset" in names(
        networks.stack(GRU, reset_after=True, without=())
    )
    assert "gates n0 and n7 exchanged" in names(networks.stack(NAS))


def test_an_inverted_update_gate_keeps_what_should_go(networks):
    model = networks.stack(GRU, count=1)
    fault = next(f for f in planted_faults(model, [INPUTS]) if "old and new" in f.name)
    feeds = {INPUTS: networks.numbers(2, 1, 3)}
    # from a zero state h = (1 - z) c; inverted, h = z c; together they are c
    trace = {}
    right = forward(model, feeds, trace=trace)
    wrong = fault.run(feeds)
    candidate = trace["layer0", "c"][0]
    assert np.allclose(right["layer0_h"] + wrong["layer0_h"], candidate, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_every_fault_but_the_idle_changes_some_output(networks, kind):
    model = networks.stack(kind)
    feeds = {INPUTS: networks.numbers(3, 6, 3, scale=4.0)}
    right = forward(model, feeds)
    for fault in explanations(model, [INPUTS]):
        wrong = fault.run(feeds)
        assert not fault.idle
        assert set(wrong) == set(right)
        assert any(np.abs(wrong[k] - v).max() > 1e-6 for k, v in right.items()), fault.name


def test_no_two_faults_have_one_name(networks):
    for model in (
        networks.stack(),
        networks.bidirectional(),
        networks.stack(GRU, reset_after=True),
    ):
        found = [f.name for f in explanations(model, [INPUTS, SEQUENCE_LENGTH])]
        assert len(found) == len(set(found))


class TestIndistinguishable:
    def test_zero_biases_and_twin_layers_are_listed_and_not_counted(self, networks, report):
        cell = networks.cell(inputs=4, forget_bias=0.0)
        zeros = GateBlocks.of({g: np.zeros(4, np.float32) for g in "ifco"})
        cell = replace(cell, bias=zeros)
        faults = report(Model("", Sequence((Recurrent(cell), Recurrent(cell)))))
        assert {
            "bias dropped",
            "bias doubled",
            "bias of the candidate dropped",
            "layer0 and layer1 exchanged",
            "one layer's weights used for all",
        } == set(faults.indistinguishable)
        assert faults.planted == faults.caught
        assert not set(faults.caught_names) & set(faults.indistinguishable)

    def test_a_forget_bias_of_zero_has_nothing_to_drop_or_double(self, networks, report):
        cell = networks.cell(inputs=4, forget_bias=0.0)
        found = report(Model("", Recurrent(cell)))
        named = {*found.caught_names, *found.indistinguishable}
        assert not {"forget bias dropped", "forget bias doubled"} & named
        assert "forget bias too large by 1" in found.caught_names

    def test_symmetric_recurrent_weights_hide_a_transposition(self, networks, report):
        cell = networks.cell(inputs=3)
        even = GateBlocks.of({g: (b + b.T) for g, b in cell.recurrent.items()})
        faults = report(Model("", Recurrent(replace(cell, recurrent=even))))
        assert "recurrent kernel transposed" in faults.indistinguishable


class TestStrongerProbes:
    @pytest.mark.parametrize("clip", [1.5, 4.0])
    def test_a_clip_that_usual_sequences_never_reach_is_reached(self, networks, report, clip):
        faults = report(networks.stack(cell_clip=clip))
        assert "cell clip dropped" in faults.caught_names

    def test_what_caught_a_fault_is_fed_to_the_runtime_too(
        self, networks, puppet, honest, artifact_of
    ):
        clipped = networks.stack(cell_clip=4.0)
        unclipped = replace_clip(clipped)
        runtime = puppet(honest(unclipped))
        verdict = verify(clipped, [(runtime, artifact_of(clipped))])
        assert verdict.outcome.value == "fail"
        assert "equals the source without cell_clip" in verdict.runtimes[0].diagnosis

    @pytest.mark.parametrize("clip", [20.0, 50.0])
    def test_a_clip_that_takes_a_hundred_steps_to_reach_is_reached(self, networks, report, clip):
        assert "cell clip dropped" in report(networks.stack(cell_clip=clip)).caught_names

    @pytest.mark.parametrize("clip", [10.0, 12.0])
    def test_a_fault_that_does_less_than_rounding_is_said_and_not_counted(
        self, networks, report, clip
    ):
        """Past 10 a tanh is 1: nothing in float32 can tell a clipped c from one that is not."""
        faults = report(networks.stack(units=8, cell_clip=clip))
        assert faults.drowned == ("clip applied to the carried c alone",)
        assert set(faults.drowned) <= set(faults.indistinguishable)
        assert faults.missed == ()

    def test_a_drowned_fault_stands_in_the_verdict(self, networks, puppet, honest, artifact_of):
        model = networks.stack(cell_clip=10.0)
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model))])
        assert verdict.outcome.value == "pass"
        assert any("less than rounding" in line for line in verdict.not_run)

    @pytest.mark.parametrize("scale", [0.001, 0.02, 1.0])
    def test_clipped_gates_are_seen_whatever_the_weights(self, networks, report, scale):
        assert "gates clipped" in report(networks.stack(scale=scale)).caught_names

    def test_a_clip_out_of_reach_is_indistinguishable(self, networks, report):
        assert "cell clip dropped" in report(networks.stack(cell_clip=1e6)).indistinguishable


def replace_clip(model):
    cells = [Recurrent(replace(x.cell, cell_clip=Fact.given(None, ""))) for x in model.layers]
    return Model("", Sequence(tuple(cells)))


class TestMargin:
    @pytest.mark.parametrize("precision", ["float64", "float32"])
    def test_every_caught_fault_stands_ten_times_above_what_is_allowed(
        self, networks, puppet, honest, artifact_of, precision
    ):
        model = networks.stack(units=3)
        runtime = puppet(honest(model, precision), precision=precision)
        artifact = artifact_of(model, dtype=precision, precision=precision)
        faults = verify(model, [(runtime, artifact)]).faults
        assert faults.missed == ()
        assert min(faults.ratios.values()) > 10.0

    def test_less_than_that_is_inconclusive_and_names_the_faults(
        self, networks, puppet, honest, artifact_of
    ):
        """A tolerance so wide that faults stand a few times above it proves too little."""
        model = networks.stack(units=3)
        subjects = [(puppet(honest(model)), artifact_of(model))]
        verdict = verify(model, subjects, options=VerifyOptions(tolerance=2.0))
        assert verdict.outcome.value == "inconclusive"
        assert verdict.faults.missed
        assert verdict.faults.missed[0] in verdict.reasons[0]


class TestExtremes:
    """Tiny, saturated, empty and huge networks: never a wrong word, whatever the verdict."""

    def outcome(self, model, puppet, answer, artifact_of):
        return verify(model, [(puppet(answer), artifact_of(model))])

    @pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
    def test_one_unit_is_proved(self, networks, puppet, honest, artifact_of, kind):
        model = networks.stack(kind, inputs=1, units=1, count=1)
        verdict = self.outcome(model, puppet, honest(model), artifact_of)
        assert verdict.reasons == ()

    @pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
    def test_weights_of_zero_prove_nothing(self, networks, puppet, honest, artifact_of, kind):
        model = networks.stack(kind, scale=0.0, count=1, without=ALL_BIASES)
        verdict = self.outcome(model, puppet, honest(model), artifact_of)
        assert verdict.outcome.value in {"inconclusive", "pass"}
        if verdict.outcome.value == "pass":
            assert verdict.faults.planted > 0
        zeros = self.outcome(
            model,
            puppet,
            lambda feeds: {k: v + np.float32(0.5) for k, v in honest(model)(feeds).items()},
            artifact_of,
        )
        assert zeros.outcome.value == "fail"

    @pytest.mark.parametrize("scale", [1e-4, 50.0, 1000.0])
    def test_huge_and_tiny_weights_never_make_an_honest_runtime_fail(
        self, networks, puppet, honest, artifact_of, scale
    ):
        model = networks.stack(scale=scale)
        verdict = self.outcome(model, puppet, honest(model), artifact_of)
        assert verdict.outcome.value != "fail"

    def test_saturated_gates_are_probed_by_inputs_that_open_them(
        self, networks, puppet, honest, artifact_of
    ):
        cell = networks.cell(inputs=3)
        shut = {g: np.full(4, -15.0, np.float32) for g in "ifco"}
        model = Model("", Recurrent(replace(cell, bias=GateBlocks.of(shut))))
        verdict = self.outcome(model, puppet, honest(model), artifact_of)
        assert verdict.outcome.value == "pass"
        assert verdict.faults.planted > 20


def time_matters(report):
    return {"time reversed"} <= set(report.caught_names)


def test_a_state_that_is_only_rounding_hides_no_fault_in_time(networks, report):
    cell = networks.cell(RNN, inputs=3, units=3)
    still = replace(
        cell,
        **{
            name: GateBlocks.of({g: np.zeros_like(blocks[g]) for g in blocks})
            for name, blocks in cell.blocks.items()
            if isinstance(blocks, GateBlocks)
        },
    )
    model = Model("still", Sequence((Residual(Recurrent(still)),)))
    assert time_matters(report(model))


def test_outputs_that_grow_at_each_step_hide_no_fault_in_time(networks, report):
    cell = networks.cell(RNN, inputs=3, units=3, scale=1e6)
    cell = replace(cell, activation=Fact.given("linear", "test"))
    assert time_matters(report(Model("growing", Sequence((Recurrent(cell),)))))
