# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge"]
# ///
"""What import, inspect and convert cost, as ratios of floors measured in the same run.

    python scripts/bench_convert.py
    python scripts/bench_convert.py --published cache/deepnlp-pos-zh/pos.ckpt
    python scripts/bench_convert.py --tf2onnx-python tf2/bin/python --gigabytes 2

Every figure is the median of whole processes, run in turn so that a busy machine disturbs all
alike, with the largest memory each process held. The floor of a conversion is a script that
imports numpy, onnx and onnxruntime, writes a hand-made LSTM graph and checks it once in ONNX
Runtime. tf2onnx converts the same checkpoint where an interpreter is named that has it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SEED = ROOT / "fixtures" / "tf115-seed-meta"
HEAVY = ("onnx", "onnxruntime", "torch", "tensorflow", "h5py", "google.protobuf")
MEGABYTE = 1e6

FLOOR = """
import sys
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
rng = np.random.default_rng(0)
def floats(name, shape): return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
nodes, weights, width = [helper.make_node("Transpose", ["inputs"], ["x0"], perm=[1, 0, 2])], {}, 5
weights["one"] = np.array([1])
for k in range(3):
    for name, shape in (("W", (1, 8, width)), ("R", (1, 8, 2)), ("B", (1, 16))):
        weights[name + str(k)] = rng.standard_normal(shape).astype(np.float32)
    nodes.append(helper.make_node("LSTM", [f"x{k}", f"W{k}", f"R{k}", f"B{k}"], [f"y{k}"], hidden_size=2))
    nodes.append(helper.make_node("Squeeze", [f"y{k}", "one"], [f"x{k + 1}"]))
    width = 2
nodes.append(helper.make_node("Transpose", ["x3"], ["outputs"], perm=[1, 0, 2]))
graph = helper.make_graph(nodes, "floor", [floats("inputs", ["b", "t", 5])], [floats("outputs", ["b", "t", 2])],
    [numpy_helper.from_array(a, n) for n, a in weights.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(model, sys.argv[1])
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
outputs, = session.run(None, {"inputs": rng.standard_normal((3, 5, 5)).astype(np.float32)})
x = outputs
assert x.shape == (3, 5, 2) and np.isfinite(x).all()
"""

STACK = """
import sys
from pathlib import Path
import numpy as np
from checkpoint_writer import lstm_stack, write_checkpoint
layers, units, words = map(int, sys.argv[2:])
variables = lstm_stack(layers, units, units)
if words:
    variables["embedding"] = np.zeros((words, 256), np.float32)
write_checkpoint(Path(sys.argv[1]), variables)
"""


class Cost(NamedTuple):
    """One process: seconds and the largest resident memory, in megabytes."""

    seconds: float
    megabytes: float


class Figure(NamedTuple):
    """A figure, its budget, and what it was measured against."""

    what: str
    value: float
    budget: float
    unit: str
    detail: str


def environment(folder: Path) -> dict[str, str]:
    """This checkout's package and scripts first; bytecode is kept, as an installation has it."""
    paths = [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**variables, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def cost(command: Sequence[str], folder: Path, *, own_packages: bool = True) -> Cost:
    """Run a process to its end; stop the benchmark when it fails.

    A process inherits its parent's largest memory as it starts: this script stays small.
    """
    log = folder / "log"
    start = time.perf_counter()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(folder) if own_packages else None,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        sys.exit(f"exit {process.returncode}: {' '.join(map(str, command))[:200]}\n{tail}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_maxrss * scale / MEGABYTE)


def in_turn(processes: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The medians of each process; one round beforehand warms the file cache."""
    costs: dict[str, list[Cost]] = {name: [] for name in processes}
    for lap in range(rounds + 1):
        for name, run in processes.items():
            measured = run()
            if lap:
                costs[name].append(measured)
    return {
        name: Cost(
            statistics.median(c.seconds for c in measured),
            statistics.median(c.megabytes for c in measured),
        )
        for name, measured in costs.items()
    }


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs `code`."""
    return [sys.executable, "-c", code, *arguments]


def command_line(*arguments: str | Path) -> list[str]:
    """A command that runs lstmbridge."""
    return [sys.executable, "-m", "lstmbridge", *map(str, arguments)]


def imports(folder: Path, rounds: int) -> list[Figure]:
    """What `import lstmbridge` adds to `import numpy`, and that it loads nothing heavy."""
    loaded = f"[m for m in {HEAVY} if m in sys.modules]"
    check = f"import lstmbridge, sys; sys.exit(', '.join({loaded}) or 0)"
    cost(python(check), folder)
    medians = in_turn(
        {
            "numpy": lambda: cost(python("import numpy"), folder),
            "lstmbridge": lambda: cost(python("import lstmbridge"), folder),
        },
        rounds,
    )
    added = (medians["lstmbridge"].seconds - medians["numpy"].seconds) * 1e3
    detail = ", ".join(f"{name} {c.seconds * 1e3:.0f} ms" for name, c in medians.items())
    detail += f"; none of {', '.join(HEAVY)} loaded"
    return [Figure("import lstmbridge, above numpy", added, 50, "ms", detail)]


def inspections(folder: Path, sources: dict[str, Path], rounds: int) -> list[Figure]:
    """`inspect` of each source; memory is held against the smallest one."""

    def run(prefix: Path) -> Callable[[], Cost]:
        return lambda: cost(command_line("inspect", prefix, "--quiet"), folder)

    medians = in_turn({name: run(prefix) for name, prefix in sources.items()}, rounds)
    least = min(c.megabytes for c in medians.values())
    figures = []
    for name, median in medians.items():
        size = sum(f.stat().st_size for f in sources[name].parent.glob(sources[name].name + ".*"))
        detail = f"{size / MEGABYTE:,.1f} MB on disk, {median.megabytes:.0f} MB of memory ({median.megabytes - least:+.0f})"
        figures.append(Figure(f"inspect {name}", median.seconds, 0.5, "s", detail))
    return figures


def conversions(folder: Path, rounds: int, tf2onnx: str | None) -> list[Figure]:
    """`convert --to onnx`, verified, against the floor; tf2onnx on the same checkpoint."""
    prefix, output = SEED / "model.ckpt", folder / "model.onnx"
    processes = {
        "floor": lambda: cost(python(FLOOR, str(folder / "floor.onnx")), folder),
        "convert": lambda: cost(
            command_line("convert", prefix, "--to", "onnx", "-o", output, "--force", "--quiet"),
            folder,
        ),
    }
    medians = in_turn(processes, rounds)
    floor, ours = medians["floor"], medians["convert"]
    figures = [
        Figure(
            "convert --to onnx, verified, of the floor",
            ours.seconds / floor.seconds,
            2.0,
            "x",
            f"{ours.seconds:.2f} s against {floor.seconds:.2f} s",
        ),
        Figure(
            "the same, memory", ours.megabytes, 170, "MB", f"the floor {floor.megabytes:.0f} MB"
        ),
    ]
    if tf2onnx:
        theirs = with_tf2onnx(folder, prefix, tf2onnx, max(rounds // 3, 1))
        print(
            f"tf2onnx on the same checkpoint: {theirs.seconds:.2f} s, {theirs.megabytes:.0f} MB "
            f"({theirs.seconds / ours.seconds:.1f} x the time, "
            f"{theirs.megabytes / ours.megabytes:.1f} x the memory; not verified)"
        )
    return figures


def with_tf2onnx(folder: Path, prefix: Path, interpreter: str, rounds: int) -> Cost:
    """tf2onnx's command line on the checkpoint with its .meta, given the tensors' names."""
    graph = json.loads((prefix.parent / "card.json").read_text())["graph"]
    command = [
        interpreter, "-m", "tf2onnx.convert", "--checkpoint", f"{prefix}.meta",
        "--inputs", ",".join(graph["inputs"].values()),
        "--outputs", ",".join(graph["outputs"].values()),
        "--output", str(folder / "tf2onnx.onnx"),
    ]  # fmt: skip
    run = {"tf2onnx": lambda: cost(command, folder, own_packages=False)}
    return in_turn(run, rounds)["tf2onnx"]


def anonymous_peak(command: Sequence[str], folder: Path) -> float:
    """The largest memory a process held that is not a mapped file, in megabytes (Linux).

    Pages of the mapped checkpoint count as resident, but the system takes them back at will.
    """
    peak = 0.0
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            held = [int(x.split()[1]) for x in lines if x.startswith("RssAnon")]
            peak = max(peak, *held, 0)
        time.sleep(0.002)
    return peak * 1024 / MEGABYTE


def large(folder: Path, gigabytes: float) -> list[Figure]:
    """A checkpoint of gigabytes, converted without verification, against copying its files."""
    units, rows = 2048, 4096
    largest = rows * 4 * units * 4 / MEGABYTE
    layers = max(round(gigabytes * 1e3 / largest), 1)
    prefix = folder / "large.ckpt"
    cost(python(STACK, str(prefix), str(layers), str(units), "0"), folder)
    data = Path(f"{prefix}.data-00000-of-00001")
    output = folder / "output"
    copying = ["cp", str(data), str(output)]
    options = ["-o", output, "--force", "--no-verify", "--quiet"]
    converting = command_line("convert", prefix, "--to", "onnx", *options)

    def afresh(command: Sequence[str]) -> Callable[[], Cost]:
        """Each begins without its output: memory given back by one serves the next."""

        def run() -> Cost:
            output.unlink(missing_ok=True)
            return cost(command, folder)

        return run

    medians = in_turn({"cp": afresh(copying), "convert": afresh(converting)}, 5)
    ours, size = medians["convert"], data.stat().st_size / MEGABYTE
    idle = anonymous_peak(python("import lstmbridge.api, onnx"), folder)
    held = anonymous_peak(converting, folder)
    return [
        Figure(
            f"convert {size / 1e3:.1f} GB --no-verify, of copying it",
            ours.seconds / medians["cp"].seconds,
            2.0,
            "x",
            f"{ours.seconds:.2f} s against {medians['cp'].seconds:.2f} s",
        ),
        Figure(
            "the same, memory above idle, of the largest tensor",
            (held - idle) / largest,
            1.5,
            "x",
            f"{held:.0f} MB, idle {idle:.0f} MB, largest tensor {largest:.0f} MB",
        ),
    ]


def wide_checkpoint(folder: Path) -> Path:
    """Some 200 MB of weights, for an `inspect` that must not notice them."""
    prefix = folder / "wide.ckpt"
    cost(python(STACK, str(prefix), "2", "1024", "100000"), folder)
    return prefix


def shown(figures: Sequence[Figure]) -> bool:
    """Print figures beside their budgets; whether all were kept."""
    for f in figures:
        verdict = "within" if f.value <= f.budget else "OVER"
        budget = f"budget {f.budget:g} {f.unit}"
        print(
            f"{f.what:<52} {f.value:7.2f} {f.unit:<2} {budget:<14} {verdict:<6} {f.detail}",
            flush=True,
        )
    return all(f.value <= f.budget for f in figures)


def main() -> int:
    """Measure, print, and say whether every budget was kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="processes per median")
    parser.add_argument("--tf2onnx-python", help="an interpreter that has tf2onnx")
    parser.add_argument("--published", type=Path, help="prefix from fetch_published.py")
    parser.add_argument("--gigabytes", type=float, help="also convert a checkpoint of this size")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        sources = {"the seed": SEED / "model.ckpt", "200 MB": wide_checkpoint(folder)}
        if options.published:
            sources["the published one"] = options.published.resolve()
        good = shown(imports(folder, options.rounds))
        good &= shown(inspections(folder, sources, options.rounds))
        good &= shown(conversions(folder, options.rounds, options.tf2onnx_python))
        if options.gigabytes:
            good &= shown(large(folder, options.gigabytes))
    finally:
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
