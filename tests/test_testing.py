"""`lstmbridge.testing`: silence for what is equal, the whole report for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import lstmbridge
from lstmbridge.contracts import Hints, Outcome
from lstmbridge.errors import LstmBridgeError
from lstmbridge.testing import assert_equivalent
from lstmbridge.verify import VerifyOptions


@pytest.fixture
def converted(seed_prefix: Path, tmp_path: Path) -> Path:
    done = lstmbridge.convert(seed_prefix, to="onnx", output=tmp_path / "m.onnx")
    assert done.path is not None
    return done.path


def test_an_honest_conversion_gives_its_verdict(seed_prefix: Path, converted: Path) -> None:
    found = assert_equivalent(
        seed_prefix, converted, runtimes=["onnxruntime-cpu"], require=["onnxruntime-cpu"]
    )
    assert found.outcome is Outcome.PASS
    assert found.comparisons > 0


def test_a_wrong_conversion_fails_with_the_report(seed_prefix: Path, converted: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_equivalent(seed_prefix, converted, hints=Hints(forget_bias=0.25))
    message = str(caught.value)
    assert str(converted) in message
    assert "FAIL" in message
    assert "planted faults" in message


def test_no_artifact_is_no_proof(seed_prefix: Path) -> None:
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_equivalent(seed_prefix)


def test_what_is_required_must_run(seed_prefix: Path, converted: Path) -> None:
    with pytest.raises(AssertionError, match="torch-cuda is required and did not run"):
        assert_equivalent(
            seed_prefix, converted, options=VerifyOptions(seed=3), require=["torch-cuda"]
        )


def test_a_source_that_is_not_there_is_an_error_not_a_failure(tmp_path: Path) -> None:
    with pytest.raises(LstmBridgeError):
        assert_equivalent(tmp_path / "none", tmp_path / "none.onnx")
