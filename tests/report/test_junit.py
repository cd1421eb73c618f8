"""JUnit: valid XML whatever the names are, and green only for a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmbridge.cli import main
from lstmbridge.contracts import FaultReport, LedgerReport, RuntimeResult
from lstmbridge.report import junit

STATES = ("failure", "error", "skipped")


def suite_of(verdict, **names) -> ET.Element:
    said = {"source": "model.ckpt", "artifacts": ("m.onnx",), **names}
    return ET.fromstring(junit.text(verdict, **said))


def cases_of(suite: ET.Element) -> dict[tuple[str, str], str]:
    return {
        (case.get("classname"), case.get("name")): next(iter(c.tag for c in case), "")
        for case in suite.findall("testcase")
    }


def test_each_output_of_each_runtime_is_a_case(verdict) -> None:
    cases = cases_of(suite_of(verdict()))
    assert cases == {
        ("puppet", "outputs"): "",
        ("puppet", "layer0_h"): "",
        ("weights", "read back from the file"): "",
        ("planted faults", "would have been caught"): "",
        ("not run", "tensorflow"): "skipped",
        ("verdict", "pass"): "",
    }


def test_each_probe_of_an_output_is_a_case_of_its_own(verdict) -> None:
    found = verdict()
    worst = found.runtimes[0].outputs["outputs"]
    two = tuple(
        replace(worst, probe=name, ratio=r) for name, r in (("1 x 1", 0.5), ("3 x 2", 7.0))
    )
    runtimes = (replace(found.runtimes[0], probes={"outputs": two}),)
    cases = cases_of(suite_of(replace(found, runtimes=runtimes)))
    assert cases["puppet", "outputs, probe 1 x 1"] == ""
    assert cases["puppet", "outputs, probe 3 x 2"] == "failure"
    assert cases["puppet", "layer0_h"] == ""


def test_a_failure_says_how_far_and_where(verdict) -> None:
    suite = suite_of(verdict(ratio=12.0))
    cases = cases_of(suite)
    assert cases["puppet", "outputs"] == "failure"
    assert cases["puppet", "layer0_h"] == "failure"
    assert cases["verdict", "pass"] == "failure"
    message = suite.find("testcase[@name='outputs']/failure").get("message")
    assert "12 times" in message
    assert "(0, 1, 2)" in message
    assert "4 x 10" in message


def test_the_counts_are_those_of_the_cases(verdict) -> None:
    suite = suite_of(verdict(ratio=12.0))
    cases = cases_of(suite)
    assert int(suite.get("tests")) == len(cases)
    totals = [int(suite.get(name)) for name in ("failures", "errors", "skipped")]
    assert totals == [sum(state == one for state in cases.values()) for one in STATES]


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_nothing_but_a_pass_is_green(verdict, outcome: str) -> None:
    suite = suite_of(verdict(outcome=outcome, reasons=()))
    assert int(suite.get("failures")) == 1


def test_a_runtime_that_was_absent_is_skipped_and_a_broken_one_an_error(verdict) -> None:
    runtimes = (
        RuntimeResult("absent", "", "cpu", "unavailable", "not installed"),
        RuntimeResult("broken", "1", "cpu", "error", "stopped at probe 1 x 1"),
    )
    cases = cases_of(suite_of(verdict(runtimes=runtimes, outcome="inconclusive")))
    assert cases["absent", "run"] == "skipped"
    assert cases["broken", "run"] == "error"


def test_weights_that_differ_and_faults_that_are_missed_are_failures(verdict) -> None:
    found = verdict(
        ledger=LedgerReport(10, different=("layer0 kernel[i]: 1 number",)),
        faults=FaultReport(2, 1, missed=("time reversed",)),
        outcome="fail",
    )
    cases = cases_of(suite_of(found))
    assert cases["weights", "read back from the file"] == "failure"
    assert cases["planted faults", "would have been caught"] == "failure"


@pytest.mark.parametrize("name", ["\x00\x1b", "\ud800", "\ufffe", "]]><&\"'", "Ω\n\t", ""])
def test_a_name_that_xml_cannot_hold_does_not_break_the_file(verdict, name: str) -> None:
    text = junit.text(verdict(name=name), source=name, artifacts=(name,))
    assert ET.fromstring(text.encode()).tag == "testsuite"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.text())
def test_any_name_gives_valid_xml(verdict, name: str) -> None:
    assert suite_of(verdict(name=name, ratio=3.0), source=name).tag == "testsuite"


def test_verify_writes_its_reports_though_the_verdict_is_fail(
    seed_prefix: Path, tmp_path: Path
) -> None:
    run = CliRunner().invoke
    artifact, xml, md = (str(tmp_path / name) for name in ("m.onnx", "m.xml", "m.md"))
    written = ["--junit", xml, "--markdown", md]
    made = run(main, ["convert", str(seed_prefix), "--to", "onnx", "-o", artifact, *written])
    assert made.exit_code == 0, made.output
    assert ET.parse(xml).getroot().get("failures") == "0"
    assert "lstmbridge: PASS" in Path(md).read_text()
    told = ["--forget-bias", "0.25", *written]
    checked = run(main, ["verify", str(seed_prefix), artifact, *told])
    assert checked.exit_code == 1, checked.output
    assert int(ET.parse(xml).getroot().get("failures")) > 1
    assert "lstmbridge: FAIL" in Path(md).read_text()


@pytest.mark.parametrize(
    ("more", "says"),
    [(["--no-verify"], "--no-verify for none"), ([], "does not exist")],
)
def test_a_report_that_cannot_be_is_refused_before_any_work(
    seed_prefix: Path, tmp_path: Path, more: list[str], says: str
) -> None:
    artifact = tmp_path / "m.onnx"
    command = ["convert", str(seed_prefix), "--to", "onnx", "-o", str(artifact), *more]
    done = CliRunner().invoke(main, [*command, "--junit", str(tmp_path / "none" / "m.xml")])
    assert done.exit_code == 2
    assert says in done.output
    assert not artifact.exists()
