"""Names are served by one claimant each."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from lstmbridge import registry
from lstmbridge.errors import UsageError


@pytest.fixture(autouse=True)
def fresh_registry():
    registry.claimants.cache_clear()
    yield
    registry.claimants.cache_clear()


def pretend_installed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = EntryPoint(name, value, "lstmbridge.targets")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


def test_an_entry_point_adds_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "other", "lstmbridge.targets.onnx:OnnxTarget")
    assert registry.target("other").name == "onnx"


def test_two_claimants_for_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "onnx", "somebody.else:Target")
    with pytest.raises(UsageError, match=r"lstmbridge\.targets\.onnx.*somebody\.else"):
        registry.target("onnx")


def test_an_unknown_name_shows_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no target called 'tflite'") as caught:
        registry.target("tflite")
    assert "onnx, torch" in str(caught.value)


@pytest.mark.parametrize("name", registry.runtime_names())
def test_every_runtime_says_whether_it_is_here_without_raising(name: str) -> None:
    info = registry.runtime(name).info()
    assert info.name == name
    assert info.available or (info.reason and info.install)
