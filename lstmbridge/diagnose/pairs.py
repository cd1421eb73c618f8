"""Two artifacts of one whole model, with no source at hand: is B what A is?

Without the source's graph nothing says how far rounding may lead, and no mistake can be planted:
what may differ is the user's ``--tolerance``, and the answer says what it does not cover. Stored
numbers of two files of one target are laid side by side besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lstmbridge.contracts import (
    Account,
    Artifact,
    Diagnosis,
    FaultReport,
    Feeds,
    Outcome,
    Outputs,
    Runtime,
    RuntimeResult,
    Session,
    TensorSpec,
    WeightFinding,
    WeightReport,
)
from lstmbridge.diagnose.wholes import Names, Renamed, called, pairs_of
from lstmbridge.errors import FactMissing, RuntimeUnavailable, UsageError
from lstmbridge.gates import Array
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.probes import Probe, frozen
from lstmbridge.verify.sessions import FAIL, judge, open_subject
from lstmbridge.verify.trials import Trial

_SIZES = ((3, 5), (1, 1), (2, 12))
"""Batch and steps of the probes."""
_OTHER = 4
"""Length of an axis that is neither."""
_NOT_COVERED = (
    "how far rounding may lead: without the source, --tolerance alone judges",
    "planted faults: there is no source to plant them in",
)


@dataclass(frozen=True, slots=True)
class Half:
    """An artifact, and what runs it."""

    artifact: Artifact
    runtime: Runtime


def compare_artifacts(
    a: Half, b: Half, renames: Mapping[str, str], options: VerifyOptions
) -> Diagnosis:
    """Run both on the same made-up inputs.

    Raises:
        FactMissing: no tolerance was given.
        UsageError: B's inputs and outputs are not A's.
        RuntimeUnavailable: A cannot be run on inputs that fit its signature.
    """
    if options.tolerance is None:
        raise FactMissing(
            "two artifacts of a whole model do not say how far rounding may lead",
            expected="the source, whose graph shows it; or a tolerance",
            where=str(a.artifact.path),
            advice="name the source in place of A; or give --tolerance 1e-5",
        )
    names = _names(a.artifact, b.artifact, renames)
    trials = _trials(a, names, options)
    subject = open_subject(
        Renamed(b.runtime, b.artifact, names),
        Artifact(
            b.artifact.path,
            b.artifact.target,
            called(b.artifact.signature, names),
            b.artifact.precision,
        ),
    )
    if subject.session is None:
        result = judge(subject, (), _silent)
    else:
        with subject.session:
            result = judge(subject, trials, _silent)
    weights = _weights(a.artifact, b.artifact)
    return _told(a, b, result, weights, names, options)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _names(a: Artifact, b: Artifact, renames: Mapping[str, str]) -> Names:
    names = pairs_of(
        a.signature.input_names(),
        a.signature.output_names(),
        b.signature,
        renames,
    )
    needed = {spec.name for spec in b.signature.inputs if not spec.optional}
    strange = sorted(needed - set(names.inputs.values()))
    if strange or not names.outputs:
        raise UsageError(
            f"B takes {', '.join(strange)}, which A does not"
            if strange
            else "B gives nothing that A gives",
            expected=f"inputs {', '.join(a.signature.input_names())}, and some of the outputs "
            f"{', '.join(a.signature.output_names())}",
            where=str(b.path),
            advice="say which is which: --rename THEIRS=OURS",
        )
    return names


def _trials(a: Half, names: Names, options: VerifyOptions) -> list[Trial]:
    """What A gives on made-up inputs; those on which it cannot be run are left out."""
    trials, problem = [], "no input fits"
    limit = np.asarray(options.tolerance, np.float64)
    with a.runtime.open(a.artifact) as session:
        for k, (batch, steps) in enumerate(_SIZES):
            draw = np.random.default_rng([options.seed, k])
            feeds = {s.name: _values(s, batch, steps, draw) for s in a.artifact.signature.inputs}
            got, why = _answer(session, feeds)
            if got is None:
                problem = why
                continue
            trials.append(_trial(f"{batch} x {steps}", feeds, got, names, a.artifact, limit))
    if not trials:
        raise RuntimeUnavailable(
            f"A cannot be run on made-up inputs: {problem}",
            expected="inputs that its signature describes",
            where=str(a.artifact.path),
            advice="name the source in place of A: its graph shows what fits",
        )
    return trials


def _trial(  # noqa: PLR0917
    name: str, feeds: Feeds, got: Outputs, names: Names, a: Artifact, limit: Array
) -> Trial:
    expected: dict[str, Array] = {}
    allowed: dict[str, Array] = {}
    for output in names.outputs:
        values = np.asarray(got[output])
        whole = values.dtype.kind in "iub"
        expected[output] = values if whole else values.astype(np.float64)
        allowed[output] = np.asarray(0.0) if whole else limit
    straying = dict.fromkeys(expected, 0.0)
    return Trial(Probe(name, feeds), expected, allowed, allowed, straying, False, a.precision)


def _answer(session: Session, feeds: Feeds) -> tuple[Outputs | None, str]:
    try:
        got = session.run(feeds)
    except RuntimeUnavailable as error:
        return None, error.read
    finite = all(np.isfinite(np.asarray(v, np.float64)).all() for v in got.values())
    return (got, "") if finite else (None, "its outputs are not finite")


def _values(spec: TensorSpec, batch: int, steps: int, draw: np.random.Generator) -> Array:
    """Numbers for an input: small whole ones fit vocabularies and lengths alike."""
    shape = [_length(n, k, batch, steps) for k, n in enumerate(spec.shape)]
    if spec.dtype.kind == "b":
        return frozen(draw.integers(0, 2, shape).astype(bool))
    if spec.dtype.kind in "iu":
        low, high = (1, steps + 1) if len(shape) == 1 else (0, 2)
        return frozen(draw.integers(low, high, shape).astype(spec.dtype))
    return frozen(draw.normal(size=shape).astype(spec.dtype))


def _length(axis: int | str, number: int, batch: int, steps: int) -> int:
    if isinstance(axis, int):
        return axis
    known = {"batch": batch, "time": steps}
    if axis in known:
        return known[axis]
    return (batch, steps)[number] if number < 2 else _OTHER


def _weights(a: Artifact, b: Artifact) -> WeightReport | None:
    """Stored numbers of two files of one target, by name; None where targets differ."""
    one, other = _stored(a), _stored(b)
    if one is None or other is None or a.target != b.target:
        return None
    findings = [
        WeightFinding((name,), (), words, mistake=False)
        for name in sorted(one.keys() | other.keys())
        if (words := _departure(one.get(name), other.get(name)))
    ]
    return WeightReport(sum(x.size for x in one.values()), tuple(findings))


def _departure(a: Array | None, b: Array | None) -> str:
    if a is None or b is None:
        return "lacks it" if b is None else "has it, and A does not"
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"has {b.dtype} {b.shape}, A {a.dtype} {a.shape}"
    off = int(np.sum(np.asarray(a != b)))
    return f"departs in {off:,} of {a.size:,} numbers" if off else ""


def _stored(artifact: Artifact) -> dict[str, Array] | None:
    if artifact.target == "torch":
        from lstmbridge.targets.torch.files import load

        content = load(artifact.path)
        tensors = {} if content is None else content.tensors
        return {name: np.asarray(one.load()) for name, one in tensors.items()}
    if artifact.target == "onnx":
        from lstmbridge.targets.onnx.reading import open_onnx

        file = open_onnx(artifact.path)
        names = [] if file is None else [x.name for x in file.proto.graph.initializer]
        return {name: file.tensor(name) for name in names} if file is not None else None
    return None


def _told(  # noqa: PLR0917
    a: Half,
    b: Half,
    result: RuntimeResult,
    weights: WeightReport | None,
    names: Names,
    options: VerifyOptions,
) -> Diagnosis:
    findings = () if weights is None else weights.findings
    numbers = sum(one.comparisons for one in result.outputs.values())
    outcome = Outcome.PASS if result.status == "pass" and numbers else Outcome.INCONCLUSIVE
    if result.status == FAIL or findings:
        outcome = Outcome.FAIL
    lacks = [n for n in a.artifact.signature.output_names() if n not in names.outputs]
    said = [
        *names.said,
        *([f"outputs of A that B does not have: {', '.join(lacks)}"] * bool(lacks)),
    ]
    reasons = [result.reason] if result.reason else []
    if findings and result.status == "pass":
        reasons.append("stored numbers differ, though what they compute agrees within --tolerance")
    accounts = tuple(
        Account(str(half.artifact.path), f"artifact for {half.artifact.target}") for half in (a, b)
    )
    return Diagnosis(
        outcome=outcome,
        reasons=tuple(reasons),
        explanation="",
        matched=tuple(said),
        outputs=dict(result.outputs),
        faults=FaultReport(0, 0),
        weights=weights,
        accounts=accounts,
        not_run=_NOT_COVERED,
        seed=options.seed,
    )
