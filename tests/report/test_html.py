"""The HTML report: one file that needs nothing else, and names cannot break it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmbridge.cli import main
from lstmbridge.contracts import FaultReport
from lstmbridge.model.blocks import Model, Recurrent, Residual, Sequence
from lstmbridge.report import html
from lstmbridge.report.drawing import scale_of, stack
from lstmbridge.report.planted import kinds, planted

VOID = {"meta"}


class Reader(HTMLParser):
    """Collects tags, and sees to it that each that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def page_of(verdict, **names) -> str:
    return html.text(verdict, **{"source": "model.ckpt", "artifacts": ("m.onnx",), **names})


def pictures(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_the_page_holds_all_of_the_verdict(verdict, networks) -> None:
    page = page_of(verdict(), model=networks.stack())
    for said in (
        "PASS",
        "model.ckpt",
        "m.onnx",
        "layer1: LSTM",
        "puppet",
        "10 numbers, all bit for bit",
        "zero bias dropped",
        "default of BasicLSTMCell",
        "TensorFlow is not installed",
        "lstmbridge",
    ):
        assert said in page, said


def test_nothing_is_fetched_and_nothing_runs(verdict, networks) -> None:
    tags = Reader(page_of(verdict(ratio=3.0), model=networks.stack())).tags
    assert not {name for name, _ in tags} & {"script", "link", "img", "iframe", "object", "base"}
    assert not {key for _, attributes in tags for key in attributes} & {"src", "href", "onload"}
    policy = next(a["content"] for n, a in tags if n == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_light_dark_and_paper_have_their_colours(verdict) -> None:
    page = page_of(verdict())
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page


def test_a_bar_is_red_only_where_what_is_allowed_was_passed(verdict) -> None:
    assert 'class="over"' not in page_of(verdict(ratio=0.9))
    assert page_of(verdict(ratio=1.1)).count('class="over"') == 1


def test_a_longer_bar_is_a_larger_difference(verdict) -> None:
    def length(ratio: float) -> float:
        found = pictures(page_of(verdict(ratio=ratio)))[0]
        return float(next(x.get("width") for x in found if x.tag.endswith("rect")))

    assert length(0.02) < length(0.2) < length(0.9)


def test_faults_stand_by_kind_and_further_right_where_they_are_further_away() -> None:
    ratios = {
        "gates i and f exchanged": 1e6,
        "gates clipped": 1.5,
        "gate activation exchanged": 30.0,
    }
    drawn = ET.fromstring(re.findall(r"<svg.*?</svg>", planted(
        FaultReport(3, 2, missed=("gates clipped",), ratios=ratios)))[0])  # fmt: skip
    dots = [x for x in drawn if x.tag.endswith("circle")]
    said = [x[0].text.partition(":")[0] for x in dots]
    assert said == ["gates clipped", "gates i and f exchanged"]
    assert float(dots[0].get("cx")) < float(dots[1].get("cx"))
    assert ["over" in x.get("class") for x in dots] == [True, False]


def test_many_faults_of_a_whole_model_are_few_rows_and_none_is_lost() -> None:
    ratios = {f"encoder/rnn: gates {k} exchanged": 50.0 + k for k in range(100)}
    ratios |= {f"decoder/rnn: bias {k} dropped": 40.0 + k for k in range(100)}
    ratios |= {f"weight dense_{k}/kernel dropped": 30.0 + k for k in range(50)}
    ratios |= {"GatherV2 embedding_lookup indices off by one": 1e3, "Transpose t left out": 1e4}
    ratios |= {"BiasAdd logits/BiasAdd left out": 1e5}
    found = kinds(ratios)
    assert [kind.name for kind in found] == [
        "around the stacks: weights",
        "stack decoder/rnn",
        "stack encoder/rnn",
        "around the stacks: embeddings and look-ups",
        "around the stacks: shapes and order",
        "around the stacks: arithmetic, heads",
    ]
    assert {name for kind in found for name in kind.ratios} == ratios.keys()
    page = planted(FaultReport(len(ratios), len(ratios), ratios=ratios))
    assert page.count("<svg") == 6
    assert all(name in page for name in ratios)


def test_a_verdict_without_planted_faults_says_what_that_means(verdict) -> None:
    assert "says nothing of what it would have seen" in page_of(verdict(faults=FaultReport(0, 0)))


def test_every_layer_is_drawn_with_its_size_and_direction(networks) -> None:
    drawn = stack(networks.bidirectional(inputs=5, units=4, count=2))
    for name in ("layer_fw0: LSTM →", "layer_bw0: LSTM ←", "layer_fw1: LSTM →"):
        assert name in drawn
    assert "5 → 4" in drawn
    assert "8 features a step" in drawn
    ET.fromstring(drawn)


def test_layers_that_are_alike_share_a_box_and_those_that_departed_are_marked(networks) -> None:
    model = networks.stack(inputs=3, units=3, count=12)
    drawn = stack(model)
    assert "layer0 to layer11: LSTM" in drawn
    assert "12 layers, each 3 → 3" in drawn
    assert drawn.count("<rect") == 3
    assert 'class="box over"' not in drawn
    assert stack(model, {"layer7"}).count('class="box over"') == 1


def test_a_residual_is_drawn_around_its_layer(networks) -> None:
    block = Sequence((Residual(Recurrent(networks.cell(inputs=4, units=4))),))
    assert "+ input" in stack(Model("m", block))


def test_numbers_off_the_axis_lie_at_its_ends() -> None:
    scale = scale_of([1.0, 1e4], 100)
    assert [scale.at(x) for x in (0.0, float("nan"), 1.0, 1e2, 1e9, float("inf"))] == [
        0, 0, 0, 50, 100, 100,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\x00", "\ud800", "a\"b'c&d"])
def test_a_name_cannot_become_markup(verdict, name: str) -> None:
    page = page_of(verdict(name=name, ratio=2.0), source=name, artifacts=(name,))
    assert not [tag for tag, _ in Reader(page).tags if tag == "script"]
    page.encode("utf-8")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(name=st.text())
def test_every_picture_is_valid_whatever_the_names(verdict, name: str) -> None:
    faults = FaultReport(1, 1, ratios={name: 20.0})
    assert pictures(page_of(verdict(name=name, faults=faults), source=name))


def test_verify_and_convert_write_the_page(seed_prefix: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    artifact, page = str(tmp_path / "m.onnx"), tmp_path / "m.html"
    asked = ["--html", str(page)]
    made = run(main, ["convert", str(seed_prefix), "--to", "onnx", "-o", artifact, *asked])
    assert made.exit_code == 0, made.output
    text = page.read_text(encoding="utf-8")
    assert "layer2: LSTM" in text
    assert text.count("<circle") > 30
    done = run(main, ["verify", str(seed_prefix), artifact, "--forget-bias", "0.25", *asked])
    assert done.exit_code == 1, done.output
    assert "FAIL" in page.read_text(encoding="utf-8")
