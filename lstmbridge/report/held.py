"""What `inspect` says of an artifact: as text, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstmbridge.contracts import ArtifactInspection, HeldLayer
from lstmbridge.metadata import PREFIX
from lstmbridge.model.signature import TensorSpec
from lstmbridge.report import jsonable
from lstmbridge.report.layout import GLUE, columns, wrapped
from lstmbridge.report.overview import counted
from lstmbridge.report.schema import headed
from lstmbridge.report.terminal import grouped_facts, plural

_WHAT = {
    "onnx": "ONNX model",
    "torch": "PyTorch tensors and their module",
    "torch-export": "exported PyTorch program",
}
_WAYS = {"backward": ", backward", "both": ", both ways"}
_LONGEST_NAME = 30


def text(i: ArtifactInspection, *, verbose: bool = False) -> str:
    """What `inspect` prints."""
    found, said = i.artifact, i.artifact.metadata
    what = _WHAT.get(found.target, found.target)
    writer = f"written by lstmbridge {said.get(f'{PREFIX}version', '')}" if i.ours else (
        "not written by lstmbridge"
    )  # fmt: skip
    lines = [str(found.path), *wrapped(f"{what}, {found.precision}, {writer}, {i.size:,} bytes")]
    lines += _origin(i, verbose=verbose)
    signature = found.signature
    lines += ["", "inputs", *columns([_port(x) for x in signature.inputs], indent=4)]
    lines += ["", "outputs", *columns([_port(x) for x in signature.outputs], indent=4)]
    if i.holdings is not None:
        lines += _held(i)
    if i.facts:
        lines += ["", "facts"]
        for line in grouped_facts(i.facts):
            lines += wrapped(line, 4)
    return "\n".join(lines)


def _origin(i: ArtifactInspection, *, verbose: bool) -> list[str]:
    if not i.ours:
        return []
    said = i.artifact.metadata
    digest = said.get(f"{PREFIX}source.sha256", "not stated")
    producer = said.get(f"{PREFIX}source.producer", "not stated")
    lines = wrapped(
        f"from: {said.get(f'{PREFIX}source.format', 'a source that is not stated')}, producer: "
        f"{producer}, sha256 {digest if verbose else digest[:16]}"
    )
    return [*lines, f"verdict when it was written: {i.verdict or 'not recorded'}"]


def _port(spec: TensorSpec) -> tuple[str, str, str]:
    shape = f"({', '.join(map(str, spec.shape))})"
    optional = ", may be left out" if spec.optional else ""
    return spec.name, shape, f"{spec.dtype.name}{optional}"


def _held(i: ArtifactInspection) -> list[str]:
    held = i.holdings
    if held is None:
        return []
    lines = ["", f"recurrent layers: {len(held.layers) or 'none'}"]
    if held.layers:
        rows = [_layer(x) for x in held.layers]
        if max(len(row[0]) for row in rows) <= _LONGEST_NAME:
            lines += columns(rows, indent=4)
        else:
            lines += [line for row in rows for line in wrapped(f"{row[0]}: {_one(row)}", 4)]
    details = [one for one in i.artifact.expressions if one.how != "native"]
    for one in details:
        lines += wrapped(f"{one.layer}: {one.how}{', ' * bool(one.detail)}{one.detail}", 4)
    if held.operations:
        lines += ["", *wrapped(f"other operations: {counted(held.operations)}")]
    return [*lines, "", f"{held.numbers:,} numbers in {plural(held.tensors, 'tensor')}"]


def _one(row: tuple[str, str, str, str]) -> str:
    """A layer whose name leaves no room for columns."""
    return f"{row[1]} {row[2].replace(' ', GLUE)}, {row[3]}"


def _layer(x: HeldLayer) -> tuple[str, str, str, str]:
    def size(n: int | None) -> str:
        return "?" if n is None else str(n)

    sizes = f"{size(x.input_size)} → {size(x.units)}"
    if x.output_size != x.units:
        sizes += f" units → {size(x.output_size)}"
    facts = [name if value is True else f"{name} {value}" for name, value in x.facts.items()]
    return x.name, f"{x.cell}{_WAYS.get(x.direction, '')}", sizes, ", ".join([x.said_by, *facts])


def body(i: ArtifactInspection) -> dict[str, Any]:
    """What `inspect --json` prints."""
    found, said = i.artifact, i.artifact.metadata
    held = i.holdings
    return headed(
        "artifact",
        {
            "artifact": {
                "path": str(found.path),
                "sha256": i.sha256,
                "bytes": i.size,
                "target": found.target,
                "precision": found.precision,
                "beside": list(found.beside),
            },
            "written_by": said.get(f"{PREFIX}version") if i.ours else None,
            "source": _source(said) if i.ours else None,
            "verdict": i.verdict or None,
            "inputs": [_spec(one) for one in found.signature.inputs],
            "outputs": [_spec(one) for one in found.signature.outputs],
            "layers": None if held is None else [_layer_body(x) for x in held.layers],
            "expressions": [
                {"layer": x.layer, "how": x.how, "detail": x.detail} for x in found.expressions
            ],
            "operations": None if held is None else dict(held.operations),
            "tensors": None if held is None else held.tensors,
            "numbers": None if held is None else held.numbers,
            "facts": {name: jsonable.fact(f) for name, f in i.facts.items()},
        },
    )


def _source(said: Mapping[str, str]) -> dict[str, Any]:
    return {name: said.get(f"{PREFIX}source.{name}") for name in ("format", "producer", "sha256")}


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": spec.dtype.name,
        "optional": spec.optional,
    }


def _layer_body(x: HeldLayer) -> dict[str, Any]:
    return {
        "name": x.name,
        "cell": x.cell,
        "said_by": x.said_by,
        "direction": x.direction,
        "input_size": x.input_size,
        "units": x.units,
        "output_size": x.output_size,
        "facts": dict(x.facts),
    }
