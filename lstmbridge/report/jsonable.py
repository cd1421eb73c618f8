"""Inspections, verdicts and conversions as the JSON that DESIGN's section 7 promises."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmbridge.contracts import (
    Conversion,
    Inspection,
    OutputComparison,
    Part,
    RuntimeInfo,
    RuntimeResult,
    Trace,
    Verdict,
)
from lstmbridge.errors import LstmBridgeError
from lstmbridge.gates import GateBlocks
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Attachment, Layer
from lstmbridge.model.cells import Cell
from lstmbridge.model.facts import Fact
from lstmbridge.report import overview
from lstmbridge.report.schema import headed

_DIRECTIONS = {"": "forward", "fw": "forward", "bw": "backward"}


def _number(x: float) -> float | str:
    """JSON has no words for the infinite; the reader gets them as strings."""
    return x if math.isfinite(x) else str(x)


def fact(f: Fact[Any]) -> dict[str, Any]:
    """A fact with its basis and its place."""
    value = _number(f.value) if isinstance(f.value, float) else f.value
    return {"value": value, "basis": f.basis.value, "where": f.where}


_EVERY_GATE = ("kernel", "recurrent", "bias")
"""Fields that every gate's entry has; null where the cell stores none."""


def _gate(cell: Cell, gate: str) -> dict[str, list[int] | None]:
    """The shapes of one gate's blocks, by field."""
    blocks = {name: b for name, b in cell.blocks.items() if isinstance(b, GateBlocks)}
    shapes = {name: list(b.shape) for name, b in blocks.items() if gate in b}
    return {**dict.fromkeys(_EVERY_GATE), **shapes}


def _layer(layer: Layer, variables: tuple[str, ...]) -> dict[str, Any]:
    cell = layer.cell
    arrays = {name: b for name, b in cell.blocks.items() if not isinstance(b, GateBlocks)}
    gated = next(b for b in cell.blocks.values() if isinstance(b, GateBlocks))
    return {
        "name": layer.name,
        "cell": cell.KIND,
        "direction": _DIRECTIONS[layer.direction],
        "input_size": cell.input_size,
        "units": cell.units,
        "output_size": cell.output_size,
        "states": cell.state_sizes,
        "dtype": str(cell.dtype),
        "gates": {gate: _gate(cell, gate) for gate in gated.gates},
        "arrays": {name: list(stored.shape) for name, stored in arrays.items()},
        "facts": {name: fact(f) for name, f in cell.facts.items()},
        "variables": list(variables),
    }


def _attachment(attachment: Attachment, variables: tuple[str, ...]) -> dict[str, Any]:
    block = attachment.block
    return {
        "name": attachment.name,
        "block": type(block).__name__,
        "direction": _DIRECTIONS[attachment.direction],
        "input_size": block.input_size,
        "output_size": block.output_size,
        "arrays": {name: list(stored.shape) for name, stored in block.weights.items()},
        "variables": list(variables or (stored.name for stored in block.weights.values())),
    }


def part(p: Part) -> dict[str, Any]:
    """One recurrent stack. `order` names layers and attachments as data meet them."""
    model = p.model
    return {
        "name": p.name,
        "dialect": p.dialect,
        "order": [place.name for place in model.places],
        "layers": [_layer(x, p.variables.get(x.name, ())) for x in model.layers],
        "attachments": [_attachment(x, p.variables.get(x.name, ())) for x in model.attachments],
        "facts": {name: fact(f) for name, f in model.facts.items()},
        "head": None,
        "embedding": None,
    }


def inspection(i: Inspection) -> dict[str, Any]:
    """What `inspect --json` prints."""
    found = i.recognition
    body = {
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
        "whole": None if i.whole is None else overview.body(i.whole),
    }
    return headed("inspection", body)


def comparison(c: OutputComparison) -> dict[str, Any]:
    """One output at its worst place."""
    return {
        "max_abs": _number(c.max_abs),
        "allowed": _number(c.allowed),
        "ratio": _number(c.ratio),
        "worst_index": list(c.worst_index),
        "probe": c.probe,
        "comparisons": c.comparisons,
        "problem": c.problem,
    }


def _trace(t: Trace) -> dict[str, Any]:
    return {
        "along": t.along,
        "probe": t.probe,
        "at": list(t.at),
        "differs": [_number(x) for x in t.off],
        "allowed": [_number(x) for x in t.allowed],
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
        "outputs": {name: comparison(c) for name, c in r.outputs.items()},
        "probes": {name: [comparison(c) for c in each] for name, each in r.probes.items()},
        "checks": {name: comparison(c) for name, c in r.checks.items()},
        "traces": {name: _trace(t) for name, t in r.traces.items()},
        "counterexample": None if r.counterexample is None else r.counterexample.size,
        "seconds": r.seconds,
    }


def verdict(v: Verdict) -> dict[str, Any]:
    """What `verify --json` prints, but for the artifact."""
    weakest = v.faults.weakest
    body = {
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
    return headed("verification", body)


def whole(w: Whole) -> dict[str, Any]:
    """A whole model: what it is fed, what it gives, and the stacks that were recognised."""
    return {
        "inputs": [overview.port_body(port) for port in w.inputs],
        "outputs": [overview.port_body(port) for port in w.outputs],
        "stacks": [
            {"name": place.name, "layers": [layer.name for layer in place.model.layers]}
            for place in w.places
        ],
    }


def conversion(c: Conversion) -> dict[str, Any]:
    """What `convert --json` prints."""
    body: dict[str, Any] = (
        {
            "verdict": "not verified",
            "facts": {n: fact(f) for n, f in c.facts.items()},
        }
        if c.verdict is None
        else verdict(c.verdict)
    )
    body = {**body, **headed("conversion", {})}
    body["artifact"] = {
        "path": None if c.path is None else str(c.path),
        "sha256": c.sha256,
        "target": c.artifact.target,
        "precision": c.artifact.precision,
        "layers": [
            {"layer": e.layer, "how": e.how, "detail": e.detail} for e in c.artifact.expressions
        ],
    }
    if c.whole is not None:
        body["whole"] = whole(c.whole)
    body["warnings"] = list(c.warnings)
    body["seconds"] = c.seconds
    return body


def error(e: LstmBridgeError) -> dict[str, Any]:
    """What any command answers with ``--json`` where it could not do its work."""
    parts = {"read": e.read, "expected": e.expected, "where": e.where, "advice": e.advice}
    said = {"type": type(e).__name__, **parts}
    return headed("error", {"exit_code": e.exit_code, "error": said})


def pack(path: Path, digest: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `golden record`, `golden import` and `golden show` print: all but the arrays."""
    return headed("pack", {"pack": {**file(path), "digest": digest}, **_finite(manifest)})


def _finite(value: Any) -> Any:
    """`value` with every number that JSON has no word for as a string."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return _number(value) if isinstance(value, float) else value


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
