"""What several rooms' tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


class Case:
    """One folder of `fixtures/`: a checkpoint, and what its TensorFlow computed."""

    def __init__(self, name: str) -> None:
        self.folder = FIXTURES / name
        self.card: dict[str, Any] = json.loads((self.folder / "card.json").read_text())
        self.prefix = self.folder / self.card["prefix"]
        with np.load(self.folder / "expected.npz") as stored:
            self.expected = dict(stored)


@pytest.fixture
def case():
    """`case("tf115-seed-meta")`."""
    return Case


@pytest.fixture
def seed_prefix() -> Path:
    """Three layers of BasicLSTMCell(2), no graph beside them."""
    return FIXTURES / "tf115-seed-bare" / "model.ckpt"
