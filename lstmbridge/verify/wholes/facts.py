"""What a whole model's verdict states as facts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmbridge.graph.whole import Whole
from lstmbridge.model.facts import Basis, Fact

_SHOWN = 6


def facts_of(whole: Whole) -> dict[str, Fact[Any]]:
    """What inference fixes, and the facts of every recognised stack under its name."""
    facts: dict[str, Fact[Any]] = {}
    for setting in whole.settings:
        value = np.asarray(setting.value)
        shown = value.item() if value.size == 1 else value.ravel()[:_SHOWN].tolist()
        basis = Basis.GIVEN if setting.given else Basis.READ
        facts[setting.name] = Fact(shown, basis, setting.why)
    for place in whole.places:
        for name, fact in place.model.all_facts.items():
            facts[f"{place.name}.{name}"] = fact
    return facts
