"""What the README says is what the code does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_generated_parts_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts" / "readme.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.rendered(text) == text, "run python scripts/readme.py"


def test_ci_runs_the_readmes_test_command() -> None:
    assert "```sh\nbash scripts/test\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nbash scripts/test " in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
