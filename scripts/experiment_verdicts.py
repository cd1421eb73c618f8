# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge[torch]"]
# ///
"""How often the verifier is wrong: honest conversions rejected, planted faults passed.

    python scripts/experiment_verdicts.py honest --count 5000
    python scripts/experiment_verdicts.py faulty --count 1000

`honest`: random networks are converted by every target and verified as a user would, by
`lstmbridge.verify`'s own function. A `fail` is a false alarm.

`faulty`: on random networks, each planted fault is really made: where the wrong network can be
written down, by converting it and running that file in ONNX Runtime or PyTorch; where feeds or
outputs are mishandled, by mishandling those of a real session; where a step computes other
equations, by computing them in rounded arithmetic. All are judged against the true network. A
`pass` of a fault is a missed fault. Faults that the verifier calls indistinguishable are looked
for again, with sequences that it did not use.

Both are seeded, and resume where they were stopped: `--record` keeps a line for each network.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import tempfile
from pathlib import Path

import campaign
import numpy as np
from random_networks import Case, case, sequences

from lstmbridge import registry
from lstmbridge.errors import CannotExpress
from lstmbridge.verify import VerifyOptions, verify
from lstmbridge.verify.faults import planted_faults
from lstmbridge.verify.faults.fault import FeedsChanged, ModelRun, OutputsChanged
from lstmbridge.verify.noise import StoredRounding, noise_floor, run_model
from lstmbridge.verify.sessions import FAIL, PASS, Subject, judge
from lstmbridge.verify.sightings import MARGIN
from lstmbridge.verify.trials import departure, design, outlasted

TARGETS = {"onnx": "onnxruntime-cpu", "torch": "torch"}
RARELY = {"torch-export": "torch-export"}
"""Exporting takes seconds: one network in fifty."""
WIDEST = 96
ROOT = Path(__file__).resolve().parents[1]
COMMIT = subprocess.run(
    ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=7"],
    capture_output=True, text=True, check=False,
).stdout.strip()  # fmt: skip
"""With which code a record was made."""


def written(one: Case, model, target: str, folder: str):
    """The artifact of `model`, read back from its file; None where the target refuses."""
    writer = registry.target(target)
    path = Path(folder) / f"{target}{writer.suffixes[0]}"
    try:
        writer.write(model, path, one.options, {})
    except CannotExpress as error:
        return None, f"{target}: {error.read}"
    return writer.read(path), ""


def honest(seed: int) -> dict:
    """One random network, converted by every target and verified."""
    one = case(seed, widest=WIDEST)
    targets = {**TARGETS, **(RARELY if seed % 50 == 0 else {})}
    found = {**_described(one), "commit": COMMIT, "refused": [], "runs": []}
    with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
        for target, runtime in targets.items():
            artifact, refusal = written(one, one.model, target, folder)
            if artifact is None:
                found["refused"].append(refusal)
                continue
            ledger = registry.target(target).ledger(artifact, one.model)
            verdict = verify(
                one.model,
                [(registry.runtime(runtime), artifact)],
                options=VerifyOptions(seed=seed),
                ledgers={str(artifact.path): ledger},
            )
            result = verdict.runtimes[0]
            found["runs"].append(
                {
                    "runtime": runtime,
                    "precision": result.precision,
                    "outcome": verdict.outcome.value,
                    "reasons": list(verdict.reasons)[:3],
                    "ratio": max((o.ratio for o in result.outputs.values()), default=None),
                    "numbers": verdict.comparisons,
                    "weakest": verdict.faults.weakest,
                    "missed": list(verdict.faults.missed),
                    "planted": verdict.faults.planted,
                    "seconds": round(verdict.seconds, 3),
                }
            )
    return found


def faulty(seed: int) -> dict:
    """Every fault of one random network, made and judged."""
    one = case(seed + 1_000_000, widest=32)
    target = ("onnx", "torch")[seed % 2]
    found = {**_described(one), "commit": COMMIT, "seed": seed, "target": target}
    with tempfile.TemporaryDirectory(prefix="verdicts-") as folder:
        artifact, refusal = written(one, one.model, target, folder)
        if artifact is None:
            return {**found, "refused": refusal}
        specs = artifact.signature.inputs
        options = VerifyOptions(seed=seed)
        given = (one.model, specs, artifact.precision, options)
        experiment = outlasted(design(*given, lambda *_: None), *given)
        found["precision"] = artifact.precision
        if experiment.infinite:
            return {**found, "infinite": experiment.infinite}
        report = experiment.faults
        outcomes = collections.Counter()
        found |= {"passed": [], "unrun": [], "hidden": [], "missed": list(report.missed)}
        found["planted"], found["weakest"] = report.planted, report.weakest
        for fault in planted_faults(one.model, [spec.name for spec in specs]):
            if fault.name in report.indistinguishable:
                outcomes["indistinguishable"] += 1
                ratio = _looked_for(one, specs, artifact.precision, fault)
                if ratio > MARGIN:
                    found["hidden"].append([fault.name, ratio])
                continue
            how, status = _judged(one, fault, target, artifact, experiment, folder)
            outcomes[f"{how}: {status}"] += 1
            if status == PASS and fault.name not in report.missed:
                # of a network with faults below the margin no verdict is a pass
                found["passed"].append([fault.name, report.ratios.get(fault.name)])
            elif status != FAIL:
                found["unrun"].append([fault.name, how, status])
    return {**found, "outcomes": dict(outcomes)}


def _described(one: Case) -> dict:
    return {
        "kind": one.kind,
        "weights": one.weights,
        "around": one.around,
        "dtype": one.dtype,
        "units": one.units,
        "layers": len(one.model.layers),
        "options": [one.options.states.value, one.options.sequence_length, one.options.dtype],
    }


def _judged(one: Case, fault, target: str, artifact, experiment, folder: str):
    """How the fault was made, and what the verifier says of it."""
    runtime = registry.runtime(TARGETS[target])
    run = fault.run
    if isinstance(run, ModelRun) and run.wrap_in is None:
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            wrong, _ = written(one, run.model, target, inner)
            if wrong is not None and wrong.signature == artifact.signature:
                with runtime.open(wrong) as session:
                    return "converted", _status(session, artifact, experiment)
    if isinstance(run, FeedsChanged | OutputsChanged):
        with runtime.open(artifact) as session:
            return "mishandled", _status(_Mishandled(session, run), artifact, experiment)
    return "computed", _status(_Computed(run, artifact), artifact, experiment)


def _status(session, artifact, experiment) -> str:
    """As `verify` says it of all trials; the cheap ones first, since one that fails decides."""
    trials = sorted(experiment.trials, key=lambda t: t.probe.steps * t.probe.batch)
    statuses = []
    for trial in trials:
        subject = Subject(_Named(), artifact, session)
        statuses.append(judge(subject, [trial], lambda *_: None).status)
        if statuses[-1] == FAIL:
            return FAIL
    return next((status for status in statuses if status != PASS), PASS)


class _Named:
    name = "experiment"

    def info(self):
        return registry.runtime("oracle").info()


class _Mishandled:
    """A real session whose feeds or outputs are handled wrongly."""

    device = "cpu"

    def __init__(self, session, run) -> None:
        self._session, self._run, self.precision = session, run, session.precision

    def run(self, feeds):
        if isinstance(self._run, FeedsChanged):
            return self._session.run(_as_fed(self._run.change(feeds), feeds))
        return self._run.change(self._session.run(feeds), feeds)


def _as_fed(changed, feeds):
    """What was taken away is fed as its default: full lengths, zero states."""
    full = dict(changed)
    for name, array in feeds.items():
        if name not in full:
            steps = feeds["inputs"].shape[1]
            full[name] = np.full_like(array, steps if name == "sequence_length" else 0)
    return full


class _Computed:
    """The wrong equations in arithmetic of the artifact's precision."""

    device = "cpu"

    def __init__(self, run, artifact) -> None:
        self._run, self.precision = run, artifact.precision
        self._dtypes = {spec.name: spec.dtype for spec in artifact.signature.outputs}

    def run(self, feeds):
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._run(feeds, ops=StoredRounding(self.precision, 123))
            return {name: a.astype(self._dtypes[name]) for name, a in found.items()}


def _looked_for(one: Case, specs, precision: str, fault) -> float:
    """How far a fault that is called indistinguishable departs on sequences of another kind."""
    worst = 0.0
    for k in range(6):
        feeds = sequences(one, specs, seed=k, longest=60)
        with np.errstate(all="ignore"):
            expected = run_model(one.model, feeds)
            floor = noise_floor(
                lambda f, ops: run_model(one.model, f, ops=ops),
                feeds, expected, precision, seed=k, replicas=8,
            )  # fmt: skip
            wrong = fault.run(feeds)
            if all(np.isfinite(values).all() for values in (*expected.values(), *wrong.values())):
                worst = max(worst, departure(wrong, expected, floor.allowed))
    return worst


def honest_table(lines: list[dict]) -> dict:
    """Counts over all honest conversions."""
    runs = [{**line, **run} for line in lines for run in line.get("runs", ())]
    by = {}
    for runtime in sorted({run["runtime"] for run in runs}):
        for precision in sorted({r["precision"] for r in runs if r["runtime"] == runtime}):
            some = [r for r in runs if (r["runtime"], r["precision"]) == (runtime, precision)]
            ratios = [r["ratio"] for r in some if r["ratio"] is not None]
            by[f"{runtime}, {precision}"] = {
                "conversions": len(some),
                **_counted(some),
                "median": round(float(np.median(ratios)), 3),
                "99 %": round(float(np.quantile(ratios, 0.99)), 3),
                "largest": round(float(np.max(ratios)), 3),
            }
    return {
        "networks": len(lines),
        "conversions": len(runs),
        **_counted(runs),
        "numbers": sum(r["numbers"] for r in runs),
        "crashed": [one["seed"] for one in lines if "crashed" in one],
        "raised": [one["seed"] for one in lines if "raised" in one],
        "refused by a target": sum(len(one.get("refused", ())) for one in lines),
        "by runtime": by,
        "false alarms": [
            {k: r[k] for k in ("seed", "runtime", "reasons")} for r in runs if r["outcome"] == FAIL
        ],
    }


def _counted(runs: list[dict]) -> dict[str, int]:
    return {
        word: sum(r["outcome"] == word for r in runs) for word in ("pass", "fail", "inconclusive")
    }


def faulty_table(lines: list[dict]) -> dict:
    """Counts over all faults of all networks."""
    outcomes = collections.Counter()
    for one in lines:
        outcomes.update(one.get("outcomes", {}))
    made = {k: n for k, n in outcomes.items() if k != "indistinguishable"}
    return {
        "networks": len(lines),
        "networks judged": sum("outcomes" in one for one in lines),
        "faults made": sum(made.values()),
        "failed": sum(n for k, n in made.items() if k.endswith(FAIL)),
        "passed": sum(len(one.get("passed", ())) for one in lines),
        "indistinguishable": outcomes["indistinguishable"],
        "indistinguishable, yet found by other sequences": sum(
            len(one.get("hidden", ())) for one in lines
        ),
        "networks left inconclusive, since a fault is below the margin": sum(
            bool(one.get("missed")) for one in lines
        ),
        "by the way it was made": dict(sorted(made.items())),
        "crashed": [one["seed"] for one in lines if "crashed" in one],
        "raised": [one["seed"] for one in lines if "raised" in one],
        "not finite": sum("infinite" in one for one in lines),
        "missed": [
            {"seed": one["seed"], "faults": one["passed"]} for one in lines if one.get("passed")
        ],
    }


EXPERIMENTS = {"honest": (honest, honest_table), "faulty": (faulty, faulty_table)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--count", type=int, default=1000, help="networks")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--record", type=Path, help="default: build/verdicts-EXPERIMENT.jsonl")
    parser.add_argument("--json", type=Path, help="write the counts here")
    args = parser.parse_args()
    trial, table = EXPERIMENTS[args.experiment]
    record = args.record or ROOT / "build" / f"verdicts-{args.experiment}.jsonl"
    seeds = range(args.first, args.first + args.count)
    lines = campaign.run(record, seeds, trial, processes=args.processes, minutes=args.minutes)
    counts = table(lines)
    text = json.dumps(counts, indent=2)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
