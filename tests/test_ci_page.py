"""docs/ci.md is tried as it is written: its manifest, and every command of its workflows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """What the page lets a shell run, but for the installation, which this process is one of."""
    steps = [line for text in blocks("sh") for line in text.splitlines()]
    for text in blocks("yaml"):
        steps += re.findall(r"^\s+run: (.+)$", text, re.MULTILINE)
        steps += re.findall(r"^    - (python .+|lstmbridge .+)$", text, re.MULTILINE)
    return [step for step in steps if "pip install" not in step]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as the page describes it, and a shell's `lstmbridge`."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, fixture in (("tagger", "tf115-seed-meta"), ("speech", "tf115-gru")):
        shutil.copytree(ROOT / "fixtures" / fixture, folder / "models" / name)
    (folder / "models.toml").write_text(blocks("toml")[0])
    (folder / "bin").mkdir()
    command = folder / "bin" / "lstmbridge"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lstmbridge "$@"\n')
    command.chmod(0o755)
    (folder / "deployed").mkdir()
    source, artifact = "models/tagger/model.ckpt", "deployed/tagger.onnx"
    shell(folder, f"lstmbridge convert {source} --to onnx -o {artifact} --no-verify")
    return folder


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    paths = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env={**environment, **paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_command_of_the_page_passes_as_written(checkout: Path) -> None:
    found = commands()
    assert sum("--manifest" in step for step in found) == 3
    for step in found:
        done = shell(checkout, step)
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    for kept in ("junit.xml", "index.html", "lstmbridge-results/speech/model.onnx"):
        assert (checkout / kept).is_file()
    assert (checkout / "lstmbridge-results" / "index.html").is_file()


def test_the_workflow_fails_when_a_model_does(checkout: Path) -> None:
    step = next(step for step in commands() if "lstmbridge-results/junit.xml" in step)
    shutil.copytree(checkout / "models", checkout / "kept" / "models")
    copied = checkout / "kept"
    (copied / "deployed").mkdir()
    (copied / "bin").symlink_to(checkout / "bin")
    shutil.copy(checkout / "models.toml", copied)
    shell(copied, "lstmbridge convert models/speech/model.ckpt --to onnx "
                  "-o deployed/tagger.onnx --no-verify")  # fmt: skip
    assert shell(copied, step).returncode == 1
