"""What the README says is what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_fresh() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script().rendered(text) == text, "run python scripts/readme.py"


def test_a_sample_is_stale_when_more_than_times_and_roundings_differ() -> None:
    steady, sample = script().steady, script().conversion()
    for same in ((r"in \d+\.\d\d s", "in 9.99 s"), (r"at worst, \S+", "at worst, layer9_c[7]")):
        other = re.sub(*same, sample)
        assert other != sample
        assert steady(other) == steady(sample)
    for stale in ((r"PASS  \S+", "PASS  756"), (r"39 of 39", "37 of 37"), (r"import onnx\w+", "")):
        other = re.sub(*stale, sample)
        assert other != sample
        assert steady(other) != steady(sample)


def test_ci_runs_the_readmes_test_command() -> None:
    assert "```sh\nbash scripts/test\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nbash scripts/test " in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
