"""The pytest plugin, in test suites of somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = any(
    point.value == "lstmbridge.pytest_plugin" for point in entry_points(group="pytest11")
)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """`suite(code)`: how a test module with this code fares."""

    def run(code: str) -> pytest.RunResult:
        pytester.makepyfile(code)
        if INSTALLED:
            return pytester.runpytest_subprocess("-p", "no:randomly")
        before = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), before])))
        return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "lstmbridge.pytest_plugin")

    return run


def test_the_fixture_converts_and_proves_in_the_tests_folder(suite, seed_prefix: Path) -> None:
    result = suite(f"""
        SOURCE = {str(seed_prefix)!r}

        def test_it(lstmbridge, tmp_path):
            first = lstmbridge.convert(SOURCE)
            second = lstmbridge.convert(SOURCE)
            assert first.path == tmp_path / "model.onnx"
            assert second.path == tmp_path / "model1.onnx"
            lstmbridge.assert_equivalent(SOURCE, first.path, "model1.onnx")
            assert lstmbridge.verify(SOURCE, "model.onnx").outcome == "pass"
    """)
    result.assert_outcomes(passed=1)


def test_a_wrong_artifact_shows_its_report_and_nothing_of_ours(suite, seed_prefix: Path) -> None:
    result = suite(f"""
        from lstmbridge.contracts import Hints

        SOURCE = {str(seed_prefix)!r}

        def test_it(lstmbridge):
            lstmbridge.convert(SOURCE, output="a.onnx", hints=Hints(forget_bias=0.25))
            lstmbridge.assert_equivalent(SOURCE, "a.onnx")
    """)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "AssertionError" in text
    assert "planted faults" in text
    assert "testing.py" not in text


def test_a_suite_that_does_not_use_it_does_not_pay_for_it(suite) -> None:
    result = suite("""
        import sys

        def test_it():
            assert not {"lstmbridge.api", "onnx", "click"} & set(sys.modules)
    """)
    result.assert_outcomes(passed=1)


def test_importing_the_plugin_imports_nothing_of_ours() -> None:
    code = (
        "import sys, lstmbridge.pytest_plugin\n"
        "print(*(m for m in sys.modules if m.startswith('lstmbridge')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(done.stdout.split()) == {"lstmbridge", "lstmbridge.pytest_plugin"}


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nlstmbridge = "lstmbridge.pytest_plugin"' in text
