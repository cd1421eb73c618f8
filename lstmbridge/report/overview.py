"""A whole model as `inspect` and `convert` show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lstmbridge.graph.overview import Overview
from lstmbridge.graph.whole import Port, Setting
from lstmbridge.report.layout import wrapped

_OPERATIONS_SHOWN = 12
_NAMES_SHOWN = 4


def ports(inputs: Iterable[Port], outputs: Iterable[Port], fixed: Iterable[Setting]) -> list[str]:
    """A line for each input, output, and thing that inference fixes."""
    return [
        *(f"  input   {_port(port)}" for port in inputs),
        *(f"  output  {_port(port)}" for port in outputs),
        *(f"  fixed   {s.name} = {np.asarray(s.value).tolist()}  ({s.why})" for s in fixed),
    ]


def _port(port: Port) -> str:
    """``frames (?, ?, 40) float32``."""
    axes = (
        "?" if port.shape is None else ", ".join("?" if n is None else str(n) for n in port.shape)
    )
    return f"{port.name} ({axes}) {port.dtype.name}"


def counted(operations: Mapping[str, int]) -> str:
    """``17: 3 Cast, 2 Gather, ...``; "" where there are none."""
    kinds = [f"{n} {kind}" for kind, n in operations.items()]
    more = len(kinds) - _OPERATIONS_SHOWN
    kinds = [*kinds[:_OPERATIONS_SHOWN], *([f"{more} other types"] if more > 0 else [])]
    return f"{sum(operations.values()):,}: {', '.join(kinds)}" if kinds else ""


def lines(o: Overview) -> list[str]:
    """The section of an inspection."""
    said = ["", "whole model"]
    for line in ports(o.inputs, o.outputs, o.settings):
        said += wrapped(line.strip(), 2, hang=8)
    stacks = [f"{name} ({len(layers)})" for name, layers in o.stacks.items()]
    if stacks:
        said += wrapped(f"recurrent stacks (layers): {', '.join(stacks)}", 2)
    if o.operations:
        said += wrapped(f"{'other ' * bool(stacks)}operations: {counted(o.operations)}", 2)
    for kind, names in o.unknown.items():
        more = len(names) - _NAMES_SHOWN
        shown = [*names[:_NAMES_SHOWN], *([f"{more} more"] if more > 0 else [])]
        said += wrapped(f"not supported: {len(names)} {kind}: {', '.join(shown)}", 2)
    for note in o.notes:
        said += wrapped(note, 2)
    if o.problem:
        said += wrapped(f"not converted as it is: {o.problem}", 2)
        said += wrapped(f"what to do: {o.advice}", 4) if o.advice else []
    return said


def port_body(port: Port) -> dict[str, Any]:
    """A port as JSON has it; null for an axis of any length."""
    shape = None if port.shape is None else list(port.shape)
    return {"name": port.name, "shape": shape, "dtype": port.dtype.name}


def body(o: Overview) -> dict[str, Any]:
    """The key ``whole`` of an inspection."""
    return {
        "inputs": [port_body(port) for port in o.inputs],
        "outputs": [port_body(port) for port in o.outputs],
        "fixed": [{"name": s.name, "why": s.why, "given": s.given} for s in o.settings],
        "stacks": [{"name": n, "layers": list(layers)} for n, layers in o.stacks.items()],
        "operations": dict(o.operations),
        "unsupported": {kind: list(names) for kind, names in o.unknown.items()},
        "notes": list(o.notes),
        "problem": o.problem or None,
        "advice": o.advice or None,
    }
