"""Many seeded trials over a few processes: resumable, and a crash costs one trial.

Each finished trial is one line of JSON in the record. A trial that takes its process down (ONNX
Runtime can abort) is recorded as ``{"seed": ..., "crashed": ...}`` and the rest goes on.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Trial = Callable[[int], Mapping]
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # a process per core; NumPy reads it when it is imported


def read(record: Path) -> list[dict]:
    """All trials so far; a line that a kill cut short is left out."""
    found = []
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


def run(
    record: Path, seeds: Iterable[int], trial: Trial, *, processes: int = 2, minutes: float = 1e6
) -> list[dict]:
    """Run the trials of `seeds` that the record lacks, for so many minutes, and read it all."""
    record.parent.mkdir(parents=True, exist_ok=True)
    done = {one["seed"] for one in read(record)}
    todo = [seed for seed in seeds if seed not in done]
    end = time.monotonic() + 60.0 * minutes
    parts = [todo[k::processes] for k in range(processes)]
    context = multiprocessing.get_context("fork")
    waiting = {k: part for k, part in enumerate(parts) if part}
    workers: dict[int, tuple] = {}
    while waiting or workers:
        for k in list(waiting):
            at = record.with_suffix(f".at{k}")
            worker = context.Process(target=_work, args=(record, waiting.pop(k), trial, end, at))
            worker.start()
            workers[k] = (worker, at)
        for k, (worker, at) in list(workers.items()):
            worker.join(timeout=0.2)
            if worker.exitcode is None:
                continue
            del workers[k]
            if worker.exitcode != 0:
                seed = int(at.read_text(encoding="utf-8"))
                _note(record, {"seed": seed, "crashed": f"exit code {worker.exitcode}"})
                rest = parts[k][parts[k].index(seed) + 1 :]
                if rest:
                    waiting[k] = rest
            at.unlink(missing_ok=True)
    return read(record)


def _work(record: Path, seeds: list[int], trial: Trial, end: float, at: Path) -> None:
    for seed in seeds:
        if time.monotonic() > end:
            return
        at.write_text(str(seed), encoding="utf-8")
        start = time.perf_counter()
        try:
            found = dict(trial(seed))
        except Exception:  # noqa: BLE001 - the trial is what is tested: whatever it raises is a finding
            found = {"raised": traceback.format_exc()}
        _note(record, {"seed": seed, **found, "seconds": round(time.perf_counter() - start, 3)})


def _note(record: Path, line: Mapping) -> None:
    # one write of one line: two processes append without a lock
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
