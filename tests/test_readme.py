"""What the README says is what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROSE = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", script().PAGES)
def test_the_generated_parts_are_fresh(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert script().rendered(page) == text, "run python scripts/readme.py"


def anchors(page: Path) -> set[str]:
    """What GitHub calls a page's headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", sorted(p.relative_to(ROOT).as_posix() for p in PROSE))
def test_every_link_within_the_documentation_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", here.read_text(encoding="utf-8")):
        path, _, place = link.partition("#")
        there = here.parent / path if path else here
        assert there.is_file(), link
        assert not place or place in anchors(there), link


def test_every_page_of_the_documentation_is_found_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {p.name for p in PROSE if f"](docs/{p.name}" in readme} == {
        p.name for p in (ROOT / "docs").glob("*.md")
    }


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
