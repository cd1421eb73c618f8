# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge"]
# ///
"""Latency of a converted ONNX file against hand-written LSTM nodes with the same signature.

    python scripts/bench_latency.py

A checkpoint of 3 layers of 256 units is written (no TensorFlow needed) and converted by the
command line. Beside it stands what an expert would write by hand: one transposition in, three
LSTM nodes, one transposition out, final states squeezed. Both run in one process on one thread,
in turn (A B B A ...), 100 steps, batch 1 and 32; the figure is the median of the ratios of
neighbouring runs. Budget: 1.02.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from checkpoint_writer import lstm_stack, write_checkpoint
from onnx import TensorProto, helper, numpy_helper

LAYERS, UNITS, FEATURES, STEPS = 3, 256, 256, 100
BUDGET = 1.02
ROOT = Path(__file__).resolve().parents[1]


def rearranged(variables: dict[str, np.ndarray], layer: int) -> dict[str, np.ndarray]:
    """W, R and B of one ONNX LSTM node: TensorFlow's i, j, f, o as ONNX's i, o, f, c."""
    scope = f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell"
    i, j, f, o = np.split(variables[f"{scope}/kernel"], 4, axis=1)
    bi, bj, bf, bo = np.split(variables[f"{scope}/bias"], 4)
    kernel = np.concatenate([i, o, f, j], axis=1).T
    bias = np.concatenate([bi, bo, bf + np.float32(1), bj])
    rows = kernel.shape[1] - UNITS
    return {
        f"W{layer}": np.ascontiguousarray(kernel[None, :, :rows]),
        f"R{layer}": np.ascontiguousarray(kernel[None, :, rows:]),
        f"B{layer}": np.concatenate([bias, np.zeros_like(bias)])[None],
    }


def floats(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    """A float32 input or output."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def by_hand(variables: dict[str, np.ndarray], path: Path) -> None:
    """The graph an expert would write: bare LSTM nodes, batch-major outside."""
    nodes = [helper.make_node("Transpose", ["inputs"], ["x0"], perm=[1, 0, 2])]
    weights = {"one": np.array([1], np.int64), "zero": np.array([0], np.int64)}
    outputs = [("outputs", ["batch", "time", UNITS])]
    for k in range(LAYERS):
        weights.update(rearranged(variables, k))
        names = [f"y{k}", f"h{k}", f"c{k}"]
        nodes.append(
            helper.make_node(
                "LSTM", [f"x{k}", f"W{k}", f"R{k}", f"B{k}"], names, hidden_size=UNITS
            )
        )
        nodes.append(helper.make_node("Squeeze", [f"y{k}", "one"], [f"x{k + 1}"]))
        for state in "hc":
            nodes.append(
                helper.make_node("Squeeze", [f"{state}{k}", "zero"], [f"layer{k}_{state}"])
            )
            outputs.append((f"layer{k}_{state}", ["batch", UNITS]))
    nodes.append(helper.make_node("Transpose", [f"x{LAYERS}"], ["outputs"], perm=[1, 0, 2]))
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [floats("inputs", ["batch", "time", FEATURES])],
        [floats(name, shape) for name, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """One thread, the CPU provider, ONNX Runtime's default optimisations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ratio(ours, theirs, feeds: dict[str, np.ndarray], pairs: int) -> tuple[float, float, float]:
    """Median of the ratios of neighbouring runs, and both medians in milliseconds."""
    times = []
    for lap in range(pairs + 2):
        pair = {}
        for session in (ours, theirs) if lap % 2 else (theirs, ours):  # neither is always first
            start = time.perf_counter()
            session.run(None, feeds)
            pair[session] = time.perf_counter() - start
        times.append((pair[ours], pair[theirs]))
    times = times[2:]
    mine, other = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    return statistics.median(a / b for a, b in times), mine, other


def convert(prefix: Path, output: Path) -> None:
    """By the command line, verified, as a user would."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "lstmbridge", "convert", str(prefix), "--to", "onnx"]
    done = subprocess.run([*command, "-o", str(output), "--quiet"], check=False, env=environment)
    if done.returncode:
        sys.exit(f"lstmbridge convert: exit {done.returncode}")


def main() -> int:
    """Write, convert, compare, time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=120, help="timed pairs at batch 1")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as scratch:
        prefix = Path(scratch) / "model.ckpt"
        variables = lstm_stack(LAYERS, UNITS, FEATURES)
        write_checkpoint(prefix, variables)
        convert(prefix, prefix.with_suffix(".onnx"))
        by_hand(variables, Path(scratch) / "by_hand.onnx")
        ours, theirs = (
            session_of(prefix.with_suffix(".onnx")),
            session_of(Path(scratch) / "by_hand.onnx"),
        )
    names = [output.name for output in theirs.get_outputs()]
    print(f"onnxruntime {onnxruntime.__version__}, {LAYERS} x {UNITS}, {STEPS} steps, 1 thread")
    good = True
    for batch, count in ((1, pairs), (32, max(pairs // 3, 5))):
        rng = np.random.default_rng(batch)
        feeds = {"inputs": rng.standard_normal((batch, STEPS, FEATURES), np.float32)}
        gaps = [
            np.abs(a - b).max()
            for a, b in zip(ours.run(names, feeds), theirs.run(names, feeds), strict=True)
        ]
        median, mine, other = ratio(ours, theirs, feeds, count)
        good &= median <= BUDGET
        print(
            f"batch {batch:>2}: converted {mine:8.2f} ms, by hand {other:8.2f} ms, ratio "
            f"{median:.3f} (budget {BUDGET}), largest difference {max(gaps):.1e}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
