"""Why an artifact, or recorded outputs, differ from a whole model's graph.

Names are matched first: B's ports are A's by name, by A's name and ``:0``, or by ``--rename``.
What B does not give of A is left out and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge import registry
from lstmbridge.contracts import (
    Account,
    Artifact,
    Feeds,
    LedgerReport,
    Outputs,
    Runtime,
    RuntimeInfo,
    Session,
    Signature,
    TensorSpec,
    Verdict,
    WeightFinding,
    WeightReport,
    WholeTarget,
)
from lstmbridge.diagnose.recorded import Recorded, Replayed
from lstmbridge.errors import UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Whole
from lstmbridge.metadata import PREFIX
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.wholes import verify_whole


@dataclass(frozen=True, slots=True)
class Names:
    """A's names -> B's, of inputs and of outputs; and what was matched otherwise than by name."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it."""

    verdict: Verdict
    weights: WeightReport | None
    matched: tuple[str, ...]


def names_of(
    whole: Whole, inputs: Iterable[str], outputs: Iterable[str], renames: Mapping[str, str]
) -> Names | None:
    """How B's names are A's; None where they are another model's: of a stack, probably."""
    said: list[str] = []
    fed = _matched([port.name for port in whole.inputs], list(inputs), renames, said)
    given = _matched([port.name for port in whole.outputs], list(outputs), renames, said)
    return Names(fed, given, tuple(said)) if given else None


def pairs_of(
    inputs: Iterable[str], outputs: Iterable[str], theirs: Signature, renames: Mapping[str, str]
) -> Names:
    """How an artifact's names are another's."""
    said: list[str] = []
    fed = _matched(list(inputs), [s.name for s in theirs.inputs], renames, said)
    given = _matched(list(outputs), [s.name for s in theirs.outputs], renames, said)
    return Names(fed, given, tuple(said))


def _matched(
    ours: list[str], theirs: list[str], renames: Mapping[str, str], said: list[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in theirs:
        mine = renames.get(name, name)
        if mine not in ours and mine.removesuffix(":0") in ours:
            mine = mine.removesuffix(":0")
        if mine in ours and mine not in found:
            found[mine] = name
            if mine != name:
                said.append(f"{name} is {mine}{' (--rename)' if name in renames else ''}")
    return found


def is_whole_artifact(artifact: Artifact) -> bool:
    """Whether it says that it is one of ours, of a whole model."""
    return f"{PREFIX}stacks" in artifact.metadata


def of_artifact(
    whole: Whole, artifact: Artifact, runtime: Runtime, names: Names, options: VerifyOptions
) -> Compared:
    """Run B on A's probes, and hold its weights against A's where it is ours.

    Raises:
        UsageError: B takes what A has not.
    """
    needed = [spec.name for spec in artifact.signature.inputs if not spec.optional]
    strange = sorted(set(needed) - set(names.inputs.values()))
    if strange:
        raise UsageError(
            f"B takes {', '.join(strange)}, which the model does not have",
            expected=f"inputs called {', '.join(port.name for port in whole.inputs)}",
            where=str(artifact.path),
            advice="say which input it is: --rename THEIRS=OURS",
        )
    left, said = _narrowed(whole, names)
    subject = replace(artifact, signature=called(artifact.signature, names))
    verdict = verify_whole(left, [(Renamed(runtime, artifact, names), subject)], options=options)
    weights = None
    writer = registry.target(artifact.target)
    if is_whole_artifact(artifact) and isinstance(writer, WholeTarget):
        weights = _weights(writer.account_for(artifact, whole))
    return Compared(verdict, weights, (*names.said, *said))


def of_recorded(
    whole: Whole, arrays: Mapping[str, Array], path: Path, names: Names, options: VerifyOptions
) -> Compared | None:
    """Hold what was recorded against A; None where not every input of A was."""
    if set(names.inputs) != {port.name for port in whole.inputs}:
        return None
    left, said = _narrowed(whole, names)
    recorded = Recorded(
        {name: np.asarray(arrays[theirs]) for name, theirs in names.inputs.items()},
        {name: np.asarray(arrays[theirs]) for name, theirs in names.outputs.items()},
        names.said,
    )
    kinds = {a.dtype.name for a in recorded.outputs.values() if a.dtype.kind == "f"}
    exact = kinds == {"float64"} and any(p.dtype == np.float64 for p in whole.outputs)
    precision = "float64" if exact else "float16" if kinds == {"float16"} else "float32"
    aside = sorted(set(arrays) - {*names.inputs.values(), *names.outputs.values()})
    said += [f"left aside: {', '.join(aside)}"] if aside else []
    signature = Signature(_as_recorded(recorded.feeds), _as_recorded(recorded.outputs))
    subject = Artifact(path, "recorded", signature, precision)
    verdict = verify_whole(
        left,
        [(Replayed(recorded, precision), subject)],
        options=replace(options, data=recorded.feeds, only_data=True),
    )
    return Compared(verdict, None, (*names.said, *said))


def _as_recorded(arrays: Mapping[str, Array]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, array.shape, array.dtype) for name, array in arrays.items())


def _narrowed(whole: Whole, names: Names) -> tuple[Whole, list[str]]:
    """A, with the outputs that B has."""
    kept = tuple(port for port in whole.outputs if port.name in names.outputs)
    lacks = [port.name for port in whole.outputs if port.name not in names.outputs]
    said = [f"outputs of A that B does not have: {', '.join(lacks)}"] if lacks else []
    return replace(whole, outputs=kept), said


def called(signature: Signature, names: Names) -> Signature:
    """B's signature under A's names."""
    inputs = {theirs: ours for ours, theirs in names.inputs.items()}
    outputs = {theirs: ours for ours, theirs in names.outputs.items()}
    return Signature(
        tuple(replace(s, name=inputs[s.name]) for s in signature.inputs if s.name in inputs),
        tuple(replace(s, name=outputs[s.name]) for s in signature.outputs if s.name in outputs),
    )


def _weights(report: LedgerReport) -> WeightReport | None:
    if report.unreadable:
        return None
    findings = [_finding(one) for one in report.different]
    findings += [WeightFinding((one,), (), "lacks it", mistake=False) for one in report.missing]
    findings += [
        WeightFinding((one,), (), "has it, and the source does not", mistake=False)
        for one in report.extra
    ]
    return WeightReport(report.compared, tuple(findings))


def _finding(text: str) -> WeightFinding:
    who, _, what = text.partition(": ")
    return WeightFinding((who,), (), f"departs: {what}", mistake=False)


def account_of(whole: Whole, path: Path) -> Account:
    """What was read of A."""
    layers = [
        f"{place.name}/{layer.name}: {layer.cell.KIND} {layer.cell.input_size} -> "
        f"{layer.cell.output_size}"
        for place in whole.places
        for layer in place.model.layers
    ]
    return Account(str(path), "source, a whole model", tuple(layers))


class Renamed:
    """A runtime that is fed and read under A's names. Implements `contracts.Runtime`."""

    def __init__(self, inner: Runtime, artifact: Artifact, names: Names) -> None:
        self._inner, self._artifact, self._names = inner, artifact, names
        self.name, self.runs = inner.name, inner.runs

    def info(self) -> RuntimeInfo:
        """The runtime's own."""
        return self._inner.info()

    def open(self, _subject: Any) -> RenamedSession:
        """The file as it is."""
        return RenamedSession(self._inner.open(self._artifact), self._names)


class RenamedSession:
    """Implements `contracts.Session`; outputs that A does not have are left out."""

    def __init__(self, inner: Session, names: Names) -> None:
        self._inner, self._names = inner, names
        self.precision, self.device = inner.precision, inner.device

    def run(self, feeds: Feeds) -> Outputs:
        """One probe; see `Session`."""
        names = self._names
        fed = {names.inputs[name]: a for name, a in feeds.items() if name in names.inputs}
        given = self._inner.run(fed)
        return {ours: given[theirs] for ours, theirs in names.outputs.items() if theirs in given}

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
