"""What an artifact claims beyond its outputs is tried, counted and named; broken claims fail."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.contracts import Outcome
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.signature import States
from lstmbridge.verify import VerifyOptions, verify
from lstmbridge.verify.metamorphic import AGAIN, PADDING, PIECES, ROWS, SIZES

BOTH = {"states": States.REQUIRED, "lengths": True}


@pytest.fixture
def verdict(puppet, artifact_of):
    def of(model, answer, **signature):
        return verify(model, [(puppet(answer), artifact_of(model, **signature))])

    return of


def test_an_honest_artifact_has_each_claim_checked_and_counted(networks, honest, verdict):
    model = networks.stack()
    found = verdict(model, honest(model), **BOTH)
    assert found.outcome is Outcome.PASS, found.reasons
    checks = found.runtimes[0].checks
    assert set(checks) == {AGAIN, ROWS, PIECES, PADDING, SIZES}
    assert all(one.comparisons > 0 and one.ratio <= 1.0 for one in checks.values())
    outputs = sum(one.comparisons for one in found.runtimes[0].outputs.values())
    assert found.comparisons == outputs + sum(one.comparisons for one in checks.values())


def test_claims_that_are_not_made_are_not_checked(networks, honest, verdict):
    model = networks.stack()
    assert set(verdict(model, honest(model)).runtimes[0].checks) == {AGAIN, ROWS, SIZES}


def test_backward_layers_do_not_stream_and_it_is_said(networks, honest, verdict):
    model = networks.bidirectional()
    found = verdict(model, honest(model), **BOTH)
    assert found.outcome is Outcome.PASS, found.reasons
    assert PIECES not in found.runtimes[0].checks
    assert any("a backward layer needs the whole sequence" in one for one in found.not_run)


def failing(found, name: str) -> str:
    assert found.outcome is Outcome.FAIL, found.reasons
    assert name in found.reasons[0]
    return found.reasons[0]


def test_another_second_run_fails(networks, honest, verdict):
    model = networks.stack()
    seen: dict[bytes, int] = {}

    def drifting(feeds):
        outputs = honest(model)(feeds)
        key = feeds["inputs"].tobytes()
        seen[key] = seen.get(key, 0) + 1
        # a rounding error, within all that is allowed
        outputs["outputs"] = np.nextafter(outputs["outputs"], np.float32(2 * (seen[key] % 2)))
        return outputs

    assert "other bits in the second run" in failing(verdict(model, drifting), AGAIN)


def test_rows_that_see_each_other_fail_even_where_all_probes_agree(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)

    def mixing(feeds):
        outputs = right(feeds)
        x = feeds["inputs"]
        if x.shape == (4, 10, 3) and x[1, 0, 0] * mixing.first < 0:
            outputs["outputs"] = outputs["outputs"] + np.float32(1e-3)
        mixing.first = mixing.first or (x[1, 0, 0] if x.shape == (4, 10, 3) else 0.0)
        return outputs

    mixing.first = 0.0
    assert "row 0 among others" in failing(verdict(model, mixing), ROWS)


def test_states_that_do_not_carry_on_fail(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)

    def restarting(feeds):
        outputs = right(feeds)
        if feeds["inputs"].shape[1] == 7:  # the second piece of ten steps
            return right({n: np.zeros_like(a) if "initial" in n else a for n, a in feeds.items()})
        return outputs

    found = verdict(model, restarting, states=States.REQUIRED)
    assert "in pieces of 3 and 7" in failing(found, PIECES)


def test_padding_that_is_read_fails(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)

    def peeking(feeds):
        outputs = right(feeds)
        lengths = feeds["sequence_length"]
        if lengths.max() < feeds["inputs"].shape[1]:
            outputs["outputs"][:, -1] = 0.5
        return outputs

    assert "more padding" in failing(verdict(model, peeking, lengths=True), PADDING)


def test_a_size_that_is_declined_though_declared_fails(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)

    def fixed(feeds):
        if feeds["inputs"].shape[0] > 4:
            raise RuntimeUnavailable("Got invalid dimensions for input: batch")
        return right(feeds)

    assert "declined, though the file declares it" in failing(verdict(model, fixed), SIZES)


def test_a_batch_fixed_inside_a_file_that_declares_any_fails(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)

    def fixed(feeds):
        if feeds["inputs"].shape[0] != 3:
            raise RuntimeUnavailable("the initial state has 3 rows")
        return right(feeds)

    reason = failing(verdict(model, fixed), SIZES)
    assert "3 x 2 runs, 4 x 10 does not" in reason


def test_a_runtime_that_died_is_not_blamed_on_sizes(networks, honest, verdict):
    model = networks.stack()
    right = honest(model)
    calls = []

    def dying(feeds):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeUnavailable("the process is gone")
        return right(feeds)

    assert verdict(model, dying).outcome is Outcome.INCONCLUSIVE


def test_recorded_data_make_no_claims(networks, honest, verdict, puppet, artifact_of):
    model = networks.stack()
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 3)).astype(np.float32)
    options = VerifyOptions(data={"inputs": x}, only_data=True)
    found = verify(model, [(puppet(honest(model)), artifact_of(model))], options=options)
    assert found.runtimes[0].checks == {}
