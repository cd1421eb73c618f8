"""A process that is told to stop leaves nothing behind, and says how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import signal, sys, time
# whatever started these tests (nohup, a shell's background job) may ignore both
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from lstmbridge.targets.onnx import OnnxTarget
def write(self, model, path, options, metadata):
    path.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
OnnxTarget.write = write
from lstmbridge.cli import main
main(sys.argv[1:], prog_name="lstmbridge")
"""


@pytest.fixture
def stopped(tmp_path, seed_prefix):
    """`stopped(signal, before)`: how a conversion ended that was stopped while it wrote."""

    def of(number, before=""):
        command = ["convert", seed_prefix, "--to", "onnx", "-o", tmp_path / "m.onnx", "--force"]
        process = subprocess.Popen(
            [sys.executable, "-c", before + SLOW, *map(str, command)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "writing\n"
        assert len(list(tmp_path.glob(".m.onnx.*"))) == 1
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    return of


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=str,
)
def test_a_conversion_that_is_stopped_leaves_the_folder_as_it_was(stopped, tmp_path, number, code):
    old = tmp_path / "m.onnx"
    old.write_bytes(b"old")
    ended, said = stopped(number)
    assert ended == code
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert old.read_bytes() == b"old"


def test_a_signal_that_is_ignored_stays_ignored():
    code = """
import signal
from lstmbridge.cli.signals import orderly_exit
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with orderly_exit():
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
