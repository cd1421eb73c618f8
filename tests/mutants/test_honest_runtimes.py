"""Real runtimes on real artifacts pass, over networks and weights of every size."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from lstmbridge import registry
from lstmbridge.contracts import TargetOptions
from lstmbridge.model.signature import States
from lstmbridge.verify import VerifyOptions, verify

HERE = {
    "onnx": "onnxruntime-cpu",
    **({"torch": "torch"} if importlib.util.find_spec("torch") else {}),
}
SHAPES = [
    {"inputs": 3, "units": 2, "count": 3},
    {"inputs": 40, "units": 1, "count": 1},
    {"inputs": 1, "units": 33, "count": 2},
    {"inputs": 7, "units": 9, "count": 2, "projection": 4},
]


@pytest.fixture
def written(tmp_path):
    """`written(model, "onnx")`: the artifact read back, its ledger, its runtime."""

    def of(model, target, **options):
        writer = registry.target(target)
        path = tmp_path / f"model{writer.suffixes[0]}"
        writer.write(model, path, TargetOptions(**options), {})
        artifact = writer.read(path)
        ledgers = {str(path): writer.ledger(artifact, model)}
        return [(registry.runtime(HERE[target]), artifact)], ledgers

    return of


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s['count']}x{s['units']}")
def test_an_honest_artifact_passes_whatever_the_size_of_its_weights(
    networks, written, target, scale, shape
):
    model = networks.stack(**shape, scale=scale)
    subjects, ledgers = written(model, target, states=States.OPTIONAL, sequence_length=True)
    verdict = verify(model, subjects, ledgers=ledgers)
    assert verdict.reasons == ()
    assert max(o.ratio for o in verdict.runtimes[0].outputs.values()) < 1.0
    assert verdict.ledger.compared > 0


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_long_sequences_do_not_make_an_honest_artifact_fail(networks, written, target, scale):
    model = networks.stack(units=12, scale=scale)
    subjects, ledgers = written(model, target)
    verdict = verify(model, subjects, ledgers=ledgers, options=VerifyOptions(steps=300))
    assert verdict.reasons == ()


@pytest.mark.parametrize("target", HERE)
def test_both_directions_with_lengths_pass(networks, written, target):
    model = networks.bidirectional(units=6)
    subjects, ledgers = written(model, target, states=States.REQUIRED, sequence_length=True)
    assert verify(model, subjects, ledgers=ledgers).reasons == ()


@pytest.mark.parametrize("target", HERE)
def test_an_artifact_of_other_weights_fails_by_runs_and_by_ledger(networks, written, target):
    model, other = networks.stack(), networks.stack()
    subjects, _ = written(other, target)
    artifact = subjects[0][1]
    ledger = registry.target(target).ledger(artifact, model)
    verdict = verify(model, subjects, ledgers={str(artifact.path): ledger})
    assert verdict.outcome.value == "fail"
    assert verdict.runtimes[0].status == "fail"
    assert verdict.ledger.different


def test_all_artifacts_are_compared_with_the_oracle_in_one_star(networks, written):
    model = networks.stack()
    pairs, ledgers = [], {}
    for name in HERE:
        subjects, ledger = written(model, name)
        pairs += subjects
        ledgers |= ledger
    verdict = verify(model, pairs, ledgers=ledgers)
    assert [r.status for r in verdict.runtimes] == ["pass"] * len(HERE)
    assert np.isfinite(list(verdict.noise_floor.values())).all()
