"""What an artifact records about itself: origin, facts, gate order, versions, verdict.

Keys are ``lstmbridge.<name>``; values are strings, JSON where there is structure. Nothing that
changes from run to run (times, paths) is recorded, so that the same source gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lstmbridge import __version__
from lstmbridge.contracts import Part, Source, Verdict
from lstmbridge.gates import GateBlocks
from lstmbridge.model.facts import Fact

PREFIX = "lstmbridge."


def fact_as_json(f: Fact[Any]) -> dict[str, Any]:
    """Value, basis and place."""
    return {"value": f.value, "basis": f.basis.value, "where": f.where}


def metadata_of(source: Source, part: Part, sha256: str) -> dict[str, str]:
    """What is known before the artifact is written. `sha256`: the source's own."""
    facts = {name: fact_as_json(f) for name, f in part.model.all_facts.items()}
    orders = {
        layer.name: {
            field: ", ".join(blocks.gates)
            for field, blocks in layer.cell.blocks.items()
            if isinstance(blocks, GateBlocks)
        }
        for layer in part.model.layers
    }
    return {
        f"{PREFIX}version": __version__,
        f"{PREFIX}source.format": source.format,
        f"{PREFIX}source.sha256": sha256,
        f"{PREFIX}source.producer": source.producer or "not stated",
        f"{PREFIX}part": part.name,
        f"{PREFIX}dialect": part.dialect,
        f"{PREFIX}facts": json.dumps(facts, sort_keys=True),
        f"{PREFIX}gate_order": json.dumps(orders, sort_keys=True),
    }


def verdict_metadata(verdict: Verdict | None) -> dict[str, str]:
    """What is known after it was verified."""
    if verdict is None:
        return {f"{PREFIX}verdict": json.dumps({"verdict": "not verified"})}
    runs = {
        f"{r.name} {r.version}".strip(): {
            name: {"max_abs": c.max_abs, "allowed": c.allowed} for name, c in r.outputs.items()
        }
        for r in verdict.runtimes
        if r.status == "pass"
    }
    body = {
        "verdict": verdict.outcome.value,
        "comparisons": verdict.comparisons,
        "faults": {"planted": verdict.faults.planted, "caught": verdict.faults.caught},
        "runtimes": runs,
        "seed": verdict.seed,
    }
    return {f"{PREFIX}verdict": json.dumps(body, sort_keys=True)}


def recorded_facts(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The facts an artifact records, by name; empty where it records none."""
    found: dict[str, dict[str, Any]] = json.loads(metadata.get(f"{PREFIX}facts", "{}"))
    return found
