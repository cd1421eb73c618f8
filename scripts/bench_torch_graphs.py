# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge[torch]"]
# ///
"""Whole models under PyTorch: stacks as modules against the same stacks operation by operation.

    python scripts/bench_torch_graphs.py [--saved-model FOLDER ...] [--batch N] [--steps N]

Each fixture of fixtures/graphs (and each SavedModel that is named) is converted twice, with its
recognised stacks as modules and with all of it as the graph's own operations. Both modules run
in one process on one thread, in turn (A B B A ...), on the recorded inputs (random ones for a
named SavedModel); the factor is the median of the ratios of neighbouring runs. That both give
the same numbers is checked first.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_graphs import FOLDER, case_of

import lstmbridge.torch
from lstmbridge.adapters.adapter import recognise
from lstmbridge.contracts import Hints, TargetOptions
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.placed import places_of
from lstmbridge.graph.whole import Whole
from lstmbridge.runtimes.graph import Weights
from lstmbridge.sources import open_source
from lstmbridge.targets.torch import TorchTarget
from lstmbridge.whole_models import whole_from

CASES = ("frozen-classifier", "frozen-translator", "frozen-unrolled-text", "saved-tagger")
TOLERANCE = 1e-4


def fixture(name: str) -> tuple[Whole, Mapping[str, np.ndarray]]:
    """A fixture's model, and the inputs that were recorded."""
    case = case_of(FOLDER / name)
    source = open_source(case.path)
    whole = whole_of(
        source.graph(),
        Weights(source.graph(), source.tensors),
        declared_inputs={at: at for at in case.fed},
        declared_outputs={at: at for at in case.wanted},
    )
    return places_of(whole, recognise(source).parts), case.fed


def saved(folder: Path, batch: int, steps: int) -> tuple[Whole, Mapping[str, np.ndarray]]:
    """A SavedModel, and random inputs: floats (batch, steps, ...), integers are lengths."""
    whole, _ = whole_from(open_source(folder), Hints())
    draw = np.random.default_rng(5)
    fed: dict[str, np.ndarray] = {}
    for port in whole.inputs:
        sizes = [n or m for n, m in zip(port.shape or (), (batch, steps, 1), strict=False)]
        numbers = draw.normal(size=sizes) if port.dtype.kind == "f" else np.full(sizes, steps)
        fed[port.name] = numbers.astype(port.dtype)
    return whole, fed


def module_of(whole: Whole, path: Path) -> torch.nn.Module:
    """Write the model and load it."""
    TorchTarget().write_whole(whole, path, TargetOptions(), {})
    return lstmbridge.torch.load(path)


def seconds(module: torch.nn.Module, feeds: Mapping[str, Any]) -> float:
    """One run."""
    begun = time.perf_counter()
    module(feeds)
    return time.perf_counter() - begun


def compare(name: str, whole: Whole, fed: Mapping[str, np.ndarray], repeat: int) -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        native = module_of(whole, Path(folder) / "native.pt")
        plain = module_of(replace(whole, places=()), Path(folder) / "plain.pt")
        feeds = {key: torch.from_numpy(np.array(value)) for key, value in fed.items()}
        one, two = native(feeds), plain(feeds)
        for key, value in one.items():
            if not torch.allclose(value.double(), two[key].double(), atol=TOLERANCE):
                print(f"{name}: {key} differs")
                return
        pairs = []
        for k in range(repeat):
            order = (native, plain) if k % 2 else (plain, native)
            pairs.append({id(module): seconds(module, feeds) for module in order})
    ratios = [pair[id(plain)] / pair[id(native)] for pair in pairs]
    times = [statistics.median(p[id(m)] for p in pairs) * 1e3 for m in (native, plain)]
    print(
        f"{name}: {len(whole.places)} stacks, {times[0]:.2f} ms, op by op {times[1]:.2f} ms, "
        f"factor {statistics.median(ratios):.2f}"
    )


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saved-model", type=Path, action="append", default=[])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=21)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in CASES:
        compare(name, *fixture(name), given.repeat)
    for folder in given.saved_model:
        compare(folder.name, *saved(folder, given.batch, given.steps), given.repeat)


if __name__ == "__main__":
    main()
