"""The command line in this process, and sources that no fixture has."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from lstmbridge.cli import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def body(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run() -> Callable[..., Answer]:
    """`run("inspect", path)`: in this process; a traceback in what is said fails the test."""
    try:
        runner = CliRunner(mix_stderr=False)
    except TypeError:  # click 8.2 and later keep them apart always
        runner = CliRunner()

    def invoke(*arguments: object) -> Answer:
        result = runner.invoke(main, [str(a) for a in arguments])
        answer = Answer(result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in answer.said
        assert isinstance(result.exception, SystemExit | None), result.exception
        return answer

    return invoke


@pytest.fixture
def process() -> Callable[..., Answer]:
    """`process("inspect", path, cwd=..., PYTHONIOENCODING="ascii")`: a process of its own."""

    def invoke(*arguments: object, cwd: Path = ROOT, **environment: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "lstmbridge", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            check=False,
            timeout=120,
        )
        answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in answer.said
        return answer

    return invoke


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[Mapping[str, np.ndarray]], Path]:
    """`checkpoint({"name": array})`: the prefix of a new V2 checkpoint."""
    path = ROOT / "scripts" / "checkpoint_writer.py"
    spec = importlib.util.spec_from_file_location("checkpoint_writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def write(variables: Mapping[str, np.ndarray]) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        module.write_checkpoint(folder / "model.ckpt", variables)
        return folder / "model.ckpt"

    return write
