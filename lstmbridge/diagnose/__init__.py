"""Why two files differ: B against A, where A is right and B is somebody's own conversion.

A is a source, or an artifact of any tool. B is an artifact of any tool, or what was recorded of
one. Both sides are read as networks as far as they can be; then B is run on probes of A, A's
planted faults are held against what it gave, and the weights of both are laid side by side.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lstmbridge import api, registry
from lstmbridge.contracts import (
    Account,
    Artifact,
    Diagnosis,
    FaultReport,
    Hints,
    Ledger,
    Outcome,
    Progress,
    Runtime,
    RuntimeResult,
    Verdict,
    WeightReport,
)
from lstmbridge.diagnose import pairs, wholes
from lstmbridge.diagnose.keys import KeysRuntime, keys_artifact
from lstmbridge.diagnose.ports import Matched, PortedRuntime, match, ported
from lstmbridge.diagnose.recorded import (
    Recorded,
    Replayed,
    as_artifact,
    axes_exchanged,
    precision_of,
    read_arrays,
    take,
)
from lstmbridge.diagnose.sides import Side, is_artifact_file, open_side
from lstmbridge.errors import LstmBridgeError, NotRecognised, RuntimeUnavailable, UsageError
from lstmbridge.gates import Array
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Model
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify import verify as compare
from lstmbridge.verify.likeness import compare_weights
from lstmbridge.whole_models import whole_from

__all__ = ["diagnose"]


def diagnose(
    a: str | Path,
    b: str | Path | None = None,
    *,
    expected: str | Path | Mapping[str, Array] | None = None,
    renames: Mapping[str, str] | None = None,
    layout: str | None = None,
    hints: Hints | None = None,
    options: VerifyOptions | None = None,
    runtimes: Sequence[str] = (),
    stack_only: bool = False,
    progress: Progress | None = None,
) -> Diagnosis:
    """Say whether B equals A, and if not, why.

    Args:
        a: what is right: a source, an artifact, an ONNX file or a state dict of any tool.
        b: what may be wrong: an artifact, an ONNX file or a state dict of any tool.
        expected: in place of `b`: recorded arrays, or the .npz that holds them.
        renames: B's names -> ours, where they cannot be told otherwise.
        layout: ``"batch-major"`` or ``"time-major"``: how B's sequences lie.
        hints: what A's source does not say.
        options: seed, batch, steps, data and tolerance are heeded.
        runtimes: run B on these; by default on the first one that is here.
        stack_only: of a source that declares a whole model, compare its stack. Without it the
            whole model is compared where B's names are those of the whole model.
        progress: called as the work advances.

    Raises:
        UsageError: not one of `b` and `expected`; names that do not fit.
        NotRecognised: no network can be read from A. FactMissing: a name or an axis is open.
        LstmBridgeError: as `api.load`, for a source.
    """
    start = time.perf_counter()
    if (b is None) == (expected is None):
        raise UsageError(
            "a diagnosis needs something to compare A with",
            expected="either B, or recorded outputs (--expected data.npz)",
            where="diagnose",
        )
    asked = _Asked(renames or {}, layout, options or VerifyOptions(), tuple(runtimes), progress)
    of_whole = None if stack_only else _of_whole(Path(a), b, expected, hints or Hints(), asked)
    if of_whole is not None:
        return replace(of_whole, seconds=time.perf_counter() - start)
    right = open_side(a, hints)
    if b is None:
        assert expected is not None
        found = _of_recorded(right, expected, asked)
    else:
        found = _of_sides(right, open_side(b), asked)
    return replace(found, seconds=time.perf_counter() - start)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user said of B, and of the comparison."""

    renames: Mapping[str, str]
    layout: str | None
    options: VerifyOptions
    runtimes: tuple[str, ...]
    progress: Progress | None


# --- a whole model -----------------------------------------------------------------------------


def _of_whole(
    a: Path,
    b: str | Path | None,
    expected: str | Path | Mapping[str, Array] | None,
    hints: Hints,
    asked: _Asked,
) -> Diagnosis | None:
    """The answer where A declares a whole model and B is called as one; else None."""
    if is_artifact_file(a):
        return None if b is None else _two_artifacts(a, Path(b), asked)
    if not api.is_whole(a, hints):
        return None
    with api.opened(a) as source:
        whole, _ = whole_from(source, hints)
        if b is None:
            compared, side = _recorded_of_whole(whole, expected, asked)
        else:
            compared, side = _artifact_of_whole(whole, Path(b), asked)
    if compared is None or side is None:
        return None
    sides = (Side(a, None, None, (), wholes.account_of(whole, a)), side)
    matched = Matched((), (), compared.matched)
    return _told(sides, compared.verdict, compared.weights, matched)


def _two_artifacts(a: Path, b: Path, asked: _Asked) -> Diagnosis | None:
    """Of a whole model that lstmbridge wrote, and another file; else None."""
    try:
        one, other = api.read_artifact(a), api.read_artifact(b)
    except LstmBridgeError:  # of another tool; what reads those says what is wrong with it
        return None
    if not wholes.is_whole_artifact(one):
        return None
    left, right = (pairs.Half(x, _runtime(x, asked.runtimes)) for x in (one, other))
    return pairs.compare_artifacts(left, right, asked.renames, asked.options)


def _artifact_of_whole(
    whole: Whole, b: Path, asked: _Asked
) -> tuple[wholes.Compared | None, Side | None]:
    try:
        artifact = api.read_artifact(b)
    except UsageError:
        return None, None
    signature = artifact.signature
    names = wholes.names_of(
        whole,
        [spec.name for spec in signature.inputs],
        [spec.name for spec in signature.outputs],
        asked.renames,
    )
    if names is None or not (names.inputs or wholes.is_whole_artifact(artifact)):
        return None, None
    runtime = _runtime(artifact, asked.runtimes)
    compared = wholes.of_artifact(whole, artifact, runtime, names, asked.options)
    account = Account(str(b), f"artifact for {artifact.target}, a whole model")
    return compared, Side(b, None, artifact, (), account)


def _recorded_of_whole(
    whole: Whole, expected: str | Path | Mapping[str, Array] | None, asked: _Asked
) -> tuple[wholes.Compared | None, Side | None]:
    if expected is None:
        return None, None
    path = Path("recorded arrays") if isinstance(expected, Mapping) else Path(expected)
    arrays = expected if isinstance(expected, Mapping) else read_arrays(expected)
    names = wholes.names_of(whole, arrays, arrays, asked.renames)
    if names is None:
        return None, None
    compared = wholes.of_recorded(whole, arrays, path, names, asked.options)
    return compared, Side(path, None, None, (), Account(str(path), "recorded arrays"))


_READERS = {"ONNX file": "ONNX", "PyTorch state dict": "PyTorch"}
"""What a file is -> the framework whose order of gates its writer had to know."""


# --- two files ---------------------------------------------------------------------------------


def _of_sides(a: Side, b: Side, asked: _Asked) -> Diagnosis:
    note: tuple[str, ...] = ()
    if a.model is None and b.model is not None and a.artifact is not None:
        a, b = b, a
        note = (f"{b.path} could not be read as a network: it is compared with {a.path}",)
    if a.model is None:
        raise NotRecognised(
            f"no network was read from {a.path} or {b.path}",
            expected="one side at least whose layers can be read",
            where=str(a.path),
            advice="name the source, in place of what was made of it",
        )
    weights = None
    if b.model is not None:
        weights = compare_weights(a.model, b.model, reader=_READERS.get(b.account.kind, ""))
    if _other_network(a.model, b.model):
        return _told((a, b), None, weights, Matched((), (), note))
    subject, runtime, matched = _runnable(a.model, b, asked)
    verdict = compare(
        a.model,
        [(runtime, subject)],
        options=replace(asked.options, outputs=subject.signature.output_names()),
        ledgers=_ledger(a.model, b),
        progress=asked.progress,
    )
    return _told((a, b), verdict, weights, replace(matched, said=(*note, *matched.said)))


def _other_network(a: Model, b: Model | None) -> bool:
    """Whether it makes no sense to feed B what A takes."""
    return b is not None and (a.input_size, a.output_size) != (b.input_size, b.output_size)


def _runnable(model: Model, b: Side, asked: _Asked) -> tuple[Artifact, Runtime, Matched]:
    """What runs B, under our names."""
    if b.artifact is None:
        if b.model is None:
            raise NotRecognised(f"{b.path} can neither be read nor run", where=str(b.path))
        artifact = keys_artifact(b.path, b.model)
        return artifact, KeysRuntime(b.model, artifact.precision), Matched((), (), ())
    matched = match(b.artifact, model, b.ports, asked.renames, asked.layout)
    subject = ported(b.artifact, matched, model)
    return (
        subject,
        PortedRuntime(_runtime(b.artifact, asked.runtimes), b.artifact, matched),
        matched,
    )


def _runtime(artifact: Artifact, wanted: Sequence[str]) -> Runtime:
    """The runtime asked for, or the first that is here.

    Raises:
        RuntimeUnavailable: none is.
    """
    absent = []
    for name in wanted or registry.runtime_names():
        runtime = registry.runtime(name)
        if runtime.runs != artifact.target:
            continue
        info = runtime.info()
        if info.available:
            return runtime
        absent.append(f"{name}: {info.reason}")
    raise RuntimeUnavailable(
        f"nothing here runs {artifact.path.name}: {'; '.join(absent) or 'no such runtime'}",
        expected=f"a runtime for the target {artifact.target}",
        where=str(artifact.path),
    )


def _ledger(model: Model, b: Side) -> dict[str, Ledger] | None:
    """Where B is an artifact of ours that does not read as a network, its own ledger does."""
    if b.artifact is None or b.model is not None:
        return None
    if not any(key.startswith("lstmbridge.") for key in b.artifact.metadata):
        return None
    return {str(b.artifact.path): registry.target(b.artifact.target).ledger(b.artifact, model)}


# --- recorded outputs --------------------------------------------------------------------------


def _of_recorded(a: Side, expected: str | Path | Mapping[str, Array], asked: _Asked) -> Diagnosis:
    if a.model is None:
        raise NotRecognised(
            f"no network was read from {a.path}: {'; '.join(a.account.left)}",
            expected="a source, or a file whose layers can be read",
            where=str(a.path),
            advice="name the source, in place of what was made of it",
        )
    path = Path("recorded arrays") if isinstance(expected, Mapping) else Path(expected)
    arrays = expected if isinstance(expected, Mapping) else read_arrays(expected)
    recorded = take(arrays, a.model, asked.renames, asked.layout, str(path))
    precision = precision_of(recorded, a.model)
    artifact = as_artifact(path, recorded, precision)
    verdict = compare(
        a.model,
        [(Replayed(recorded, precision), artifact)],
        options=replace(
            asked.options, data=recorded.feeds, only_data=True, outputs=tuple(recorded.outputs)
        ),
        progress=asked.progress,
    )
    account = Account(str(path), "recorded arrays")
    side = Side(path, None, artifact, (), account)
    found = _told((a, side), verdict, None, Matched((), (), recorded.said))
    return _axes_explained(a.model, recorded, found)


def _axes_explained(model: Model, recorded: Recorded, found: Diagnosis) -> Diagnosis:
    if found.outcome is not Outcome.FAIL or "equals the source" in found.explanation:
        return found
    if not axes_exchanged(model, recorded):
        return found
    text = "it equals the source with batch and time exchanged: (batch, time, features) was fed "
    text += "to something that takes (time, batch, features), or the other way round"
    return replace(found, explanation=text)


# --- the answer --------------------------------------------------------------------------------


def _departed(run: RuntimeResult) -> str:
    """How many outputs differ, and the worst of them; or why nothing ran."""
    bad = {name: one for name, one in run.outputs.items() if one.problem or not one.ratio <= 1.0}
    if not bad:
        return run.reason
    broken = next((f"{name}: {one.problem}" for name, one in bad.items() if one.problem), "")
    name, worst = max(bad.items(), key=lambda item: item[1].max_abs)
    detail = broken or (
        f"{name} by {worst.max_abs:.3g}, {worst.ratio:,.3g} times what rounding allows"
    )
    return f"{len(bad)} of {len(run.outputs)} outputs differ, {detail}"


def _told(
    sides: tuple[Side, Side],
    verdict: Verdict | None,
    weights: WeightReport | None,
    matched: Matched,
) -> Diagnosis:
    findings = () if weights is None else weights.findings
    reasons = list(matched.contradictions)
    if verdict is None:
        reasons.append("the two are networks of other sizes, so nothing was run")
    else:
        reasons += [text for one in verdict.runtimes if (text := _departed(one))]
        if verdict.outcome is Outcome.INCONCLUSIVE:
            reasons += [r for r in verdict.reasons if r not in reasons]
        if verdict.outcome is Outcome.PASS and findings:
            reasons.append("weights differ, though all that they compute agrees within rounding")
    ran = Outcome.FAIL if verdict is None else verdict.outcome
    outcome = Outcome.FAIL if findings or matched.contradictions else ran
    runs = () if verdict is None else verdict.runtimes
    return Diagnosis(
        outcome=outcome,
        reasons=tuple(dict.fromkeys(reasons)),
        explanation="; ".join(one.diagnosis for one in runs if one.diagnosis),
        matched=matched.said,
        outputs={name: one for run in runs for name, one in run.outputs.items()},
        faults=FaultReport(0, 0) if verdict is None else verdict.faults,
        weights=weights,
        accounts=(sides[0].account, sides[1].account),
        not_run=() if verdict is None else verdict.not_run,
        seed=0 if verdict is None else verdict.seed,
    )
