"""Verdicts, conversions and runtimes as a person and as a program read them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstmbridge.contracts import (
    Artifact,
    Conversion,
    Expression,
    FaultReport,
    LedgerReport,
    Outcome,
    OutputComparison,
    Part,
    RuntimeInfo,
    RuntimeResult,
    Signature,
    Verdict,
)
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.facts import Fact
from lstmbridge.report import jsonable, terminal

CLOSE = OutputComparison(1e-7, 4e-7, 0.25, (0, 3, 1), "2 x 8", 120)
FAR = OutputComparison(0.5, 4e-7, 1.25e6, (1, 2, 0), "2 x 8", 120)
BROKEN = OutputComparison(
    float("inf"), 0.0, float("inf"), (), "2 x 8", 0, "shape (2,), expected (2, 3)"
)
RAN = RuntimeResult(
    "onnxruntime-cpu", "1.32.0", "cpu", "pass", precision="float32",
    outputs={"outputs": CLOSE, "layer0_h": replace(CLOSE, ratio=0.1)},
)  # fmt: skip
PASSED = Verdict(
    outcome=Outcome.PASS,
    reasons=(),
    comparisons=240,
    runtimes=(RAN,),
    noise_floor={"outputs": 4e-7},
    faults=FaultReport(20, 20, weakest=("update gate inverted", 12.5)),
    ledger=LedgerReport(48),
    facts={"layer0.forget_bias": Fact.assumed(1.0, "default of BasicLSTMCell")},
    not_run=("torch: PyTorch is not installed",),
    seconds=0.5,
    seed=0,
)


def said(verdict: Verdict) -> str:
    text = terminal.verdict(verdict)
    assert all(len(line) <= 80 and line == line.rstrip() for line in text.splitlines())
    return " ".join(text.split())


def test_a_pass_says_what_was_compared_and_what_could_have_been_caught() -> None:
    text = said(PASSED)
    assert text.startswith("PASS 240 numbers compared in 0.50 s")
    assert "onnxruntime-cpu 1.32.0 (cpu, float32): 240 numbers of 2 outputs" in text
    assert "outputs[0, 3, 1] differs by 1e-07, 0.25 of the 4e-07 allowed, on probe 2 x 8" in text
    assert "20 of 20 would have been caught; the faintest, update gate inverted, at 12.5" in text
    assert "48 numbers, all bit for bit the source's" in text
    assert "not run torch: PyTorch is not installed" in text


def test_a_fail_shows_the_diagnosis_and_the_worst_places() -> None:
    failed = replace(
        RAN, status="fail", diagnosis="equals the source\nwith r and z exchanged",
        outputs={f"o{k}": replace(FAR, ratio=1.25 * 10.0**k) for k in range(1, 7)},
    )  # fmt: skip
    text = said(replace(PASSED, outcome=Outcome.FAIL, runtimes=(failed,)))
    assert text.startswith("FAIL")
    place = "o6[1, 2, 0] differs by 0.5, 1.2e+06 x the 4e-07 allowed"
    assert f"equals the source with r and z exchanged {place}" in text
    assert "and 2 outputs more" in text


def test_difference_allowance_and_share_are_those_of_one_place() -> None:
    quiet = replace(CLOSE, max_abs=3e-6, allowed=4e-7, ratio=0.5)  # 3e-6 where more is allowed
    text = said(replace(PASSED, runtimes=(replace(RAN, outputs={"outputs": quiet}),)))
    assert "differs by 2e-07, 0.50 of the 4e-07 allowed" in text


def test_an_output_that_could_not_be_compared_says_why() -> None:
    failed = replace(RAN, status="fail", outputs={"outputs": BROKEN})
    text = said(replace(PASSED, outcome=Outcome.FAIL, runtimes=(failed,)))
    assert "outputs: shape (2,), expected (2, 3), on probe 2 x 8" in text
    assert "inf" not in text


def test_no_verdict_says_because_of_what() -> None:
    absent = RuntimeResult("torch", "", "", "unavailable", reason="PyTorch is not installed")
    blind = FaultReport(3, 2, missed=("layers exchanged",), indistinguishable=("bias dropped",))
    text = said(
        replace(
            PASSED, outcome=Outcome.INCONCLUSIVE, reasons=("the probes see too little",),
            runtimes=(absent,), faults=blind, tolerance=0.5,
        )
    )  # fmt: skip
    assert text.startswith("INCONCLUSIVE")
    assert "because the probes see too little" in text
    assert "torch: unavailable: PyTorch is not installed" in text
    assert "not separable from rounding: layers exchanged" in text
    assert "change nothing on these weights: bias dropped" in text
    assert "--tolerance 0.5 was allowed, in place of the noise floor" in text


@pytest.mark.parametrize(
    ("ledger", "says"),
    [
        (LedgerReport(9, unreadable="the keys are not ours"), "were not read back: the keys"),
        (
            LedgerReport(9, ("layer0 kernel r",), ("layer1 bias c",), "", ("layer2 kernel",)),
            "wrong layer0 kernel r missing: layer1 bias c not in the source: layer2 kernel",
        ),
    ],
)
def test_the_ledger_names_blocks_that_differ(ledger: LedgerReport, says: str) -> None:
    assert says in said(replace(PASSED, ledger=ledger))


def test_json_of_a_verdict_holds_no_word_that_json_lacks() -> None:
    failed = replace(RAN, status="fail", outputs={"outputs": BROKEN})
    body = jsonable.verdict(replace(PASSED, outcome=Outcome.FAIL, runtimes=(failed,)))
    told = json.loads(json.dumps(body, allow_nan=False))
    assert told["verdict"] == "fail"
    assert told["runtimes"][0]["outputs"]["outputs"]["ratio"] == "inf"
    assert told["faults"]["weakest"] == {"name": "update gate inverted", "ratio": 12.5}
    assert told["facts"]["layer0.forget_bias"]["basis"] == "assumed"
    assert told["not_run"] == ["torch: PyTorch is not installed"]


def conversion(path: Path | None, numbers: Any, verdict: Verdict | None) -> Conversion:
    part = Part(
        "net",
        Model("net", Recurrent(numbers("UGRNN"))),
        {},
        "UGRNNCell (TensorFlow 1.2 and later)",
    )
    stepped = (Expression(f"layer{k}", "stepped", "why") for k in range(4))
    expressions = (*stepped, Expression("layer4", "native", ""))
    artifact = Artifact(Path("m.onnx"), "onnx", Signature((), ()), "float32", expressions)
    return Conversion(path, "ab" * 32, artifact, part, verdict, (), 1.0, "import onnxruntime")


def test_a_conversion_says_how_each_layer_is_said_and_where_it_lies(
    numbers: Any, tmp_path: Path
) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"1234")
    text = terminal.conversion(conversion(file, numbers, PASSED), verbose=True)
    assert "  layer0 to layer3: stepped, why\n  layer4: native\n" in text
    assert f"wrote {file}  (4 bytes)" in text
    assert f"sha256 {'ab' * 32}" in text
    assert text.endswith("\n\n    import onnxruntime")


def test_a_conversion_without_proof_or_without_a_file_says_so(numbers: Any) -> None:
    assert "NOT VERIFIED" in terminal.conversion(conversion(None, numbers, None))
    failed = replace(PASSED, outcome=Outcome.FAIL)
    assert terminal.conversion(conversion(None, numbers, failed)).endswith("nothing was written")
    assert jsonable.conversion(conversion(None, numbers, None))["verdict"] == "not verified"


def test_assumptions_are_one_warning_and_no_warning_where_nothing_is_assumed() -> None:
    (warning,) = terminal.assumption_warnings(PASSED.facts)
    assert "forget_bias = 1.0  (assumed: default of BasicLSTMCell)" in warning
    assert terminal.assumption_warnings({"x": Fact.read(1, "here")}) == ()


def test_an_absent_runtime_says_how_to_get_it() -> None:
    here = RuntimeInfo("oracle", available=True, version="1")
    gone = RuntimeInfo("torch", available=False, reason="not here", install="pip install torch")
    text = terminal.runtimes((here, gone))
    assert "not here: not here\n    torch  pip install torch" in text
    assert [r["available"] for r in jsonable.runtimes((here, gone))] == [True, False]


def test_a_message_of_several_lines_is_one_sentence() -> None:
    why = "no CUDA\n  where: here\n  what to do: go"
    absent = RuntimeResult("cuda", "1", "gpu", "unavailable", why)
    text = said(
        replace(PASSED, outcome=Outcome.INCONCLUSIVE, reasons=(why,), runtimes=(RAN, absent))
    )
    assert "because no CUDA; where: here; what to do: go" in text
    assert "cuda 1: unavailable: no CUDA; where: here; what to do: go" in text
