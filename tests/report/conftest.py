"""Cells of every kind with seeded weights, each gate's its own."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from typing import Any

import numpy as np
import pytest

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
