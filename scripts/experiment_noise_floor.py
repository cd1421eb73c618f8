# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge[torch]"]
# ///
"""What honest runtimes really err by, as a share of what the noise floor allows them.

    python scripts/experiment_noise_floor.py --count 4000 --page docs/noise-floor.md

Random networks (see `random_networks`: every cell, 1 to 1024 units, 1 to 2000 steps, tame to
chaotic) are converted and run by ONNX Runtime and PyTorch on random sequences, in float16,
bfloat16, float32 and float64. For each output it is recorded by how much the runtime errs, and
what constant the floor would have needed to allow that, for several numbers of perturbed runs.

TF32 exists on GPUs alone. Here it is emulated (operands of products rounded to 11 bits, all
else in float32); the table says so.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from functools import partial
from pathlib import Path

import campaign
import numpy as np
from random_networks import Case, case, sequences

from lstmbridge import registry
from lstmbridge.arrays import UNIT_ROUNDING
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.errors import CannotExpress, RuntimeUnavailable
from lstmbridge.model.signature import OUTPUTS, SEQUENCE_LENGTH
from lstmbridge.verify import noise

TARGETS = {"onnx": "onnxruntime-cpu", "torch": "torch"}
RULES = ((4, 0), (8, 0), (16, 0), (16, 96), (32, 96), (32, 192), (64, 384))
"""(trajectories, samples): perturbed runs x rows, and those x units, are at least so many."""
_TOP = 3e7
ROOT = Path(__file__).resolve().parents[1]


def replicas(rule: tuple[int, int], batch: int, narrowest: int) -> int:
    """Perturbed runs that a rule asks for; never less than verify's own least."""
    trajectories, samples = rule
    return max(2, -(-trajectories // batch), -(-samples // (batch * narrowest)))


class Tf32(Float64):
    """Float32, its products' operands rounded to TF32's 11 bits first, as a GPU does."""

    def _single(self, a):
        return np.asarray(a).astype(np.float32).astype(np.float64)

    def _short(self, a):
        bits = np.ascontiguousarray(np.asarray(a, np.float32)).view(np.uint32)
        # to nearest, ties away: 13 of 23 bits go
        kept = (bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)
        return kept.view(np.float32).astype(np.float64)

    def matmul(self, a, b):
        """Exact products of short operands, rounded once."""
        return self._single(super().matmul(self._short(a), self._short(b)))


def _rounded(name: str):
    def operation(self, *operands):
        return self._single(getattr(Float64, name)(self, *operands))

    return operation


for _name in ("add", "sub", "mul", "div", "exp", "sqrt", "sigmoid", "tanh", "elu", "selu"):
    setattr(Tf32, _name, _rounded(_name))
for _name in ("softplus", "softsign", "mean"):
    setattr(Tf32, _name, _rounded(_name))


def trial(seed: int) -> dict:
    """One network on one set of sequences, in each runtime."""
    one = case(seed)
    found = {
        "kind": one.kind, "weights": one.weights, "units": one.units, "runs": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        for target, name in TARGETS.items():
            writer = registry.target(target)
            path = Path(folder) / f"{target}{writer.suffixes[0]}"
            try:
                writer.write(one.model, path, one.options, {})
            except CannotExpress:
                continue
            artifact = writer.read(path)
            feeds = sequences(one, artifact.signature.inputs, seed=0)
            found["steps"], found["batch"] = feeds["inputs"].shape[1], feeds["inputs"].shape[0]
            try:
                with registry.runtime(name).open(artifact) as session:
                    actual = session.run(feeds)
            except RuntimeUnavailable as error:
                found["runs"].append({"runtime": name, "stopped": str(error)[:200]})
                continue
            found["runs"] += _measured(one, name, artifact.precision, feeds, actual)
            if target == "torch" and artifact.precision == "float32" and seed % 4 == 0:
                with np.errstate(all="ignore"):
                    emulated = noise.run_model(one.model, feeds, ops=Tf32())
                found["runs"] += _measured(one, "emulated", "tf32", feeds, emulated)
    return found


def _measured(one: Case, runtime: str, precision: str, feeds, actual) -> list[dict]:
    """For each output: the error, what is allowed, and what each rule would have needed."""
    with np.errstate(all="ignore"):
        expected = noise.run_model(one.model, feeds)
        bad = [n for n, v in expected.items() if not np.abs(v).max() < noise.largest(precision)]
        if bad:
            return [{"runtime": runtime, "precision": precision, "not finite": bad[0]}]
        batch = feeds["inputs"].shape[0]
        narrowest = min(v.shape[-1] for v in expected.values())
        most = replicas(RULES[-1], batch, narrowest)
        tiled = {k: np.concatenate([a] * most) for k, a in feeds.items()}
        ops = noise.StoredRounding(precision, one.seed)
        runs = noise.run_model(one.model, tiled, ops=ops)
        run = partial(noise.run_model, one.model)
        floor = noise.noise_floor(run, feeds, expected, precision, seed=one.seed, replicas=8)
    steps = feeds["inputs"].shape[1]
    lines = []
    for name, values in expected.items():
        given = np.asarray(actual[name], np.float64)
        perturbed = runs[name].reshape(most, *values.shape)
        line = {"runtime": runtime, "precision": precision, "output": name, "steps": steps}
        line |= {"numbers": values.size, "ragged": SEQUENCE_LENGTH in feeds}
        if not np.isfinite(given).all():
            lines.append({**line, "nan": True})
            continue
        off = np.abs(given - values)
        with np.errstate(all="ignore"):
            ratio = np.where(off > 0, off / floor.allowed[name], 0.0)
        line |= {
            "error": float(off.max(initial=0.0)),
            "allowed": float(np.max(floor.allowed[name], initial=0.0)),
            "ratio": float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0)),
            "chaotic": name in floor.chaotic,
            "size": float(np.abs(values).max(initial=0.0)),
        }
        past = np.maximum(off - noise._store(values, precision), 0.0)  # noqa: SLF001
        needed = [
            _needed(name, values, past, perturbed[: replicas(rule, batch, narrowest)])
            for rule in RULES
        ]
        lines.append({**line, "needed": [float(f"{k:.4g}") for k in needed]})
    return lines


def _needed(name: str, values, past, perturbed) -> float:
    """The constant that would have allowed this error, where rounding does not rule alone."""
    with np.errstate(all="ignore"):
        off = np.nan_to_num(np.abs(perturbed - values), nan=np.inf, posinf=np.inf).max(axis=0)
        near = noise._near(name, off)  # noqa: SLF001
        lost = near > noise.CHAOS * noise._near(name, np.abs(values)) + 1e-37  # noqa: SLF001
        needed = np.where((past > 0) & ~lost, past / near, 0.0)
    return float(np.nan_to_num(needed, nan=np.inf).max(initial=0.0))


def table(lines: list[dict]) -> dict:
    """All that the page says, in numbers."""
    stopped = [run for one in lines for run in one.get("runs", ()) if "ratio" not in run]
    rows = [
        {**{k: one[k] for k in ("seed", "kind", "weights", "units", "batch")}, **run}
        for one in lines
        for run in one.get("runs", ())
        if "ratio" in run
    ]
    groups = {
        "precision": lambda r: f"{r['precision']}, {r['runtime']}",
        "cell": lambda r: r["kind"],
        "weights": lambda r: r["weights"],
        "steps": lambda r: _bucket(r["steps"], (1, 10, 100, 1000, 2000)),
        "units": lambda r: _bucket(r["units"], (1, 4, 16, 64, 256, 1024)),
        "output": lambda r: "outputs" if r["output"] == OUTPUTS else f"states, {_depth(r)}",
    }
    calm = [r for r in rows if not r["chaotic"]]
    return {
        "networks": len(lines),
        "outputs": len(rows),
        "numbers": sum(r["numbers"] for r in rows),
        "rejected": [
            {k: r[k] for k in ("seed", "runtime", "precision", "output", "ratio")}
            for r in rows
            if r["ratio"] > 1
        ],
        "not finite in the precision": sum("not finite" in r for r in stopped),
        "NaN": sorted({one["seed"] for one in lines for r in one.get("runs", ()) if "nan" in r}),
        "declined": [r["stopped"] for r in stopped if "stopped" in r],
        "crashed": [one["seed"] for one in lines if "crashed" in one],
        "raised": [one["seed"] for one in lines if "raised" in one],
        "chaotic outputs": len(rows) - len(calm),
        "errors": _range([r["error"] for r in rows if r["error"] > 0]),
        "rules": {
            f"{t} runs x rows" + (f", {s} with units" if s else ""): _needs(calm, k)
            for k, (t, s) in enumerate(RULES)
        },
        **{name: _grouped(rows, key) for name, key in groups.items()},
        "factor": _factor(calm),
    }


def in_markdown(found: dict) -> str:
    """The tables of the page."""
    shares = ("outputs", "numbers", "median", "99 %", "largest")
    rejected = found["rejected"]
    past = f"{len(rejected)} outputs of {len({r['seed'] for r in rejected})} networks past it."
    seen = f"{found['outputs']} outputs, {found['numbers']} numbers"
    lines = [f"{found['networks']} networks, {seen}: share of what is allowed; {past}"]
    for title, what in (
        ("precision, runtime", "precision"), ("cell", "cell"), ("weights", "weights"),
        ("steps", "steps"), ("units", "units"),
    ):  # fmt: skip
        lines += [
            "",
            f"| {title} | " + " | ".join(shares) + " |",
            "|---" * (len(shares) + 1) + "|",
        ]
        for name, row in found[what].items():
            lines.append(f"| {name} | " + " | ".join(str(row[key]) for key in shares) + " |")
    quantiles = ("median", "99 %", "99.9 %", "largest")
    lines += ["", "Constant that each number of perturbed runs would have needed:", ""]
    lines += ["| at least | " + " | ".join(quantiles) + " |", "|---" * (len(quantiles) + 1) + "|"]
    for name, row in found["rules"].items():
        lines.append(f"| {name} | " + " | ".join(str(row[key]) for key in quantiles) + " |")
    spread = ("outputs", "median", "90 %", "99 %")
    lines += ["", "What is allowed, as a multiple of the largest error that was seen:", ""]
    lines += ["| precision | " + " | ".join(spread) + " |", "|---" * (len(spread) + 1) + "|"]
    for name, row in found["factor"].items():
        lines.append(f"| {name} | " + " | ".join(str(row[key]) for key in spread) + " |")
    return "\n".join(lines) + "\n"


def rewrite(page: Path, found: dict) -> None:
    """Put the tables between the page's two marks."""
    pattern = r"(<!-- begin noise -->\n).*?(<!-- end noise -->)"
    body = in_markdown(found)
    text, count = re.subn(
        pattern, lambda m: f"{m[1]}{body}{m[2]}", page.read_text("utf-8"), flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{page} has {count} parts called noise")
    page.write_text(text, encoding="utf-8")


def _needs(rows: list[dict], k: int) -> dict[str, float]:
    needed = np.asarray([r["needed"][k] for r in rows])
    if not len(needed):
        return {}
    return {
        "median": _short(np.median(needed)),
        "99 %": _short(np.quantile(needed, 0.99)),
        "99.9 %": _short(np.quantile(needed, 0.999)),
        "largest": _short(needed.max()),
    }


def _grouped(rows: list[dict], key) -> dict[str, dict]:
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return {name: _ratios(groups[name]) for name in sorted(groups, key=_natural)}


def _natural(name: str):
    head = name.split(maxsplit=1)[0]
    return (0, int(head), name) if head.isdigit() else (1, 0, name)


def _ratios(rows: list[dict]) -> dict[str, float]:
    ratios = np.asarray([r["ratio"] for r in rows])
    return {
        "outputs": len(rows),
        "numbers": sum(r["numbers"] for r in rows),
        "median": _short(np.median(ratios)),
        "99 %": _short(np.quantile(ratios, 0.99)),
        "largest": _short(ratios.max()),
    }


def _factor(rows: list[dict]) -> dict[str, dict]:
    """How far what is allowed lies above the largest error of either runtime, per output.

    No runtime can promise less than the rounding of its largest number: errors below that count
    as that.
    """
    best: dict[tuple, list[dict]] = {}
    for r in rows:
        best.setdefault((r["seed"], r["precision"], r["output"]), []).append(r)
    found: dict[str, list[float]] = {}
    for (_, precision, _), some in best.items():
        unit = UNIT_ROUNDING[precision] * some[0]["size"]
        error = max(unit, *(r["error"] for r in some))
        if some[0]["numbers"] >= 100 and error > 0:
            found.setdefault(precision, []).append(max(r["allowed"] for r in some) / error)
    return {
        precision: {
            "outputs": len(values),
            "median": _short(np.median(values)),
            "90 %": _short(np.quantile(values, 0.9)),
            "99 %": _short(np.quantile(values, 0.99)),
            "largest": _short(max(values)),
        }
        for precision, values in sorted(found.items())
    }


def _bucket(value: int, edges: tuple[int, ...]) -> str:
    low = 0
    for edge in edges:
        if value <= edge:
            return str(edge) if low + 1 == edge else f"{low + 1} to {edge}"
        low = edge
    return f"above {low}"


def _depth(row: dict) -> str:
    digits = "".join(c for c in row["output"].rpartition("_")[0] if c.isdigit())
    return f"layer {digits}"


def _range(values: list[float]) -> list[float]:
    return [_short(min(values)), _short(max(values))] if values else []


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="networks")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--record", type=Path, default=ROOT / "build" / "noise-floor.jsonl")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--page", type=Path, help="put the tables into this page")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.count)
    lines = campaign.run(args.record, seeds, trial, processes=args.processes, minutes=args.minutes)
    found = table(lines)
    if args.page:
        rewrite(args.page, found)
    text = json.dumps(found, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
