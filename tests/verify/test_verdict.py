"""Pass, fail or inconclusive: what each rests on, and that nothing passes for want of evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.errors import RuntimeUnavailable, UsageError
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import GRU, NAS, RNN, UGRNN, CoupledLSTM, IndyLSTM, LayerNormLSTM
from lstmbridge.model.forward import forward
from lstmbridge.model.signature import States
from lstmbridge.verify import VerifyOptions, verify
from lstmbridge.verify.sightings import MARGIN


@pytest.fixture
def model(networks):
    return networks.stack()


def with_blocks(model, **changed):
    cell = model.layers[0].cell
    for name, value in changed.items():
        blocks = getattr(cell, name)
        full = {g: np.full(blocks.shape, value, np.float32) for g in blocks}
        cell = replace(cell, **{name: GateBlocks.of(full)})
    return Model("test", Recurrent(cell))


class TestPass:
    def test_an_honest_runtime_passes_with_every_fault_caught(
        self, model, puppet, honest, artifact_of
    ):
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model))])
        assert verdict.outcome is Outcome.PASS
        assert verdict.reasons == ()
        assert verdict.exit_code == 0
        assert verdict.faults.missed == ()
        assert verdict.faults.caught == verdict.faults.planted > 30
        assert verdict.faults.weakest[1] > MARGIN
        ran = verdict.runtimes[0]
        compared = [*ran.outputs.values(), *ran.checks.values()]
        assert verdict.comparisons == sum(one.comparisons for one in compared)

    def test_all_outputs_of_all_probes_are_counted(self, model, puppet, honest, artifact_of):
        runtime = puppet(honest(model))
        verdict = verify(model, [(runtime, artifact_of(model))])
        fed = runtime.fed[:5]  # what follows is fed to check claims
        sizes = [sum(v.size for v in forward(model, feeds).values()) for feeds in fed]
        outputs = verdict.runtimes[0].outputs.values()
        assert sum(one.comparisons for one in outputs) == sum(sizes)

    @pytest.mark.parametrize("step", [50, 100, 128, 256])
    def test_what_goes_wrong_late_fails(self, model, puppet, honest, artifact_of, step):
        """A length that was traced, a table that ends: what is no operator may know the step."""
        right = honest(model)

        def late(feeds):
            given = dict(right(feeds))
            given["outputs"] = np.array(given["outputs"])
            given["outputs"][:, step:] = 0.0
            return given

        verdict = verify(model, [(puppet(late), artifact_of(model))])
        assert verdict.outcome is Outcome.FAIL
        assert verdict.not_run[-1].endswith("nor any step after the 260th")

    @pytest.mark.parametrize(
        "kind", [GRU, RNN, UGRNN, CoupledLSTM, LayerNormLSTM, IndyLSTM, NAS], ids=lambda k: k.KIND
    )
    def test_every_kind_of_cell_can_be_proved(self, networks, puppet, honest, artifact_of, kind):
        model = networks.stack(kind)
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model, lengths=True))])
        assert verdict.outcome is Outcome.PASS
        assert verdict.faults.planted >= 10

    @pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
    def test_each_precision_is_judged_by_its_own_floor(
        self, networks, puppet, honest, artifact_of, precision
    ):
        dtype = np.dtype(precision)
        model = networks.stack(dtype=dtype)
        artifact = artifact_of(model, dtype=dtype, precision=precision)
        runtime = puppet(honest(model, dtype), precision=precision)
        assert verify(model, [(runtime, artifact)]).outcome is Outcome.PASS

    def test_the_verdict_says_what_it_does_not_cover(self, model, puppet, honest, artifact_of):
        verdict = verify(
            model, [(puppet(honest(model)), artifact_of(model))], not_run=["tensorflow: absent"]
        )
        assert "tensorflow: absent" in verdict.not_run
        assert any("NaN" in line for line in verdict.not_run)
        assert any("not read back" in line for line in verdict.not_run)

    def test_facts_and_seed_stand_in_the_verdict(self, model, puppet, honest, artifact_of):
        options = VerifyOptions(seed=5)
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model))], options=options)
        assert verdict.seed == 5
        assert verdict.facts["layer1.forget_bias"].value == 1.0

    def test_the_same_seed_gives_the_same_numbers(self, model, puppet, honest, artifact_of):
        runs = [verify(model, [(puppet(honest(model)), artifact_of(model))]) for _ in range(2)]
        assert runs[0].runtimes[0].outputs == runs[1].runtimes[0].outputs
        assert runs[0].faults == runs[1].faults

    def test_progress_is_told_from_beginning_to_end(self, model, puppet, honest, artifact_of):
        heard = []
        verify(
            model,
            [(puppet(honest(model)), artifact_of(model))],
            progress=lambda what, done, total: heard.append((what, done, total)),
        )
        for what in ("oracle", "faults", "puppet"):
            steps = [(done, total) for name, done, total in heard if name == what]
            assert steps[0][0] == 0
            assert steps[-1][0] == steps[-1][1] > 0


class TestFail:
    def test_a_small_departure_fails_and_is_located(self, model, puppet, honest, artifact_of):
        def off(feeds):
            outputs = honest(model)(feeds)
            outputs["layer1_c"][:, 2] += np.float32(1e-5)
            return outputs

        verdict = verify(model, [(puppet(off), artifact_of(model))])
        assert verdict.outcome is Outcome.FAIL
        assert verdict.exit_code == 1
        worst = verdict.runtimes[0].outputs["layer1_c"]
        assert worst.worst_index[1] == 2
        assert worst.ratio > 1.0
        assert "puppet: layer1_c differs" in verdict.reasons[0]

    def test_the_sources_own_runtime_is_part_of_the_star(self, model, puppet, honest, artifact_of):
        other = Model("", Recurrent(replace(model.layers[0].cell, bias=None)))
        source = puppet(honest(other), name="tensorflow", runs="model")
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model)), (source, model)])
        assert verdict.outcome is Outcome.FAIL
        assert [r.status for r in verdict.runtimes] == ["pass", "fail"]

    def test_two_runtimes_that_agree_with_each_other_still_fail_the_oracle(
        self, networks, model, puppet, honest, artifact_of
    ):
        wrong = networks.stack()
        pair = [(puppet(honest(wrong), name=n), artifact_of(model)) for n in ("a", "b")]
        assert [r.status for r in verify(model, pair).runtimes] == ["fail", "fail"]

    @pytest.mark.parametrize("field", ["different", "missing", "extra"])
    def test_a_weight_that_was_read_back_wrong_fails_though_all_runs_agree(
        self, model, puppet, honest, artifact_of, field
    ):
        ledger = {
            (layer.name, name, gate): np.array(blocks[gate])
            for layer in model.layers
            for name, blocks in layer.cell.blocks.items()
            for gate in blocks
        }
        for layer in model.layers:
            ledger[layer.name, "forget_bias", ""] = np.ones(4, np.float32)
        artifact = artifact_of(model)
        subject = [(puppet(honest(model)), artifact)]
        assert verify(model, subject, ledgers={str(artifact.path): ledger}).reasons == ()
        if field == "different":
            ledger["layer0", "kernel", "i"][0, 0] += 1e-7
        elif field == "missing":
            del ledger["layer0", "kernel", "i"]
        else:
            ledger["layer7", "kernel", "i"] = np.zeros(1)
        verdict = verify(model, subject, ledgers={str(artifact.path): ledger})
        assert verdict.outcome is Outcome.FAIL
        assert getattr(verdict.ledger, field)

    def test_failure_outweighs_doubt(self, networks, model, puppet, honest, artifact_of):
        options = VerifyOptions(require=("torch",))
        wrong = puppet(honest(networks.stack()))
        verdict = verify(model, [(wrong, artifact_of(model))], options=options)
        assert verdict.outcome is Outcome.FAIL
        assert any("torch is required" in reason for reason in verdict.reasons)


class TestInconclusive:
    def test_no_subject_at_all(self, model):
        verdict = verify(model, [])
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.exit_code == 3
        assert "there was no artifact to run" in verdict.reasons
        assert "nothing was compared" in verdict.reasons

    def test_the_source_alone_proves_no_artifact(self, model, puppet, honest):
        source = puppet(honest(model), name="tensorflow", runs="model")
        verdict = verify(model, [(source, model)])
        assert verdict.runtimes[0].status == "pass"
        assert verdict.outcome is Outcome.INCONCLUSIVE

    def test_the_only_runtime_is_absent(self, model, puppet, honest, artifact_of):
        verdict = verify(model, [(puppet(honest(model), absent="no GPU"), artifact_of(model))])
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.runtimes[0].status == "unavailable"
        assert any("no GPU" in line for line in verdict.not_run)

    def test_an_absent_runtime_that_nobody_requires_is_only_stated(
        self, model, puppet, honest, artifact_of
    ):
        absent = puppet(honest(model), name="gpu", absent="no GPU")
        artifact = artifact_of(model)
        verdict = verify(model, [(puppet(honest(model)), artifact), (absent, artifact)])
        assert verdict.outcome is Outcome.PASS
        assert any("gpu: no GPU" in line for line in verdict.not_run)

    @pytest.mark.parametrize("given", [True, False])
    def test_a_required_runtime_must_have_run(self, model, puppet, honest, artifact_of, given):
        artifact = artifact_of(model)
        subjects = [(puppet(honest(model)), artifact)]
        if given:
            subjects.append((puppet(honest(model), name="gpu", absent="no GPU"), artifact))
        verdict = verify(model, subjects, options=VerifyOptions(require=("gpu",)))
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "gpu is required and did not run" in verdict.reasons[0]

    def test_one_of_two_artifacts_was_run_by_nobody(self, model, puppet, honest, artifact_of):
        one, two = artifact_of(model), artifact_of(model, path="two.onnx")
        verdict = verify(
            model,
            [(puppet(honest(model)), one), (puppet(honest(model), absent="broken"), two)],
        )
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert any("two.onnx" in reason for reason in verdict.reasons)

    def test_an_artifact_whose_weights_were_read_but_which_no_runtime_was_given(
        self, model, puppet, honest, artifact_of
    ):
        verdict = verify(
            model,
            [(puppet(honest(model)), artifact_of(model))],
            ledgers={"model.onnx": "opaque", "forgotten.onnx": "opaque"},
        )
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert any("forgotten.onnx" in reason for reason in verdict.reasons)

    def test_a_runtime_that_stops_half_way_is_no_pass_even_beside_one_that_does_not(
        self, model, puppet, honest, artifact_of
    ):
        class Dying:
            left = 2

            def __call__(self, feeds):
                self.left -= 1
                if self.left < 0:
                    raise RuntimeUnavailable("the process died")
                return honest(model)(feeds)

        artifact = artifact_of(model)
        both = [(puppet(honest(model)), artifact), (puppet(Dying(), name="dying"), artifact)]
        verdict = verify(model, both)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.runtimes[1].status == "error"
        assert "the process died" in verdict.reasons[0]

    def test_weights_that_are_not_finite(self, model, puppet, honest, artifact_of):
        sick = with_blocks(model, recurrent=np.nan)
        verdict = verify(sick, [(puppet(honest(sick)), artifact_of(sick))])
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "does not stay finite" in verdict.reasons[-1]
        assert "layer0 recurrent" in verdict.reasons[-1]

    def test_weights_on_which_no_fault_can_be_seen(self, model, puppet, honest, artifact_of):
        dead = with_blocks(model, kernel=0.0, recurrent=0.0, bias=0.0)
        verdict = verify(dead, [(puppet(honest(dead)), artifact_of(dead))])
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "agreement proves nothing" in verdict.reasons[0]
        assert "gates i and o exchanged" in verdict.faults.indistinguishable

    def test_a_tolerance_so_wide_that_faults_would_pass(self, model, puppet, honest, artifact_of):
        options = VerifyOptions(tolerance=1.0)
        verdict = verify(model, [(puppet(honest(model)), artifact_of(model))], options=options)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.tolerance == 1.0
        assert verdict.faults.missed
        assert verdict.faults.missed[0] in verdict.reasons[0]

    def test_outputs_too_large_for_the_precision(self, networks, puppet, honest, artifact_of):
        model = networks.stack(RNN, scale=500.0, activation="relu", dtype=np.float16)
        artifact = artifact_of(model, dtype=np.float16, precision="float16", lengths=True)

        def answer(feeds):
            with np.errstate(over="ignore"):
                return honest(model, np.float16)(feeds)

        data = {"inputs": np.full((1, 3, 3), 1000.0), "sequence_length": np.array([3])}
        verdict = verify(
            model,
            [(puppet(answer, precision="float16"), artifact)],
            options=VerifyOptions(data=data),
        )
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "your data" in verdict.reasons[-1]


class TestOptions:
    def test_a_tolerance_replaces_what_is_allowed(self, model, puppet, honest, artifact_of):
        def off(feeds):
            return {k: v + np.float32(1e-4) for k, v in honest(model)(feeds).items()}

        subject = [(puppet(off), artifact_of(model))]
        assert verify(model, subject).outcome is Outcome.FAIL
        wide = verify(model, subject, options=VerifyOptions(tolerance=1e-3))
        assert wide.outcome is Outcome.PASS
        assert wide.runtimes[0].outputs["outputs"].allowed == 1e-3
        narrow = verify(model, subject, options=VerifyOptions(tolerance=1e-5))
        assert narrow.outcome is Outcome.FAIL

    def test_own_data_are_fed_beside_the_seeded_probes(self, model, puppet, honest, artifact_of):
        data = {"inputs": np.full((3, 6, 3), 0.25)}
        runtime = puppet(honest(model))
        verify(model, [(runtime, artifact_of(model))], options=VerifyOptions(data=data))
        own = [f["inputs"] for f in runtime.fed if f["inputs"].shape == (3, 6, 3)]
        assert len(own) == 1
        assert (own[0] == np.float32(0.25)).all()
        assert len(runtime.fed) > 3

    def test_own_data_on_which_rounding_decides_are_said_to_prove_little(
        self, networks, puppet, honest, artifact_of
    ):
        chaotic = networks.stack(units=30, scale=30.0)
        data = {"inputs": networks.numbers(2, 150, 3, scale=3.0)}
        verdict = verify(
            chaotic,
            [(puppet(honest(chaotic)), artifact_of(chaotic))],
            options=VerifyOptions(data=data),
        )
        assert verdict.outcome is Outcome.PASS
        said = [line for line in verdict.not_run if "rounding alone decides" in line]
        assert len(said) == 1
        assert said[0].startswith("your data, 2 x 150")

    @pytest.mark.parametrize(
        "options",
        [
            {"batch": 0},
            {"steps": 0},
            {"replicas": 0},
            {"seed": -1},
            {"tolerance": -1.0},
            {"tolerance": float("nan")},
            {"tolerance": float("inf")},
        ],
        ids=str,
    )
    def test_options_that_make_no_sense_are_refused(self, model, options):
        with pytest.raises(UsageError, match=next(iter(options))):
            verify(model, [], options=VerifyOptions(**options))

    def test_errors_of_our_own_making_are_not_swallowed(self, model, puppet, artifact_of):
        def broken(_feeds):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            verify(model, [(puppet(broken), artifact_of(model))])

    def test_artifacts_of_other_inputs_are_each_tried_on_their_own(
        self, model, puppet, honest, artifact_of
    ):
        plain = artifact_of(model, path="plain.onnx")
        full = artifact_of(model, path="full.onnx", states=States.REQUIRED, lengths=True)
        one, two = puppet(honest(model)), puppet(honest(model))
        verdict = verify(model, [(one, plain), (two, full)])
        assert verdict.outcome is Outcome.PASS
        assert {len(feeds) for feeds in one.fed} == {1}
        assert {len(feeds) for feeds in two.fed} == {6}
        assert "lengths ignored" in verdict.faults.caught_names
