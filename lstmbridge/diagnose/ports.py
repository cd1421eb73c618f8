"""An artifact from elsewhere under our names and axes, so that it can be run like one of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import (
    BATCH_MAJOR,
    TIME_MAJOR,
    Artifact,
    Feeds,
    Outputs,
    Port,
    Runtime,
    RuntimeInfo,
    Session,
    Signature,
    States,
    TensorSpec,
)
from lstmbridge.errors import FactMissing, UsageError
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS, OUTPUTS, SEQUENCE_LENGTH, signature_of

TIME_WORDS = frozenset({"time", "t", "seq", "sequence", "seq_len", "steps", "length", "timesteps"})
BATCH_WORDS = frozenset({"batch", "b", "n", "batch_size", "rows"})
_SEQUENCES = (INPUTS, OUTPUTS)


@dataclass(frozen=True, eq=False)
class Matched:
    """All ports of an artifact that are known, and how they came to be known.

    Attributes:
        said: in words.
        contradictions: what the file says of its axes that its graph does not do.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    said: tuple[str, ...]
    contradictions: tuple[str, ...] = ()


def known_names(model: Model) -> dict[str, TensorSpec]:
    """Every name of ours that an artifact of `model` may have."""
    full = signature_of(model, model.dtype, states=States.OPTIONAL, sequence_length=True)
    return {spec.name: spec for spec in (*full.inputs, *full.outputs)}


def stacks(model: Model) -> dict[str, tuple[str, ...]]:
    """Names for states of all layers in one array, as PyTorch's modules take and give them.

    ``final_h`` (layers, batch, units) is its ``h_n``; ``initial_h`` its ``h_0``; likewise c.
    """
    found: dict[str, tuple[str, ...]] = {}
    for state in ("h", "c"):
        layers = [layer for layer in model.layers if state in layer.cell.state_sizes]
        if layers:
            found[f"final_{state}"] = tuple(x.state_name(state) for x in layers)
            found[f"initial_{state}"] = tuple(x.initial_name(state) for x in layers)
    return found


def match(
    artifact: Artifact,
    model: Model,
    read: Sequence[Port],
    renames: Mapping[str, str],
    layout: str | None,
) -> Matched:
    """Our names for the artifact's inputs and outputs.

    Args:
        artifact: the file.
        model: the network that it is compared with.
        read: ports that the graph itself showed.
        renames: the user's: theirs -> ours; they win.
        layout: the user's word on how sequences lie.

    Raises:
        UsageError: a rename names nothing. FactMissing: an input cannot be told, or a layout.
    """
    ours = known_names(model)
    stacked = stacks(model)
    _check(renames, artifact, {**ours, **stacked})
    traced = {port.theirs: port for port in read}
    found: list[Port] = []
    said: list[str] = []
    signature = artifact.signature
    for spec in (*signature.inputs, *signature.outputs):
        port = _port(spec, traced.get(spec.name), renames, ours, stacked)
        if port is None:
            continue
        if set(port.ours) & set(_SEQUENCES):
            port = _with_layout(port, spec, layout)
        found.append(port)
        if port.ours != (spec.name,) or port.layout == TIME_MAJOR:
            said.append(_words(port))
    _refuse_unknown(signature, found)
    unknown = set(signature.output_names()) - {port.theirs for port in found}
    said += [f"the output {name} is not compared: nothing says what it is" for name in unknown]
    takes = {spec.name for spec in signature.inputs}
    found = _agreeing(found, layout)
    return Matched(
        tuple(port for port in found if port.theirs in takes),
        tuple(port for port in found if port.theirs not in takes),
        tuple(said),
        tuple(_contradictions(signature, found)),
    )


def _check(renames: Mapping[str, str], artifact: Artifact, ours: Mapping[str, object]) -> None:
    theirs = (*artifact.signature.input_names(), *artifact.signature.output_names())
    for old, new in renames.items():
        if old not in theirs or new not in ours:
            known = theirs if old not in theirs else tuple(ours)
            raise UsageError(
                f"--rename {old}={new}: there is no {old if old not in theirs else new}",
                expected=f"one of {', '.join(known)}",
                where=str(artifact.path),
                advice="the name in the file comes first: --rename theirs=ours",
            )


def _port(
    spec: TensorSpec,
    traced: Port | None,
    renames: Mapping[str, str],
    ours: Mapping[str, TensorSpec],
    stacked: Mapping[str, tuple[str, ...]],
) -> Port | None:
    if spec.name in renames:
        whole = stacked.get(renames[spec.name])
        if whole is not None:
            return Port(spec.name, whole, stacked=True, why="--rename")
        base = traced or Port(spec.name, ())
        return replace(base, ours=(renames[spec.name],), why="--rename")
    if traced is not None:
        return traced
    if spec.name in ours and len(spec.shape) == len(ours[spec.name].shape):
        return Port(spec.name, (spec.name,), why="its name")
    return None


def _with_layout(port: Port, spec: TensorSpec, layout: str | None) -> Port:
    if layout is not None:
        return replace(port, layout=layout, why="--layout")
    if port.layout:
        return port
    declared = declared_layout(spec.shape)
    if declared:
        return replace(port, layout=declared, why="the names of its axes")
    return replace(port, layout=BATCH_MAJOR) if spec.name == port.ours[0] else port


def declared_layout(shape: Sequence[int | str]) -> str:
    """What the names of the first two axes say; "" where they say nothing."""
    names = [one.lower() if isinstance(one, str) else "" for one in shape[:2]]
    if len(names) == 2 and (names[0] in BATCH_WORDS or names[1] in TIME_WORDS):
        return BATCH_MAJOR
    if len(names) == 2 and (names[0] in TIME_WORDS or names[1] in BATCH_WORDS):
        return TIME_MAJOR
    return ""


def _agreeing(found: Sequence[Port], layout: str | None) -> list[Port]:
    """Outputs whose axes nothing shows lie as the inputs do."""
    inputs = next((p for p in found if p.ours == (INPUTS,)), None)
    if inputs is None or not inputs.layout:
        raise FactMissing(
            "which axis of the sequences is time was not found out",
            expected="a graph that can be followed, or axes that are named",
            where="the artifact's inputs" if inputs is None else f"input {inputs.theirs!r}",
            advice="say it: --layout batch-major, or --layout time-major",
        )
    return [
        replace(p, layout=layout or inputs.layout, why="as the input")
        if p.ours == (OUTPUTS,) and not p.layout
        else p
        for p in found
    ]


def _contradictions(signature: Signature, found: Sequence[Port]) -> Iterator[str]:
    shapes = {spec.name: spec.shape for spec in (*signature.inputs, *signature.outputs)}
    for port in found:
        declared = declared_layout(shapes[port.theirs]) if port.layout else ""
        if declared and declared != port.layout and "followed" in port.why:
            axes = ", ".join(str(one) for one in shapes[port.theirs])
            yield (
                f"{port.theirs} is declared ({axes}), but the graph takes it for {port.layout}: "
                "a Transpose is missing"
            )


def _refuse_unknown(signature: Signature, found: Sequence[Port]) -> None:
    known = {port.theirs for port in found}
    open_ = [s.name for s in signature.inputs if s.name not in known and not s.optional]
    if open_:
        raise FactMissing(
            f"what the inputs {', '.join(open_)} carry was not found out",
            expected=f"inputs called {INPUTS}, {SEQUENCE_LENGTH}, initial_layer0_h, ..., or a "
            "graph in which they can be followed to a layer",
            where="the artifact's inputs",
            advice=f"say it: --rename {open_[0]}=inputs",
        )


def _words(port: Port) -> str:
    carried = ", ".join(name or "(unused)" for name in port.ours)
    text = f"{port.theirs} is {carried}"
    text += ", stacked" if port.stacked and len(port.ours) > 1 else ""
    text += f", {port.layout}" if port.layout else ""
    return f"{text} ({port.why})" if port.why else text


def ported(artifact: Artifact, matched: Matched, model: Model) -> Artifact:
    """The artifact with our names and batch-major shapes; only what was matched."""
    ours = known_names(model)
    theirs = {s.name: s for s in (*artifact.signature.inputs, *artifact.signature.outputs)}

    def specs(ports: Sequence[Port]) -> tuple[TensorSpec, ...]:
        found = []
        for port in ports:
            spec = theirs[port.theirs]
            for name in port.ours:
                if name:
                    wanted = replace(ours[name], dtype=spec.dtype, optional=spec.optional)
                    found.append(replace(wanted, shape=_fixed(wanted.shape, spec, port)))
        return tuple(found)

    return replace(artifact, signature=Signature(specs(matched.inputs), specs(matched.outputs)))


def _fixed(shape: tuple[int | str, ...], spec: TensorSpec, port: Port) -> tuple[int | str, ...]:
    """Our symbolic shape with the sizes that the file fixes."""
    theirs = list(spec.shape)
    if port.layout == TIME_MAJOR and len(theirs) > 2:
        theirs[0], theirs[1] = theirs[1], theirs[0]
    if port.stacked:
        theirs = theirs[1:]
    if len(theirs) != len(shape):
        return shape
    return tuple(
        size if isinstance(size, int) and isinstance(axis, str) else axis
        for axis, size in zip(shape, theirs, strict=True)
    )


class PortedSession:
    """A session that is fed and read by our names. Implements `contracts.Session`."""

    def __init__(self, inner: Session, matched: Matched) -> None:
        self._inner = inner
        self._matched = matched
        self.precision = inner.precision
        self.device = inner.device

    def run(self, feeds: Feeds) -> Outputs:
        """One probe; see `Session`."""
        theirs: dict[str, Array] = {}
        for port in self._matched.inputs:
            parts = [feeds.get(name) for name in port.ours]
            there = [one for one in parts if one is not None]
            if not there:
                continue
            if port.stacked:
                filled = [np.zeros_like(there[0]) if one is None else one for one in parts]
                theirs[port.theirs] = np.stack(filled)
            else:
                theirs[port.theirs] = turned(there[0], port.layout)
        given = self._inner.run(theirs)
        outputs: dict[str, Array] = {}
        for port in self._matched.outputs:
            if port.theirs in given:
                outputs.update(split(np.asarray(given[port.theirs]), port))
        return outputs

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)


def turned(array: Array, layout: str) -> Array:
    """A sequence from one layout to the other; what is batch-major stays as it is."""
    return array.swapaxes(0, 1) if layout == TIME_MAJOR else array


def split(array: Array, port: Port) -> dict[str, Array]:
    """One of their outputs as ours: states apart, sequences batch-major, directions joined."""
    if port.stacked and array.ndim == 3 and array.shape[0] == len(port.ours):
        return {name: array[k] for k, name in enumerate(port.ours) if name}
    if port.layout and array.ndim == 4:
        # ONNX's own Y: (time, directions, batch, units), or (batch, time, directions, units)
        side_by_side = array.transpose(0, 2, 1, 3) if port.layout == TIME_MAJOR else array
        array = side_by_side.reshape(*side_by_side.shape[:2], -1)
    return {port.ours[0]: turned(array, port.layout)}


class PortedRuntime:
    """A runtime for `ported` artifacts. Implements `contracts.Runtime`."""

    def __init__(self, inner: Runtime, artifact: Artifact, matched: Matched) -> None:
        self._inner = inner
        self._artifact = artifact
        self._matched = matched
        self.name = inner.name
        self.runs = inner.runs

    def info(self) -> RuntimeInfo:
        """The runtime's own."""
        return self._inner.info()

    def open(self, _subject: Any) -> PortedSession:
        """The file as it is, its ports under our names."""
        return PortedSession(self._inner.open(self._artifact), self._matched)
