"""A package of somebody else brings a runtime: installed as packages are, run, and contained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lstmbridge import api, registry
from lstmbridge.errors import UsageError

MODULE = '''
"""A runtime of another package: ONNX Runtime by another name, and one that dies."""

import os

from lstmbridge.contracts import RuntimeInfo
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu


class Mirror:
    name, runs = "mirror", "onnx"

    def info(self):
        return RuntimeInfo("mirror", available=True, version="0.3", device="toaster")

    def open(self, subject):
        print("a runtime may print")
        return OnnxRuntimeCpu().open(subject)


class Dies(Mirror):
    name = "dies"

    def open(self, subject):
        os.abort()


class Liar(Mirror):
    name = "somebody-else"


class Absent(Mirror):
    name = "absent"

    def info(self):
        raise OSError("libabsent.so: cannot open shared object file")
'''
POINTS = """[lstmbridge.runtimes]
mirror = another_runtime:Mirror
{more}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """`installed("dies = another_runtime:Dies")`: installs it, and says where."""

    def install(*more: str) -> Path:
        site = tmp_path / "site"
        info = site / "another_runtime-0.3.dist-info"
        info.mkdir(parents=True)
        (site / "another_runtime.py").write_text(MODULE)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: another-runtime\nVersion: 0.3\n"
        )
        (info / "entry_points.txt").write_text(POINTS.format(more="\n".join(more)))
        monkeypatch.syspath_prepend(site)
        registry.claimants.cache_clear()
        return site

    return install


@pytest.fixture(autouse=True)
def fresh_registry():
    registry.claimants.cache_clear()
    yield
    registry.claimants.cache_clear()
    sys.modules.pop("another_runtime", None)


@pytest.fixture
def artifact(seed_prefix, tmp_path):
    done = api.convert(seed_prefix, to="onnx", output=tmp_path / "a.onnx")
    return done.path


def statuses(verdict):
    return {r.name: r.status for r in verdict.runtimes}


def test_an_installed_runtime_runs_unasked_beside_the_others(
    installed, artifact, seed_prefix, capfd
):
    installed()
    verdict = api.verify(seed_prefix, artifact, runtimes=["mirror", "onnxruntime-cpu"])
    assert verdict.outcome.value == "pass"
    assert statuses(verdict) == {"mirror": "pass", "onnxruntime-cpu": "pass"}
    assert {r.name: r.version for r in verdict.runtimes}["mirror"] == "0.3"
    assert capfd.readouterr().out == ""


def test_one_that_dies_leaves_a_verdict_behind_which_is_no_pass(installed, artifact, seed_prefix):
    installed("dies = another_runtime:Dies")
    verdict = api.verify(seed_prefix, artifact, runtimes=["onnxruntime-cpu", "dies"])
    assert statuses(verdict) == {"onnxruntime-cpu": "pass", "dies": "error"}
    assert verdict.exit_code == 3
    assert "killed by SIGABRT" in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("broken = no_such_module:Runtime", "No module named 'no_such_module'"),
        ("broken = another_runtime:Missing", "has no attribute 'Missing'"),
        ("broken = another_runtime:Liar", "is no runtime that calls itself 'broken'"),
        ("broken = another_runtime:Absent", "libabsent.so"),
        ("broken = another_runtime", "attribute name must be|no attribute"),
    ],
)
def test_one_that_cannot_be_had_breaks_nothing_and_is_listed_with_its_reason(
    installed, artifact, seed_prefix, point, reason
):
    installed(point)
    [info] = [one for one in api.runtimes() if one.name == "broken"]
    assert not info.available
    assert re.search(reason, info.reason), info.reason
    assert info.install
    verdict = api.verify(seed_prefix, artifact, runtimes=["onnxruntime-cpu"])
    assert verdict.outcome.value == "pass"
    assert any(line.startswith("broken") for line in verdict.not_run)


def test_one_that_claims_a_name_of_ours_is_an_error_naming_both(installed, artifact, seed_prefix):
    installed("torch = another_runtime:Mirror")
    with pytest.raises(UsageError, match=r"'torch' is claimed twice.*pytorch.*another_runtime"):
        api.runtimes()


def test_the_command_line_lists_it(installed):
    code = "import sys; from lstmbridge.cli import main; main(['runtimes', '--json', '-'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{installed()}:{Path(__file__).resolve().parents[1]}"},
    )
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    assert listed["mirror"]["available"]
    assert listed["mirror"]["device"] == "toaster"
    assert {"onnxruntime-cpu", "openvino", "torch-compile"} <= listed.keys()
