"""Which runtimes run which artifacts in one verification, and which are left out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstmbridge import registry
from lstmbridge.contracts import Artifact, Ledger, Limited, OfSource, Part, Runtime, Source
from lstmbridge.errors import UsageError
from lstmbridge.metadata import PREFIX
from lstmbridge.model.blocks import Model
from lstmbridge.model.signature import INPUTS
from lstmbridge.runtimes.contained import Contained
from lstmbridge.runtimes.process import DEFAULT_SECONDS
from lstmbridge.verify import VerifyOptions

ORACLE = "oracle"
GRAPH = "graph"
_NO_WHOLE = "runs stacks alone; a whole model is held against its own graph"


@dataclass(frozen=True, slots=True)
class Subjects:
    """What a verification runs: each artifact on each of its runtimes, and its weights.

    `left_out` says in words which runtimes were not run, and why.
    """

    runs: tuple[tuple[Runtime, Artifact | Model], ...]
    ledgers: Mapping[str, Ledger]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Terms:
    """How runtimes are chosen and prepared in one verification; see `subjects_of`."""

    wanted: Sequence[str]
    named: frozenset[str]
    thorough: bool
    graph: Runtime | None
    origin: tuple[Source, Part] | None
    timeout: float | None
    others: tuple[str, ...] = ("model", "")


def is_strange(artifact: Artifact) -> bool:
    """Whether somebody else wrote the file: what it makes of a runtime is not known."""
    return not any(key.startswith(PREFIX) for key in artifact.metadata)


def prepared(
    name: str,
    *,
    origin: tuple[Source, Part] | None = None,
    timeout: float | None = None,
    distrust: bool = False,
) -> Runtime:
    """The runtime called `name`, bound to the source, in a process of its own where it needs one.

    It needs one where it says so, where another package brings it, where a time limit is asked
    for, or where what it is to run is distrusted.
    """
    runtime = registry.runtime(name)
    if isinstance(runtime, OfSource) and origin is not None:
        runtime = runtime.bound(*origin)
    if isinstance(runtime, Limited):
        return runtime if timeout is None else runtime.within(timeout)
    if isinstance(runtime, registry.BrokenRuntime) or name in {ORACLE, GRAPH}:
        return runtime
    apart = getattr(runtime, "contained", False) or not registry.is_built_in(name)
    if apart or timeout is not None or distrust:
        seconds = DEFAULT_SECONDS if timeout is None else timeout
        return Contained(runtime, registry.runtime_claim(name), seconds=seconds)
    return runtime


def grouped(absent: Sequence[tuple[str, str]]) -> list[str]:
    """``"a, b: why"`` for the names that share a reason; a shared beginning is said once."""
    names: dict[str, list[str]] = {}
    for name, why in absent:
        names.setdefault(why, []).append(name)
    return [f"{', '.join(_shortened(who))}: {why}" for why, who in names.items()]


def _shortened(names: Sequence[str]) -> list[str]:
    """``a-b, -c`` for a-b and a-c."""
    shown, family = [], ""
    for name in names:
        own = name.split("-")[0] + "-"
        shown.append(name.removeprefix(own[:-1]) if own == family else name)
        family = own
    return shown


def _runtimes_for(artifact: Artifact, terms: _Terms) -> tuple[list[Runtime], list[str]]:
    """The runtimes to run on an artifact, and in words what is left out."""
    chosen: list[Runtime] = []
    left_out: list[tuple[str, str]] = []
    known = registry.runtime_names()
    for name in (*known, *sorted(terms.named.difference(known))):
        runtime = registry.runtime(name)
        if name == ORACLE or runtime.runs not in {artifact.target, *terms.others}:
            continue
        why = _why_not(runtime, terms)
        if why:
            left_out.append((name, why))
        elif name == GRAPH:
            chosen.append(terms.graph or runtime)
        else:
            strange = runtime.runs != "model" and is_strange(artifact)
            chosen.append(
                prepared(name, origin=terms.origin, timeout=terms.timeout, distrust=strange)
            )
    return chosen, grouped(left_out)


def _why_not(runtime: Runtime, terms: _Terms) -> str:
    """Why a runtime is not run; "" where it is."""
    name = runtime.name
    if name in terms.named:
        return ""
    if name == GRAPH:
        if terms.graph is None:
            return "no graph was read beside the weights"
        return "not asked for" if terms.wanted else ""
    info = runtime.info()
    if not info.available:
        return info.reason
    unasked = terms.wanted or (runtime.runs == "model" and not terms.thorough)
    if unasked or getattr(runtime, "on_request", False):
        return f"here, not asked for (--runtimes {name})"
    return ""


def runtimes_of_whole(
    artifact: Artifact, wanted: Sequence[str], options: VerifyOptions
) -> tuple[list[Runtime], list[str]]:
    """The runtimes that run an artifact of a whole model, and in words what is left out.

    Runtimes of a stack's model (the oracle, TensorFlow's own cells) have nothing to run here:
    the source's graph is itself what everything is compared with.

    Raises:
        UsageError: a name is unknown.
    """
    named = (*wanted, *options.require)
    for name in named:
        registry.runtime(name)
    terms = _Terms(
        wanted, frozenset(named), thorough=False, graph=None, origin=None,
        timeout=options.timeout, others=("",),
    )  # fmt: skip
    chosen, left_out = _runtimes_for(artifact, terms)
    own = [runtime for runtime in chosen if runtime.runs == artifact.target]
    idle = dict.fromkeys(named).keys() - {runtime.name for runtime in own}
    return own, [*left_out, *(f"{name}: {_NO_WHOLE}" for name in sorted(idle))]


def subjects_of(
    model: Model,
    artifacts: Sequence[Artifact],
    wanted: Sequence[str],
    require: Sequence[str],
    *,
    thorough: bool,
    graph: Runtime | None = None,
    origin: tuple[Source, Part] | None = None,
    timeout: float | None = None,
) -> Subjects:
    """Pair `artifacts` with runtimes, and read their weights back.

    Args:
        model: the network that they are said to compute.
        artifacts: what is to be run.
        wanted: names of runtimes to run; empty: every one that is here and fits.
        require: names that must run, whether they are here or not.
        thorough: also run the source's own framework, where it is here, unasked.
        graph: the runtime of the source's own graph, where it has one that was read.
        origin: the source and the part of it that `model` is.
        timeout: seconds for a runtime to load and for each probe.

    Raises:
        UsageError: a name is unknown.
    """
    for name in (*wanted, *require):
        registry.runtime(name)
    terms = _Terms(wanted, frozenset((*wanted, *require)), thorough, graph, origin, timeout)
    runs: list[tuple[Runtime, Artifact | Model]] = []
    left_out: dict[str, None] = {}
    ledgers: dict[str, Ledger] = {}
    for artifact in artifacts:
        chosen, absent = _runtimes_for(artifact, terms)
        left_out.update(dict.fromkeys(absent))
        for runtime in chosen:
            subject = model if runtime.runs == "model" else artifact
            if not any(r.name == runtime.name and s is subject for r, s in runs):
                runs.append((runtime, subject))
        ledgers[str(artifact.path)] = registry.target(artifact.target).ledger(artifact, model)
    return Subjects(tuple(runs), ledgers, tuple(left_out))


def refuse_other_names(artifacts: Sequence[Artifact], source: str | Path) -> None:
    """Refuse files of another tool: their names cannot be fed without being followed.

    Raises:
        UsageError: an artifact of no stack of ours; `lstmbridge diagnose` takes it.
    """
    for artifact in artifacts:
        names = artifact.signature.input_names()
        if INPUTS not in names:
            raise UsageError(
                f"{artifact.path.name} takes {', '.join(names) or 'nothing'}, and no {INPUTS}",
                expected="an artifact whose inputs and outputs have the names that lstmbridge "
                "gives",
                where=str(artifact.path),
                advice=f"lstmbridge diagnose {source} {artifact.path}: it follows names and axes "
                "through the file, and reads its weights",
            )
