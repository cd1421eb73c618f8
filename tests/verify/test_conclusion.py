"""What follows from the evidence, in words."""

from __future__ import annotations

import pytest

from lstmbridge.contracts import FaultReport, Outcome, OutputComparison, RuntimeResult
from lstmbridge.verify.conclusion import Evidence, conclude
from lstmbridge.verify.sessions import PASS, Subject


@pytest.fixture
def reasons_in(puppet, honest, networks, artifact_of):
    def of(precision):
        model = networks.stack()
        artifact = artifact_of(model)
        same = OutputComparison(0.0, 1.0, 0.0, (), "4 x 10", 12)
        ran = RuntimeResult(
            "puppet", "1", "cpu", PASS, precision=precision, outputs={"outputs": same}
        )
        subject = Subject(puppet(honest(model)), artifact, None)
        outcome, reasons = conclude(
            Evidence(
                model, ((subject, ran),), (), (), (), FaultReport(9, 8, missed=("a fault",)), None
            )
        )
        assert outcome is Outcome.INCONCLUSIVE
        return reasons

    return of


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_faults_that_16_bits_hide_are_laid_to_the_bits(reasons_in, precision):
    unseen = "1 of 9 planted faults would pass unseen on these weights: a fault"
    blame = f"; rounding to {precision} does more than they do, float32 would show more"
    assert reasons_in(precision) == (unseen + blame,)


def test_in_float32_the_weights_alone_are_named(reasons_in):
    assert reasons_in("float32") == (
        "1 of 9 planted faults would pass unseen on these weights: a fault",
    )
