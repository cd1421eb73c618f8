"""Cells of every kind with seeded weights, each gate's its own."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np
import pytest

from lstmbridge.contracts import (
    FaultReport,
    LedgerReport,
    Outcome,
    OutputComparison,
    RuntimeResult,
    Verdict,
)
from lstmbridge.gates import GateBlocks, InMemory
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact
from lstmbridge.report.samples import SAMPLES, Option, cell_of


@pytest.fixture
def numbers():
    """`numbers("GRU", reset_after=True)`: a cell of float32 weights under its gates' names."""
    rng = np.random.default_rng(11)

    def filled(stored: Any) -> Any:
        if isinstance(stored, GateBlocks):
            blocks = {gate: rng.normal(size=stored.shape).astype("f4") for gate in stored.gates}
            return GateBlocks.of(blocks)
        return InMemory(stored.name, rng.normal(size=stored.shape).astype("f4"))

    def make(kind: str, option: str = "", **facts: Any) -> Cell:
        sample = SAMPLES[kind]
        chosen = sample.options.get(option, Option())
        bare = cell_of(sample, Option(chosen.fields, {**chosen.facts, **facts}))
        fields = {name: filled(stored) for name, stored in bare.blocks.items()}
        missing = [f.name for f in dataclass_fields(bare) if f.name not in fields]
        constants = {
            name: Fact.given(getattr(bare, name).value, "test")
            for name in missing
            if name in bare.facts
        }
        absent = dict.fromkeys(name for name in missing if name not in constants)
        return type(bare)(**fields, **constants, **absent)

    return make


@pytest.fixture
def verdict():
    """`verdict(outcome="fail", ...)`: one runtime, two outputs; keywords replace fields."""

    def make(*, ratio: float = 0.5, name: str = "outputs", **fields: Any) -> Verdict:
        compared = OutputComparison(1e-7 * ratio, 1e-7, ratio, (0, 1, 2), "4 x 10", 80)
        broken = OutputComparison(float("inf"), 0.0, float("inf"), (), "1 x 1", 0, "missing")
        fine = ratio <= 1
        outputs = {name: compared, "layer0_h": compared if fine else broken}
        said: dict[str, Any] = {
            "outcome": Outcome.PASS if fine else Outcome.FAIL,
            "reasons": () if fine else (f"puppet: {name} differs",),
            "comparisons": 160,
            "runtimes": (
                RuntimeResult(
                    "puppet", "1.2", "cpu", "pass" if fine else "fail",
                    precision="float32", subject="m.onnx", outputs=outputs,
                ),
            ),
            "noise_floor": {name: 3e-8},
            "faults": FaultReport(2, 2, ("zero bias dropped",), weakest=("time reversed", 40.0)),
            "ledger": LedgerReport(10),
            "facts": {"layer0.forget_bias": Fact.assumed(1.0, "default of BasicLSTMCell")},
            "not_run": ("tensorflow: TensorFlow is not installed",),
            "seconds": 0.25,
            "seed": 7,
        }  # fmt: skip
        said["outcome"] = Outcome(fields.pop("outcome", said["outcome"]))
        return Verdict(**{**said, **fields})

    return make
