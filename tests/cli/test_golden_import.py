"""`golden import`, `update` and `show` at the door."""

from __future__ import annotations

import pytest


@pytest.fixture
def old(case):
    return case("tf115-seed-bare")


def test_a_recording_is_imported_shown_and_replayed(run, old, tmp_path):
    pack, artifact = tmp_path / "p.npz", tmp_path / "m.onnx"
    recorded = old.folder / "expected.npz"
    options = ["--producer", "TensorFlow 1.15.5", "--source", old.prefix]
    answer = run("golden", "import", recorded, "-o", pack, *options)
    assert answer.code == 0, answer.said
    assert "computed by TensorFlow 1.15.5" in answer.out
    assert "imported from expected.npz" in answer.out
    shown = run("golden", "show", pack, "--json", "-")
    assert shown.body["imported"]["from"] == "expected.npz"
    assert shown.body["pack"]["digest"] in answer.out
    run("convert", old.prefix, "--to", "onnx", "-o", artifact)
    answer = run("golden", "replay", artifact, pack, "--runtimes", "onnxruntime-cpu")
    assert answer.code == 0, answer.said


def test_a_recording_alone_asks_for_a_tolerance(run, old, tmp_path):
    recorded = old.folder / "expected.npz"
    answer = run("golden", "import", recorded, "-o", tmp_path / "p.npz", "--producer", "x")
    assert answer.code == 6
    assert "--tolerance" in answer.err


def test_an_update_shows_and_ends_with_1_until_it_is_accepted(run, old, tmp_path):
    pack = tmp_path / "p.npz"
    run("golden", "record", old.prefix, "-o", pack, "--batch", 2, "--steps", 4)
    assert run("golden", "update", pack, old.prefix).code == 0
    other = ["golden", "update", pack, old.prefix, "--forget-bias", "0"]
    answer = run(*other)
    assert answer.code == 1
    assert "nothing was written: --accept writes it" in answer.out
    assert run(*other, "--accept").code == 0
    assert run(*other).code == 0
