"""What was written is spoken of by the path that was asked for, not by where it was on its way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lstmbridge import api
from lstmbridge.contracts import FaultReport, Outcome, RuntimeResult, Verdict
from lstmbridge.report import jsonable
from lstmbridge.staging import staged
from lstmbridge.verify.options import VerifyOptions
from lstmbridge.written import taken_over

TAGGER = Path(__file__).resolve().parents[1] / "fixtures" / "graphs" / "saved-tagger"


def verdict_on(path: Path) -> Verdict:
    run = RuntimeResult("puppet", "1", "cpu", "error", f"cannot load {path}", subject=str(path))
    return Verdict(
        Outcome.INCONCLUSIVE, (f"no runtime ran {path}",), 0, (run,), {}, FaultReport(0, 0),
        None, {}, (f"weights of {path}.data were not read back",), 0.0, 0,
    )  # fmt: skip


@pytest.mark.parametrize("told", [Path, Path.absolute])
def test_a_verdict_speaks_of_the_path_that_was_given(tmp_path, monkeypatch, told) -> None:
    monkeypatch.chdir(tmp_path)
    for final in (Path("m.onnx"), tmp_path / "m.onnx"):
        with staged(final, force=False) as stage:
            found = taken_over(verdict_on(told(stage.path)), stage)
            hidden = stage.path.parent.name
        assert hidden not in repr(found)
        assert found.runtimes[0].subject in {str(final), str(told(final))}
        assert found.reasons[0].endswith("m.onnx")
        assert "m.onnx.data were not" in found.not_run[0]


def test_nothing_else_of_a_verdict_changes(tmp_path) -> None:
    verdict = verdict_on(tmp_path / "other.onnx")
    with staged(tmp_path / "m.onnx", force=False) as stage:
        assert taken_over(verdict, stage) == verdict
        longer = replace(verdict, seconds=1.5)
        assert taken_over(longer, stage).seconds == 1.5


@pytest.mark.parametrize("source", ["stack", "whole"])
@pytest.mark.parametrize("runtime", ["onnxruntime-cpu", "onnxruntime-cuda"])
def test_no_report_of_a_conversion_names_the_folder_on_the_way(
    source, runtime, seed_prefix, tmp_path
) -> None:
    path = {"stack": seed_prefix, "whole": TAGGER / "saved_model"}[source]
    done = api.convert(
        path,
        to="onnx",
        output=tmp_path / "m.onnx",
        runtimes=[runtime],
        verification=VerifyOptions(timeout=60.0),
    )
    said = json.dumps(jsonable.conversion(done)) + repr(done.verdict)
    assert ".m.onnx." not in said
    assert str(tmp_path / "m.onnx") in said
