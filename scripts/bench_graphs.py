# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge"]
# ///
"""Whole models: right or wrong, nodes and latency, beside what tf2onnx makes of the same graphs.

    python scripts/bench_graphs.py [--tf2onnx PYTHON] [--repeat N]

The graphs are the fixtures that TensorFlow 1.15 wrote and ran (fixtures/graphs): each is
converted here, and, where the interpreter `PYTHON` has tf2onnx, by that, told the same inputs
and outputs. The whole is also converted with its stacks left as the graph's own steps, which
shows what a loop that is not recognised costs. Both files run in one process of ONNX Runtime on one thread, in turn (A B B A ...),
on the recorded inputs; latency is the median of each, and the factor the median of the ratios of
neighbouring runs. Nodes are counted with those of loops' bodies. A result is right within 1e-4
of what TensorFlow recorded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from lstmbridge.adapters.adapter import recognise
from lstmbridge.contracts import TargetOptions
from lstmbridge.errors import LstmBridgeError
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.placed import places_of
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources import open_source
from lstmbridge.targets.onnx import OnnxTarget

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "graphs"
TOLERANCE = 1e-4
OPSET = 17


@dataclass(frozen=True)
class Case:
    """A fixture: its card, and the recorded arrays by tensor."""

    folder: Path
    card: Mapping[str, Any]
    fed: Mapping[str, np.ndarray]
    wanted: Mapping[str, np.ndarray]

    @property
    def path(self) -> Path:
        """The graph."""
        return self.folder / str(self.card["file"])


def case_of(folder: Path) -> Case:
    """Read a fixture."""
    card = json.loads((folder / "card.json").read_text())
    with np.load(folder / "expected.npz") as stored:
        fed = {at: stored[f"inputs|{name}"] for name, at in card["inputs"].items()}
        wanted = {at: stored[f"outputs|{name}"] for name, at in card["outputs"].items()}
    return Case(folder, card, fed, wanted)


def ours(case: Case, path: Path, *, native: bool = True) -> None:
    """Convert with lstmbridge, ports called as tf2onnx calls them.

    `native`: recognised stacks become native operators; else they stay the graph's own steps.
    """
    source = open_source(case.path)
    whole = whole_of(
        source.graph(),
        Weights(source.graph(), source.tensors),
        declared_inputs={at: at for at in case.fed},
        declared_outputs={at: at for at in case.wanted},
    )
    try:
        whole = places_of(whole, recognise(source).parts) if native else whole
    except LstmBridgeError as error:
        print(f"  no stack recognised: {error.read}")
    OnnxTarget().write_whole(whole, path, TargetOptions(opset=OPSET), {})


def theirs(case: Case, path: Path, python: str) -> str:
    """Convert with tf2onnx; "" or why it could not."""
    flag = "--saved-model" if case.path.is_dir() else "--graphdef"
    if case.path.suffix == ".pbtxt":
        return "reads no text graphs"
    command = [python, "-m", "tf2onnx.convert", flag, str(case.path), "--output", str(path)]
    command += ["--inputs", ",".join(case.fed), "--outputs", ",".join(case.wanted)]
    command += ["--opset", str(OPSET)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if path.exists():
        return ""
    return (made.stderr.strip().splitlines() or ["nothing was written"])[-1][:100]


def nodes_in(graph: onnx.GraphProto) -> int:
    """Nodes, with those of loops and branches."""
    inner = (nodes_in(a.g) for node in graph.node for a in node.attribute if a.HasField("g"))
    return len(graph.node) + sum(inner)


def loops_in(graph: onnx.GraphProto) -> list[str]:
    """The operators that repeat: of loops that stayed loops."""
    own = [node.op_type for node in graph.node if node.op_type in {"Loop", "Scan"}]
    inner = [loops_in(a.g) for node in graph.node for a in node.attribute if a.HasField("g")]
    return [*own, *(kind for kinds in inner for kind in kinds)]


class Ran:
    """A file in ONNX Runtime, fed with a case's inputs."""

    def __init__(self, path: Path, case: Case) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        graph = onnx.load(path).graph
        self.nodes, self._loops = nodes_in(graph), loops_in(graph)
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        names = {one.name for one in self._session.get_inputs()}
        self._fed = {at: value for at, value in case.fed.items() if at in names}
        self._wanted = case.wanted

    def kept(self) -> str:
        """The operators by which its loops go."""
        return ", ".join(sorted(set(self._loops))) or "unrolled"

    def verdict(self) -> str:
        """``right``, ``wrong`` or ``failed``."""
        try:
            got = self._session.run(list(self._wanted), self._fed)
        except Exception as error:  # noqa: BLE001 - whatever a foreign file does is a figure
            return f"failed: {str(error)[:80]}"
        pairs = zip(got, self._wanted.values(), strict=True)
        right = all(a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE for a, b in pairs)
        return "right" if right else "wrong"

    def seconds(self) -> float:
        """One run."""
        begun = time.perf_counter()
        self._session.run(list(self._wanted), self._fed)
        return time.perf_counter() - begun


def in_turn(first: Ran, second: Ran, repeat: int) -> tuple[float, float, float]:
    """Microseconds of each, and the median of their ratios."""
    a, b = [], []
    for k in range(repeat):
        pair = ((first, a), (second, b))
        for ran, times in pair if k % 2 else pair[::-1]:
            times.append(ran.seconds())
    ratios = [y / x for x, y in zip(a, b, strict=True)]
    return statistics.median(a) * 1e6, statistics.median(b) * 1e6, statistics.median(ratios)


def measured(case: Case, folder: Path, python: str | None, repeat: int) -> str:
    """One line about a case."""
    ours(case, folder / "ours.onnx")
    mine = Ran(folder / "ours.onnx", case)
    line = f"{case.folder.name:22s} lstmbridge {mine.verdict()}, {mine.nodes} nodes"
    ours(case, folder / "steps.onnx", native=False)
    steps = Ran(folder / "steps.onnx", case)
    line += f"; stacks as steps ({steps.kept()}) {steps.verdict()}, "
    line += f"{in_turn(mine, steps, repeat)[2]:.2f} x the time"
    if python is None:
        return f"{line}, {in_turn(mine, mine, repeat)[0]:.0f} us"
    reason = theirs(case, folder / "theirs.onnx", python)
    if reason:
        return f"{line}, {in_turn(mine, mine, repeat)[0]:.0f} us; tf2onnx failed: {reason}"
    other = Ran(folder / "theirs.onnx", case)
    verdict = other.verdict()
    if verdict.startswith("failed"):
        return f"{line}; tf2onnx {verdict}"
    own, foreign, factor = in_turn(mine, other, repeat)
    return (
        f"{line}, {own:.0f} us; tf2onnx {verdict}, {other.nodes} nodes, {foreign:.0f} us "
        f"({factor:.2f} x)"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tf2onnx", metavar="PYTHON", help="an interpreter that has tf2onnx")
    parser.add_argument("--repeat", type=int, default=400)
    asked = parser.parse_args()
    for card in sorted(FOLDER.glob("*/card.json")):
        with tempfile.TemporaryDirectory() as folder:
            print(measured(case_of(card.parent), Path(folder), asked.tf2onnx, asked.repeat))


if __name__ == "__main__":
    main()
