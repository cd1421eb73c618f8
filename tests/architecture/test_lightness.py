"""Importing lstmbridge loads NumPy and nothing heavier."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["onnx", "onnxruntime", "torch", "tensorflow", "h5py", "google.protobuf", "rich", "click"]


def heavy_after(code: str) -> set[str]:
    script = (
        f"import json, sys\n{code}\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_import_is_light() -> None:
    assert heavy_after("import lstmbridge; lstmbridge.Model; lstmbridge.Verdict") == set()


def test_the_test_above_can_fail() -> None:
    assert heavy_after("import lstmbridge, onnx") >= {"onnx"}


def test_public_names_are_these() -> None:
    import lstmbridge

    assert sorted(lstmbridge.__all__) == [
        "Conversion",
        "LstmBridgeError",
        "Model",
        "Verdict",
        "__version__",
        "convert",
        "inspect",
        "load",
        "verify",
    ]
    for name in lstmbridge.__all__:
        assert getattr(lstmbridge, name) is not None


@pytest.mark.parametrize(
    "first", ["lstmbridge.verify", "lstmbridge.cli", "lstmbridge.verify.noise"]
)
def test_verify_is_the_verb_whatever_was_imported_before(first: str) -> None:
    code = f"import {first}, lstmbridge; assert lstmbridge.verify.__module__ == 'lstmbridge.api'"
    subprocess.run([sys.executable, "-c", code], check=True)
