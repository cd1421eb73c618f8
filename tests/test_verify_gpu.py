"""The one command for a machine with a GPU, where there is none: it says so, and is no pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is a driver")
def test_without_a_device_it_reports_what_did_not_run_and_exits_3(tmp_path):
    report = tmp_path / "report.txt"
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "verify_gpu.sh"), str(report)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHON": sys.executable, "FIXTURES": "tf115-seed-bare"},
    )
    assert done.returncode == 3, done.stdout
    text = report.read_text()
    assert text == done.stdout
    assert "this machine has no NVIDIA driver" in text
    for runtime in ("onnxruntime-cuda", "onnxruntime-cuda-tf32"):
        assert f"--- fixtures/tf115-seed-bare/model.ckpt on {runtime}\n" in text
        assert f"{runtime} is required and did not run" in text
    assert "RESULT: not run in full; this is no pass" in text
    assert "PASS " not in text
