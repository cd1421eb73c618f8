"""Why a verdict is no pass: every reason is told once, its gist first."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from lstmbridge.contracts import LedgerReport, Trace
from lstmbridge.report import html, markdown
from lstmbridge.report.along import shared_scale, trace_panel
from lstmbridge.report.summary import findings


def test_a_runtime_that_fails_is_one_finding_with_its_diagnosis_under_it(verdict) -> None:
    made = verdict(ratio=3.0)
    run = replace(made.runtimes[0], reason="a; b", diagnosis="on probe 1; equals the source")
    made = replace(made, runtimes=(run,), reasons=("puppet: a; b; on probe 1; equals the source",))
    (found,) = findings(made)
    assert found.head == "puppet: 2 of 2 comparisons differ, layer0_h: missing"
    assert found.details == ("on probe 1", "equals the source")


def test_wrong_weights_are_one_finding_and_other_reasons_stay_as_they_are(verdict) -> None:
    ledger = LedgerReport(10, ("layer0 kernel[f]: 3 of 4",), ("layer1",))
    reasons = ("a weight differs: layer0 kernel[f]: 3 of 4", "not in the artifact: layer1", "x: y")
    found = findings(verdict(ledger=ledger, reasons=reasons, outcome="fail"))
    assert [one.head for one in found] == [
        "1 block of the weights differ",
        "1 block of the source's weights are not in the artifact",
        "x: y",
    ]
    assert found[0].details == ledger.different


def test_a_message_of_several_lines_is_told_line_by_line(verdict) -> None:
    made = verdict(reasons=("cuda is absent\n  where: here\n  what to do: go",), outcome="fail")
    (found,) = findings(made)
    assert (found.head, found.details) == ("cuda is absent", ("where: here", "what to do: go"))


def test_a_panel_is_red_only_where_what_is_allowed_was_passed() -> None:
    fine = Trace("step", "2 x 3", (1, 2, 3), (1e-8, 0.0, 3e-8), (1e-7, 1e-7, 1e-7))
    wrong = replace(fine, off=(1e-8, 2.0, float("inf")))
    scale = shared_scale([fine, wrong])
    for trace, reds in ((fine, 0), (wrong, 2)):
        drawn = trace_panel("<b>", trace, scale)
        ET.fromstring(drawn)
        assert drawn.count('class="over"') == reds
        assert "<b>" not in drawn


def test_every_kind_of_trace_is_drawn_and_claims_are_shown(verdict) -> None:
    made = verdict()
    dots = Trace("length", "", (1, 4), (1e-8, 1e-8), (1e-7, 1e-7))
    alone = Trace("step", "1 x 1", (1,), (1e-8,), (1e-7,))
    checks = {"rows are independent": made.runtimes[0].outputs["outputs"]}
    run = replace(made.runtimes[0], traces={"outputs": alone, "layer0_h": dots}, checks=checks)
    page = html.text(replace(made, runtimes=(run,)), source="model.ckpt", artifacts=("m.onnx",))
    assert page.count('class="floor"') == 2
    assert page.count("<circle") == 3
    assert "rows are independent" in page
    text = markdown.text(replace(made, runtimes=(run,)), source="s", artifacts=("m.onnx",))
    assert "puppet, held: rows are independent" in text
