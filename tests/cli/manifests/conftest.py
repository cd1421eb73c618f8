"""Manifests in a folder of their own, with real checkpoints and real artifacts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lstmbridge.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """Two checkpoints, an artifact of each."""
    folder = tmp_path_factory.mktemp("models")
    for name, fixture in (("seed", "tf115-seed-meta"), ("gru", "tf115-gru")):
        shutil.copytree(ROOT / "fixtures" / fixture, folder / name)
        words = ["convert", str(folder / name / "model.ckpt"), "--to", "onnx", "--no-verify"]
        done = CliRunner().invoke(main, [*words, "-o", str(folder / f"{name}.onnx")])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `models`, in which commands are given."""
    shutil.copytree(models, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    return tmp_path / "here"


@pytest.fixture
def manifest(here: Path) -> Callable[[str], Path]:
    """`manifest(text)`: that text as models.toml."""

    def write(text: str) -> Path:
        (here / "models.toml").write_text(text)
        return here / "models.toml"

    return write


@pytest.fixture
def verify(here: Path) -> Callable[..., Any]:
    """`verify(*options)`: the answer of `verify --manifest models.toml`, as JSON, and its text."""

    def run(*options: object, code: int) -> tuple[Any, str]:
        try:
            runner = CliRunner(mix_stderr=False)
        except TypeError:  # click 8.2 and later keep them apart always
            runner = CliRunner()
        words = ["verify", "--manifest", "models.toml", "--json", "answer.json", *options]
        result = runner.invoke(main, [str(word) for word in words])
        said = result.stdout + result.stderr
        assert "Traceback" not in said
        assert result.exit_code == code, said
        answer = here / "answer.json"
        return (json.loads(answer.read_bytes()) if answer.exists() else None), said

    return run


@pytest.fixture
def started(here: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """`started(*options)`: the command, running; signals that are ignored here act there."""

    def start(*options: str) -> subprocess.Popen[bytes]:
        def default() -> None:
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        return subprocess.Popen(
            [sys.executable, "-m", "lstmbridge", "verify", "--manifest", "models.toml", *options],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=default,  # noqa: PLW1509 - no threads here
        )

    return start
