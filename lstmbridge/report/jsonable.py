"""Inspections, verdicts and conversions as the JSON that DESIGN's section 7 promises."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from lstmbridge.contracts import (
    Conversion,
    Inspection,
    OutputComparison,
    Part,
    RuntimeInfo,
    RuntimeResult,
    Verdict,
)
from lstmbridge.model.blocks import Layer
from lstmbridge.model.facts import Fact


def _number(x: float) -> float | str:
    """JSON has no words for the infinite; the reader gets them as strings."""
    return x if math.isfinite(x) else str(x)


def fact(f: Fact[Any]) -> dict[str, Any]:
    """A fact with its basis and its place."""
    value = _number(f.value) if isinstance(f.value, float) else f.value
    return {"value": value, "basis": f.basis.value, "where": f.where}


def _layer(layer: Layer, variables: tuple[str, ...]) -> dict[str, Any]:
    cell = layer.cell
    return {
        "name": layer.name,
        "cell": cell.KIND,
        "direction": {"": "forward", "fw": "forward", "bw": "backward"}[layer.direction],
        "input_size": cell.input_size,
        "units": cell.units,
        "output_size": cell.output_size,
        "dtype": str(cell.dtype),
        "gates": {
            gate: {
                "kernel": list(cell.kernel.shape),
                "recurrent": list(cell.recurrent.shape),
                "bias": None if cell.bias is None else list(cell.bias.shape),
            }
            for gate in cell.kernel.gates
        },
        "facts": {name: fact(f) for name, f in cell.facts.items()},
        "variables": list(variables),
    }


def part(p: Part) -> dict[str, Any]:
    """One recurrent stack."""
    return {
        "name": p.name,
        "dialect": p.dialect,
        "layers": [_layer(x, p.variables.get(x.name, ())) for x in p.model.layers],
        "facts": {name: fact(f) for name, f in p.model.facts.items()},
        "head": None,
        "embedding": None,
    }


def inspection(i: Inspection) -> dict[str, Any]:
    """What `inspect --json` prints."""
    found = i.recognition
    return {
        "source": {
            "path": str(i.path),
            "format": i.format,
            "producer": i.producer,
            "files": [str(f) for f in i.files],
            "sha256": i.sha256,
        },
        "parts": [part(p) for p in found.parts],
        "ignored": [
            {"name": x.name, "shape": list(x.shape), "reason": x.reason} for x in found.ignored
        ],
        "refusals": [{"where": x.where, "reason": x.reason} for x in found.refusals],
        "warnings": list(found.warnings),
    }


def _comparison(c: OutputComparison) -> dict[str, Any]:
    return {
        "max_abs": _number(c.max_abs),
        "allowed": _number(c.allowed),
        "ratio": _number(c.ratio),
        "worst_index": list(c.worst_index),
        "probe": c.probe,
        "comparisons": c.comparisons,
        "problem": c.problem,
    }


def _runtime(r: RuntimeResult) -> dict[str, Any]:
    return {
        "name": r.name,
        "version": r.version,
        "device": r.device,
        "precision": r.precision,
        "subject": r.subject,
        "status": r.status,
        "reason": r.reason,
        "diagnosis": r.diagnosis,
        "outputs": {name: _comparison(c) for name, c in r.outputs.items()},
        "seconds": r.seconds,
    }


def verdict(v: Verdict) -> dict[str, Any]:
    """What `verify --json` prints, but for the artifact."""
    weakest = v.faults.weakest
    return {
        "verdict": v.outcome.value,
        "reasons": list(v.reasons),
        "comparisons": v.comparisons,
        "runtimes": [_runtime(r) for r in v.runtimes],
        "noise_floor": {name: _number(x) for name, x in v.noise_floor.items()},
        "faults": {
            "planted": v.faults.planted,
            "caught": v.faults.caught,
            "indistinguishable": list(v.faults.indistinguishable),
            "missed": list(v.faults.missed),
            "weakest": weakest and {"name": weakest[0], "ratio": _number(weakest[1])},
        },
        "ledger": v.ledger
        and {
            "compared": v.ledger.compared,
            "different": list(v.ledger.different),
            "missing": list(v.ledger.missing),
            "extra": list(v.ledger.extra),
            "unreadable": v.ledger.unreadable,
        },
        "facts": {name: fact(f) for name, f in v.facts.items()},
        "not_run": list(v.not_run),
        "tolerance": v.tolerance,
        "seed": v.seed,
        "seconds": v.seconds,
    }


def conversion(c: Conversion) -> dict[str, Any]:
    """What `convert --json` prints."""
    body: dict[str, Any] = (
        {
            "verdict": "not verified",
            "facts": {n: fact(f) for n, f in c.part.model.all_facts.items()},
        }
        if c.verdict is None
        else verdict(c.verdict)
    )
    body["artifact"] = {
        "path": None if c.path is None else str(c.path),
        "sha256": c.sha256,
        "target": c.artifact.target,
        "precision": c.artifact.precision,
        "layers": [
            {"layer": e.layer, "how": e.how, "detail": e.detail} for e in c.artifact.expressions
        ],
    }
    body["warnings"] = list(c.warnings)
    body["seconds"] = c.seconds
    return body


def file(path: Path) -> dict[str, Any]:
    """A file by its path and digest."""
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def runtimes(found: tuple[RuntimeInfo, ...]) -> list[dict[str, Any]]:
    """What `runtimes --json` prints."""
    return [
        {
            "name": r.name,
            "available": r.available,
            "version": r.version,
            "device": r.device,
            "reason": r.reason,
            "install": r.install,
        }
        for r in found
    ]
