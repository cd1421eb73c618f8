"""Every answer of `--json` is what the published schema says, and nothing besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from lstmbridge.contracts import FaultReport, LedgerReport, Outcome, RuntimeResult, Verdict
from lstmbridge.report import jsonable, schema

ROOT = Path(__file__).resolve().parents[2]
GRAPH = ROOT / "fixtures" / "graphs" / "saved-tagger" / "saved_model"


@pytest.fixture(scope="module")
def published() -> Any:
    return json.loads(schema.text())


@pytest.fixture
def valid(published) -> Callable[[Any], str]:
    """`valid(answer)`: its kind, once it is what the schema says of that kind, and of all."""

    def check(answer: Any) -> str:
        kind = answer["kind"] if isinstance(answer, dict) else "runtimes"
        of_kind = {"$ref": f"#/$defs/{kind.replace(' ', '-')}", "$defs": published["$defs"]}
        jsonschema.validate(answer, of_kind, cls=jsonschema.Draft202012Validator)
        jsonschema.validate(answer, published, cls=jsonschema.Draft202012Validator)
        return kind

    return check


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for child in node.values():
            yield from objects(child)
    elif isinstance(node, list):
        for child in node:
            yield from objects(child)


def test_the_command_prints_a_schema_that_is_one(run, published) -> None:
    answer = run("schema")
    assert answer.code == 0
    assert answer.body == published
    jsonschema.Draft202012Validator.check_schema(published)


def test_no_object_admits_what_it_does_not_name(published) -> None:
    found = list(objects(published))
    assert len(found) > 40
    assert all("additionalProperties" in one for one in found)
    assert all(one["additionalProperties"] is False for one in found if one.get("properties", {}))


def test_each_kind_is_described_and_each_description_says_its_kind(published) -> None:
    for reference in published["oneOf"]:
        name = reference["$ref"].removeprefix("#/$defs/")
        of_kind = published["$defs"][name]
        if name != "runtimes":
            assert of_kind["properties"]["kind"] == {"const": name.replace("-", " ")}
            assert of_kind["properties"]["schema"] == {"const": schema.VERSION}
            assert {"kind", "schema"} <= {*of_kind["required"]}


def test_a_key_that_nobody_published_is_refused(run, valid, seed_prefix: Path) -> None:
    body = run("inspect", seed_prefix, "--json", "-", "--quiet").body
    assert valid(body) == "inspection"
    body["parts"][0]["layers"][0]["novelty"] = 1
    with pytest.raises(jsonschema.ValidationError, match="novelty"):
        valid(body)


def test_a_stack_from_its_conversion_to_its_failure(
    run, valid, seed_prefix: Path, tmp_path: Path
) -> None:
    artifact, pack = tmp_path / "m.onnx", tmp_path / "m.npz"
    plain = tmp_path / "plain.onnx"

    def told(*words: object, code: int = 0) -> Any:
        answer = run(*words, "--json", "-", "--quiet")
        assert answer.code == code, answer.said
        return answer.body

    made = told("convert", seed_prefix, "--to", "onnx", "-o", artifact)
    assert valid(made) == "conversion"
    assert made["runtimes"][0]["probes"]["outputs"][0]["probe"]
    bare = told("convert", seed_prefix, "--to", "onnx", "-o", plain, "--no-verify")
    assert valid(bare) == "conversion"
    assert bare["verdict"] == "not verified"
    held = told("verify", seed_prefix, artifact)
    assert (valid(held), held["verdict"]) == ("verification", "pass")
    failed = told("verify", seed_prefix, artifact, "--forget-bias", 0, code=1)
    assert (valid(failed), failed["verdict"]) == ("verification", "fail")
    assert failed["runtimes"][0]["counterexample"]
    assert failed["ledger"]["different"]
    open_ = told("verify", seed_prefix, artifact, "--require", "torch-cuda", code=3)
    assert (valid(open_), open_["verdict"]) == ("verification", "inconclusive")
    assert valid(told("golden", "record", seed_prefix, "-o", pack)) == "pack"
    assert valid(told("golden", "show", pack)) == "pack"
    assert valid(told("golden", "update", pack, seed_prefix)) == "pack update"
    replayed = told("golden", "replay", artifact, pack)
    assert (valid(replayed), replayed["ledger"]) == ("verification", None)


def test_a_diagnosis_of_equals_and_of_others(
    run, valid, seed_prefix: Path, tmp_path: Path
) -> None:
    artifact = tmp_path / "m.onnx"
    run("convert", seed_prefix, "--to", "onnx", "-o", artifact)
    for more, verdict in (([], "equal"), (["--forget-bias", "0"], "different")):
        body = run("diagnose", seed_prefix, artifact, *more, "--json", "-").body
        assert (valid(body), body["verdict"]) == ("diagnosis", verdict)


def test_a_pack_of_recorded_outputs(run, valid, case, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.npz"
    one = case("tf115-seed-bare")
    np.savez(recorded, **one.expected)
    answer = run(
        "golden", "import", recorded, "-o", tmp_path / "p.npz", "--producer", "TensorFlow 1.15",
        "--tolerance", "1e-5", "--json", "-",
    )  # fmt: skip
    assert answer.code == 0, answer.said
    assert valid(answer.body) == "pack"
    assert answer.body["imported"]["tolerance"] == 1e-5


def test_a_whole_model(run, valid, tmp_path: Path) -> None:
    artifact = tmp_path / "t.onnx"
    made = run("convert", GRAPH, "--to", "onnx", "-o", artifact, "--json", "-").body
    assert valid(made) == "conversion"
    assert made["whole"]["stacks"]
    assert valid(run("verify", GRAPH, artifact, "--json", "-").body) == "verification"


@pytest.mark.parametrize(
    "name",
    [
        "tf115-everything", "tf115-highway", "tf115-layer-norm", "tf012-bidirectional",
        "tf115-initial-learned", "tf115-encoder-decoder", "tf115-gru-bidirectional",
    ],
)  # fmt: skip
def test_inspections_of_many_kinds(run, valid, case, name: str) -> None:
    answer = run("inspect", case(name).prefix, "--json", "-")
    assert answer.code == 0, answer.said
    assert valid(answer.body) == "inspection"


def test_runtimes_and_cells(run, valid) -> None:
    assert valid(run("runtimes", "--json", "-").body) == "runtimes"
    kinds = run("explain", "--json", "-").body
    assert valid(kinds) == "cells"
    for kind in kinds["cells"]:
        assert valid(run("explain", kind, "--json", "-").body) == "explanation"


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (["inspect", "nowhere.ckpt"], 4, "SourceUnreadable"),
        (["verify", "nowhere.ckpt", "m.onnx"], 4, "SourceUnreadable"),
        (["golden", "show", "nowhere.npz"], 4, "SourceUnreadable"),
        (["explain", "NoSuchCell"], 2, "UsageError"),
    ],
)
def test_an_error_is_an_answer_too(run, valid, words: list[str], code: int, kind: str) -> None:
    answer = run(*words, "--json", "-")
    assert answer.code == code
    assert valid(answer.body) == "error"
    assert (answer.body["exit_code"], answer.body["error"]["type"]) == (code, kind)
    assert answer.body["error"]["read"] in answer.err


def test_an_error_is_written_where_the_answer_was_to_be(run, valid, tmp_path: Path) -> None:
    written = tmp_path / "answer.json"
    assert run("inspect", "nowhere.ckpt", "--json", written).code == 4
    assert valid(json.loads(written.read_text())) == "error"


def test_what_is_refused_as_usage_writes_no_file(run, tmp_path: Path) -> None:
    written = tmp_path / "answer.json"
    assert run("explain", "NoSuchCell", "--json", written).code == 2
    assert not written.exists()


def test_an_error_does_not_replace_a_file_of_somebody_else(run, tmp_path: Path) -> None:
    written = tmp_path / "mine.json"
    written.write_text('{"mine": true}')
    assert run("inspect", "nowhere.ckpt", "--json", written).code == 4
    assert written.read_text() == '{"mine": true}'
    written.write_text('{"kind": "inspection", "schema": 1}')
    run("inspect", "nowhere.ckpt", "--json", written)
    assert json.loads(written.read_text())["kind"] == "error"


def test_numbers_that_json_has_no_word_for(valid) -> None:
    from lstmbridge.contracts import OutputComparison
    from lstmbridge.model.facts import Fact

    broken = OutputComparison(float("inf"), 0.0, float("inf"), (), "1 x 1", 0, "missing")
    found = Verdict(
        outcome=Outcome.FAIL,
        reasons=("puppet: outputs missing",),
        comparisons=0,
        runtimes=(
            RuntimeResult("p", "1", "cpu", "error", "died", probes={"outputs": (broken,)}),
            RuntimeResult("q", "", "", "unavailable", "absent", outputs={"outputs": broken}),
        ),
        noise_floor={"outputs": float("nan")},
        faults=FaultReport(1, 1, weakest=("time reversed", float("inf"))),
        ledger=LedgerReport(0, unreadable="no reason given"),
        facts={"layer0.cell_clip": Fact.given(float("inf"), "--cell-clip")},
        not_run=(),
        seconds=0.0,
        seed=0,
        tolerance=1e-3,
    )
    body = {**jsonable.verdict(found), "artifact": []}
    assert valid(json.loads(json.dumps(body, allow_nan=False))) == "verification"
