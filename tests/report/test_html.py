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
from lstmbridge.report.drawing import distances, scale_of, stack

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
    assert page_of(verdict(ratio=1.1)).count('class="over"') == 2


def test_a_longer_bar_is_a_larger_difference(verdict) -> None:
    def length(ratio: float) -> float:
        found = pictures(page_of(verdict(ratio=ratio)))[0]
        return float(next(x.get("width") for x in found if x.tag.endswith("rect")))

    assert length(0.02) < length(0.2) < length(0.9)


def test_faults_stand_in_the_order_of_their_distances(verdict) -> None:
    ratios = {"far": 1e6, "missed": 1.5, "near": 30.0}
    drawn = ET.fromstring(distances(ratios, 2.0))
    dots = [x for x in drawn if x.tag.endswith("circle")]
    said = [x.text for x in drawn if x.tag.endswith("text") and x.get("text-anchor") == "end"]
    assert said == ["missed", "near", "far"]
    assert sorted(float(x.get("cx")) for x in dots) == [float(x.get("cx")) for x in dots]
    assert ["over" in x.get("class") for x in dots] == [True, False, False]
    assert "<circle" in page_of(verdict(faults=FaultReport(3, 2, ratios=ratios)))


def test_every_layer_is_drawn_with_its_size_and_direction(networks) -> None:
    drawn = stack(networks.bidirectional(inputs=5, units=4, count=2))
    for name in ("layer_fw0: LSTM →", "layer_bw0: LSTM ←", "layer_fw1: LSTM →"):
        assert name in drawn
    assert "5 → 4" in drawn
    assert "8 features a step" in drawn
    ET.fromstring(drawn)


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
