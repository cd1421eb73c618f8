"""Which runtimes run which artifacts in one verification, and which are left out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstmbridge import registry
from lstmbridge.contracts import Artifact, Ledger, Runtime
from lstmbridge.model.blocks import Model

ORACLE = "oracle"
GRAPH = "graph"


@dataclass(frozen=True, slots=True)
class Subjects:
    """What a verification runs: each artifact on each of its runtimes, and its weights.

    `left_out` says in words which runtimes were not run, and why.
    """

    runs: tuple[tuple[Runtime, Artifact | Model], ...]
    ledgers: Mapping[str, Ledger]
    left_out: tuple[str, ...]


def _runtimes_for(
    kind: str,
    wanted: Sequence[str],
    require: Sequence[str],
    graph: Runtime | None,
    *,
    thorough: bool,
) -> tuple[list[Runtime], list[str]]:
    """The runtimes to run on artifacts of target `kind`, and in words what is left out."""
    named = {*wanted, *require}
    chosen: list[Runtime] = []
    left_out: list[str] = []
    for name in registry.runtime_names():
        runtime = registry.runtime(name)
        if name == ORACLE or runtime.runs not in {kind, "model"}:
            continue
        if name == GRAPH:
            runtime = graph or runtime
            if name not in named and (graph is None or wanted):
                why = "no graph was read beside the weights" if graph is None else "not asked for"
                left_out.append(f"{name}: {why}")
            else:
                chosen.append(runtime)
            continue
        info = runtime.info()
        if name in named:
            chosen.append(runtime)
        elif not info.available:
            left_out.append(f"{name}: {info.reason}")
        elif wanted or (runtime.runs == "model" and not thorough):
            left_out.append(f"{name}: here, not asked for (--runtimes {name})")
        else:
            chosen.append(runtime)
    return chosen, left_out


def subjects_of(
    model: Model,
    artifacts: Sequence[Artifact],
    wanted: Sequence[str],
    require: Sequence[str],
    *,
    thorough: bool,
    graph: Runtime | None = None,
) -> Subjects:
    """Pair `artifacts` with runtimes, and read their weights back.

    Args:
        model: the network that they are said to compute.
        artifacts: what is to be run.
        wanted: names of runtimes to run; empty: every one that is here and fits.
        require: names that must run, whether they are here or not.
        thorough: also run the source's own framework, where it is here, unasked.
        graph: the runtime of the source's own graph, where it has one that was read.

    Raises:
        UsageError: a name is unknown.
    """
    for name in (*wanted, *require):
        registry.runtime(name)
    runs: list[tuple[Runtime, Artifact | Model]] = []
    left_out: dict[str, None] = {}
    ledgers: dict[str, Ledger] = {}
    for artifact in artifacts:
        chosen, absent = _runtimes_for(artifact.target, wanted, require, graph, thorough=thorough)
        left_out.update(dict.fromkeys(absent))
        for runtime in chosen:
            subject = model if runtime.runs == "model" else artifact
            if not any(r.name == runtime.name and s is subject for r, s in runs):
                runs.append((runtime, subject))
        ledgers[str(artifact.path)] = registry.target(artifact.target).ledger(artifact, model)
    return Subjects(tuple(runs), ledgers, tuple(left_out))
