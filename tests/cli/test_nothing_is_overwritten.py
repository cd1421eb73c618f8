"""No option, and no --force, lets one file of the user's be written over by another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lstmbridge.cli import main


@pytest.fixture
def checkpoint(seed_prefix: Path, tmp_path: Path) -> Path:
    shutil.copytree(seed_prefix.parent, tmp_path / "trained")
    return tmp_path / "trained" / "model.ckpt"


@pytest.mark.parametrize("option", ["--json", "--junit", "--markdown", "--html", "-o"])
@pytest.mark.parametrize("victim", ["model.ckpt.index", "model.ckpt.data-00000-of-00001"])
def test_the_source_is_never_written_over(
    checkpoint: Path, tmp_path: Path, option: str, victim: str
) -> None:
    path = checkpoint.parent / victim
    before = path.read_bytes()
    output = [] if option == "-o" else ["-o", str(tmp_path / "m.onnx")]
    asked = ["convert", str(checkpoint), "--to", "onnx", "--force", *output, option, str(path)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2, done.output
    assert path.read_bytes() == before
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("option", ["--json", "--junit", "--markdown", "--html"])
def test_a_report_is_never_written_over_the_artifact(
    checkpoint: Path, tmp_path: Path, option: str
) -> None:
    artifact = str(tmp_path / "m.onnx")
    convert = ["convert", str(checkpoint), "--to", "onnx", "-o", artifact]
    assert CliRunner().invoke(main, [*convert, option, artifact]).exit_code == 2
    assert not Path(artifact).exists()
    assert CliRunner().invoke(main, [*convert, "--quiet"]).exit_code == 0
    before = Path(artifact).read_bytes()
    verify = ["verify", str(checkpoint), artifact, option, artifact]
    assert CliRunner().invoke(main, verify).exit_code == 2
    assert Path(artifact).read_bytes() == before


def test_lengths_in_the_graph_are_not_dropped_in_silence(case, tmp_path: Path) -> None:
    prefix = str(case("tf115-bidirectional-lengths").prefix)
    artifact = str(tmp_path / "m.onnx")
    convert = ["convert", prefix, "--to", "onnx", "-o", artifact, "--force"]
    assert "--sequence-length adds that input" in CliRunner().invoke(main, convert).output
    asked = CliRunner().invoke(main, [*convert, "--sequence-length"])
    assert "adds that input" not in asked.output
