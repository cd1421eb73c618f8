"""Markdown for a pull request: short, and names cannot break its table."""

from __future__ import annotations

from lstmbridge.contracts import RuntimeResult
from lstmbridge.report import markdown


def text_of(verdict, **names) -> str:
    return markdown.text(verdict, **{"source": "model.ckpt", "artifacts": ("m.onnx",), **names})


def table_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_verdict_stands_first_and_a_runtime_has_one_row(verdict) -> None:
    text = text_of(verdict())
    assert text.startswith("### lstmbridge: PASS\n")
    rows = table_of(text)
    assert len(rows) == 3
    assert rows[2] == "| puppet 1.2 float32 | pass | `outputs` | 5e-08 | 1e-07 | 0.5 |"


def test_the_worst_output_is_the_one_that_could_not_be_compared(verdict) -> None:
    text = text_of(verdict(ratio=12.0))
    assert "### lstmbridge: FAIL" in text
    assert "`layer0_h`: missing" in table_of(text)[2]
    assert "- puppet: 2 of 2 comparisons differ, layer0\\_h: missing" in text


def test_faults_weights_assumptions_and_what_was_not_run_are_said(verdict) -> None:
    text = text_of(verdict())
    assert "2 of 2 would have been caught; the faintest, time reversed, at 40 x" in text
    assert "10 numbers, all bit for bit the source's" in text
    assert "forget\\_bias = 1.0" in text
    assert "tensorflow: TensorFlow is not installed" in text


def test_an_absent_runtime_says_why_in_its_row(verdict) -> None:
    absent = RuntimeResult("cuda", "", "gpu", "unavailable", "no device\nhere")
    rows = table_of(text_of(verdict(runtimes=(absent,), outcome="inconclusive")))
    assert rows[2] == "| cuda | unavailable | no device |  |  |  |"


def test_no_name_breaks_out_of_its_cell(verdict) -> None:
    for name in ("a|b", "a`b", "a\nb", "<script>", "`|`\n|---|"):
        rows = table_of(text_of(verdict(name=name, ratio=0.5), source=name))
        assert len(rows) == 3
        bars = rows[2].replace("\\|", "").count("|")
        assert bars == 7, rows[2]


def test_many_reasons_are_counted_not_listed(verdict) -> None:
    text = text_of(verdict(outcome="inconclusive", reasons=tuple(f"reason {k}" for k in range(9))))
    assert "- reason 4" in text
    assert "reason 5" not in text
    assert "and 4 reasons more" in text


def test_a_long_reason_is_cut(verdict) -> None:
    assert len(max(text_of(verdict(ratio=3.0, reasons=("x" * 5000,))).splitlines(), key=len)) < 400
